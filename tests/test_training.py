"""Embedding and training: what is learnt, what is refused, what stays the same for a seed.

    .venv/bin/pytest tests/test_training.py

The dataset is a toy (`toy_faces`). Most tests put vectors that hold the toy's two numbers in the
place of the tower's embeddings, so that seconds of training suffice.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from toy_faces import draw_face, toy_numbers, write_toy_repo

from emonet_face.embedding_file import METADATA_KEY, schema
from emonet_face.errors import EmoNetFaceError
from emonet_face.taxonomy import EMOTIONS, INDEX, N_EMOTIONS, OPPOSITE
from modeling_empathicinsight import neutral
from modeling_empathicinsight.backbone import load_backbone
from modeling_empathicinsight.embedding import embed
from modeling_empathicinsight.embeddings import check_made_by, read_embeddings
from modeling_empathicinsight.fitting import scores_of
from modeling_empathicinsight.heads_training import (
    Link,
    fit_link,
    fit_ratings,
    fit_votes,
    new_heads,
)
from modeling_empathicinsight.recipes import read_recipe
from modeling_empathicinsight.repository import load_model
from modeling_empathicinsight.stage_run import Schedule
from modeling_empathicinsight.standardisation import Standardisation
from modeling_empathicinsight.targets import Examples, split
from modeling_empathicinsight.tower import make_tower, pretrain_tower
from modeling_empathicinsight.training import train

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.usefixtures("one_thread")

TINY = {"image_size": 32, "patch_size": 16, "hidden": 32, "layers": 1, "heads": 2}
BRIEF = {
    "recipe": replace(
        read_recipe("small"),
        ratings=Schedule(16, 3e-3, 0.01, 32),
        votes=Schedule(4, 1e-3, 0.01, 32),
    )
}
WIDTH = TINY["hidden"]
N = {"big": 160, "binary": 80}
MEANS_OF_IMAGENET = {
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
    "rescale_factor": 1 / 255,
    "resample": "bicubic",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("training")


@pytest.fixture(scope="module")
def tower(place) -> Path:
    return make_tower(place / "tower", seed=1, **TINY)


@pytest.fixture(scope="module")
def repo(place) -> Path:
    return write_toy_repo(place / "toy", **N)


@pytest.fixture(scope="module")
def vectors(place, repo, tower) -> list[Path]:
    """Embedding files of both configs that tell the toy's numbers."""
    paths = [place / "big.parquet", place / "binary.parquet"]
    for path in paths:
        embed(repo, path.stem, tower, path)
        rewrite(path, path, telling)
    return paths


@pytest.fixture(scope="module")
def trained(place, repo, vectors) -> dict:
    return train(vectors, repo, place / "model", seed=4, **BRIEF)


def telling(table: pa.Table) -> np.ndarray:
    """(n, WIDTH) vectors with the toy's numbers in the first two coordinates, the rest noise."""
    config = table["config"][0].as_py()
    numbers = toy_numbers(config, N[config])
    out = np.random.default_rng(len(config)).normal(0, 0.05, (table.num_rows, WIDTH))
    out[:, :2] += [numbers[image_id] for image_id in table["image_id"].to_pylist()]
    out[:, 2] += 1
    return out / np.linalg.norm(out, axis=1, keepdims=True)


def rewrite(source: Path, target: Path, new_vectors, **metadata) -> Path:
    """A copy of an embedding file with other vectors or metadata."""
    table = pq.read_table(source)
    values = np.asarray(new_vectors(table), dtype=np.float32)
    lists = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
    known = json.loads(table.schema.metadata[METADATA_KEY]) | metadata
    schema = table.schema.with_metadata({METADATA_KEY: json.dumps(known)})
    pq.write_table(pa.table([table["config"], table["image_id"], lists], schema=schema), target)
    return target


