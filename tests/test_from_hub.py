"""The published dataset repos, made small in their own form, come out joinable.

    pytest tests/test_from_hub.py

The form of HQ is the published one: split `train`, `path` typed as Image and without a file name,
`label` the string of a list of {rater: {family|category: rating}}, rows in an order of their own.
"""

from __future__ import annotations

import hashlib
import random
import re
from pathlib import Path

import pytest
from datasets import Dataset, Features, Image, List, Value, load_dataset
from raw_sources import draw, lines, ratings_csv, read_lines

from dataset_scripts.from_hub import build_binary_from_hub, build_hq_from_hub
from dataset_scripts.hq import build_hq
from emonet_face.cli import main
from emonet_face.errors import EmoNetFaceError
from emonet_face.taxonomy import CATEGORIES, EMOTIONS, INDEX

ANGER = INDEX["Anger"]
KEYS = {category.name: category.key for category in CATEGORIES}
HQ = Features({"path": Image(), "label": Value("string")})
VOTE = {"annotator": Value("string"), "emotion": Value("string"), "value": Value("bool")}
BINARY = Features(
    {
        "image": Image(),
        "prompt": Value("string"),
        "ethnicity": Value("string"),
        "gender": Value("string"),
        "age": Value("int64"),
        "annotations": List(VOTE),
    }
)


def published(folder, rows, features):
    """A dataset repo as the Hub shows it: one split, Parquet below `data/`."""
    (folder / "data").mkdir(parents=True)
    dataset = Dataset.from_list(rows, features=features)
    dataset.to_parquet(folder / "data" / "train-00000-of-00001.parquet")
    return str(folder)


def label(**ratings):
    """`human_1={"Anger": 3}` -> the published spelling, categories that are left out being 0."""
    return repr(
        [
            {rater.replace("_", "-"): {KEYS[name]: said.get(name, 0) for name in EMOTIONS}}
            for rater, said in ratings.items()
        ]
    )


def picture(folder, shade, name=None):
    return {"bytes": draw(Path(folder) / f"{shade}.png", shade=shade), "path": name}


def repo_rows(out, config):
    split = {"hq": "test", "hq_baselines": "test", "binary": "train"}[config]
    dataset = load_dataset(str(out), config, split=split, streaming=True)
    return list(dataset.decode(False))


