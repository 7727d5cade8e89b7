"""Whether an answer fits its protocol: ratings with reasons and warnings, or why it is refused.

Keys may have any spelling of the core, ratings may be bare or stand in an entry with a reason.
A warning is for what can be read in one way only though it was asked for otherwise; whatever
would need a guess is refused.

>>> from generation.annotators.protocols import PROTOCOLS
>>> accept({"emotions": [{"category": "Anger", "score": "3"}]}, PROTOCOLS["zero-shot"]).warnings
('1 ratings are text that holds a number',)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from emonet_face.errors import EmoNetFaceError
from emonet_face.ratings import Scores, is_alias, parse_scores, resolve, resolve_dimension
from emonet_face.taxonomy import DIMENSIONS, EMOTIONS, INDEX
from generation.annotators.protocols import Protocol
from generation.annotators.reply_reader import Answer

_EMOTION_BOXES = ("emotions", "scores", "ratings", "value")
_DIMENSION_BOXES = ("extra_dimensions", "dimensions")
_PASSED_OVER = ("key",)
"""What stands beside the ratings in the published collection of replies."""
_NAME_KEYS = ("category", "emotion", "name")
_RATING_KEYS = ("rating", "score", "value", "intensity")
_REASON_KEYS = ("reasoning", "reason", "explanation", "justification")
_DIMENSION_KEYS = {key for d in DIMENSIONS for key in (d.name, d.key, d.slug)}
_NUMBER_TEXT = re.compile(r"\s*[+-]?[0-9]{1,3}(\.[0-9]{1,6})?\s*", re.ASCII)


@dataclass(frozen=True)
class Accepted:
    """An answer that fits.

    Attributes:
        scores: 40 values, None where the protocol does not ask; dimensions if given.
        reasons: category name or dimension slug -> the reason given for it.
        warnings: what was not as asked for.
    """

    scores: Scores
    reasons: dict[str, str]
    warnings: tuple[str, ...]


@dataclass
class _Found:
    """Ratings as they are being collected from an answer."""

    ratings: dict[str, object] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    aliases: list[str] = field(default_factory=list)
    as_text: int = 0


def accept(answer: Answer, protocol: Protocol) -> Accepted:
    """Check an answer against a protocol.

    Args:
        answer: from `reply_reader.read_answer`.
        protocol: what was asked.

    Raises:
        EmoNetFaceError: the reason why it is refused: an unknown or repeated key, a missing
            category, a rating that is no number or out of range, too many above 0.
    """
    found = _Found()
    for box in _boxes(answer):
        _collect(box, found)
    scores = parse_scores(found.ratings, gaps="null")
    _check(scores, protocol)
    warnings = _oddities(scores, found, protocol)
    if protocol.absent == "zero":
        values = [0.0 if value is None else value for value in scores.scores]
        scores = Scores(values, scores.dimensions)
    return Accepted(scores, found.reasons, tuple(warnings))


def _boxes(answer: Answer) -> list[Answer]:
    """The parts of an answer that hold ratings: its named boxes, or else the answer itself."""
    if isinstance(answer, list):
        return [answer]
    boxes = [
        value
        for key, value in answer.items()
        if key in _EMOTION_BOXES + _DIMENSION_BOXES and isinstance(value, dict | list)
    ]
    if not boxes:
        return [answer]
    known = (*_EMOTION_BOXES, *_DIMENSION_BOXES, *_PASSED_OVER)
    odd = next((key for key in answer if key not in known), None)
    if odd is not None:
        raise EmoNetFaceError(f"unknown key {odd!r} beside the ratings")
    return boxes


def _collect(box: Answer, found: _Found) -> None:
    if isinstance(box, list):
        for entry in box:
            if not isinstance(entry, dict):
                raise EmoNetFaceError(f"{str(entry)[:40]!r} is not an entry with a category")
            name_key = _one_of(_NAME_KEYS, entry, "category")
            _add(entry[name_key], {k: v for k, v in entry.items() if k != name_key}, found)
        return
    for key, value in box.items():
        _add(key, value, found)


def _add(key: object, value: object, found: _Found) -> None:
    name = _name_of(key)
    if name in found.ratings:
        raise EmoNetFaceError(f"{key!r} is rated twice")
    if is_alias(str(key)):
        found.aliases.append(str(key))
    if isinstance(value, dict):
        rating_key = _one_of(_RATING_KEYS, value, str(key))
        for other, reason in value.items():
            if other == rating_key:
                continue
            if other not in _REASON_KEYS or not isinstance(reason, str):
                raise EmoNetFaceError(f"unknown key {other!r} in the entry of {key!r}")
            found.reasons[name] = reason
        value = value[rating_key]
    if isinstance(value, str) and _NUMBER_TEXT.fullmatch(value):
        found.as_text += 1
        value = float(value)
    found.ratings[name] = value


def _name_of(key: object) -> str:
    """The category or the slug of the dimension behind a key."""
    if isinstance(key, str) and key.strip() in _DIMENSION_KEYS:
        return resolve_dimension(key)
    return resolve(key)


def _one_of(keys: tuple[str, ...], entry: Mapping[str, object], what: str) -> str:
    present = [key for key in keys if key in entry]
    if len(present) != 1:
        raise EmoNetFaceError(f"the entry of {what!r} needs exactly one of {', '.join(keys)}")
    return present[0]


def _check(scores: Scores, protocol: Protocol) -> None:
    missing = [name for name in protocol.needed if scores.scores[INDEX[name]] is None]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise EmoNetFaceError(f"no rating for {missing[0]!r}{more}")
    given = {
        name: value
        for name, value in zip(EMOTIONS, scores.scores, strict=True)
        if value is not None
    }
    if not given:
        raise EmoNetFaceError("no category is rated")
    extra = [name for name in given if name not in protocol.needed]
    if protocol.needed and extra:
        raise EmoNetFaceError(f"{extra[0]!r} is rated though it was not asked for")
    above = sum(value > 0 for value in given.values())
    if protocol.max_non_zero is not None and above > protocol.max_non_zero:
        raise EmoNetFaceError(
            f"{above} categories are above 0; at most {protocol.max_non_zero} may be"
        )
    zeros = [name for name, value in given.items() if value == 0]
    if zeros and not protocol.zero_allowed:
        raise EmoNetFaceError(f"{zeros[0]!r} is 0, which this form does not allow")
    without = [d.name for d in DIMENSIONS if d.slug not in scores.dimensions]
    if protocol.dimensions and without:
        raise EmoNetFaceError(f"no rating for the dimension {without[0]!r}")


def _oddities(scores: Scores, found: _Found, protocol: Protocol) -> list[str]:
    warnings = [f"{alias} is read as {resolve(alias)}" for alias in found.aliases]
    if found.as_text:
        warnings.append(f"{found.as_text} ratings are text that holds a number")
    values = [value for value in scores.scores if value is not None]
    broken = sum(not value.is_integer() for value in [*values, *scores.dimensions.values()])
    if broken:
        warnings.append(f"{broken} ratings are not whole numbers")
    if scores.dimensions and not protocol.dimensions:
        warnings.append("dimensions are rated though they were not asked for")
    return warnings
