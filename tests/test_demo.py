"""The main job end to end, looked at from outside: pytest -m slow tests/test_demo.py

One small demo (a few hundred faces) serves all tests of this file.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from emonet_face.demo import NOTICE
from emonet_face.demo_products import CONSTANT, DATASET, METRIC, MODEL, MODEL_NAME, RANDOM
from emonet_face.embedding_file import open_embedding_files
from emonet_face.taxonomy import EMOTIONS
from modeling_empathicinsight.backbone import load_backbone
from modeling_empathicinsight.embeddings import (
    check_made_by,
    fingerprint_of_file,
    read_embeddings,
)
from modeling_empathicinsight.recipes import FOLDER

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
FACES = 600


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The folder of a demo made by the command, in its own process."""
    out = tmp_path_factory.mktemp("demo") / "out"
    done = subprocess.run(
        [sys.executable, "-m", "emonet_face.cli", "demo", "--out", str(out), "--faces", str(FACES)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out, done


def _record(demo):
    return json.loads((demo[0] / "demo.json").read_text())


def _fresh(code, cwd, tmp_path):
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-I", "-c", code],
        cwd=cwd, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_everything_named_is_there_and_nothing_half_written(demo):
    out, _ = demo
    assert {p.name for p in (out / "hub").iterdir()} == {DATASET, MODEL, METRIC}
    assert (out / "predictions.jsonl").is_file()
    assert {p.name for p in (out / "figures").iterdir()} >= {
        "samples.png",
        "agreement_by_group.png",
        "spearman_per_emotion.png",
    }
    assert [p.name for p in out.parent.iterdir()] == ["out"]
    for repo in (out / "hub").iterdir():
        assert (repo / "README.md").read_text().startswith("---\n")


def test_progress_and_the_table_are_shown(demo):
    _, done = demo
    assert "[ 1/9]" in done.stderr
    assert "[ 9/9]" in done.stderr
    assert "weighted kappa" in done.stdout
    assert NOTICE in done.stdout
    assert "Traceback" not in done.stderr


def test_the_model_beats_both_baselines_with_intervals_apart(demo):
    agreement = _record(demo)["agreement"]
    model, random, constant = (agreement[name] for name in (MODEL, RANDOM, CONSTANT))
    assert model["weighted_kappa_ci"][0] > random["weighted_kappa_ci"][1]
    assert model["weighted_kappa_ci"][0] > constant["weighted_kappa_ci"][1]
    assert model["spearman_ci"][0] > random["spearman_ci"][1]
    # All predictions the same: no more agreement than chance, and no ranks to correlate.
    assert constant["weighted_kappa"] == pytest.approx(0, abs=1e-12)
    assert constant["spearman"] is None
    assert random["weighted_kappa_ci"][0] < 0.02


def test_heads_come_out_near_what_the_recipe_expects(demo):
    """Its numbers are of a demo with three times the faces, so they are a little better."""
    expected = tomllib.loads((FOLDER / "small.toml").read_text(encoding="utf-8"))["expected"]
    stages = _record(demo)["training"]["stages"]
    for stage, name, tolerance in (
        ("ratings", "mae", 0.1),
        ("ratings", "spearman", 0.15),
        ("votes", "log_loss", 0.12),
    ):
        found = stages[stage]["held_out"][name]
        assert found == pytest.approx(expected[stage][name], abs=tolerance), (stage, name)


def test_benchmark_tables_hold_model_baselines_and_people(demo):
    for protocol in ("official", "corrected"):
        path = demo[0] / "benchmark" / "tables" / f"weighted_kappa_{protocol}.csv"
        with path.open(newline="") as stream:
            rows = {row["annotator"]: row for row in csv.DictReader(stream)}
        assert {MODEL_NAME, RANDOM, CONSTANT} < set(rows)
        assert sum(name.startswith("simulated-human") for name in rows) == 8
        assert set(EMOTIONS) < set(rows[MODEL_NAME])


def test_predictions_are_one_line_per_image(demo):
    lines = (demo[0] / "predictions.jsonl").read_text().splitlines()
    assert len(lines) == _record(demo)["faces"]["hq"]
    first = json.loads(lines[0])
    assert sum(first["distribution"].values()) == pytest.approx(1)


def test_a_stranger_loads_the_products_by_name(demo, tmp_path):
    code = f"""
from datasets import load_dataset, get_dataset_config_names
assert set(get_dataset_config_names("{DATASET}")) == {{"hq", "binary", "big", "hq_baselines"}}
hq = load_dataset("{DATASET}", "hq", split="test")
row = hq[0]
assert row["image"].size == (row["width"], row["height"])
assert len(row["ratings"]) == 4 and len(row["ratings"][0]["scores"]) == 40
from transformers import AutoModel, pipeline
model = AutoModel.from_pretrained("{MODEL}", trust_remote_code=True)
classify = pipeline("image-classification", model="{MODEL}", trust_remote_code=True)
answer = classify(row["image"], top_k=40)
assert len(answer) == 40 and abs(sum(a["score"] for a in answer) - 1) < 1e-4
import evaluate
metric = evaluate.load("{METRIC}")
scores = [r["scores"] for r in row["ratings"]]
print(metric.compute(predictions=[scores[0]] * 3, references=[scores] * 3, n_resamples=0).keys())
"""
    assert "weighted_kappa" in _fresh(code, demo[0] / "hub", tmp_path)


def test_cards_say_that_it_is_a_demonstration(demo):
    for name in (DATASET, MODEL):
        text = (demo[0] / "hub" / name / "README.md").read_text()
        assert "imulated raters on schematic faces" in text
        assert "Forbidden" in text or "forbidden" in text


def test_no_path_of_the_machine_is_in_the_products(demo):
    out, _ = demo
    for path in (out / "hub").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            for secret in (str(out.parent), str(Path.home()), ".partial-"):
                assert secret.encode() not in data, f"{path} holds {secret}"


def test_the_embeddings_name_the_tower_in_its_finished_place(demo):
    """So that `train` on them needs no --backbone, and gives the published model's record again."""
    paths = [demo[0] / "work" / f"embeddings-{config}.parquet" for config in ("big", "binary")]
    for file in open_embedding_files(paths):
        assert file.metadata["backbone"] == str(demo[0] / "work" / "tower")
        check_made_by(load_backbone(file.metadata["backbone"]), read_embeddings([file.path]))
    record = json.loads((demo[0] / "hub" / MODEL / "training.json").read_text())
    assert record["embeddings_sha256"] == [fingerprint_of_file(path) for path in paths]
    assert record["backbone"]["name"] == "tower"


def test_nothing_names_the_unfinished_folder(demo):
    for path in demo[0].rglob("*"):
        assert not path.is_file() or b".partial-" not in path.read_bytes(), path


def test_a_second_demo_replaces_the_first_and_a_foreign_folder_is_refused(demo, tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "mine.txt").write_text("keep")
    done = subprocess.run(
        [sys.executable, "-m", "emonet_face.cli", "demo", "--out", str(tmp_path / "x")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "was not made by this command" in done.stderr
    assert [p.name for p in (tmp_path / "x").iterdir()] == ["mine.txt"]
