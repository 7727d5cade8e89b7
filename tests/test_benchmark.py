"""The benchmark: both protocols, its tables, figures and faults: pytest tests/test_benchmark.py

The official protocol equals an independent loop implementation (reference_official.py) on a table
with every quirk; the corrected one is checked against explicit resampling, by hand and by property.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
from reference_official import OfficialReference
from scipy.stats import false_discovery_control
from sklearn.metrics import cohen_kappa_score

from emonet_face.cli import main
from emonet_face.errors import EmoNetFaceError
from emonet_face.taxonomy import CATEGORIES, EMOTIONS
from eval_metrics import corrected, official_alpha
from eval_metrics.benchmark import benchmark, notes, summary_rows
from eval_metrics.figure_style import NOTICE
from eval_metrics.figures import agreement_by_group, figures_of
from eval_metrics.groups import group_of
from eval_metrics.protocols import tier_of
from eval_metrics.sources import read_predictions, read_ratings
from eval_metrics.tables import write_table

OURS = "Empathic Insight Face Small"
GROUPS = {
    OURS: "Our Models",
    "Hume Face*": "Proprietary Models",
    "Gemini 2.5 Flash MS": "VLMs Multi-Shot",
    "GPT-4o ZS": "VLMs Zero-Shot",
    "Random Baseline": "Random Baseline",
    "Constant Baseline": "Other Baselines",
}
FIGURES = ("agreement_by_group", "pairwise_kappa", "human_human_lines", "krippendorff_alpha")
MODEL_FIGURES = (
    "model_human_lines",
    "spearman_median",
    "spearman_per_emotion",
    "reliability_performance",
)
N_IMAGES = 48
RESAMPLES = 40


def write_csv(path, rows):
    """Rows (image, annotator, human, {category: value} or a list of 40) in the form of hq.csv."""
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("image", "annotator", "human", "annotations"))
        for image, annotator, human, values in rows:
            named = dict(zip(EMOTIONS, values, strict=True)) if len(values) == 40 else dict(values)
            keys = {c.key: named.pop(c.name) for c in CATEGORIES if c.name in named}
            writer.writerow((image, annotator, human, {**keys, **named}))
    return path


def quirky_rows(duplicates=True, seed=3):
    """Every quirk of the published table, 5 people, 6 models, in shuffled order."""
    rng = np.random.default_rng(seed)
    felt = np.maximum(0, rng.normal(-1, 3, (N_IMAGES, 40)))
    rows = []

    def people(image):
        for person in rng.choice(4, 3, replace=False):
            noisy = np.clip(np.rint(felt[image] + rng.normal(0, 1.5, 40)), 0, 7).astype(int)
            touched = {n: int(v) for n, v in zip(EMOTIONS, noisy, strict=True) if v}
            yield f"human-{person + 1}", True, touched

    def models(image):
        score = felt[image] + rng.normal(-1, 2.5, 40)  # from below -1 to above 8
        extra = {"Extra Dimensions|Arousal": 2.5}
        yield OURS, False, dict(zip(EMOTIONS, map(float, score), strict=True)) | extra
        unit = np.clip(felt[image] / 7 + rng.normal(0, 0.2, 40), 0, 1)
        yield "Hume Face*", False, {EMOTIONS[i]: float(unit[i]) for i in range(31)}
        levels = np.clip(np.rint(score), 0, 7).astype(int)
        yield "Gemini 2.5 Flash MS", False, {n: int(levels[i]) for i, n in enumerate(EMOTIONS[:7])}
        yield "GPT-4o ZS", False, {EMOTIONS[i]: int(rng.integers(1, 8)) for i in range(15, 40)}
        yield "Random Baseline", False, list(map(int, rng.integers(0, 8, 40)))
        yield "Constant Baseline", False, [3] * 40

    for image in range(N_IMAGES):
        for name, human, values in (*people(image), *models(image)):
            if not human and rng.random() < 0.1:
                continue  # a missing row
            rows.append((f"face_{image}.png", name, human, values))
            if duplicates and rng.random() < 0.08:
                other = {EMOTIONS[int(rng.integers(40))]: 5, EMOTIONS[0]: 2}
                rows.append((f"face_{image}.png", name, human, other))
    rows.append(("face_0.png", "human-9", True, {"Anger": 4}))  # one row: shares too little
    return [rows[i] for i in rng.permutation(len(rows))]


def simple_rows(n=30, people=3, seed=0):
    """Everybody rates every image; a model that follows, in steps of one."""
    rng = np.random.default_rng(seed)
    felt = rng.integers(0, 8, (n, 40))
    for image in range(n):
        for person in range(people):
            noisy = np.clip(felt[image] + rng.integers(-2, 3, 40), 0, 7)
            yield f"{image}.png", f"human-{person + 1}", True, list(map(int, noisy))
        follows = np.clip(felt[image] + rng.integers(-2, 3, 40), 0, 7)
        yield f"{image}.png", "follower", False, list(map(int, follows))


def read(folder, name):
    with (folder / "tables" / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def number(cell):
    return float(cell) if cell != "" else np.nan


def same(cell, expected, tolerance=1e-9):
    np.testing.assert_allclose(number(cell), expected, rtol=0, atol=tolerance)


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """(folder of results, reference) on the quirky table."""
    folder = tmp_path_factory.mktemp("official")
    path = write_csv(folder / "hq.csv", quirky_rows())
    out = folder / "out"
    benchmark(out, ratings=path, protocol="official", n_resamples=RESAMPLES, figures=False)
    return out, OfficialReference(path, EMOTIONS, n_resamples=RESAMPLES)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """(folder, results) of both protocols on the table without differing duplicates."""
    folder = tmp_path_factory.mktemp("both")
    path = write_csv(folder / "hq.csv", quirky_rows(duplicates=False))
    results = benchmark(folder / "out", ratings=path, n_resamples=RESAMPLES, figures=False)
    return folder / "out", results


# --- official: equal to the reference, quirks included ---


def test_official_kappas_equal_the_reference(official):
    out, reference = official
    rows = {row["annotator"]: row for row in read(out, "weighted_kappa_official")}
    assert list(rows) == reference.humans + sorted(reference.models)
    for annotator, row in rows.items():
        expected = reference.agreement(annotator)
        for emotion in EMOTIONS:
            same(row[emotion], expected[emotion])
        same(row["mean"], expected.mean())
        same(row["std"], expected.std())
        same(row["median"], expected.median())
        top = "" if expected.isna().all() else expected.idxmax()
        assert row["top_emotion"] == top


def test_official_pairs_equal_the_reference(official):
    out, reference = official
    rows = read(out, "pairwise_kappa_official")
    assert len(rows) == 11 * 10 / 2
    for row in rows:
        mean, count = reference.pairwise(row["rater1"], row["rater2"])
        same(row["kappa"], mean)
        assert int(row["n_emotions"]) == count
    lonely = [row for row in rows if row["rater2"] == "human-9"]
    assert lonely
    assert all(row["kappa"] == "" and row["n_emotions"] == "0" for row in lonely)


def test_official_correlations_equal_the_reference(official):
    out, reference = official
    for aggregate in ("median", "mean"):
        expected = reference.spearman(aggregate)
        rows = read(out, f"spearman_{aggregate}_official")
        assert [row["annotator"] for row in rows] == list(expected)
        for row in rows:
            rho, mean, low, high = expected[row["annotator"]]
            for emotion in EMOTIONS:
                same(row[emotion], rho[emotion])
            same(row["mean"], mean)
            same(row["ci_low"], low)
            same(row["ci_high"], high)
    hume = next(row for row in rows if row["annotator"] == "Hume Face*")
    # A category it has no key for is all 0, so has no ranks and leaves the mean.
    assert any(hume[emotion] == "" for emotion in EMOTIONS[31:])


def test_official_alphas_equal_the_reference(official):
    out, reference = official
    rows = read(out, "krippendorff_alpha_official")
    expected = reference.alpha()
    assert [row["emotion"] for row in rows] == list(EMOTIONS)
    for row in rows:
        for column, value in zip(("alpha", "ci_low", "ci_high"), expected[row["emotion"]],
                                 strict=True):  # fmt: skip
            same(row[column], value)
        assert row["tier"] == tier_of(number(row["alpha"]))


def test_one_stream_of_draws_runs_through_the_categories(tmp_path, monkeypatch):
    path = write_csv(tmp_path / "hq.csv", quirky_rows())
    options = {"ratings": path, "protocol": "official", "n_resamples": 25, "figures": False}
    whole = benchmark(tmp_path / "whole", **options)
    monkeypatch.setattr(official_alpha, "_DRAWS", 10 * N_IMAGES)  # three blocks, the last of 5
    assert benchmark(tmp_path / "pieces", **options) == whole
    expected = OfficialReference(path, EMOTIONS, n_resamples=25).alpha()
    for row in read(tmp_path / "pieces", "krippendorff_alpha_official"):
        for column, value in zip(("ci_low", "ci_high"), expected[row["emotion"]][1:], strict=True):
            same(row[column], value)


def test_official_group_differences_equal_the_reference(official):
    out, reference = official
    members = {"Humans": reference.humans}
    for model, group in GROUPS.items():
        members.setdefault(group, []).append(model)
    rows = read(out, "group_differences_official")
    assert len(rows) == 7 * 6 / 2
    assert (rows[0]["group1"], rows[0]["group2"]) == ("Humans", "Our Models")
    for row in rows:
        groups = members[row["group1"]], members[row["group2"]]
        expected = reference.group_difference(*groups)
        columns = ("mean_difference", "ci_low", "ci_high", "u", "p")
        for column, value in zip(columns, expected, strict=True):
            same(row[column], value)
        sizes = [sum(reference.agreement(a).count() for a in group) for group in groups]
        assert [int(row["n1"]), int(row["n2"])] == sizes
        assert row["p_adjusted"] == ""  # the published analysis adjusts nothing


def test_official_could_be_annotator_equals_the_reference(official):
    out, reference = official
    rows = read(out, "could_be_annotator_official")
    assert len(rows) == 11
    for row in rows:
        if row["annotator"] == "human-9":  # has no kappa with anybody
            assert set(row.values()) == {"human-9", ""}
            continue
        *expected, could_be = reference.could_be_annotator(row["annotator"])
        columns = ("mean_difference", "ci_low", "ci_high", "u", "p")
        for column, value in zip(columns, expected, strict=True):
            same(row[column], value)
        assert row["could_be"] == str(could_be)


def test_the_quirks_are_really_in_the_table(official):
    out, reference = official
    values = reference.long[reference.long["annotator"] == OURS]["value"]
    assert values.min() <= -1
    assert values.max() >= 8
    repeated = reference.long.duplicated(["image", "annotator", "emotion"]).sum() / 40
    results = json.loads((out / "results.json").read_text())
    assert results["protocols"]["official"]["n_duplicate_rows"] == repeated > 5


# --- corrected ---


def test_rounding_and_truncation_by_hand(tmp_path):
    """People give 0 2 4 6 and 0 2 4 4, the model -3, 1.5, 3.6 and 8.2; kappa = 1 - cost / chance.

    People: cost sum (a-b)^2 = 4, chance sum a^2 + sum b^2 - 2 sum a sum b / 4 = 56 + 36 - 60 = 32,
    kappa 28/32. Corrected, the model is 0 2 4 7. With the first person: cost 1, chance
    69 + 56 - 78 = 47, kappa 46/47; with the second: cost 9, chance 69 + 36 - 65 = 40, kappa 31/40.
    Official, -3 and 8.2 leave and 1.5, 3.6 become 1, 3 against 2, 4 of both: cost 2, chance
    10 + 20 - 24 = 6, kappa 4/6.
    """
    given = {"human-1": (0, 2, 4, 6), "human-2": (0, 2, 4, 4), "model": (-3.0, 1.5, 3.6, 8.2)}
    rows = [
        (f"{image}.png", name, name != "model", {"Anger": value})
        for name, values in given.items()
        for image, value in enumerate(values)
    ]
    results = benchmark(
        tmp_path / "o", ratings=write_csv(tmp_path / "r.csv", rows), n_resamples=0, figures=False
    )
    for protocol, expected in (("official", 4 / 6), ("corrected", (46 / 47 + 31 / 40) / 2)):
        table = results["protocols"][protocol]["weighted_kappa"]
        anger = {row["annotator"]: row["Anger"] for row in table}
        assert anger["human-1"] == anger["human-2"] == pytest.approx(28 / 32)
        assert anger["model"] == pytest.approx(expected)


def test_corrected_intervals_equal_explicit_resampling_of_images(tmp_path):
    """Rebuild every resample from the images drawn and take scikit-learn's kappa in each."""
    rows = list(simple_rows(n=20))
    path = write_csv(tmp_path / "r.csv", rows)
    results = benchmark(
        tmp_path / "o", ratings=path, protocol="corrected", n_resamples=4, seed=7, figures=False
    )
    found = results["protocols"]["corrected"]
    images = sorted({row[0].removesuffix(".png") for row in rows})
    values = {(image.removesuffix(".png"), who): v for image, who, _, v in rows}
    people = ("human-1", "human-2", "human-3")

    def mean_kappa(drawn, pairs):
        return np.mean([
            cohen_kappa_score(
                [values[images[i], a][e] for i in drawn], [values[images[i], b][e] for i in drawn],
                labels=range(8), weights="quadratic",
            )
            for a, b in pairs for e in range(40)
        ])  # fmt: skip

    draws = np.random.default_rng(7).integers(20, size=(4, 20))
    for row, pairs in (
        (found["human_anchor"], list(combinations(people, 2))),
        (found["weighted_kappa"][3], [("follower", person) for person in people]),
    ):
        value = mean_kappa(range(20), pairs)
        samples = np.array([mean_kappa(drawn, pairs) for drawn in draws])
        bias = samples.mean() - value
        ends = np.quantile([samples - bias, samples - 2 * bias], [0.025, 0.975], axis=1)
        assert row["mean"] == pytest.approx(value, abs=1e-12)
        assert bias < 0  # of few images: the interval is longer upwards
        low, high = ends[0].min(), ends[1].max()
        assert (row["ci_low"], row["ci_high"]) == pytest.approx((low, high), abs=1e-12)