def test_every_picture_gets_its_published_name_back(tmp_path):
    chance = random.Random(5)
    names = [f"mj_data_{i}_U1.png" for i in range(60)] + [
        f"flux_prompt_9-image_{i:03d}.png" for i in range(60)
    ]
    said = {}
    for i, name in enumerate(names):
        # Fear and Distress spell the number of the image, so that no two images are rated alike.
        own = {"Fear": i % 8, "Distress": i // 8 % 8, "Pain": i // 64}
        raters = chance.sample(range(1, 9), 4)
        said[name] = {f"human-{h}": own | {"Anger": chance.randrange(8)} for h in raters}
    source = ratings_csv(
        tmp_path / "hq.csv",
        *((name, rater, True, r) for name in names for rater, r in said[name].items()),
        *((name, "model", False, {"Anger": 0.5}) for name in names),
    )
    order = chance.sample(range(len(names)), len(names))
    # The raters of a row stand in another order, too.
    labels = [dict(reversed(said[names[i]].items())) for i in order]
    rows = [
        {"path": picture(tmp_path / "p", i), "label": label(**{k.replace("-", "_"): v
         for k, v in given.items()})}
        for i, given in zip(order, labels, strict=True)
    ]  # fmt: skip
    hub = published(tmp_path / "hub", rows, HQ)
    report = build_hq_from_hub(hub, tmp_path / "repo", ratings=source)
    assert report.rows == {"hq": 120, "hq_baselines": 120}
    assert report.n_rejected == 0
    assert report.counts["pictures named by their ratings"] == 120

    hq = repo_rows(tmp_path / "repo", "hq")
    assert [row["image_id"] for row in hq] == [Path(names[i]).stem for i in order]
    shas = [hashlib.sha256((tmp_path / "p" / f"{i}.png").read_bytes()).hexdigest() for i in order]
    assert [row["sha256"] for row in hq] == shas
    assert {row["generator"] for row in hq} == {"Midjourney v6", "Flux Pro"}
    # Apart from their order the rows are those that the images with their names give.
    faces = tmp_path / "faces"
    for i, name in enumerate(names):
        draw(faces / name, shade=i)
    build_hq(source, tmp_path / "other", images=faces)
    by_name = {row["image_id"]: row for row in repo_rows(tmp_path / "other", "hq")}
    for row in hq:
        assert without_picture(row) == without_picture(by_name[row["image_id"]])
    baselines = repo_rows(tmp_path / "repo", "hq_baselines")
    assert {row["image_id"] for row in baselines} == set(by_name)


def without_picture(row):
    return {name: value for name, value in row.items() if name != "image"}


def test_what_cannot_be_told_is_rejected_and_accounted_for(tmp_path):
    angry, calm, afraid = {"Anger": 3}, {"Contentment": 2}, {"Fear": 7}
    source = ratings_csv(
        tmp_path / "hq.csv",
        ("good.png", "human-1", True, {"Awe": 1}),
        ("twin1.png", "human-1", True, angry),
        ("twin2.png", "human-1", True, angry),
        ("once.png", "human-2", True, calm),
        ("unseen.png", "human-1", True, afraid),
        ("dark.png", "human-8", True, afraid),
    )
    pictures = [picture(tmp_path / "p", i) for i in range(6)]
    hub = published(
        tmp_path / "hub",
        [
            {"path": pictures[0], "label": label(human_1={"Awe": 1})},
            {"path": pictures[1], "label": label(human_1=angry)},  # twin1 or twin2
            {"path": pictures[2], "label": label(human_2=calm)},
            {"path": pictures[3], "label": label(human_2=calm)},  # this or the one before is once
            {"path": pictures[4], "label": label(human_3=angry)},  # nobody's
            {"path": pictures[5], "label": "[{'human-1': {'Joy': 1}}]"},
            {"path": {"bytes": b"no picture", "path": None}, "label": label(human_8=afraid)},
            {"path": None, "label": None},
        ],
        HQ,
    )
    report = build_hq_from_hub(hub, tmp_path / "repo", ratings=source)
    assert report.rows == {"hq": 1}
    rejects = read_lines(report.rejects)
    of_rows = {reject["row"]: reject["reason"] for reject in rejects if reject["file"] == hub}
    assert sorted(of_rows) == [2, 3, 4, 5, 6, 7, 8]
    assert "the images 'twin1', 'twin2'" in of_rows[2]
    assert of_rows[3] == of_rows[4] == "rows 3, 4 all have the ratings of image 'once'"
    assert "no image in" in of_rows[5]
    assert "unknown category 'Joy'" in of_rows[6]
    assert "is not a PNG" in of_rows[7]
    assert "'label' is not the literal of a list" in of_rows[8]
    lost = [reject["record"]["image_id"] for reject in rejects if reject["file"] == str(source)]
    assert lost == ["twin1", "twin2", "once", "unseen"]  # dark has its own reject, row 7
    with pytest.raises(EmoNetFaceError, match=r"row 2: the images.*nothing was written"):
        build_hq_from_hub(hub, tmp_path / "other", ratings=source, strict=True)
    assert not (tmp_path / "other").exists()


def test_without_the_ratings_file_images_are_named_by_what_they_are(tmp_path):
    source = [
        {"path": picture(tmp_path, 1), "label": label(human_2={"Anger": 4}, human_1={})},
        {"path": picture(tmp_path, 2, "set/mj_data_7_U1.png"), "label": label(human_1={"Awe": 1})},
        {"path": picture(tmp_path, 1), "label": label(human_1={})},
    ]
    hub = published(tmp_path / "hub", source, HQ)
    prompts = lines(tmp_path / "p.jsonl", {"image_id": "mj_data_7_U1", "prompted_age": 30})
    report = build_hq_from_hub(hub, tmp_path / "repo", prompts=prompts)
    assert report.rows == {"hq": 2}
    plain, named = repo_rows(tmp_path / "repo", "hq")
    assert plain["image_id"] == plain["sha256"][:16]
    assert plain["generator"] is None
    assert [entry["annotator"] for entry in plain["ratings"]] == ["human-2", "human-1"]
    assert plain["median_scores"][ANGER] == 2
    assert (named["image_id"], named["generator"]) == ("mj_data_7_U1", "Midjourney v6")
    assert named["prompted_age"] == 30
    (twice,) = read_lines(report.rejects)
    assert (twice["row"], "already stands in row 1" in twice["reason"]) == (3, True)
    assert report.counts["pictures named by their sha256"] == 1
    assert report.counts["pictures named by their file name"] == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[{'human-1': {'Anger': 8}}]", "must lie in 0..7"),
        ("[{'human-1': {'Anger': -1}}]", "must lie in 0..7"),
        ("[{'human-1': {'Anger': nan}}]", "not the literal of a list"),
        ("[{'human-1': {'Anger': True}}]", "must be a number"),
        ("[{'human-1': {}}, {'human-1': {}}]", "'human-1' stands twice"),
        ("[{'human-1': 3}]", "an entry is {rater: {category: value}}"),
        ("['human-1']", "an entry is {rater: {category: value}}"),
        ("[{1: {}}]", "'annotator' is 1"),
        ("[{'human-1': {'Anger': 3, 'Anger': 2}}]", "'label' holds a key twice"),
        ("[{'human-1': {'Anger': 3}, 'human-1': {}}]", "'label' holds a key twice"),
        ("[{'human-1': {}}, {'human-1 ': {}}]", "'human-1' stands twice"),
        ("[{'human-1': {'Anger': 0x" + "F" * 6_000 + "}}]", "<a number of 24000 bits>: a rating"),
        ("[]", "holds no rating"),
        ("{'human-1': {}}", "not the literal of a list"),
        ("__import__('os').mkdir('ran')", "not the literal of a list"),
        ("[{'human-1': {'Anger': ", "not the literal of a list"),
    ],
)
def test_bad_labels_reject_their_row_and_never_run(tmp_path, monkeypatch, text, said):
    monkeypatch.chdir(tmp_path)
    rows = [
        {"path": picture(tmp_path, 1), "label": text},
        {"path": picture(tmp_path, 2), "label": label(human_1={})},
    ]
    report = build_hq_from_hub(published(tmp_path / "hub", rows, HQ), tmp_path / "repo")
    assert report.rows == {"hq": 1}
    (reject,) = read_lines(report.rejects)
    assert reject["row"] == 1
    assert said in reject["reason"]
    assert reject["record"] == {"label": text}
    assert not (tmp_path / "ran").exists()


