"""`check` finds each fault, finds nothing else, and changes nothing: pytest tests/test_check.py

Every fault is put into a repo in which `check` finds nothing, so the findings must be exactly those
of the fault. Hashes are compared with scipy's cosine transform, the search for pairs with a plain
double loop, the balance with a derivation and scipy's chi-square test.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from io import BytesIO
from itertools import product

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.fft
import scipy.stats
from PIL import Image, ImageEnhance
from raw_sources import files_of
from toy_repo import N, face, good_rows, make_repo, picture, ratings, votes

from dataset_scripts import build_binary, near_duplicates
from dataset_scripts.balance import FACTORS, crossing, crossings, levels_of
from dataset_scripts.check import check
from dataset_scripts.findings import SHOWN, Findings
from dataset_scripts.near_duplicates import Pairs, Prints, cosine_limit, near_pairs
from dataset_scripts.repo_files import MADE_BY_CHECK
from dataset_scripts.repository import write_configs
from dataset_scripts.row_batches import iter_batches
from dataset_scripts.schema import features
from emonet_face import perceptual_hash
from emonet_face.cli import main
from emonet_face.config_words import HOLDS
from emonet_face.errors import EmoNetFaceError
from emonet_face.front_matter import read_front_matter, write_front_matter
from emonet_face.perceptual_hash import perceptual_hashes, reduce
from emonet_face.taxonomy import EMOTIONS, INDEX


@pytest.fixture(autouse=True)
def quick_figure(request, monkeypatch):
    """Drawing takes a second: tests that do not ask for `real_figure` get a file of its kind."""
    if "real_figure" not in request.fixturenames:
        monkeypatch.setattr(
            "dataset_scripts.balance_figure.draw_balance",
            lambda cells, levels, path: path.write_text(MADE_BY_CHECK),
        )


@pytest.fixture
def real_figure():
    """Asked for by tests that look at the figure."""


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return make_repo(tmp_path_factory.mktemp("good") / "emonet-face")


@pytest.fixture
def repo(good, tmp_path):
    """A copy of the good repo, to be spoilt."""
    return shutil.copytree(good, tmp_path / "emonet-face")


def found(repo, **options):
    """(severity, rule, config) of every finding."""
    return [(f.severity, f.rule, f.config) for f in check(repo, **options).findings]


def change_front(repo, change):
    data, body = read_front_matter(repo)
    change(data)
    write_front_matter(repo, data, body)


def shard(repo, config):
    (path,) = (repo / config).glob("*.parquet")
    return path


def test_a_good_repo_has_no_findings_and_is_not_touched(repo, real_figure, capsys):
    before = files_of(repo)
    assert main(["check", str(repo)]) == 0
    after = files_of(repo)
    made = {name: after.pop(name) for name in ("check.json", "balance.png")}
    assert after == before
    record = json.loads(made["check.json"])
    assert record["findings"] == []
    assert record["counts"] == {"error": 0, "warning": 0, "info": 0}
    assert record["rows"] == {"hq": N, "binary": N, "big": N, "hq_baselines": N}
    front = read_front_matter(repo)[0]["configs"]
    assert {c["config_name"]: c["description"] for c in front} == {
        config: f"{HOLDS[config]} (sha256:{digest})" for config, digest in record["shards"].items()
    }
    figure = Image.open(BytesIO(made["balance.png"]))
    assert figure.format == "PNG"
    assert min(figure.size) > 500
    assert "findings: 0 error, 0 warning, 0 info" in capsys.readouterr().out
    # What `check` wrote is no stray file, and the same repo gives the same bytes.
    assert found(repo) == []
    assert {name: data for name, data in files_of(repo).items() if name in made} == made


def hq_scores(rows, values):
    """Ratings of the second image; the median is that of what `check` can count."""
    rows["hq"][1] |= ratings(*values)
    return rows["hq"][1]


def nan_rating(rows):
    hq_scores(rows, (0, 1, float("nan"), 7))["median_scores"] = [1.0] * 40


def spoil(config, **columns):
    """Set columns of the second row of a config."""
    return lambda rows: rows[config][1].update(columns)


def undecodable(rows):
    data = rows["big"][1]["image"]["bytes"][:-200]
    rows["big"][1]["image"]["bytes"] = data
    rows["big"][1]["sha256"] = hashlib.sha256(data).hexdigest()


def vote(name, emotion, present):
    return {"annotator": name, "emotion": INDEX.get(emotion, 77), "present": present}


def with_votes(*answers, target="Anger", contrast="Contentment"):
    return spoil(
        "binary",
        target_emotion=INDEX[target],
        contrast_emotion=INDEX[contrast],
        votes=[vote(*answer) for answer in answers],
    )


CONTRAST = ("human-7", "Contentment", False)
ROW_FAULTS = {
    "a rating of 8": (lambda r: hq_scores(r, (0, 1, 2, 8)), "rating_range", "hq", "'human-4' gave"),
    "a rating of -1": (
        lambda r: r["big"][1].update(ratings(-1, 3)), "rating_range", "big", "in 0..7"),
    "a rating that is NaN": (nan_rating, "rating_range", "hq", "'human-3' gave 'Amusement' nan"),
    "a person's gap": (
        lambda r: hq_scores(r, (None, 1, 1, 1)), "rating_gap", "hq", "40 categories"),
    "no rating of people": (spoil("hq", ratings=[]), "no_rating", "hq", "has no rating"),
    "ratings that are null": (spoil("hq", ratings=None), "no_rating", "hq", "has no rating"),
    "no rating beside medians": (spoil("big", ratings=[]), "no_rating", "big", "has no rating"),
    "a median that is none": (spoil("hq", median_scores=[3.0] * 40), "median", "hq", "not the"),
    "an empty annotator": (
        lambda r: r["hq"][1]["ratings"][0].update(annotator=""), "annotator", "hq", "no annotator"),
    "one rater twice": (
        lambda r: r["hq"][1]["ratings"][0].update(annotator="human-2"), "rated_twice", "hq",
        "'human-2'"),
    "a dimension off its scale": (
        spoil("big", dimensions={"arousal": 7.5, "valence": None, "dominance": -3.0,
                                 "emotional_vulnerability": None}),
        "dimension_range", "big", "arousal is 7.5"),
    "an infinite model score": (
        spoil("hq_baselines", scores=[float("inf")] + [None] * 39), "score_range", "hq_baselines",
        "'Amusement' inf"),
    "a NaN model score": (
        spoil("hq_baselines", scores=[0.0, float("nan")] + [None] * 38), "score_range",
        "hq_baselines", "'Elation' nan"),
    "an id twice": (spoil("big", image_id="big-0"), "unique_id", "big", "'big-0' stands more than"),
    "an image and model twice": (
        spoil("hq_baselines", image_id="hq-0"), "unique_id", "hq_baselines", "'hq-0', 'a model'"),
    "no id": (spoil("big", image_id=None), "image_id", "big", "no image_id"),
    "a sha256 that lies": (spoil("binary", sha256="0" * 64), "image_sha256", "binary", "'000"),
    "no sha256": (spoil("binary", sha256=None), "image_sha256", "binary", "None"),
    "a width that lies": (spoil("big", width=49), "image_size", "big", "[49, 48]"),
    "a picture cut off": (undecodable, "image_decode", "big", "cannot be decoded"),
    "a category that is none": (
        spoil("hq", prompted_emotion=-1), "label_range", "hq", "prompted_emotion is -1"),
    "a target that is none": (
        spoil("binary", target_emotion=40), "label_range", "binary", "target_emotion is 40"),
    "an age that is none": (spoil("big", prompted_age=900), "label_range", "big", "prompted_age"),
    "no vote": (spoil("binary", votes=[]), "votes", "binary", "has no vote"),
    "a vote on nothing": (
        with_votes(CONTRAST, ("human-1", "?", True)), "votes", "binary", "category 77"),
    "a vote without an answer": (
        with_votes(CONTRAST, ("human-1", "Anger", None)), "votes", "binary", "lacks"),
    "a vote given twice": (
        with_votes(CONTRAST, *[("human-1", "Anger", True)] * 2), "votes", "binary", "voted twice"),
    "a third emotion": (
        with_votes(CONTRAST, ("human-1", "Awe", True)), "votes", "binary", "'Awe'"),
}  # fmt: skip


@pytest.mark.parametrize("fault", ROW_FAULTS)
def test_a_fault_in_a_row_is_found_and_nothing_else(fault, tmp_path):
    change, rule, config, text = ROW_FAULTS[fault]
    repo = make_repo(tmp_path / "emonet-face", change)
    findings = check(repo).findings
    assert {(f.severity, f.rule, f.config) for f in findings} == {("error", rule, config)}
    assert text in findings[0].message
    assert f"{config}/" in findings[0].where
    assert "row 2 (image" in findings[0].where
    # One finding, but for ratings: the toy rater gives all 40 categories the same.
    assert len(findings) == 1 or rule == "rating_range"


def drop_sha(rows, config, index):
    rows[config][index] |= dict.fromkeys(("image", "sha256", "width", "height"))


def leaked(quality=None):
    """The first picture of hq also in big: the same bytes, or saved again as JPEG."""

    def change(rows):
        data = picture(0) if quality is None else picture(0, suffix="JPEG", quality=quality)
        rows["big"][2] |= face("big", 2, data)

    return change


MORE_FAULTS = {
    "a leaked picture": (leaked(), "error", "leak_exact", "hq", "hq-0 = big-2"),
    "a picture saved again": (leaked(quality=75), "warning", "leak_near", "hq",
        "1 pair of pictures looks alike in hq and big"),
    "a label without a value": (
        lambda r: r["big"][1].update(ratings(None, 0.5)), "warning", "rating_gap", "big",
        "'human-1' has no value for 40 categories"),
    "three raters": (
        lambda r: hq_scores(r, (0, 1, 2)), "warning", "raters", "hq", "1 of 3 images have other"),
    "one picture missing": (
        lambda r: drop_sha(r, "hq", 0), "warning", "image_missing", "hq", "1 of 3 rows"),
    "labels only": (
        lambda r: [drop_sha(r, "binary", i) for i in range(N)], "info", "image_missing", "binary",
        "no row has a picture"),
    "scores on an image that hq lacks": (
        spoil("hq_baselines", image_id="x"), "warning", "join", "hq_baselines", "'x'"),
    "two of two Yes": (
        lambda r: r["binary"][1].update(votes("Anger", True, True)), "warning", "cascade_outcome",
        "binary", "1 image has 2 of 2 Yes"),
    "the contrast asked twice": (
        with_votes(CONTRAST, ("human-3", "Contentment", False), ("human-1", "Anger", False)),
        "warning", "cascade_contrast", "binary", "2 votes on the contrast"),
    "the contrast not asked": (
        with_votes(("human-1", "Anger", False)), "warning", "cascade_contrast", "binary",
        "0 votes"),
    "no opposite": (
        with_votes(("human-7", "Awe", False), ("human-1", "Anger", False), contrast="Awe"),
        "warning", "cascade_opposite", "binary", "'Anger - Awe'"),
}  # fmt: skip


@pytest.mark.parametrize("fault", MORE_FAULTS)
def test_a_fault_across_rows_is_found_and_nothing_else(fault, tmp_path):
    change, severity, rule, config, text = MORE_FAULTS[fault]
    (finding,) = check(make_repo(tmp_path / "emonet-face", change)).findings
    assert (finding.severity, finding.rule, finding.config) == (severity, rule, config)
    assert text in finding.message


def test_images_whose_target_cannot_be_told_break_no_rule(tmp_path):
    def change(rows):
        answers = [vote("human-4", "Anger", True), vote("human-4", "Contentment", True)]
        rows["binary"][1] |= {"target_emotion": None, "contrast_emotion": None, "votes": answers}

    assert found(make_repo(tmp_path / "emonet-face", change)) == []


def edit_info(index, key, value):
    return lambda data: data["dataset_info"][index].update({key: value})


def rename_category(data):
    (column,) = (c for c in data["dataset_info"][0]["features"] if c["name"] == "prompted_emotion")
    column["dtype"]["class_label"]["names"]["3"] = "Joy"


FRONT_FAULTS = {
    "a wrong category name": (
        rename_category, "error", "card_features", "hq", "category 3 'Joy', must be 'Content"),
    "columns in another order": (
        lambda d: d["dataset_info"][1]["features"].reverse(), "error", "card_features", "binary",
        "in the order votes, "),
    "features that are none": (
        edit_info(0, "features", "many"), "error", "card_features", "hq", "cannot be read"),
    "a wrong number of rows": (
        lambda d: d["dataset_info"][2]["splits"][0].update(num_examples=4), "error",
        "num_examples", "big", "is 4, the shards hold 3"),
    "a wrong split": (
        lambda d: d["configs"][0]["data_files"][0].update(split="train"), "error", "card_split",
        "hq", "must be [{'split': 'test'"),
    "another split in dataset_info": (
        lambda d: d["dataset_info"][0]["splits"][0].update(name="train"), "error", "card_split",
        "hq", "has the splits ['train']"),
    "a digest of other shards": (
        lambda d: d["configs"][3].update(description="sha256:0"), "error", "shard_digest",
        "hq_baselines", "'sha256:0'"),
    "no digest": (
        lambda d: d["configs"][3].pop("description"), "error", "shard_digest", "hq_baselines",
        "None"),
    "a config not listed": (
        lambda d: d["configs"].pop(3), "error", "card_config", "hq_baselines", "configs has no"),
    "no dataset_info": (
        lambda d: d["dataset_info"].pop(3), "error", "card_config", "hq_baselines",
        "dataset_info has no"),
    "an entry without a name": (
        lambda d: d["configs"].append("hq"), "error", "card_config", "", "without config_name"),
    "an unknown config": (
        lambda d: d["configs"].append({"config_name": "mine"}), "warning", "card_config", "mine",
        "not looked at"),
    "another default": (
        lambda d: (d["configs"][0].pop("default"), d["configs"][1].update(default=True)),
        "warning", "card_config", "", "['binary'], should be ['hq']"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FRONT_FAULTS)
def test_a_front_matter_that_lies_is_found(fault, repo):
    change, severity, rule, config, text = FRONT_FAULTS[fault]
    change_front(repo, change)
    (finding,) = check(repo).findings
    assert (finding.severity, finding.rule, finding.config) == (severity, rule, config)
    assert finding.where == "README.md"
    assert text in finding.message


def test_words_around_the_digest_are_free(repo):
    """The hash alone, as earlier builds wrote it, and words of one's own."""
    digest = read_front_matter(repo)[0]["configs"][0]["description"].split("sha256:")[1].strip(")")
    for description in (f"sha256:{digest}", f"our faces, sha256:{digest}, for a course"):
        change_front(repo, lambda d, text=description: d["configs"][0].update(description=text))
        assert check(repo).findings == []


