"""Generated bad input (hypothesis): none is accepted silently, none ends in a traceback.

pytest tests/test_generated_faults.py

Each test puts one bad thing beside good ones. What comes out must be exactly the good rows and a
reject that names the file and the row, or an error of ours: never another row, never another
exception. Some 900 inputs in all.
"""

from __future__ import annotations

import csv
import io
import json
import os
import tarfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from raw_sources import RATINGS, RECORD, VOTES, draw, lines, ratings_csv, sidecar, votes_csv

from dataset_scripts import big, binary, hq
from dataset_scripts.rejects import Reject
from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import inspect_image
from emonet_face.ratings import resolve, resolve_dimension
from emonet_face.taxonomy import ALIASES, CATEGORIES

KEYS = {c.name: c.key for c in CATEGORIES}
many = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))

text = st.text(st.characters(codec="utf-8"), max_size=20)


def outcome(rows):
    """(rows, rejects) of a generator, or the error it ends with."""
    good, bad = [], []
    try:
        for row in rows:
            (bad if isinstance(row, Reject) else good).append(row)
    except EmoNetFaceError as error:
        assert "\n" not in str(error).strip()
        return error
    return good, bad


def csv_with(path, header, rows):
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


# --- one bad field in a table ---------------------------------------------------------------------


def names_nothing(key):
    for known in (resolve, resolve_dimension):
        try:
            known(key)
        except EmoNetFaceError:
            continue
        return False
    return True


unknown_keys = text.filter(names_nothing)
blank = st.text(" \t", max_size=3)
bad_names = blank | st.sampled_from(["../a.png", "x/../../a.png", "..", "/", "a/", "..\\a.png"])
not_truth = text.filter(lambda t: t.strip().lower() not in ("true", "false"))
bad_numbers = (
    st.integers(min_value=8)
    | st.integers(max_value=-1)
    | st.floats(min_value=7, exclude_min=True)
    | st.floats(max_value=0, exclude_max=True)
    | st.sampled_from([float("nan"), float("inf"), 10**400, -(10**400), True, False])
)
no_numbers = (
    text | st.binary(max_size=3) | st.lists(st.integers(), max_size=2) | st.complex_numbers()
)
bad_values = bad_numbers | no_numbers
CODE = (
    "__import__('os').system('touch ran')",
    "{'Anger': __import__('os').system('touch ran')}",
    "{'Anger': open('ran', 'w').write('x')}",
    "{'Anger': (lambda: 3)()}",
    "{'Anger': 3 + __import__('math').pi}",
    "[open('ran', 'w') for _ in (1,)]",
    "{'Anger': 3, **{'Awe': 1}}",
    "{'Anger': f'{3}'}",
    "{'Anger': 3 if True else 4}",
    "().__class__.__base__.__subclasses__()",
)


@st.composite
def bad_annotations(draw):
    """The text of an `annotations` cell that is no dictionary of ratings."""
    key = repr(KEYS[draw(st.sampled_from(list(KEYS)))])
    kind = draw(st.sampled_from(["value", "key", "code", "text", "twice"]))
    if kind == "value":
        return f"{{{key}: {draw(bad_values)!r}}}"
    if kind == "key":
        return repr({draw(unknown_keys): 3})
    if kind == "code":
        return draw(st.sampled_from(CODE))
    if kind == "twice":
        first, second = draw(st.permutations([1, 2]))
        return f"{{{key}: {first}, {key}{draw(blank)}: {second}}}"
    return draw(text.filter(lambda t: t.strip(" \t") != "{}"))


@st.composite
def bad_rating_rows(draw):
    row = ["c.png", "human-1", "True", repr({KEYS["Anger"]: 3})]
    bad = draw(st.sampled_from(["image", "annotator", "human", "annotations", "cells"]))
    if bad == "cells":
        return draw(st.sampled_from([row[:3], [*row, "more"]]))
    place = ["image", "annotator", "human", "annotations"].index(bad)
    row[place] = draw([bad_names, blank, not_truth, bad_annotations()][place])
    return row