def test_every_corrected_interval_holds_its_value(both):
    found = both[1]["protocols"]["corrected"]
    rows = [found["human_anchor"], *found["weighted_kappa"], *found["spearman_median"]]
    triples = [(row["mean"], row["ci_low"], row["ci_high"]) for row in rows]
    triples += [(r["alpha"], r["ci_low"], r["ci_high"]) for r in found["krippendorff_alpha"]]
    triples += [
        (r["mean_difference"], r["ci_low"], r["ci_high"]) for r in found["group_differences"]
    ]
    defined = [triple for triple in triples if None not in triple]
    assert len(defined) > 70
    assert all(low <= value <= high for value, low, high in defined)


def test_a_models_missing_category_stays_missing_only_in_corrected(both):
    run = both[1]["protocols"]
    for protocol, cells in (("official", 0.0), ("corrected", None)):
        rows = {row["annotator"]: row for row in run[protocol]["weighted_kappa"]}
        hume = rows["Hume Face*"]
        assert [hume[emotion] for emotion in EMOTIONS[31:]] == [cells] * 9
        assert hume["n_emotions"] == (40 if cells == 0.0 else 31)
        # An untouched slider is a 0, so people are judged on all 40.
        assert rows["human-1"]["n_emotions"] == 40


def test_a_comparison_uses_the_images_and_categories_that_both_have(both, tmp_path):
    """Drop the images and categories that a model lacks for everybody: its difference stays."""
    rows = quirky_rows(duplicates=False)
    has = {image for image, name, _, _ in rows if name == "Hume Face*"}
    assert len(has) < N_IMAGES
    kept = [
        (image, name, human, {key: values[key] for key in values if key in EMOTIONS[:31]})
        for image, name, human, values in rows
        if image in has and (human or name == "Hume Face*")
    ]
    results = benchmark(
        tmp_path / "o", ratings=write_csv(tmp_path / "r.csv", kept), protocol="corrected",
        n_resamples=0, figures=False,
    )  # fmt: skip

    def difference(run):
        rows = run["protocols"]["corrected"]["could_be_annotator"]
        return next(row for row in rows if row["annotator"] == "Hume Face*")

    # Categories without a model's key are all 0 for the people left here, so undefined.
    alone, among = difference(results), difference(both[1])
    for key in ("n1", "n2", "mean_difference", "u", "p"):
        assert alone[key] == pytest.approx(among[key])


