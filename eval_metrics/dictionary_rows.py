"""Dictionaries of ratings as Python prints them, many at a time, as rows of an array.

Nearly all of them spell the same keys in the same order before numbers of one digit: written over
each other they differ in those bytes only. They are compared with their pattern as one array of
bytes, and the digits are taken from its columns. Those with longer numbers are cut at their quotes,
and their numbers read together as one JSON list. Whatever differs in any other byte is refused, not
guessed at: `emonet_face.literals` reads it.

>>> rows = DictionaryRows()
>>> rows.scores([b"{'Anger': 3}", b"{'Anger': -0.5, 'Awe': 12}"], [True, False])[:, [11, 31]]
array([[ nan,  3. ],
       [12. , -0.5]])
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from emonet_face.errors import EmoNetFaceError
from emonet_face.ratings import parse_scores
from emonet_face.taxonomy import N_EMOTIONS

Floats = NDArray[np.float64]

_PATTERNS_MAX = 16  # of one length that rows are compared with
_IN_NUMBERS = b"0123456789.eE+-,"
_ZEROS = bytes.maketrans(b"0123456789", b"0000000000")
_SIGNS = {b"0": 1, b"-0": -1}


class UnusualError(Exception):
    """Not of the published form in every byte, or something not allowed: for careful readers."""


@dataclass(frozen=True, eq=False)
class _Keys:
    """The keys of some dictionaries, in order.

    Attributes:
        spelt: as they stand there.
        places: of those that name a category; the others name an extra dimension.
        columns: the categories of those keys.
    """

    spelt: Sequence[bytes]
    places: NDArray[np.intp]
    columns: NDArray[np.intp]

    @classmethod
    def of(cls, spelt: Sequence[bytes]) -> _Keys:
        """Keys in any known spelling that name each category once."""
        try:
            numbered = {_one_line(key): float(place) for place, key in enumerate(spelt)}
            scores = parse_scores(numbered, bounded=False, gaps="null").scores
        except (UnicodeDecodeError, EmoNetFaceError):
            raise UnusualError from None
        if len(numbered) != len(spelt):
            raise UnusualError
        columns = [column for column, place in enumerate(scores) if place is not None]
        places = [int(scores[column]) for column in columns]
        return cls(spelt, np.array(places, dtype=np.intp), np.array(columns, dtype=np.intp))

    @property
    def has_dimensions(self) -> bool:
        return len(self.places) < len(self.spelt)


def _one_line(key: bytes) -> str:
    if b"\n" in key or b"\r" in key:  # it ends the line, and to Python the string is not closed
        raise UnusualError
    return key.decode("ascii")


@dataclass(frozen=True, eq=False)
class _Pattern:
    """Keys before numbers of one digit, some of them negative.

    Attributes:
        keys: in order.
        zeros: the bytes of the dictionary with 0 for every digit.
        digits: where in them the digits stand.
        signs: 1 or -1 for each.
    """

    keys: _Keys
    zeros: NDArray[np.uint8]
    digits: NDArray[np.intp]
    signs: NDArray[np.int8]

    @classmethod
    def of(cls, keys: _Keys, zeros: Sequence[bytes]) -> _Pattern:
        """The pattern of those keys, before "0" or "-0"."""
        entries = [b"'%b': %b" % entry for entry in zip(keys.spelt, zeros, strict=True)]
        return cls(
            keys,
            np.frombuffer(b"{" + b", ".join(entries) + b"}", dtype=np.uint8),
            np.cumsum([len(entry) + 2 for entry in entries]) - 2,
            np.array([_SIGNS[zero] for zero in zeros], dtype=np.int8),
        )

    def digits_of(self, texts: list[bytes]) -> tuple[NDArray[np.bool_], NDArray[np.int8]]:
        """Which of some texts of this length have this pattern, and the numbers of those."""
        together = np.frombuffer(b"".join(texts), np.uint8).reshape(len(texts), -1)
        differ = together ^ self.zeros
        values = differ[:, self.digits]  # "0" and a digit differ by the digit's value
        differ[:, self.digits] = 0
        fits = (values.max(axis=1, initial=0) <= 9) & ~differ.any(axis=1)
        return fits, values[fits].view(np.int8) * self.signs


class DictionaryRows:
    """Reads dictionaries of ratings; remembers the keys and the patterns that it has met."""

    def __init__(self) -> None:
        self._keys: dict[bytes, _Keys] = {}
        self._patterns: defaultdict[int, list[_Pattern]] = defaultdict(list)

    def scores(self, texts: list[bytes], human: list[bool]) -> Floats:
        """Scores of some dictionaries.

        Args:
            texts: as printed by Python, e.g. b"{'Negative High-Energy Emotions|Anger': 3}".
            human: for each, whether a person gave it; extra dimensions of people, which have
                scales of their own, are refused.

        Returns:
            (len(texts), 40), NaN where a category has no key; finite, but not held to 0..7.

        Raises:
            UnusualError: a text is no such dictionary.
        """
        scores = np.full((len(texts), N_EMOTIONS), np.nan)
        by_person = np.array(human, dtype=bool)
        for keys, rows, numbers in self._read(texts):
            if keys.has_dimensions and by_person[rows].any():
                raise UnusualError
            scores[np.ix_(rows, keys.columns)] = numbers[:, keys.places]
        return scores

    def _read(self, texts: list[bytes]) -> Iterator[tuple[_Keys, list[int], NDArray[np.generic]]]:
        """The keys of some of the texts, which those are, and their numbers, a row each."""
        by_length: defaultdict[int, list[int]] = defaultdict(list)
        for row, text in enumerate(texts):
            by_length[len(text)].append(row)
        cut: defaultdict[_Keys, dict[int, bytes]] = defaultdict(dict)
        for length, rows in by_length.items():
            patterns, tried = self._patterns[length], 0
            while rows:
                if tried == len(patterns):
                    row = rows.pop()
                    keys, numbers = self._cut(texts[row])  # may teach a pattern for the others
                    cut[keys][row] = numbers
                    continue
                fits, digits = patterns[tried].digits_of([texts[row] for row in rows])
                yield patterns[tried].keys, list(compress(rows, fits)), digits
                rows = list(compress(rows, ~fits))
                tried += 1
        for keys, numbers in cut.items():
            yield keys, list(numbers), _listed(numbers.values(), len(keys.spelt))

    def _cut(self, text: bytes) -> tuple[_Keys, bytes]:
        """Keys of one dictionary, and its numbers with commas between them."""
        pieces = text.split(b"'")
        spelt, rest = pieces[1::2], b"'".join(pieces[2::2])
        if len(pieces) % 2 == 0 or pieces[0] != b"{" or rest[:2] != b": " or rest[-1:] != b"}":
            raise UnusualError
        numbers = rest[2:-1].replace(b", ': ", b",")
        together = b"'".join(spelt)  # looked up in a third of the time of a tuple
        keys = self._keys.get(together)
        if keys is None:
            self._keys[together] = keys = _Keys.of(spelt)
        elif len(numbers) < 3 * len(spelt):  # short, and more of them will come
            self._learn(keys, numbers, len(text))
        return keys, numbers

    def _learn(self, keys: _Keys, numbers: bytes, length: int) -> None:
        zeros = numbers.translate(_ZEROS).split(b",")
        alike = self._patterns[length]
        single = _SIGNS.keys() >= set(zeros) and len(zeros) == len(keys.spelt)
        if single and len(alike) < _PATTERNS_MAX:
            alike.append(_Pattern.of(keys, zeros))


def _listed(rows: Collection[bytes], n: int) -> Floats:
    """Rows of n finite numbers between commas as an array."""
    together = b"],[".join(rows)
    if together.translate(None, _IN_NUMBERS) != b"][" * (len(rows) - 1):
        raise UnusualError
    try:
        numbers = np.array(json.loads(b"[[" + together + b"]]"), dtype=np.float64)
    except (ValueError, OverflowError):  # no numbers, not as many in each row, or too large
        raise UnusualError from None
    if numbers.shape[1:] != (n,) or not np.isfinite(numbers).all():
        raise UnusualError
    return numbers
