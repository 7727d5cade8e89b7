"""The annotators' report: habits against hand counts, and controls that catch who never looked.

pytest tests/test_annotator_report.py
"""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from emonet_face import EmoNetFaceError
from emonet_face.cli import main
from emonet_face.ratings import Scores
from emonet_face.released import Rating, write_ratings
from emonet_face.taxonomy import EMOTIONS
from generation.annotators.control_tests import OWN, control_tests
from generation.annotators.habits import habits_of
from generation.annotators.report import annotator_report
from generation.annotators.said import Annotator, read_annotators, stacked

N = 60
ABOUT = {"model": "m", "protocol": "multi-shot", "prompt": "1", "sampling": {}}


@pytest.fixture
def truth():
    """(N, 40) levels that people see, mostly 0."""
    rng = np.random.default_rng(0)
    return np.where(rng.random((N, 40)) < 0.2, rng.integers(1, 8, (N, 40)), 0).astype(float)


def noisy(truth, seed, share=0.1):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(truth.shape) < share, rng.integers(0, 8, truth.shape), truth)


def annotator(name, scores, *, human=False, control=None, shown=None, about=ABOUT):
    rows = {f"f{i:03d}": row for i, row in enumerate(scores)}
    named = {f"f{i:03d}": f"f{j:03d}" for i, j in enumerate(shown)} if shown is not None else {}
    return Annotator(name, human, {} if human else about, control, named, rows)


def people(truth):
    return [annotator(f"human-{n}", noisy(truth, n), human=True) for n in (1, 2, 3)]


def found_by(annotators):
    images, scores = stacked(annotators)
    found = control_tests(annotators, images, scores, n_resamples=200)
    return {(t.annotator, t.control, t.measure.split()[0]): t for t in found}


def test_habits_are_counted_right():
    one = np.zeros((2, 40))
    one[0, :3] = (2, 4, 6)  # image 0: three marked; image 1: one
    one[1, 0] = 4
    other = np.zeros((2, 40))
    other[:, 0] = (1, 5)
    a, b = annotator("a", one), annotator("b", other, human=True)
    a.seconds += [2.0, 4.0, 9.0]
    a.failures["no object"] = 2
    _, scores = stacked([a, b])
    first, second = habits_of([a, b], scores)
    assert (first.n_images, first.n_distinct, first.marked_mean) == (2, 2, 2.0)
    assert first.marked_sd == pytest.approx(2**0.5)
    assert first.strength == pytest.approx((2 + 4 + 6 + 4) / 4)
    assert first.level_shares.tolist() == pytest.approx(
        [76 / 80, 0, 1 / 80, 0, 2 / 80, 0, 1 / 80, 0]
    )
    # Category 0: (2 - 1) and (4 - 5), mean 0; 1: 4 and 0, mean 2; 2: 6 and 0, mean 3; of 40.
    assert first.category_bias[:3].tolist() == [0, 2, 3]
    assert first.bias == pytest.approx(5 / 40) == -second.bias
    assert first.failure_rate == 0.5
    assert (first.seconds, first.images_per_hour) == (4.0, 900.0)
    assert np.isnan(second.images_per_hour)
    kappa = cohen_kappa_score([2, 4], [1, 5], weights="quadratic", labels=range(8))
    # Where one of the two never marks a category, kappa is 0; where neither does, undefined.
    assert first.kappa_people == pytest.approx((kappa + 0 + 0) / 3)
    assert np.isnan(second.kappa_people)
    assert second.kappa_rest == pytest.approx(first.kappa_rest)


def test_nobody_else_and_nothing_said_are_undefined():
    lonely, silent = annotator("a", np.ones((3, 40))), Annotator("b", False)
    _, scores = stacked([lonely, silent])
    one, none = habits_of([lonely, silent], scores)
    assert np.isnan([one.bias, one.kappa_rest, one.seconds]).all()
    assert none.failure_rate is None
    assert none.n_images == 0
    assert np.isnan([none.marked_mean, none.strength, *none.level_shares]).all()


