"""The two published tables: votes (`binary.csv`) and ratings (`hq.csv`), read and written.

Reading is row by row. Every bad row comes back as the error that names it, so that a caller can
stop at the first (`votes`, `benchmark`) or put it aside and go on (`build`). Standard library only.

- `binary.csv`: path, annotator, value (True/False), emotion.
- `hq.csv`: image, annotator, human (True/False), annotations (a Python dictionary literal of
  `Family|Category` -> rating; it is parsed as data, never run).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from emonet_face.errors import EmoNetFaceError, shown
from emonet_face.imaging import checked_stem
from emonet_face.literals import LITERAL_ERRORS, has_key_twice, parse_literal
from emonet_face.ratings import Scores, is_alias, parse_scores, resolve
from emonet_face.taxonomy import CATEGORIES, DIMENSIONS

VOTE_COLUMNS = ("path", "annotator", "value", "emotion")
RATING_COLUMNS = ("image", "annotator", "human", "annotations")
MAX_CELL = 131_072
"""Characters of a cell; a row with a longer one is bad. Published ones have some 2,000."""

_MAX_FIELD = 16_000_000
"""Characters of a cell that the reader takes in; with a longer one it gives up the file."""

_MAX_NAME = 1_000
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
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


class _ImageNames:
    """The image names of a table, of which no two may share a stem.

    A row may leave out the folder or the suffix that another gives; another one is another image.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, str, int]] = {}

    def check(self, name: str, stem: str, row: int) -> None:
        """Raise EmoNetFaceError where an earlier row means another image by this stem."""
        folder, _, base = name.replace("\\", "/").rpartition("/")
        suffix = base[len(stem) :].lower()
        known_folder, known_suffix, first = self._known.get(stem, (folder, suffix, row))
        if _differ(folder, known_folder) or _differ(suffix, known_suffix):
            other = f"{known_folder}/{stem}{known_suffix}".removeprefix("/")
            raise EmoNetFaceError(
                f"{shown(name)} has the stem of {shown(other)} in row {first}: images are matched"
                " by stem, so each may stand for one image only"
            )
        self._known[stem] = folder or known_folder, suffix or known_suffix, first


def _differ(part: str, known: str) -> bool:
    return bool(part and known) and part != known


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[_Row | BadRow]:
    """The rows of a CSV with their place "file, row R (line L)", R counting data rows from 1.

    A row with too many or too few cells, or with one longer than MAX_CELL, comes as a BadRow.

    Raises:
        EmoNetFaceError: unreadable, empty, not UTF-8, a column missing, or broken quoting.
    """
    try:
        stream = path.open(newline="", encoding="utf-8-sig")
    except OSError as error:
        raise EmoNetFaceError(f"{path}: cannot be read ({error.strerror})") from None
    with stream:
        # The limit is one for the whole process: it is raised and never lowered again.
        csv.field_size_limit(max(_MAX_FIELD, csv.field_size_limit()))
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
                    f"{path}: no column {missing[0]!r}; found {shown(', '.join(header))};"
                    f" needed {', '.join(columns)}"
                )
            row = 0
            for cells in reader:
                if not cells:
                    continue
                row += 1
                where = f"{path}, row {row} (line {reader.line_num})"
                record = dict(zip(header, cells, strict=False))
                longest = max(map(len, cells))
                if len(cells) != len(header):
                    yield BadRow(where, row, f"{len(cells)} cells instead of {len(header)}", record)
                elif longest > MAX_CELL:
                    reason = f"a cell has {longest:,} characters; at most {MAX_CELL:,} are allowed"
                    yield BadRow(where, row, reason, record)
                else:
                    yield _Row(row, where, record)
        except csv.Error as error:
            raise EmoNetFaceError(f"{path}, line {reader.line_num}: broken CSV ({error})") from None
        except UnicodeDecodeError:
            raise EmoNetFaceError(f"{path}: is not UTF-8 text") from None
    if row == 0:
        raise EmoNetFaceError(f"{path}: has a header but no rows")


