"""Slices by what prompts asked for: known answers, planted and absent gaps, too few images.

pytest tests/test_slices.py
"""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from scipy.stats import false_discovery_control
from sklearn.metrics import cohen_kappa_score

from emonet_face.errors import EmoNetFaceError
from emonet_face.taxonomy import EMOTIONS
from eval_metrics.benchmark import benchmark
from eval_metrics.emonet_face_agreement.agreement import resample_weights
from eval_metrics.groups import PEOPLE_NAME
from eval_metrics.image_bootstrap import Draws
from eval_metrics.panel import Panel
from eval_metrics.prompted import Prompts, in_order, read_category, read_picture, read_prompts
from eval_metrics.slices import ANCHOR, MIN_IMAGES, slice_statistics

N = 90
GENDERS = ("man", "non-binary person", "woman")


def make_panel(noise, seed=0):
    """Three people on each of 90 images; a model whose noise may differ from image to image."""
    rng = np.random.default_rng(seed)
    felt = np.maximum(0, rng.normal(0, 3, (N, 40)))

    def levels(spread):
        return np.clip(np.rint(felt + rng.normal(0, 1, felt.shape) * spread), 0, 7)

    people = np.stack([levels(1.2) for _ in range(3)])
    model = levels(np.broadcast_to(noise, N)[:, None])
    rated = np.ones((4, N), dtype=bool)
    names = ("human-1", "human-2", "human-3", "model")
    human = np.array([True, True, True, False])
    images = tuple(f"face-{i:02d}" for i in range(N))
    return Panel(names, human, images, rated, np.concatenate([people, model[None]]), 0)


def make_prompts(panel, of_image):
    values = {image: of_image(i) for i, image in enumerate(panel.images)}
    given = {image: value for image, value in values.items() if value is not None}
    return Prompts({"ethnicity": {}, "age": {}, "gender": given, "generator": {}}, N)


def run(panel, prompts, n_resamples=200):
    return slice_statistics(
        panel, prompts, Draws(resample_weights(N, n_resamples, 1), 0.95), seed=1
    )


def by(entries, annotator):
    return [one for one in entries if one.annotator == annotator]


@pytest.fixture(scope="module")
def planted():
    """The model is noisy on the images of women only."""
    panel = make_panel(np.where(np.arange(N) % 3 == 2, 5.0, 0.5))
    return panel, run(panel, make_prompts(panel, lambda i: GENDERS[i % 3]))


def test_kappa_is_that_of_all_pairs_of_the_slice_in_one_table(planted):
    """The metric's definition, rebuilt with scikit-learn; the anchor from all pairs of people."""
    panel, found = planted
    mask = np.arange(N) % 3 == 0
    people, model = panel.scores[:3, mask], panel.scores[3, mask]
    own, anchor = [], []
    for emotion in range(40):
        ratings = people[:, :, emotion]
        own.append(_kappa(np.tile(model[:, emotion], 3), ratings.ravel()))
        first = np.concatenate([ratings[a] for a in range(3) for b in range(3) if a != b])
        second = np.concatenate([ratings[b] for a in range(3) for b in range(3) if a != b])
        anchor.append(_kappa(first, second))
    man = by(found.slices, 3)[0]
    assert (man.value, man.n_images) == ("man", 30)
    assert man.kappa.value == pytest.approx(np.mean(own), abs=1e-12)
    assert by(found.slices, ANCHOR)[0].kappa.value == pytest.approx(np.mean(anchor), abs=1e-12)


def _kappa(one, other):
    return cohen_kappa_score(one.astype(int), other.astype(int), labels=range(8),
                             weights="quadratic")  # fmt: skip


