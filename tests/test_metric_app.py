"""The metric's page: what it computes, what it refuses, that it builds.

pytest tests/test_metric_app.py

The file is loaded by its path, as a Space runs it, with nothing of ours importable beside it.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

import eval_metrics

PATH = Path(eval_metrics.__file__).parent / "emonet_face_agreement" / "app.py"
PREDICTIONS = [[0.2, 5.1], [3.4, 0.0], [6.8, 1.2]]
RATINGS = [[[0, 6], [0, 5]], [[4, 0], [2, 1]], [[7, 0], [7, 2], [6, 1]]]


@pytest.fixture(scope="module")
def app():
    pytest.importorskip("gradio", reason="the page needs gradio (extra 'space')")
    spec = importlib.util.spec_from_file_location("metric_app", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def expected(app):
    import evaluate

    metric = evaluate.load(str(PATH.parent), keep_in_memory=True)
    return metric.compute(
        predictions=PREDICTIONS, references=RATINGS, emotions=["Elation", "Sadness"], n_resamples=50
    )


def test_csv_gives_what_the_metric_gives(app, expected):
    summary, rows = app.agreement(app.EXAMPLE_PREDICTIONS, app.EXAMPLE_RATINGS, False, 50)
    assert summary.startswith("3 images, means over 2 emotions:")
    low, high = expected["weighted_kappa_ci"]
    line = f"**{expected['weighted_kappa']:.3f}** [{low:.3f}, {high:.3f}]"
    assert line in summary
    assert [row[0] for row in rows] == ["Elation", "Sadness"]
    assert all(len(row) == len(app.HEADER) for row in rows)
    sadness = dict(zip(app.HEADER, rows[1], strict=True))
    assert sadness["spearman"] == f"{expected['per_emotion']['Sadness']['spearman']:.3f}"


def test_json_gives_the_same(app):
    csv = app.agreement(app.EXAMPLE_PREDICTIONS, app.EXAMPLE_RATINGS, False, 20)
    text = json.dumps(PREDICTIONS), json.dumps(RATINGS)
    summary, rows = app.agreement(*text, False, 20)
    assert summary == csv[0]
    assert [row[1:] for row in rows] == [row[1:] for row in csv[1]]
    assert [row[0] for row in rows] == ["0", "1"]


def test_raters_of_a_csv_keep_their_names(app):
    arguments = app.read_inputs(app.EXAMPLE_PREDICTIONS, app.EXAMPLE_RATINGS)
    assert arguments["rater_ids"] == [["human-1", "human-2"]] * 2 + [
        ["human-1", "human-2", "human-3"]
    ]
    pooled, _ = app.agreement(app.EXAMPLE_PREDICTIONS, app.EXAMPLE_RATINGS, False, 0)
    single, _ = app.agreement(app.EXAMPLE_PREDICTIONS, app.EXAMPLE_RATINGS, True, 0)
    assert pooled != single
    assert "[" not in pooled  # no resamples, no intervals


def test_undefined_is_said_and_not_shown_as_a_number(app):
    flat = "image,Elation\na,1\nb,1\n"
    ratings = "image,rater,Elation\na,r,0\nb,r,3\n"
    _, rows = app.agreement(flat, ratings, False, 0)
    found = dict(zip(app.HEADER, rows[0], strict=True))
    assert found["spearman"] == found["human_kappa"] == "undefined"
    assert found["weighted_kappa"] == "0.000"


@pytest.mark.parametrize(
    ("predictions", "ratings", "said"),
    [
        ("", "[]", "predictions: nothing is given"),
        ("[[1]]", "image,rater,A\na,r,1\n", "one of the two is JSON and the other CSV"),
        ("[[1]", "[[[1]]]", "predictions: is not JSON"),
        ("name,A\na,1\n", "image,rater,A\na,r,1\n", "the header must be image and then"),
        ("image,A\n", "image,rater,A\na,r,1\n", "predictions: has a header but no rows"),
        ("image,A\na,1,2\n", "image,rater,A\na,r,1\n", "row 1: 3 cells instead of 2"),
        ("image,A\na,x\n", "image,rater,A\na,r,1\n", "row 1: holds a cell that is no number"),
        ("image,A\na,1\na,2\n", "image,rater,A\na,r,1\n", "row 2: a stand there twice"),
        ("image,A\na,1\n", "image,rater,B\na,r,1\n", "emotion columns are not those"),
        ("image,A\na,1\nb,1\n", "image,rater,A\na,r,1\n", "ratings: image 'b' is missing"),
        ("image,A\na,1\n", "image,rater,A\na,r,1\nc,r,1\n", "predictions: image 'c' is missing"),
        ("image,A\na,1\n", "image,rater,A\na,r,9\n", "ratings lie in 0..7"),
    ],
)
def test_faults_are_named(app, predictions, ratings, said):
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        app.agreement(predictions, ratings, False, 0)


@pytest.mark.parametrize("given", [None, 2.5, -1])
def test_resamples_are_a_whole_number(app, given):
    import gradio

    with pytest.raises(gradio.Error, match=r"resamples: .* a whole number from 0 is needed"):
        app._shown(app.EXAMPLE_PREDICTIONS, app.EXAMPLE_RATINGS, False, given)


def test_raters_need_names(app):
    with pytest.raises(ValueError, match="needs CSV, where column 'rater' names them"):
        app.agreement(json.dumps(PREDICTIONS), json.dumps(RATINGS), True, 0)


def test_the_page_builds_and_shows_faults_in_words(app):
    import gradio

    page = app.build()
    assert isinstance(page, gradio.Blocks)
    labels = {str(block.label) for block in page.blocks.values() if hasattr(block, "label")}
    assert {"predictions", "ratings", "resamples of the images"} <= labels
    with pytest.raises(gradio.Error, match="nothing is given"):
        app._shown("", "", False, 0)


def test_the_card_names_the_page(app):
    from emonet_face.front_matter import read_front_matter

    front, _ = read_front_matter(PATH.parent)
    assert front["sdk"] == "gradio"
    assert front["app_file"] == PATH.name
    required = (PATH.parent / "requirements.txt").read_text()
    assert "gradio" in required
    assert "evaluate" in required