def test_who_looks_is_told_from_every_control(truth):
    shown = np.roll(np.arange(N), 1)
    seer = annotator("seer", noisy(truth, 7))
    found = found_by(
        [
            *people(truth),
            seer,
            annotator("grey", np.tile(truth[0], (N, 1)), control="grey"),
            annotator("shuffled", noisy(truth, 8)[shown], control="shuffled", shown=shown),
            annotator("constant", np.zeros((N, 40)), control="constant"),
        ]
    )
    assert {key[1:] for key in found} == {
        (OWN, "kappa"), ("grey", "kappa"), ("grey", "deviation"), ("shuffled", "kappa"),
        ("shuffled", "nearness"), ("constant", "kappa"),
    }  # fmt: skip
    assert all(test.told_apart for test in found.values())
    assert all("is told from its control" in str(test) for test in found.values())


def test_who_never_looks_is_not(truth):
    """Answers with the frequencies of real ones, dealt to the wrong images: a lost picture."""
    rng = np.random.default_rng(9)
    blind = [noisy(truth, n)[rng.permutation(N)] for n in range(3)]
    shown = np.roll(np.arange(N), 1)
    found = found_by(
        [
            *people(truth),
            annotator("blind", blind[0]),
            annotator("grey", blind[1], control="grey"),
            annotator("shuffled", blind[2], control="shuffled", shown=shown),
            annotator("constant", np.zeros((N, 40)), control="constant"),
        ]
    )
    assert len(found) == 6
    assert not any(test.told_apart for test in found.values())
    assert all("CANNOT BE TOLD FROM its control" in str(test) for test in found.values())


def test_one_answer_for_all_is_not_told_apart(truth):
    """The stored zero-shot replies of the published collection: two faces, the same 25 values."""
    constant = annotator("constant", np.tile(truth[3], (N, 1)))
    (test,) = found_by([*people(truth), constant]).values()
    assert (test.value, test.difference, test.told_apart) == (0, 0, False)


def test_a_readout_is_calibrated_before_it_is_compared(truth):
    # Probabilities around .6 round to one level each: kappa of the raw scores is near 0.
    about = ABOUT | {"protocol": "readout"}
    squeezed = 4.1 + 0.3 * truth / 7 + np.random.default_rng(0).normal(0, 1e-3, truth.shape)
    (test,) = found_by([*people(truth), annotator("r", squeezed, about=about)]).values()
    assert test.value > 0.5
    assert test.told_apart


def test_few_images_and_other_models_say_nothing(truth):
    few = [annotator("human-1", truth[:5], human=True), annotator("m", truth[:5])]
    (test,) = found_by(few).values()
    assert test.told_apart is None
    assert "nothing can be said" in str(test)
    other = annotator("grey", truth, control="grey", about=ABOUT | {"model": "another"})
    assert {key[1] for key in found_by([*people(truth), annotator("m", truth), other])} == {OWN}


@pytest.fixture
def files(truth, tmp_path):
    """A ratings table with two models and two files of `annotate`."""
    rows = []
    for name, human, scores in [
        *((f"human-{n}", True, noisy(truth, n)) for n in (1, 2)),
        ("Good MS", False, noisy(truth, 5)),
        ("Lost ZS", False, np.tile(truth[0], (N, 1))),
    ]:
        rows += [
            Rating(f"f{i:03d}.png", f"f{i:03d}", name, human, Scores(row.tolist()))
            for i, row in enumerate(scores)
        ]
    write_ratings(tmp_path / "hq.csv", rows)
    for control in (None, "grey"):
        lines = []
        for i in range(N):
            line = {"image": f"f{i:03d}.png", "annotator": f"vlm {control}", **ABOUT}
            line |= {"control": control, "shown": "grey"} if control else {}
            if i % 10 == 0:
                lines.append(line | {"error": "no object", "raw": "?"})
            elif i == 1:
                lines.append(line | {"error": "no answer", "final": False})
            else:
                scores = truth[0] if control else truth[i]
                named = dict(zip(EMOTIONS, scores.tolist(), strict=True))
                lines.append(line | {"scores": named, "seconds": 1.5})
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / f"vlm-{control}.jsonl").write_text(text)
    return [tmp_path / name for name in ("hq.csv", "vlm-None.jsonl", "vlm-grey.jsonl")]


