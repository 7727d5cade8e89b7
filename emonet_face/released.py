"""The two published tables: votes (`binary.csv`) and ratings (`hq.csv`), read and written.

Reading is row by row. Every bad row comes back as the error that names it, so that a caller can
stop at the first (`votes`, `benchmark`) or put it aside and go on (`build`). Standard library only.

- `binary.csv`: path, annotator, value (True/False), emotion.
- `hq.csv`: image, annotator, human (True/False), annotations (a Python dictionary literal of
  `Family|Category` -> rating; it is parsed as data, never run).
"""

from __future__ import annotations

import ast
import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import checked_stem
from emonet_face.literals import LITERAL_ERRORS, parse_literal
from emonet_face.ratings import Scores, is_alias, parse_scores, resolve
from emonet_face.taxonomy import CATEGORIES, DIMENSIONS

VOTE_COLUMNS = ("path", "annotator", "value", "emotion")
RATING_COLUMNS = ("image", "annotator", "human", "annotations")
_TRUTH = {"true": True, "false": False}


@dataclass(frozen=True)
class Vote:
    """One yes/no answer: does the face in `image_id` show `emotion`?"""

    image_id: str
    annotator: str
    emotion: str
    present: bool
    alias: str | None = None
    """The spelling in the file where it was an alias of `emotion`."""


@dataclass(frozen=True)
class Rating:
    """One annotator's ratings of one image.

    Attributes:
        image: file name as published, e.g. "mj_data_1_U2.png".
        image_id: its stem.
        annotator: e.g. "human-1".
        human: whether a person (or a simulated one) gave them; a model otherwise.
        scores: 40 values, None where the row has no key; people's lie in 0..7.
    """

    image: str
    image_id: str
    annotator: str
    human: bool
    scores: Scores


@dataclass(frozen=True)
class BadRow:
    """A row that could not be used."""

    where: str
    row: int
    reason: str
    record: dict[str, str]

    @property
    def error(self) -> EmoNetFaceError:
        return EmoNetFaceError(f"{self.where}: {self.reason}")


@dataclass(frozen=True)
class _Row:
    row: int
    where: str
    record: dict[str, str]

    def bad(self, error: EmoNetFaceError) -> BadRow:
        return BadRow(self.where, self.row, str(error), self.record)


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[_Row | BadRow]:
    """The rows of a CSV with their place "file, row R (line L)", R counting data rows from 1.

    Raises:
        EmoNetFaceError: unreadable, empty, not UTF-8, a column missing, or broken quoting.
    """
    try:
        stream = path.open(newline="", encoding="utf-8-sig")
    except OSError as error:
        raise EmoNetFaceError(f"{path}: cannot be read ({error.strerror})") from None
    with stream:
        reader = csv.reader(stream, strict=True)
        try:
            header = next(reader, None)
            if not header:
                raise EmoNetFaceError(f"{path}: is empty; expected columns {', '.join(columns)}")
            twice = [name for name in columns if header.count(name) > 1]
            if twice:
                raise EmoNetFaceError(f"{path}: column {twice[0]!r} stands twice in the header")
            missing = [name for name in columns if name not in header]
            if missing:
                raise EmoNetFaceError(
                    f"{path}: no column {missing[0]!r}; found {', '.join(header)};"
                    f" needed {', '.join(columns)}"
                )
            row = 0
            for cells in reader:
                if not cells:
                    continue
                row += 1
                where = f"{path}, row {row} (line {reader.line_num})"
                record = dict(zip(header, cells, strict=False))
                if len(cells) != len(header):
                    yield BadRow(where, row, f"{len(cells)} cells instead of {len(header)}", record)
                else:
                    yield _Row(row, where, record)
        except csv.Error as error:
            raise EmoNetFaceError(f"{path}, line {reader.line_num}: broken CSV ({error})") from None
        except UnicodeDecodeError:
            raise EmoNetFaceError(f"{path}: is not UTF-8 text") from None
    if row == 0:
        raise EmoNetFaceError(f"{path}: has a header but no rows")


def _named(record: Mapping[str, str], column: str) -> str:
    value = record[column].strip()
    if not value:
        raise EmoNetFaceError(f"{column!r} is empty")
    return value


