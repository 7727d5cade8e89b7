"""The `evaluate` metric as its users load it: results against references, and every fault named.

pytest tests/test_metric.py
"""

from __future__ import annotations

import doctest
import json
import os
import re
import shutil
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import evaluate
import krippendorff
import numpy as np
import pytest
import yaml
from scipy import stats
from sklearn.metrics import cohen_kappa_score

from emonet_face.taxonomy import EMOTIONS, RATING_MAX, RATING_MIN
from eval_metrics.emonet_face_agreement import emonet_face_agreement, inputs

FOLDER = Path(emonet_face_agreement.__file__).parent
KEYS = [
    f"{name}{end}"
    for name in ("weighted_kappa", "spearman", "human_kappa", "krippendorff_alpha")
    for end in ("", "_ci")
]
EXACT = {"rtol": 0, "atol": 1e-12}


@pytest.fixture(scope="module")
def metric():
    return evaluate.load(str(FOLDER))


def make_data(n_images: int = 30, k: int = 3, seed: int = 0, names=("a", "b", "c", "d")):
    """Scores, 1 to 4 raters of each image and their names: correlated, sparse, ragged."""
    rng = np.random.default_rng(seed)
    truth = rng.gamma(0.7, 2.0, (n_images, k))
    scores = (truth + rng.normal(0, 1.5, (n_images, k))).tolist()
    ratings, rater_ids = [], []
    for image in truth:
        own = rng.permutation(names)[: rng.integers(1, len(names) + 1)].tolist()
        noisy = image + rng.normal(0, 1, (len(own), k))
        ratings.append(np.clip(np.round(noisy), 0, 7).tolist())
        rater_ids.append(own)
    return scores, ratings, rater_ids


def kappa(a, b):
    return cohen_kappa_score(
        np.asarray(a, dtype=int), np.asarray(b, dtype=int), labels=range(8), weights="quadratic"
    )


def levels(values):
    return np.clip(np.floor(np.asarray(values) + 0.5), 0, 7)


# Loading


@pytest.mark.parametrize("way", ["folder", "script", "bare name"])
def test_loads_as_users_write_it(way, monkeypatch):
    monkeypatch.chdir(FOLDER.parent)
    path = {
        "folder": "./emonet_face_agreement",
        "script": str(FOLDER / "emonet_face_agreement.py"),
        "bare name": "emonet_face_agreement",
    }[way]
    loaded = evaluate.load(path)
    assert loaded.name == "emonet_face_agreement"
    result = loaded.compute(predictions=[[1], [4]], references=[[[0], [2]], [[4], [4]]])
    assert result["weighted_kappa"] == pytest.approx(0.9)


def test_loads_where_only_the_folder_is(tmp_path, monkeypatch):
    # a changed copy, so that it is imported anew, with the project's packages blocked
    copy = shutil.copytree(
        FOLDER, tmp_path / FOLDER.name, ignore=shutil.ignore_patterns("__pycache__")
    )
    with (copy / "inputs.py").open("a", encoding="utf-8") as file:
        file.write("\nCOPIED = True\n")
    for package in ("emonet_face", "eval_metrics"):
        for name in [name for name in sys.modules if name.split(".")[0] == package]:
            monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.chdir(tmp_path)
    loaded = evaluate.load(FOLDER.name)
    assert sys.modules[type(loaded).__module__.rpartition(".")[0] + ".inputs"].COPIED
    result = loaded.compute(predictions=[[1], [4]], references=[[[0], [2]], [[4], [4]]])
    assert result["human_kappa"] == pytest.approx(7 / 11)


