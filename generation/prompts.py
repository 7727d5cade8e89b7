"""Balanced prompts: the n-th prompt of a seed, its text, and the way back from a text.

Every prompt names one emotion by some of its words, an intensity and three demographic parameters.
The strings and the number of demographic cells (14 x 7 x 3) are those of the released descriptive
statistics notebook; the sentences are our own, built like the published ones: a photo style, who is
shown, an intensity word before the emotion words, and sometimes a second sentence repeating them.

>>> record = prompt_record(0)
>>> record == prompt_record(0), parse_prompt(record.text)["emotion"] == record.emotion
(True, True)
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from emonet_face.errors import EmoNetFaceError
from emonet_face.taxonomy import EMOTIONS, SHARED_WORDS, category

ETHNICITIES: tuple[str, ...] = (
    "American Indian or Alaska Native",
    "white caucasian north american",
    "white caucasian european",
    "White",
    "Middle Eastern",
    "North African",
    "arabic",
    "Asian",
    "South Asian",
    "Southeast Asian",
    "Indian",
    "Hispanic or Latino",
    "Native Hawaiian or Other Pacific Islander",
    "Black or African American",
)
"""The 14 published strings. They overlap (three say White, three name the Middle East or North
Africa): "balanced" means balanced over these strings, not over any merge of them."""

AGES: tuple[int, ...] = (20, 30, 40, 50, 60, 70, 80)
"""Years."""

GENDERS: tuple[str, ...] = ("man", "woman", "non-binary person")

N_CELLS = len(EMOTIONS) * len(ETHNICITIES) * len(AGES) * len(GENDERS)
"""11,760: emotion x ethnicity x age x gender."""

INTENSITIES: tuple[str, ...] = ("subtle", "mild", "strong")
"""Intensity words, weakest first."""

STYLES: tuple[str, ...] = (
    "A realistic close-up photograph",
    "A sharp studio portrait",
    "A natural-light head shot",
)
_MAX_WORDS = 3


@dataclass(frozen=True)
class PromptRecord:
    """One prompt and everything it was made of.

    Attributes:
        index: n, counted from 0.
        emotion: category name, as in `taxonomy.EMOTIONS`.
        words: 1 to 3 released words of that category; no other category holds all of them.
        intensity: one of INTENSITIES.
        ethnicity, age, gender: what is asked for, never what a picture shows.
        text: the prompt.
    """

    index: int
    emotion: str
    words: tuple[str, ...]
    intensity: str
    ethnicity: str
    age: int
    gender: str
    text: str


def prompt_record(n: int, seed: int = 0) -> PromptRecord:
    """The n-th prompt of a seed: always the same, whatever else was asked for before.

    Balance: among the first k prompts, any k, the counts of the 40 emotions differ by at most 1,
    and so do those of the 14 ethnicities, the 7 ages and the 3 genders. Any 11,760 prompts in a row
    hold every combination exactly once. The seed shuffles the values of each factor; words,
    intensity and style are drawn freely.

    Args:
        n: position, from 0; it may exceed 11,760 (the combinations come round again, with other
            words).
        seed: 0 or more.

    Raises:
        EmoNetFaceError: n or seed is negative.
    """
    for name, value in (("prompt number", n), ("seed", seed)):
        if value < 0:
            raise EmoNetFaceError(f"{name} is {value}: must be 0 or more")
    emotion, ethnicity, age, gender = _cell(n, seed)
    draw = random.Random(f"emonet-face prompt {seed} {n}")
    words = _draw_words(emotion, draw)
    intensity = draw.choice(INTENSITIES)
    text = _sentence(draw.choice(STYLES), ethnicity, gender, age, f"{intensity} {', '.join(words)}")
    if draw.random() < 0.5:
        text += _repetition(words)
    return PromptRecord(n, emotion, words, intensity, ethnicity, age, gender, text)


def _cell(n: int, seed: int) -> tuple[str, str, int, str]:
    """The n-th combination.

    Each factor runs through all its values before it repeats one, hence the even margins. Plain
    running would tie the factors to each other (14 and 7 share 7, 40 and 14 share 2), so ethnicity
    jumps half its cycle after every 56 prompts and age moves on by one after every 14: whole
    cycles, which leaves the margins even. With these two steps the sequence passes every
    combination once in 11,760 prompts.
    """
    emotions, ethnicities, ages, genders = _orders(seed)
    return (
        emotions[n % 40],
        ethnicities[(n + 7 * (n // 56)) % 14],
        ages[(n + n // 14) % 7],
        genders[n % 3],
    )


@lru_cache(maxsize=16)
def _orders(seed: int) -> tuple[Sequence[str], Sequence[str], Sequence[int], Sequence[str]]:
    """The values of the four factors in the order that a seed gives them."""
    draw = random.Random(f"emonet-face prompt factors {seed}")
    emotions, ethnicities = draw.sample(EMOTIONS, 40), draw.sample(ETHNICITIES, 14)
    return emotions, ethnicities, draw.sample(AGES, 7), draw.sample(GENDERS, 3)


def _draw_words(emotion: str, draw: random.Random) -> tuple[str, ...]:
    """Some words of a category, in released order, at least one of them its own alone."""
    words = category(emotion).words
    own = draw.choice([word for word in words if word.casefold() not in SHARED_WORDS])
    others = [word for word in words if word != own]
    chosen = {own, *draw.sample(others, min(len(others), draw.randrange(_MAX_WORDS)))}
    return tuple(word for word in words if word in chosen)


def _sentence(style: str, ethnicity: str, gender: str, age: int, feeling: str) -> str:
    article = "an" if ethnicity[0] in "AEIOaeio" else "a"
    return f"{style} of {article} {ethnicity} {gender}, {age} years of age, showing {feeling}."


def _repetition(words: tuple[str, ...]) -> str:
    return f" The whole face expresses {', '.join(words)}."


def _one_of(values: tuple[object, ...]) -> str:
    return "|".join(re.escape(str(value)) for value in values)


_PROMPT = re.compile(
    rf"(?P<style>{_one_of(STYLES)}) of an? (?P<ethnicity>{_one_of(ETHNICITIES)})"
    rf" (?P<gender>{_one_of(GENDERS)}), (?P<age>{_one_of(AGES)}) years of age,"
    rf" showing (?P<intensity>{_one_of(INTENSITIES)}) (?P<words>[^.]+)\."
    r"( The whole face expresses (?P=words)\.)?"
)


def parse_prompt(text: str) -> dict[str, object] | None:
    """What a prompt of ours asks for.

    Returns:
        "style", "intensity", "ethnicity", "gender" (str), "age" (int), "words" (tuple of str) and
        "emotion" (category name), or None for a text that is not of this form: other people's
        prompts, unknown words, or words that no single category or more than one holds.
    """
    match = _PROMPT.fullmatch(text)
    if match is None:
        return None
    words = tuple(match["words"].split(", "))
    holders = [name for name in EMOTIONS if set(words) <= set(category(name).words)]
    if len(holders) != 1:
        return None
    return {
        "style": match["style"],
        "emotion": holders[0],
        "words": words,
        "intensity": match["intensity"],
        "ethnicity": match["ethnicity"],
        "age": int(match["age"]),
        "gender": match["gender"],
    }
