"""Rating keys and values: one parser for every spelling found in published files.

A key may be `Family|Category`, the category, its slug, `model_<slug>_best` or an alias; an extra
dimension may be `Extra Dimensions|Name`, its name or its slug. Standard library only.

>>> resolve("Positive High-Energy Emotions|Elation"), resolve("model_jealousy_&_envy_best")
('Elation', 'Jealousy & Envy')
>>> resolve("Hopelessness")
'Helplessness'
>>> parse_scores({"Anger": 3, "sadness": 0.5}, gaps="null").scores[31]
3.0
"""

from __future__ import annotations

import difflib
import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from emonet_face.errors import EmoNetFaceError, shown
from emonet_face.taxonomy import (
    ALIASES,
    CATEGORIES,
    DIMENSIONS,
    EMOTIONS,
    EXTRA_FAMILY,
    INDEX,
    RATING_MAX,
    RATING_MIN,
    Dimension,
)

Gaps = Literal["error", "zero", "null"]


def _known_keys() -> tuple[dict[str, str], dict[str, str]]:
    emotions: dict[str, str] = {}
    for entry in CATEGORIES:
        head = f"model_{entry.slug}_best"
        for key in (entry.name, entry.key, entry.slug, head):
            emotions[key] = entry.name
    for alias, name in ALIASES.items():
        family = CATEGORIES[INDEX[name]].family
        for key in (alias, f"{family}|{alias}", alias.lower()):
            emotions[key] = name
    dimensions: dict[str, str] = {}
    for dimension in DIMENSIONS:
        head = f"model_{dimension.slug}_best"
        for key in (dimension.name, dimension.key, dimension.slug, head):
            dimensions[key] = dimension.slug
    return emotions, dimensions


_EMOTION_OF, _DIMENSION_OF = _known_keys()
_DIMENSION = {d.slug: d for d in DIMENSIONS}
_NUMBERS = (int, float)
_EMOTION_PLACE = {category.key: place for place, category in enumerate(CATEGORIES)}
_PLACE = _EMOTION_PLACE | {d.key: len(CATEGORIES) + place for place, d in enumerate(DIMENSIONS)}
"""Published key -> its place among the 40 categories, then the 4 dimensions."""


def _unknown(key: object, known: Iterable[str], what: str) -> EmoNetFaceError:
    if not isinstance(key, str):
        return EmoNetFaceError(f"{shown(key)} is not a key: {what} keys are strings")
    candidates = list(known)
    folded = {c.casefold(): c for c in candidates}
    # A key much longer than all that are known is near to none, and would take long to compare.
    short = key[: 2 * max(map(len, folded))].casefold()
    near = difflib.get_close_matches(short, folded, n=1)
    hint = f"nearest: {folded[near[0]]!r}" if near else "`emonet-face taxonomy` lists all"
    return EmoNetFaceError(f"unknown {what} {shown(key)}; {hint}")


def resolve(key: str) -> str:
    """The category that a key names, exactly as spelt in `taxonomy.EMOTIONS`.

    Args:
        key: `Family|Category`, category, slug, `model_<slug>_best` or alias; outer blanks are
            ignored, case is not.

    Raises:
        EmoNetFaceError: the key is unknown (the message gives one that is near to it), or a
            category stands behind the wrong family.
    """
    name = _EMOTION_OF.get(key.strip()) if isinstance(key, str) else None
    if name is not None:
        return name
    if isinstance(key, str) and "|" in key:
        family, _, rest = key.strip().partition("|")
        right = _EMOTION_OF.get(rest)
        if right is not None:
            expected = CATEGORIES[INDEX[right]].key
            raise EmoNetFaceError(
                f"{rest!r} does not belong to the family {shown(family)}: the key is {expected!r}"
            )
        raise _unknown(key, (c.key for c in CATEGORIES), "category")
    raise _unknown(key, EMOTIONS, "category")


def resolve_dimension(key: str) -> str:
    """The slug of the extra dimension that a key names, e.g. "emotional_vulnerability".

    Raises:
        EmoNetFaceError: the key is unknown; the message gives one that is near to it.
    """
    slug = _DIMENSION_OF.get(key.strip()) if isinstance(key, str) else None
    if slug is None:
        raise _unknown(key, _DIMENSION, "dimension")
    return slug


def resolve_output(key: str, where: str) -> str:
    """The output of a model that a key names: a category, or the slug of an extra dimension.

    Args:
        key: in any spelling that `resolve` or `resolve_dimension` takes.
        where: what an error begins with: the file, or the place in it.

    Raises:
        EmoNetFaceError: neither.
    """
    if isinstance(key, str) and key.strip() in _DIMENSION_OF:
        return resolve_dimension(key)
    try:
        return resolve(key)
    except EmoNetFaceError as error:
        raise EmoNetFaceError(f"{where}: {error}") from None


def is_alias(key: str) -> bool:
    """Whether a key is a misspelling that `taxonomy.ALIASES` maps to a category."""
    return key.strip().rpartition("|")[2] in ALIASES


