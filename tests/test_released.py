"""The two published tables, read and written: pytest tests/test_released.py"""

from __future__ import annotations

import os
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emonet_face import EmoNetFaceError
from emonet_face.ratings import Scores, parse_scores
from emonet_face.released import (
    BadRow,
    Rating,
    Vote,
    iter_ratings,
    iter_votes,
    write_ratings,
    write_votes,
)
from emonet_face.taxonomy import CATEGORIES, DIMENSIONS, EMOTIONS, INDEX

VOTES = "path,annotator,value,emotion\n"
RATINGS = "image,annotator,human,annotations\n"


def _write(tmp_path, text, name="t.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_published_votes_have_the_published_counts(published):
    votes = list(iter_votes(published / "binary.csv"))
    assert not [v for v in votes if isinstance(v, BadRow)]
    assert len(votes) == 65_686
    assert len({v.image_id for v in votes}) == 19_999
    assert Counter(v.present for v in votes) == {True: 37_800, False: 27_886}
    per_annotator = Counter(v.annotator for v in votes)
    assert per_annotator["human-4"] == 18_278
    assert per_annotator["human-7"] == per_annotator["human-5"] == 4_000
    assert Counter(v.alias for v in votes)["Hopelessness"] > 0


def test_votes_survive_writing_and_reading(tmp_path):
    votes = [Vote("00000", "a", "Anger", True), Vote("x,y", 'b "c"', "Jealousy & Envy", False)]
    write_votes(tmp_path / "v.csv", votes)
    assert list(iter_votes(tmp_path / "v.csv")) == votes


def test_ratings_survive_writing_and_reading(tmp_path):
    scores = [None if i % 3 == 0 else i / 8 for i in range(40)]
    rating = Rating("a/b.png", "b", "human-1", True, Scores(scores))
    write_ratings(tmp_path / "r.csv", [rating])
    assert list(iter_ratings(tmp_path / "r.csv")) == [rating]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("1,a,maybe,Anger", "'value' is 'maybe': must be True or False"),
        ("1,a,True,Angr", "unknown category 'Angr'; nearest: 'Anger'"),
        (",a,True,Anger", "'path' is empty"),
        ("1,,True,Anger", "'annotator' is empty"),
        ("1,a,True", "3 cells instead of 4"),
        ("1,a,True,Anger,x", "5 cells instead of 4"),
        ("0,a,False,Anger", "already voted on 'Anger' of image '0' in row 1"),
        ('"a\0b",a,True,Anger', r"'path' is 'a\x00b': holds a control character"),
        ("a\x85b,a,True,Anger", "holds a control character"),
        (f"{'a' * 2_000},a,True,Anger", "'path' has 2,000 characters; at most 1,000"),
        (f"1,{'a' * 200_000},True,Anger", "a cell has 200,000 characters; at most 131,072"),
    ],
)
def test_a_bad_vote_is_named_and_the_others_are_unharmed(tmp_path, row, said):
    path = _write(tmp_path, f"{VOTES}0,a,True,Anger\n{row}\n2,a,false,Anger\n")
    first, bad, last = iter_votes(path)
    assert isinstance(bad, BadRow)
    assert said in str(bad.error)
    assert "row 2 (line 3)" in str(bad.error)
    assert bad.row == 2
    assert (first.present, last.present) == (True, False)


def test_names_with_a_line_break_are_refused(tmp_path):
    path = _write(tmp_path, f'{VOTES}0,a,True,Anger\n"x\ny",a,True,Anger\n')
    _, bad = iter_votes(path)
    assert "row 2 (line 4): 'path' is 'x\\ny': holds a control character" in str(bad.error)


def test_a_cell_beyond_all_measure_stops_the_file(tmp_path):
    path = _write(tmp_path, f"{VOTES}{'x' * 16_000_001},a,True,Anger\n")
    with pytest.raises(EmoNetFaceError, match=r"line 2: broken CSV \(field larger than"):
        list(iter_votes(path))