def rewrite(repo, config, change, **options):
    """Change the table of a shard by hand and write it back under its name."""
    path = shard(repo, config)
    pq.write_table(change(pq.read_table(path)), path, **options)
    return path


def test_a_missing_shard_is_named(repo, tmp_path):
    shard(repo, "big").unlink()
    (finding,) = check(repo).findings
    assert (finding.rule, finding.where) == ("missing_shard", "big/train-*.parquet")
    # One of two, told from the names.
    whole = shard(repo, "hq")
    whole.rename(whole.with_name("test-00000-of-00002.parquet"))
    (finding, _) = check(repo).findings
    assert (finding.rule, finding.where) == ("missing_shard", "hq/test-00001-of-00002.parquet")


def test_shards_of_two_builds_and_of_other_names_are_named(repo):
    path = shard(repo, "hq")
    copy = path.with_name("test-00000-of-00003.parquet")
    shutil.copy(path, copy)
    assert [(f.rule, f.where) for f in check(repo).findings if f.rule == "shard_name"] == [
        ("shard_name", "hq/")
    ]
    copy.rename(path.with_name("test-old.parquet"))
    names = [(f.rule, f.where) for f in check(repo).findings if f.rule == "shard_name"]
    assert names == [("shard_name", "hq/test-old.parquet")]