def test_a_planted_gap_is_found_in_the_model_and_not_in_people(planted):
    _, found = planted
    model, people = by(found.gaps, 3)[0], by(found.gaps, ANCHOR)[0]
    assert model.lowest == "woman"
    assert model.gap > 0.3
    assert model.interval[0] > 0
    assert model.p == pytest.approx(1 / 201)  # no dealing of 200 has a gap as large
    assert people.p > 0.05
    woman = by(found.slices, 3)[2]
    assert woman.difference < -0.2
    assert woman.interval[1] < 0
    assert woman.p_adjusted < 0.05


def test_small_slices_of_equal_images_are_not_told_apart():
    """The kappa of few images is biased toward 0; against random slices of the same size it is not.

    Over ten seeds with no gap, p of the gap should be spread over 0..1.
    """
    p, differences = [], []
    for seed in range(10):
        panel = make_panel(1.5, seed)
        rng = np.random.default_rng(seed)
        labels = rng.permutation(np.repeat([0, 1, 2], (50, 20, 20)))
        found = run(panel, make_prompts(panel, lambda i, labels=labels: GENDERS[labels[i]]), 100)
        p.append(by(found.gaps, 3)[0].p)
        differences += [one.difference for one in by(found.slices, 3)[1:]]
    assert min(p) > 0.001
    assert 0.2 < np.mean(p) < 0.8
    assert abs(np.mean(differences)) < 0.02


def test_p_values_are_adjusted_over_the_slices_of_an_annotator(planted):
    for annotator in (ANCHOR, 3):
        slices = by(planted[1].slices, annotator)
        expected = false_discovery_control([one.p for one in slices])
        assert [one.p_adjusted for one in slices] == pytest.approx(list(expected))


def test_a_slice_with_too_few_images_is_undefined_and_says_so():
    panel = make_panel(1.0)
    few = MIN_IMAGES - 1
    found = run(panel, make_prompts(panel, lambda i: "man" if i < few else "woman"), 20)
    man, woman = by(found.slices, 3)
    assert man.n_images == few
    assert man.note == f"fewer than {MIN_IMAGES} images"
    assert np.isnan([man.kappa.value, man.spearman.value, man.difference, man.p]).all()
    assert woman.note is None
    assert not np.isnan(woman.kappa.value)
    gap = by(found.gaps, 3)[0]
    assert (gap.n_slices, gap.highest, gap.lowest) == (1, None, None)
    assert np.isnan([gap.gap, gap.p]).all()


def test_images_without_a_value_belong_to_no_slice():
    panel = make_panel(1.0)
    prompts = make_prompts(panel, lambda i: GENDERS[i % 2] if i < 60 else None)
    found = run(panel, prompts, 20)
    assert [one.n_images for one in by(found.slices, 3)] == [30, 30]
    assert prompts.counts("gender") == {"man": 30, "non-binary person": 30}


def test_no_resamples_leave_only_the_values():
    panel = make_panel(1.0)
    found = run(panel, make_prompts(panel, lambda i: GENDERS[i % 3]), n_resamples=0)
    one = by(found.slices, 3)[0]
    assert not np.isnan([one.kappa.value, one.spearman.value]).any()
    assert np.isnan([*one.kappa.interval, *one.spearman.interval, one.difference, one.p]).all()


def test_values_stand_in_their_natural_order():
    assert in_order(dict.fromkeys(["80", "20", "100"])) == ["20", "80", "100"]
    assert in_order(dict.fromkeys(["woman", "man"])) == ["man", "woman"]


# --- from a dataset repo, through the benchmark ---


def face(image, i):
    return {
        "image_id": image,
        "generator": "one" if i < 40 else "two",
        "prompted_ethnicity": "White" if i % 2 else "Asian",
        "prompted_age": 30 if i % 3 else 40,
        "prompted_gender": None if i < 5 else GENDERS[i % 3],
    }