def test_loads_as_a_space(tmp_path):
    """From an address as the Hub's: a server with the folder as the Space org/<name>, nothing else.

    In a process of its own, because the library reads the address when it is imported.
    """
    asked = []

    class Space(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            place, _, name = self.path.rpartition("/resolve/main/")
            file = FOLDER / name
            found = place == f"/spaces/org/{FOLDER.name}" and file.is_file()
            self.send_response(200 if found else 404)
            self.end_headers()
            if found and self.command == "GET":
                self.wfile.write(file.read_bytes())

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    code = (
        "import evaluate\n"
        f"metric = evaluate.load('org/{FOLDER.name}')\n"
        "print(metric.compute(predictions=[[1], [4]], references=[[[0], [2]], [[4], [4]]],"
        " n_resamples=0)['weighted_kappa'])"
    )
    with ThreadingHTTPServer(("127.0.0.1", 0), Space) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        changed = {
            "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
            "HF_HOME": str(tmp_path / "home"),
            "HF_MODULES_CACHE": str(tmp_path / "modules"),
            "HF_EVALUATE_OFFLINE": "0",
            "HF_HUB_OFFLINE": "0",
        }
        done = subprocess.run(
            [sys.executable, "-c", code], env=os.environ | changed, cwd=tmp_path,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        server.shutdown()
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(0.9)
    fetched = {path.rpartition("/")[2] for path in asked if "/resolve/main/" in path}
    assert fetched >= {"emonet_face_agreement.py", "inputs.py", "kappas.py"}
    assert "app.py" not in fetched


def test_facts_kept_twice_are_equal(metric):
    # uploaded files may not import the core
    assert emonet_face_agreement.EMOTIONS == EMOTIONS
    assert (inputs.RATING_MIN, inputs.RATING_MAX) == (RATING_MIN, RATING_MAX)
    assert emonet_face_agreement.CITATION in (FOLDER / "README.md").read_text(encoding="utf-8")
    assert metric.citation == emonet_face_agreement.CITATION


def test_documented_examples_run(metric, monkeypatch):
    monkeypatch.chdir(FOLDER.parent)
    examples = doctest.DocTestParser().get_doctest(
        metric.inputs_description, {"evaluate": evaluate}, "inputs", None, None
    )
    assert len(examples.examples) >= 5
    assert doctest.DocTestRunner().run(examples).failed == 0
    assert doctest.testmod(inputs).failed == 0


def test_card_names_exactly_what_is_returned(metric):
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    outputs = text.split("## Outputs")[1].split("## Definitions")[0]
    assert re.findall(r"^\| `(\w+)` \|", outputs, re.MULTILINE) == [*KEYS, "per_emotion"]
    named = text.split("## Inputs")[1].split("## Outputs")[0]
    arguments = re.findall(r"^\| `(\w+)` \|", named, re.MULTILINE)
    accepted = emonet_face_agreement.EmonetFaceAgreement.compute.__kwdefaults__
    assert arguments == list(accepted)
    for argument in arguments:
        assert f"    {argument}: " in metric.inputs_description
    front = yaml.safe_load(text.split("---")[1])
    assert front["sdk"] == "gradio"
    assert front["tags"] == ["evaluate", "metric"]
    if "app_file" in front:
        assert (FOLDER / front["app_file"]).is_file()


# Values


def test_values_derived_by_hand(metric):
    # Raters (0, 2) and (4, 4), scores 1.2 and 3.6, which are the levels 1 and 4.
    # Pooled pairs (1,0) (1,2) (4,4) (4,4): observed 1 + 1 = 2, expected 34 + 36 - 2*10*10/4 = 20:
    # kappa 0.9. Human pairs (0,2) (2,0) (4,4) (4,4): observed 8, expected 72 - 50 = 22: 7/11.
    # Alpha: observed 2*4/1/4 = 2, expected 88/12: 8/11. Medians 1 and 4 rank as the scores: 1.
    result = metric.compute(
        predictions=[[1.2], [3.6]], references=[[[0], [2]], [[4], [4]]], emotions=["Awe"]
    )
    expected = [0.9, 1.0, 7 / 11, 8 / 11]
    np.testing.assert_allclose([result[key] for key in KEYS[::2]], expected, **EXACT)
    one = result["per_emotion"]["Awe"]
    np.testing.assert_allclose([one[key] for key in KEYS[::2]], expected, **EXACT)


def test_pooled_values_equal_the_references(metric):
    scores, ratings, _ = make_data()
    result = metric.compute(predictions=scores, references=ratings, n_resamples=0)
    assert list(result["per_emotion"]) == ["0", "1", "2"]
    for c in range(3):
        own = result["per_emotion"][str(c)]
        model = [
            (levels(s[c]), r[c]) for s, rows in zip(scores, ratings, strict=True) for r in rows
        ]
        human = [
            (a[c], b[c])
            for rows in ratings
            for i, a in enumerate(rows)
            for j, b in enumerate(rows)
            if i != j
        ]
        table = np.full((4, 30), np.nan)
        for i, rows in enumerate(ratings):
            table[: len(rows), i] = [row[c] for row in rows]
        paired = table[:, (~np.isnan(table)).sum(axis=0) >= 2]
        medians = [np.median([row[c] for row in rows]) for rows in ratings]
        expected = [
            kappa(*zip(*model, strict=True)),
            stats.spearmanr([s[c] for s in scores], medians).statistic,
            kappa(*zip(*human, strict=True)),
            krippendorff.alpha(reliability_data=paired, level_of_measurement="interval"),
        ]
        np.testing.assert_allclose([own[key] for key in KEYS[::2]], expected, **EXACT)
    for key in KEYS[::2]:
        mean = np.mean([own[key] for own in result["per_emotion"].values()])
        np.testing.assert_allclose(result[key], mean, **EXACT)


def test_values_by_rater_equal_the_references(metric):
    scores, ratings, rater_ids = make_data(60)
    result = metric.compute(
        predictions=scores, references=ratings, rater_ids=rater_ids, n_resamples=0
    )
    for c in range(3):
        given = {
            name: {
                i: rows[ids.index(name)][c]
                for i, (rows, ids) in enumerate(zip(ratings, rater_ids, strict=True))
                if name in ids
            }
            for name in "abcd"
        }
        model = [
            kappa([levels(scores[i][c]) for i in own], list(own.values())) for own in given.values()
        ]
        human = [
            kappa(
                *zip(*[(given[x][i], given[y][i]) for i in given[x] if i in given[y]], strict=True)
            )
            for x, y in ("ab", "ac", "ad", "bc", "bd", "cd")
        ]
        own = result["per_emotion"][str(c)]
        np.testing.assert_allclose(own["weighted_kappa"], np.mean(model), **EXACT)
        np.testing.assert_allclose(own["human_kappa"], np.mean(human), **EXACT)


def test_undefined_raters_and_pairs_leave_the_mean(metric):
    # "same" says 2 wherever the score is 2: 0/0. "like" agrees fully, "by chance" is constant: 0.
    # Of the human pairs only like-chance shares images and varies: 0.
    result = metric.compute(
        predictions=[[2], [2], [0], [5]],
        references=[[[2]], [[2]], [[0], [4]], [[5], [4]]],
        rater_ids=[["same"], ["same"], ["like", "by chance"], ["like", "by chance"]],
        n_resamples=0,
    )
    assert result["weighted_kappa"] == 0.5
    assert result["human_kappa"] == 0


def test_aggregate_is_what_spearman_compares_with(metric):
    scores, ratings, _ = make_data()
    by = {
        how: metric.compute(predictions=scores, references=ratings, aggregate=how, n_resamples=0)[
            "per_emotion"
        ]["1"]["spearman"]
        for how in ("median", "mean")
    }
    for how, center in (("median", np.median), ("mean", np.mean)):
        gold = [center([row[1] for row in rows]) for rows in ratings]
        expected = stats.spearmanr([s[1] for s in scores], gold).statistic
        np.testing.assert_allclose(by[how], expected, **EXACT)
    assert by["median"] != by["mean"]


def test_ratings_between_levels_are_rounded_for_kappa_alone(metric):
    scores, ratings, _ = make_data()
    halves = [[[min(v + 0.25, 7) for v in row] for row in rows] for rows in ratings]
    whole = metric.compute(predictions=scores, references=ratings, n_resamples=0)
    between = metric.compute(predictions=scores, references=halves, n_resamples=0)
    for key in ("weighted_kappa", "human_kappa"):
        assert between[key] == whole[key]
    assert between["krippendorff_alpha"] != whole["krippendorff_alpha"]


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("calibrate", [None, "quantile"])
def test_intervals_equal_drawing_the_images(metric, calibrate, named):
    scores, ratings, rater_ids = make_data(20)
    options = {"calibrate": calibrate, "confidence_level": 0.8}
    result = metric.compute(
        predictions=scores,
        references=ratings,
        rater_ids=rater_ids if named else None,
        n_resamples=25,
        seed=5,
        **options,
    )
    drawn = []
    for rows in np.random.default_rng(5).integers(20, size=(25, 20)):
        drawn.append(
            metric.compute(
                predictions=[scores[i] for i in rows],
                references=[ratings[i] for i in rows],
                rater_ids=[rater_ids[i] for i in rows] if named else None,
                n_resamples=0,
                **options,
            )
        )
    for key in KEYS[::2]:
        expected = np.nanpercentile([one[key] for one in drawn], [10, 90])
        np.testing.assert_allclose(result[f"{key}_ci"], expected, **EXACT, err_msg=key)
        of_one = [one["per_emotion"]["2"][key] for one in drawn]
        np.testing.assert_allclose(
            result["per_emotion"]["2"][f"{key}_ci"], np.nanpercentile(of_one, [10, 90]), **EXACT
        )


def test_calibration_is_fitted_to_the_rounded_mean(metric):
    scores, ratings, _ = make_data(200)
    means = levels([np.mean(rows, axis=0) for rows in ratings])
    for aggregate in ("median", "mean"):
        result = metric.compute(
            predictions=scores,
            references=ratings,
            calibrate="quantile",
            aggregate=aggregate,
            n_resamples=0,
        )
        for c in range(3):
            binned = np.empty(200)
            binned[np.argsort([s[c] for s in scores])] = np.sort(means[:, c])
            pairs = [(b, r[c]) for b, rows in zip(binned, ratings, strict=True) for r in rows]
            own = result["per_emotion"][str(c)]["weighted_kappa"]
            np.testing.assert_allclose(own, kappa(*zip(*pairs, strict=True)), **EXACT)


def test_calibration_recovers_from_a_wrong_scale(metric):
    scores, ratings, _ = make_data(200)
    tiny = (np.array(scores) / 100).tolist()  # every score rounds to 0
    assert (
        metric.compute(predictions=tiny, references=ratings, n_resamples=0)["weighted_kappa"] == 0
    )
    right, wrong = (
        metric.compute(predictions=p, references=ratings, calibrate="quantile", n_resamples=5)
        for p in (scores, tiny)
    )
    assert right == wrong  # only the order of the scores counts, here as for Spearman
    assert right["weighted_kappa"] > 0.3


# The shape of the result


def test_result_is_plain_and_complete(metric):
    scores, ratings, _ = make_data(12, k=40)
    result = metric.compute(predictions=scores, references=ratings, n_resamples=20)
    assert list(result) == [*KEYS, "per_emotion"]
    assert list(result["per_emotion"]) == list(EMOTIONS)
    assert json.loads(json.dumps(result)) == result
    for values in (result, *result["per_emotion"].values()):
        assert [key for key in values if key != "per_emotion"] == KEYS
        for key in KEYS:
            numbers = values[key] if key.endswith("_ci") else [values[key]]
            assert [type(number) for number in numbers] == [float] * len(numbers)
            assert key[-3:] != "_ci" or numbers[0] <= numbers[1]


def test_undefined_values_are_nan(metric):
    one_rater = [[[float(i)]] for i in range(4)]
    result = metric.compute(predictions=[[0], [1], [2], [3]], references=one_rater)
    assert result["weighted_kappa"] == result["spearman"] == 1
    for key in ("human_kappa", "krippendorff_alpha"):
        assert np.isnan([result[key], *result[f"{key}_ci"]]).all()
    constant = metric.compute(predictions=[[2.0]] * 4, references=one_rater)
    assert constant["weighted_kappa"] == 0  # agreement as by chance
    assert np.isnan([constant["spearman"], *constant["spearman_ci"]]).all()
    # the second emotion is undefined: the mean is that of the first
    both = metric.compute(
        predictions=[[0, 1], [1, 1], [2, 1], [3, 1]],
        references=[[[float(i), 1.0]] for i in range(4)],
    )
    assert np.isnan(both["per_emotion"]["1"]["weighted_kappa"])
    assert both["weighted_kappa"] == 1


def test_no_resamples_gives_nan_intervals(metric):
    scores, ratings, _ = make_data()
    with_intervals = metric.compute(predictions=scores, references=ratings, n_resamples=10)
    without = metric.compute(predictions=scores, references=ratings, n_resamples=0)
    for key in KEYS[::2]:
        assert without[key] == with_intervals[key]
        assert np.isnan(without[f"{key}_ci"]).all()
        assert np.isnan(without["per_emotion"]["0"][f"{key}_ci"]).all()


def test_seed_decides_the_intervals_and_the_global_state_does_not(metric):
    scores, ratings, _ = make_data()

    def run(seed):
        return metric.compute(predictions=scores, references=ratings, n_resamples=30, seed=seed)

    first = run(1)
    np.random.seed(99)
    before = np.random.get_state()[1].copy()
    assert run(1) == first
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    other = run(2)
    assert other["spearman_ci"] != first["spearman_ci"]
    assert other["spearman"] == first["spearman"]


def test_order_of_images_and_raters_does_not_matter(metric):
    scores, ratings, _ = make_data()
    order = np.random.default_rng(3).permutation(30)
    shuffled = metric.compute(
        predictions=[scores[i] for i in order],
        references=[ratings[i][::-1] for i in order],
        n_resamples=0,
    )
    straight = metric.compute(predictions=scores, references=ratings, n_resamples=0)
    for key in KEYS[::2]:
        np.testing.assert_allclose(shuffled[key], straight[key], **EXACT)


def test_perfect_scores(metric):
    _, ratings, _ = make_data()
    alike = [[rows[0]] * 3 for rows in ratings]
    result = metric.compute(predictions=[rows[0] for rows in ratings], references=alike)
    assert [result[key] for key in KEYS[::2]] == [1.0] * 4
    assert result["weighted_kappa_ci"] == [1.0, 1.0]


# Ways to hand data over


def test_kinds_of_input_give_one_result(metric):
    import torch

    rng = np.random.default_rng(4)
    scores, ratings = rng.integers(-4, 20, (12, 3)) / 2, rng.integers(0, 8, (12, 4, 3))
    expected = metric.compute(predictions=scores.tolist(), references=ratings.tolist())
    kinds = [
        (scores, ratings),
        (scores.astype(np.float32), ratings.astype(np.int8)),
        (list(scores), [list(rows) for rows in ratings]),
        (tuple(map(tuple, scores)), tuple(tuple(map(tuple, rows)) for rows in ratings)),
        (torch.tensor(scores, dtype=torch.bfloat16), torch.tensor(ratings)),
        ([list(torch.tensor(row)) for row in scores], ratings),
    ]
    for predictions, references in kinds:
        assert metric.compute(predictions=predictions, references=references) == expected


def test_add_and_add_batch_and_combine(metric):
    scores, ratings, rater_ids = make_data(12)
    options = {"n_resamples": 10, "rater_ids": rater_ids}
    expected = metric.compute(predictions=scores, references=ratings, **options)
    for score, rating in zip(scores, ratings, strict=True):
        metric.add(prediction=score, reference=rating)
    assert metric.compute(**options) == expected
    metric.add_batch(predictions=scores[:5], references=ratings[:5])
    metric.add_batch(predictions=np.array(scores[5:9]), references=ratings[5:9])
    assert metric.compute(predictions=scores[9:], references=ratings[9:], **options) == expected
    combined = evaluate.combine({"first": metric, "second": evaluate.load(str(FOLDER))})
    both = combined.compute(predictions=scores, references=ratings, **options)
    assert both["first_spearman_ci"] == both["second_spearman_ci"] == expected["spearman_ci"]


def test_memory_only_instances_work():
    loaded = evaluate.load(str(FOLDER), keep_in_memory=True)
    scores, ratings, _ = make_data(5)
    assert loaded.compute(predictions=scores, references=ratings, n_resamples=2)["spearman"] <= 1


# Faults

GOOD_P, GOOD_R = [[1.0, 2.0]] * 4, [[[0.0, 1.0], [2.0, 3.0]]] * 4


def with_change(data, *place, value):
    changed = json.loads(json.dumps(data))
    inner = changed
    for i in place[:-1]:
        inner = inner[i]
    inner[place[-1]] = value
    return changed


@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        (
            GOOD_P,
            with_change(GOOD_R, 3, 1, 1, value=9.0),
            "references: image 3, rater 1, value 1 is 9.0: ratings lie in 0..7",
        ),
        (GOOD_P, with_change(GOOD_R, 0, 0, 0, value=-0.5), "image 0, rater 0, value 0 is -0.5"),
        (GOOD_P, with_change(GOOD_R, 2, 0, 1, value=None), "image 2, rater 0, value 1 is None"),
        (
            GOOD_P,
            with_change(GOOD_R, 2, 0, value=[1, float("nan")]),
            "references: image 2, rater 0, value 1 is nan: ratings are finite",
        ),
        (GOOD_P, with_change(GOOD_R, 1, 0, 1, value="3"), "rater 0, value 1 is '3': ratings are"),
        (GOOD_P, with_change(GOOD_R, 1, 0, 1, value=True), "value 1 is True: ratings are numbers"),
        (
            GOOD_P,
            with_change(GOOD_R, 1, 0, value=[1]),
            "rater 0 has 1 values, the prediction has 2",
        ),
        (GOOD_P, with_change(GOOD_R, 1, 0, value=3.0), "image 1, rater 0 is 3.0: a row of ratings"),
        (GOOD_P, with_change(GOOD_R, 1, value=[]), "references: image 1 has no rater"),
        (GOOD_P, with_change(GOOD_R, 1, value="ab"), "image 1 is 'ab': a row of ratings per rater"),
        (
            with_change(GOOD_P, 2, 1, value=float("inf")),
            GOOD_R,
            "predictions: image 2, value 1 is inf: scores are finite",
        ),
        (
            np.array(GOOD_P) * [1, np.nan],
            GOOD_R,
            "predictions: image 0, value 1 is nan: scores are finite",
        ),
        (
            with_change(GOOD_P, 2, 1, value="x"),
            GOOD_R,
            "image 2, value 1 is 'x': scores are numbers",
        ),
        (with_change(GOOD_P, 2, value=[1]), GOOD_R, "image 2 has 1 values, image 0 has 2"),
        (with_change(GOOD_P, 2, value=[]), GOOD_R, "predictions: image 2 has no values"),
        ([1.0, 2.0], GOOD_R, "predictions: image 0 is 1.0: a row of scores is needed"),
        (GOOD_P[:3], GOOD_R, "predictions has 3 images, references has 4"),
        ([], [], "predictions and references are empty: at least one image is needed"),
        (GOOD_P, None, "references is None: a list of raters per image is needed"),
        (None, GOOD_R, "predictions is None: a row of scores per image is needed"),
        ("abc", GOOD_R, "predictions is 'abc'"),
    ],
)
def test_faults_in_the_data_are_named(metric, predictions, references, message):
    for call in (metric.compute, metric.add_batch):
        with pytest.raises(ValueError, match=re.escape(message)):
            call(predictions=predictions, references=references)
        assert len(metric) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"aggregate": "mode"}, "aggregate is 'mode': allowed are 'median' and 'mean'"),
        ({"calibrate": "linear"}, "calibrate is 'linear': allowed are None and 'quantile'"),
        ({"n_resamples": -1}, "n_resamples is -1: a whole number, 0 or more"),
        ({"n_resamples": 2.5}, "n_resamples is 2.5"),
        ({"seed": None}, "seed is None"),
        ({"confidence_level": 95}, "confidence_level is 95: it lies between 0 and 1"),
        ({"emotions": ["a"]}, "emotions has 1 names, rows have 2 values"),
        ({"emotions": ["a", "a"]}, "emotions names 'a' twice"),
        ({"emotions": ["a", 7]}, "emotions: name 1 is 7: names are strings"),
        ({"emotions": "ab"}, "emotions is 'ab': a list of names is needed"),
        ({"rater_ids": [["x", "y"]] * 3}, "rater_ids has 3 images, references has 4"),
        ({"rater_ids": [["x", "y"]] * 3 + [["x"]]}, "image 3 has 1 names, references has 2 raters"),
        ({"rater_ids": [["x", "y"]] * 3 + [["x", "x"]]}, "image 3, rater 1 is 'x' again"),
        ({"rater_ids": [["x", "y"]] * 3 + [["x", 5]]}, "image 3, rater 1 is 5: names are strings"),
        ({"rater_ids": ["xy"] * 4}, "rater_ids: image 0 is 'xy'"),
    ],
)
def test_faults_in_the_options_are_named(metric, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        metric.compute(predictions=GOOD_P, references=GOOD_R, **options)


def test_unknown_option_is_refused(metric):
    with pytest.raises(TypeError, match="bootstrap"):
        metric.compute(predictions=GOOD_P, references=GOOD_R, bootstrap=3)


def test_nothing_to_compute(metric):
    with pytest.raises(ValueError, match="no image: give predictions and references"):
        metric.compute()


def test_faults_leave_what_was_added_and_no_lock():
    loaded = evaluate.load(str(FOLDER), experiment_id="faults")
    loaded.add_batch(predictions=GOOD_P, references=GOOD_R)
    with pytest.raises(ValueError, match="references: the image given has no rater"):
        loaded.add(prediction=[1.0, 2.0], reference=[])
    assert len(loaded) == 4
    with pytest.raises(ValueError, match="aggregate"):
        loaded.compute(aggregate="mode")
    assert loaded.compute(n_resamples=0)["weighted_kappa"] is not None
    # seen only when all batches are together
    loaded.add_batch(predictions=GOOD_P, references=GOOD_R)
    loaded.add(prediction=[1.0], reference=[[1.0]])
    with pytest.raises(ValueError, match="predictions: image 4 has 1 values, image 0 has 2"):
        loaded.compute()
    assert not list(Path(loaded.data_dir).glob("faults*.arrow"))
    start = time.monotonic()
    loaded.compute(predictions=GOOD_P, references=GOOD_R, n_resamples=0)
    assert time.monotonic() - start < 0.9  # a lock left behind would cost its second of waiting


@pytest.mark.slow
def test_full_size_bootstrap_is_quick(metric):
    # 2,500 images x 4 raters x 40 emotions, 1,000 resamples: about 3 s on 2 quiet CPU cores
    rng = np.random.default_rng(0)
    truth = rng.gamma(0.5, 1.5, (2500, 40))
    ratings = np.clip(np.round(truth[:, None] + rng.normal(0, 1, (2500, 4, 40))), 0, 7)
    start = time.monotonic()
    result = metric.compute(predictions=truth + rng.normal(0, 1, truth.shape), references=ratings)
    assert time.monotonic() - start < 30
    assert result["spearman_ci"][0] < result["spearman"] < result["spearman_ci"][1]
