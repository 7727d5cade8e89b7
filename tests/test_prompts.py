"""Prompts: balanced in every prefix, the same for a seed, and readable back from their text.

pytest tests/test_prompts.py
"""

from __future__ import annotations

import doctest
from collections import Counter
from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emonet_face.errors import EmoNetFaceError
from emonet_face.taxonomy import EMOTIONS, SHARED_WORDS, category
from generation import prompts
from generation.prompts import (
    AGES,
    ETHNICITIES,
    FREE_FACTORS,
    GENDERS,
    INTENSITIES,
    N_CELLS,
    STYLES,
    TEMPLATES,
    parse_prompt,
    prompt_record,
    write_prompt,
)

FACTORS = {"emotion": EMOTIONS, "ethnicity": ETHNICITIES, "age": AGES, "gender": GENDERS}
FREE = {"intensity": INTENSITIES, "style": STYLES, "template": tuple(TEMPLATES)}
SUBSETS = [names for k in range(4) for names in combinations(FREE_FACTORS, k)]
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


@pytest.mark.parametrize("balance", SUBSETS, ids=lambda names: "-".join(names) or "none")
def test_every_prefix_has_even_margins_over_what_is_balanced_as_well(balance):
    levels = FACTORS | {name: FREE[name] for name in balance}
    counts = {name: Counter(dict.fromkeys(values, 0)) for name, values in levels.items()}
    for n in range(300):
        record = prompt_record(n, 4, balance)
        for name, counter in counts.items():
            counter[getattr(record, name)] += 1
            assert max(counter.values()) - min(counter.values()) <= 1, (name, n)


def test_the_default_sequence_is_a_part_of_every_other():
    """What is balanced as well changes nothing else: people, emotion and words stay."""
    for n in range(200):
        plain, even = prompt_record(n, 4), prompt_record(n, 4, FREE_FACTORS)
        for name in ("emotion", "words", "ethnicity", "age", "gender", "repeated"):
            assert getattr(plain, name) == getattr(even, name)
        assert plain.template == "showing"


def test_the_default_sequence_has_not_changed():
    """Runs of earlier versions can be finished and compared: these texts are what they wrote."""
    assert prompt_record(0).text == (
        "A sharp studio portrait of a South Asian non-binary person, 50 years of age, showing"
        " strong surprise, amazement, startlement."
    )
    assert prompt_record(99_999, 7).text == (
        "A sharp studio portrait of a Black or African American woman, 20 years of age, showing"
        " subtle having a crush, fondness, adoration."
    )


@pytest.mark.parametrize("start", [0, 1000])
def test_any_81_in_a_row_hold_every_combination_of_gender_and_the_free_factors(start):
    cells = {
        (r.gender, r.intensity, r.style, r.template)
        for r in (prompt_record(n, 1, FREE_FACTORS) for n in range(start, start + 81))
    }
    assert len(cells) == 81


def test_free_factors_meet_emotions_and_people_evenly():
    # Emotion comes round after 40, ethnicity and age after 112 and 98 prompts; 27 and 81 have no
    # divisor in common with these: after 27 x 40 prompts each emotion met each cell of the three.
    names = ("emotion", "intensity", "style", "template")
    records = [prompt_record(n, 3, FREE_FACTORS) for n in range(81 * 40)]
    for pair in combinations(names, 2):
        cells = Counter(tuple(getattr(r, name) for name in pair) for r in records)
        assert max(cells.values()) == min(cells.values()), pair


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


PARTS = ("template", "style", "ethnicity", "gender", "age", "intensity", "words", "repeated")


@given(numbers, seeds, st.sampled_from(SUBSETS))
def test_parse_is_the_inverse(n, seed, balance):
    record = prompt_record(n, seed, balance)
    assert parse_prompt(record.text) == {
        name: getattr(record, name) for name in (*PARTS, "emotion")
    }


@given(st.data())
def test_parse_is_the_inverse_for_every_prompt_that_can_be_written(data):
    emotion = category(data.draw(st.sampled_from(EMOTIONS)))
    own = st.sampled_from([w for w in emotion.words if w.casefold() not in SHARED_WORDS])
    more = data.draw(st.lists(st.sampled_from(emotion.words), max_size=2))
    parts = {
        "template": data.draw(st.sampled_from(sorted(TEMPLATES))),
        "words": tuple(dict.fromkeys([data.draw(own), *more])),
        "repeated": data.draw(st.booleans()),
    }
    for name, values in (FACTORS | FREE).items():
        if name not in ("emotion", "template"):
            parts[name] = data.draw(st.sampled_from(values))
    text = write_prompt(**parts)
    assert parse_prompt(text) == parts | {"emotion": emotion.name}
    back = parse_prompt(text)
    del back["emotion"]
    assert write_prompt(**back) == text


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
