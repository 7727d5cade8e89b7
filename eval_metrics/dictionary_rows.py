"""Dictionaries of ratings as Python prints them, many at a time, as rows of an array.

Nearly all of them spell the same keys in the same order before numbers of one digit: written over
each other they differ in those bytes only. They are compared with their layout as one array of
bytes, and the digits are taken from its columns. Those with longer numbers are cut at their quotes.
Whatever differs in any other byte is refused, not guessed at: `emonet_face.literals` reads it.

>>> rows = DictionaryRows()
>>> rows.scores([b"{'Anger': 3}", b"{'Anger': -0.5, 'Awe': 12}"], [True, False])[:, [11, 31]]
array([[ nan,  3. ],
       [12. , -0.5]])
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from emonet_face.errors import EmoNetFaceError
from emonet_face.ratings import parse_scores
from emonet_face.taxonomy import N_EMOTIONS

Floats = NDArray[np.float64]

_LAYOUTS_MAX = 16  # of one length that rows are compared with
_NUMBERS = {int, float}


class UnusualError(Exception):
    """Not of the published form in every byte, or something not allowed: for careful readers."""


@dataclass(frozen=True, eq=False)
class _Layout:
    """The keys of a dictionary, in order.

    Attributes:
        keys: places of the keys that name a category; the others name an extra dimension.
        columns: the categories of those keys.
        zeros: the bytes of the dictionary with 0 everywhere.
        digits: where in them the numbers stand.
    """

    keys: NDArray[np.intp]
    columns: NDArray[np.intp]
    zeros: NDArray[np.uint8]
    digits: NDArray[np.intp]

    @classmethod
    def of(cls, keys: Sequence[bytes]) -> _Layout:
        """The layout of keys in any known spelling that name each category once."""
        try:
            numbered = {key.decode("ascii"): float(place) for place, key in enumerate(keys)}
            scores = parse_scores(numbered, bounded=False, gaps="null").scores
        except (UnicodeDecodeError, EmoNetFaceError):
            raise UnusualError from None
        if len(numbered) != len(keys):
            raise UnusualError
        columns = [column for column, place in enumerate(scores) if place is not None]
        entries = [b"'" + key + b"': 0" for key in keys]
        return cls(
            np.array([int(scores[column]) for column in columns], dtype=np.intp),
            np.array(columns, dtype=np.intp),
            np.frombuffer(b"{" + b", ".join(entries) + b"}", dtype=np.uint8),
            np.cumsum([len(entry) + 2 for entry in entries]) - 2,
        )

    @property
    def has_dimensions(self) -> bool:
        return len(self.keys) < len(self.digits)

    def put(self, scores: Floats, rows: Sequence[int], values: NDArray[np.generic]) -> None:
        """Write values, (len(rows), number of keys), into those rows of the scores."""
        scores[np.ix_(rows, self.columns)] = values[:, self.keys]

    def take_digits(self, texts: list[bytes], rows: list[int], scores: Floats) -> list[int]:
        """Read those rows that have this layout and one digit everywhere; returns the others."""
        together = b"".join([texts[row] for row in rows])
        differ = np.frombuffer(together, np.uint8).reshape(len(rows), -1) ^ self.zeros
        values = differ[:, self.digits]  # "0" and a digit differ by the digit's value
        differ[:, self.digits] = 0
        fits = (values.max(axis=1, initial=0) <= 9) & (differ.max(axis=1) == 0)
        numbers = np.array(rows)
        self.put(scores, numbers[fits], values[fits])
        return numbers[~fits].tolist()


class DictionaryRows:
    """Reads dictionaries of ratings; remembers the layouts that it has met."""

    def __init__(self) -> None:
        self._layouts: dict[bytes, _Layout] = {}
        self._of_length: defaultdict[int, list[_Layout]] = defaultdict(list)

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
        by_length: defaultdict[int, list[int]] = defaultdict(list)
        for row, text in enumerate(texts):
            by_length[len(text)].append(row)
        cut: defaultdict[_Layout, tuple[list[int], list[list[float]]]]
        cut = defaultdict(lambda: ([], []))
        for length, rows in by_length.items():
            for layout in self._of_length[length]:
                if rows and not (layout.has_dimensions and any(human[row] for row in rows)):
                    rows = layout.take_digits(texts, rows, scores)
            for row in rows:
                layout, values = self._cut(texts[row])
                if layout.has_dimensions and human[row]:
                    raise UnusualError
                cut[layout][0].append(row)
                cut[layout][1].append(values)
        for layout, (rows, values) in cut.items():
            layout.put(scores, rows, np.array(values, dtype=np.float64).reshape(len(rows), -1))
        return scores

    def _cut(self, text: bytes) -> tuple[_Layout, list[float]]:
        """Layout and values of one dictionary."""
        pieces = text.split(b"'")
        keys, rest = pieces[1::2], b"'".join(pieces[2::2])
        if len(pieces) % 2 == 0 or pieces[0] != b"{" or rest[:2] != b": " or rest[-1:] != b"}":
            raise UnusualError
        values = _numbers(rest[2:-1].replace(b", ': ", b","))
        if len(values) != len(keys):
            raise UnusualError
        together = b"'".join(keys)  # looked up in a third of the time of a tuple
        layout = self._layouts.get(together)
        if layout is None:
            self._layouts[together] = layout = _Layout.of(keys)
        elif len(text) == len(layout.zeros):  # met before: more of them will come
            alike = self._of_length[len(text)]
            if layout not in alike and len(alike) < _LAYOUTS_MAX:
                alike.append(layout)
        return layout, values


def _numbers(text: bytes) -> list[float]:
    """Finite numbers between commas; a quote or a colon that is left over is no JSON."""
    try:
        listed = "[" + text.decode("ascii") + "]"
        values, end = _scan(listed, 0)
        finite = math.isfinite(sum(values))
    except (ValueError, TypeError, StopIteration, RecursionError, OverflowError):
        raise UnusualError from None
    if end != len(listed) or not finite or not _NUMBERS.issuperset(map(type, values)):
        raise UnusualError
    return values


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is a name in Python, not a number")


_scan = json.JSONDecoder(parse_constant=_no_constant).scan_once
