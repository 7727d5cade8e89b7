"""`calibrate`: isotonic maps, split-conformal intervals and their coverage, the command.

    .venv/bin/pytest tests/test_calibration.py

Coverage is proved on simulated raters whose errors hang together within an image, as those of real
raters do; the toy data of the command are drawn faces and say nothing about people.
"""

from __future__ import annotations

import json
import math
import shutil
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from sklearn.isotonic import IsotonicRegression
from toy_faces import draw_face, intensities
from toy_heads import write_heads
from transformers import AutoModel

from emonet_face.cli import main
from emonet_face.errors import EmoNetFaceError
from emonet_face.reliability import TIERS
from emonet_face.taxonomy import EMOTIONS, N_EMOTIONS
from eval_metrics.emonet_face_agreement.agreement import krippendorff_alpha
from modeling_empathicinsight import configuration_empathicinsight as configuration
from modeling_empathicinsight.calibration import calibrate, measure, split
from modeling_empathicinsight.configuration_empathicinsight import EmpathicInsightFaceConfig
from modeling_empathicinsight.conformal import (
    LEAST_SPREAD,
    Curve,
    conformal_factor,
    covered,
    fit_curve,
    half_widths,
)
from modeling_empathicinsight.conversion import convert
from modeling_empathicinsight.repository import load_model
from modeling_empathicinsight.tower import make_tower

FLAT = Curve(np.zeros(1), np.zeros(1), np.ones(1))


def column(*values: float) -> np.ndarray:
    """One rater's ratings, (n, 1)."""
    return np.array(values, dtype=float)[:, None]


