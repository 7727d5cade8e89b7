"""The quick reader of `hq.csv` says what the careful one says, of every file: pytest
tests/test_ratings_file.py

The reference is `emonet_face.released.iter_ratings`, row by row: equal tables, or the same error.
"""

from __future__ import annotations

import csv
import doctest
import io
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emonet_face.errors import EmoNetFaceError
from emonet_face.taxonomy import CATEGORIES, DIMENSIONS
from eval_metrics import dictionary_rows, ratings_file
from eval_metrics.dictionary_rows import DictionaryRows, UnusualError
from eval_metrics.ratings_file import read_ratings_file

KEYS = [category.key for category in CATEGORIES]
pytestmark = pytest.mark.filterwarnings("ignore:invalid (escape|decimal)")
HEADER = "image,annotator,human,annotations"


def table(rows, header=HEADER, ending="\n"):
    """The text of a file of rows (image, annotator, human, dictionary or text)."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator=ending).writerows(rows)
    return header + ending + stream.getvalue()


def published_rows(n=40, seed=0):
    """Annotators with whole numbers, fractions, gaps, extra dimensions and orders of their own."""
    rng = np.random.default_rng(seed)
    turned = KEYS[::-1]
    for image in range(n):
        levels = rng.integers(0, 8, 40).tolist()
        yield f"{image}.png", "human-1", True, dict(zip(KEYS, levels, strict=True))
        few = {key: int(rng.integers(8)) for key in KEYS if rng.random() < 0.3}
        yield f"{image}.png", "human-2", True, few or {KEYS[3]: 1}
        yield (
            f"{image}.png",
            "m 1",
            False,
            dict(zip(KEYS, rng.normal(2, 4, 40).tolist(), strict=True)),
        )
        extra = {dimension.key: int(rng.integers(-3, 8)) for dimension in DIMENSIONS}
        yield f"{image}.png", "m 2", False, dict(zip(turned, levels, strict=True)) | extra


def careful(path):
    """The same file through the row-by-row reader."""
    return ratings_file._read_any_form(path)


def outcome(reader, path):
    try:
        found = reader(path)
    except EmoNetFaceError as error:
        return str(error)
    return found.annotators, found.images, found.human, found.where, found.scores.tobytes()


def test_docstring_examples_run():
    assert doctest.testmod(dictionary_rows).failed == 0


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("header", [HEADER, "\ufeff" + HEADER])
def test_published_files_are_read_the_short_way(tmp_path, monkeypatch, ending, header):
    path = tmp_path / "hq.csv"
    path.write_text(table(published_rows(), header, ending), encoding="utf-8", newline="")
    expected = outcome(careful, path)
    monkeypatch.setattr(ratings_file, "iter_ratings", None)  # calling it would be a TypeError
    monkeypatch.setattr(ratings_file, "_BYTES", 20_000)  # several readings, so layouts are met anew
    assert outcome(read_ratings_file, path) == expected


def test_other_columns_and_orders_are_found_by_name(tmp_path, monkeypatch):
    path = tmp_path / "hq.csv"
    rows = [(i, human, name, image, said)
            for i, (image, name, human, said) in enumerate(published_rows(5))]  # fmt: skip
    path.write_text(table(rows, ",human,annotator,image,annotations"))
    expected = outcome(careful, path)
    monkeypatch.setattr(ratings_file, "iter_ratings", None)
    assert outcome(read_ratings_file, path) == expected


def test_digits_are_taken_from_rows_of_a_known_layout(monkeypatch):
    rows = DictionaryRows()
    texts = [repr(dict.fromkeys(KEYS, level)).encode() for level in range(8)]
    rows.scores(texts[:2], [True, True])
    monkeypatch.setattr(DictionaryRows, "_cut", None)
    found = rows.scores(texts[2:], [True] * 6)
    np.testing.assert_array_equal(found, np.repeat(np.arange(2.0, 8)[:, None], 40, axis=1))


def test_a_minus_before_a_digit_is_part_of_the_pattern(monkeypatch):
    rows = DictionaryRows()
    texts = [
        repr(dict.fromkeys(KEYS, level) | {DIMENSIONS[1].key: -3, KEYS[0]: -level or 0}).encode()
        for level in (1, 2, 3, 4, 5)
    ]
    rows.scores(texts[:2], [False, False])
    monkeypatch.setattr(DictionaryRows, "_cut", None)
    found = rows.scores(texts[2:], [False] * 3)
    np.testing.assert_array_equal(found[:, 0], [-3, -4, -5])
    np.testing.assert_array_equal(found[:, 1:], np.repeat([[3.0], [4.0], [5.0]], 39, axis=1))


@pytest.mark.parametrize("size", [1, 3_000, 10_000_000])
def test_blocks_of_any_size_and_lines_without_quotes(tmp_path, monkeypatch, size):
    # A dictionary of one key has no comma, so the csv module puts no quotes around it.
    rows = [*published_rows(4), ("x.png", "few", True, {KEYS[0]: 2}), *published_rows(4, 1)]
    path = tmp_path / "hq.csv"
    path.write_text(table(rows))
    assert path.read_text().count('"') == 2 * (len(rows) - 1)
    expected = outcome(careful, path)
    monkeypatch.setattr(ratings_file, "iter_ratings", None)
    monkeypatch.setattr(ratings_file, "_BYTES", size)
    assert outcome(read_ratings_file, path) == expected


def test_patterns_and_keys_are_few_where_every_row_has_keys_of_its_own():
    rng = np.random.default_rng(2)
    rows = DictionaryRows()
    for _ in range(40):
        shuffled = [rng.permutation(KEYS).tolist() for _ in range(5)]
        texts = [repr(dict.fromkeys(keys, 1)).encode() for keys in shuffled for _ in range(3)]
        assert (rows.scores(texts, [True] * len(texts)) == 1).all()
    assert max(map(len, rows._patterns.values())) == dictionary_rows._PATTERNS_MAX


numbers = st.one_of(
    st.integers(0, 7),
    st.integers(-9, 9),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([-0.0, 10**20, 1e-07, 2.5, None, True, float("nan"), "3"]),
)
spellings = st.sampled_from([KEYS, [category.name for category in CATEGORIES],
                             [category.slug for category in CATEGORIES]])  # fmt: skip


@st.composite
def rows_of_any_kind(draw):
    """Some rows: mostly legal, keys in any order and spelling, now and then a fault."""
    rows = []
    for image in range(draw(st.integers(1, 6))):
        human = draw(st.booleans())
        keys = draw(st.permutations(draw(spellings)))[: draw(st.sampled_from([1, 2, 39, 40]))]
        value = draw(st.sampled_from([st.integers(0, 7), st.integers(-3, 7), numbers]))
        said = {key: draw(value) for key in keys}
        if draw(st.integers(0, 3)) == 0:
            said[draw(st.sampled_from([d.key for d in DIMENSIONS]))] = draw(st.integers(-3, 7))
        name = draw(st.sampled_from([f"{image}.png", f"a/{image}.png", "0.png", "0.jpg", " 1.png"]))
        annotator = draw(
            st.sampled_from(["h 1", "h-2", "h\t3", "h,4", "h\x015", " h 6", "h" * 1001])
        )
        rows.append((name, annotator, human, said))
    return rows


@settings(deadline=None, max_examples=150)
@given(rows_of_any_kind(), st.integers(1, 3), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_any_rows_are_read_as_by_the_careful_reader(rows, times, ending, quoted):
    text = table(rows * times, ending=ending)
    if quoted:  # around what needs none, too
        text = text.replace(",True,{", ',"True",{')
    with TemporaryDirectory() as folder:
        path = Path(folder) / "hq.csv"
        path.write_text(text, encoding="utf-8", newline="")
        assert outcome(read_ratings_file, path) == outcome(careful, path)


@pytest.mark.parametrize("other", ["b/x.png", "a/x.jpg", "x", " a/x.png"])
def test_two_names_of_one_stem_are_left_to_the_careful_reader(tmp_path, other):
    path = tmp_path / "hq.csv"
    rows = [(image, "h", True, {KEYS[0]: 1, KEYS[1]: 2}) for image in ("a/x.png", other)]
    path.write_text(table(rows))
    assert outcome(read_ratings_file, path) == outcome(careful, path)


@pytest.mark.parametrize(
    "odd",
    [
        "{'Anger': 3, 'Anger': 4}", "{'Anger': 3, 'anger': 4}", "{'Angr': 3}", "{}", "", "[1, 2]",
        "{'Anger': nan}", "{'Anger': '3'}", "{'Anger': None}", "{'Anger': True}", "{'Anger': 8}",
        "{'Anger': -1}", "{'Anger': 1e999}", "{'Anger': 007}", "{'Anger': 1_0}", "{'Anger':3}",
        "{'Anger': " + "9" * 400 + "}", '{"Anger": 3}', "{'Anger': 3, }", "{'Hopelessness': 2}",
        "{'Anger': 1], [2, 'Awe': 3}", "{'Anger': 1, 2}", "{ 'Anger': 3}", "{'Anger': 3}\n",
        "{'\nAnger': 3, 'Awe': 1}", "{'Anger\r': 3, 'Awe': 1}", "{'Anger': 1,2, 'Awe''Fear': 3}",
        "{'Anger': -0, 'Awe': -0}", "{'Anger': 1\n, 'Awe': 2}", "{'Anger': 1,, 'Awe': 2}",
        "{'Ang\u00e9r': 3}", "{'Extra Dimensions|Arousal': 9}", "{'Anger': 0x1}", "{'Anger'; 3}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("human", [True, False])
def test_odd_dictionaries(tmp_path, odd, human):
    path = tmp_path / "hq.csv"
    rows = [*published_rows(3), ("x.png", "odd", human, odd), *published_rows(3)]
    path.write_text(table(rows), encoding="utf-8")
    assert outcome(read_ratings_file, path) == outcome(careful, path)


@pytest.mark.parametrize(
    "line",
    [
        "a.png,h,maybe,{'Anger': 3}", "a.png,h,true ,{'Anger': 3}", ",h,True,{'Anger': 3}",
        "a.png,,True,{'Anger': 3}", " a.png , h ,True,{'Anger': 3}", "a.png,h,True", "", " ",
        "a.png,h,True,{'Anger': 3},x", "../a.png,h,True,{'Anger': 3}", '"a,b.png",h,True,"{}"',
        "a.png,h,True,\"{'Anger': 3}\"x", "a.png,h,True,\"{'Anger': 3}", "a\r.png,h,True,{}",
        "a.png,h,True,{'Anger': 3\r}", "a.png,\u00e9,True,{'Anger': 3}", "a.png,h\0,True,{}",
        "a.png,h,True\"{'Anger': 3}\",\nb.png,h,True,\"{'Awe': 1}\"",
        "a.png,h\n,True,\"{'Awe': 1}\"",
        "a.png,True\"{'Awe': 1}\"\nx,b.png,h,True,\"{'Awe': 1}\"", "a.png,h,True,\"\"",
        "a.png,h\x01,True,\"{'Awe': 1, 'Fear': 2}\"", "a.png,h,\"True\",\"{'Awe': 1, 'Fear': 2}\"",
        "a.png,h,True,x\"{'Anger': 3}\"", "a.png,h,True,\"{'Anger':\n 3}\"", '"',
        "a.png," + "h" * 140_000 + ",True,{'Anger': 3}",
    ],
)  # fmt: skip
def test_odd_lines(tmp_path, line):
    path = tmp_path / "hq.csv"
    start = table(published_rows(2))
    path.write_text(f"{start}{line}\nb.png,h,True,{{'Awe': 1}}\n", encoding="utf-8", newline="")
    assert outcome(read_ratings_file, path) == outcome(careful, path)


@pytest.mark.parametrize(
    "text",
    ["", "\n", HEADER, HEADER + "\n", "image,annotator,human\n", HEADER.upper() + "\n",
     HEADER + ",annotations\na,b,True,{},{}\n", f'"image"{HEADER[5:]}\na,b,True,{{}}\n',
     "annotations,image,annotator,human\n{'Awe': 1},a,b,True\n"],
)  # fmt: skip
def test_odd_headers(tmp_path, text):
    path = tmp_path / "hq.csv"
    path.write_text(text)
    assert outcome(read_ratings_file, path) == outcome(careful, path)
    assert outcome(read_ratings_file, tmp_path) == outcome(careful, tmp_path)


@settings(deadline=None, max_examples=150)
@given(
    st.integers(0, 99),
    st.lists(
        st.tuples(st.integers(0, 10**6), st.sampled_from("'\"\\,:{}[] -.0179e|ATa\n\r\0#é")),
        min_size=1,
        max_size=3,
    ),
)
def test_damaged_files(seed, damage):
    text = table(published_rows(3, seed))
    for place, character in damage:
        place %= len(text)
        text = text[:place] + character + text[place + place % 2 :]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "hq.csv"
        path.write_text(text, encoding="utf-8", newline="")
        assert outcome(read_ratings_file, path) == outcome(careful, path)


def test_what_is_no_dictionary_is_refused():
    for text in (
        b"",
        b"{",
        b"{}",
        b"{'Anger'}",
        b"{'Anger': 1}}",
        b"{'a': 1}",
        b"{'Anger': 1e999}",
    ):
        with pytest.raises(UnusualError):
            DictionaryRows().scores([text], [False])