@pytest.mark.parametrize(
    ("names", "conflict"),
    [
        (["x", "x.png", "a/x.png", "a\\x", "x.PNG"], None),
        (["a/x.png", "b/x.png"], "'b/x.png' has the stem of 'a/x.png' in row 1"),
        (["x.png", "x.jpg"], "'x.jpg' has the stem of 'x.png' in row 1"),
        (["x", "a/x", "b/x"], "'b/x' has the stem of 'a/x' in row 1"),
        (["a/x.png", "x.webp"], "'x.webp' has the stem of 'a/x.png' in row 1"),
    ],
)
def test_one_stem_stands_for_one_image(tmp_path, names, conflict):
    """In both tables. A name may lack the folder or the suffix, but not have another."""
    votes = "".join(f"{name},{i},True,Anger\n" for i, name in enumerate(names))
    ratings = "".join(f"{name},{i},True,{{}}\n" for i, name in enumerate(names))
    for rows in (
        list(iter_votes(_write(tmp_path, VOTES + votes))),
        list(iter_ratings(_write(tmp_path, RATINGS + ratings))),
    ):
        bad = [row for row in rows if isinstance(row, BadRow)]
        assert [row.row for row in bad] == ([] if conflict is None else [len(names)])
        assert all(row.reason.startswith(conflict) for row in bad)
        assert {row.image_id for row in rows if row not in bad} == {"x"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("path,annotator,emotion\n1,a,Anger\n", "no column 'value'; found 'path, annotator"),
        (VOTES, "has a header but no rows"),
        ("path,annotator,value,emotion,value\n1,a,True,Anger,False\n", "'value' stands twice"),
        (VOTES + '1,a,True,"Anger\n', "broken CSV"),
    ],
)
def test_file_level_faults(tmp_path, text, said):
    with pytest.raises(EmoNetFaceError, match=said):
        list(iter_votes(_write(tmp_path, text)))


def test_missing_and_undecodable_files(tmp_path):
    with pytest.raises(EmoNetFaceError, match="cannot be read"):
        list(iter_votes(tmp_path / "nothing.csv"))
    (tmp_path / "b.csv").write_bytes(VOTES.encode() + b"\xff\xfe\xfa,a,True,Anger\n")
    with pytest.raises(EmoNetFaceError, match="not UTF-8"):
        list(iter_votes(tmp_path / "b.csv"))


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    path = tmp_path / "bom.csv"
    path.write_bytes(b"\xef\xbb\xbf" + (VOTES + "1,a,True,Anger\n").encode())
    assert [v.image_id for v in iter_votes(path)] == ["1"]


def test_a_literal_that_is_code_is_refused_and_never_runs(tmp_path):
    target = tmp_path / "ran"
    code = f"__import__('os').system('touch {target}')"
    (bad,) = iter_ratings(_write(tmp_path, f'{RATINGS}a.png,h,True,"{code}"\n'))
    assert isinstance(bad, BadRow)
    assert "not a dictionary of numbers" in bad.reason
    assert not os.path.exists(target)


def test_people_are_bounded_and_models_are_not(tmp_path):
    literal = "\"{'Negative High-Energy Emotions|Anger': 7.5}\""
    path = _write(tmp_path, f"{RATINGS}a.png,h,True,{literal}\na.png,m,False,{literal}\n")
    human, model = iter_ratings(path)
    assert isinstance(human, BadRow)
    assert "0..7" in human.reason
    assert model.scores.scores[INDEX["Anger"]] == 7.5
    assert len(model.scores.gaps) == len(EMOTIONS) - 1


@pytest.mark.parametrize(
    "literal",
    [
        "[1, 2]", "3", "{'Anger': '3'}", "{'Anger': None, 'anger': 1}", "{'Anger': 1, 'Anger': 1}",
        "{'Anger': 0x" + "F" * 6_000 + "}", "{", "{" + " " * 200_000 + "}",
    ],
)  # fmt: skip
def test_literals_that_are_no_ratings(tmp_path, literal):
    good = "b.png,h,True,{}"
    path = _write(tmp_path, f'{RATINGS}a.png,m,False,"{literal}"\n{good}\n')
    row, other = iter_ratings(path)
    assert isinstance(row, BadRow)
    assert len(row.reason) < 200
    assert isinstance(other, Rating)


plain = st.one_of(st.integers(0, 7), st.floats(0, 7))
odd = st.one_of(
    plain,
    st.none(),
    st.booleans(),
    st.sampled_from([8, -1, -0.5, 7.0001, float("nan"), float("inf"), 10**400, "3", [1]]),
)


@given(
    st.dictionaries(st.sampled_from(CATEGORIES), st.one_of(plain, odd)),
    st.dictionaries(st.sampled_from(DIMENSIONS), odd, max_size=2),
    st.booleans(),
    st.sampled_from(["null", "zero", "error"]),
)
def test_published_keys_and_plain_names_mean_the_same(said, extra, bounded, gaps):
    """Records of published keys take a short way; the same record by plain names the long one."""

    def outcome(name):
        record = {getattr(entry, name): value for entry, value in (said | extra).items()}
        try:
            return parse_scores(record, bounded=bounded, gaps=gaps)
        except EmoNetFaceError as error:
            return re.sub(r"'[^']*\|", "'", str(error))

    assert outcome("key") == outcome("name")
