"""Ratings in the form of `hq.csv` -> configs `hq` (people) and `hq_baselines` (models).

emonet-face build hq --ratings hq.csv --images faces/ --out emonet-face
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataset_scripts.columns import rating_columns
from dataset_scripts.faces import Faces
from dataset_scripts.rejects import Reject
from dataset_scripts.repository import BuildReport, build_configs, check_repo
from dataset_scripts.schema import Row
from dataset_scripts.shards import IMAGE_GROUP_ROWS, LABEL_GROUP_ROWS
from emonet_face.errors import EmoNetFaceError
from emonet_face.released import BadRow, Rating, iter_ratings
from emonet_face.taxonomy import EMOTIONS


@dataclass
class _Ratings:
    """A ratings file, read: people's rows by image, models' rows, and what was rejected."""

    people: dict[str, list[tuple[int, Rating]]] = field(default_factory=dict)
    models: list[Rating] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)


def build_hq(
    ratings: Path,
    out: Path,
    *,
    images: Path | None = None,
    prompts: Path | None = None,
    strict: bool = False,
) -> BuildReport:
    """Write or replace the configs `hq` and `hq_baselines` of a dataset repo.

    A file without model rows gives no `hq_baselines`.

    Args:
        ratings: CSV with image, annotator, human, annotations.
        out: the dataset repo.
        images: folder searched for the images by stem; None leaves the image column null.
        prompts: JSON lines of prompt records by `image_id`; None uses sidecars alone.
        strict: the first rejected row is an error.

    Raises:
        EmoNetFaceError: a file or folder cannot be used, `out` is not ours, no image is left, or
            `strict`. Nothing was written then.
    """
    check_repo(out)
    counts: Counter[str] = Counter()
    table = _read(ratings, counts)
    return build_configs(
        out,
        {
            "hq": _human_rows(ratings, table, Faces(images, prompts), counts),
            "hq_baselines": map(_baseline_row, table.models),
        },
        source=ratings,
        strict=strict,
        counts=counts,
        group_rows=LABEL_GROUP_ROWS if images is None else IMAGE_GROUP_ROWS,
    )


def rows(
    ratings: Path,
    *,
    images: Path | None = None,
    prompts: Path | None = None,
    counts: Counter[str] | None = None,
) -> Iterator[Row | Reject]:
    """The rows of config `hq`, images in the order of their first row in the file.

    Only people's rows count; a category without a key is an untouched slider, so 0. A repeated
    (image, annotator) is rejected, whether its scores agree with the first or not.

    Args:
        ratings, images, prompts: as in `build_hq`.
        counts: filled with what the report says beside rows and rejects.

    Raises:
        EmoNetFaceError: a file or folder as a whole cannot be used.
    """
    counts = Counter() if counts is None else counts
    yield from _human_rows(ratings, _read(ratings, counts), Faces(images, prompts), counts)


def _read(ratings: Path, counts: Counter[str]) -> _Ratings:
    table = _Ratings()
    first: dict[tuple[str, str], tuple[int, Rating]] = {}
    for row, rating in enumerate(iter_ratings(ratings), start=1):
        if isinstance(rating, BadRow):
            table.rejects.append(Reject.of(rating, ratings))
            continue
        seen_row, seen = first.setdefault((rating.image_id, rating.annotator), (row, rating))
        if seen_row != row:
            reason = _repeat(rating, seen, seen_row)
            table.rejects.append(Reject(str(ratings), row, reason, _record(rating)))
            continue
        if rating.human:
            table.people.setdefault(rating.image_id, []).append((row, rating))
        else:
            table.models.append(rating)
        counts["rating rows of people" if rating.human else "rating rows of models"] += 1
        counts["values of extra dimensions, not stored"] += len(rating.scores.dimensions)
        for alias in rating.scores.aliases:
            counts[f"keys {alias!r} read as its category"] += 1
    return table


def _repeat(rating: Rating, first: Rating, row: int) -> str:
    same = (rating.human, rating.scores.scores) == (first.human, first.scores.scores)
    scores = "the same scores" if same else "other scores"
    return (
        f"{rating.annotator!r} already rated image {rating.image_id!r} in row {row}, with {scores};"
        " the first row is kept"
    )


def _record(rating: Rating) -> dict[str, Any]:
    given = zip(EMOTIONS, rating.scores.scores, strict=True)
    return {
        "image": rating.image,
        "annotator": rating.annotator,
        "human": rating.human,
        "annotations": {name: score for name, score in given if score is not None},
    }


def _human_rows(
    ratings: Path, table: _Ratings, faces: Faces, counts: Counter[str]
) -> Iterator[Row | Reject]:
    yield from table.rejects
    yield from faces.rejects
    for image_id, rated in table.people.items():
        try:
            face = faces.columns(image_id)
        except EmoNetFaceError as error:
            record = {"image_id": image_id, "ratings": [_record(rating) for _, rating in rated]}
            yield Reject(str(ratings), rated[0][0], str(error), record)
            continue
        counts[f"images rated by {len(rated)}"] += 1
        counts["untouched sliders read as 0"] += sum(len(r.scores.gaps) for _, r in rated)
        yield face | rating_columns([(r.annotator, _touched(r)) for _, r in rated])
    faces.count_unused(set(table.people), counts)


def _touched(rating: Rating) -> list[float | None]:
    return [0.0 if score is None else score for score in rating.scores.scores]


def _baseline_row(rating: Rating) -> Row:
    return {
        "image_id": rating.image_id,
        "annotator": rating.annotator,
        "scores": rating.scores.scores,
    }
