"""Ratings in memory: the table as it was found, and the panel that the statistics work on.

A table keeps every row of its source, duplicates and gaps included. What a gap or a duplicate means
is a protocol's business, so each protocol makes its own panel from the same table.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emonet_face.errors import EmoNetFaceError
from emonet_face.taxonomy import N_EMOTIONS
from eval_metrics.groups import BASELINE_PREFIX, PEOPLE_NAME, is_reserved


@dataclass(frozen=True)
class RatingTable:
    """Ratings as a source has them, one row per statement of an annotator on an image.

    Attributes:
        annotators, images: names, one per row; images by file-name stem.
        human: per row, whether the annotator stands for a person.
        scores: (n_rows, 40) on the 0-7 rating scale, models unbounded; NaN where the row has no
            key for the category.
        where: per row, its place in the source for error messages.
        n_null_by_people: categories for which a person's row says null instead of having no key;
            both are NaN in the scores.
    """

    annotators: list[str]
    images: list[str]
    human: list[bool]
    scores: np.ndarray
    where: list[str]
    n_null_by_people: int = 0

    @classmethod
    def joined(cls, tables: Sequence[RatingTable]) -> RatingTable:
        """The rows of several tables, in order."""
        return cls(
            annotators=[name for table in tables for name in table.annotators],
            images=[image for table in tables for image in table.images],
            human=[flag for table in tables for flag in table.human],
            scores=np.concatenate([table.scores for table in tables]),
            where=[place for table in tables for place in table.where],
            n_null_by_people=sum(table.n_null_by_people for table in tables),
        )


@dataclass(frozen=True)
class Panel:
    """Annotators x images x categories under one protocol's treatment of gaps and duplicates.

    Attributes:
        annotators: (A,) names, people first, then models, each in natural order.
        human: (A,) whether the annotator stands for a person.
        images: (N,) stems, sorted.
        rated: (A, N) whether the annotator has a row for the image.
        scores: (A, N, 40); NaN where there is no rating.
        n_duplicates: rows beyond the first of their annotator and image.
    """

    annotators: tuple[str, ...]
    human: np.ndarray
    images: tuple[str, ...]
    rated: np.ndarray
    scores: np.ndarray
    n_duplicates: int

    @property
    def humans(self) -> np.ndarray:
        """Positions of the people."""
        return np.flatnonzero(self.human)

    @property
    def models(self) -> np.ndarray:
        """Positions of the models."""
        return np.flatnonzero(~self.human)


@dataclass(frozen=True)
class _Cells:
    """Where each row of a table goes in the panel, as one number per (annotator, image)."""

    annotators: tuple[str, ...]
    human: np.ndarray
    images: tuple[str, ...]
    cell: np.ndarray
    first: np.ndarray
    """For each row, the first row of the same cell (itself, unless it is a duplicate)."""

    def panel(self, cells: np.ndarray, scores: np.ndarray) -> Panel:
        """Scatter one row of scores per distinct cell into a panel."""
        shape = len(self.annotators), len(self.images)
        dense = np.full((shape[0] * shape[1], N_EMOTIONS), np.nan)
        dense[cells] = scores
        rated = np.zeros(shape[0] * shape[1], dtype=bool)
        rated[cells] = True
        return Panel(
            self.annotators,
            self.human,
            self.images,
            rated.reshape(shape),
            dense.reshape(*shape, N_EMOTIONS),
            n_duplicates=len(self.cell) - len(cells),
        )


def official_panel(table: RatingTable) -> Panel:
    """The panel of the published analysis: a missing key counts as 0, duplicates are averaged.

    Source: released `statistics/analysis-hq.ipynb` (long table with default 0, then a pivot with
    its default, the mean). Within a rated cell no value is NaN.

    Raises:
        EmoNetFaceError: fewer than two people, an annotator flagged both ways, or one whose name
            the tables use themselves.
    """
    cells = _cells(table)
    given = np.nan_to_num(table.scores, nan=0.0)
    rows = np.arange(len(given))
    repeated = rows[cells.first != rows]
    if not len(repeated):
        return cells.panel(cells.cell, given)
    np.add.at(given, cells.first[repeated], given[repeated])
    kept = np.delete(rows, repeated)
    times = np.bincount(cells.first, minlength=len(rows))
    return cells.panel(cells.cell[kept], given[kept] / times[kept, None])


def corrected_panel(table: RatingTable) -> Panel:
    """The careful panel: a person's missing key is 0 (an untouched slider), a model's is missing.

    Rows that repeat an earlier one exactly are dropped and counted in `n_duplicates`.

    Raises:
        EmoNetFaceError: as `official_panel`; or an annotator has two different rows for one image,
            both named.
    """
    cells = _cells(table)
    scores = table.scores.copy()
    people = np.asarray(table.human)
    scores[people] = np.nan_to_num(scores[people], nan=0.0)
    repeated = np.flatnonzero(cells.first != np.arange(len(cells.first)))
    for row in repeated:
        first = cells.first[row]
        if not np.array_equal(scores[row], scores[first], equal_nan=True):
            raise EmoNetFaceError(
                f"{table.where[row]}: {table.annotators[row]!r} rates image {table.images[row]!r}"
                f" again, and not as in {table.where[first]}; one row each is allowed"
                " (protocol 'official' averages them)"
            )
    kept = np.delete(np.arange(len(cells.cell)), repeated)
    return cells.panel(cells.cell[kept], scores[kept])


def _cells(table: RatingTable) -> _Cells:
    human_of = dict(zip(table.annotators, table.human, strict=True))
    if len(human_of) < len(set(zip(table.annotators, table.human, strict=True))):
        raise _flagged_both_ways(table)
    reserved = next(filter(is_reserved, human_of), None)
    if reserved is not None:
        raise EmoNetFaceError(
            f"{table.where[table.annotators.index(reserved)]}: {reserved!r} is no name for an"
            f" annotator: the tables call something else so; rename it (names that begin with"
            f" {BASELINE_PREFIX!r} or end with {PEOPLE_NAME!r} are taken)"
        )
    people = [name for name, human in human_of.items() if human]
    if len(people) < 2:
        found = f"only one human rater, {people[0]!r}" if people else "no human rater"
        raise EmoNetFaceError(
            f"{found} in the ratings that begin with {table.where[0]}; agreement needs two or more"
        )
    annotators = sorted(human_of, key=lambda name: (not human_of[name], _natural(name)))
    images = sorted(set(table.images))
    row_of = {name: index * len(images) for index, name in enumerate(annotators)}
    column_of = {image: index for index, image in enumerate(images)}
    cell = np.array([row_of[name] for name in table.annotators])
    cell += np.array([column_of[image] for image in table.images])
    first = np.full(len(annotators) * len(images), len(cell))
    np.minimum.at(first, cell, np.arange(len(cell)))
    human = np.array([human_of[name] for name in annotators])
    return _Cells(tuple(annotators), human, tuple(images), cell, first[cell])


def _flagged_both_ways(table: RatingTable) -> EmoNetFaceError:
    first: dict[str, tuple[bool, str]] = {}
    for name, human, where in zip(table.annotators, table.human, table.where, strict=True):
        before, place = first.setdefault(name, (human, where))
        if before != human:
            return EmoNetFaceError(
                f"{where}: {name!r} has human={human}, but not in {place};"
                " an annotator is either a person or a model"
            )
    raise AssertionError("no annotator is flagged both ways")


def _natural(name: str) -> list[tuple[int, int, str]]:
    """A sort key that puts human-2 before human-10."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]