def files_of(folder: Path) -> dict[str, bytes]:
    """Place in a folder -> bytes of every file."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def same_vectors(table: pa.Table) -> np.ndarray:
    return np.array(table["embedding"].to_pylist())


def examples(vectors: np.ndarray, values: np.ndarray) -> Examples:
    ids = [f"{index:05d}" for index in range(len(vectors))]
    return Examples(ids, vectors.astype(np.float32), values.astype(np.float32), split(ids, 0), {})


# --- embeddings that must not be trained on


def test_bad_embedding_files_are_refused(vectors, tmp_path):
    big = vectors[0]

    def spoilt(table):
        out = same_vectors(table)
        out[6, 0] = np.nan
        return out

    path = rewrite(big, tmp_path / "nan.parquet", spoilt)
    with pytest.raises(EmoNetFaceError, match=r"row 7: the embedding of 'big-0006'"):
        read_embeddings([path])
    path = rewrite(big, tmp_path / "long.parquet", lambda table: 2 * same_vectors(table))
    with pytest.raises(EmoNetFaceError, match="length 2; embeddings must be"):
        read_embeddings([path])
    for change in ({"tower_sha256": "0" * 64}, {"normalisation": MEANS_OF_IMAGENET}):
        path = rewrite(big, tmp_path / "other.parquet", same_vectors, **change)
        with pytest.raises(EmoNetFaceError, match="different towers"):
            read_embeddings([path, vectors[1]])
    with pytest.raises(EmoNetFaceError, match="stands twice"):
        read_embeddings([big, big])
    for dim in ("32", -3):
        path = rewrite(big, tmp_path / "dim.parquet", same_vectors, dim=dim)
        with pytest.raises(EmoNetFaceError, match="not written by"):
            read_embeddings([path])
    table = pq.read_table(big)
    for place, name in enumerate(table.column_names):
        cells = pa.array([*table[name].to_pylist()[:8], None], table.schema.field(name).type)
        holed = table.slice(0, 9).set_column(place, name, cells)
        pq.write_table(holed, tmp_path / "empty.parquet")
        with pytest.raises(EmoNetFaceError, match=f"row 9: has no {name}"):
            read_embeddings([tmp_path / "empty.parquet"])
    pq.write_table(pa.table({"config": ["big"]}), tmp_path / "columns.parquet")
    (tmp_path / "text.parquet").write_text("text")
    for name in ("columns", "text", "missing"):
        with pytest.raises(EmoNetFaceError, match=r"cannot be read|not written by"):
            read_embeddings([tmp_path / f"{name}.parquet"])
    with pytest.raises(EmoNetFaceError, match="no embeddings given"):
        read_embeddings([])


def test_half_floats_are_read_and_blocks_are_put_together(vectors, tmp_path, monkeypatch):
    table = pq.read_table(vectors[0])
    metadata = json.loads(table.schema.metadata[METADATA_KEY])
    halves = same_vectors(table).astype(np.float16)
    lists = pa.FixedSizeListArray.from_arrays(pa.array(halves.reshape(-1)), WIDTH)
    parts = pa.table(
        [table["config"], table["image_id"], lists], schema=schema(metadata, "float16")
    )
    pq.write_table(parts, tmp_path / "half.parquet", row_group_size=50)
    monkeypatch.setattr("emonet_face.embedding_file.BLOCK", 7)
    found = read_embeddings([tmp_path / "half.parquet"])
    assert found.vectors.dtype == np.float16
    np.testing.assert_array_equal(found.vectors, halves)
    both = read_embeddings([tmp_path / "half.parquet", vectors[1]])
    assert both.vectors.dtype == np.float32
    assert len(both.vectors) == sum(N.values())
    assert both.ids("big") == table["image_id"].to_pylist()


def test_embeddings_of_another_config_are_named(repo, vectors, tmp_path):
    def renamed(table):
        return same_vectors(table)

    path = rewrite(vectors[0], tmp_path / "hq.parquet", renamed)
    table = pq.read_table(path)
    hq = pa.array(["hq"] * table.num_rows)
    pq.write_table(table.set_column(0, table.schema.field("config"), hq), path)
    with pytest.raises(EmoNetFaceError, match=r"no embeddings of config big .* \(they are of hq\)"):
        train([path], repo, tmp_path / "model", **BRIEF)


def test_the_backbone_must_have_made_the_embeddings(repo, vectors, tmp_path):
    other = make_tower(tmp_path / "other", seed=2, **TINY)
    with pytest.raises(EmoNetFaceError, match="give the tower that made them"):
        train(vectors, repo, tmp_path / "model", backbone=other, **BRIEF)
    assert not (tmp_path / "model").exists()


def test_the_backbone_must_prepare_pictures_as_it_did_then(repo, tower, vectors, tmp_path):
    """The same weights with another mean see other numbers: the heads would not be for them."""
    other = tmp_path / "tower"
    shutil.copytree(tower, other)
    settings = json.loads((other / "preprocessor_config.json").read_text())
    settings["image_mean"] = MEANS_OF_IMAGENET["mean"]
    (other / "preprocessor_config.json").write_text(json.dumps(settings))
    with pytest.raises(EmoNetFaceError, match=r"0\.485.*give the tower that made them"):
        train(vectors, repo, tmp_path / "model", backbone=other, **BRIEF)
    assert not (tmp_path / "model").exists()
    moved = [rewrite(p, tmp_path / p.name, same_vectors, backbone="/gone") for p in vectors]
    with pytest.raises(EmoNetFaceError, match=r"tower /gone, which is not there; .* --backbone"):
        train(moved, repo, tmp_path / "model", **BRIEF)
    # Files from before this was noted agree with each other, and only their weights are compared.
    old = [rewrite(p, tmp_path / p.name, same_vectors, normalisation=None) for p in vectors]
    check_made_by(load_backbone(other), read_embeddings(old))
    with pytest.raises(EmoNetFaceError, match="different towers"):
        read_embeddings([old[0], vectors[1]])


def test_labels_without_embeddings_are_counted_then_refused(repo, vectors, tmp_path):
    table = pq.read_table(vectors[0])
    for lost, name in ((4, "few"), (16, "many")):
        pq.write_table(table.slice(lost), tmp_path / f"{name}.parquet")
    result = train([tmp_path / "few.parquet"], repo, tmp_path / "model", **BRIEF)
    images = result["stages"]["ratings"]["images"]
    assert (images["labelled"], images["embedded"], images["matched"]) == (160, 156, 156)
    assert "4 labelled images without embedding" in result["lines"][0]
    with pytest.raises(EmoNetFaceError, match=r"16 of 160 labelled images .* 'big-0000'"):
        train([tmp_path / "many.parquet"], repo, tmp_path / "model2", **BRIEF)
    fewer = write_toy_repo(tmp_path / "fewer", big=140, binary=0)
    with pytest.raises(EmoNetFaceError, match="20 of 160 embedded images have no labels"):
        train(vectors[:1], fewer, tmp_path / "model3", max_unmatched=0.12, **BRIEF)


# --- the split and the standardisation


def test_split_takes_a_tenth_whatever_the_order():
    ids = [f"image-{i}" for i in range(41)]
    held_out = split(ids, seed=0)
    assert held_out.sum() == 5  # ceil(4.1)
    chosen = {name for name, out in zip(ids, held_out, strict=True) if out}
    backwards = split(ids[::-1], seed=0)
    assert chosen == {name for name, out in zip(ids[::-1], backwards, strict=True) if out}
    assert (held_out != split(ids, seed=1)).any()


def test_folded_heads_give_the_same_scores_on_plain_embeddings():
    rng = np.random.default_rng(0)
    vectors = (rng.normal(0.2, 0.03, (50, 8))).astype(np.float32)
    scale = Standardisation.of([vectors[:7], vectors[7:40], vectors[40:]])
    np.testing.assert_allclose(scale.mean, vectors.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(scale.deviation, vectors.std(axis=0), rtol=1e-5)
    plain = examples(vectors, np.zeros((50, 40)))
    standardised = replace(plain, scale=scale)
    taken = standardised.features(np.arange(50))
    np.testing.assert_allclose(taken.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(taken.std(axis=0), 1, atol=1e-3)
    assert standardised.vectors is plain.vectors  # as they were
    heads = new_heads(40, 8, [16, 4], 0.1, seed=0)
    expected = scores_of(heads, standardised)
    scale.fold_into(heads)
    np.testing.assert_allclose(scores_of(heads, plain), expected, atol=1e-5)


# --- stage 1


def test_stage_1_beats_the_mean_and_ranks_held_out_faces(trained):
    report = trained["stages"]["ratings"]
    held_out = report["held_out"]
    assert held_out["mae"] < 0.5 * held_out["mae_of_mean"]
    table = {row["output"]: row for row in report["table"]}
    assert list(table) == [*EMOTIONS, "arousal", "valence", "dominance", "emotional_vulnerability"]
    assert table["Elation"]["spearman"] > 0.8
    assert table["valence"]["spearman"] > 0.8
    assert table["Doubt"]["spearman"] is None  # always 0 in the toy: undefined, not 0
    assert table["Doubt"]["mae"] < 0.1


def test_heads_do_not_see_each_others_labels():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(80, 8))
    values = np.clip(vectors[:, :1] + rng.normal(size=(80, 40)), 0, 7)
    masked = values.copy()
    masked[::2, 3] = np.nan
    schedule = Schedule(3, 1e-3, 0.01, 16)
    scores = []
    for table in (values, masked):
        heads = new_heads(40, 8, [16, 4], 0.0, seed=0)
        data = examples(vectors, table)
        fit_ratings(heads, data, schedule, seed=0)
        scores.append(scores_of(heads, data))
    others = [i for i in range(40) if i != 3]
    assert not np.array_equal(scores[0][:, 3], scores[1][:, 3])
    # What is left of the influence is the choice of the best epoch (see SHRINKAGE).
    np.testing.assert_allclose(scores[0][:, others], scores[1][:, others], atol=1e-6)


# --- stage 2


def test_votes_are_evidence_of_different_strength():
    # At score = b every answer has P = 1/2, so the slope of minus log-likelihood in the score is
    # a * (n/2 - yes): 3/3 -> -1.5 a, 2/3 -> -0.5 a, 1/2 -> 0, 0/1 -> +0.5 a; not asked -> 0.
    link = Link(a=2.0, b=3.0)
    counts = [(0, 3), (1, 2), (1, 1), (1, 0), (0, 0)]
    votes = torch.zeros(5, N_EMOTIONS, 2)
    votes[:, 0] = torch.tensor(counts, dtype=torch.float32)
    scores = torch.full((5, N_EMOTIONS), 3.0, requires_grad=True)
    losses = link.losses(scores, votes)
    losses.sum().backward()
    assert scores.grad[:, 0].tolist() == pytest.approx([-3, -1, 0, 1, 0])
    assert losses[:, 0].tolist() == pytest.approx([n * np.log(2) for n in (3, 3, 2, 1, 0)])
    assert not scores.grad[:, 1:].any()


def test_link_is_the_logistic_regression_of_answers_on_scores():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(1000, 8)).astype(np.float32)
    heads = new_heads(40, 8, [16, 4], 0.0, seed=0)
    with torch.no_grad():
        heads.layers[-1].weight *= 20
    votes = np.zeros((1000, 40, 2))
    scores = scores_of(heads, examples(vectors, votes))
    asked = rng.integers(0, 40, 1000)
    chance = 1 / (1 + np.exp(-1.5 * (scores[np.arange(1000), asked] - 0.4)))
    yes = rng.random(1000) < chance
    votes[np.arange(1000), asked, yes.astype(int)] = 1
    data = examples(vectors, votes)
    link = fit_link(heads, data)
    train_rows = ~data.held_out
    x = scores[np.arange(1000), asked][train_rows, None]
    reference = LogisticRegression(C=1e6, tol=1e-10).fit(x, yes[train_rows])
    assert link.a == pytest.approx(reference.coef_[0, 0], rel=1e-3)
    assert link.b == pytest.approx(-reference.intercept_[0] / reference.coef_[0, 0], abs=1e-3)
    assert (link.a, link.b) == pytest.approx((1.5, 0.4), abs=0.25)
    votes[..., 0] = 0  # all answers Yes: nothing to fit
    assert fit_link(heads, examples(vectors, votes)) == Link()
    assert not Link().fitted


def test_stage_2_raises_confirmed_faces_and_keeps_the_scale():
    """Ratings know nothing of coordinate 1; votes on Anger follow it: 3/3 where high, else 0/1."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(400, 8)).astype(np.float32)
    ratings = np.clip(3 + 2 * vectors[:, :1].repeat(44, axis=1), 0, 7)
    rated = examples(vectors, ratings)
    heads = new_heads(44, 8, [32, 8], 0.0, seed=0)
    fit_ratings(heads, rated, Schedule(10, 1e-2, 0.0, 32), seed=0)
    before = scores_of(heads, rated)
    anger = INDEX["Anger"]
    votes = np.zeros((400, 40, 2))
    high = vectors[:, 1] > 0
    votes[high, anger, 1] = 3
    votes[~high, anger, 0] = 1
    voted = examples(vectors, votes)
    gaps = []
    for anchor in (0.0, 0.5, 100.0):
        copied = new_heads(44, 8, [32, 8], 0.0, seed=0)
        copied.load_state_dict(heads.state_dict())
        link = Link(1.0, 3.0)
        schedule = Schedule(20, 3e-3, 0.0, 32)
        fit_votes(copied, voted, rated, link, schedule, anchor=anchor, seed=0)
        after = scores_of(copied, rated)
        gaps.append(after[high, anger].mean() - after[~high, anger].mean())
        others = [i for i in range(44) if i != anger]
        assert np.array_equal(after[:, others], before[:, others])  # nobody was asked about them
    start = before[high, anger].mean() - before[~high, anger].mean()
    assert abs(start) < 0.4
    assert gaps[0] > gaps[1] > gaps[2] > start - 0.05
    assert gaps[1] > start + 0.5


