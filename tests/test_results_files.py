"""results.json against its schema, and what model repos get from it.

pytest tests/test_results_files.py

The schema ships beside the benchmark; json_schema.py here reads the part of JSON Schema it uses.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard
from huggingface_hub._eval_results import parse_eval_result_entries
from json_schema import faults
from test_benchmark import OURS, quirky_rows, simple_rows, write_csv

import eval_metrics
from emonet_face.errors import EmoNetFaceError
from eval_metrics.benchmark import benchmark, summary_rows
from eval_metrics.model_index import (
    dataset_of,
    eval_results,
    main,
    model_index,
    write_model_results,
)

SCHEMA = json.loads((Path(eval_metrics.__file__).parent / "results.schema.json").read_text())
DATASET = "laion/emonet-face-hq"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A benchmark of both protocols on the quirky table."""
    root = tmp_path_factory.mktemp("results")
    path = write_csv(root / "hq.csv", quirky_rows(duplicates=False))
    benchmark(root / "out", ratings=path, n_resamples=10, figures=False)
    return root / "out"


@pytest.fixture
def results(folder):
    return json.loads((folder / "results.json").read_text())


# --- the schema ---


def test_results_are_as_the_schema_says(results):
    assert list(faults(results, SCHEMA, SCHEMA)) == []


@pytest.mark.parametrize("options", [{"protocol": "official"}, {"n_resamples": 0}])
def test_so_are_results_of_people_alone_and_without_resamples(tmp_path, options):
    path = write_csv(tmp_path / "r.csv", [row for row in simple_rows(n=6) if row[2]])
    options = {"n_resamples": 5} | options
    results = benchmark(tmp_path / "o", ratings=path, figures=False, **options)
    assert list(faults(results, SCHEMA, SCHEMA)) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r.pop("seed"), "lacks 'seed'"),
        (lambda r: r.update(made_by="me"), "is not 'emonet-face benchmark'"),
        (lambda r: r["protocols"]["official"].update(new=[]), "'new' is not in the schema"),
        (lambda r: r["protocols"]["corrected"]["weighted_kappa"][0].pop("Awe"), "lacks 'Awe'"),
        (lambda r: r["protocols"]["corrected"]["krippendorff_alpha"][0].update(tier="best"),
         "'best' is none of"),
        (lambda r: r["counts"].update(people=True), "is no integer"),
        (lambda r: r.update(seed=-1), "is too small"),
        (lambda r: r.update(more=1), "'more' is not in the schema"),
        (lambda r: r["protocols"]["official"]["weighted_kappa"][0].update(Ange=0.3),
         "'Ange' is not in the schema"),
        (lambda r: r.update(confidence_level=1.0), "is too large"),
        (lambda r: r["protocols"]["official"]["pairwise_kappa"][0].update(kappa=".3"),
         "is no ['number', 'null']"),
    ],
)  # fmt: skip
def test_the_schema_finds_what_is_wrong(results, change, said):
    change(results)
    found = list(faults(results, SCHEMA, SCHEMA))
    assert any(said in fault for fault in found), found


def test_the_schema_describes_every_table_of_the_corrected_protocol(results):
    described = set(SCHEMA["$defs"]["protocol"]["properties"])
    assert set(results["protocols"]["corrected"]) | {"slices", "slice_gaps"} == described
    assert set(results["protocols"]["official"]) == set(SCHEMA["$defs"]["protocol"]["required"])


# --- the baselines beside the models ---


def test_official_tables_gain_no_rows_and_the_summary_shows_the_baselines(results):
    official = results["protocols"]["official"]
    assert len(official["weighted_kappa"]) == results["counts"]["annotators"]
    corrected = results["protocols"]["corrected"]
    assert len(corrected["weighted_kappa"]) == results["counts"]["annotators"]
    shown = [row for row in summary_rows(results) if row["kind"] == "baseline"]
    assert [row["annotator"] for row in shown] == [r["annotator"] for r in corrected["baselines"]]
    assert all(row["annotator"].startswith("trivial ") for row in shown)


# --- for model repos ---


def test_eval_results_are_read_back_by_the_hubs_client(results):
    entries = parse_eval_result_entries(eval_results(results, OURS, DATASET, "corrected"))
    rows = results["protocols"]["corrected"]
    expected = {
        task: next(row["mean"] for row in rows[task] if row["annotator"] == OURS)
        for task in ("weighted_kappa", "spearman_median")
    }
    assert {entry.task_id: entry.value for entry in entries} == expected
    assert {entry.dataset_id for entry in entries} == {DATASET}
    kappa = entries[0].notes
    row = next(row for row in rows["weighted_kappa"] if row["annotator"] == OURS)
    assert f"95% interval {row['ci_low']:.3f} to {row['ci_high']:.3f}" in kappa
    assert f"{row['n_images']} images, {row['n_emotions']} categories" in kappa
    assert "raters with each other" in kappa
    assert "raters with each other" not in entries[1].notes


