"""Which image of `hq.csv` a picture of the published HQ is, told by its ratings.

The published repo has neither file names nor the order of `hq.csv`, but who gave an image which 40
ratings stands in both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from dataset_scripts.published_labels import hq_ratings
from dataset_scripts.rating_table import RatingTable, touched
from emonet_face.errors import EmoNetFaceError, shown
from emonet_face.ratings import Scores

Fingerprint = frozenset[tuple[str, tuple[float, ...]]]
"""(annotator, 40 ratings), in no order."""


def match(labels: Iterable[object], table: RatingTable) -> list[str | EmoNetFaceError]:
    """The image of a ratings file that each row of the published HQ shows.

    Args:
        labels: the column `label`, as `hq_ratings` reads it.
        table: the ratings file.

    Returns:
        Per row the only image that the same people gave the same ratings, or why there is none: the
        label is bad, no image has its ratings, several have, or several rows.
    """
    images: dict[Fingerprint, list[str]] = {}
    for image_id, rated in table.people.items():
        given = _fingerprint([(rating.annotator, rating.scores) for _, rating in rated])
        images.setdefault(given, []).append(image_id)
    prints: list[Fingerprint | EmoNetFaceError] = []
    rows: dict[Fingerprint, list[int]] = {}
    for number, label in enumerate(labels, start=1):
        try:
            prints.append(given := _fingerprint(hq_ratings(label)))
            rows.setdefault(given, []).append(number)
        except EmoNetFaceError as error:
            prints.append(error)
    return [
        given if isinstance(given, EmoNetFaceError)
        else _only(images.get(given, ()), rows[given], table.path)
        for given in prints
    ]  # fmt: skip


def _fingerprint(rated: Sequence[tuple[str, Scores]]) -> Fingerprint:
    return frozenset((annotator, tuple(touched(scores))) for annotator, scores in rated)


def _only(images: Sequence[str], rows: Sequence[int], path: Path) -> str | EmoNetFaceError:
    if not images:
        return EmoNetFaceError(f"no image in {path} has these ratings")
    if len(images) > 1:
        return EmoNetFaceError(f"the images {_some(images)} in {path} all have these ratings")
    if len(rows) > 1:
        named = shown(images[0])
        return EmoNetFaceError(f"rows {_some(rows)} all have the ratings of image {named}")
    return images[0]


def _some(items: Sequence[object]) -> str:
    more = f" and {len(items) - 4} more" if len(items) > 4 else ""
    return ", ".join(map(shown, items[:4])) + more