def test_stage_2_improves_held_out_answers_and_hardly_moves_ratings(trained):
    report = trained["stages"]["votes"]
    held_out = report["held_out"]
    assert report["link"]["fitted"]
    assert report["link"]["a"] > 0
    assert held_out["log_loss"] <= held_out["log_loss_before"]
    assert held_out["ratings_mae"] < held_out["ratings_mae_before"] + 0.1


# --- what is skipped, what is missing


def test_a_missing_stage_is_skipped_and_said(place, repo, vectors, tmp_path):
    result = train(vectors[:1], repo, tmp_path / "no-votes", **BRIEF)
    votes = result["stages"]["votes"]
    assert votes == {
        "run": False,
        "reason": "no embeddings of config binary were given (they are of big)",
    }
    assert any("votes: skipped, no embeddings" in line for line in result["lines"])
    only_big = write_toy_repo(tmp_path / "only-big", big=160, binary=0)
    result = train(vectors, only_big, tmp_path / "no-binary", **BRIEF)
    assert result["stages"]["votes"]["reason"] == "the dataset has no config binary"


def test_votes_alone_train_forty_outputs_with_the_default_link(vectors, tmp_path):
    def ask_all(config, rows):
        for index, row in enumerate(rows):
            name = EMOTIONS[index % 40]
            row["votes"] = [
                {"annotator": "simulated-human-1", "emotion": INDEX[asked], "present": yes}
                for asked, yes in ((name, True), (OPPOSITE[name], False))
            ]

    labels = write_toy_repo(tmp_path / "votes", big=0, binary=80, edit=ask_all)
    result = train(vectors[1:], labels, tmp_path / "model", **BRIEF)
    assert result["outputs"] == 40
    assert result["stages"]["ratings"]["run"] is False
    assert result["stages"]["votes"]["link"] == {"a": 1.0, "b": 3.5, "fitted": False}
    assert result["neutral_source"] == neutral.FROM_VOTES


