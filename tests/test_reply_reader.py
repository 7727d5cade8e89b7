"""Replies: what is read from them, what is refused, and that nothing wrong gets through.

    pytest tests/test_reply_reader.py

The real replies are those of the published collection, in the folder of published data.
"""

from __future__ import annotations

import ast
import doctest
import json
import random
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emonet_face import EmoNetFaceError
from emonet_face.taxonomy import CATEGORIES, DIMENSIONS, EMOTIONS, INDEX
from generation.annotators import acceptance, chat_bodies, reply_reader
from generation.annotators.acceptance import accept
from generation.annotators.protocols import PROTOCOLS, PUBLISHED_25
from generation.annotators.reply_reader import read_answer
from generation.annotators.worked_examples import EXAMPLES

MULTI, ZERO, ZERO_25 = (PROTOCOLS[name] for name in ("multi-shot", "zero-shot", "zero-shot-25"))


def whole_answer(**changes):
    """A multi-shot answer that fits, with Anger 3, and some entries changed."""
    answer = EXAMPLES[4].answer()
    answer["emotions"] = {name: {"rating": 0, "reasoning": "-"} for name in EMOTIONS}
    answer["emotions"]["Anger"]["rating"] = 3
    for key, value in changes.items():
        answer["emotions"][key] = {"rating": value, "reasoning": "-"}
    return answer


@pytest.mark.parametrize(
    "reply",
    [
        '{"Anger": 3}',
        "{'Anger': 3}",
        "{'Anger': 3, }",
        '```json\n{"Anger": 3}\n```',
        "Here it is: {'Anger': 3} - I hope that helps {really}!",
        '{"Anger": 3 // quite\n}',
        "{'Anger': 3  # isn't it\n}",
        '{/* first */ "Anger": +3}',
        '<think>{"Anger": 7}?</think>{"Anger": 3}',
        "I am not [sure], but {'Anger': 3}",
        '{"Anger": 3}\n\n{"Anger": 3}',
    ],
)
def test_spellings_of_one_answer(reply):
    assert read_answer(reply) == {"Anger": 3}


def test_texts_keep_their_characters():
    assert read_answer('{"a": "\\u00e9\\ud83d\\ude00 isn\'t \\"so\\"\\n/\\/"}') == {
        "a": 'é😀 isn\'t "so"\n//'
    }
    assert read_answer("{'a': 'isn\\'t \"so\" # no // no \\xe9'}") == {
        "a": 'isn\'t "so" # no // no é'
    }
    assert read_answer('{"a": "two\nlines"}') == {"a": "two\nlines"}
    assert read_answer('{"a": [true, False, null, None, -1.5e0]}') == {
        "a": [True, False, None, None, -1.5]
    }


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("<think>hm</think>", "is empty"),
        ("I cannot say.", "no object"),
        ("[1, 2]", "no object"),
        ("<html><body>502</body></html>", "no object"),
        ('{"Anger": 3', "cut off"),
        ('{"Anger": 3, "Fear": "two', "cut off"),
        ('{"Anger": 3, "Anger": 3}', "'Anger' stands twice"),
        ('{"a": {"Anger": 3, "Anger": 4}}', "'Anger' stands twice"),
        ('{"Anger": 3} or rather {"Anger": 4}', "2 objects that differ"),
        ('{"Anger": 3/7}', "broken at '/7}'"),
        ('{"Anger": 03}', "broken"),
        ('{"Anger": 3_0}', "broken"),
        ('{"Anger": NaN}', "broken at 'NaN'"),
        ('{"Anger": Infinity}', "broken"),
        ('{"Anger": ٣}', "broken"),
        ('{"Anger": high}', "broken at 'high'"),
        ('{"Anger": 3 "Fear": 2}', "broken"),
        ('{"Anger": __import__("os")}', "broken"),
        ('{"a": ' + "[" * 500, "nested more than 8 deep"),
        ('{"a": ' + "9" * 5000 + "}", "5000 characters long"),
    ],
)
def test_what_is_refused(reply, reason):
    with pytest.raises(EmoNetFaceError, match=re.escape(reason)):
        read_answer(reply)


