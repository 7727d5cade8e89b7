"""Configs `hq` and `hq_baselines`: ratings grouped by image, medians, repeats, images, generators.

pytest tests/test_build_hq.py
"""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest
from raw_sources import draw, files_of, ratings_csv, read_lines, sidecar

from dataset_scripts.generators import generator_of
from dataset_scripts.hq import build_hq, rows
from dataset_scripts.rejects import Reject
from emonet_face.cli import main
from emonet_face.errors import EmoNetFaceError
from emonet_face.taxonomy import INDEX

ANGER, AWE = INDEX["Anger"], INDEX["Awe"]


def table(repo, config):
    return pq.read_table(repo / config).to_pylist()


def test_people_become_rows_and_models_baselines(tmp_path):
    source = ratings_csv(
        tmp_path / "hq.csv",
        ("mj_data_9_U1.png", "human-2", True, {"Anger": 1}),
        ("x.png", "human-1", True, {}),
        ("mj_data_9_U1.png", "model-a", False, {"Anger": -2.5, "Awe": 9}),
        ("mj_data_9_U1.png", "human-1", True, {"Anger": 7, "Awe": 3}),
        ("mj_data_9_U1.png", "human-5", True, {"Anger": 2}),
        ("mj_data_9_U1.png", "human-8", True, {"Anger": 4, "Hopelessness": 2}),
        ("y.png", "model-a", False, {"Extra Dimensions|Arousal": 3}),
    )
    report = build_hq(source, tmp_path / "repo")
    assert report.rows == {"hq": 2, "hq_baselines": 2}
    assert report.n_rejected == 0
    mj, x = table(tmp_path / "repo", "hq")
    assert [entry["annotator"] for entry in mj["ratings"]] == [f"human-{i}" for i in (2, 1, 5, 8)]
    anger = [entry["scores"][ANGER] for entry in mj["ratings"]]
    assert anger == [1, 7, 2, 4]
    # Untouched sliders are 0, so Awe is 0, 3, 0, 0.
    assert (mj["median_scores"][ANGER], mj["median_scores"][AWE]) == (3.0, 0.0)
    assert mj["ratings"][3]["scores"][INDEX["Helplessness"]] == 2
    assert (mj["image_id"], mj["generator"], mj["image"]) == ("mj_data_9_U1", "Midjourney v6", None)
    assert x["median_scores"] == [0.0] * 40
    baseline, other = table(tmp_path / "repo", "hq_baselines")
    assert set(baseline) == {"image_id", "annotator", "scores"}
    assert (baseline["scores"][ANGER], baseline["scores"][AWE]) == (-2.5, 9.0)
    assert baseline["scores"].count(None) == 38
    assert other["scores"] == [None] * 40
    assert report.counts["values of extra dimensions, not stored"] == 1
    assert report.counts["rating rows of people"] == 5
    assert report.counts["images rated by 4"] == report.counts["images rated by 1"] == 1
    # 39 + 38 + 39 + 38 of the first image, 40 of the second.
    assert report.counts["untouched sliders read as 0"] == 194


def test_repeats_are_rejected_and_name_the_first_row(tmp_path):
    source = ratings_csv(
        tmp_path / "hq.csv",
        ("a.png", "human-1", True, {"Anger": 1}),
        ("a.png", "human-2", True, {"Anger": 5}),
        ("a.png", "human-1", True, {"Anger": 1}),
        ("a.png", "human-1", True, {"Anger": 2}),
        ("a.png", "m", False, {"Anger": 2}),
        ("a.png", "m", False, {"Anger": 2}),
    )
    report = build_hq(source, tmp_path / "repo")
    assert report.rows == {"hq": 1, "hq_baselines": 1}
    (row,) = table(tmp_path / "repo", "hq")
    assert [entry["scores"][ANGER] for entry in row["ratings"]] == [1, 5]
    same, other, model = read_lines(report.rejects)
    assert (same["row"], other["row"], model["row"]) == (3, 4, 6)
    assert "in row 1, with the same scores" in same["reason"]
    assert "in row 1, with other scores" in other["reason"]
    assert other["record"]["annotations"] == {"Anger": 2}
    with pytest.raises(EmoNetFaceError, match=r"row 3.*'human-1' already rated image 'a' in row 1"):
        build_hq(source, tmp_path / "repo", strict=True)