def raters(rng, n_images: int, n_raters: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Scores (n,) and ratings (n, raters) of people who err together: a face misleads them all."""
    truth = rng.uniform(0, 7, n_images)
    shared = rng.normal(0, 1.5, n_images)
    ratings = truth[:, None] + shared[:, None] + rng.normal(0, 0.4, (n_images, n_raters))
    return truth + rng.normal(0, 0.5, n_images), ratings


# --- the map


def test_known_isotonic_map():
    # Means by score 0, 1, 2, 3 are 1, 3, 2, 6. Only 3, 2 are out of order: pooled to 2.5.
    # Distances: |1-1|, |3-2.5|, |2-2.5|, |6-6| = 0, .5, .5, 0 -> pooled to 0, 1/3, 1/3, 1/3,
    # all below the least spread. The knot at score 1 and that at 2 are the ends of one run.
    curve = fit_curve(np.array([0.0, 1, 2, 3]), column(1, 3, 2, 6))
    assert curve.scores.tolist() == [0, 1, 2, 3]
    assert curve.ratings.tolist() == [1, 2.5, 2.5, 6]
    assert curve.spreads.tolist() == [LEAST_SPREAD] * 4
    assert curve.rating(np.array([-9, 0.5, 1.7, 2.5, 99])).tolist() == [1, 1.75, 2.5, 4.25, 6]


def test_the_map_is_that_of_scikit_learn():
    scores, ratings = raters(np.random.default_rng(0), 300)
    scores = np.round(scores, 1)  # many equal scores
    curve = fit_curve(scores, ratings)
    reference = IsotonicRegression(out_of_bounds="clip").fit(scores, ratings.mean(axis=1))
    anywhere = np.linspace(-3, 10, 500)
    np.testing.assert_allclose(curve.rating(anywhere), reference.predict(anywhere), atol=2e-6)
    assert len(curve.scores) < len(np.unique(scores))  # the inside of runs is left out
    assert (np.diff(curve.scores) > 0).all()
    assert (np.diff(curve.ratings) >= 0).all()


def test_each_image_counts_once_however_many_raters_it_has():
    ratings = np.array([[0.0, np.nan, np.nan], [6, 6, 6]])
    curve = fit_curve(np.array([1.0, 1.0]), ratings)
    assert curve.ratings.tolist() == [3]  # not 4.5, the mean of the four ratings


def test_spreads_follow_the_raters():
    # Raters of low-scored images agree, those of high-scored ones are 2 apart from their mean.
    scores = np.arange(10.0)
    ratings = np.where(scores[:, None] < 5, [[0.0, 0.0]], [[2.0, 6.0]])
    curve = fit_curve(scores, ratings)
    assert curve.spread(np.array([0.0, 4, 5, 9])).tolist() == [0.5, 0.5, 2, 2]
    assert curve.rating(np.array([0.0, 9])).tolist() == [0, 4]


def test_constant_scores_give_a_constant():
    curve = fit_curve(np.full(6, 0.3), column(0, 0, 1, 2, 3, 6))
    assert curve.scores.tolist() == [0.3]
    assert curve.rating(np.array([-1.0, 0.3, 5])).tolist() == [2, 2, 2]


# --- the width


@pytest.mark.parametrize(("n", "coverage"), [(9, 0.9), (10, 0.9), (25, 0.8), (99, 0.95)])
def test_factor_of_single_raters_is_the_conformal_quantile(n, coverage):
    # One rater an image: the ceil(coverage * (n + 1))-th smallest distance (Vovk et al., 2005).
    distances = np.random.default_rng(n).permutation(n) + 1.0
    expected = math.ceil(round(coverage * (n + 1), 9))
    assert conformal_factor(FLAT, np.zeros(n), column(*distances), coverage) == expected


def test_raters_of_an_image_share_its_weight():
    # 9 images: 8 with one rating at distance 1, one with ratings at 2 and 3, half the weight each.
    # Level .85 asks for .85 * 10 = 8.5 images: reached at distance 2. Level .9 asks for 9: at 3.
    ratings = np.full((9, 2), np.nan)
    ratings[:8, 0] = 1
    ratings[8] = 2, 3
    assert conformal_factor(FLAT, np.zeros(9), ratings, 0.85) == 2
    assert conformal_factor(FLAT, np.zeros(9), ratings, 0.9) == 3


def test_too_few_images_give_the_whole_scale():
    factor = conformal_factor(FLAT, np.zeros(8), column(*range(8)), 0.9)  # 9 are needed
    assert factor == math.inf
    assert half_widths(FLAT, factor, 7).tolist() == [7]


def test_widths_are_rounded_up_and_a_last_digit_wider():
    assert half_widths(FLAT, 1 / 3, 7).tolist() == [0.333335]
    # Not cut: between knots they are linear.
    assert half_widths(FLAT, 100.0, 7).tolist() == [100.000001]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_ratings_that_decide_the_width_lie_inside(dtype):
    """On the images that gave the factor, coverage is what was asked for, to the last rating.

    Ratings on a grid lie on the edges of intervals; summed up in floats, 2.3 + 0.7 is below 3.
    """
    rng = np.random.default_rng(1)
    for _ in range(100):
        step, coverage = rng.choice([1.0, 0.5, 0.1]), rng.choice([0.5, 0.8, 0.9])
        ratings = np.clip(np.round(rng.normal(3, 2, (80, 3)) / step) * step, 0, 7)
        scores = np.zeros(40)
        curve = fit_curve(scores, ratings[:40])
        factor = conformal_factor(curve, scores, ratings[40:], coverage)
        half = half_widths(curve, factor, 7.0)
        low, high = np.clip((curve.ratings - half, curve.ratings + half), 0, 7).astype(dtype)
        inside = covered(low.repeat(40), high.repeat(40), ratings[40:].astype(dtype))
        assert inside.sum() >= coverage * 41 - 1e-9


def test_order_of_images_and_raters_does_not_matter():
    rng = np.random.default_rng(3)
    scores, ratings = raters(rng, 60)
    ratings[rng.random(ratings.shape) < 0.3] = np.nan
    ratings[:, 0] = 1.0
    curve = fit_curve(scores, ratings)
    order = rng.permutation(60)
    again = fit_curve(scores[order], ratings[order][:, ::-1])
    np.testing.assert_array_equal(curve.ratings, again.ratings)
    assert conformal_factor(curve, scores, ratings, 0.8) == pytest.approx(
        conformal_factor(again, scores[order], ratings[order][:, ::-1], 0.8)
    )


def one_experiment(rng, n: int, coverage: float, factor_of) -> float:
    """Share of a new image's ratings inside, after a fit on 40 images and widths from n."""
    curve = fit_curve(*raters(rng, 40))
    factor = factor_of(curve, *raters(rng, n), coverage)
    scores, ratings = raters(rng, 8)  # new images: each is one draw
    half = factor * curve.spread(scores)
    rating = curve.rating(scores)
    return float(covered(rating - half, rating + half, ratings).mean())


@pytest.mark.parametrize(("n", "coverage"), [(9, 0.9), (14, 0.8), (39, 0.9)])
def test_coverage_holds_for_small_samples(n, coverage):
    # The guarantee: at least `coverage`, on average over samples. With one continuous rating an
    # image it would be at most 1 / (n + 1) above; raters who share a weight add at most as much.
    rng = np.random.default_rng(17)
    got = [one_experiment(rng, n, coverage, conformal_factor) for _ in range(1500)]
    error = np.std(got) / math.sqrt(len(got))
    assert np.mean(got) > coverage - 3 * error
    assert np.mean(got) < coverage + 2 / (n + 1) + 3 * error


def test_ratings_taken_for_independent_would_not_cover():
    # Raters who say the same, 4 on each of 15 images: for level .9 the new image must be among 16
    # not the farthest, so the 15th distance is taken and covers 15/16 = .94 of new images. As 60
    # independent ratings the ceil(.9 * 61) = 55th were taken, which is the 14th image: 14/16 = .88.
    def coverage_of(rng, pooled: bool) -> float:
        distances = np.abs(rng.normal(size=(15, 1))) + np.zeros((1, 4))
        ratings = column(*distances.ravel()) if pooled else distances
        factor = conformal_factor(FLAT, np.zeros(len(ratings)), ratings, 0.9)
        return float((np.abs(rng.normal(size=20)) <= factor).mean())

    rng = np.random.default_rng(4)
    for pooled, expected in ((False, 15 / 16), (True, 14 / 16)):
        got = np.mean([coverage_of(rng, pooled) for _ in range(3000)])
        assert got == pytest.approx(expected, abs=0.005)


# --- all categories


def spread_over_categories(rng, n: int) -> tuple[np.ndarray, np.ndarray]:
    pairs = [raters(rng, n) for _ in range(N_EMOTIONS)]
    scores = np.stack([scores for scores, _ in pairs], axis=1)
    ratings = np.stack([np.clip(np.rint(ratings), 0, 7) for _, ratings in pairs], axis=2)
    return scores, ratings


def test_measured_calibration_covers_new_images():
    rng = np.random.default_rng(5)
    scores, ratings = spread_over_categories(rng, 400)
    scores = 0.5 * scores - 1  # off the scale, as raw scores may be
    parts = split([str(k) for k in range(400)], 0.25, seed=0)
    found = measure(scores, ratings, parts, 0.9)
    assert 0.88 < found["held_out_coverage"] < 0.94
    config = EmpathicInsightFaceConfig(output_names=list(EMOTIONS), calibration=found)
    new_scores, new_ratings = spread_over_categories(rng, 2000)
    new_scores = 0.5 * new_scores - 1
    intervals = config.calibrate(new_scores)
    inside = (new_ratings >= intervals["low"][:, None]) & (
        new_ratings <= intervals["high"][:, None]
    )
    assert 0.88 < inside.mean() < 0.94
    # and the rating is nearer to what raters say than the score is
    means = new_ratings.mean(axis=1)
    assert np.abs(intervals["rating"] - means).mean() < np.abs(new_scores - means).mean()
    # reported held-out numbers are those of the stored knots
    held_out = parts == 2
    stored = config.calibrate(scores[held_out])
    name, entry = next(iter(found["categories"].items()))
    assert name == EMOTIONS[0]
    share = covered(stored["low"][:, 0], stored["high"][:, 0], ratings[held_out, :, 0]).mean()
    assert entry["held_out_coverage"] == pytest.approx(share, abs=5e-5)


def test_tiers_come_from_the_raters_alpha():
    rng = np.random.default_rng(6)
    scores, ratings = spread_over_categories(rng, 200)
    ratings[:, :, 0] = rng.integers(0, 8, ratings.shape[:2])  # raters who do not agree at all
    ratings[:, :, 1] = 3  # no differences: alpha is undefined
    found = measure(scores, ratings, split([str(k) for k in range(200)], 0.25, 0), 0.9)
    alphas = krippendorff_alpha(ratings)
    first, second, third = (found["categories"][name] for name in EMOTIONS[:3])
    assert abs(first["alpha"]) < 0.1
    assert (first["tier"], first["low_reliability"]) == ("low", True)
    assert (second["alpha"], second["tier"], second["low_reliability"]) == (None, None, False)
    assert third["alpha"] == pytest.approx(alphas[2], abs=5e-5)
    assert (third["tier"], third["low_reliability"]) == ("high", False)

    config = EmpathicInsightFaceConfig(output_names=list(EMOTIONS), calibration=found)
    sentences = config.describe()
    flagged = [name for name, text in sentences.items() if "LOW RELIABILITY" in text]
    assert flagged == [EMOTIONS[0]]
    assert f"(alpha {first['alpha']:.2f})." in sentences[EMOTIONS[0]]
    assert config.tiers()[EMOTIONS[1]] is None


def test_the_uploaded_file_calls_the_lowest_tier_by_its_name():
    assert TIERS[-1][0] == configuration.LOW_TIER


def test_constant_scores_and_ratings_are_defined():
    scores, ratings = np.full((40, N_EMOTIONS), 0.25), np.full((40, 2, N_EMOTIONS), 0.0)
    found = measure(scores, ratings, split([str(k) for k in range(40)], 0.25, 0), 0.8)
    entry = found["categories"]["Pain"]
    assert (entry["scores"], entry["ratings"], entry["half_widths"]) == ([0.25], [0], [1e-6])
    assert entry["held_out_coverage"] == 1
    assert entry["alpha"] is None


def test_a_category_with_too_few_images_is_named():
    scores, ratings = spread_over_categories(np.random.default_rng(7), 60)
    ratings[10:, :, 3] = np.nan
    with pytest.raises(EmoNetFaceError, match=rf"{EMOTIONS[3]}: \d rated images in the part"):
        measure(scores, ratings, split([str(k) for k in range(60)], 0.25, 0), 0.9)


def test_split_depends_on_ids_and_seed_alone():
    ids = [f"image-{k}" for k in range(100)]
    parts = split(ids, 0.25, seed=1)
    assert np.bincount(parts).tolist() == [50, 25, 25]
    assert (split(ids[::-1], 0.25, seed=1)[::-1] == parts).all()
    assert (split(ids, 0.25, seed=2) != parts).any()


# --- the configuration


def entry(**change) -> dict:
    return {"scores": [0, 1], "ratings": [0, 2], "half_widths": [1, 1], "tier": None} | change


def config_with(**change) -> EmpathicInsightFaceConfig:
    categories = {name: entry() for name in EMOTIONS} | {"Pain": entry(**change)}
    return EmpathicInsightFaceConfig(
        output_names=list(EMOTIONS), calibration={"categories": categories}
    )


@pytest.mark.parametrize(
    "change",
    [
        {"scores": [1, 1]},
        {"scores": [0, math.nan]},
        {"scores": []},
        {"scores": ["0", "1"]},
        {"scores": None},
        {"ratings": [2, 1]},
        {"ratings": [0, 8]},
        {"half_widths": [1]},
        {"half_widths": [1, -1]},
        {"alpha": "x"},
        {"tier": 3},
    ],
)
def test_unusable_calibrations_are_refused(change):
    with pytest.raises(ValueError, match="calibration of 'Pain'"):
        config_with(**change)


def test_calibrations_of_other_categories_are_refused():
    for calibration in ({}, [], {"categories": {"Pain": entry()}}):
        with pytest.raises(ValueError, match="exactly the 40 categories"):
            EmpathicInsightFaceConfig(output_names=list(EMOTIONS), calibration=calibration)


def test_known_intervals():
    config = config_with(ratings=[1, 5], half_widths=[0.5, 4])
    scores = np.zeros((4, 44))
    pain = EMOTIONS.index("Pain")
    scores[:, pain] = -3, 0.5, 9, np.nan
    found = config.calibrate(scores)
    # at .5 halfway: rating 3, half width 2.25; beyond the knots as at the nearest; cut to 0..7
    assert found["rating"][:3, pain].tolist() == [1, 3, 5]
    assert found["low"][:3, pain].tolist() == [0.5, 0.75, 1]
    assert found["high"][:3, pain].tolist() == [1.5, 5.25, 7]
    assert np.isnan([found[key][3, pain] for key in ("rating", "low", "high")]).all()
    assert found["rating"].shape == (4, 40)
    assert config.calibrate(np.zeros((0, 40)))["low"].shape == (0, 40)
    with pytest.raises(ValueError, match=r"\(39,\): must be \(batch, 40 or more\)"):
        config.calibrate(np.zeros(39))
    with pytest.raises(ValueError, match="calibration is missing"):
        EmpathicInsightFaceConfig().calibrate(scores)


# --- the command


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("calibration")
    tower = make_tower(folder / "tower", image_size=32, patch_size=16, hidden=32, layers=1, heads=2)
    write_heads(folder / "heads")
    convert(folder / "heads", tower, folder / "model")
    return folder / "model"


def png(image: Image.Image) -> bytes:
    stream = BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def hq_rows(n: int = 80) -> list[dict]:
    rng = np.random.default_rng(8)
    rows = []
    for index in range(n):
        curvature, openness = rng.uniform(-1, 1, 2)
        strength = 7 * intensities(curvature, openness)
        people = [np.clip(np.rint(strength + rng.normal(0, 0.7, 40)), 0, 7) for _ in range(4)]
        rows.append(
            {
                "image": {"bytes": png(draw_face(curvature, openness, 32, rng)), "path": None},
                "image_id": f"hq-{index:03d}",
                "ratings": [
                    {"annotator": f"simulated-human-{k}", "scores": scores.tolist()}
                    for k, scores in enumerate(people, start=1)
                ],
                "prompted_gender": "woman" if index % 2 else "man",
            }
        )
    return rows


def write_hq(out: Path, rows: list[dict]) -> Path:
    from datasets import Features, List, Value
    from datasets import Image as ImageFeature

    scores = List(Value("float32"), length=N_EMOTIONS)
    features = Features(
        {
            "image": ImageFeature(),
            "image_id": Value("string"),
            "ratings": List({"annotator": Value("string"), "scores": scores}),
            "prompted_gender": Value("string"),
        }
    )
    (out / "hq").mkdir(parents=True)
    table = pa.Table.from_pylist(rows, schema=features.arrow_schema)
    pq.write_table(table, out / "hq" / "test-00000-of-00001.parquet")
    (out / "README.md").write_text(
        "---\nconfigs:\n- config_name: hq\n"
        "  data_files: [{split: test, path: hq/test-*.parquet}]\n---\n"
    )
    return out


def test_the_command_from_data_to_intervals(model, tmp_path, capsys):
    data = write_hq(tmp_path / "emonet-face", hq_rows())
    out = tmp_path / "calibrated"
    before = (model / "config.json").read_bytes()
    command = ["calibrate", "--model", str(model), "--dataset", str(data)]
    assert main([*command, "--out", str(out)]) == 0
    text, notes = capsys.readouterr()
    assert "export again" not in notes
    for part in ("coverage", "Jealousy & Envy", "one more simulated rater", "low reliability"):
        assert part in text
    assert (model / "config.json").read_bytes() == before

    loaded = AutoModel.from_pretrained(out, trust_remote_code=True).eval()
    calibration = loaded.config.calibration
    assert calibration["images"] == {"fit": 40, "conformal": 20, "held_out": 20}
    assert calibration["raters"] == [f"simulated-human-{k}" for k in range(1, 5)]
    assert str(tmp_path) not in json.dumps(calibration)
    with torch.inference_mode():
        scores = loaded(torch.zeros(2, 3, 32, 32)).scores
    found = loaded.calibrate(scores)
    assert {key: tuple(value.shape) for key, value in found.items()} == {
        "rating": (2, 40), "low": (2, 40), "high": (2, 40),
    }  # fmt: skip
    assert (found["low"] <= found["rating"]).all()
    assert (found["rating"] <= found["high"]).all()
    expected = loaded.config.calibrate(scores.numpy())
    torch.testing.assert_close(
        found["low"].double(), torch.from_numpy(expected["low"]), rtol=1e-6, atol=1e-6
    )

    again = tmp_path / "again"
    loaded.save_pretrained(again)  # calibration is plain data: it survives
    assert (
        AutoModel.from_pretrained(again, trust_remote_code=True).config.calibration == calibration
    )


def test_rows_order_and_prompted_identities_do_not_matter(model, tmp_path):
    rows = hq_rows(60)
    plain = calibrate(model, write_hq(tmp_path / "a", rows), out=tmp_path / "m")
    for row in rows:
        row["prompted_gender"] = None
        row["ratings"].reverse()
    again = calibrate(model, write_hq(tmp_path / "b", rows[::-1]), out=tmp_path / "m")
    assert plain["categories"].keys() == again["categories"].keys()
    for name, one in plain["categories"].items():
        other = again["categories"][name]
        for key in ("scores", "ratings", "half_widths"):
            np.testing.assert_allclose(one[key], other[key], atol=1e-5)
        assert one["held_out_coverage"] == other["held_out_coverage"]


def test_exports_that_hold_another_calibration_are_named(model, tmp_path, capsys):
    mine = tmp_path / "model"
    shutil.copytree(model, mine)
    (mine / "onnx").mkdir()
    (mine / "onnx" / "model.onnx").write_bytes(b"an export")
    data = write_hq(tmp_path / "emonet-face", hq_rows())
    assert main(["calibrate", "--model", str(mine), "--dataset", str(data)]) == 0
    note = f"{mine}/onnx/model.onnx: does not hold this calibration; export again\n"
    assert note in capsys.readouterr().err


def test_in_place_only_the_calibration_changes(model, tmp_path):
    import shutil

    mine = tmp_path / "mine"
    shutil.copytree(model, mine)
    calibrate(mine, write_hq(tmp_path / "data", hq_rows(60)), coverage=0.8)
    for path in model.iterdir():
        same = path.read_bytes() == (mine / path.name).read_bytes()
        assert same == (path.name != "config.json")
    old, new = (json.loads((m / "config.json").read_text()) for m in (model, mine))
    assert new.pop("calibration")["target_coverage"] == 0.8
    old.pop("calibration", None)
    assert new == old
    assert "LOW RELIABILITY" in " ".join(load_model(mine)[0].describe().values())


def test_gaps_are_left_out_and_counted(model, tmp_path):
    rows = hq_rows(62)
    rows[0]["image"] = None
    rows[1]["ratings"] = []
    rows[2]["ratings"] = rows[2]["ratings"][:1]
    rows[3]["ratings"][0]["scores"][5] = None
    found = calibrate(model, write_hq(tmp_path / "data", rows), out=tmp_path / "m")
    assert found["left_out"] == 2
    assert sum(found["images"].values()) == 60


def spoil_rating(rows):
    rows[7]["ratings"][1]["scores"][31] = 8.0


def spoil_id(rows):
    rows[1]["image_id"] = rows[0]["image_id"]


def spoil_rater(rows):
    rows[7]["ratings"][1]["annotator"] = "simulated-human-1"


def spoil_image(rows):
    rows[7]["image"] = {"bytes": b"no picture", "path": None}


def spoil_all(rows):
    for row in rows:
        row["ratings"] = []


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_rating, "'hq-007', simulated-human-2, Anger\" is 8.0: a rating must lie in 0..7"),
        (spoil_id, "image 'hq-000': stands twice"),
        (spoil_rater, "image 'hq-007': rated twice by 'simulated-human-1'"),
        (spoil_image, "image 'hq-007': is not a PNG"),
        (spoil_all, "none of its 60 rows has both an image and ratings"),
        (lambda rows: rows.__delitem__(slice(12, None)), "at least 5 are needed"),
    ],
)
def test_bad_data_is_named_and_nothing_is_written(spoil, message, model, tmp_path):
    rows = hq_rows(60)
    spoil(rows)
    data = write_hq(tmp_path / "data", rows)
    with pytest.raises(EmoNetFaceError) as caught:
        calibrate(model, data, out=tmp_path / "out")
    assert message in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_bad_arguments_are_named(model, tmp_path, capsys):
    data = str(write_hq(tmp_path / "data", hq_rows(30)))
    command = ["calibrate", "--model", str(model), "--dataset", data]
    for options, message in (
        (["--coverage", "1"], "coverage is 1.0: must lie between 0 and 1"),
        (["--holdout", "0"], "holdout is 0.0: must lie between 0 and 1"),
        (["--config", "big"], "has no config 'big'; found hq"),
        (["--model", "org/name"], "org/name: is no folder"),
        (["--model", data], "no model folder"),
    ):
        assert main([*command, *options]) == 2
        assert message in capsys.readouterr().err