@st.composite
def bad_vote_rows(draw):
    row = ["00002", "human-1", "True", "Anger"]
    bad = draw(st.sampled_from(["path", "annotator", "value", "emotion", "cells", "repeated"]))
    if bad == "cells":
        return draw(st.sampled_from([row[:3], [*row, "more"]]))
    if bad == "repeated":
        return list(draw(st.sampled_from(VOTES)))
    place = ["path", "annotator", "value", "emotion"].index(bad)
    row[place] = draw([bad_names, blank, not_truth, unknown_keys][place])
    return row


def check_table(path, header, good, bad, place, rows):
    """The bad row among the good ones is the one reject; the rest is what it is without it."""
    expected = outcome(rows(csv_with(path, header, good)))
    place = len(good) if bad in good else place  # what repeats comes second
    found = outcome(rows(csv_with(path, header, [*good[:place], bad, *good[place:]])))
    if isinstance(found, EmoNetFaceError):  # the file as a whole
        assert path.name in str(found)
        assert "broken CSV" in str(found)
        return
    assert found[0] == expected[0]
    (reject,) = found[1]
    assert (reject.file, reject.row) == (str(path), place + 1)
    assert reject.reason


@many
@given(bad_rating_rows(), st.integers(0, len(RATINGS)))
def test_a_bad_row_of_ratings_is_rejected_alone(tmp_path_factory, bad, place):
    folder = tmp_path_factory.getbasetemp()
    good = [
        [image, annotator, str(human), repr({KEYS[name]: score for name, score in scores.items()})]
        for image, annotator, human, scores in RATINGS
    ]
    header = ["image", "annotator", "human", "annotations"]
    check_table(folder / "hq.csv", header, good, bad, place, hq.rows)
    assert not os.path.exists("ran")


@many
@given(bad_vote_rows(), st.integers(0, len(VOTES)))
def test_a_bad_row_of_votes_is_rejected_alone(tmp_path_factory, bad, place):
    path = tmp_path_factory.getbasetemp() / "binary.csv"
    good = [list(row) for row in VOTES]
    check_table(path, ["path", "annotator", "value", "emotion"], good, bad, place, binary.rows)


@pytest.mark.parametrize("config", ["hq", "binary"])
def test_a_table_cut_off_anywhere_gives_no_row_that_is_not_in_it(tmp_path, config):
    """Every length in bytes: the last row is whole, rejected, or the file is refused."""
    module = {"hq": hq, "binary": binary}[config]
    path = tmp_path / f"{config}.csv"
    (ratings_csv(path, *RATINGS) if config == "hq" else votes_csv(path, *VOTES))
    whole = path.read_bytes()

    def said(rows):
        """All single judgements in some rows."""
        judgements = set()
        for row in rows:
            for entry in row["ratings"] if config == "hq" else row["votes"]:
                judgements.add((row["image_id"], json.dumps(entry)))
        return judgements

    everything, n_errors = said(outcome(module.rows(path))[0]), 0
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        found = outcome(module.rows(path))
        if isinstance(found, EmoNetFaceError):
            n_errors += 1
            assert path.name in str(found)
        else:
            good, bad = found
            assert said(good) <= everything
            assert len(bad) <= 1
            lines_left = whole[:length].count(b"\n") - 1 + (not whole[:length].endswith(b"\n"))
            assert len(said(good)) + len(bad) == lines_left
    assert n_errors > 20


def test_no_beginning_of_a_name_is_another_name():
    """Else the last row of a votes file that was cut off could name another category."""
    known = {s for c in CATEGORIES for s in (c.name, c.slug, f"model_{c.slug}_best")}
    known |= {s for alias in ALIASES for s in (alias, alias.lower())}
    assert not known & {spelling[:end] for spelling in known for end in range(len(spelling))}
    assert not any(map(names_nothing, known))


