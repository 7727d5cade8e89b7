"""What an image was asked to show, told from its prompt where that follows a known template.

The templates are those of the published sets and of `emonet-face generate`. Of the Binary set the
template is known whole; of HQ, whose templates vary, only the openings and the clause about the
person that follows them. Any other text stays free text.

>>> parse_prompt(
...     "a focused close-up photo of a Asian woman of 40 years with soft smooth skin who seems to"
...     " genuinely experience worry, anxiety. Strong facial expression of worry, anxiety."
...     " No wrinkles"
... )
Prompted(emotion='Distress', ethnicity='Asian', age=40, gender='woman')
>>> parse_prompt("a portrait of somebody") is None
True
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dataset_scripts.prompt_records import MAX_AGE
from emonet_face.demographics import ETHNICITIES, GENDERS
from emonet_face.taxonomy import CATEGORIES, INDEX

OPENINGS: tuple[str, ...] = (
    "a focused close-up photo",  # all of Binary, some of HQ
    "an authentic, realistic closeup image",  # HQ
    "a closeup sharp, focused photo",  # HQ
    "very realistic high quality portrait DSLR photo",  # HQ; known samples break off in "phot"
    "a realistic close-up photograph",  # this and the next two: `emonet-face generate`
    "a sharp studio portrait",
    "a natural-light head shot",
)

_PERSON = rf"(?P<ethnicity>[^.]+?) (?P<gender>{'|'.join(GENDERS)})"
_FORMS = tuple(
    re.compile(rf"({'|'.join(map(re.escape, OPENINGS))}) of an? {_PERSON}{rest}", re.I | re.S)
    for rest in (
        r" of (?P<age>\d{1,3}) years( with soft smooth skin)? who seems to (genuinely )?experience"
        r" (?P<words>[^.]+)(?P<more>\..*)?",
        r", (?P<age>\d{1,3}) years of age, showing (?P<words>[^.]+)(?P<more>\..*)?",
    )
)
_AGAIN = re.compile(r"(?:facial expression of|the whole face expresses) ([^.]+)", re.I)
_INTENSITY = re.compile(r"^((genuine|subtle|mild|strong)\s+)+", re.I)
_BETWEEN_WORDS = re.compile(r",\s*and\s|,|\sand\s", re.I)
_HOLDERS: dict[str, list[str]] = {}
for _entry in CATEGORIES:
    for _word in _entry.words:
        _HOLDERS.setdefault(_word.casefold(), []).append(_entry.name)


@dataclass(frozen=True)
class Prompted:
    """What a prompt of a known template asks for; None for a part that cannot be told.

    Attributes:
        emotion: category name.
        ethnicity: one of ETHNICITIES.
        age: years, up to MAX_AGE.
        gender: one of GENDERS.
    """

    emotion: str | None
    ethnicity: str | None
    age: int | None
    gender: str


def parse_prompt(text: str) -> Prompted | None:
    """The emotion and the demographic parameters that a prompt names, whatever its case.

    Where a second sentence repeats the emotion's words, it must name the same category.

    Args:
        text: a whole prompt.

    Returns:
        None for a text of no known template.
    """
    match = next(filter(None, (form.fullmatch(text.strip()) for form in _FORMS)), None)
    if match is None:
        return None
    lists = [match["words"], *_AGAIN.findall(match["more"] or "")]
    named = {emotion_of(_split(words)) for words in lists}
    age = int(match["age"])
    return Prompted(
        emotion=named.pop() if len(named) == 1 else None,
        ethnicity=_as_published(match["ethnicity"], ETHNICITIES),
        age=age if age <= MAX_AGE else None,
        gender=match["gender"].lower(),
    )


def _split(words: str) -> list[str]:
    bare = _INTENSITY.sub("", words.strip(), count=1)
    return [word.strip() for word in _BETWEEN_WORDS.split(bare) if word.strip()]


def _as_published(text: str, known: Iterable[str]) -> str | None:
    return next((name for name in known if name.casefold() == text.strip().casefold()), None)


def emotion_of(words: Iterable[str]) -> str | None:
    """The category that a list of emotion words stands for, told from the list as a whole.

    Categories share words, and published lists add, drop and respell some. So it is the category
    that holds most of the words, if these are more than half of the list and no other category
    holds as many.

    Args:
        words: in any case and order; repetitions do not count.

    Returns:
        The category name; None where the list fits none or several.

    >>> emotion_of(["Craving", "desire", "Envy"]), emotion_of(["laughter"])
    ('Longing', None)
    """
    given = {word.casefold() for word in words}
    held = Counter(name for word in given for name in _HOLDERS.get(word, ()))
    best = max(held, key=held.__getitem__, default=None)
    if best is None or 2 * held[best] <= len(given):
        return None
    return best if list(held.values()).count(held[best]) == 1 else None


def fill_from_prompt(columns: dict[str, Any], counts: Counter[str]) -> None:
    """Fill the empty `prompted_*` columns of a face from its prompt; what was given stays.

    Args:
        columns: `prompt` and the four `prompted_*` columns, emotion as its index; changed in place.
        counts: counts prompts that filled a column, contradicted one, told no emotion or followed
            no known template.
    """
    if columns["prompt"] is None:
        return
    told = parse_prompt(columns["prompt"])
    if told is None:
        counts["prompts of no known template, kept as free text"] += 1
        return
    if told.emotion is None:
        counts["prompts whose words fit no single category"] += 1
    if told.ethnicity is None:
        counts["prompts with an ethnicity of another spelling, not told"] += 1
    values = {
        "prompted_emotion": None if told.emotion is None else INDEX[told.emotion],
        "prompted_ethnicity": told.ethnicity,
        "prompted_age": told.age,
        "prompted_gender": told.gender,
    }
    for column, value in values.items():
        if value is None:
            continue
        if columns[column] is None:
            columns[column] = value
            counts[f"values of {column} told from the prompt"] += 1
        elif not _same(columns[column], value):
            counts[f"values of {column} that contradict the prompt, kept as given"] += 1


def _same(given: str | int, told: str | int) -> bool:
    if isinstance(given, str) and isinstance(told, str):
        # "non-binary" is the published analyses' short form of "non-binary person".
        return given.casefold().removesuffix(" person") == told.casefold().removesuffix(" person")
    return given == told
