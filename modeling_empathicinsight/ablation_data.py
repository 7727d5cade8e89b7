"""What ablations are judged on, people's ratings of config `hq`, and embeddings not normalised."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import decode
from emonet_face.taxonomy import N_EMOTIONS
from eval_metrics.emonet_face_agreement.agreement import round_to_levels
from modeling_empathicinsight.backbone import load_backbone
from modeling_empathicinsight.embeddings import Embeddings, check_made_by
from modeling_empathicinsight.source import batches, iter_rows
from modeling_empathicinsight.targets import Examples

CONFIG = "hq"


@dataclass(frozen=True)
class Panel:
    """People's ratings.

    Attributes:
        image_ids: n ids, those with an embedding and a rating.
        ratings: (n, raters, 40) levels 0..7, NaN = not rated.
        raters: their names, sorted.
    """

    image_ids: list[str]
    ratings: np.ndarray
    raters: list[str]

    def examples(self, vectors: Embeddings) -> Examples:
        """The images with their embeddings, none of them for training."""
        rows = np.array([vectors.row_of[CONFIG, image_id] for image_id in self.image_ids])
        everything = np.ones(len(rows), dtype=bool)
        return Examples(self.image_ids, vectors.vectors, self.ratings, everything, {}, rows)


def read_panel(labels: str | Path, vectors: Embeddings) -> Panel:
    """The ratings of config `hq` on the images that are embedded.

    Raises:
        EmoNetFaceError: none of them is embedded, or the dataset cannot be read.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for row in iter_rows(labels, CONFIG, ["image_id", "ratings"]):
        if row["ratings"] and (CONFIG, row["image_id"]) in vectors.row_of:
            found[row["image_id"]] = {r["annotator"]: r["scores"] for r in row["ratings"]}
    if not found:
        raise EmoNetFaceError(
            f"{labels}: no rated image of config {CONFIG} is among the embeddings; ablations are"
            " compared on these"
        )
    raters = sorted({name for given in found.values() for name in given})
    ratings = np.full((len(found), len(raters), N_EMOTIONS), np.nan)
    for image, given in enumerate(found.values()):
        for name, scores in given.items():
            ratings[image, raters.index(name)] = [np.nan if s is None else s for s in scores]
    return Panel(list(found), round_to_levels(ratings), raters)


def with_lengths(vectors: Embeddings, dataset: str | Path, tower: str | Path) -> Embeddings:
    """The embeddings with the lengths they had before they were normalised.

    Args:
        vectors: of `embed`.
        dataset: that they are of.
        tower: that made them.

    Raises:
        EmoNetFaceError: another tower, or an embedded image is not in the dataset.
    """
    loaded = load_backbone(tower)
    check_made_by(loaded, vectors)
    lengths = np.full(len(vectors.vectors), np.nan, np.float32)
    for config in sorted({config for config, _ in vectors.row_of}):
        rows = (
            row
            for row in iter_rows(dataset, config, ["image_id", "image"])
            if (config, row["image_id"]) in vectors.row_of
        )
        for batch in batches(rows, 64):
            images = [decode(row["image"]["bytes"], row["image_id"]) for row in batch]
            pixels = loaded.processor(images=images, return_tensors="pt")["pixel_values"]
            with torch.inference_mode():
                pooled = loaded.tower(pixels.to(loaded.device)).pooler_output
            places = [vectors.row_of[config, row["image_id"]] for row in batch]
            lengths[places] = pooled.float().norm(dim=1).cpu().numpy()
    missing = np.flatnonzero(np.isnan(lengths))
    if missing.size:
        config, image_id = list(vectors.row_of)[int(missing[0])]
        raise EmoNetFaceError(
            f"{dataset}, config {config}: {missing.size} embedded images are not there, e.g."
            f" {image_id!r}"
        )
    return replace(vectors, vectors=vectors.vectors * lengths[:, None])