PROMPT = (
    "a focused close-up photo of a Asian woman of 40 years with soft smooth skin who seems to"
    " genuinely experience anger, rage, fury. Strong facial expression of anger, rage, fury."
    " No wrinkles"
)


@pytest.mark.parametrize("form", ["list", "literal", "by rater"])
def test_binary_in_each_form_of_its_votes(tmp_path, form):
    given = [
        ("human-1", "Anger", True),
        ("human-2", "Anger", False),
        ("human-3", "Contentment", False),
    ]
    votes = [dict(zip(("annotator", "emotion", "value"), vote, strict=True)) for vote in given]
    features = BINARY
    if form != "list":
        features = Features(BINARY | {"annotations": Value("string")})
        by_rater = [{rater: {KEYS[emotion]: said}} for rater, emotion, said in given]
        votes = repr(votes if form == "literal" else by_rater)
    row = {"image": picture(tmp_path, 1, "00007.png"), "prompt": PROMPT, "ethnicity": "Asian",
           "gender": "woman", "age": 40, "annotations": votes}  # fmt: skip
    bad = row | {"image": picture(tmp_path, 2, "00008.png"), "age": 400}
    hub = published(tmp_path / "hub", [row, bad], features)
    report = build_binary_from_hub(hub, tmp_path / "repo")
    (built,) = repo_rows(tmp_path / "repo", "binary")
    assert built["image"] == row["image"]
    assert (built["image_id"], built["prompt"]) == ("00007", PROMPT)
    assert (built["prompted_emotion"], built["target_emotion"]) == (ANGER, ANGER)
    assert built["contrast_emotion"] == INDEX["Contentment"]
    assert (built["prompted_ethnicity"], built["prompted_age"]) == ("Asian", 40)
    assert [(v["annotator"], EMOTIONS[v["emotion"]], v["present"]) for v in built["votes"]] == given
    assert report.counts["images with 1 of 2 Yes on the target"] == 1
    (reject,) = read_lines(report.rejects)
    assert (reject["row"], "'prompted_age' is 400" in reject["reason"]) == (2, True)


@pytest.mark.parametrize(
    ("votes", "said"),
    [
        ("[{'a': {'Anger': 1}}]", "must be True or False"),
        ("[{'a': {'Angr': True}}]", "nearest: 'Anger'"),
        ("[{'a': {'Anger': True}}, {'a': {'Anger': False}}]", "votes twice on 'Anger'"),
        ("[{'a': {'Hopelessness': True, 'Helplessness': True}}]", "votes twice on 'Helplessness'"),
        ("[{'annotator': 'a', 'value': True}]", "an entry is {rater: {category: value}}"),
        ("[{'a': {'Anger': True, 'Anger': False}}]", "'annotations' holds a key twice"),
        ("[{'a': {'Anger': True}, 'a': {'Awe': True}}]", "'annotations' holds a key twice"),
        ("[{'a': {'Anger': True}}, {' a': {'Anger': True}}]", "'a' votes twice on 'Anger'"),
        ("[{'a': {'Anger': 0x" + "F" * 6_000 + "}}]", "<a number of 24000 bits>: must be True"),
        ("[0x" + "F" * 6_000 + "]", "holds <a number of 24000 bits>; an entry is"),
        ("[]", "holds no vote"),
        (None, "not the literal of a list"),
    ],
)
def test_bad_votes_reject_their_row(tmp_path, votes, said):
    features = Features({"image": Image(), "annotations": Value("string")})
    hub = published(
        tmp_path / "hub",
        [
            {"image": picture(tmp_path, 1), "annotations": votes},
            {"image": picture(tmp_path, 2), "annotations": "[{'a': {'Hopelessness': True}}]"},
        ],
        features,
    )
    report = build_binary_from_hub(hub, tmp_path / "repo")
    (reject,) = read_lines(report.rejects)
    assert (reject["row"], said in reject["reason"]) == (1, True), reject["reason"]
    assert report.counts["votes on 'Hopelessness' read as 'Helplessness'"] == 1


