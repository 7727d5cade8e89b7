"""How near an exported file comes to the model, from the bytes of pictures to every output.

One side is the model as it is used in Python: pictures decoded by the core, the stock image
processor, torch in float32 on the CPU. The other is `predict_onnx.py`: its own decoder, its own
resizing, onnxruntime. 32 pictures go through both, and through the file at batch 1, 3 and 32.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import MAX_FILE_BYTES, decode, iter_images, read_bytes
from modeling_empathicinsight.configuration_empathicinsight import N_EMOTIONS
from modeling_empathicinsight.predict_onnx import EmpathicInsightFaceOnnx
from modeling_empathicinsight.predict_onnx import decode as decode_alone
from modeling_empathicinsight.source import batches

if TYPE_CHECKING:
    from transformers.image_processing_utils import BaseImageProcessor

    from modeling_empathicinsight.modeling_empathicinsight import EmpathicInsightFaceModel

N_PICTURES = 32
BATCH_SIZES = (1, 3, N_PICTURES)

TOLERANCE = {
    "fp32": {"scores": 1e-3, "logits": 1e-3, "distribution": 1e-4, "embedding": 1e-4},
    "fp16": {"scores": 0.1, "logits": 0.1, "distribution": 0.02, "embedding": 0.01},
}
"""Largest difference that is allowed, per dtype and output. Ratings go in steps of 1: a tenth of a
step is what rounding the tower's weights and activations to 11 bits may cost."""


@dataclass(frozen=True)
class Pictures:
    """Image files to compare on.

    Attributes:
        source: what they are, in words.
        data: the bytes of each file.
    """

    source: str
    data: list[bytes]

    @classmethod
    def of(cls, folder: Path | None) -> Pictures:
        """The first 32 pictures of a folder; None: 32 drawn ones, always the same.

        Raises:
            EmoNetFaceError: no such folder, or it holds fewer than 32 pictures.
        """
        if folder is None:
            return cls("drawn noise, gradients and discs", [_drawn(i) for i in range(N_PICTURES)])
        paths = list(iter_images(folder))[:N_PICTURES] if folder.is_dir() else []
        if len(paths) < N_PICTURES:
            raise EmoNetFaceError(
                f"{folder}: holds {len(paths)} images; the parity report needs {N_PICTURES}"
            )
        return cls(
            f"the first {N_PICTURES} images of a given folder",
            [read_bytes(path, MAX_FILE_BYTES) for path in paths],
        )


def _drawn(index: int) -> bytes:
    """Noise, a gradient or discs, of another size and shape each, as PNG or JPEG."""
    rng = np.random.default_rng(index)
    width, height = (int(side) for side in rng.integers(24, 640, 2))
    if index % 3 == 0:
        image = Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))
    else:
        first, last = rng.integers(0, 256, (2, 3))
        slope = np.linspace(0, 1, width)[None, :, None] * np.ones((height, 1, 1))
        image = Image.fromarray((first + slope * (last - first)).astype(np.uint8))
    if index % 3 == 2:
        pen = ImageDraw.Draw(image)
        for _ in range(6):
            x, y, r = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(4, width / 3)
            colour = tuple(int(value) for value in rng.integers(0, 256, 3))
            pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)
    stream = BytesIO()
    image.save(stream, "JPEG" if index % 2 else "PNG")
    return stream.getvalue()


@dataclass(frozen=True)
class Difference:
    """How far an output of the file lies from the model's, over all pictures and batch sizes."""

    output: str
    largest: float
    mean: float
    tolerance: float


@dataclass(frozen=True)
class Parity:
    """The report on one file.

    Attributes:
        dtype: of the file's tower.
        pictures: what was compared on, in words.
        differences: one for each output.
        same_top: share of pictures whose most probable category is the same.
    """

    dtype: str
    pictures: str
    differences: list[Difference]
    same_top: float

    def as_json(self) -> dict[str, Any]:
        """The report as plain data."""
        return asdict(self) | {"n_pictures": N_PICTURES, "batch_sizes": list(BATCH_SIZES)}


@torch.inference_mode()
def reference_outputs(
    model: EmpathicInsightFaceModel, processor: BaseImageProcessor, pictures: Pictures
) -> dict[str, np.ndarray]:
    """What the model itself gives for the pictures, in float32: output name -> (32, ...)."""
    images = [decode(data, f"image {i}") for i, data in enumerate(pictures.data)]
    parts = []
    for batch in batches(images, 8):
        output = model(**processor(images=batch, return_tensors="pt"))
        parts.append((output.scores, output.embedding))
    scores, embedding = (torch.cat(part) for part in zip(*parts, strict=True))
    logits = scores[:, :N_EMOTIONS] - torch.tensor(model.config.neutral_means[:N_EMOTIONS])
    named = {"scores": scores, "logits": logits, "distribution": logits.softmax(-1)}
    return {key: value.numpy() for key, value in (named | {"embedding": embedding}).items()}


def compare(path: Path, dtype: str, reference: dict[str, np.ndarray], pictures: Pictures) -> Parity:
    """Run a file on the pictures and compare.

    Raises:
        EmoNetFaceError: an output lies further from the model's than TOLERANCE, or is not finite.
    """
    model = EmpathicInsightFaceOnnx(path, providers=["CPUExecutionProvider"])
    images = [decode_alone(data, f"image {i}") for i, data in enumerate(pictures.data)]
    runs = {size: model(images[:size]) for size in BATCH_SIZES}
    differences = []
    for name, expected in reference.items():
        gaps = [np.abs(run[name] - expected[:size]).ravel() for size, run in runs.items()]
        # What is not finite has no distance; it counts as infinitely far.
        gap = np.nan_to_num(np.concatenate(gaps).astype(np.float64), nan=np.inf)
        difference = Difference(name, gap.max().item(), gap.mean().item(), TOLERANCE[dtype][name])
        if difference.largest > difference.tolerance:
            raise EmoNetFaceError(
                f"{dtype}: {name} of the exported file differ from the model's by up to"
                f" {difference.largest:.3g}; at most {difference.tolerance:g} is allowed,"
                " so the file was removed"
            )
        differences.append(difference)
    tops = runs[N_PICTURES]["logits"].argmax(1) == reference["logits"].argmax(1)
    return Parity(dtype, pictures.source, differences, float(tops.mean()))
