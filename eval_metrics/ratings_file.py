"""A ratings file in the form of the published `hq.csv`, read into arrays.

The file is 44,763 dictionaries printed by Python, 91 MB, which `emonet_face.released` reads row by
row in seconds. But nearly all rows spell the same keys in the same order before numbers of one
digit: `dictionary_rows.py` reads those as arrays of bytes.

Nothing is guessed: a file that is not of the published form in every byte, or holds a value that is
not allowed, is read by the careful reader from the start. It knows every spelling and every error.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import checked_stem
from emonet_face.progress import track
from emonet_face.released import RATING_COLUMNS, BadRow, iter_ratings
from emonet_face.taxonomy import RATING_MAX, RATING_MIN
from eval_metrics.dictionary_rows import DictionaryRows, UnusualError
from eval_metrics.panel import RatingTable

Floats = NDArray[np.float64]

_BYTES = 2_000_000  # of lines, read at a time
_LINE_MAX = 100_000  # the csv module, which the careful reader uses, refuses larger cells
_HUMAN = {b"True": True, b"False": False}


def read_ratings_file(path: Path) -> RatingTable:
    """The rows of a ratings file, in file order; scores as they stand there.

    Raises:
        EmoNetFaceError: the file cannot be used, or its first bad row (a person's rating outside
            0..7, an unknown key, ...), named by file, row and key.
    """
    try:
        return _read_published_form(path)
    except (UnusualError, EmoNetFaceError, OSError):
        return _read_any_form(path)


def _read_any_form(path: Path) -> RatingTable:
    annotators, images, human, scores = [], [], [], []
    n_null = 0
    for rating in track(iter_ratings(path), "Reading ratings"):
        if isinstance(rating, BadRow):
            raise rating.error
        annotators.append(rating.annotator)
        images.append(rating.image_id)
        human.append(rating.human)
        scores.append(np.array(rating.scores.scores, dtype=float))
        n_null += rating.human and rating.scores.n_nulls
    return _table(path, annotators, images, human, np.array(scores), n_null)


def _table(
    path: Path,
    annotators: list[str],
    images: list[str],
    human: list[bool],
    scores: Floats,
    n_null_by_people: int = 0,
) -> RatingTable:
    where = [f"{path}, row {row}" for row in range(1, len(scores) + 1)]
    return RatingTable(annotators, images, human, scores, where, n_null_by_people)


def _read_published_form(path: Path) -> RatingTable:
    dictionaries, blocks = DictionaryRows(), []
    with path.open("rb") as stream:
        heads = _Heads(stream.readline())
        while lines := stream.readlines(_BYTES):
            texts = heads.cut_off(lines)
            blocks.append(dictionaries.scores(texts, heads.human[len(heads.human) - len(texts) :]))
    if not heads.human:
        raise UnusualError
    scores = np.concatenate(blocks)
    by_people = scores[np.array(heads.human)]
    if ((by_people < RATING_MIN) | (by_people > RATING_MAX)).any():
        raise UnusualError
    return _table(path, heads.annotators, heads.images, heads.human, scores)


class _Names(dict[bytes, str]):
    """Cells as names; each different one is checked once."""

    def __init__(self, checked: Callable[[str], str]) -> None:
        super().__init__()
        self._checked = checked

    def __missing__(self, cell: bytes) -> str:
        name = cell.decode("ascii").strip() if cell.isascii() else ""
        if not name:
            raise UnusualError
        self[cell] = name = self._checked(name)
        return name


class _Heads:
    """Image, annotator and human of each row, in lists."""

    def __init__(self, header: bytes) -> None:
        columns = header.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n").split(b",")
        needed = [name.encode() for name in RATING_COLUMNS]
        if b'"' in header or columns[-1] != needed[-1]:
            raise UnusualError
        if any(columns.count(name) != 1 for name in needed):
            raise UnusualError
        self._n_columns = len(columns)
        self._places = [columns.index(name) for name in needed[:-1]]
        self._image_of, self._annotator_of = _Names(checked_stem), _Names(str)
        self.images: list[str] = []
        self.annotators: list[str] = []
        self.human: list[bool] = []

    def cut_off(self, lines: list[bytes]) -> list[bytes]:
        """Take in the first cells of some lines; returns the last one of each, the dictionary."""
        image_at, annotator_at, human_at = self._places
        texts = []
        for line in lines:
            stop = len(line) - (2 if line[-2:] == b"\r\n" else line[-1:] == b"\n")
            if not stop:  # an empty line is no row
                continue
            quote = line.find(b'"')
            if quote < 0:
                head, _, text = line[:stop].rpartition(b",")
            elif line[quote - 1 : quote] == b"," and line[stop - 1 : stop] == b'"':
                head, text = line[: quote - 1], line[quote + 1 : stop - 1]
            else:
                raise UnusualError
            cells = head.split(b",")
            # a carriage return outside of quotes ends a row for the csv module
            if len(cells) + 1 != self._n_columns or b"\r" in (line[:stop] if quote < 0 else head):
                raise UnusualError
            if stop > _LINE_MAX or cells[human_at] not in _HUMAN:
                raise UnusualError
            self.images.append(self._image_of[cells[image_at]])
            self.annotators.append(self._annotator_of[cells[annotator_at]])
            self.human.append(_HUMAN[cells[human_at]])
            texts.append(text)
        return texts