def test_adjusted_p_values_are_benjamini_hochberg(both):
    found = both[1]["protocols"]["corrected"]
    # Two of the models share no category, so one of the comparisons is undefined.
    rows = [row for row in found["group_differences"] if row["p"] is not None]
    assert len(rows) == len(found["group_differences"]) - 1
    expected = false_discovery_control([row["p"] for row in rows])
    assert [row["p_adjusted"] for row in rows] == pytest.approx(list(expected))
    for model in (OURS, "Random Baseline"):
        rows = [row for row in found["category_differences"] if row["annotator"] == model]
        assert [row["emotion"] for row in rows] == list(EMOTIONS)
        p = [row["p"] for row in rows if row["p"] is not None]
        adjusted = [row["p_adjusted"] for row in rows if row["p"] is not None]
        assert adjusted == pytest.approx(list(false_discovery_control(p)))
        assert min(p) >= 2 / (RESAMPLES + 1)


def test_agreeing_more_than_people_is_no_reason_against_an_annotator(tmp_path):
    """A model that gives the middle of three raters agrees more with each than they do."""
    rows = [row for row in simple_rows() if row[2]]
    by_image = {}
    for image, _, _, values in rows:
        by_image.setdefault(image, []).append(values)
    rows += [
        (image, "middle", False, list(map(int, np.median(values, axis=0))))
        for image, values in by_image.items()
    ]
    results = benchmark(
        tmp_path / "o", ratings=write_csv(tmp_path / "r.csv", rows), n_resamples=50, figures=False
    )
    rows = {name: run["could_be_annotator"][-1] for name, run in results["protocols"].items()}
    assert rows["official"]["annotator"] == "middle"
    assert rows["official"]["mean_difference"] > 0.05
    assert rows["official"]["could_be"] is False  # the published rule: p < .05, so "no"
    assert rows["corrected"]["could_be"] is True


