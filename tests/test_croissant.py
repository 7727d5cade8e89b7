"""`croissant.json` is valid, true of the shards, and readable by other people's software.

    pytest tests/test_croissant.py

mlcroissant, the reference reader, validates it and reads every record back from the local repo.
"""

from __future__ import annotations

import hashlib
import json

import mlcroissant
import numpy as np
import pytest
from datasets import load_dataset
from raw_sources import files_of
from toy_repo import N, face, good_rows, make_repo, picture, ratings

from dataset_scripts.croissant import croissant, file_hashes
from dataset_scripts.repository import replace_configs, write_configs
from dataset_scripts.schema import CONFIGS, SPLITS, features
from dataset_scripts.shards import write_shards
from emonet_face.taxonomy import CATEGORIES, EMOTIONS


@pytest.fixture(scope="module")
def repo(tmp_path_factory):
    return make_repo(tmp_path_factory.mktemp("hub") / "emonet-face")


def described(repo):
    return json.loads((repo / "croissant.json").read_text(encoding="utf-8"))


def opened(repo):
    return mlcroissant.Dataset(jsonld=str(repo / "croissant.json"))


def test_it_is_valid_croissant_1_1(repo):
    metadata = opened(repo).metadata
    assert metadata.ctx.is_v1_1()
    assert metadata.conforms_to == [
        "http://mlcommons.org/croissant/1.1",
        "http://mlcommons.org/croissant/RAI/1.0",
    ]
    assert not metadata.ctx.issues.errors
    # A date would make each build another file; the Hub says when a repo was published.
    (warning,) = metadata.ctx.issues.warnings
    assert "datePublished" in warning


def test_every_shard_is_listed_with_its_sha256(repo):
    shards = {p.relative_to(repo).as_posix(): p for p in repo.glob("*/*.parquet")}
    assert file_hashes(described(repo)) == {
        name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in shards.items()
    }
    assert len(shards) == len(CONFIGS)