def test_the_model_index_is_read_back_by_the_hubs_client(results, tmp_path):
    (tmp_path / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n# Mine\n")
    files = write_model_results(tmp_path, results, OURS, DATASET)
    assert [path.name for path in files] == [
        "README.md",
        "emonet-face_official.yaml",
        "emonet-face_corrected.yaml",
    ]
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.license == "cc-by-4.0"
    assert card.text.strip() == "# Mine"
    found = {(r.metric_type, r.metric_args["protocol"]): r for r in card.data.eval_results}
    assert len(found) == 4
    one = found["weighted_kappa", "official"]
    row = next(
        row for row in results["protocols"]["official"]["weighted_kappa"]
        if row["annotator"] == OURS
    )  # fmt: skip
    assert (one.metric_value, one.dataset_type) == (row["mean"], DATASET)
    assert one.metric_args["interval"] == [row["ci_low"], row["ci_high"]]
    for path in files[1:]:
        assert yaml.safe_load(path.read_text())[0]["dataset"]["id"] == DATASET


def test_undefined_results_are_left_out(results):
    constant = eval_results(results, "Constant Baseline", DATASET, "corrected")
    assert [entry["dataset"]["task_id"] for entry in constant] == ["weighted_kappa"]


def test_simulated_raters_say_so(results):
    changed = copy.deepcopy(results)
    changed["simulated_annotators"] = ["simulated-human-1"]
    entry = eval_results(changed, OURS, DATASET, "official")[0]
    assert "simulated raters: a demonstration" in entry["notes"]
    assert "simulated" not in eval_results(results, OURS, DATASET, "official")[0]["notes"]
    assert "simulated" not in json.dumps(model_index(results, OURS, DATASET, "m"))
    (model,) = model_index(changed, OURS, DATASET, "m")
    for result in model["results"]:
        for metric in result["metrics"]:
            assert "simulated raters: a demonstration, no result on EmoNet-Face" in metric["name"]


def test_the_dataset_is_told_from_the_results_where_they_tell(results):
    assert dataset_of(results) == DATASET
    assert dataset_of(results | {"source": {"dataset": "org/faces"}}) == "org/faces"
    with pytest.raises(EmoNetFaceError, match="folder 'faces': say with --dataset-id ORG"):
        dataset_of(results | {"source": {"dataset": "faces"}})
    with pytest.raises(EmoNetFaceError, match=r"simulated raters.*--dataset-id"):
        dataset_of(results | {"simulated_annotators": ["simulated-human-1"]})


@pytest.mark.parametrize("name", ["faces", "a/b/c", "org/", "/x", "org/na me", ""])
def test_an_id_is_org_and_name(results, name):
    with pytest.raises(EmoNetFaceError, match="is no id of a dataset on the Hub: give org/name"):
        eval_results(results, OURS, name, "official")
    with pytest.raises(EmoNetFaceError, match="give org/name"):
        model_index(results, OURS, name, "m")


def test_faults_are_named(results, folder, tmp_path, capsys):
    with pytest.raises(EmoNetFaceError, match="no model 'human-1' in the results; found"):
        model_index(results, "human-1", DATASET, "m")
    with pytest.raises(EmoNetFaceError, match="'best' was not run; found official, corrected"):
        eval_results(results, OURS, DATASET, "best")
    arguments = ["--annotator", OURS, "--dataset-id", DATASET, "--repo"]
    assert main([str(tmp_path / "no.json"), *arguments, str(tmp_path)]) == 2
    assert main([str(folder / "results.json"), *arguments, str(tmp_path / "no")]) == 2
    (tmp_path / "other.json").write_text('{"made_by": "somebody"}')
    assert main([str(tmp_path / "other.json"), *arguments, str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 3
    assert "is not a folder" in said
    assert "was not made by" in said
    assert not (tmp_path / ".eval_results").exists()


def test_from_the_command_line(folder, tmp_path, capsys):
    arguments = ["--annotator", OURS, "--repo", str(tmp_path)]
    assert main([str(folder / "results.json"), *arguments]) == 0
    assert "emonet-face_corrected.yaml" in capsys.readouterr().out
    assert (tmp_path / ".eval_results" / "emonet-face_official.yaml").is_file()