def test_exact_repeats_are_dropped_and_differing_ones_stop(tmp_path):
    rows = list(simple_rows(n=6))
    once = benchmark(
        tmp_path / "once", ratings=write_csv(tmp_path / "a.csv", rows), n_resamples=0, figures=False
    )
    path = write_csv(tmp_path / "b.csv", [*rows, rows[0], rows[3]])
    again = benchmark(tmp_path / "again", ratings=path, n_resamples=0, figures=False)
    for protocol in ("official", "corrected"):
        first, second = once["protocols"][protocol], again["protocols"][protocol]
        assert (first.pop("n_duplicate_rows"), second.pop("n_duplicate_rows")) == (0, 2)
        assert first == second

    changed = (*rows[0][:3], [0] * 40)
    path = write_csv(tmp_path / "c.csv", [*rows, changed])
    with pytest.raises(EmoNetFaceError, match=r"c.csv, row 25: 'human-1'.*c.csv, row 1;"):
        benchmark(tmp_path / "o", ratings=path, protocol="both", n_resamples=0)
    assert not (tmp_path / "o").exists()


def test_perfect_and_constant_models(tmp_path):
    rng = np.random.default_rng(1)
    rows = []
    for image in range(25):
        values = list(map(int, rng.integers(0, 8, 40)))
        rows += [(f"{image}.png", name, True, values) for name in ("human-1", "human-2")]
        rows.append((f"{image}.png", "perfect", False, values))
        rows.append((f"{image}.png", "constant", False, [2] * 40))
    results = benchmark(
        tmp_path / "o", ratings=write_csv(tmp_path / "r.csv", rows), n_resamples=20, figures=False
    )
    for protocol in results["protocols"]:
        anchor, perfect, constant = summary_rows(results, protocol)[:3]
        for row in (anchor, perfect):
            assert row["weighted_kappa"] == pytest.approx(1)
            assert row["weighted_kappa_ci"] == pytest.approx([1, 1])
        assert perfect["spearman"] == pytest.approx(1)
        assert constant["weighted_kappa"] == pytest.approx(0, abs=1e-12)
        assert constant["spearman"] is None
        assert constant["spearman_ci"] == [None, None]
        assert results["protocols"][protocol]["krippendorff_alpha"][0]["alpha"] == pytest.approx(1)


