"""A small vision tower for demonstrations and tests, with the architecture of SigLIP2's.

`make_tower` draws its weights; `pretrain_tower` trains them for about a minute on the ratings of a
dataset, through a linear readout that is thrown away. Such a tower knows nothing but those
pictures: real use takes google/siglip2-so400m-patch16-384.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from transformers import SiglipImageProcessorPil, SiglipVisionConfig, SiglipVisionModel

from emonet_face.errors import EmoNetFaceError
from emonet_face.outputs import made_by, new_folder, write_json
from emonet_face.progress import track
from emonet_face.taxonomy import N_EMOTIONS
from eval_metrics.emonet_face_agreement.agreement import spearman
from modeling_empathicinsight.backbone import Backbone, load_backbone, quiet
from modeling_empathicinsight.source import batches, iter_images
from modeling_empathicinsight.targets import MIN_IMAGES, read_ratings, split

RECORD = "tower.json"
MADE_BY = "emonet-face tower"


def make_tower(
    out: Path,
    *,
    image_size: int = 48,
    patch_size: int = 12,
    hidden: int = 128,
    layers: int = 1,
    heads: int = 4,
    seed: int = 0,
) -> Path:
    """Write a vision tower with random weights, and its image processor.

    The defaults are for a thousand schematic faces and a minute of training on a CPU: a second
    layer took two thirds longer and gained .01 of the held-out rho (.38 against .37).

    Args:
        out: folder; an existing one of this function is replaced.
        image_size, patch_size: in pixels; the first must be a multiple of the second.
        hidden: width of the tower and of its embedding, a multiple of `heads`.
        layers: number of transformer layers.
        heads: attention heads per layer.
        seed: of the weights.

    Raises:
        EmoNetFaceError: sizes that do not divide, or `out` exists and is something else.
    """
    if image_size % patch_size or hidden % heads:
        raise EmoNetFaceError(
            f"image_size {image_size} must be a multiple of patch_size {patch_size},"
            f" and hidden {hidden} of heads {heads}"
        )
    config = SiglipVisionConfig(
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        image_size=image_size,
        patch_size=patch_size,
    )
    processor = SiglipImageProcessorPil(size={"height": image_size, "width": image_size})
    # Modules draw their weights from the global generator only: it is put back afterwards.
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        tower = SiglipVisionModel(config)
    _write(out, tower, processor, {"seed": seed, "trained": False})
    return out


def _write(
    out: Path,
    tower: SiglipVisionModel,
    processor: Any,
    record: dict[str, Any],
) -> None:
    with new_folder(out, lambda folder: made_by(folder, RECORD) == MADE_BY) as folder, quiet():
        tower.save_pretrained(folder)
        processor.save_pretrained(folder)
        write_json(folder / RECORD, {"made_by": MADE_BY, **record})


def pretrain_tower(
    tower: Path,
    dataset_repo: str | Path,
    out: Path,
    *,
    config: str = "big",
    epochs: int = 60,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    seed: int = 0,
) -> dict[str, Any]:
    """Train a small tower briefly, to regress the median scores of a dataset's images.

    Its normalised embedding is standardised over the batch and read out linearly; that readout is
    thrown away. Without the standardisation nothing is learnt in the time at hand, because what
    embeddings have in common outweighs by far what tells them apart. Pictures are shifted by a
    pixel, mirrored and made lighter or darker. Training time grows with epochs and images.

    Args:
        tower: folder that `load_backbone` takes, e.g. of `make_tower`.
        dataset_repo: folder or Hub id.
        out: folder to write; an existing one of this module is replaced.
        config: of the dataset; it needs the column `median_scores`.
        epochs: passes over the training images; a tenth of the images is held out, the same that
            `train` holds out with the same seed.
        batch_size: images per step.
        learning_rate: the largest, reached after a tenth of the steps; a cosine leads to 0.
        seed: of the split, the readout and the order of the images.

    Returns:
        What tower.json in `out` says: epochs, seconds, images, and the mean over categories of
        Spearman's rho between readout and labels on the held-out images (None if undefined).

    Raises:
        EmoNetFaceError: the dataset has no such config or too few labelled images.
    """
    start = time.perf_counter()
    backbone = load_backbone(tower)
    pixels, labels, held_out = _examples(backbone, dataset_repo, config, seed)
    with torch.random.fork_rng(), _one_thread():
        torch.manual_seed(seed)
        readout = _Readout(backbone.tower, labels[~held_out].nanmean(dim=0))
        _train(readout, pixels[~held_out], labels[~held_out], epochs, batch_size, learning_rate)
    rho = _held_out_spearman(readout, pixels[held_out], labels[held_out])
    record = {
        "seed": seed,
        "trained": True,
        "from": Path(tower).name,
        "config": config,
        "epochs": epochs,
        "training_images": int((~held_out).sum()),
        "held_out_images": int(held_out.sum()),
        "held_out_spearman": rho,
        "seconds": round(time.perf_counter() - start, 1),
    }
    _write(out, backbone.tower.cpu().eval(), backbone.processor, record)
    return record


@contextmanager
def _one_thread() -> Iterator[None]:
    """Run torch in one thread. With layers this small two threads on busy cores mostly wait for one
    another (measured: over three times the CPU time), and sums do not hang on the number of cores.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class _Readout(nn.Module):
    """A tower with a linear layer on its standardised embedding."""

    def __init__(self, tower: SiglipVisionModel, means: torch.Tensor) -> None:
        super().__init__()
        width = tower.config.hidden_size
        self.tower = tower
        self.standardise = nn.BatchNorm1d(width, affine=False)
        self.linear = nn.Linear(width, len(means))
        nn.init.zeros_(self.linear.weight)
        self.linear.bias.data.copy_(means)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        embedding = F.normalize(self.tower(pixel_values=pixels).pooler_output, dim=-1)
        # Coordinates are scaled up, else BatchNorm's epsilon is not small beside their variance.
        return self.linear(self.standardise(embedding * embedding.shape[1] ** 0.5))


