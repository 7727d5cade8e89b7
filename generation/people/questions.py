"""What people are asked, and when a question is open: the rules of both tasks.

Sliders: each of some people rates all 40 categories of an image once. Votes: the emotion that the
image was prompted for (target) is asked of one person; after a Yes a second person is asked, after
two a third; the first No ends it. Its opposite (contrast, `taxonomy.OPPOSITE`) is asked of one
person. That is the cascade that the published `binary.csv` shows in its counts.

>>> room(Kind.TARGET, [True], 4), room(Kind.TARGET, [True, False], 4)
(1, 0)
>>> room(Kind.RATING, [(0,) * 40], 4), room(Kind.CONTRAST, [False], 4)
(3, 0)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from emonet_face.errors import EmoNetFaceError, shown
from emonet_face.ratings import check_rating
from emonet_face.taxonomy import EMOTIONS, N_EMOTIONS, OPPOSITE, RATING_MAX, RATING_MIN


class Task(StrEnum):
    """What a store is for."""

    SLIDERS = "sliders"
    VOTES = "votes"


class Kind(StrEnum):
    """A kind of question about one image."""

    RATING = "rating"
    TARGET = "target"
    CONTRAST = "contrast"


KINDS: dict[Task, tuple[Kind, ...]] = {
    Task.SLIDERS: (Kind.RATING,),
    Task.VOTES: (Kind.TARGET, Kind.CONTRAST),
}

VOTES_ON_TARGET = 3
"""How many people say Yes to the target at most."""

Value = tuple[int, ...] | bool
"""40 ratings in canonical order, or whether an emotion is there."""

NAME_RULE = "a letter, then up to 31 letters, digits, '.', '_' or '-'"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,31}")
_SIMULATED = "simulated-"


@dataclass(frozen=True)
class Item:
    """An image that people are asked about.

    Attributes:
        number: from 0, in the order of the source.
        image: file name, as it stands in the tables.
        image_id: its stem.
        sha256: of its bytes.
        target: the prompted emotion; None where the task does not need it.
    """

    number: int
    image: str
    image_id: str
    sha256: str
    target: str | None = None

    def emotion(self, kind: Kind) -> str | None:
        """The emotion that a question of this kind names; None for ratings, which name all."""
        if kind == Kind.RATING or self.target is None:
            return None
        return self.target if kind == Kind.TARGET else OPPOSITE[self.target]


def checked_annotator(name: object) -> str:
    """The name of a person as it may stand in a table that others open in a spreadsheet.

    Raises:
        EmoNetFaceError: empty, too long, other characters than NAME_RULE names (a leading "=" makes
            a formula of a cell), or the name of somebody simulated.
    """
    text = name.strip() if isinstance(name, str) else name
    if not isinstance(text, str) or not _NAME.fullmatch(text):
        raise EmoNetFaceError(f"{shown(text)} cannot be an annotator's name: {NAME_RULE}")
    if text.lower().startswith(_SIMULATED):
        raise EmoNetFaceError(f"{shown(text)}: names of simulated annotators begin like that")
    return text


def checked_value(kind: Kind, value: object) -> Value:
    """An answer as it came from outside.

    Raises:
        EmoNetFaceError: not True or False for a vote; not 40 whole ratings in 0..7 for a rating.
    """
    if kind != Kind.RATING:
        if not isinstance(value, bool):
            raise EmoNetFaceError(f"{shown(value)} is no vote: must be true or false")
        return value
    if not isinstance(value, list | tuple) or len(value) != N_EMOTIONS:
        raise EmoNetFaceError(f"{shown(value)} is no rating: must be a list of {N_EMOTIONS}")
    for name, number in zip(EMOTIONS, value, strict=True):
        if not check_rating(number, name).is_integer():
            allowed = f"a whole number in {RATING_MIN}..{RATING_MAX}"
            raise EmoNetFaceError(f"{name!r} is {shown(number)}: must be {allowed}")
    return tuple(int(number) for number in value)


def room(kind: Kind, values: Sequence[Value], raters: int) -> int:
    """How many more people may be asked a question at this moment, those being asked included.

    Args:
        kind: of the question.
        values: the answers so far, in the order in which they were first given.
        raters: how many people rate an image with sliders.
    """
    if kind == Kind.RATING:
        return max(raters - len(values), 0)
    if kind == Kind.CONTRAST:
        return 1 - bool(values)
    return int(all(values) and len(values) < VOTES_ON_TARGET)


def may_become(kind: Kind, values: Sequence[Value], place: int, new: Value, asked: int) -> bool:
    """Whether an answer may be corrected.

    A Yes on the target stands as soon as somebody has been asked because of it: a No in its place
    would make votes that no cascade gives.

    Args:
        kind, values: as for `room`.
        place: of the answer among `values`.
        new: what it is to become.
        asked: how many people are being asked the question now.
    """
    if kind != Kind.TARGET:
        return True
    changed = [*values[:place], new, *values[place + 1 :]]
    followed = len(values) if asked else len(values) - 1
    return all(changed[:followed])