# --- both ---


def test_columns_and_files_are_as_promised(both):
    out, results = both
    emotions = ",".join(name for name in EMOTIONS)
    heads = {
        "weighted_kappa": f"annotator,{emotions},mean,std,median,top_emotion",
        "pairwise_kappa": "rater1,rater2,kappa,n_emotions",
        "spearman_median": f"annotator,{emotions},mean,ci_low,ci_high",
        "spearman_mean": f"annotator,{emotions},mean,ci_low,ci_high",
        "krippendorff_alpha": "emotion,alpha,ci_low,ci_high,tier",
        "group_differences":
            "group1,group2,n1,n2,mean_difference,ci_low,ci_high,u,p,p_adjusted",
        "could_be_annotator": "annotator,mean_difference,ci_low,ci_high,u,p,could_be",
    }  # fmt: skip
    for protocol in ("official", "corrected"):
        for name, head in heads.items():
            text = (out / "tables" / f"{name}_{protocol}.csv").read_text(encoding="utf-8")
            assert text.splitlines()[0] == head
            for row in read(out, f"{name}_{protocol}"):
                assert "nan" not in row.values()
    assert json.loads((out / "results.json").read_text(encoding="utf-8")) == results


def test_results_hold_every_number_of_the_tables(both):
    out, results = both
    for protocol, found in results["protocols"].items():
        for name in ("weighted_kappa", "pairwise_kappa", "spearman_mean", "krippendorff_alpha",
                     "group_differences", "could_be_annotator"):  # fmt: skip
            for cells, row in zip(read(out, f"{name}_{protocol}"), found[name], strict=True):
                for column, cell in cells.items():
                    assert cell == ("" if row[column] is None else str(row[column]))
    assert results["seed"] == 42
    assert results["counts"]["people"] == 5
    assert results["counts"]["models"] == 6
    assert set(results["versions"]) >= {"emonet-face", "numpy", "scipy"}


def test_order_of_rows_does_not_matter(both, tmp_path):
    path = write_csv(tmp_path / "hq.csv", quirky_rows(duplicates=False)[::-1])
    results = benchmark(tmp_path / "o", ratings=path, n_resamples=RESAMPLES, figures=False)
    assert results["protocols"] == both[1]["protocols"]


@pytest.mark.slow
def test_the_seed_fixes_every_byte(tmp_path):
    path = write_csv(tmp_path / "r.csv", simple_rows(n=6))
    folders = tmp_path / "one", tmp_path / "two"
    for folder in folders:
        benchmark(folder, ratings=path, protocol="corrected", n_resamples=5)
    files = sorted(p.relative_to(folders[0]) for p in folders[0].rglob("*") if p.is_file())
    assert sum(file.suffix == ".csv" for file in files) == 11
    for name in (*(f"{name}_corrected" for name in (*FIGURES, *MODEL_FIGURES)), "one_face"):
        base = folders[0] / "figures" / name
        assert base.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
        assert base.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
    for file in files:
        assert (folders[0] / file).read_bytes() == (folders[1] / file).read_bytes(), file


def test_summary_leads_with_the_anchor_and_sorts_models(both):
    _, results = both
    rows = summary_rows(results)
    assert rows == summary_rows(results, "corrected")
    assert [row["kind"] for row in rows] == ["anchor"] + ["model"] * 6 + ["baseline"] * 4
    assert rows[0]["annotator"] == "human raters with each other"
    kappas = [row["weighted_kappa"] for row in rows[1:7]]
    assert kappas == sorted(kappas, reverse=True)
    assert {row["annotator"]: row["group"] for row in rows[1:7]} == GROUPS
    assert [row["kind"] for row in summary_rows(results, "official")] == ["anchor"] + ["model"] * 6
    with pytest.raises(EmoNetFaceError, match="'best' was not run"):
        summary_rows(results, "best")


def test_no_resamples_leave_intervals_undefined(tmp_path):
    path = write_csv(tmp_path / "r.csv", simple_rows(n=8))
    results = benchmark(tmp_path / "o", ratings=path, n_resamples=0, figures=False)
    for protocol in results["protocols"]:
        for row in summary_rows(results, protocol):
            assert row["weighted_kappa"] is not None
            assert row["weighted_kappa_ci"] == [None, None]


