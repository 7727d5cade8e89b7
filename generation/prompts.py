"""Balanced prompts: the n-th prompt of a seed, its text, and the way back from a text.

Every prompt names one emotion by some of its words, an intensity, a photo style and three
demographic parameters. The strings and the number of demographic cells (14 x 7 x 3) are those of
the released descriptive statistics notebook; the sentences are our own, built like the published
ones: a photo style, who is shown, an intensity word before the emotion words, and sometimes a
second sentence repeating them.

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

from emonet_face.demographics import ETHNICITIES, GENDERS
from emonet_face.errors import EmoNetFaceError
from emonet_face.taxonomy import EMOTIONS, SHARED_WORDS, category

AGES: tuple[int, ...] = (20, 30, 40, 50, 60, 70, 80)
"""Years."""

N_CELLS = len(EMOTIONS) * len(ETHNICITIES) * len(AGES) * len(GENDERS)
"""11,760: emotion x ethnicity x age x gender."""

INTENSITIES: tuple[str, ...] = ("subtle", "mild", "strong")
"""Intensity words, weakest first."""

STYLES: tuple[str, ...] = (
    "A realistic close-up photograph",
    "A sharp studio portrait",
    "A natural-light head shot",
)

TEMPLATES: dict[str, str] = {
    "showing": (
        "{style} of {article} {ethnicity} {gender}, {age} years of age, showing {intensity}"
        " {words}."
    ),
    "moment": (
        "{style} of {article} {ethnicity} {gender} aged {age} in a moment of {intensity} {words}."
    ),
    "gripped": (
        "{style}: {article} {ethnicity} {gender}, age {age}, is gripped by {intensity} {words}."
    ),
}
"""Name -> first sentence. Without balance over templates every prompt is of the first."""

_REPETITION = " The whole face expresses {words}."

FREE_FACTORS: tuple[str, ...] = ("intensity", "style", "template")
"""What may be balanced besides emotion, ethnicity, age and gender, which always are."""

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
        style: one of STYLES.
        template: a name in TEMPLATES.
        repeated: whether a second sentence repeats the words.
    """

    index: int
    emotion: str
    words: tuple[str, ...]
    intensity: str
    ethnicity: str
    age: int
    gender: str
    text: str
    style: str
    template: str
    repeated: bool


def prompt_record(n: int, seed: int = 0, balance: Sequence[str] = ()) -> PromptRecord:
    """The n-th prompt of a seed: always the same, whatever else was asked for before.

    Balance: among the first k prompts, any k, the counts of the 40 emotions differ by at most 1,
    and so do those of the 14 ethnicities, the 7 ages, the 3 genders and of each factor named in
    `balance`. Any 11,760 prompts in a row hold every combination of the four exactly once; with all
    three free factors any 317,520 in a row hold every combination of the seven once. The seed
    shuffles the values of each factor; words, the second sentence and the free factors that are not
    named are drawn (without "template", every prompt is of the first).

    Args:
        n: position, from 0; it may exceed the number of combinations (they come round again, with
            other words).
        seed: 0 or more.
        balance: some of FREE_FACTORS.

    Raises:
        EmoNetFaceError: n or seed is negative, or an unknown factor.
    """
    for name, value in (("prompt number", n), ("seed", seed)):
        if value < 0:
            raise EmoNetFaceError(f"{name} is {value}: must be 0 or more")
    check_balance_factors(balance)
    emotion, ethnicity, age, gender = _cell(n, seed)
    draw = random.Random(f"emonet-face prompt {seed} {n}")
    words = _draw_words(emotion, draw)
    free = {"intensity": draw.choice(INTENSITIES), "style": draw.choice(STYLES)}
    free["template"] = next(iter(TEMPLATES))
    repeated = draw.random() < 0.5
    even = _free_values(n, seed)
    free |= {name: even[name] for name in balance}
    parts = {"words": words, "ethnicity": ethnicity, "age": age, "gender": gender}
    parts |= {"repeated": repeated} | free
    return PromptRecord(index=n, emotion=emotion, text=write_prompt(**parts), **parts)


def check_balance_factors(balance: Sequence[str]) -> None:
    """Raise EmoNetFaceError where a factor cannot be balanced besides the four, or stands twice."""
    for name in balance:
        if name not in FREE_FACTORS:
            raise EmoNetFaceError(
                f"no factor {name!r} to balance; allowed: {', '.join(FREE_FACTORS)} (emotion,"
                " ethnicity, age and gender always are)"
            )
    if len(set(balance)) < len(balance):
        raise EmoNetFaceError(f"balance names a factor twice: {', '.join(balance)}")


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