# --- one bad record -------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | text,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(text, inner, max_size=2),
    max_leaves=4,
)
not_text = json_values.filter(lambda v: not isinstance(v, str) and v is not None) | blank
no_json_numbers = (bad_numbers | text | st.lists(st.integers(), max_size=1)).map(
    lambda v: v if v == v and v not in (float("inf"), float("-inf")) else "NaN"
)
known_record_keys = {"annotator", "scores", "dimensions", "annotations", "prompt", "generator",
                     "image_id", "sha256", "width", "height", "seed", "intensities",
                     "prompted_emotion", "prompted_ethnicity", "prompted_age",
                     "prompted_gender"}  # fmt: skip


@st.composite
def bad_records(draw):
    record = {"annotator": "vlm", "scores": {"Anger": 3}}
    kind = draw(st.sampled_from(["annotator", "scores", "value", "key", "dimension", "unknown",
                                 "text", "age", "emotion", "fact", "both"]))  # fmt: skip
    if kind == "annotator":
        record["annotator"] = draw(not_text | st.none())
    elif kind == "scores":
        record["scores"] = draw(json_values.filter(lambda v: not isinstance(v, dict)))
    elif kind == "value":
        record["scores"] = {"Anger": draw(no_json_numbers)}
    elif kind == "key":
        record["scores"] = {draw(unknown_keys): 1}
    elif kind == "dimension":
        record["dimensions"] = draw(st.sampled_from([{"valence": 3.5}, {"arousal": "high"},
                                                     {"joy": 1}, [], {"Anger": 1}, 7]))  # fmt: skip
    elif kind == "unknown":
        record[draw(text.filter(lambda t: t not in known_record_keys))] = 1
    elif kind == "text":
        key = draw(
            st.sampled_from(["prompt", "generator", "prompted_gender", "prompted_ethnicity"])
        )
        record[key] = draw(not_text)
    elif kind == "age":
        age = not_text | st.integers(max_value=-1) | st.integers(min_value=121) | text
        record["prompted_age"] = draw(
            age.filter(lambda v: isinstance(v, bool) or not isinstance(v, int) or not 0 <= v <= 120)
        )
    elif kind == "emotion":
        record["prompted_emotion"] = draw(not_text | unknown_keys.filter(str.strip))
    elif kind == "fact":
        key = draw(st.sampled_from(["image_id", "sha256", "width", "height"]))
        record[key] = draw(json_values.filter(lambda v: v is not None and v not in ("bad", 8, 6)))
    else:
        record["annotations"] = draw(json_values.filter(lambda v: v is not None))
    return record


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """A Big source with a good pair before and one behind the pair `bad`, and their rows."""
    folder = tmp_path_factory.mktemp("pairs")
    for shade, name in enumerate(("a", "bad", "c")):
        draw(folder / f"{name}.png", shade=shade)
        sidecar(folder / f"{name}.json", **RECORD)
    return folder, {row["image_id"]: row for row in big.rows(folder)}


def check_pair(folder, rows, where):
    good, bad = outcome(big.rows(folder))
    assert good == [rows["a"], rows["c"]]
    (reject,) = bad
    assert reject.file == str(folder / where)
    assert reject.reason


@many
@given(bad_records())
def test_a_bad_record_rejects_its_image_alone(pairs, record):
    folder, rows = pairs
    sidecar(folder / "bad.json", **record)
    check_pair(folder, rows, "bad.png")


@many
@given(st.data())
def test_a_record_with_other_bytes_is_the_same_or_rejected(pairs, data):
    """Any bytes in place of any bytes: the labels stay what they are, or the image goes.

    What is still a record says something else or the same; it is compared with what it says.
    """
    folder, rows = pairs
    whole = json.dumps(RECORD).encode()
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    changed = whole[:start] + data.draw(st.binary(max_size=4)) + whole[end:]
    (folder / "bad.json").write_bytes(changed)
    good, bad = outcome(big.rows(folder))
    if bad:
        check_pair(folder, rows, "bad.png")
        return
    says = json.loads(changed.decode("utf-8-sig"))
    row = {row["image_id"]: row for row in good}["bad"]
    ((entry,), scores) = row["ratings"], says["scores"]
    assert (entry["annotator"], row["prompted_age"]) == (
        says["annotator"],
        says.get("prompted_age"),
    )
    given_scores = [score for score in entry["scores"] if score is not None]
    assert given_scores == [float(v) for v in scores.values() if v is not None]
    assert says.keys() <= known_record_keys