def test_predict_gives_intervals_on_request(model, tmp_path, capsys):
    mine = tmp_path / "mine"
    calibrate(model, write_hq(tmp_path / "data", hq_rows(60)), out=mine)
    face = tmp_path / "face.png"
    draw_face(0.8, 0.0, 40, np.random.default_rng(0)).save(face)
    out = tmp_path / "out.jsonl"
    command = ["predict", str(face), "--out"]
    assert main([*command, str(out), "--model", str(mine), "--calibrated"]) == 0
    line = json.loads(out.read_text())
    assert list(line)[-1] == "calibrated"
    config = load_model(mine)[0].config
    scores = [*line["scores"].values()]
    expected = config.calibrate([scores])
    for index, name in enumerate(EMOTIONS):
        got = line["calibrated"][name]
        assert got.pop("tier") == config.tiers()[name]
        assert got == pytest.approx({key: expected[key][0, index] for key in expected})
        assert 0 <= got["low"] <= got["rating"] <= got["high"] <= 7

    table = tmp_path / "out.csv"
    assert main([*command, str(table), "--model", str(mine), "--calibrated"]) == 0
    header, row = (text.split(",") for text in table.read_text().splitlines())
    cells = dict(zip(header, row, strict=True))
    assert float(cells["Pain high"]) == line["calibrated"]["Pain"]["high"]
    assert len(header) == 1 + 44 + 3 * 40 + 2

    plain = tmp_path / "plain.jsonl"
    assert main([*command, str(plain), "--model", str(mine)]) == 0
    assert "calibrated" not in json.loads(plain.read_text())
    capsys.readouterr()
    assert main([*command, str(plain), "--model", str(model), "--calibrated"]) == 2
    assert "is not calibrated; `emonet-face calibrate` does it" in capsys.readouterr().err
