"""Ratings in the form of `hq.csv` -> configs `hq` (people) and `hq_baselines` (models).

emonet-face build hq --ratings hq.csv --images faces/ --out emonet-face
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from dataset_scripts.columns import rating_columns
from dataset_scripts.faces import Faces
from dataset_scripts.rating_table import RatingTable, read_rating_table, touched
from dataset_scripts.rejects import Reject
from dataset_scripts.repository import BuildReport, build_configs, check_repo
from dataset_scripts.schema import Row
from dataset_scripts.shards import IMAGE_GROUP_ROWS, LABEL_GROUP_ROWS
from emonet_face.errors import EmoNetFaceError
from emonet_face.ratings import Scores
from emonet_face.released import Rating


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
    table = read_rating_table(ratings, counts)
    return build_configs(
        out,
        {
            "hq": _rows(table, Faces(images, prompts), counts),
            "hq_baselines": map(baseline_row, table.models),
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
    yield from _rows(read_rating_table(ratings, counts), Faces(images, prompts), counts)


def _rows(table: RatingTable, faces: Faces, counts: Counter[str]) -> Iterator[Row | Reject]:
    yield from table.rejects
    yield from faces.rejects
    for image_id, face in faces.columns(table.people):
        if isinstance(face, EmoNetFaceError):
            yield table.reject(image_id, str(face))
        else:
            rated = [(rating.annotator, rating.scores) for _, rating in table.people[image_id]]
            yield face | people_columns(rated, counts)
    faces.count_unused(set(table.people), counts)


def people_columns(rated: Sequence[tuple[str, Scores]], counts: Counter[str]) -> Row:
    """The columns `ratings` and `median_scores` of an image rated by people, and what to count.

    Args:
        rated: (annotator, what it gave), at least one.
        counts: of the report.
    """
    counts[f"images rated by {len(rated)}"] += 1
    counts["untouched sliders read as 0"] += sum(len(scores.gaps) for _, scores in rated)
    return rating_columns([(annotator, touched(scores)) for annotator, scores in rated])


def baseline_row(rating: Rating) -> Row:
    """The row of config `hq_baselines` for a model's ratings; what it did not rate stays null."""
    return {
        "image_id": rating.image_id,
        "annotator": rating.annotator,
        "scores": rating.scores.scores,
    }