def test_an_endless_list_is_read_in_linear_time():
    with pytest.raises(EmoNetFaceError, match="cut off"):
        read_answer('{"emotions": [' + '{"category": "Anger", "score": 1},' * 60_000)
    with pytest.raises(EmoNetFaceError, match="no object"):
        read_answer("{" * 40_000)
    for piece in ("[/*", "{ /* ", "[#", "['", "[1,["):  # each bracket was read to the reply's end
        start = time.process_time()
        with pytest.raises(EmoNetFaceError, match="more than 500 brackets around no object"):
            read_answer(piece * 40_000)
        assert time.process_time() - start < 5, piece
    assert read_answer("[x]" * 500 + "/* * / ** */" + '{"Anger": 1 /***/}') == {"Anger": 1}


def test_the_real_replies_fit(published):
    texts = sorted((published / "vlm").glob("*"))
    assert len(texts) == 8
    for path in texts:
        reply = path.read_text(encoding="utf-8")
        if "multi_shot" in path.name:
            said = accept(read_answer(reply), MULTI)
            expected = ast.literal_eval(reply)  # an independent reader
            assert said.scores.scores == [
                float(expected["emotions"][name]["rating"]) for name in EMOTIONS
            ]
            assert said.scores.dimensions == {
                d.slug: float(expected["extra_dimensions"][d.name]["rating"]) for d in DIMENSIONS
            }
            assert said.reasons["Anger"] == expected["emotions"]["Anger"]["reasoning"]
            assert len(said.reasons) == 44
            assert said.warnings == ()
        else:
            expected = json.loads(reply)["value"]
            assert tuple(key.partition("|")[2] for key in expected) == PUBLISHED_25
            for protocol, absent in ((ZERO_25, None), (ZERO, 0.0)):
                assert accept(read_answer(reply), protocol).scores.scores == [
                    expected.get(category.key, absent) for category in CATEGORIES
                ]


def test_the_worked_examples_fit_their_own_protocol():
    for example in EXAMPLES:
        said = accept(example.answer(), MULTI)
        assert said.warnings == ()
        assert sum(value > 0 for value in said.scores.scores) == len(example.marked) <= 5
        assert set(said.scores.dimensions) == {d.slug for d in DIMENSIONS}


def test_prompts_hold_what_they_ask_about():
    for protocol in PROTOCOLS.values():
        assert all(name in protocol.prompt() for name in EMOTIONS)
    assert all(d.name in MULTI.prompt() for d in DIMENSIONS)
    assert MULTI.sampling(7) == {"temperature": 0, "seed": 7, "max_tokens": 6000}
    assert "temperature" not in ZERO_25.sampling(7)
    assert list(MULTI.schema()["properties"]["emotions"]["properties"]) == list(EMOTIONS)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (whole_answer(Fear=8), "'Fear' is 8: a rating must lie in 0..7"),
        (whole_answer(Fear=-1), "must lie in 0..7"),
        (whole_answer(Fear=True), "must be a number"),
        (whole_answer(Fear="high"), "must be a number"),
        (whole_answer(Fear=None), "no rating for 'Fear'"),
        (whole_answer(Happiness=3), "unknown category 'Happiness'"),
        (whole_answer(fear=3), "is rated twice"),
        (whole_answer(**dict.fromkeys(EMOTIONS[:6], 1)), "7 categories are above 0; at most 5"),
        ({"emotions": whole_answer()["emotions"]}, "no rating for the dimension 'Arousal'"),
        ({**whole_answer(), "note": "x"}, "unknown key 'note'"),
        ({"emotions": {"Anger": {"rating": 3, "score": 4}}}, "exactly one of"),
        ({"emotions": {"Anger": {"rating": 3, "mood": "bad"}}}, "unknown key 'mood'"),
        ({"emotions": ["Anger"]}, "is not an entry"),
        ({"emotions": {}}, "no rating for 'Amusement' and 39 more"),
    ],
)
def test_answers_that_do_not_fit_multi_shot(answer, reason):
    with pytest.raises(EmoNetFaceError, match=re.escape(reason)):
        accept(answer, MULTI)


