"""A small dataset repo with every config, in which `check` finds nothing."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dataset_scripts.columns import face_columns, rating_columns
from dataset_scripts.repository import write_configs
from emonet_face.imaging import inspect_image
from emonet_face.taxonomy import DIMENSIONS, EMOTIONS, INDEX, OPPOSITE

N = 3
"""Rows of each config with images; `hq_baselines` has one for each image of `hq`."""

Rows = list[dict[str, Any]]


def picture(seed: int, size: int = 48, suffix: str = "PNG", quality: int = 90) -> bytes:
    """A picture with structure of its own, coarse and fine: random patches of two sizes."""
    rng = np.random.default_rng(seed)
    coarse, fine = (Image.fromarray(rng.integers(0, 256, (n, n, 3), np.uint8)) for n in (6, 24))
    image = Image.blend(coarse.resize((size, size)), fine.resize((size, size)), 0.4)
    stream = BytesIO()
    image.save(stream, suffix, quality=quality)
    return stream.getvalue()


def face(config: str, index: int, data: bytes | None, **record: object) -> dict[str, Any]:
    """The columns of a face; `data` None leaves out the picture."""
    image_id = f"{config}-{index}"
    prompt = {
        "generator": "drawn",
        "prompt": "a face",
        "prompted_emotion": EMOTIONS[index % len(EMOTIONS)],
        "prompted_ethnicity": "White",
        "prompted_age": 30,
        "prompted_gender": "woman",
    }
    image = None if data is None else inspect_image(data, image_id)
    return face_columns(image_id, prompt | record, image, f"{image_id}.png")


def ratings(*values: float | None) -> dict[str, Any]:
    """`ratings` by human-1, human-2, ...: one value each, the same on all categories."""
    return rating_columns([(f"human-{i}", [v] * 40) for i, v in enumerate(values, start=1)])


def votes(target: str, *present: bool) -> dict[str, Any]:
    """Answers on a target by human-1, ..., and a No on its opposite by human-7."""
    other = OPPOSITE[target]
    answers = [(f"human-{i}", target, yes) for i, yes in enumerate(present, start=1)]
    answers.append(("human-7", other, False))
    return {
        "target_emotion": INDEX[target],
        "contrast_emotion": INDEX[other],
        "votes": [
            {"annotator": name, "emotion": INDEX[emotion], "present": yes}
            for name, emotion, yes in answers
        ],
    }


def good_rows() -> dict[str, Rows]:
    """Rows of all four configs; fresh ones with each call, to be spoilt."""
    dimensions = {dimension.slug: float(dimension.low) for dimension in DIMENSIONS}
    labels = [("human-1", [None, 1.0] * 20), ("human-2", [0.5] * 40)]
    return {
        "hq": [face("hq", i, picture(i)) | ratings(0, 1, 2, 7) for i in range(N)],
        "binary": [
            face("binary", i, picture(100 + i)) | votes(EMOTIONS[i], True, True, True)
            for i in range(N)
        ],
        "big": [
            face("big", i, picture(200 + i)) | rating_columns(labels) | {"dimensions": dimensions}
            for i in range(N)
        ],
        "hq_baselines": [
            {"image_id": f"hq-{i}", "annotator": "a model", "scores": [-3.5, None] * 20}
            for i in range(N)
        ],
    }


def make_repo(repo: Path, change: Callable[[dict[str, Rows]], object] | None = None) -> Path:
    """Write the rows as a repo, after `change` has spoilt them: its front matter agrees with them.

    Two rows stand in a row group, so that every config has more than one.
    """
    rows = good_rows()
    if change is not None:
        change(rows)
    write_configs(repo, rows, group_rows=2)
    return repo