def test_nothing_to_train_on_and_categories_without_labels(repo, vectors, tmp_path):
    with pytest.raises(EmoNetFaceError, match="no votes on training images"):
        train(vectors[1:], repo, tmp_path / "model", **BRIEF)

    def without_anger(config, rows):
        for row in rows:
            if config == "big":
                row["median_scores"][INDEX["Anger"]] = None

    labels = write_toy_repo(tmp_path / "gap", big=160, binary=0, edit=without_anger)
    with pytest.raises(EmoNetFaceError, match=r"1 of the 40 categories have no ratings.*'Anger'"):
        train(vectors[:1], labels, tmp_path / "model", **BRIEF)
    with pytest.raises(EmoNetFaceError, match="nothing to train on"):
        train(vectors[1:], labels, tmp_path / "model", **BRIEF)

    def too_high(config, rows):
        rows[2]["median_scores"][1] = 8.0

    labels = write_toy_repo(tmp_path / "high", big=160, binary=0, edit=too_high)
    with pytest.raises(EmoNetFaceError, match=r"'big-0002': median_scores\[1\] is 8"):
        train(vectors[:1], labels, tmp_path / "model", **BRIEF)
    with pytest.raises(EmoNetFaceError, match="size is 'huge'"):
        train(vectors, repo, tmp_path / "model", size="huge")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.txt").write_text("mine")
    with pytest.raises(EmoNetFaceError, match="was not made by this command"):
        train(vectors, repo, tmp_path / "model", **BRIEF)


