"""A ratings file in the form of the published `hq.csv`, read into arrays.

The file is 44,763 dictionaries printed by Python, 91 MB, which `emonet_face.released` reads row by
row in seconds. Here it is read in blocks of lines: `_Heads` cuts a block at its quotes and commas,
`dictionary_rows.py` reads the dictionaries as arrays of bytes.

Nothing is guessed: a file that is not of the published form in every byte, or holds a value that is
not allowed, is read by the careful reader from the start. It knows every spelling and every error.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import checked_stem
from emonet_face.progress import track
from emonet_face.released import RATING_COLUMNS, BadRow, checked_name, iter_ratings
from emonet_face.taxonomy import RATING_MAX, RATING_MIN
from eval_metrics.dictionary_rows import DictionaryRows, UnusualError
from eval_metrics.panel import RatingTable

Floats = NDArray[np.float64]

_BYTES = 4_000_000  # of lines, read at a time
_MAX = 100_000  # bytes of a cell; the careful reader refuses more than 131,072
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
    file = str(path)  # a path is slow to print
    where = [f"{file}, row {row}" for row in range(1, len(scores) + 1)]
    return RatingTable(annotators, images, human, scores, where, n_null_by_people)


def _read_published_form(path: Path) -> RatingTable:
    dictionaries, scores = DictionaryRows(), []
    with path.open("rb") as stream:
        heads = _Heads(stream.readline())
        for block in _blocks(stream):
            texts = heads.cut_off(block)
            scores.append(dictionaries.scores(texts, heads.human[len(heads.human) - len(texts) :]))
    heads.check()
    together = np.concatenate(scores)
    by_people = together[np.array(heads.human)]
    if ((by_people < RATING_MIN) | (by_people > RATING_MAX)).any():
        raise UnusualError
    return _table(path, heads.annotators, heads.images, heads.human, together)


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    """The rest of a file in blocks of whole lines."""
    while block := stream.read(_BYTES):
        yield block + stream.readline()


class _Names(dict[bytes, str]):
    """Cells as names; each different one is checked once."""

    def __init__(self, key: str, made: Callable[[str], str] = str) -> None:
        super().__init__()
        self._key, self._made = key, made

    def __missing__(self, cell: bytes) -> str:
        if not cell.isascii():
            raise UnusualError
        self[cell] = name = self._made(checked_name(cell.decode("ascii"), self._key))
        return name


class _Heads:
    """Image, annotator and human of each row, in lists."""

    def __init__(self, header: bytes) -> None:
        names = header.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n")
        columns, needed = names.split(b","), [name.encode() for name in RATING_COLUMNS]
        if b'"' in header or columns[-1] != needed[-1]:
            raise UnusualError
        if any(columns.count(name) != 1 for name in needed):
            raise UnusualError
        self._line_end = b"\r\n" if header.endswith(b"\r\n") else b"\n"
        self._n_cells = len(columns) - 1
        self._places = [columns.index(name) for name in needed[:-1]]
        self._image_of, self._annotator_of = _Names("image", checked_stem), _Names("annotator")
        self.images: list[str] = []
        self.annotators: list[str] = []
        self.human: list[bool] = []

    def cut_off(self, block: bytes) -> list[bytes]:
        """Take in the first cells of some lines; returns the last one of each, the dictionary."""
        heads, texts = self._at_quotes(block) or self._line_by_line(block)
        together = b",".join(heads)
        commas = {head.count(b",") for head in heads}
        # a carriage return outside of quotes ends a row for the csv module
        if not commas <= {self._n_cells - 1} or b"\r" in together or b"\n" in together:
            raise UnusualError
        cells = together.split(b",") if heads else []
        images, annotators, human = (cells[place :: self._n_cells] for place in self._places)
        if not _HUMAN.keys() >= set(human) or max(map(len, [*heads, *texts]), default=0) > _MAX:
            raise UnusualError
        self.images += map(self._image_of.__getitem__, images)
        self.annotators += map(self._annotator_of.__getitem__, annotators)
        self.human += map(_HUMAN.__getitem__, human)
        return texts

    def _at_quotes(self, block: bytes) -> tuple[list[bytes], list[bytes]] | None:
        """Heads and dictionaries of lines in which quotes stand around the dictionary only."""
        pieces = block.split(b'"')
        heads, texts = pieces[:-1:2], pieces[1::2]
        end = self._line_end
        if pieces[-1] not in (end, b"") or not all(head.startswith(end) for head in heads[1:]):
            return None
        together = b"".join(heads).removesuffix(b",")
        heads = together.split(b"," + end)
        regular = len(heads) == len(texts) == together.count(b"\n") + 1
        return (heads, texts) if regular else None

    def _line_by_line(self, block: bytes) -> tuple[list[bytes], list[bytes]]:
        """Heads and dictionaries of any lines; a dictionary without a comma has no quotes."""
        heads, texts = [], []
        for line in io.BytesIO(block):
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
            if quote < 0 and b"\r" in text:
                raise UnusualError
            heads.append(head)
            texts.append(text)
        return heads, texts

    def check(self) -> None:
        """Raise UnusualError where there is no row, or two names of images have one stem."""
        if not self.human or len(set(self._image_of.values())) < len(self._image_of):
            raise UnusualError