def _boolean(record: Mapping[str, str], column: str) -> bool:
    truth = _TRUTH.get(record[column].strip().lower())
    if truth is None:
        raise EmoNetFaceError(f"{column!r} is {record[column]!r}: must be True or False")
    return truth


def iter_votes(path: Path) -> Iterator[Vote | BadRow]:
    """The rows of a votes file in file order.

    A bad row (wrong number of cells, empty name, value neither True nor False, unknown category,
    an (image, annotator, emotion) seen before) comes as a BadRow.

    Raises:
        EmoNetFaceError: the file as a whole cannot be used (see `_rows`).
    """
    seen: dict[tuple[str, str, str], int] = {}
    for line in _rows(path, VOTE_COLUMNS):
        if isinstance(line, BadRow):
            yield line
            continue
        row, record = line.row, line.record
        try:
            spelling = _named(record, "emotion")
            vote = Vote(
                image_id=checked_stem(_named(record, "path")),
                annotator=_named(record, "annotator"),
                emotion=resolve(spelling),
                present=_boolean(record, "value"),
                alias=spelling if is_alias(spelling) else None,
            )
            first = seen.setdefault((vote.image_id, vote.annotator, vote.emotion), row)
            if first != row:
                raise EmoNetFaceError(
                    f"{vote.annotator!r} already voted on {vote.emotion!r} of image"
                    f" {vote.image_id!r} in row {first}; one vote each is allowed"
                )
            yield vote
        except EmoNetFaceError as error:
            yield line.bad(error)


def iter_ratings(path: Path) -> Iterator[Rating | BadRow]:
    """The rows of a ratings file in file order.

    A bad row (wrong number of cells, a literal that is no dictionary of numbers, an unknown key,
    a person's rating outside 0..7) comes as a BadRow. Missing categories stay None: what a gap
    means is the protocol's business. Models' values may be any finite number.

    Raises:
        EmoNetFaceError: the file as a whole cannot be used (see `_rows`).
    """
    for line in _rows(path, RATING_COLUMNS):
        if isinstance(line, BadRow):
            yield line
            continue
        record = line.record
        try:
            human = _boolean(record, "human")
            image = _named(record, "image")
            yield Rating(
                image=image,
                image_id=checked_stem(image),
                annotator=_named(record, "annotator"),
                human=human,
                scores=parse_scores(_literal(record["annotations"]), bounded=human, gaps="null"),
            )
        except EmoNetFaceError as error:
            yield line.bad(error)


def _literal(text: str) -> dict[str, object]:
    try:
        value = parse_literal(text)
    except LITERAL_ERRORS:
        raise EmoNetFaceError(
            f"'annotations' is not a dictionary of numbers: {text[:60]!r}"
        ) from None
    if not isinstance(value, dict):
        raise EmoNetFaceError(f"'annotations' is a {type(value).__name__}, not a dictionary")
    # An entry has a colon: as many as there are keys, and no key stood twice.
    if text.count(":") != len(value) and _n_entries(text) != len(value):
        raise EmoNetFaceError("'annotations' holds a key twice")
    return value


def _n_entries(text: str) -> int:
    tree = ast.parse(text.lstrip(" \t"), mode="eval").body
    return len(tree.keys) if isinstance(tree, ast.Dict) else 0


def write_votes(path: Path, votes: Iterable[Vote]) -> None:
    """Write votes in the form of `binary.csv` (path = image id, category names as they are)."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(VOTE_COLUMNS)
        for vote in votes:
            writer.writerow((vote.image_id, vote.annotator, vote.present, vote.emotion))


def write_ratings(path: Path, ratings: Iterable[Rating]) -> None:
    """Write ratings in the form of `hq.csv`; what has no value gets no key."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(RATING_COLUMNS)
        for rating in ratings:
            values = {
                category.key: int(score) if float(score).is_integer() else score
                for category, score in zip(CATEGORIES, rating.scores.scores, strict=True)
                if score is not None
            } | {
                dimension.key: rating.scores.dimensions[dimension.slug]
                for dimension in DIMENSIONS
                if dimension.slug in rating.scores.dimensions
            }
            writer.writerow((rating.image, rating.annotator, rating.human, values))
