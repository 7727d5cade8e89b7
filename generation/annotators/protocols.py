"""What a machine annotator is asked, and what counts as an answer: three rating protocols.

- multi-shot: 40 categories and 4 dimensions, each with a rating and a reason, at most five
  categories above 0, five worked examples. The structure of the released multi-shot prompt.
- zero-shot: any number of categories with a rating each; what is not named is 0.
- zero-shot-25: the form that the published zero-shot baselines were asked in, kept for comparison:
  a fixed list of 25 keys, none of them 0. The other 15 categories cannot be answered and stay
  without a value, so its results measure this form as much as the model.

The wording is ours. `VERSION` is part of every key of a stored result: change a prompt, raise it.
The readout, which asks for no rating, is in `readout_questions`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

from emonet_face.taxonomy import CATEGORIES, DIMENSIONS, EMOTIONS, INDEX, RATING_MAX, RATING_MIN
from generation.annotators.worked_examples import EXAMPLES

VERSION = "1"
MAX_NON_ZERO = 5
"""Most categories above 0 in the multi-shot protocol."""

PUBLISHED_25: tuple[str, ...] = (
    "Triumph",
    "Interest",
    "Awe",
    "Astonishment/Surprise",
    "Contemplation",
    "Pride",
    "Anger",
    "Fear",
    "Contentment",
    "Malevolence/Malice",
    "Disgust",
    "Impatience and Irritability",
    "Distress",
    "Sadness",
    "Bitterness",
    "Contempt",
    "Disappointment",
    "Shame",
    "Emotional Numbness",
    "Doubt",
    "Jealousy & Envy",
    "Confusion",
    "Concentration",
    "Fatigue/Exhaustion",
    "Intoxication/Altered States of Consciousness",
)
"""The categories of the released zero-shot prompt's example, in its order."""


@dataclass(frozen=True)
class Protocol:
    """A way to ask for ratings.

    Attributes:
        name: as on the command line.
        suffix: what an annotator's name ends in by default, as in the published tables.
        prompt: makes the text that stands beside the image.
        schema: makes the JSON schema of the answer, for endpoints that offer structured output;
            None where the published form had none.
        max_tokens: longest reply.
        pinned: whether temperature 0 and the seed are sent; the published form sent neither.
        needed: categories that an answer must have.
        absent: what a category that is not named counts as; other than the needed ones.
        max_non_zero: most categories above 0, None for any number.
        zero_allowed: whether 0 is a rating.
        dimensions: whether the 4 extra dimensions must be answered.
    """

    name: str
    suffix: str
    prompt: Callable[[], str]
    schema: Callable[[], dict[str, object]] | None
    max_tokens: int
    pinned: bool
    needed: tuple[str, ...]
    absent: Literal["zero", "null"]
    max_non_zero: int | None
    zero_allowed: bool
    dimensions: bool

    def sampling(self, seed: int) -> dict[str, object]:
        """What is sent beside model and messages."""
        pinned = {"temperature": 0, "seed": seed} if self.pinned else {}
        return {**pinned, "max_tokens": self.max_tokens}


def _scale() -> str:
    return (
        f"{RATING_MIN} means absent, 1 weak, {RATING_MAX} very strong; only whole numbers from"
        f" {RATING_MIN} to {RATING_MAX} are allowed."
    )


def _category_list(names: tuple[str, ...] = EMOTIONS) -> str:
    return "\n".join(f"- {name}: {', '.join(CATEGORIES[INDEX[name]].words)}" for name in names)


def _dimension_list() -> str:
    return "\n".join(
        f"- {d.name}, {d.low} to {d.high}: "
        + "; ".join(f"{step} {text}" for step, text in enumerate(d.anchors, start=d.low))
        for d in DIMENSIONS
    )


_INTRODUCTION = (
    "The picture shows one artificial face; no real person is in it. Judge only what the face"
    " expresses. There is no right or wrong answer: follow your first impression."
)


@cache
def _multi_shot_prompt() -> str:
    examples = "\n\n".join(
        f"Example {number}. The face in words: {example.face}\nThe answer:\n"
        + json.dumps(example.answer(), ensure_ascii=False)
        for number, example in enumerate(EXAMPLES, start=1)
    )
    return f"""{_INTRODUCTION}

Rate all 40 categories. {_scale()} At most {MAX_NON_ZERO} of them may be above 0: keep those that
the face shows most clearly and give all others 0. The words behind each category belong to it.

{_category_list()}

Rate these 4 dimensions besides; they do not count among the {MAX_NON_ZERO}. Whole steps only.

{_dimension_list()}

For each of the 44 give a rating and a reason of a few words that names what you see in the face.
Answer with one JSON object of exactly the form of these examples and with nothing else.

{examples}

Now the face in the picture."""


@cache
def _zero_shot_prompt() -> str:
    form = {"emotions": [{"category": "<category>", "score": 0}]}
    return f"""{_INTRODUCTION}

Name every category that the face expresses, each with a rating of how strongly. {_scale()}
A category that you leave out counts as {RATING_MIN}. Use the names before the colon as they stand;
the words behind each belong to it.

{_category_list()}

Answer with one JSON object of this form and with nothing else:
{json.dumps(form)}"""


@cache
def _zero_shot_25_prompt() -> str:
    form = {CATEGORIES[INDEX[name]].key: "<1 to 7>" for name in PUBLISHED_25}
    return f"""{_INTRODUCTION}

Rate how strongly the face expresses each emotion. {_scale()}

{_category_list()}

Answer with one JSON object and with nothing else. Use all {len(PUBLISHED_25)} keys of this form,
give none of them 0, and put a whole number in place of each value:
{json.dumps(form, indent=1, ensure_ascii=False)}"""


def _object(properties: dict[str, object]) -> dict[str, object]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _whole(low: int, high: int) -> dict[str, object]:
    return {"type": "integer", "minimum": low, "maximum": high}


@cache
def _multi_shot_schema() -> dict[str, object]:
    def entry(low: int, high: int) -> dict[str, object]:
        return _object({"rating": _whole(low, high), "reasoning": {"type": "string"}})

    return _object(
        {
            "emotions": _object({name: entry(RATING_MIN, RATING_MAX) for name in EMOTIONS}),
            "extra_dimensions": _object({d.name: entry(d.low, d.high) for d in DIMENSIONS}),
        }
    )


@cache
def _zero_shot_schema() -> dict[str, object]:
    category = {"type": "string", "enum": list(EMOTIONS)}
    entry = _object({"category": category, "score": _whole(RATING_MIN, RATING_MAX)})
    return _object({"emotions": {"type": "array", "items": entry}})


PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="multi-shot",
            suffix="MS",
            prompt=_multi_shot_prompt,
            schema=_multi_shot_schema,
            max_tokens=6000,
            pinned=True,
            needed=EMOTIONS,
            absent="null",
            max_non_zero=MAX_NON_ZERO,
            zero_allowed=True,
            dimensions=True,
        ),
        Protocol(
            name="zero-shot",
            suffix="ZS",
            prompt=_zero_shot_prompt,
            schema=_zero_shot_schema,
            max_tokens=2000,
            pinned=True,
            needed=(),
            absent="zero",
            max_non_zero=None,
            zero_allowed=True,
            dimensions=False,
        ),
        Protocol(
            name="zero-shot-25",
            suffix="published 25-key ZS",
            prompt=_zero_shot_25_prompt,
            schema=None,
            max_tokens=1000,
            pinned=False,
            needed=PUBLISHED_25,
            absent="null",
            max_non_zero=None,
            zero_allowed=False,
            dimensions=False,
        ),
    )
}
"""The rating protocols by name."""