@many
@given(
    bad_records().filter(lambda r: not {"prompted_emotion", "prompted_age"} & r.keys()), st.data()
)
def test_a_bad_line_of_labels_is_rejected_alone(tmp_path_factory, record, data):
    folder = tmp_path_factory.getbasetemp() / "labelled"
    if not folder.exists():
        draw(folder / "a.png")
    only = {"annotator", "scores", "dimensions"}
    line = {key: value for key, value in record.items() if key in only}
    if line == {"annotator": "vlm", "scores": {"Anger": 3}}:
        line["image"] = data.draw(bad_names | st.just("gone.png") | not_text)
    else:
        line["image"] = "a.png"
    good = {"image": "a.png", "annotator": "other", "scores": {"Awe": 1}}
    path = lines(folder.with_name("labels.jsonl"), good, line)
    found, bad = outcome(big.rows(folder, labels=path))
    assert [entry["annotator"] for row in found for entry in row["ratings"]] == ["other"]
    (reject,) = bad
    assert (reject.file, reject.row) == (str(path), 2)


# --- bad images -----------------------------------------------------------------------------------


def encoded(form, **options):
    noise = np.random.default_rng(0).integers(0, 256, (24, 16, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, form, **options)
    return stream.getvalue()


IMAGES = {
    "png": encoded("PNG"),
    "jpeg": encoded("JPEG", quality=90),
    "progressive": encoded("JPEG", progressive=True),
    "webp": encoded("WEBP"),
    "lossless": encoded("WEBP", lossless=True),
}


@pytest.mark.parametrize("form", IMAGES)
def test_an_image_cut_off_anywhere_is_refused(form):
    data = IMAGES[form]
    for length in range(len(data)):
        with pytest.raises(EmoNetFaceError, match="face"):
            inspect_image(data[:length], "face")
    assert inspect_image(data, "face").width == 16


@many
@given(st.data())
def test_a_png_with_any_byte_changed_is_refused(data):
    png = bytearray(IMAGES["png"])
    place = data.draw(st.integers(0, len(png) - 1))
    png[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(EmoNetFaceError):
        inspect_image(bytes(png), "face")


@many
@given(st.sampled_from(list(IMAGES)), st.data())
def test_a_damaged_image_is_refused_or_a_picture(form, data):
    """JPEG and WebP hold no checksums: what decodes is a picture, with the hash of its bytes."""
    whole = IMAGES[form]
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    changed = whole[:start] + data.draw(st.binary(max_size=8)) + whole[end:]
    try:
        found = inspect_image(changed, "face")
    except EmoNetFaceError as error:
        assert str(error).startswith("face: ")
        return
    with Image.open(io.BytesIO(changed)) as image:
        image.load()
        assert (found.width, found.height) == image.size


# --- bad archives ---------------------------------------------------------------------------------


@many
@given(st.data())
def test_a_damaged_archive_is_refused_or_what_it_holds(tmp_path_factory, pairs, data):
    folder, _ = pairs
    sidecar(folder / "bad.json", **RECORD)
    path = tmp_path_factory.getbasetemp() / "x.tar"
    with tarfile.open(path, "w") as archive:
        for name in ("a.png", "a.json", "c.png", "c.json"):
            archive.add(folder / name, name)
    whole = outcome(big.rows(path))[0]
    changed = bytearray(path.read_bytes())
    end = data.draw(st.integers(0, 4 * 1024))  # headers and contents; behind them only padding
    if data.draw(st.booleans()):
        del changed[end:]
    else:
        changed[end] ^= data.draw(st.integers(1, 255))
    path.write_bytes(changed)
    found = outcome(big.rows(path))
    if isinstance(found, EmoNetFaceError):
        assert "x.tar" in str(found)
        return
    good, bad = found
    # A byte of a record may be another digit: the images at least are those that were packed.
    images = {row["sha256"] for row in whole}
    assert {row["sha256"] for row in good} <= images
    assert len(good) + len({r.file.rpartition(".")[0] for r in bad}) >= 2