def test_changed_bytes_of_a_shard_are_found_by_its_digest(repo):
    # Only the compression changes: every row is as it was.
    path = rewrite(repo, "hq", lambda table: table, compression="none")
    (finding,) = check(repo).findings
    assert (finding.severity, finding.rule, finding.config) == ("error", "shard_digest", "hq")
    # One byte of a stored picture.
    data = bytearray(path.read_bytes())
    place = data.find(picture(0)) + 100
    data[place] ^= 1
    path.write_bytes(data)
    assert {rule for _, rule, _ in found(repo)} == {"shard_digest", "image_sha256", "image_decode"}


def test_ratings_out_of_range_written_by_hand_are_found(repo):
    def change(table):
        rows = table.to_pylist()
        rows[2]["ratings"][3]["scores"][INDEX["Awe"]] = 9.0
        return pa.Table.from_pylist(rows, schema=table.schema)

    rewrite(repo, "hq", change)
    report = check(repo)
    # The median of 0, 1, 2, 9 is still 1.5.
    assert [f.rule for f in report.findings] == ["shard_digest", "rating_range"]
    assert report.findings[1].message == "'human-4' gave 'Awe' 9: a rating must lie in 0..7"
    assert report.findings[1].where.endswith("test-00000-of-00001.parquet, row 3 (image 'hq-2')")


