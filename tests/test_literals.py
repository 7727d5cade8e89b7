"""The quick reader of literals agrees with `ast.literal_eval` on everything: pytest
tests/test_literals.py

Python's own parser is the reference: equal values of equal types in equal order, or the same error.
"""

from __future__ import annotations

import ast
import doctest
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from emonet_face import literals
from emonet_face.literals import LITERAL_ERRORS, parse_literal
from emonet_face.taxonomy import CATEGORIES

KEYS = [category.key for category in CATEGORIES]
pytestmark = pytest.mark.filterwarnings("ignore:invalid (escape|decimal)")


def outcome(function, text):
    """What a function makes of a text, comparable: `repr` tells 1 from 1.0 and shows the order."""
    try:
        return repr(function(text))
    except LITERAL_ERRORS as error:
        return type(error)


def test_docstring_examples_run():
    assert doctest.testmod(literals).failed == 0


@pytest.fixture(params=["fresh", "used"])
def _memory(request):
    """Every comparison with nothing seen before, and with entries that may mislead."""
    literals._seen.clear()
    if request.param == "used":
        for text in ("{'a': 1, 'b': 0.5}", "{'': 0, 'c, d': 2}", "{'a': 2, 'a': 3}", "{'e': 1 }"):
            parse_literal(text)


numbers = st.one_of(
    st.integers(-9, 9),
    st.integers(),
    st.sampled_from([0.5, 2.5, 1e-05, -3e22, 1e999, -0.0]),
    st.floats(allow_nan=False, allow_infinity=False),
)
spellings = st.sampled_from(
    ["1e5", "1E-3", "-2.5e+10", "+1", "- 1", "1.", ".5", "007", "0x1f", "1_000", "1j", "1e999",
     "-0", "nan", "NaN", "Infinity", "-Infinity", "inf", "True", "true", "None", "null", "'3'",
     "[1]", "{}", "(1)", "1 if 1 else 2", "1, 2", "3 # three", "9" * 4301]
)  # fmt: skip
keys = st.one_of(
    st.sampled_from(KEYS), st.text(max_size=4), st.sampled_from(["it's", 'a"b', "a, b"])
)


@given(st.dictionaries(keys, numbers, max_size=45))
def test_dictionaries_as_python_prints_them(record):
    for text in (repr(record), json.dumps(record), repr(record).replace(": ", ":")):
        assert outcome(parse_literal, text) == outcome(ast.literal_eval, text)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "b", "r", "u", "f", "'a' ", " "]),
            st.sampled_from(["'", '"', "'''", ""]),
            st.one_of(st.sampled_from(KEYS), st.text("ab,: '\"\\\n\r\0\t{}[]#é\ud800", max_size=4)),
            st.sampled_from([": ", ":", " : ", ":\n", ", "]),
            st.one_of(spellings, numbers.map(repr)),
            st.sampled_from([", ", ",", ",  ", " , ", "\n, ", "", ": "]),
        ),
        max_size=4,
    ),
    st.sampled_from(["{%s}", " {%s}", "{%s} ", "{ %s }", "[%s]", "{%s", "{{%s}}", "{%s}x", "%s"]),
    st.booleans(),
)
@example([("", "'", "a", ": ", "1, 2", ", ")], "{%s}'x", True)
@example([("", "'", "a", ": ", "1: , 'b'0", "")], "{%s}", True)
@example([("", "'", "a", ": ", "1", ", "), ("", "'", "a", ": ", "2", ", ")], "{%s}", True)
def test_dictionaries_put_together_from_odd_pieces(entries, frame, trimmed):
    text = "".join(f"{p}{q}{key}{q}{colon}{n}{comma}" for p, q, key, colon, n, comma in entries)
    text = frame.replace("%s", text.removesuffix(", ") if trimmed else text)
    for _ in range(2):  # the second time entries have been seen
        assert outcome(parse_literal, text) == outcome(ast.literal_eval, text)


@given(
    st.dictionaries(st.sampled_from(KEYS), st.integers(0, 7), min_size=1, max_size=5),
    st.lists(
        st.tuples(st.integers(0, 10**6), st.sampled_from("'\"\\,:{}[] -.0e1a\n#")), max_size=3
    ),
)
def test_damaged_dictionaries(record, damage):
    text = repr(record)
    for place, character in damage:
        place %= len(text)
        text = text[:place] + character + text[place + place % 2 :]
    assert outcome(parse_literal, text) == outcome(ast.literal_eval, text)


@pytest.mark.usefixtures("_memory")
@pytest.mark.parametrize(
    "text",
    [
        "{'a': 1, 'b': 0.5}", "{'a': 1, 'b': 0.5, 'a': 1}", "{'a': 1, 'b': 0.5,}", "{'a': 1,}",
        "{'': 0, 'c, d': 2}", "{'c, d': 2}", "{'': 0}", "{d': 2}", "{'a': 2, 'a': 3}", "{'e': 1 }",
        "{'e': 1 , 'a': 1}", "{}", "{ }", "", "{", "}", "{'a': 1}}", "{{'a': 1}", "{'a': 1} ",
        "{'a': 1}\n", "\t{'a': 1}", "\n{'a': 1}", "{'a': 1\n}", "{'a\n': 1}", "{'a\t': 1}",
        "{'a': 1, b'b': 2}", "{'a''b': 1}", "{'a' 'b': 1}", "{'''a''': 1}", "{'a': 1, 2}",
        "{'a': 1, 2}'x", "{'a': 1: , 'b'0}", "{'a'}", "{'a': '1'}", "{'a': {'b': 1}}", "{[]: 1}",
        "['a']", "[{'human-1': {'Anger': 3}}]", "[" * 300 + "]" * 300, "(" * 10_000, "{'a': 1}#",
        "{'a': " + "9" * 4301 + "}", "{'a': 1e400}", "{'é': 1}", "{'\ud800': 1}", "{'a\0': 1}",
    ],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_known_traps(text):
    assert outcome(parse_literal, text) == outcome(ast.literal_eval, text)


def test_rows_of_the_published_kind_take_the_short_way(monkeypatch):
    literals._seen.clear()
    monkeypatch.setattr(literals.ast, "literal_eval", None)  # calling it would be a TypeError
    people = {key: place % 8 for place, key in enumerate(KEYS)}
    model = {key: -place / 7 for place, key in enumerate(KEYS)}
    for record in (people, people, model, {"a": 1e-07}):
        assert parse_literal(repr(record)) == record
    assert len(literals._seen) == 40


def test_what_is_remembered_is_bounded(monkeypatch):
    literals._seen.clear()
    monkeypatch.setattr(literals, "_SEEN_MAX", 3)
    for number in range(50):
        assert parse_literal(f"{{'a': {number}}}") == {"a": number}
    assert len(literals._seen) == 3