def plain(value):
    """A record of mlcroissant with bare column names, text instead of bytes and None for NaN."""
    if isinstance(value, dict):
        return {key.rpartition("/")[2]: plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [plain(part) for part in value]
    if isinstance(value, float | np.floating) and np.isnan(value):
        return None  # pandas, through which it reads, knows no null inside a vector
    return value.decode() if isinstance(value, bytes) else value


@pytest.mark.parametrize("config", CONFIGS)
def test_records_are_the_rows_that_load_dataset_gives(config, repo, tmp_path):
    name = f"{config}/{SPLITS[config]}"
    records = [plain(record) for record in opened(repo).records(record_set=name)]
    rows = load_dataset(str(repo), config, split=SPLITS[config], cache_dir=str(tmp_path))
    assert len(records) == len(rows) == N
    for record, row in zip(records, rows, strict=True):
        assert list(record) == list(features(config))
        if "image" in row:
            mine, theirs = record.pop("image"), row.pop("image")
            np.testing.assert_array_equal(np.asarray(mine), np.asarray(theirs))
        assert record == row


def test_the_categories_are_a_record_set_in_canonical_order(repo):
    records = [plain(record) for record in opened(repo).records(record_set="emotions")]
    assert [record["name"] for record in records] == list(EMOTIONS)
    assert [record["index"] for record in records] == list(range(40))
    assert [record["kind"] for record in records] == [entry.kind for entry in CATEGORIES]


def test_several_shards_and_rows_without_pictures_are_read(tmp_path):
    rows = good_rows()["hq"]
    rows[1] |= dict.fromkeys(("image", "sha256", "width", "height", "prompted_emotion"))

    def write(folder):
        return {"hq": write_shards(rows, folder, "hq", group_rows=1, shard_bytes=1)}

    repo = tmp_path / "emonet-face"
    replace_configs(repo, ["hq"], write)
    assert len(list(repo.glob("hq/*.parquet"))) == N
    assert len(file_hashes(described(repo))) == N
    records = [plain(record) for record in opened(repo).records(record_set="hq/test")]
    assert [record["image_id"] for record in records] == ["hq-0", "hq-1", "hq-2"]
    assert [records[1][key] for key in ("image", "width", "prompted_emotion")] == [None] * 3
    assert records[2]["ratings"][3] == {"annotator": "human-4", "scores": [7.0] * 40}


def test_a_changed_shard_is_refused_by_the_reader(tmp_path):
    repo = make_repo(tmp_path / "emonet-face")
    (path,) = repo.glob("hq/*.parquet")
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(mlcroissant.GenerationError):
        next(iter(opened(repo).records(record_set="hq/test")))


def test_it_follows_the_shards_and_nothing_else(repo, tmp_path):
    # The same rows, built in two steps into another folder.
    again, rows = tmp_path / "other-name", good_rows()
    write_configs(again, {"big": rows.pop("big")}, group_rows=2)
    assert {r["@id"] for r in described(again)["recordSet"]} == {"emotions", "big/train"}
    write_configs(again, rows, group_rows=2)
    assert files_of(again)["croissant.json"] == files_of(repo)["croissant.json"]
    assert croissant(repo) == described(repo)
    # Another picture in big: its sha256 changes, the entries of other configs do not.
    row = good_rows()["big"][0] | face("big", 0, picture(999))
    write_configs(again, {"big": [row]}, group_rows=2)
    before, after = file_hashes(described(repo)), file_hashes(described(again))
    assert [name for name in before if before[name] != after[name]] == [
        "big/train-00000-of-00001.parquet"
    ]


def test_responsible_ai_fields_say_what_the_data_are_and_what_they_must_not_be_used_for(repo):
    metadata = opened(repo).metadata
    uses = " ".join(metadata.data_use_cases)
    for forbidden in ("at work or in education", "surveillance", "law enforcement", "hiring",
                      "manipulating", "Article 5(1)(f)"):  # fmt: skip
        assert forbidden in uses
    assert "text-to-image" in metadata.data_collection
    assert "Named generators: drawn." in metadata.data_collection
    assert any("not observations" in text for text in metadata.data_limitations)
    assert any("parameters of prompts" in t for t in metadata.personal_sensitive_information)
    assert metadata.data_biases
    assert metadata.annotations_per_item == "hq: 4; binary: 4; big: 2"
    assert metadata.machine_annotation_tools == ["a model", "human-1", "human-2"]
    # human-1 to human-4 in hq, and 1, 2, 3 and 7 in binary.
    assert metadata.annotator_demographics[0].startswith("5 raters.")
    assert not any("simulated" in str(value) for value in described(repo).values())


def test_simulated_annotators_are_called_so(tmp_path):
    def change(rows):
        rows["hq"][0]["ratings"][0]["annotator"] = "simulated-human-1"

    record = described(make_repo(tmp_path / "emonet-face", change))
    assert "annotators are simulated" in record["description"]
    assert record["rai:annotatorDemographics"][0].startswith("No people")


def test_only_configs_that_are_there_are_spoken_of(tmp_path):
    repo = tmp_path / "emonet-face"
    rows = [face("big", 0, picture(1)) | ratings(1) | {"dimensions": None}]
    write_configs(repo, {"big": rows}, group_rows=1)
    record = described(repo)
    assert record["rai:annotatorDemographics"] == ["No people: all ratings were given by programs."]
    assert len(record["rai:dataAnnotationProtocol"]) == 1
    assert not any("binary" in text for text in record["rai:dataLimitations"])


def test_a_damaged_shard_of_another_config_does_not_stop_a_build(tmp_path):
    repo = make_repo(tmp_path / "emonet-face")
    (path,) = repo.glob("hq/*.parquet")
    path.write_bytes(b"not Parquet")
    write_configs(repo, {"big": good_rows()["big"]}, group_rows=2)
    assert not opened(repo).metadata.ctx.issues.errors