def _number(value: object, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise EmoNetFaceError(f"{shown(key)} is {shown(value)}: a rating must be a number")
    try:
        number = float(value)
    except OverflowError:  # a whole number beyond all floats
        number = math.inf
    if not math.isfinite(number):
        raise EmoNetFaceError(f"{shown(key)} is {shown(value)}: a rating must be finite")
    return number


def check_rating(value: object, key: str) -> float:
    """A rating given by a person or a machine annotator, as float, 0..7.

    Raises:
        EmoNetFaceError: not a number, not finite, or outside 0..7; the message names the key.
    """
    number = _number(value, key)
    if not RATING_MIN <= number <= RATING_MAX:
        raise EmoNetFaceError(
            f"{shown(key)} is {shown(value)}: a rating must lie in {RATING_MIN}..{RATING_MAX}"
        )
    return number


@dataclass(frozen=True)
class Scores:
    """What one annotator said of one image.

    Attributes:
        scores: 40 values in canonical order; None where the annotator gave none.
        dimensions: slug -> value for the extra dimensions that were given.
        aliases: the keys that were aliases, as they were spelt.
        n_nulls: categories whose key was there with None for a value.
    """

    scores: list[float | None]
    dimensions: dict[str, float] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    n_nulls: int = 0

    @property
    def gaps(self) -> list[str]:
        """Categories without a value."""
        return [name for name, s in zip(EMOTIONS, self.scores, strict=True) if s is None]


def parse_scores(
    record: Mapping[str, object],
    *,
    bounded: bool = True,
    gaps: Gaps = "error",
) -> Scores:
    """One dictionary of ratings in any published spelling -> 40 values in canonical order.

    Args:
        record: key -> number. Keys of extra dimensions go to `dimensions`. A None value counts as
            a gap.
        bounded: ratings must lie in 0..7 (people, machine annotators). False: any finite number
            (model scores, which are continuous and may be negative); dimensions are then
            unbounded too.
        gaps: a category without a value is an "error", becomes 0.0 ("zero": an untouched slider)
            or None ("null").

    Returns:
        Scores; for an empty record and gaps="null", 40 times None.

    Raises:
        EmoNetFaceError: unknown key, two keys for one category, a value that is no number or
            outside its scale, or a gap where gaps="error". The message names the key.
    """
    published = _published_scores(record, bounded)
    if published is not None and (gaps == "null" or None not in published.scores):
        return published
    values: list[float | None] = [None] * len(EMOTIONS)
    dimensions: dict[str, float] = {}
    spelling: dict[str, str] = {}
    aliases = []
    n_nulls = 0
    for key, value in record.items():
        is_dimension = isinstance(key, str) and (
            key.strip() in _DIMENSION_OF or key.startswith(f"{EXTRA_FAMILY}|")
        )
        name = resolve_dimension(key) if is_dimension else resolve(key)
        if name in spelling:
            keys = f"{shown(key)} and {shown(spelling[name])}"
            raise EmoNetFaceError(f"{keys} both name {name!r}: give one")
        spelling[name] = key
        if value is None:
            n_nulls += not is_dimension
            continue
        if is_dimension:
            dimensions[name] = _dimension_value(value, key, _DIMENSION[name], bounded)
        else:
            if is_alias(key):
                aliases.append(key)
            values[INDEX[name]] = check_rating(value, key) if bounded else _number(value, key)
    missing = [name for name, value in zip(EMOTIONS, values, strict=True) if value is None]
    if missing and gaps == "error":
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise EmoNetFaceError(f"no value for {missing[0]!r}{more}: all 40 categories are needed")
    if gaps == "zero":
        values = [0.0 if value is None else value for value in values]
    return Scores(values, dimensions, tuple(aliases), n_nulls)


def _published_scores(record: Mapping[str, object], bounded: bool) -> Scores | None:
    """The scores of a record that has nothing but published keys and good numbers, else None.

    The short way for tens of thousands of rows; `parse_scores` goes the long one for the rest and
    finds out what is wrong, if anything is.
    """
    low, high = (RATING_MIN, RATING_MAX) if bounded else (-sys.float_info.max, sys.float_info.max)
    places = _EMOTION_PLACE if bounded else _PLACE  # each dimension has a scale of its own
    values: list[float | None] = [None] * len(_PLACE)
    for key, value in record.items():
        place = places.get(key)
        if place is None or type(value) not in _NUMBERS or not low <= value <= high:
            return None
        values[place] = float(value)
    dimensions = {
        dimension.slug: value
        for dimension, value in zip(DIMENSIONS, values[len(CATEGORIES) :], strict=True)
        if value is not None
    }
    return Scores(values[: len(CATEGORIES)], dimensions)


def _dimension_value(value: object, key: str, dimension: Dimension, bounded: bool) -> float:
    number = _number(value, key)
    low, high = dimension.low, dimension.high
    if bounded and not low <= number <= high:
        said = f"{shown(key)} is {shown(value)}"
        raise EmoNetFaceError(f"{said}: {dimension.name} must lie in {low}..{high}")
    return number