def test_bad_rows_of_the_table_are_rejected_one_by_one(tmp_path):
    source = ratings_csv(
        tmp_path / "hq.csv",
        ("a.png", "human-1", True, {"Anger": 8}),
        ("a.png", "human-2", True, {"Joy": 1}),
        ("a.png", "human-3", "perhaps", {}),
        ("a.png", "human-4", True, {"Anger": 1}),
    )
    found = list(rows(source))
    assert [reject.row for reject in found[:3]] == [1, 2, 3]
    assert "0..7" in found[0].reason
    assert len(found[3]["ratings"]) == 1


def test_images_are_matched_by_stem_and_stored_unchanged(tmp_path):
    faces = tmp_path / "faces"
    data = draw(faces / "deep" / "a.webp", (9, 4))
    sidecar(faces / "deep" / "a.json", prompted_emotion="Awe", prompted_ethnicity="Asian")
    source = ratings_csv(
        tmp_path / "hq.csv",
        ("a.png", "human-1", True, {}),
        ("gone.png", "human-1", True, {"Awe": 4}),
    )
    row, reject = rows(source, images=faces)
    assert row["image"] == {"bytes": data, "path": "a.webp"}
    assert (row["width"], row["height"], row["prompted_emotion"]) == (9, 4, AWE)
    assert row["prompted_ethnicity"] == "Asian"
    assert isinstance(reject, Reject)
    assert (reject.row, reject.record["ratings"][0]["annotations"]) == (2, {"Awe": 4})
    draw(faces / "a.png")
    with pytest.raises(EmoNetFaceError, match="same stem 'a'"):
        next(rows(source, images=faces))


def test_a_rebuild_without_models_takes_the_old_baselines_away(tmp_path):
    people = ("a.png", "human-1", True, {"Anger": 1})
    source = ratings_csv(tmp_path / "hq.csv", people, ("a.png", "m", False, {}))
    build_hq(source, tmp_path / "repo")
    assert (tmp_path / "repo" / "hq_baselines").is_dir()
    build_hq(ratings_csv(source, people), tmp_path / "repo")
    built = ["README.md", "croissant.json", "hq/test-00000-of-00001.parquet"]
    assert sorted(files_of(tmp_path / "repo")) == built
    with pytest.raises(EmoNetFaceError, match="holds no row for this config"):
        build_hq(ratings_csv(source, ("a.png", "m", False, {})), tmp_path / "repo")


def test_one_row_no_number_can_be_printed_of_is_rejected_alone(tmp_path, capsys):
    source = ratings_csv(
        tmp_path / "hq.csv",
        ("a.png", "human-1", True, {"Anger": 1}),
        ("b.png", "human-1", True, {"Anger": 6}),
    )
    source.write_text(source.read_text().replace(": 6}", f": 0x{'F' * 6_000}}}"))
    assert main(["build", "hq", "--ratings", str(source), "--out", str(tmp_path / "repo")]) == 0
    assert "… is <a number of … bits>: a rating must be finite: 1" in capsys.readouterr().out


def test_images_of_one_stem_and_two_names_are_not_merged(tmp_path):
    source = ratings_csv(
        tmp_path / "hq.csv",
        ("a/x.png", "human-1", True, {"Anger": 1}),
        ("x", "human-2", True, {"Anger": 3}),
        ("b/x.jpg", "human-3", True, {"Anger": 7}),
    )
    row, reject = sorted(rows(source), key=lambda found: isinstance(found, Reject))
    assert [entry["annotator"] for entry in row["ratings"]] == ["human-1", "human-2"]
    assert reject.row == 3
    assert "'b/x.jpg' has the stem of 'a/x.png' in row 1" in reject.reason


def test_a_prompts_file_of_no_use_is_an_error(tmp_path):
    source = ratings_csv(tmp_path / "hq.csv", ("a.png", "human-1", True, {}))
    prompts = tmp_path / "p.jsonl"
    prompts.write_text('{"prompt": "nobody"}\n[]\n')
    with pytest.raises(EmoNetFaceError, match=r"p\.jsonl: no line can be used; line 1: 'image_id'"):
        build_hq(source, tmp_path / "repo", prompts=prompts)
    assert not (tmp_path / "repo").exists()


def test_generators_of_the_published_names():
    assert generator_of("flux_dev_one_1-499_s7") == "Flux Dev"
    assert generator_of("flux_prompt_10-image_251") == "Flux Pro"
    assert generator_of("juggernaut-xl-v8-prompt-6-259_result") == "Juggernaut XL v8"
    # The whole stem has to fit.
    assert generator_of("my_mj_data_1_U1") is generator_of("mj_data_1_U5") is None