def test_columns_that_are_not_those_of_the_config_are_found(repo):
    rewrite(repo, "hq", lambda table: table.drop_columns(["prompt"]))
    rewrite(repo, "binary", lambda table: table.append_column("more", [["x"] * N]))
    rewrite(repo, "big", lambda table: table.select(table.column_names[::-1]))
    rewrite(
        repo, "hq_baselines", lambda table: table.cast(
            pa.schema([table.schema.field(0), table.schema.field(1),
                       pa.field("scores", pa.list_(pa.float64()))])))  # fmt: skip
    texts = {f.config: f.message for f in check(repo).findings if f.rule == "schema"}
    assert "column 'prompt' is missing" in texts["hq"]
    assert "column 'more' is unknown" in texts["binary"]
    assert "are in the order dimensions, " in texts["big"]
    assert "column 'scores' is list<" in texts["hq_baselines"]


def test_other_category_names_in_the_metadata_of_a_shard_are_found(repo):
    def change(table):
        metadata = table.schema.metadata[b"huggingface"].replace(b'"Anger"', b'"Rage"')
        return table.replace_schema_metadata({b"huggingface": metadata})

    rewrite(repo, "binary", change)
    (finding,) = (f for f in check(repo).findings if f.rule == "schema")
    assert "names category 31 'Rage', must be 'Anger'" in finding.message
    rewrite(repo, "binary", lambda t: t.replace_schema_metadata({b"huggingface": b"{"}))
    (finding,) = (f for f in check(repo).findings if f.rule == "schema")
    assert "metadata cannot be read" in finding.message