def _examples(
    backbone: Backbone, dataset: str | Path, config: str, seed: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pixels (n, 3, size, size), median scores (n, 40; NaN = none), held-out (n,) bool."""
    ratings = read_ratings(dataset, config)
    if ratings is None:
        raise EmoNetFaceError(f"{dataset}: has no config {config!r} to train a tower on")
    row_of = {image_id: row for row, image_id in enumerate(ratings.image_ids)}
    ids: list[str] = []
    parts = []
    faces = ((i, image) for i, image in iter_images(dataset, config) if image and i in row_of)
    for batch in batches(track(faces, "reading images"), 64):
        ids += [image_id for image_id, _ in batch]
        images = [image for _, image in batch]
        parts.append(backbone.processor(images=images, return_tensors="pt")["pixel_values"])
    if len(ids) < MIN_IMAGES:
        raise EmoNetFaceError(
            f"{dataset}, config {config}: {len(ids)} images have labels;"
            f" at least {MIN_IMAGES} are needed to train a tower"
        )
    labels = torch.from_numpy(ratings.values[[row_of[i] for i in ids], :N_EMOTIONS])
    return torch.cat(parts), labels, torch.from_numpy(split(ids, seed))


def _train(
    readout: _Readout,
    pixels: torch.Tensor,
    labels: torch.Tensor,
    epochs: int,
    batch_size: int,
    learning_rate: float,
) -> None:
    device = next(readout.parameters()).device
    readout.to(device).train()
    optimizer = torch.optim.AdamW(readout.parameters(), lr=learning_rate, weight_decay=0.05)
    # A batch of one has no variance to standardise by, so the images are cut evenly.
    n_batches = max(1, round(len(pixels) / batch_size))
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=epochs * n_batches, pct_start=0.1
    )
    for _ in track(range(epochs), "training the tower"):
        for rows in torch.randperm(len(pixels)).tensor_split(n_batches):
            wanted = labels[rows].to(device)
            rated = ~wanted.isnan()
            scores = readout(_vary(pixels[rows]).to(device))
            loss = F.mse_loss(scores[rated], wanted[rated])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(readout.parameters(), 1.0)
            optimizer.step()
            scheduler.step()


def _vary(pixels: torch.Tensor) -> torch.Tensor:
    """Shift a batch by up to a pixel, mirror half of it, change lightness and contrast by 10 %."""
    down, right = torch.randint(-1, 2, (2,)).tolist()
    pixels = torch.roll(pixels, (down, right), dims=(2, 3))
    mirrored = torch.rand(len(pixels), 1, 1, 1) < 0.5
    pixels = torch.where(mirrored, pixels.flip(3), pixels)
    contrast, lightness = 0.1 * (2 * torch.rand(2, len(pixels), 1, 1, 1) - 1)
    return pixels * (1 + contrast) + lightness


@torch.no_grad()
def _held_out_spearman(
    readout: _Readout, pixels: torch.Tensor, labels: torch.Tensor
) -> float | None:
    readout.eval()
    device = next(readout.parameters()).device
    scores = torch.cat([readout(part.to(device)).cpu() for part in pixels.split(64)])
    rho = spearman(scores.numpy(), labels.numpy())
    return round(float(np.nanmean(rho)), 4) if np.isfinite(rho).any() else None
