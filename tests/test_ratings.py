"""Rating keys and values in every published spelling: pytest tests/test_ratings.py"""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emonet_face import EmoNetFaceError, errors, ratings
from emonet_face.ratings import parse_scores, resolve, resolve_dimension, resolve_output
from emonet_face.taxonomy import CATEGORIES, DIMENSIONS, EMOTIONS, INDEX


def test_docstring_examples_run():
    for module, at_least in ((ratings, 3), (errors, 1)):
        results = doctest.testmod(module)
        assert results.failed == 0
        assert results.attempted >= at_least


@pytest.mark.parametrize("category", CATEGORIES, ids=lambda c: c.slug)
def test_every_spelling_of_a_category_resolves(category):
    head = f"model_{category.slug}_best"
    for key in (category.name, category.key, category.slug, head, f"  {category.name} "):
        assert resolve(key) == category.name


def test_alias_resolves_with_and_without_its_family():
    assert resolve("Hopelessness") == "Helplessness"
    assert resolve("Negative Low-Energy Emotions|Hopelessness") == "Helplessness"


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("Amusment", "Amusement"),
        ("anger ", None),
        ("Jealousy and Envy", "Jealousy & Envy"),
        ("ANGER", "Anger"),
        ("Positive High-Energy Emotions|Elatoin", "Positive High-Energy Emotions|Elation"),
    ],
)
def test_unknown_keys_name_the_nearest_one(key, nearest):
    if nearest is None:
        assert resolve(key) == "Anger"
        return
    with pytest.raises(EmoNetFaceError) as caught:
        resolve(key)
    assert repr(key) in str(caught.value)
    assert repr(nearest) in str(caught.value)


@pytest.mark.parametrize("key", ["Joy", "x", "", "k" * 100_000, "Family|" + "é" * 100_000])
def test_a_key_that_is_like_none_gets_no_suggestion_and_is_shown_short(key):
    with pytest.raises(EmoNetFaceError) as caught:
        resolve(key)
    assert str(caught.value).endswith("; `emonet-face taxonomy` lists all")
    assert len(str(caught.value)) < 150


def test_values_of_any_size_are_shown_short():
    for value in (16**6_000, -(16**6_000), "7" * 10**6, [[1]] * 10**5, {"a" * 500: 16**6_000}):
        with pytest.raises(EmoNetFaceError, match=r"^'Anger' is .*: a rating must be") as caught:
            parse_scores({"Anger": value}, gaps="null")
        assert len(str(caught.value)) < 130
    with pytest.raises(EmoNetFaceError, match=r"is 8000\d+…0+: a rating must lie in 0\.\.7"):
        parse_scores({"Anger": 8 * 10**200}, gaps="null")


def test_outputs_are_categories_and_dimensions():
    assert resolve_output("model_awe_best", "f") == "Awe"
    assert resolve_output("Extra Dimensions|Arousal", "f") == "arousal"
    for key in ("Joy", 3, None):
        with pytest.raises(EmoNetFaceError, match=r"^f\.pth: "):
            resolve_output(key, "f.pth")


def test_a_category_behind_the_wrong_family_is_an_error():
    with pytest.raises(EmoNetFaceError, match=r"is 'Negative High-Energy Emotions\|Anger'"):
        resolve("Positive High-Energy Emotions|Anger")


@pytest.mark.parametrize("key", [None, 3, ("Anger",), 1.5])
def test_a_key_that_is_no_string_is_an_error(key):
    with pytest.raises(EmoNetFaceError, match="keys are strings"):
        resolve(key)


def test_dimensions_resolve_to_their_slug():
    for dimension in DIMENSIONS:
        for key in (dimension.name, dimension.slug, dimension.key):
            assert resolve_dimension(key) == dimension.slug
    with pytest.raises(EmoNetFaceError, match="'valence'"):
        resolve_dimension("valance")


def _full(value=0):
    return dict.fromkeys(EMOTIONS, value)


def test_scores_come_in_canonical_order_whatever_the_key_order():
    record = {name: index / 10 for name, index in INDEX.items()}
    backwards = dict(reversed(record.items()))
    assert parse_scores(backwards).scores == [index / 10 for index in range(40)]


def test_dimensions_are_set_apart():
    found = parse_scores(_full() | {"Extra Dimensions|Valence": -2, "arousal": 6.5})
    assert found.dimensions == {"valence": -2.0, "arousal": 6.5}
    assert found.scores == [0.0] * 40


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("Anger", 8, r"'Anger' is 8: a rating must lie in 0..7"),
        ("Anger", -1, r"0\.\.7"),
        ("Anger", float("nan"), "finite"),
        ("Anger", float("inf"), "finite"),
        ("Anger", "3", "must be a number"),
        ("Anger", True, "must be a number"),
        ("valence", -4, r"Valence must lie in -3..3"),
        ("Extra Dimensions|Mood", 1, "unknown dimension"),
        ("Rage", 1, "unknown category 'Rage'"),
    ],
)
def test_bad_values_and_leftover_keys_name_the_key(key, value, said):
    with pytest.raises(EmoNetFaceError, match=said):
        parse_scores(_full() | {key: value})


def test_gaps():
    record = _full(1)
    del record["Awe"], record["Pain"]
    with pytest.raises(EmoNetFaceError, match=r"no value for 'Awe' and 1 more"):
        parse_scores(record)
    assert parse_scores(record, gaps="null").gaps == ["Awe", "Pain"]
    assert parse_scores(record, gaps="zero").scores[INDEX["Awe"]] == 0.0
    assert parse_scores({}, gaps="null").scores == [None] * 40


def test_two_spellings_of_one_category_are_an_error():
    with pytest.raises(EmoNetFaceError, match="both name 'Helplessness'"):
        parse_scores({"Hopelessness": 1, "helplessness": 2}, gaps="null")


def test_unbounded_scores_keep_what_models_say():
    found = parse_scores({"Anger": -4.25, "Elation": 9}, bounded=False, gaps="null")
    assert found.scores[INDEX["Anger"]] == -4.25
    assert found.scores[INDEX["Elation"]] == 9.0


@given(st.text(max_size=40))
def test_any_text_resolves_or_is_refused_in_one_line(text):
    try:
        assert resolve(text) in INDEX
    except EmoNetFaceError as error:
        assert "\n" not in str(error)