def _free_values(n: int, seed: int) -> dict[str, str]:
    """The n-th value of each free factor, where it is balanced.

    Gender runs with n % 3. These three have 3 values each as well, so each is shifted by other
    base-3 digits of n: whole cycles again, and any 81 prompts in a row hold every combination of
    gender and the three once. 81 and the 3,920 prompts after which emotion, ethnicity and age come
    round have no common divisor, so the seven factors meet evenly too.
    """
    intensities, styles, templates = _free_orders(seed)
    digit1, digit2, digit3 = n // 3, n // 9, n // 27
    return {
        "intensity": intensities[(n + digit1) % 3],
        "style": styles[(n + 2 * digit1 + digit2) % 3],
        "template": templates[(n + digit2 + digit3) % 3],
    }


@lru_cache(maxsize=16)
def _free_orders(seed: int) -> tuple[Sequence[str], Sequence[str], Sequence[str]]:
    draw = random.Random(f"emonet-face free factors {seed}")
    return draw.sample(INTENSITIES, 3), draw.sample(STYLES, 3), draw.sample(sorted(TEMPLATES), 3)


def _draw_words(emotion: str, draw: random.Random) -> tuple[str, ...]:
    """Some words of a category, in released order, at least one of them its own alone."""
    words = category(emotion).words
    own = draw.choice([word for word in words if word.casefold() not in SHARED_WORDS])
    others = [word for word in words if word != own]
    chosen = {own, *draw.sample(others, min(len(others), draw.randrange(_MAX_WORDS)))}
    return tuple(word for word in words if word in chosen)


def write_prompt(
    *,
    template: str,
    style: str,
    ethnicity: str,
    gender: str,
    age: int,
    intensity: str,
    words: Sequence[str],
    repeated: bool,
) -> str:
    """The text of a prompt; `parse_prompt` gives the arguments back, and the emotion with them.

    >>> write_prompt(template="moment", style="A sharp studio portrait", ethnicity="Asian",
    ...     gender="woman", age=40, intensity="mild", words=["awe", "wonder"], repeated=False)
    'A sharp studio portrait of an Asian woman aged 40 in a moment of mild awe, wonder.'
    """
    listed = ", ".join(words)
    text = TEMPLATES[template].format(
        style=style,
        article="an" if ethnicity[0] in "AEIOaeio" else "a",
        ethnicity=ethnicity,
        gender=gender,
        age=age,
        intensity=intensity,
        words=listed,
    )
    return text + _REPETITION.format(words=listed) * repeated


def _one_of(values: tuple[object, ...]) -> str:
    return "|".join(re.escape(str(value)) for value in values)


def _pattern(template: str) -> re.Pattern[str]:
    """What a text of a template looks like, with a group for each part."""
    parts = {"style": STYLES, "ethnicity": ETHNICITIES, "gender": GENDERS, "age": AGES}
    groups = {name: f"(?P<{name}>{_one_of(values)})" for name, values in parts.items()}
    groups |= {"intensity": f"(?P<intensity>{_one_of(INTENSITIES)})", "article": "an?"}
    first = re.escape(template).replace(r"\{", "{").replace(r"\}", "}")
    second = re.escape(_REPETITION).replace(r"\{words\}", "(?P=words)")
    return re.compile(first.format(words="(?P<words>[^.]+)", **groups) + f"(?P<repeated>{second})?")


_PATTERNS = {name: _pattern(template) for name, template in TEMPLATES.items()}


def parse_prompt(text: str) -> dict[str, object] | None:
    """What a prompt of ours asks for: the inverse of `write_prompt`.

    Returns:
        "template", "style", "intensity", "ethnicity", "gender" (str), "age" (int), "words" (tuple
        of str), "repeated" (bool) and "emotion" (category name), or None for a text that is not of
        this form: other people's prompts, unknown words, or words that no single category or more
        than one holds.
    """
    matches = ((name, pattern.fullmatch(text)) for name, pattern in _PATTERNS.items())
    template, match = next((found for found in matches if found[1]), ("", None))
    if match is None:
        return None
    words = tuple(match["words"].split(", "))
    holders = [name for name in EMOTIONS if set(words) <= set(category(name).words)]
    if len(holders) != 1:
        return None
    return {
        "template": template,
        "style": match["style"],
        "emotion": holders[0],
        "words": words,
        "intensity": match["intensity"],
        "ethnicity": match["ethnicity"],
        "age": int(match["age"]),
        "gender": match["gender"],
        "repeated": match["repeated"] is not None,
    }