def test_without_all_dimensions_the_model_has_forty_outputs(vectors, tmp_path):
    def no_dominance(config, rows):
        for row in rows:
            row["dimensions"]["dominance"] = None

    labels = write_toy_repo(tmp_path / "toy", big=160, binary=0, edit=no_dominance)
    result = train(vectors[:1], labels, tmp_path / "model", **BRIEF)
    assert result["outputs"] == 40
    assert load_model(tmp_path / "model")[0].config.output_names == list(EMOTIONS)


# --- the result


def test_same_seed_same_bytes_and_no_global_state(place, repo, vectors, trained, tmp_path):
    torch.manual_seed(11)
    state = torch.random.get_rng_state()
    train(vectors, repo, tmp_path / "again", seed=4, **BRIEF)
    assert torch.equal(state, torch.random.get_rng_state())
    first, again = files_of(place / "model"), files_of(tmp_path / "again")
    assert first == again
    assert {"training/curves.csv", "training/curves.png", "training/validation.csv"} <= set(first)


KILLED = """
import os, signal, sys
sys.path[:0] = [{root!r}, {tests!r}]
import torch
torch.set_num_threads(1)
from pathlib import Path
from test_training import BRIEF
from modeling_empathicinsight import training_checkpoint
from modeling_empathicinsight.training import train
save, saved = training_checkpoint.Checkpoint.save, []
training_checkpoint.Checkpoint.due = lambda self: True

def counted(self, stage, tensors, state):
    save(self, stage, tensors, state)
    saved.append(stage)
    if len(saved) == {after}:
        os.kill(os.getpid(), signal.SIGKILL)

training_checkpoint.Checkpoint.save = counted
train([Path(path) for path in {vectors!r}], {labels!r}, Path({out!r}), seed=4, **BRIEF)
"""


