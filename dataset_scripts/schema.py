"""The four configs of the dataset repo: names, splits, shard names, columns.

`datasets` is imported inside, so that names and splits stay cheap to ask for.

>>> shard_name("hq", 0, 3)
'hq/test-00000-of-00003.parquet'
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from emonet_face.taxonomy import DIMENSIONS, EMOTIONS, N_EMOTIONS

if TYPE_CHECKING:
    from datasets import Features

Row = dict[str, Any]
"""One row of a config: exactly its columns, categories as their index in canonical order, an image
as {"bytes", "path"} or None."""

SPLITS = {"hq": "test", "binary": "train", "big": "train", "hq_baselines": "test"}
"""Config -> its only split. HQ is a test set; the other two image sets are for training."""

CONFIGS = tuple(SPLITS)
"""In the order of the card; the first that a repo has is its default, so `hq` where it is built."""


def shard_name(config: str, index: int, count: int) -> str:
    """Path of a shard inside the repo."""
    return f"{config}/{SPLITS[config]}-{index:05d}-of-{count:05d}.parquet"


def shard_pattern(config: str) -> str:
    """The glob inside the repo that matches the shards of a config and nothing else."""
    return f"{config}/{SPLITS[config]}-*.parquet"


@cache
def features(config: str) -> Features:
    """The columns of a config.

    `width` and `height` are in pixels, upright. Scores are ratings 0-7 in canonical order (a
    model's in `hq_baselines` may leave that range); null where none was given. Demographic columns
    are parameters of the prompt, not observations of the face.
    """
    from datasets import ClassLabel, Features, Image, List, Value

    text, number, score = Value("string"), Value("int32"), Value("float32")
    emotion = ClassLabel(names=list(EMOTIONS))
    scores = List(score, length=N_EMOTIONS)
    if config == "hq_baselines":
        return Features({"image_id": text, "annotator": text, "scores": scores})
    face = {
        "image": Image(),
        "image_id": text,
        "sha256": text,
        "width": number,
        "height": number,
        "generator": text,
        "prompt": text,
        "prompted_emotion": emotion,
        "prompted_ethnicity": text,
        "prompted_age": number,
        "prompted_gender": text,
    }
    rated = {
        "ratings": List({"annotator": text, "scores": scores}),
        "median_scores": scores,
    }
    voted = {
        "target_emotion": emotion,
        "contrast_emotion": emotion,
        "votes": List({"annotator": text, "emotion": emotion, "present": Value("bool")}),
    }
    dimensions = {"dimensions": {dimension.slug: score for dimension in DIMENSIONS}}
    own = {"hq": rated, "binary": voted, "big": rated | dimensions}
    return Features(face | own[config])