@pytest.mark.parametrize(
    ("features", "said"),
    [
        # One report has the Hub copy with metadata and no ratings.
        (Features({"path": Image(), "prompt": Value("string")}), "path: Image, prompt: string"),
        (Features({"path": Value("string"), "label": Value("string")}), "path: string, label"),
        (Features({"image": Image(), "label": Value("string")}), "image: Image, label: string"),
        (Features({**HQ, "more": List({"a": Value("int64")})}), "more: list of {a: int64}"),
    ],
)
def test_unknown_columns_are_refused_and_named(tmp_path, features, said):
    row = dict.fromkeys(features)
    hub = published(tmp_path / "hub", [row], features)
    with pytest.raises(EmoNetFaceError) as caught:
        build_hq_from_hub(hub, tmp_path / "repo")
    assert "has the columns " in str(caught.value)
    assert said in str(caught.value)
    assert "known for hq are path: Image, label: string" in str(caught.value)
    with pytest.raises(EmoNetFaceError, match="known for binary are image: Image, annotations"):
        build_binary_from_hub(hub, tmp_path / "repo")
    assert not (tmp_path / "repo").exists()


def test_many_and_nested_columns_are_listed_short(tmp_path):
    nested = Features({"scores": {name: Value("float64") for name in EMOTIONS}})
    many = Features({f"column {i:02d}": Value("string") for i in range(40)})
    for name, features, said in (("n", nested, "scores: {Affection: "), ("m", many, "and 28 more")):
        hub = published(tmp_path / name, [dict.fromkeys(features)], features)
        with pytest.raises(EmoNetFaceError, match=re.escape(said)) as caught:
            build_hq_from_hub(hub, tmp_path / "repo")
        assert len(str(caught.value)) < len(hub) + 500


def test_unknown_splits_and_what_cannot_be_read(tmp_path):
    rows = [{"path": picture(tmp_path, 1), "label": label(human_1={})}]
    hub = Path(published(tmp_path / "hub", rows, HQ))
    shard = hub / "data" / "train-00000-of-00001.parquet"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-40])
    with pytest.raises(EmoNetFaceError, match=r"hub: cannot be (loaded|read)"):
        build_hq_from_hub(str(hub), tmp_path / "repo")
    shard.rename(hub / "data" / "test-00000-of-00001.parquet").write_bytes(whole)
    with pytest.raises(EmoNetFaceError, match="has the splits test; known is one split 'train'"):
        build_hq_from_hub(str(hub), tmp_path / "repo")
    for name in (str(tmp_path / "nothing"), "./nothing", "~/nothing", "no/such/folder", str(shard)):
        with pytest.raises(EmoNetFaceError, match=f"^{re.escape(name)}: no such folder; give one"):
            build_hq_from_hub(name, tmp_path / "repo")
    with pytest.raises(EmoNetFaceError, match="cannot be loaded as a dataset"):
        build_hq_from_hub("someone/nothing", tmp_path / "repo")
    assert not (tmp_path / "repo").exists()


def test_the_option_with_and_without_a_value(tmp_path, capsys):
    rows = [{"path": picture(tmp_path, 1), "label": label(human_1={})}]
    hub = published(tmp_path / "hub", rows, HQ)
    out = str(tmp_path / "repo")
    assert main(["build", "hq", "--from-hub", hub, "--out", out]) == 0
    assert "rows of hq: 1" in capsys.readouterr().out
    # The tests are offline: the published repo is asked for and not reached.
    for config, arguments in (("hq", ["--from-hub", "--out", out]),
                              ("binary", ["--out", out, "--from-hub"])):  # fmt: skip
        assert main(["build", config, *arguments]) == 2
        assert f"laion/emonet-face-{config}: cannot be loaded" in capsys.readouterr().err
    assert main(["build", "hq", "--from-hub", hub, "--images", "x", "--out", out]) == 2
    assert "leave --images out" in capsys.readouterr().err
    assert main(["build", "binary", "--from-hub", hub, "--votes", "x", "--out", out]) == 2
    assert "leave --votes out" in capsys.readouterr().err
    for config, needed in (("hq", "--ratings"), ("binary", "--votes")):
        assert main(["build", config, "--out", out]) == 2
        assert f"give {needed}" in capsys.readouterr().err
