"""Columns that configs share: those of the face, and those of its ratings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from dataset_scripts.generators import generator_of
from dataset_scripts.prompt_records import check_facts, check_keys, prompt_columns, text_value
from dataset_scripts.provenance import fill_from_prompt
from dataset_scripts.schema import Row
from emonet_face.imaging import ImageFile


def face_columns(
    image_id: str,
    record: Mapping[str, Any],
    image: ImageFile | None = None,
    name: str | None = None,
    counts: Counter[str] | None = None,
) -> Row:
    """The 11 columns `image` to `prompted_gender`.

    What the record does not say is told from its prompt and from the image's name, where they
    follow a published form.

    Args:
        image_id: the image's stem.
        record: its prompt record; empty where there is none.
        image: the image; None leaves its columns null.
        name: the image's file name, stored beside the bytes.
        counts: counts what the prompt told.

    Raises:
        EmoNetFaceError: the record has an unknown key or a bad value, or describes another image.
    """
    text_value(image_id, "image_id")
    check_keys(record)
    check_facts(record, image_id, image)
    prompt = prompt_columns(record)
    fill_from_prompt(prompt, Counter() if counts is None else counts)
    return {
        "image": None if image is None else {"bytes": image.data, "path": name},
        "image_id": image_id,
        "sha256": None if image is None else image.sha256,
        "width": None if image is None else image.width,
        "height": None if image is None else image.height,
        **prompt,
        "generator": prompt["generator"] or generator_of(image_id),
    }


def rating_columns(ratings: Sequence[tuple[str, list[float | None]]]) -> Row:
    """The columns `ratings` and `median_scores`.

    Args:
        ratings: (annotator, 40 scores in canonical order), in the order to be kept.

    Returns:
        `median_scores` is the median per category over the annotators who gave a value (the mean
        of the middle two for an even number), None where nobody did.
    """
    per_emotion = zip(*(scores for _, scores in ratings), strict=True)
    given = ([score for score in scores if score is not None] for scores in per_emotion)
    return {
        "ratings": [{"annotator": name, "scores": scores} for name, scores in ratings],
        "median_scores": [median(scores) if scores else None for scores in given],
    }
