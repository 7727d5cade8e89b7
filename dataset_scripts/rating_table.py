"""A ratings file in the form of `hq.csv`, read whole: people by image, models, and rejects."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataset_scripts.rejects import Reject
from emonet_face.errors import shown
from emonet_face.ratings import Scores
from emonet_face.released import BadRow, Rating, iter_ratings
from emonet_face.simulated import is_simulated
from emonet_face.taxonomy import EMOTIONS


@dataclass
class RatingTable:
    """What stands in a ratings file.

    Attributes:
        path: the file.
        people: image id -> people's ratings of it, each with its row; in file order.
        models: ratings by models, in file order.
        rejects: rows that cannot be used.
    """

    path: Path
    people: dict[str, list[tuple[int, Rating]]] = field(default_factory=dict)
    models: list[Rating] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)

    def reject(self, image_id: str, reason: str) -> Reject:
        """The reject of an image with all that people said of it."""
        rated = self.people[image_id]
        record = {"image_id": image_id, "ratings": [_record(rating) for _, rating in rated]}
        return Reject(str(self.path), rated[0][0], reason, record)


def read_rating_table(path: Path, counts: Counter[str]) -> RatingTable:
    """Read a ratings file. Of a repeated (image, annotator) the first row stays.

    Args:
        path: CSV with image, annotator, human, annotations.
        counts: filled with what the report of a build says beside rows and rejects.

    Raises:
        EmoNetFaceError: the file as a whole cannot be used.
    """
    table = RatingTable(path)
    first: dict[tuple[str, str], tuple[int, Rating]] = {}
    for row, rating in enumerate(iter_ratings(path), start=1):
        if isinstance(rating, BadRow):
            table.rejects.append(Reject.of(rating, path))
            continue
        seen_row, seen = first.setdefault((rating.image_id, rating.annotator), (row, rating))
        if seen_row != row:
            reason = _repeat(rating, seen, seen_row)
            table.rejects.append(Reject(str(path), row, reason, _record(rating)))
            continue
        if rating.human:
            table.people.setdefault(rating.image_id, []).append((row, rating))
        else:
            table.models.append(rating)
        counts[f"rating rows of {_who(rating)}"] += 1
        counts["values of extra dimensions, not stored"] += len(rating.scores.dimensions)
        for alias in rating.scores.aliases:
            counts[f"keys {alias!r} read as its category"] += 1
    return table


def _who(rating: Rating) -> str:
    kind = "people" if rating.human else "models"
    return f"simulated {kind}" if is_simulated(rating.annotator) else kind


def touched(scores: Scores) -> list[float]:
    """The 40 ratings of a person: a category without a key is an untouched slider, so 0."""
    return [0.0 if score is None else score for score in scores.scores]


def _repeat(rating: Rating, first: Rating, row: int) -> str:
    same = (rating.human, rating.scores.scores) == (first.human, first.scores.scores)
    scores = "the same scores" if same else "other scores"
    return (
        f"{shown(rating.annotator)} already rated image {shown(rating.image_id)} in row {row},"
        f" with {scores}; the first row is kept"
    )


def _record(rating: Rating) -> dict[str, Any]:
    given = zip(EMOTIONS, rating.scores.scores, strict=True)
    return {
        "image": rating.image,
        "annotator": rating.annotator,
        "human": rating.human,
        "annotations": {name: score for name, score in given if score is not None},
    }
