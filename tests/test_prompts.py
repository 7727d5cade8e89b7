"""Prompts: balanced in every prefix, the same for a seed, and readable back from their text.

pytest tests/test_prompts.py
"""

from __future__ import annotations

import doctest
from collections import Counter
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emonet_face.errors import EmoNetFaceError
from emonet_face.taxonomy import EMOTIONS, SHARED_WORDS, category
from generation import prompts
from generation.prompts import (
    AGES,
    ETHNICITIES,
    GENDERS,
    INTENSITIES,
    N_CELLS,
    STYLES,
    parse_prompt,
    prompt_record,
)

FACTORS = {"emotion": EMOTIONS, "ethnicity": ETHNICITIES, "age": AGES, "gender": GENDERS}
numbers = st.integers(0, 10**7)
seeds = st.integers(0, 2**31)


def test_the_published_cells():
    # 14 x 7 x 3 = 294 demographic cells, times 40 emotions.
    assert (len(set(ETHNICITIES)), len(set(AGES)), len(set(GENDERS))) == (14, 7, 3)
    assert N_CELLS == 11_760


@pytest.mark.parametrize("seed", [0, 5])
def test_every_prefix_has_even_margins(seed):
    counts = {name: Counter(dict.fromkeys(values, 0)) for name, values in FACTORS.items()}
    for n in range(1000):
        record = prompt_record(n, seed)
        for name, counter in counts.items():
            counter[getattr(record, name)] += 1
            assert max(counter.values()) - min(counter.values()) <= 1, (name, n)


@pytest.mark.parametrize("start", [0, 4321])
def test_any_11760_in_a_row_hold_every_combination_once(start):
    cells = Counter(
        (r.emotion, r.ethnicity, r.age, r.gender)
        for r in (prompt_record(n, seed=1) for n in range(start, start + N_CELLS))
    )
    assert set(cells) == set(product(*FACTORS.values()))
    assert set(cells.values()) == {1}


def test_factors_are_not_tied_to_each_other_in_a_small_run():
    """14 and 7 share a divisor: running both plainly would give each ethnicity one single age."""
    records = [prompt_record(n) for n in range(294)]
    ages_of = {name: {r.age for r in records if r.ethnicity == name} for name in ETHNICITIES}
    assert min(len(ages) for ages in ages_of.values()) == 7
    genders_of = {name: {r.gender for r in records if r.ethnicity == name} for name in ETHNICITIES}
    assert min(len(genders) for genders in genders_of.values()) == 3


@given(numbers, seeds)
def test_parse_is_the_inverse(n, seed):
    record = prompt_record(n, seed)
    parsed = parse_prompt(record.text)
    assert parsed is not None
    assert parsed.pop("style") in STYLES
    assert parsed == {
        name: getattr(record, name)
        for name in ("emotion", "words", "intensity", "ethnicity", "age", "gender")
    }


@given(numbers, seeds)
def test_a_record_is_pure_and_well_formed(n, seed):
    record = prompt_record(n, seed)
    assert record == prompt_record(n, seed)
    assert record.index == n
    assert 1 <= len(record.words) <= 3
    assert set(record.words) <= set(category(record.emotion).words)
    assert any(word.casefold() not in SHARED_WORDS for word in record.words)
    assert record.intensity in INTENSITIES


def test_the_seed_changes_the_order():
    assert prompt_record(0, seed=0) != prompt_record(0, seed=1)


@given(st.text())
def test_other_texts_are_not_parsed(text):
    assert parse_prompt(text) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("years of age", "years"),
        lambda text: text + " No wrinkles",
        lambda text: text.replace("showing ", "showing very "),
        lambda text: text.replace(text[: text.index(" of ")], "A sketch"),
    ],
)
def test_a_changed_prompt_is_not_parsed(change):
    assert parse_prompt(change(prompt_record(3).text)) is None


def test_words_of_two_categories_or_of_none_are_not_parsed():
    def text(words):
        return f"A sharp studio portrait of a White man, 30 years of age, showing mild {words}."

    assert parse_prompt(text("joy"))["emotion"] == "Elation"
    assert parse_prompt(text("laughter")) is None  # under Amusement and under Elation
    assert parse_prompt(text("joy, rage")) is None
    assert parse_prompt(text("hunger")) is None
    assert parse_prompt(text("joy") + " The whole face expresses rage.") is None


@pytest.mark.parametrize(("n", "seed"), [(-1, 0), (0, -1)])
def test_negative_arguments(n, seed):
    with pytest.raises(EmoNetFaceError, match="is -1: must be 0 or more"):
        prompt_record(n, seed)


def test_docstring_examples():
    results = doctest.testmod(prompts)
    assert results.attempted
    assert not results.failed