@pytest.fixture(scope="module")
def repo(tmp_path_factory):
    """A repo in the form of `build hq`, without pictures."""
    from datasets import ClassLabel, Dataset, Features, List, Value

    folder = tmp_path_factory.mktemp("hub") / "emonet-face"
    panel = make_panel(1.0)
    text, vector = Value("string"), List(Value("float32"), length=40)
    entry = {"annotator": text, "scores": vector}
    prompts = {"generator": text, "prompted_ethnicity": text, "prompted_age": Value("int32"),
               "prompted_gender": text,
               "prompted_emotion": ClassLabel(names=list(EMOTIONS))}  # fmt: skip
    hq = [
        face(image, i)
        | {"prompted_emotion": None if i == 1 else i % 40}
        | {
            "ratings": [
                {"annotator": f"human-{p + 1}", "scores": panel.scores[p, i].tolist()}
                for p in range(3)
            ]
        }
        for i, image in enumerate(panel.images)
    ]
    models = [
        {"image_id": image, "annotator": "model", "scores": panel.scores[3, i].tolist()}
        for i, image in enumerate(panel.images)
    ]
    for config, rows, features in (
        ("hq", hq, Features({"image_id": text, **prompts, "ratings": List(entry)})),
        ("hq_baselines", models, Features({"image_id": text, **entry})),
    ):
        (folder / config).mkdir(parents=True)
        Dataset.from_list(rows, features=features).to_parquet(folder / config / "test.parquet")
    # The loader caches by this text alone: without a description it gives another test's rows.
    configs = "".join(
        f"- config_name: {c}\n  description: slices\n"
        f"  data_files:\n  - split: test\n    path: {c}/test.parquet\n"
        for c in ("hq", "hq_baselines")
    )
    (folder / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    return folder


def test_prompts_of_a_repo(repo):
    prompts = read_prompts(str(repo))
    assert prompts.counts("age") == {"30": 60, "40": 30}
    assert sum(prompts.counts("gender").values()) == prompts.n_images - 5
    assert read_picture(str(repo), "face-00") is None
    assert read_category(str(repo), "face-41") == EMOTIONS[1]
    assert read_category(str(repo), "face-01") is None
    with pytest.raises(EmoNetFaceError, match="has no image 'face-99'"):
        read_category(str(repo), "face-99")


def test_the_benchmark_of_a_repo_has_slices_in_the_corrected_protocol_only(repo, tmp_path):
    results = benchmark(tmp_path / "o", dataset=repo, n_resamples=20, figures=False)
    corrected, official = (results["protocols"][name] for name in ("corrected", "official"))
    assert "slices" not in official
    attributes = [row["attribute"] for row in corrected["slices"] if row["annotator"] == "model"]
    assert attributes == ["ethnicity"] * 2 + ["age"] * 2 + ["gender"] * 3 + ["generator"] * 2
    assert corrected["slices"][0]["annotator"] == PEOPLE_NAME
    for row in corrected["slices"]:
        anchor = next(
            other["weighted_kappa"]
            for other in corrected["slices"]
            if (other["annotator"], other["attribute"], other["value"])
            == (PEOPLE_NAME, row["attribute"], row["value"])
        )
        assert row["anchor_kappa"] == anchor
    with (tmp_path / "o" / "tables" / "slices_corrected.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["p"] for row in rows] == [str(row["p"]) for row in corrected["slices"]]
    with (tmp_path / "o" / "tables" / "slice_gaps_corrected.csv").open(newline="") as stream:
        gaps = list(csv.DictReader(stream))
    assert len(gaps) == 2 * 4
    for gap in gaps:  # by the printed columns alone
        found = {
            row["value"]: float(row["difference"])
            for row in rows
            if (row["annotator"], row["attribute"]) == (gap["annotator"], gap["attribute"])
        }
        assert (gap["highest"], gap["lowest"]) == (
            max(found, key=found.get),
            min(found, key=found.get),
        )
        assert float(gap["gap"]) == pytest.approx(max(found.values()) - min(found.values()))
    for row in rows:
        less = float(row["weighted_kappa"]) - float(row["expected_kappa"])
        assert float(row["difference"]) == pytest.approx(less)
    assert json.loads((tmp_path / "o" / "results.json").read_text()) == results