def test_an_unreadable_shard_is_a_finding_and_the_rest_is_looked_at(repo):
    path = shard(repo, "hq")
    path.write_bytes(path.read_bytes()[:-50])
    spoilt = shard(repo, "hq_baselines")
    data = bytearray(spoilt.read_bytes())
    # The pages of the first column: whole they are not, but the footer is.
    data[4:60] = bytes(56)
    spoilt.write_bytes(data)
    findings = check(repo).findings
    assert {(f.severity, f.rule, f.config) for f in findings} == {
        ("error", "unreadable_shard", "hq"),
        ("error", "shard_digest", "hq"),
        ("error", "unreadable_shard", "hq_baselines"),
        ("error", "shard_digest", "hq_baselines"),
    }
    assert any("cannot be read from row 1 on" in finding.message for finding in findings)


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ("hq", b"woman"),
        ("hq", b"human-4"),
        ("hq", b"hq-0"),
        ("binary", b"human-7"),
        ("hq_baselines", b"a model"),
    ],
)
def test_text_that_is_not_utf_8_is_a_finding_and_the_other_rows_are_looked_at(repo, config, text):
    def change(table):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table.combine_chunks())
        data = sink.getvalue().to_pybytes().replace(text, b"\xff" * len(text), 1)
        return pa.ipc.open_file(data).read_all()

    rewrite(repo, config, change)
    report = check(repo)
    (finding,) = (f for f in report.findings if f.rule == "invalid_text")
    assert (finding.severity, finding.config) == ("error", config)
    assert finding.where.endswith("parquet, row 1")
    assert "Invalid UTF8" in finding.message
    assert {f.rule for f in report.findings} <= {"invalid_text", "shard_digest", "join"}


def test_stray_files_and_a_script_of_the_repos_name_are_found(repo):
    (repo / "notes").mkdir()
    (repo / "notes" / "mine.txt").write_text("x")
    (repo / "hq" / "old.parquet").write_text("x")
    (repo / ".hidden").write_text("x")
    (repo / "LICENSE").write_text("x")
    (finding,) = check(repo).findings
    assert (finding.severity, finding.rule) == ("warning", "stray_file")
    assert "2 files that are no part" in finding.message
    assert "'hq/old.parquet', 'notes/mine.txt'" in finding.message
    (repo / "emonet-face.py").write_text("")
    assert found(repo) == [("error", "loading_script", ""), ("warning", "stray_file", "")]


@pytest.mark.parametrize(
    ("text", "severity"),
    [(None, "warning"), ("{", "error"), ("[]", "error"), ('{"distribution": []}', "error")],
)
def test_a_croissant_file_that_does_not_fit_is_found(text, severity, repo):
    path = repo / "croissant.json"
    path.unlink() if text is None else path.write_text(text)
    assert found(repo) == [(severity, "croissant", "")]


def test_the_same_fault_on_many_rows_is_listed_twenty_times_and_counted():
    findings = Findings()
    for row in range(SHOWN + 3):
        findings.warning("rule", "hq", f"row {row}", "text")
    findings.error("other", "hq", "", "text")
    listed = findings.all()
    assert [f.rule for f in listed] == ["other", *["rule"] * (SHOWN + 1)]
    assert listed[-1].message == "and 3 more like these"