@pytest.mark.slow
@pytest.mark.parametrize("after", [3, 18])  # within stage 1, within stage 2
def test_a_killed_run_goes_on_to_the_same_bytes(place, repo, vectors, trained, tmp_path, after):
    out = tmp_path / "model"
    script = KILLED.format(
        root=str(ROOT),
        tests=str(ROOT / "tests"),
        after=after,
        vectors=list(map(str, vectors)),
        labels=str(repo),
        out=str(out),
    )
    done = subprocess.run([sys.executable, "-c", script], timeout=300, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not out.exists()
    with pytest.raises(EmoNetFaceError, match="an unfinished run has another seed"):
        train(vectors, repo, out, seed=5, **BRIEF)
    train(vectors, repo, out, seed=4, **BRIEF)
    assert files_of(out) == files_of(place / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.slow
def test_the_command_in_two_processes_reports_once_and_learns_the_same(
    place, repo, vectors, tmp_path
):
    """Dropout is off, as its masks are each process' own; sums of gradients differ by rounding."""
    pytest.importorskip("accelerate")
    recipe = tmp_path / "brief.toml"
    text = (ROOT / "modeling_empathicinsight" / "recipes" / "small.toml").read_text()
    text = re.sub(r"(?m)^epochs = .*", "epochs = 3", text)
    recipe.write_text(re.sub(r"(?m)^dropout = .*", "dropout = 0.0", text))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += ["-m", "emonet_face.cli", "train", "--labels", str(repo), "--recipe", str(recipe)]
    command += [word for path in vectors for word in ("--embeddings", str(path))]
    ran = subprocess.run(
        [*command, "--out", str(tmp_path / "two")],
        env={**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
        capture_output=True,
        text=True,
        timeout=500,
        cwd=ROOT,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count(f"{tmp_path / 'two'}") == 1
    train(vectors, repo, tmp_path / "one", recipe=read_recipe(str(recipe)))
    two, one = (load_file(tmp_path / name / "model.safetensors") for name in ("two", "one"))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, atol=1e-3, rtol=1e-3)


def test_training_json_tells_the_run_and_no_local_path(place, trained):
    text = (place / "model" / "training.json").read_text()
    record = json.loads(text)
    assert str(place) not in text
    assert record == {key: value for key, value in trained.items() if key != "lines"}
    assert record["backbone"]["name"] == "tower"
    assert record["backbone"]["made_by"] == "emonet-face tower"
    assert record["stages"]["ratings"]["annotators"] == ["simulated-vlm"]
    assert all(name.startswith("simulated-") for name in record["stages"]["votes"]["annotators"])


def test_neutral_means_are_mean_scores_where_the_rating_is_0(place, repo, vectors, trained):
    model, _ = load_model(place / "model")
    embeddings = read_embeddings(vectors[:1])
    ids = sorted(embeddings.ids("big"))
    rows = [embeddings.row_of["big", image_id] for image_id in ids]
    with torch.no_grad():
        scores = model(image_embeds=torch.from_numpy(embeddings.vectors[rows])).scores.numpy()
    used = ~split(ids, seed=4)
    curvature = np.array([toy_numbers("big", N["big"])[image_id][0] for image_id in ids])
    zero = used & (np.rint(7 * np.clip(curvature, 0, None) * 0.85) == 0)  # Elation's rating
    elation = INDEX["Elation"]
    assert zero.sum() > neutral.MIN_FACES
    expected = scores[zero, elation].mean()
    assert model.config.neutral_means[elation] == pytest.approx(expected, abs=1e-4)
    assert model.config.neutral_source == neutral.FROM_RATINGS


def test_neutral_means_fall_back_to_the_lowest_tenth():
    values = np.full((40, 44), 1.0)
    values[:, 0] = np.arange(40) / 10 + 0.1  # never 0: the lowest tenth of 36 is 4 images
    data = replace(examples(np.zeros((40, 4)), values), held_out=np.arange(40) >= 36)
    scores = np.tile(np.arange(40.0)[:, None], (1, 44))
    means = neutral.means_from_ratings(scores, data)
    assert means[0] == np.mean([0, 1, 2, 3])
    assert means[43] == np.mean([0, 1, 2, 3])  # a dimension: smallest sums of ratings


# --- the small tower


def test_brief_training_makes_a_tower_see_the_mouth(place, repo, tower, tmp_path):
    record = pretrain_tower(tower, repo, tmp_path / "trained", epochs=12, seed=0)
    assert record["held_out_spearman"] > 0.4  # an untrained readout gives about 0
    assert (record["training_images"], record["held_out_images"]) == (144, 16)
    assert json.loads((tmp_path / "trained" / "tower.json").read_text())["epochs"] == 12
    again = pretrain_tower(tower, repo, tmp_path / "again", epochs=12, seed=0)
    assert again["held_out_spearman"] == record["held_out_spearman"]
    weights = [tmp_path / name / "model.safetensors" for name in ("trained", "again")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    with pytest.raises(EmoNetFaceError, match="no config 'hq'"):
        pretrain_tower(tower, repo, tmp_path / "x", config="hq")


def test_toy_faces_differ_where_their_numbers_do():
    rng = np.random.default_rng
    smile, frown = (np.asarray(draw_face(c, 0, 32, rng(0))).astype(int) for c in (1, -1))
    assert np.abs(smile - frown)[16:].mean() > 10 * np.abs(smile - frown)[:12].mean()