def test_people_alone_are_enough(tmp_path):
    path = write_csv(tmp_path / "r.csv", [row for row in simple_rows(n=10) if row[2]])
    results = benchmark(tmp_path / "o", ratings=path, n_resamples=10, figures=False)
    assert [row["kind"] for row in summary_rows(results)] == ["anchor"] + ["baseline"] * 4
    assert results["protocols"]["corrected"]["group_differences"] == []
    statistics = corrected.evaluate(read_ratings(path), n_resamples=5, level=0.95, seed=0)
    names = [name for name, _ in figures_of(statistics, 0.95)]
    assert names == list(FIGURES)


def test_groups_follow_the_names():
    for name, group in GROUPS.items():
        assert group_of(name, human=False) == group
    assert group_of("human-1", human=True) == "Humans"
    assert group_of("Gemini 2.5 Pro 03-25 ZS", human=False) == "VLMs Zero-Shot"
    assert group_of("laion/Empathic-Insight-Face-Large", human=False) == "Our Models"
    assert group_of("simulated-vlm", human=False) == "Simulated Models"


# --- predictions and dataset repos ---


def prediction(image, values, **other):
    named = dict(zip(EMOTIONS, map(float, values), strict=True))
    return {"image": image, "scores": {}, "neutral_subtracted": named, **other}


def write_lines(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_predictions_equal_the_same_rows_in_the_ratings(tmp_path):
    rows = list(simple_rows(n=12))
    model = [row for row in rows if not row[2]][:10]
    people = [row for row in rows if row[2]]
    lines = [prediction(f"some/folder/{image}", values) for image, _, _, values in model]
    lines.append({"image": "11.png", "error": "broken file"})
    results = benchmark(
        tmp_path / "p",
        ratings=write_csv(tmp_path / "people.csv", people),
        predictions={"follower": write_lines(tmp_path / "p.jsonl", lines)},
        n_resamples=20,
        figures=False,
    )
    whole = write_csv(tmp_path / "all.csv", people + model)
    expected = benchmark(tmp_path / "r", ratings=whole, n_resamples=20, figures=False)
    assert results["protocols"] == expected["protocols"]
    log = results["predictions"]["follower"]
    assert log["errors"] == [{"line": 11, "image": "11.png", "error": "broken file"}]
    assert log["missing_images"] == ["10", "11"]
    assert log["n_lines"] == 11


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([prediction("unknown.png", [0] * 40)], r"line 1: image 'unknown' is not among"),
        ([prediction("1.png", [0] * 40)] * 2, r"line 2: image '1' stands in line 1 already"),
        (
            [prediction("1.png", [0] * 40), {"image": "1.png", "error": "x"}],
            r"line 2: image '1' st",
        ),
        ([{"image": "1.png", "error": "x"}], r"no line has scores"),
        ([], r"no line has scores"),
        ([{"image": "1.png", "scores": {"Anger": 1}}], r"line 1: needs 'neutral_sub"),
        ([{"image": "1.png", "neutral_subtracted": {"Anger": 1}}], r"line 1: no value for 'Amuse"),
        (["text"], r"line 1: is not a JSON object"),
    ],
)
def test_bad_predictions_are_named(tmp_path, lines, message):
    path = write_csv(tmp_path / "r.csv", simple_rows(n=4))
    file = write_lines(tmp_path / "p.jsonl", lines)
    with pytest.raises(EmoNetFaceError, match=message):
        benchmark(tmp_path / "o", ratings=path, predictions={"new": file}, n_resamples=0)
    assert not (tmp_path / "o").exists()


def test_faces_of_an_image_count_by_the_largest(tmp_path, capsys):
    """As `predict --faces` writes them: face 0 is the largest, an image may have none."""
    path = write_csv(tmp_path / "r.csv", simple_rows(n=4))
    lines = [
        prediction("0.png", [1] * 40, face={"index": 0, "n_faces": 2}),
        prediction("0.png", [9] * 40, face={"index": 1, "n_faces": 2}),
        {"image": "1.png", "face": {"n_faces": 0, "detector": "hog"}},
        prediction("2.png", [3] * 40, face={"index": 0, "n_faces": 1}),
    ]
    file = write_lines(tmp_path / "p.jsonl", lines)
    table, log = read_predictions("new", file, read_ratings(path))
    assert table.images == ["0", "2"]
    assert table.scores[:, 0].tolist() == [1, 3]
    assert (log.without_face, log.n_other_faces, log.n_lines) == (["1.png"], 1, 4)
    assert log.missing_images == ["1", "3"]
    code = main(["benchmark", "--ratings", str(path), "--predictions", f"new={file}", "--out",
                 str(tmp_path / "o"), "--resamples", "0", "--no-figures"])  # fmt: skip
    said = " ".join(capsys.readouterr().out.split())
    assert code == 0
    assert (
        "new: images without a face: 1, further faces beside the largest of their image: 1;"
        " rated images without scores: 2" in said
    )
    for protocol in ("official", "corrected"):
        assert f"({protocol} protocol)" in said