def test_what_is_no_dataset_repo_is_refused_in_one_line(tmp_path, capsys, repo):
    for folder in (tmp_path, tmp_path / "none"):
        assert main(["check", str(folder)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "is no dataset repo" in error
    (repo / "README.md").write_text("---\ntags: [\n---\n")
    assert main(["check", str(repo)]) == 2
    assert "front matter is not YAML" in capsys.readouterr().err


def test_files_of_others_in_the_way_are_not_overwritten(repo, capsys):
    for name in ("check.json", "balance.png"):
        (repo / name).write_text('{"mine": true}')
        assert main(["check", str(repo)]) == 2
        assert f"{name}: was not made by this command" in capsys.readouterr().err
        assert (repo / name).read_text() == '{"mine": true}'
        (repo / name).unlink()


def test_an_error_exits_with_1_and_a_warning_with_0(repo, capsys):
    (repo / "stray").write_text("")
    assert main(["check", str(repo)]) == 0
    assert "stray_file" in capsys.readouterr().out
    shard(repo, "hq").unlink()
    assert main(["check", str(repo)]) == 1
    shown = capsys.readouterr().out
    assert "missing_shard" in shown
    assert [f["rule"] for f in json.loads((repo / "check.json").read_text())["findings"]] == [
        "missing_shard",
        "stray_file",
    ]


def test_a_build_drops_what_check_wrote_about_the_old_shards(repo):
    check(repo)
    write_configs(repo, {"big": good_rows()["big"]}, group_rows=1)
    assert not {"check.json", "balance.png"} & set(files_of(repo))
    assert found(repo) == []
    # Files of the same names by somebody else stay.
    for name in ("check.json", "balance.png"):
        (repo / name).write_text("mine")
    write_configs(repo, {"big": good_rows()["big"]}, group_rows=2)
    assert (repo / "check.json").read_text() == (repo / "balance.png").read_text() == "mine"


def test_rows_are_read_one_row_group_at_a_time(tmp_path):
    rng = np.random.default_rng(0)

    def rows():
        for index in range(20):
            row = dict.fromkeys(features("big")) | {"image_id": str(index), "ratings": []}
            yield row | {"image": {"bytes": rng.bytes(500_000), "path": "x"}}

    path = write_configs(tmp_path / "r", {"big": rows()}, group_rows=2)["big"].paths[0].name
    before, held, n = pa.total_allocated_bytes(), [], 0
    for batch in iter_batches(tmp_path / "r", "big", tmp_path / "r" / "big" / path, Findings()):
        held.append(pa.total_allocated_bytes() - before)
        assert batch.first == n + 1
        n += len(batch.rows)
    assert n == 20
    # A row group is 1 MB; the one before may still be held.
    assert max(held) < 4_000_000


def pictures_of(n, seed=0):
    rng = np.random.default_rng(seed)
    return [Image.open(BytesIO(picture(s, 96))) for s in rng.integers(0, 10**6, n)]


def test_hashes_are_the_signs_of_scipys_cosine_transform():
    reduced = np.stack([reduce(image) for image in pictures_of(5)])
    hashes = perceptual_hashes(reduced)
    assert hashes.shape == (5, 5)
    for row, levels in zip(hashes, reduced, strict=True):
        # The norm of the transform changes the first row and column, so none is used.
        spectrum = scipy.fft.dctn(levels.astype(float), type=2)
        for side, words in ((8, row[:1]), (16, row[1:])):
            low = spectrum[:side, :side].ravel()
            bits = np.unpackbits(words.view(np.uint8))
            np.testing.assert_array_equal(bits, low > np.median(low[1:]))


def bits_between(a, b):
    differing = np.bitwise_count(a ^ b)
    return differing[..., 0], differing[..., 1:].sum(axis=-1)


def test_copies_stay_within_the_limits_and_other_pictures_do_not():
    originals = pictures_of(30)

    def jpeg(image):
        stream = BytesIO()
        image.save(stream, "JPEG", quality=75)
        return Image.open(stream)

    def hashes(images):
        return perceptual_hashes(np.stack([reduce(image) for image in images]))

    mine = hashes(originals)
    for copy in (
        jpeg,
        lambda i: i.resize((200, 150)),
        lambda i: i.reduce(2),
        lambda i: ImageEnhance.Brightness(i).enhance(0.9),
    ):
        coarse, fine = bits_between(mine, hashes([copy(image) for image in originals]))
        assert coarse.max() <= perceptual_hash.COARSE_LIMIT
        assert fine.max() <= perceptual_hash.FINE_LIMIT
    others, _ = bits_between(mine[:, None], mine[None])
    assert others[~np.eye(30, dtype=bool)].min() > perceptual_hash.COARSE_LIMIT


def test_pictures_without_structure_are_like_nothing():
    flat = np.full((3, 64, 64), 90, np.uint8)
    flat[2, 0, 0] = 120
    hashes = perceptual_hashes(flat)
    assert not hashes.any()
    prints = Prints(list("abc"), [bytes([i]) * 32 for i in range(3)], [hashes])
    other = Prints(list("abc"), [bytes([9 - i]) * 32 for i in range(3)], [hashes])
    assert near_pairs(prints, other).n == 0


@pytest.mark.parametrize("block", [(2, 3), (64, 16_384)])
def test_near_pairs_are_those_of_a_double_loop(block, monkeypatch):
    monkeypatch.setattr(perceptual_hash, "_ROWS", block[0])
    monkeypatch.setattr(perceptual_hash, "_COLUMNS", block[1])
    rng = np.random.default_rng(1)
    centres = rng.integers(1, 2**63, (4, 5), dtype=np.uint64)

    def cloud(n):
        hashes = centres[rng.integers(0, 4, n)]
        for row, word in product(range(n), range(5)):
            for bit in rng.choice(64, rng.integers(0, 5), replace=False):
                hashes[row, word] ^= np.uint64(1) << np.uint64(bit)
        return hashes

    a, b = cloud(15), cloud(22)
    digests = [rng.bytes(32) for _ in range(22)]
    one = Prints([f"a{i}" for i in range(15)], digests[:15], [a[:7], a[7:]])
    other = Prints(
        [f"b{j}" for j in range(22)], digests[:1] + [rng.bytes(32) for _ in range(21)], [b]
    )
    expected = {}
    for i, j in product(range(15), range(22)):
        coarse, fine = bits_between(a[i], b[j])
        alike = coarse <= perceptual_hash.COARSE_LIMIT and fine <= perceptual_hash.FINE_LIMIT
        if alike and (i, j) != (0, 0):  # the same bytes are no near duplicate
            expected[f"a{i}", f"b{j}"] = fine
    pairs = near_pairs(one, other)
    assert 10 < len(expected) == pairs.n < 15 * 22
    assert {(left, right): value for left, right, value in pairs.first}.items() <= expected.items()
    assert len(pairs.first) == near_duplicates.KEPT


def write_embeddings(path, config, ids, vectors, **about):
    record = {
        "made_by": "emonet-face embed", "backbone": "b", "tower_sha256": "0" * 64, "size": 48,
        "dim": vectors.shape[1],
    } | about  # fmt: skip
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    table = pa.table(
        {
            "config": [config] * len(ids),
            "image_id": ids,
            "embedding": pa.array(list(vectors.astype(np.float32)), pa.list_(pa.float32(), 8)),
        }
    ).replace_schema_metadata({b"emonet_face": json.dumps(record)})
    pq.write_table(table, path)
    return path


def test_embeddings_find_what_hashes_do_not(repo, tmp_path):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(3 * N, 8))
    vectors[N + 1] = vectors[0] + 0.001  # binary-1 is a copy of hq-0
    files = [
        write_embeddings(
            tmp_path / f"{config}.parquet", config, [f"{config}-{i}" for i in range(N)],
            vectors[k * N : (k + 1) * N],
        )
        for k, config in enumerate(("hq", "binary", "big"))
    ]  # fmt: skip
    (finding,) = check(repo, embeddings=files).findings
    assert (finding.severity, finding.rule) == ("warning", "leak_embedding")
    assert "1 pair of pictures in hq and binary" in finding.message
    assert "hq-0 = binary-1 (1)" in finding.message
    # A config without embeddings is said.
    assert found(repo, embeddings=files[:1]) == [
        ("warning", "embeddings", "binary"),
        ("warning", "embeddings", "big"),
    ]


def test_embeddings_that_cannot_be_compared_are_refused(repo, tmp_path, capsys):
    ids, vectors = ["hq-0"], np.ones((1, 8))
    good = write_embeddings(tmp_path / "a.parquet", "hq", ids, vectors)
    other = write_embeddings(tmp_path / "b.parquet", "big", ids, vectors, tower_sha256="1" * 64)
    plain = tmp_path / "c.parquet"
    pq.write_table(pq.read_table(good).replace_schema_metadata(None), plain)
    narrow = tmp_path / "d.parquet"
    pq.write_table(pq.read_table(good).drop_columns(["image_id"]), narrow)
    text = tmp_path / "e.parquet"
    text.write_text("no")
    for files, message in (
        ([good, other], "embeddings of different towers"),
        ([plain], "was not written by"),
        ([narrow], "was not written by"),
        ([text], "cannot be read as Parquet of `embed`"),
        ([tmp_path / "none.parquet"], "No such file"),
    ):
        options = [part for file in files for part in ("--embeddings", str(file))]
        assert main(["check", str(repo), *options]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1


def test_the_cosine_limit_grows_with_how_alike_the_pictures_of_a_set_are():
    # Unit vectors at angles 0, 10, 20, ... degrees: the nearest neighbour is 10 degrees away.
    angles = np.radians(np.arange(0, 90, 10))
    fan = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    nearest = np.cos(np.radians(10))
    assert cosine_limit(fan) == pytest.approx(1 - (1 - nearest) / 2, abs=1e-6)
    assert cosine_limit(np.eye(3, dtype=np.float32)) == near_duplicates.LEAST_COSINE
    assert cosine_limit(fan[:1]) == near_duplicates.LEAST_COSINE


def test_pairs_count_all_and_keep_the_first():
    pairs = Pairs()
    for _ in range(3):
        pairs.add(iter("abcdef"), iter("ABCDEF"), np.arange(6))
    assert pairs.n == 18
    assert len(pairs.first) == near_duplicates.KEPT
    assert pairs.first[6] == ("a", "A", 0)


def cells_of(**counts):
    """Ages as a Counter of cells; the other factors do not vary."""
    return Counter({(0, "x", int(age[1:]), "y"): n for age, n in counts.items()})


def test_balance_known_answer():
    # 10, 20, 30 against 20 each: chi-square (100 + 0 + 100) / 20 = 10 with 2 degrees of freedom,
    # so p = exp(-10 / 2); entropy of (1/6, 1/3, 1/2) over log 3.
    cells = cells_of(_20=10, _30=20, _40=30)
    found = crossing(cells, ("prompted_age",), levels_of({"hq": cells}))
    assert (found.n, found.n_cells, found.n_empty) == (60, 3, 0)
    assert found.chi2 == pytest.approx(10, abs=1e-12)
    assert found.p == pytest.approx(np.exp(-5), rel=1e-12)
    shares = np.array([1 / 6, 1 / 3, 1 / 2])
    assert found.entropy == pytest.approx(-(shares * np.log(shares)).sum() / np.log(3), rel=1e-12)
    assert found.emptiest == (((20,), 10), ((30,), 20), ((40,), 30))


def test_balance_of_crossings_agrees_with_scipy():
    rng = np.random.default_rng(3)
    drawn = [(int(rng.integers(40)), "ab"[rng.integers(2)], 20, "mwn"[rng.integers(3)])
             for _ in range(3_000)]  # fmt: skip
    cells = Counter(drawn)
    cells[None, "a", 20, "m"] = 50  # not known: no part of a crossing with the emotion
    levels = levels_of({"hq": cells})
    by_factors = {c.factors: c for c in crossings(cells, levels)}
    assert len(by_factors) == 15
    pair = by_factors["prompted_emotion", "prompted_gender"]
    counts = np.zeros((40, 3))
    for emotion, _, _, gender in drawn:
        counts[emotion, sorted("mwn").index(gender)] += 1
    expected = scipy.stats.chisquare(counts.ravel())
    assert pair.chi2 == pytest.approx(expected.statistic, rel=1e-9)
    assert pair.p == pytest.approx(expected.pvalue, rel=1e-9)
    entropy = scipy.stats.entropy(counts.ravel()) / np.log(120)
    assert pair.entropy == pytest.approx(entropy, rel=1e-12)
    assert by_factors["prompted_gender",].n == 3_050
    # One age only: nothing to spread over.
    assert np.isnan(by_factors["prompted_age",].entropy)


def test_balance_without_data_is_undefined_and_empty_cells_are_counted():
    levels = {factor: [] for factor in FACTORS} | {"prompted_emotion": list(range(40))}
    none = crossing(Counter(), ("prompted_emotion",), levels)
    assert (none.n, none.n_empty) == (0, 40)
    assert none.as_json()["entropy"] is none.as_json()["p"] is None
    few = crossing(Counter({(3, None, None, None): 60}), ("prompted_emotion",), levels)
    assert (few.n_empty, few.entropy) == (39, 0.0)
    assert np.isnan(few.p)  # 60 / 40 images in an even cell are less than 5
    assert few.emptiest == tuple(((name,), 0) for name in EMOTIONS[:3] + EMOTIONS[4:6])


def test_uneven_prompts_are_a_warning_and_no_prompts_an_info(tmp_path):
    def change(rows):
        rows["big"] = [face("big", i, None, prompted_emotion="Anger") for i in range(240)]
        for i, row in enumerate(rows["big"]):
            row |= ratings(1) | {"dimensions": None, "prompted_gender": "man" if i % 6 else "woman"}
        for row in rows["hq"]:
            row |= dict.fromkeys(FACTORS)

    report = check(make_repo(tmp_path / "emonet-face", change))
    balance = [f for f in report.findings if f.rule == "balance"]
    assert [(f.severity, f.config, f.where) for f in balance] == [
        ("warning", "big", "prompted_emotion"),
        ("warning", "big", "prompted_gender"),
        ("info", "hq", ""),
    ]
    # 40 women and 200 men against 120 each: chi-square 2 * 80^2 / 120.
    assert "chi-square 106.7" in balance[1].message
    assert "emptiest: woman 40, man 200" in balance[1].message
    # An even spread and a small one are not called uneven.
    assert not [f for f in report.findings if f.config == "binary"]


@pytest.mark.slow
def test_the_published_votes_pass(published, tmp_path):
    """65,686 votes on 19,999 images: the cascade and the opposites hold; no image is at hand."""
    repo = tmp_path / "emonet-face"
    build_binary(published / "binary.csv", repo)
    report = check(repo)
    assert report.rows == {"binary": 19_999}
    assert [(f.severity, f.rule) for f in report.findings] == [
        ("info", "image_missing"),
        ("info", "balance"),
    ]


def test_a_check_json_can_be_read_by_anybody(repo):
    (repo / "stray").write_text("")
    report = check(repo)
    record = json.loads((repo / "check.json").read_text())
    assert set(record["findings"][0]) == {"severity", "rule", "config", "where", "message"}
    assert record["made_by"] == "emonet-face check"
    assert record["versions"]["emonet-face"]
    assert len(record["balance"]["hq"]) == 15
    assert json.loads(json.dumps(report.as_json())) == record
    with pytest.raises(EmoNetFaceError):
        check(repo / "hq")
