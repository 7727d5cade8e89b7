"""The dataset repo as people load it, and what a build may and may not touch.

pytest tests/test_dataset_repository.py
"""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from datasets import get_dataset_config_names, get_dataset_default_config_name, load_dataset
from raw_sources import draw, files_of, ratings_csv, sidecar, votes_csv

from dataset_scripts import EmoNetFace, build_big, build_binary, build_hq
from dataset_scripts.repository import check_repo, write_configs
from dataset_scripts.schema import CONFIGS, SPLITS, features
from dataset_scripts.shards import write_shards
from emonet_face.config_words import HOLDS
from emonet_face.errors import EmoNetFaceError
from emonet_face.front_matter import (
    join_front_matter,
    read_front_matter,
    split_front_matter,
    write_front_matter,
)
from emonet_face.taxonomy import EMOTIONS, INDEX

ANGER = INDEX["Anger"]


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Raw sources of the three builds; faces a, b, c are 8 x 6 pixels."""
    root = tmp_path_factory.mktemp("raw")
    for shade, name in enumerate("abc"):
        draw(root / "faces" / f"{name}.png", shade=shade)
        sidecar(
            root / "faces" / f"{name}.json",
            annotator="vlm",
            scores={"Anger": shade},
            prompted_emotion="Anger",
            prompted_gender="woman",
        )
    ratings_csv(
        root / "hq.csv",
        *((f"{n}.png", f"human-{i}", True, {"Anger": i}) for n in "abc" for i in (1, 2)),
        ("a.png", "model", False, {"Anger": 0.25}),
    )
    votes_csv(
        root / "binary.csv",
        *((n, "human-1", "True", "Anger") for n in "abc"),
        ("a", "human-3", "False", "Contentment"),
    )
    return root


@pytest.fixture(scope="module")
def repo(raw):
    """All four configs, built in another order than they are listed in."""
    out = raw / "hub" / "emonet-face"
    build_big(raw / "faces", out)
    build_binary(raw / "binary.csv", out, images=raw / "faces")
    build_hq(raw / "hq.csv", out, images=raw / "faces")
    return out


def test_all_configs_load_with_their_columns_and_values(raw, repo, tmp_path):
    assert get_dataset_config_names(str(repo)) == list(CONFIGS)
    assert get_dataset_default_config_name(str(repo)) == "hq"
    data = (raw / "faces" / "a.png").read_bytes()
    for config, split in SPLITS.items():
        loaded = load_dataset(str(repo), config, cache_dir=str(tmp_path))
        assert list(loaded) == [split]
        assert loaded[split].features == features(config)
        if config == "hq_baselines":
            continue
        row = loaded[split][0]
        assert row["image"].size == (row["width"], row["height"]) == (8, 6)
        assert row["sha256"] == hashlib.sha256(data).hexdigest()
        assert (row["image_id"], row["prompted_emotion"]) == ("a", ANGER)
        assert (row["prompted_gender"], row["prompted_age"]) == ("woman", None)
        stored = loaded[split].data.column("image")[0].as_py()
        assert stored == {"bytes": data, "path": "a.png"}
    hq = load_dataset(str(repo), cache_dir=str(tmp_path))["test"]
    assert [entry["annotator"] for entry in hq[0]["ratings"]] == ["human-1", "human-2"]
    assert hq[0]["median_scores"][ANGER] == 1.5
    binary = load_dataset(str(repo), "binary", split="train", cache_dir=str(tmp_path))
    assert binary[0]["votes"][1]["present"] is False
    assert (binary[0]["target_emotion"], binary[1]["contrast_emotion"]) == (ANGER, None)
    assert binary.features["target_emotion"].int2str(ANGER) == "Anger"
    big = load_dataset(str(repo), "big", split="train", cache_dir=str(tmp_path))
    assert big[2]["ratings"][0]["scores"][:32] == [None] * 31 + [2.0]
    baselines = load_dataset(str(repo), "hq_baselines", split="test", cache_dir=str(tmp_path))
    assert baselines[0]["scores"] == [None] * 31 + [0.25] + [None] * 8


def test_streaming_and_numpy(repo, tmp_path):
    stream = load_dataset(str(repo), "big", split="train", streaming=True)
    assert stream.features == features("big")
    assert [row["image_id"] for row in stream] == ["a", "b", "c"]
    hq = load_dataset(str(repo), split="test", cache_dir=str(tmp_path)).with_format("numpy")
    first = hq[0]["ratings"][1]["scores"]
    assert (first.shape, first.dtype) == ((40,), np.float32)
    # The whole set at once: (images x raters, 40).
    ratings = hq.data.column("ratings").combine_chunks().flatten()
    whole = ratings.field("scores").flatten().to_numpy().reshape(-1, len(EMOTIONS))
    np.testing.assert_array_equal(whole[:, ANGER], [1, 2] * 3)
    baselines = load_dataset(str(repo), "hq_baselines", split="test", cache_dir=str(tmp_path))
    scores = baselines.with_format("numpy")[0]["scores"]
    assert np.isnan(scores).sum() == 39


def test_the_bare_name_loads_from_the_folder_that_holds_it(repo, tmp_path):
    code = (
        "from datasets import load_dataset;"
        "print(load_dataset('emonet-face', 'hq', split='test')['image_id'][:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=repo.parent,
        env={"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "['a', 'b', 'c']", done.stderr


def test_changed_shards_are_seen_by_the_loader_although_it_caches_by_yaml(raw, tmp_path):
    out, source = tmp_path / "emonet-face", tmp_path / "v.csv"

    def answers():
        table = load_dataset(str(out), "binary", split="train", cache_dir=str(tmp_path / "cache"))
        return [vote["present"] for row in table for vote in row["votes"]]

    build_binary(votes_csv(source, ("a", "human-1", "True", "Anger")), out)
    assert answers() == [True]
    # One bit of content changes: same numbers of rows and bytes in the YAML.
    build_binary(votes_csv(source, ("a", "human-1", "False", "Anger")), out)
    assert answers() == [False]


def test_the_description_says_what_a_config_holds_and_the_hash_of_its_shards(repo):
    data, _ = read_front_matter(repo)
    assert [entry["config_name"] for entry in data["dataset_info"]] == list(CONFIGS)
    for entry in data["configs"]:
        (files,) = entry["data_files"]
        (shard,) = repo.glob(files["path"])  # of several: test_shards.py
        digest = hashlib.sha256(shard.read_bytes()).hexdigest()
        assert entry["description"] == f"{HOLDS[entry['config_name']]} (sha256:{digest})"
        assert entry.get("default", False) == (entry["config_name"] == "hq")


def test_the_same_sources_give_the_same_bytes(raw, repo, tmp_path):
    again = tmp_path / "again"
    build_hq(raw / "hq.csv", again, images=raw / "faces")
    data, _ = read_front_matter(again)
    assert [entry["config_name"] for entry in data["configs"]] == ["hq", "hq_baselines"]
    build_binary(raw / "binary.csv", again, images=raw / "faces")
    build_big(raw / "faces", again)
    assert files_of(again) == files_of(repo)


def test_other_configs_and_files_and_the_text_stay(raw, repo, tmp_path):
    out = tmp_path / "emonet-face"
    build_binary(raw / "binary.csv", out)
    assert read_front_matter(out)[0]["configs"][0]["default"] is True
    (out / "notes").mkdir()
    (out / "notes" / "mine.txt").write_text("keep")
    (out / "link").symlink_to("notes")
    data, _ = read_front_matter(out)
    write_front_matter(out, data | {"license": "other", "language": "en"}, "# My card\n")
    before = files_of(out)
    build_hq(raw / "hq.csv", out)
    after, body = read_front_matter(out)
    assert body == "# My card\n"
    assert (after["license"], after["language"]) == ("other", "en")
    kept = {name: data for name, data in files_of(out).items() if name in before}
    rewritten = {"README.md": b"", "croissant.json": b""}
    assert kept | rewritten == before | rewritten
    assert (out / "link").is_symlink()
    by_name = {entry["config_name"]: entry for entry in after["configs"]}
    assert by_name["hq"]["default"] is True
    assert "default" not in by_name["binary"]


def test_two_builds_at_once_lose_nothing(raw, tmp_path):
    out = tmp_path / "emonet-face"
    script = """if True:
        import sys, pathlib
        from dataset_scripts import repository
        from dataset_scripts.binary import build_binary
        from dataset_scripts.hq import build_hq

        def carry_over(*arguments, **more):  # both have come here before one goes on, or waited
            here.write_text("")
            for _ in range(60):
                if there.exists():
                    break
                time.sleep(0.05)
            given(*arguments, **more)

        import time
        kind, source, out, here, there = sys.argv[1], *map(pathlib.Path, sys.argv[2:])
        given, repository._carry_over = repository._carry_over, carry_over
        {"hq": build_hq, "binary": build_binary}[kind](source, out)
    """
    places = {"hq": tmp_path / "hq", "binary": tmp_path / "binary"}
    votes = votes_csv(tmp_path / "v.csv", ("a", "human-1", "True", "Anger"))
    sources = {"hq": raw / "hq.csv", "binary": votes}
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", script, kind, sources[kind], out, places[kind], places[other]]
        )
        for kind, other in (("hq", "binary"), ("binary", "hq"))
    ]
    assert [run.wait() for run in runs] == [0, 0]
    data, _ = read_front_matter(out)
    assert [entry["config_name"] for entry in data["configs"]] == ["hq", "binary", "hq_baselines"]
    assert (out / "hq").is_dir()
    assert (out / "binary").is_dir()


def test_a_link_to_a_repo_stays_a_link(raw, tmp_path):
    out, link = tmp_path / "emonet-face", tmp_path / "link"
    build_hq(raw / "hq.csv", out)
    link.symlink_to(out)
    build_binary(votes_csv(tmp_path / "v.csv", ("a", "human-1", "True", "Anger")), link)
    assert link.is_symlink()
    assert (out / "binary").is_dir()
    assert (out / "hq").is_dir()


def test_a_config_that_goes_is_said(raw, tmp_path):
    out, people = tmp_path / "emonet-face", tmp_path / "people.csv"
    assert set(build_hq(raw / "hq.csv", out).rows) == {"hq", "hq_baselines"}
    lines = (raw / "hq.csv").read_text().splitlines(keepends=True)
    people.write_text("".join(line for line in lines if ",False," not in line))
    report = build_hq(people, out)
    assert "  configs removed because the source has nothing for hq_baselines: 1" in report.lines()
    assert not (out / "hq_baselines").exists()


def test_a_folder_that_is_not_ours_is_refused(raw, tmp_path):
    out = tmp_path / "folder"
    for readme in (None, "# mine\n", "---\ntags: [other]\n---\n", "---\ntags: [emonet-face\n---\n"):
        out.mkdir(exist_ok=True)
        (out / "file").write_text("mine")
        if readme:
            (out / "README.md").write_text(readme)
        before = files_of(out)
        with pytest.raises(EmoNetFaceError, match="not made by this command"):
            build_binary(raw / "binary.csv", out)
        assert files_of(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    (tmp_path / "empty").mkdir()
    build_binary(raw / "binary.csv", tmp_path / "empty")


def test_a_failed_build_leaves_the_old_repo_as_it_was(raw, tmp_path, monkeypatch):
    out = tmp_path / "emonet-face"
    build_binary(raw / "binary.csv", out)
    before = files_of(tmp_path)
    bad = votes_csv(tmp_path / "bad.csv", ("a", "human-1", "True", "Joy"))
    with pytest.raises(EmoNetFaceError):
        build_binary(bad, out)
    bad.unlink()
    assert files_of(tmp_path) == before

    def no_space(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dataset_scripts.repository.write_front_matter", no_space)
    with pytest.raises(OSError, match="No space"):
        build_hq(raw / "hq.csv", out)
    assert files_of(tmp_path) == before


def face(index, data):
    row = dict.fromkeys(features("big"))
    return row | {"image_id": f"{index:03d}", "image": {"bytes": data, "path": "x"}, "ratings": []}


def test_shards_end_at_their_size_and_row_groups_at_their_rows(tmp_path):
    rng = np.random.default_rng(0)
    rows = [face(i, rng.bytes(1_000)) for i in range(25)]
    shards = write_shards(iter(rows), tmp_path, "big", group_rows=5, shard_bytes=13_000)
    # 5 rows take some 5.7 kB, so two groups fit a shard: 10, 10, 5.
    assert [path.name for path in shards.paths] == [
        f"train-0000{i}-of-00003.parquet" for i in range(3)
    ]
    metadata = [pq.read_metadata(path) for path in shards.paths]
    assert [m.num_rows for m in metadata] == [10, 10, 5]
    assert [m.num_row_groups for m in metadata] == [2, 2, 1]
    assert pq.read_table(tmp_path / "big").column("image").to_pylist() == [r["image"] for r in rows]
    group = metadata[0].row_group(0)
    codecs = {}
    for i in range(group.num_columns):
        column = group.column(i)
        codecs[column.path_in_schema] = column.compression
        assert column.has_offset_index
    assert codecs.pop("image.bytes") == "UNCOMPRESSED"
    assert set(codecs.values()) == {"SNAPPY"}
    assert pq.read_schema(shards.paths[0]).metadata[b"huggingface"]


def test_rows_are_pulled_one_row_group_at_a_time(tmp_path):
    written = []

    def rows():
        for index in range(10):
            written.append(sum(path.stat().st_size for path in tmp_path.rglob("part-*")))
            yield face(index, b"x" * 100_000)

    write_shards(rows(), tmp_path, "big", group_rows=3)
    # When row 9 is asked for, rows 0-2 are on disk; rows 3-5 may be on their way, 6-8 are next.
    assert written[2] == 0
    assert written[9] > 300_000


def test_a_row_with_other_columns_is_a_mistake_of_the_program(tmp_path):
    with pytest.raises(TypeError, match="needed are"):
        write_configs(tmp_path / "repo", {"hq_baselines": [{"image_id": "a"}]}, group_rows=1)
    with pytest.raises(pa.ArrowInvalid):
        short = {"image_id": "a", "annotator": "m", "scores": [1.0] * 39}
        write_configs(tmp_path / "repo", {"hq_baselines": [short]}, group_rows=1)
    assert not list(tmp_path.iterdir())


def test_the_builder_class_gives_the_rows_of_the_repo(raw, repo, tmp_path):
    sources = {
        "hq": {"ratings": raw / "hq.csv", "images": raw / "faces"},
        "binary": {"votes": str(raw / "binary.csv"), "images": str(raw / "faces")},
        "big": {"source": raw / "faces"},
    }
    for config, paths in sources.items():
        builder = EmoNetFace(config_name=config, cache_dir=str(tmp_path), **paths)
        builder.download_and_prepare()
        made = builder.as_dataset(split=SPLITS[config])
        shipped = load_dataset(str(repo), config, split=SPLITS[config], cache_dir=str(tmp_path))
        assert made.features == shipped.features
        assert made.data.to_pylist() == shipped.data.to_pylist()


def test_the_builder_class_reads_a_changed_source_again(tmp_path):
    source = tmp_path / "v.csv"

    def answers():
        builder = EmoNetFace(config_name="binary", votes=source, cache_dir=str(tmp_path / "cache"))
        builder.download_and_prepare()
        return [row["votes"][0]["present"] for row in builder.as_dataset(split="train")]

    votes_csv(source, ("a", "human-1", "True", "Anger"))
    assert answers() == [True]
    votes_csv(source, ("a", "human-1", "False", "Anger"), ("b", "human-1", "True", "Joy"))
    assert answers() == [False]


def test_the_builder_class_names_wrong_arguments(raw, tmp_path):
    def prepare(**arguments):
        EmoNetFace(cache_dir=str(tmp_path), **arguments).download_and_prepare()

    with pytest.raises(EmoNetFaceError, match="'big' needs 'source'"):
        prepare(config_name="big")
    with pytest.raises(EmoNetFaceError, match="'hq' has no 'votes'; it has ratings"):
        prepare(config_name="hq", votes="x.csv")
    with pytest.raises(ValueError, match="'nope' not found"):
        prepare(config_name="nope")


def test_front_matter_round_trip():
    shared = ["a"]
    data = {"one": shared, "two": shared, "text": "sha256:0", "note": "é & \"'"}
    text = join_front_matter(data, "# T\n---\nmore\n")
    assert "&id" not in text
    assert split_front_matter(text) == (data, "# T\n---\nmore\n")
    assert yaml.safe_load(text.split("---\n")[1]) == data
    assert split_front_matter("no front matter\n---\n") == ({}, "no front matter\n---\n")
    assert split_front_matter("---\n---\nbody") == ({}, "body")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("---\na: 1\n", "not closed"),
        ("---\na: [\n---\n", "not YAML"),
        ("---\n- a\n---\n", "a list"),
    ],
)
def test_broken_front_matter_is_an_error(tmp_path, text, message):
    (tmp_path / "README.md").write_text(text)
    with pytest.raises(EmoNetFaceError, match=rf"README\.md.*{message}"):
        read_front_matter(tmp_path)


def test_importing_the_package_is_cheap():
    code = (
        "import sys, dataset_scripts\n"
        "assert not {'datasets', 'pyarrow', 'yaml'} & set(sys.modules)\n"
        "assert dataset_scripts.build_hq.__name__ == 'build_hq'\n"
        "assert 'datasets' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_model_repo_is_not_taken_for_a_dataset_repo(tmp_path):
    (tmp_path / "model").mkdir()
    card = "---\ntags:\n- emonet-face\nlibrary_name: transformers\n---\n# A model\n"
    (tmp_path / "model" / "README.md").write_text(card)
    with pytest.raises(EmoNetFaceError, match="was not made by this command"):
        check_repo(tmp_path / "model")
    assert (tmp_path / "model" / "README.md").read_text() == card