@pytest.mark.parametrize("name", ["", "  ", "a\nb"])
def test_predictions_need_a_name_for_one_line(tmp_path, name):
    ratings = read_ratings(write_csv(tmp_path / "r.csv", simple_rows(n=4)))
    file = write_lines(tmp_path / "p.jsonl", [prediction("1.png", [0] * 40)])
    with pytest.raises(EmoNetFaceError, match="'name of the predictions' is"):
        read_predictions(name, file, ratings)


def test_predictions_are_taken_on_the_scale_they_have(tmp_path):
    """Only the published ratings of Hume Face are on 0..1 and multiplied."""
    ratings = read_ratings(write_csv(tmp_path / "r.csv", simple_rows(n=4)))
    file = write_lines(tmp_path / "p.jsonl", [prediction("1.png", [0.5] * 40)])
    assert read_predictions("Hume Face*", file, ratings)[0].scores[0, 0] == 0.5


@pytest.mark.parametrize("seed", [-1, 1.5, True])
def test_a_seed_is_a_whole_number_from_0(tmp_path, seed):
    with pytest.raises(EmoNetFaceError, match=r"seed: .* is given, a whole number from 0"):
        benchmark(tmp_path / "o", ratings=tmp_path / "r.csv", seed=seed)


def test_a_null_of_a_person_is_counted(tmp_path):
    rows = list(simple_rows(n=4))
    rows[0] = (*rows[0][:3], {"Anger": 3, "Awe": None})
    path = write_csv(tmp_path / "r.csv", rows)
    results = benchmark(tmp_path / "o", ratings=path, n_resamples=0, figures=False)
    assert results["counts"]["null_by_people"] == 1
    assert notes(results) == [
        "nulls in ratings by people, taken as 0 as a missing key is: 1",
        "Humans with Other Models: only 4 images",
    ]


def test_models_on_images_of_their_own_are_named(tmp_path, capsys):
    rows = [*simple_rows(n=4), ("z.png", "stranger", False, [1] * 40)]
    path = write_csv(tmp_path / "r.csv", rows)
    results = benchmark(tmp_path / "o", ratings=path, n_resamples=0, figures=False)
    assert results["models_apart"] == ["stranger"]
    code = main(["benchmark", "--ratings", str(path), "--out", str(tmp_path / "o"),
                 "--resamples", "0", "--no-figures"])  # fmt: skip
    assert code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "models without one image that people rated, so '-': stranger" in said


def test_a_prediction_needs_a_name_of_its_own(tmp_path):
    path = write_csv(tmp_path / "r.csv", simple_rows(n=4))
    file = write_lines(tmp_path / "p.jsonl", [prediction("1.png", [0] * 40)])
    with pytest.raises(EmoNetFaceError, match="'follower' is already an annotator"):
        benchmark(tmp_path / "o", ratings=path, predictions={"follower": file}, n_resamples=0)