def test_the_report_is_written_and_says_it_plainly(files, tmp_path, capsys):
    out = tmp_path / "report"
    assert main(["annotate-report", *map(str, files), "--out", str(out), "--resamples", "100"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Lost ZS CANNOT BE TOLD FROM its control, own answers, dealt out" in text
    assert "Good MS is told from its control, own answers, dealt out" in text
    assert "vlm None is told from its control, vlm grey (deviation" in text
    assert "vlm None: 6 x no object" in text
    assert "vlm None: 1 images without an answer" in text
    tables = {}
    for path in out.glob("*.csv"):
        with path.open(newline="") as stream:
            tables[path.stem] = list(csv.DictReader(stream))
    by_name = {row["annotator"]: row for row in tables["annotators"]}
    assert list(by_name)[:2] == ["human-1", "human-2"], "people first"
    assert float(by_name["vlm None"]["failed"]) == pytest.approx(6 / 59)
    assert by_name["vlm None"]["seconds"] == "1.5"
    assert by_name["human-1"]["seconds"] == "", "not recorded"
    assert by_name["Lost ZS"]["distinct"] == "1"
    assert len(tables["agreement"]) == 6 * 5 / 2
    assert list(tables["bias"][0]) == ["annotator", *EMOTIONS]
    assert json.loads((out / "report.json").read_text())["made_by"] == "emonet-face annotate-report"
    before = (out / "controls.csv").read_bytes()
    annotator_report(files, out, n_resamples=100)
    assert (out / "controls.csv").read_bytes() == before, "same seed, same bytes"


def test_a_reply_may_hold_line_breaks_that_json_keeps(tmp_path):
    """U+2028 and U+0085 stand in JSON text as they are; once they were taken for ends of lines."""
    path = tmp_path / "a.jsonl"
    line = {"annotator": "a", "image": "x.png", "scores": {"Anger": 3}, "raw": "a\u2028b\u0085c"}
    path.write_text(json.dumps(line, ensure_ascii=False) + "\n", encoding="utf-8")
    (annotator,) = read_annotators([path])
    assert list(annotator.scores) == ["x"]


def test_an_annotator_of_whom_every_reply_failed_is_reported(tmp_path):
    line = '{"image": "%s.png", "annotator": "m", "error": "not JSON"}\n'
    path = tmp_path / "all.jsonl"
    path.write_text("".join(line % name for name in "ab"))
    report = annotator_report([path], tmp_path / "report")
    (row,) = report.rows()
    assert row[:3] == ("m", 0, 1.0)
    assert report.statements() == ["m: 2 x not JSON"]


def test_bad_input_is_one_line(files, tmp_path):
    for text, message in [
        ('{"annotator": "a"}\n', "line 1: is no line of `annotate`"),
        ('{"annotator": "a", "image": "x.png"}\n', "has neither 'scores' nor 'error'"),
        ('{"annotator": "a", "image": "x.png", "scores": {"Anger": 9}}\n', "must lie in 0..7"),
        ('{"annotator": "a", "image": "x.png", "present": true}\n', "is a vote"),
        ('{"annotator": {}, "image": "x.png"}\n', "line 1: is no line of `annotate`"),
        ("[" * 100_000 + "\n", "line 1: is no line of `annotate`"),
        ('{"annotator": "a", "image": "x.png", "error": "e", "seconds": "soon"}\n', "'seconds' is"),
        (
            '{"annotator": "a", "image": "x.png", "error": "e", "seconds": NaN}\n',
            "'seconds' is nan",
        ),
        ('{"annotator": "a", "image": "x.png", "error": "e", "control": "grey"}\n', "was 'shown'"),
        ("", "nobody said anything in them"),
    ]:
        path = tmp_path / "bad.jsonl"
        path.write_text(text)
        with pytest.raises(EmoNetFaceError, match=message):
            read_annotators([path])
    with pytest.raises(EmoNetFaceError, match="has rated 'f000' differently before"):
        other = tmp_path / "other.csv"
        other.write_text(
            "image,annotator,human,annotations\nf000.png,human-1,True,\"{'Anger': 1}\"\n"
        )
        read_annotators([files[0], other])
    with pytest.raises(EmoNetFaceError, match=r"give \.jsonl of `annotate` or \.csv"):
        read_annotators([tmp_path / "notes.txt"])
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "x").write_text("mine")
    with pytest.raises(EmoNetFaceError, match="was not made by this command"):
        annotator_report(files, foreign, n_resamples=10)