def test_answers_that_do_not_fit_zero_shot():
    with pytest.raises(EmoNetFaceError, match="no category is rated"):
        accept({"emotions": []}, ZERO)
    full = dict.fromkeys(PUBLISHED_25, 2)
    assert accept(full, ZERO_25).scores.gaps == [n for n in EMOTIONS if n not in PUBLISHED_25]
    with pytest.raises(EmoNetFaceError, match="'Anger' is 0, which this form does not allow"):
        accept(full | {"Anger": 0}, ZERO_25)
    with pytest.raises(EmoNetFaceError, match="'Elation' is rated though it was not asked for"):
        accept(full | {"Elation": 1}, ZERO_25)


def test_oddities_are_accepted_with_a_warning():
    said = accept(whole_answer(Fear="2", Awe=1.5), MULTI)
    assert said.scores.scores[INDEX["Fear"]] == 2.0
    assert said.warnings == (
        "1 ratings are text that holds a number",
        "1 ratings are not whole numbers",
    )
    alias = accept({"Hopelessness": 3}, ZERO)
    assert alias.scores.scores[INDEX["Helplessness"]] == 3
    assert alias.warnings == ("Hopelessness is read as Helplessness",)


def ratings_in(text):
    """What a text says of each key, by a search that knows nothing of its structure."""
    found = {}
    pattern = r"""["']([^"'\\]+)["']\s*:\s*\{\s*["']rating["']\s*:\s*["']?([-+]?[0-9.]+)"""
    for key, number in re.findall(pattern, text):
        found.setdefault(key, set()).add(float(number.strip(".")) if number.strip(".") else None)
    return found


def mutated(text, rng):
    """A reply with a few things gone wrong on its way."""
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(text) + 1)
        end = min(len(text), start + rng.choice((1, 1, 3, 20, 200)))
        piece = text[start:end]
        other = rng.choice(
            ["", piece * 2, piece[::-1], rng.choice("0123456789-+.,:{}[]'\"\\#/\n\0é"),
             "null", "9", "1e1", "}{", "```", text[: rng.randrange(50)]]
        )  # fmt: skip
        text = text[:start] + other + text[end:]
    return text[: rng.randrange(len(text) + 1)] if rng.random() < 0.1 else text


def check_no_wrong_number(text):
    try:
        said = accept(read_answer(text), MULTI)
    except EmoNetFaceError as error:
        assert "\n" not in str(error)
        return False
    search = ratings_in(text)
    for name, value in zip(EMOTIONS, said.scores.scores, strict=True):
        assert 0 <= value <= 7
        assert value in search[name], (name, value)
    for dimension in DIMENSIONS:
        value = said.scores.dimensions[dimension.slug]
        assert dimension.low <= value <= dimension.high
        assert value in search[dimension.name]
    return True


def test_a_thousand_mutated_replies(published):
    rng = random.Random(0)
    texts = [p.read_text() for p in sorted((published / "vlm").glob("*multi*"))]
    texts += [json.dumps(ast.literal_eval(text)) for text in texts]
    accepted = sum(check_no_wrong_number(mutated(rng.choice(texts), rng)) for _ in range(1000))
    assert 50 < accepted < 950, "both outcomes must be tried"


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.sampled_from("{}[]:,'\"\\ \n/*#-+.0123ANnulTrefAwe"), max_size=60))
def test_any_text_is_read_or_refused(text):
    try:
        value = read_answer(text)
    except EmoNetFaceError:
        return
    assert isinstance(value, dict | list)


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-999, 999) | st.floats(-9, 9) | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
        ),
        max_leaves=12,
    ).map(lambda value: {"a": value})
)
def test_json_and_python_spellings_read_the_same(value):
    try:
        expected = json.loads(json.dumps(value))
        assert read_answer(json.dumps(value)) == expected
        assert read_answer(repr(value)) == value
    except EmoNetFaceError as error:
        assert "characters long" in str(error) or "nested" in str(error)


@pytest.mark.parametrize("module", [reply_reader, acceptance, chat_bodies])
def test_docstring_examples(module):
    results = doctest.testmod(module)
    assert results.attempted
    assert not results.failed