def checked_name(value: str, key: str) -> str:
    """A name of an image or an annotator without its outer blanks.

    Raises:
        EmoNetFaceError: it is empty, holds a control character (a NUL, a line break), or is longer
            than any name; the message begins with `key`.
    """
    name = value.strip()
    if not name:
        raise EmoNetFaceError(f"{key!r} is empty")
    if _CONTROL.search(name):
        raise EmoNetFaceError(f"{key!r} is {shown(name)}: holds a control character")
    if len(name) > _MAX_NAME:
        raise EmoNetFaceError(f"{key!r} has {len(name):,} characters; at most {_MAX_NAME:,}")
    return name


def _named(record: Mapping[str, str], column: str) -> str:
    return checked_name(record[column], column)


def _boolean(record: Mapping[str, str], column: str) -> bool:
    truth = _TRUTH.get(record[column].strip().lower())
    if truth is None:
        raise EmoNetFaceError(f"{column!r} is {shown(record[column])}: must be True or False")
    return truth


def iter_votes(path: Path) -> Iterator[Vote | BadRow]:
    """The rows of a votes file in file order.

    A bad row (wrong number of cells, empty name, value neither True nor False, unknown category,
    an (image, annotator, emotion) seen before, another image of the same stem) comes as a BadRow.

    Raises:
        EmoNetFaceError: the file as a whole cannot be used (see `_rows`).
    """
    seen: dict[tuple[str, str, str], int] = {}
    names = _ImageNames()
    for line in _rows(path, VOTE_COLUMNS):
        if isinstance(line, BadRow):
            yield line
            continue
        row, record = line.row, line.record
        try:
            spelling, image = _named(record, "emotion"), _named(record, "path")
            vote = Vote(
                image_id=checked_stem(image),
                annotator=_named(record, "annotator"),
                emotion=resolve(spelling),
                present=_boolean(record, "value"),
                alias=spelling if is_alias(spelling) else None,
            )
            first = seen.setdefault((vote.image_id, vote.annotator, vote.emotion), row)
            if first != row:
                raise EmoNetFaceError(
                    f"{shown(vote.annotator)} already voted on {vote.emotion!r} of image"
                    f" {shown(vote.image_id)} in row {first}; one vote each is allowed"
                )
            names.check(image, vote.image_id, row)
            yield vote
        except EmoNetFaceError as error:
            yield line.bad(error)


def iter_ratings(path: Path) -> Iterator[Rating | BadRow]:
    """The rows of a ratings file in file order.

    A bad row (wrong number of cells, a literal that is no dictionary of numbers, an unknown key,
    a person's rating outside 0..7, another image of the same stem) comes as a BadRow. Missing
    categories stay None: what a gap means is the protocol's business. Models' values may be any
    finite number.

    Raises:
        EmoNetFaceError: the file as a whole cannot be used (see `_rows`).
    """
    names = _ImageNames()
    for line in _rows(path, RATING_COLUMNS):
        if isinstance(line, BadRow):
            yield line
            continue
        record = line.record
        try:
            human = _boolean(record, "human")
            image = _named(record, "image")
            rating = Rating(
                image=image,
                image_id=checked_stem(image),
                annotator=_named(record, "annotator"),
                human=human,
                scores=parse_scores(_literal(record["annotations"]), bounded=human, gaps="null"),
            )
            names.check(image, rating.image_id, line.row)
            yield rating
        except EmoNetFaceError as error:
            yield line.bad(error)


def _literal(text: str) -> dict[str, object]:
    try:
        value = parse_literal(text)
    except LITERAL_ERRORS:
        raise EmoNetFaceError(
            f"'annotations' is not a dictionary of numbers: {shown(text)}"
        ) from None
    if not isinstance(value, dict):
        raise EmoNetFaceError(f"'annotations' is not a dictionary: {shown(value)}")
    if has_key_twice(text, value):
        raise EmoNetFaceError("'annotations' holds a key twice")
    return value


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