def test_a_dataset_repo_gives_what_its_ratings_give(tmp_path, capfd):
    from datasets import Dataset, Features, List, Value

    rows = [row for row in quirky_rows(duplicates=False) if row[1] != OURS]  # 32-bit exact enough
    vector = List(Value("float32"), length=40)

    def full(values, gap):
        named = dict(zip(EMOTIONS, values, strict=True)) if len(values) == 40 else values
        return [named.get(emotion, gap) for emotion in EMOTIONS]

    images = {}
    for image, name, human, values in rows:
        if human:
            entry = {"annotator": name, "scores": full(values, 0)}
            images.setdefault(image.removesuffix(".png"), []).append(entry)
    hq = [{"image_id": image, "ratings": entries} for image, entries in images.items()]
    baselines = [
        {"image_id": image[:-4], "annotator": name, "scores": full(values, None)}
        for image, name, human, values in rows
        if not human
    ]
    text = Value("string")
    entry = {"annotator": text, "scores": vector}
    repo = tmp_path / "emonet-face"
    for config, records, features in (
        ("hq", hq, Features({"image_id": text, "ratings": List(entry)})),
        ("hq_baselines", baselines, Features({"image_id": text, **entry})),
    ):
        (repo / config).mkdir(parents=True)
        Dataset.from_list(records, features=features).to_parquet(repo / config / "test.parquet")
    configs = "".join(
        f"- config_name: {c}\n  data_files:\n  - split: test\n    path: {c}/test.parquet\n"
        for c in ("hq", "hq_baselines")
    )
    (repo / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")

    options = {"n_resamples": 0, "figures": False}
    found = benchmark(tmp_path / "d", dataset=repo, **options)
    assert "Generating" not in capfd.readouterr().err  # the bars of `datasets` are off
    path = write_csv(tmp_path / "r.csv", rows)
    expected = benchmark(tmp_path / "r", ratings=path, **options)
    assert found["source"] == {"dataset": "emonet-face"}
    for protocol in expected["protocols"]:
        for one, two in zip(
            summary_rows(found, protocol), summary_rows(expected, protocol), strict=True
        ):
            assert one["annotator"] == two["annotator"]
            assert one["weighted_kappa"] == pytest.approx(two["weighted_kappa"], abs=1e-6)
            assert one["spearman"] == pytest.approx(two["spearman"], abs=1e-6)


def test_what_is_no_dataset_repo_is_named(tmp_path):
    with pytest.raises(EmoNetFaceError, match="cannot be loaded as a dataset repo"):
        benchmark(tmp_path / "o", dataset=tmp_path / "absent", n_resamples=0)


# --- faults at the door ---


def test_bad_options_and_bad_ratings_are_named(tmp_path):
    rows = list(simple_rows(n=4))
    path = write_csv(tmp_path / "r.csv", rows)
    out = tmp_path / "o"
    with pytest.raises(EmoNetFaceError, match="unknown protocol 'best'; allowed are official"):
        benchmark(out, ratings=path, protocol="best")
    for sources in ({}, {"ratings": path, "dataset": "x"}):
        with pytest.raises(EmoNetFaceError, match="either --ratings or --dataset"):
            benchmark(out, **sources)
    with pytest.raises(EmoNetFaceError, match="resamples: -1 is given"):
        benchmark(out, ratings=path, n_resamples=-1)

    wrong = write_csv(tmp_path / "w.csv", [*rows, ("9.png", "human-1", True, {"Anger": 8})])
    with pytest.raises(EmoNetFaceError, match=r"w.csv, row 17 .*Anger.* is 8: .* in 0..7"):
        benchmark(out, ratings=wrong)
    models = write_csv(tmp_path / "m.csv", [row for row in rows if not row[2]])
    with pytest.raises(
        EmoNetFaceError, match=r"no human rater in the ratings .*; agreement needs two"
    ):
        benchmark(out, ratings=models)
    single = write_csv(tmp_path / "1.csv", [r for r in rows if r[1] in ("human-1", "follower")])
    with pytest.raises(EmoNetFaceError, match="only one human rater, 'human-1' in the"):
        benchmark(out, ratings=single)
    mixed = write_csv(tmp_path / "x.csv", [*rows, ("9.png", "human-1", False, {})])
    with pytest.raises(EmoNetFaceError, match=r"x.csv, row 17: 'human-1' has human=False"):
        benchmark(out, ratings=mixed)
    assert not out.exists()


def test_what_is_not_ours_is_not_overwritten(tmp_path):
    path = write_csv(tmp_path / "r.csv", simple_rows(n=4))
    out = tmp_path / "o"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(EmoNetFaceError, match="was not made by this command"):
        benchmark(out, ratings=path, n_resamples=0, figures=False)
    assert (out / "thesis.txt").read_text() == "mine"


def test_a_table_leaves_undefined_cells_empty_and_refuses_gaps(tmp_path):
    rows = [{"a": np.float64(0.1), "b": None, "c": 1}, {"a": float("nan"), "b": True, "c": 2}]
    write_table(tmp_path / "t" / "x.csv", ("a", "b"), rows)
    assert (tmp_path / "t" / "x.csv").read_bytes() == b"a,b\n0.1,\n,True\n"
    for bad in ({"a": 1}, {"a": float("inf"), "b": 1}):
        with pytest.raises(ValueError, match=r"no value for \['b'\]|infinity"):
            write_table(tmp_path / "y.csv", ("a", "b"), [bad])


def test_simulated_raters_are_never_called_human(tmp_path):
    rows = [
        (image, name.replace("human", "simulated-human"), human, values)
        for image, name, human, values in simple_rows(n=8)
    ]
    path = write_csv(tmp_path / "r.csv", rows)
    statistics = corrected.evaluate(read_ratings(path), n_resamples=5, level=0.95, seed=0)
    assert list(statistics.groups) == ["Simulated Humans", "Other Models"]
    title = agreement_by_group(statistics).get_suptitle()
    assert title.startswith("Agreement with simulated raters")
    notices = {name: figure.get_supxlabel() for name, figure in figures_of(statistics, 0.95)}
    assert notices == dict.fromkeys([*FIGURES, *MODEL_FIGURES], NOTICE)


def test_ratings_need_no_heavy_library(tmp_path):
    path = write_csv(tmp_path / "r.csv", simple_rows(n=4))
    code = (
        "import sys; from pathlib import Path; from eval_metrics.benchmark import benchmark\n"
        f"benchmark(Path(r'{tmp_path / 'o'}'), ratings=Path(r'{path}'), n_resamples=2,"
        " figures=False)\n"
        "import eval_metrics.figures\n"
        "print({'torch', 'sklearn', 'evaluate', 'datasets', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_official_tables_need_numpy_alone(tmp_path):
    """Half of their time would go to importing scipy's statistics."""
    path = write_csv(tmp_path / "r.csv", simple_rows(n=4))
    code = (
        "import sys; from pathlib import Path; from eval_metrics.benchmark import benchmark\n"
        f"benchmark(Path(r'{tmp_path / 'o'}'), ratings=Path(r'{path}'), n_resamples=2,"
        " protocol='official', figures=False)\n"
        "heavy = {'torch', 'sklearn', 'evaluate', 'datasets', 'transformers', 'pandas', 'scipy',"
        " 'matplotlib', 'pyarrow'}\n"
        "print(heavy & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
