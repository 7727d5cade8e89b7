"""Python literals read as data, never run: `ast.literal_eval`, faster for what fills `hq.csv`.

The published ratings are 44,763 dictionaries of 40 numbers, spelt as Python prints them. Such text
needs no syntax tree: it is cut at its quotes, and the numbers are read as one JSON list. Ratings by
people need not even that: 40 categories times 8 ratings are 320 entries, soon all seen before.
Whatever looks different in any way goes to `ast.literal_eval`, so both accept the same texts and
give equal values.

>>> parse_literal("{'Anger': 3, 'Fear': -0.5}")
{'Anger': 3, 'Fear': -0.5}
"""

from __future__ import annotations

import ast
import json
from typing import NoReturn

LITERAL_ERRORS = (ValueError, SyntaxError, TypeError, MemoryError, RecursionError)
"""What `parse_literal` may raise."""

_NUMBERS = {int, float}
_SEEN_MAX = 10_000

_seen: dict[str, tuple[str, int | float]] = {}
"""Entries "'key': number" that were read before -> (key, number), whole and half numbers only."""


def parse_literal(text: str) -> object:
    """What `ast.literal_eval` makes of a text: the same value or the same error.

    Args:
        text: a literal, e.g. "{'Negative High-Energy Emotions|Anger': 3}".

    Raises:
        Exception: one of LITERAL_ERRORS, as `ast.literal_eval`.
    """
    flat = _of_seen_entries(text)
    if flat is None:
        flat = _flat_dictionary(text)
    return ast.literal_eval(text) if flat is None else flat


def has_key_twice(text: str, value: object) -> bool:
    """Whether a dictionary in a literal has a key twice: Python keeps the last without a word.

    Args:
        text: the literal.
        value: what `parse_literal` made of it.
    """
    n_colons = text.count(":")  # each entry has one: with as many entries none was lost
    if isinstance(value, dict) and len(value) == n_colons:
        return False
    n = _n_entries(value)
    if n == n_colons:
        return False
    nodes = ast.walk(ast.parse(text.lstrip(" \t"), mode="eval"))
    return sum(len(node.keys) for node in nodes if isinstance(node, ast.Dict)) != n


def _n_entries(value: object) -> int:
    """How many entries the dictionaries in a value have."""
    if isinstance(value, dict):
        return len(value) + sum(map(_n_entries, value.values()))
    if isinstance(value, (list, tuple)):
        return sum(map(_n_entries, value))
    return 0


def _of_seen_entries(text: str) -> dict[str, int | float] | None:
    """A dictionary of which every entry has been read before; None for other text."""
    if text[:1] != "{" or text[-1:] != "}" or text[1 : text.find(", ")] not in _seen:
        return None
    try:
        return dict(map(_seen.__getitem__, text[1:-1].split(", ")))
    except KeyError:
        return None


def _flat_dictionary(text: str) -> dict[str, int | float] | None:
    """A dictionary printed as {'key': number, ...} with an entry or more; None for other text."""
    if not text.isascii() or '"' in text or "\\" in text:
        return None
    if "\n" in text or "\r" in text or "\0" in text:  # no quoted text of one line holds these
        return None
    pieces = text.split("'")
    keys = pieces[1::2]
    rest = "'".join(pieces[2::2])
    if len(pieces) % 2 == 0 or pieces[0] != "{" or rest[:2] != ": " or rest[-1] != "}":
        return None
    numbers = "[" + rest[2:-1].replace(", ': ", ",") + "]"
    try:
        values, end = _scan(numbers, 0)  # a quote or a colon that is left over is no JSON
    except (ValueError, StopIteration, RecursionError):
        return None
    if (
        end != len(numbers)
        or len(values) != len(keys)
        or not _NUMBERS.issuperset(map(type, values))
    ):
        return None
    flat = dict(zip(keys, values, strict=True))
    if all(value * 2 % 1 == 0 for value in values):
        _remember(text, flat)
    return flat


def _remember(text: str, flat: dict[str, int | float]) -> None:
    # An entry that stood whole between two separators means the same in any other dictionary.
    entries = text[1:-1].split(", ")
    if len(entries) == len(flat) and len(_seen) < _SEEN_MAX:
        _seen.update(zip(entries, flat.items(), strict=True))


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is a name in Python, not a number")


_scan = json.JSONDecoder(parse_constant=_no_constant).scan_once
