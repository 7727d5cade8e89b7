"""Scores of image files: one JSON object a line, in input order.

emonet-face predict --model ID_OR_DIR faces/ "more/*.jpg" --out predictions.jsonl
"""

from __future__ import annotations

import glob
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
import torch

from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import decode, iter_images
from emonet_face.outputs import first_line_has, new_file
from emonet_face.progress import track
from modeling_empathicinsight.configuration_empathicinsight import (
    N_EMOTIONS,
    EmpathicInsightFaceConfig,
)
from modeling_empathicinsight.repository import load_model
from modeling_empathicinsight.source import batches

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Summary:
    """What `predict` did: lines written, and how many of them are errors."""

    n: int
    n_errors: int


@dataclass(frozen=True)
class _Input:
    """A file to score, or a path that leads to none and why."""

    name: str
    error: str | None = None


def predict(
    model: str | Path,
    paths: Sequence[str | Path],
    out: Path | None = None,
    *,
    batch_size: int = 16,
    top_k: int = 5,
) -> Summary:
    """Score images with a model repo.

    Each line is {"image", "scores": {40 names}, "dimensions": {4 slugs} or null,
    "neutral_subtracted": {40}, "distribution": {40}, "top": [[name, probability], ...]}: raw scores
    near the rating scale 0-7; these less the model's neutral means; and the softmax of the latter.
    A path that leads to no image, or an image that cannot be read, gives {"image", "error"} in its
    place, and the rest go on.

    Args:
        model: folder or Hub id.
        paths: image files, folders (searched recursively) and globs, in any mixture. A file that
            is named more than once is scored once, where it comes first.
        out: JSON lines file, written whole or not at all; None: standard output.
        batch_size: images at a time.
        top_k: length of "top", 1..40.

    Raises:
        EmoNetFaceError: nothing matched, the model cannot be used or has no neutral means, or `out`
            exists and holds something else.
    """
    if not 1 <= top_k <= N_EMOTIONS or batch_size < 1:
        raise EmoNetFaceError(
            f"top_k is {top_k}, must lie in 1..{N_EMOTIONS}; batch_size is {batch_size},"
            " must be 1 or more"
        )
    inputs = _inputs(paths)
    score = _Scorer(model, top_k)
    n = n_errors = 0
    with _writer(out) as stream:
        for batch in batches(track(inputs, "scoring"), batch_size):
            for line in score(batch):
                n, n_errors = n + 1, n_errors + ("error" in line)
                stream.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
            stream.flush()
    return Summary(n, n_errors)


def _inputs(paths: Sequence[str | Path]) -> list[_Input]:
    found: dict[str, _Input] = {}
    for path in map(str, paths):
        names, error = _expand(path)
        for name in names:
            found.setdefault(name, _Input(name))
        if error:
            found.setdefault(path, _Input(path, error))
    if all(entry.error for entry in found.values()):
        reasons = "; ".join(f"{entry.name}: {entry.error}" for entry in found.values())
        raise EmoNetFaceError(f"no images to score ({reasons or 'no paths given'})")
    return list(found.values())


def _expand(path: str) -> tuple[list[str], str | None]:
    """The image files that a path, folder or glob stands for, or why there are none."""
    if Path(path).is_dir():
        names = [str(name) for name in iter_images(Path(path))]
        return names, None if names else "the folder holds no image"
    if Path(path).exists():
        return [path], None
    if not glob.has_magic(path):
        return [], "no such file or folder"
    matches = [_expand(match)[0] for match in sorted(glob.glob(path, recursive=True))]
    names = [name for match in matches for name in match]
    return names, None if names else "the pattern matches no image"


class _Scorer:
    """A loaded model that turns a batch of inputs into lines."""

    def __init__(self, name: str | Path, top_k: int) -> None:
        self.model, self.processor = load_model(name)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model.to(self.device)
        self.top_k = top_k
        if self.model.config.neutral_means is None:
            raise EmoNetFaceError(f"{name}: config.json has no neutral_means to subtract")

    def __call__(self, batch: list[_Input]) -> Iterator[dict[str, Any]]:
        images: dict[str, Image] = {}
        errors: dict[str, str] = {}
        for entry in batch:
            try:
                images[entry.name] = _read(entry)
            except EmoNetFaceError as error:
                errors[entry.name] = str(error)
        scores = dict(zip(images, self._scores(images.values()), strict=True))
        for entry in batch:
            if entry.name in errors:
                yield {"image": entry.name, "error": errors[entry.name]}
            else:
                yield _line(entry.name, scores[entry.name], self.model.config, self.top_k)

    @torch.inference_mode()
    def _scores(self, images: Iterable[Image]) -> np.ndarray:
        images = list(images)
        if not images:
            return np.empty((0, len(self.model.config.output_names)))
        pixels = self.processor(images=images, return_tensors="pt")["pixel_values"]
        pixels = pixels.to(self.device, self.model.dtype)
        return self.model(pixel_values=pixels).scores.double().cpu().numpy()


def _read(entry: _Input) -> Image:
    if entry.error:
        raise EmoNetFaceError(entry.error)
    try:
        data = Path(entry.name).read_bytes()
    except OSError as error:
        raise EmoNetFaceError(f"{entry.name}: cannot be read ({error.strerror})") from None
    return decode(data, entry.name)


def _line(
    image: str, scores: np.ndarray, config: EmpathicInsightFaceConfig, top_k: int
) -> dict[str, Any]:
    if not np.isfinite(scores).all():
        return {"image": image, "error": "the model gives scores that are not finite"}
    names = config.output_names
    subtracted = (scores - config.neutral_means)[:N_EMOTIONS]
    powers = np.exp(subtracted - subtracted.max())
    distribution = dict(zip(names[:N_EMOTIONS], (powers / powers.sum()).tolist(), strict=True))
    # Sorting is stable: of equal probabilities the first in canonical order comes first.
    ranked = sorted(distribution.items(), key=lambda item: -item[1])
    return {
        "image": image,
        "scores": dict(zip(names[:N_EMOTIONS], scores[:N_EMOTIONS].tolist(), strict=True)),
        "dimensions": dict(zip(names[N_EMOTIONS:], scores[N_EMOTIONS:].tolist(), strict=True))
        or None,
        "neutral_subtracted": dict(zip(names[:N_EMOTIONS], subtracted.tolist(), strict=True)),
        "distribution": distribution,
        "top": [[name, probability] for name, probability in ranked[:top_k]],
    }


@contextmanager
def _writer(out: Path | None) -> Iterator[TextIO]:
    if out is None:
        yield sys.stdout
        return
    with new_file(out, ours=_is_ours) as path, path.open("w", encoding="utf-8") as stream:
        yield stream


def _is_ours(path: Path) -> bool:
    return any(
        first_line_has('{"image": ', f'"{key}": ')(path) for key in ("neutral_subtracted", "error")
    )
