"""The training loop: its gradients, early stopping, interruption, several processes, its files.

    .venv/bin/pytest tests/test_training_loop.py          # -m '' for the slow ones as well

Gradients are compared with those that autograd finds for as many separate models in float64.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace
from math import nan
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from emonet_face.errors import EmoNetFaceError
from modeling_empathicinsight.configuration_empathicinsight import HIDDEN_SIZES
from modeling_empathicinsight.fitting import scores_of
from modeling_empathicinsight.head_groups import Dropout, groups_of, heads_at_once
from modeling_empathicinsight.heads_training import (
    MAX_BALANCE,
    Link,
    answer_weights,
    fit_ratings,
    fit_votes,
    new_heads,
)
from modeling_empathicinsight.recipes import (
    FOLDER,
    SECTIONS,
    chosen_recipe,
    parse_recipe,
    read_recipe,
)
from modeling_empathicinsight.ridge import fit_ridge
from modeling_empathicinsight.stage_run import Schedule
from modeling_empathicinsight.targets import Examples, split
from modeling_empathicinsight.training_checkpoint import Checkpoint, unfinished
from modeling_empathicinsight.training_files import figure_of, files_of, loss_name, view, watching
from modeling_empathicinsight.training_stages import Stages
from modeling_empathicinsight.workers import Workers

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.usefixtures("one_thread")


def separate(heads, index: int) -> nn.Sequential:
    """One head as a model by itself, as people write it."""
    parts: list[nn.Module] = []
    for layer in heads.layers:
        linear = nn.Linear(*layer.weight.shape[1:]).double()
        with torch.no_grad():
            linear.weight.copy_(layer.weight[index].T)
            linear.bias.copy_(layer.bias[index])
        parts += [linear, nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def rated(n: int = 200, width: int = 12, outputs: int = 44, seed: int = 0) -> Examples:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, width)).astype(np.float32)
    values = np.clip(3 + vectors @ rng.normal(size=(width, outputs)) / 2, 0, 7).astype(np.float32)
    ids = [f"{index:05d}" for index in range(n)]
    return Examples(ids, vectors, values, split(ids, 0), {})


# --- the same mathematics as separate models


@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("at_once", [None, 7])
def test_gradients_are_those_of_forty_separate_models(size, at_once):
    hidden = HIDDEN_SIZES[size] if size == "small" else [64, 32, 16]
    heads = new_heads(40, 1152 if size == "small" else 96, hidden, 0.0, seed=1).double()
    width = heads.layers[0].weight.shape[1]
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(50, width, generator=generator, dtype=torch.float64)
    wanted = 7 * torch.rand(50, 40, generator=generator, dtype=torch.float64)
    for group in groups_of(heads, at_once):
        with torch.no_grad():
            scores = group.forward(features)
        leaf = scores.clone().requires_grad_()
        loss = nn.functional.huber_loss(leaf, wanted[:, group.columns], reduction="none")
        (slopes,) = torch.autograd.grad(loss.mean(dim=0).sum(), leaf)
        with torch.no_grad():
            layers = group.views(group.backward(slopes))
        for place, index in enumerate(range(40)[group.columns]):
            model = separate(heads, index)
            output = model(features)
            torch.testing.assert_close(scores[:, place], output[:, 0], rtol=0, atol=1e-10)
            nn.functional.huber_loss(output, wanted[:, [index]]).backward()
            linears = [part for part in model if isinstance(part, nn.Linear)]
            for linear, (weight, bias) in zip(linears, layers, strict=True):
                torch.testing.assert_close(weight[place].T, linear.weight.grad, rtol=0, atol=1e-10)
                torch.testing.assert_close(bias[place], linear.bias.grad, rtol=0, atol=1e-10)


def test_dropout_is_each_heads_own_and_the_gradient_knows_its_mask():
    """The slope of a sum of scores in a last layer's weight is the scaled sum of its inputs."""
    heads = new_heads(6, 10, [64, 32], 0.25, seed=0).double()
    features = torch.randn(400, 10, generator=torch.Generator().manual_seed(0)).double()
    (group,) = groups_of(heads, 6)
    dropout = Dropout(0.25, torch.Generator().manual_seed(1), group.space)
    with torch.no_grad():
        plain = group.forward(features).clone()
        open_share = [(h > 0).double().mean().item() for h in group._kept[1:]]
        scores = group.forward(features, dropout)
        hidden = [h.clone() for h in group._kept[1:]]
        gradients = group.views(group.backward(torch.ones_like(scores)))
    kept = (hidden[0] > 0).double().mean().item() / open_share[0]
    assert kept == pytest.approx(0.75, abs=0.01)
    masks = [(hidden[0][head] > 0) for head in range(6)]
    assert not torch.equal(masks[0], masks[1])
    assert abs((scores - plain).mean()) < 0.02  # scaled: the same on average
    expected = (256 / 192) * hidden[1].sum(dim=1)
    torch.testing.assert_close(gradients[-1][0][..., 0], expected)
    # Finite differences through the same mask.
    weight = group.layers[0][0]
    step = 1e-6
    with torch.no_grad():
        weight[2, 3, 5] += step
        dropout.generator.manual_seed(1)
        higher = group.forward(features, dropout).sum().item()
        weight[2, 3, 5] -= 2 * step
        dropout.generator.manual_seed(1)
        lower = group.forward(features, dropout).sum().item()
    assert (higher - lower) / (2 * step) == pytest.approx(gradients[0][0][2, 3, 5].item(), rel=1e-4)


@pytest.mark.parametrize("loss", ["huber", "mae"])
def test_the_arrangement_does_not_change_what_is_learnt(loss):
    data = rated()
    schedule = Schedule(3, 1e-3, 0.01, 32)
    scores, best = [], []
    for at_once in (44, 8, 1):
        heads = new_heads(44, 12, [16, 4], 0.0, seed=0)
        done = fit_ratings(heads, data, schedule, seed=0, loss=loss, at_once=at_once)
        scores.append(scores_of(heads, data))
        best.append(done.best_epochs)
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-4)
    np.testing.assert_allclose(scores[0], scores[2], atol=1e-4)
    assert best[0] == best[1] == best[2]


def test_a_cpu_trains_eight_small_heads_or_one_large_one_at_a_time_and_a_gpu_all():
    assert heads_at_once("cpu", HIDDEN_SIZES["small"][0]) == 8
    assert heads_at_once("cpu", HIDDEN_SIZES["large"][0]) == 1
    assert heads_at_once("cuda", HIDDEN_SIZES["large"][0]) is None


def test_absolute_error_learns_medians_and_huber_between_median_and_mean():
    """One image, rated 0, 0 and 6 over and over: the median is 0, the mean 2."""
    n = 300
    vectors = np.ones((n, 4), dtype=np.float32)
    values = np.where(np.arange(n)[:, None] % 3 == 2, 6, 0).repeat(40, axis=1).astype(np.float32)
    ids = [f"{index:05d}" for index in range(n)]
    data = Examples(ids, vectors, values, split(ids, 0), {})
    learnt = {}
    for loss in ("mae", "huber"):
        heads = new_heads(40, 4, [8, 4], 0.0, seed=0)
        fit_ratings(heads, data, Schedule(20, 2e-2, 0.0, 30), seed=0, loss=loss)
        learnt[loss] = scores_of(heads, data)[0].mean()
    # Huber, delta 1: 2/3 of the slopes are c (up to 1), 1/3 are -1: balanced at c = 1/2.
    assert learnt["mae"] == pytest.approx(0, abs=0.1)
    assert learnt["huber"] == pytest.approx(0.5, abs=0.15)
    with pytest.raises(EmoNetFaceError, match="loss is 'mse': must be one of huber, mae"):
        fit_ratings(heads, data, Schedule(1, 1e-2, 0.0, 30), seed=0, loss="mse")


# --- early stopping, classes


@pytest.mark.slow
def test_a_head_stops_by_itself_and_the_run_with_the_last():
    data = rated(outputs=40)
    data.values[:, 5] = np.random.default_rng(1).uniform(0, 7, len(data.values))  # nothing to learn
    heads = new_heads(40, 12, [16, 4], 0.0, seed=0)
    done = fit_ratings(heads, data, Schedule(60, 1e-2, 0.0, 32, patience=3), seed=0, at_once=1)
    epochs = done.curves["epoch"]
    assert len(epochs) <= 60
    learnt = [
        sum(losses[head] is not None for losses in done.curves["training"]) for head in (0, 5)
    ]
    assert learnt[1] < learnt[0]
    for head, ran in zip((0, 5), learnt, strict=True):
        assert ran == min(60, done.best_epochs[head] + 3)


def test_balanced_answers_weigh_the_same_on_both_sides():
    votes = np.zeros((100, 40, 2), dtype=np.float32)
    votes[:, 0] = [1, 0]
    votes[:20, 0] = [0, 1]
    votes[:, 1] = [3, 0]  # one side only
    votes[:, 2] = [1, 0]
    votes[0, 2] = [0, 1]
    data = Examples(
        [str(i) for i in range(100)], np.zeros((100, 4)), votes, np.zeros(100, bool), {}
    )
    weights = answer_weights(data)
    np.testing.assert_allclose(weights[0], [100 / 160, 100 / 40])
    np.testing.assert_allclose(weights[1:2], 1)
    assert weights[2, 1] == MAX_BALANCE  # 100 / 2 would let one answer rule
    np.testing.assert_allclose(weights[3:], 1)


# --- interruption


SMALL = Schedule(6, 3e-3, 0.01, 32)


def _stage(checkpoint: Checkpoint | None, stop_after: int | None = None) -> tuple[bytes, object]:
    heads = new_heads(44, 12, [16, 4], 0.1, seed=0)

    def watch(stage, so_far):
        if so_far.curves["epoch"][-1] == stop_after:
            raise KeyboardInterrupt

    data = rated()
    done = fit_ratings(heads, data, SMALL, seed=3, checkpoint=checkpoint, watch=watch)
    return scores_of(heads, data).tobytes(), done


def test_going_on_gives_the_same_bytes_as_no_interruption(tmp_path):
    whole, done = _stage(None)
    for stop_after in (2, 4, 6):
        folder = tmp_path / str(stop_after)
        folder.mkdir()
        checkpoint = Checkpoint(folder)
        checkpoint.due = lambda: True
        with pytest.raises(KeyboardInterrupt):
            _stage(checkpoint, stop_after)  # before that epoch was saved
        assert checkpoint.load("ratings")[1]["epoch"] == stop_after - 1
        again, resumed = _stage(checkpoint)
        assert again == whole
        assert (resumed.best_epochs, resumed.curves) == (done.best_epochs, done.curves)
        finished, _ = _stage(checkpoint)  # nothing is left to learn
        assert finished == whole


def test_an_unfinished_run_goes_on_with_the_same_plan_only(tmp_path):
    plan = {"seed": 1, "labels": "abc", "recipe": {"loss": "huber"}}
    with pytest.raises(KeyboardInterrupt), unfinished(tmp_path / "m", plan, restart=False) as kept:
        kept.save("ratings", {"w": torch.ones(2)}, {"epoch": 1})
        raise KeyboardInterrupt
    for changed in ({"seed": 2}, {"labels": "abd"}, {"recipe": {"loss": "mae"}}):
        with (
            pytest.raises(EmoNetFaceError, match=f"another {next(iter(changed))} .*--restart"),
            unfinished(tmp_path / "m", plan | changed, restart=False),
        ):
            pass
    with unfinished(tmp_path / "m", plan, restart=False) as kept:
        assert kept.load("ratings")[1] == {"epoch": 1}
        with (
            pytest.raises(EmoNetFaceError, match="being trained by another process"),
            unfinished(tmp_path / "m", plan, restart=False),
        ):
            pass
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyboardInterrupt), unfinished(tmp_path / "m", plan, restart=False) as kept:
        kept.save("ratings", {"w": torch.ones(2)}, {"epoch": 1})
        raise KeyboardInterrupt
    file = next(tmp_path.glob(".*/ratings.safetensors"))
    file.write_bytes(b"rubbish")
    with (
        pytest.raises(EmoNetFaceError, match=r"cannot be read .* --restart"),
        unfinished(tmp_path / "m", plan, restart=False) as kept,
    ):
        kept.load("ratings")
    with unfinished(tmp_path / "m", plan | {"seed": 9}, restart=True) as kept:
        assert kept.load("ratings") is None


# --- several processes


WORKER = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
import numpy as np, torch
torch.set_num_threads(1)
from test_training_loop import SMALL, rated
from modeling_empathicinsight.fitting import scores_of
from modeling_empathicinsight.heads_training import fit_ratings, new_heads
from modeling_empathicinsight.workers import Workers
import os
os.environ["ACCELERATE_USE_CPU"] = "true"
workers = Workers.join()
heads = new_heads(44, 12, [16, 4], 0.0, seed=0)
done = fit_ratings(heads, rated(), SMALL, seed=3, workers=workers)
np.savez({out!r} + str(workers.rank), scores=scores_of(heads, rated()),
         training=np.array(done.curves["training"], dtype=float), number=workers.number)
workers.wait()
"""


@pytest.mark.slow
def test_two_processes_compute_what_one_does(tmp_path):
    pytest.importorskip("accelerate")
    script = tmp_path / "worker.py"
    script.write_text(
        WORKER.format(root=str(ROOT), tests=str(ROOT / "tests"), out=str(tmp_path / "out"))
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    subprocess.run([*command, str(script)], env=environment, check=True, timeout=500)
    heads = new_heads(44, 12, [16, 4], 0.0, seed=0)
    done = fit_ratings(heads, rated(), SMALL, seed=3)
    expected = scores_of(heads, rated())
    ranks = [np.load(tmp_path / f"out{rank}.npz") for rank in (0, 1)]
    assert [int(rank["number"]) for rank in ranks] == [2, 2]
    np.testing.assert_array_equal(ranks[0]["scores"], ranks[1]["scores"])
    np.testing.assert_allclose(ranks[0]["scores"], expected, atol=1e-3)
    np.testing.assert_allclose(ranks[0]["training"], done.curves["training"], atol=1e-4)


def test_the_seed_decides_the_order_of_batches_the_dropout_and_the_weights():
    learnt = []
    for weights, training in ((0, 0), (0, 0), (0, 1), (1, 0)):
        heads = new_heads(44, 12, [16, 4], 0.1, seed=weights)
        fit_ratings(heads, rated(), SMALL, seed=training)
        learnt.append(scores_of(heads, rated()).tobytes())
    assert learnt[0] == learnt[1]
    assert len(set(learnt)) == 3


def test_parts_of_a_batch_are_all_of_it():
    rows = torch.arange(11)
    parts = [Workers(rank, 3).part(rows) for rank in range(3)]
    assert sorted(torch.cat(parts).tolist()) == rows.tolist()
    assert [len(part) for part in parts] == [4, 4, 3]


# --- recipes and files


@pytest.mark.parametrize("size", list(HIDDEN_SIZES))
def test_recipes_say_how_to_train_and_what_to_expect(size):
    import tomllib

    recipe = read_recipe(size)
    assert recipe.size == size
    table = tomllib.loads((FOLDER / f"{size}.toml").read_text(encoding="utf-8"))
    run, expected = table["run"], table["expected"]
    assert run["command"].startswith("emonet-face train ")
    assert f"--size {size}" in run["command"]
    assert run["minutes"] > 0
    assert run["machine"]
    assert "schematic" in expected["data"]
    for stage, names in (("ratings", {"mae", "spearman"}), ("votes", {"log_loss"})):
        assert names <= set(expected[stage])
        assert all(-1 < value < 7 for value in expected[stage].values())


def test_the_demo_whose_numbers_are_published_came_out_as_its_recipe_says():
    """Means over heads move by some thousandths between machines and versions."""
    import tomllib

    table = tomllib.loads((FOLDER / "small.toml").read_text(encoding="utf-8"))
    found = json.loads((ROOT / "results" / "demo.json").read_text(encoding="utf-8"))
    for stage in ("ratings", "votes"):
        held_out = found["training"]["stages"][stage]["held_out"]
        for name, value in table["expected"][stage].items():
            assert held_out[name] == pytest.approx(value, abs=0.01), (stage, name)


def test_a_recipe_that_is_none_is_named(tmp_path):
    good = {
        "size": "small", "loss": "mae", "dropout": 0.1, "anchor": 1.0, "balance": False,
        "ratings": {"epochs": 1, "learning_rate": 1e-3, "weight_decay": 0.0, "batch_size": 8},
        "votes": {"epochs": 1, "learning_rate": 1e-3, "weight_decay": 0.0, "batch_size": 8},
    }  # fmt: skip
    assert parse_recipe(good, "f").ratings == Schedule(1, 1e-3, 0.0, 8)
    bad = {
        "unknown key 'depth'": good | {"depth": 3},
        "size is 'huge'": good | {"size": "huge"},
        "loss is 'mse'": good | {"loss": "mse"},
        "anchor is None: must be a float": {k: v for k, v in good.items() if k != "anchor"},
        "ratings: epochs is 0": good | {"ratings": good["ratings"] | {"epochs": 0}},
        "ratings: learning_rate is nan": good
        | {"ratings": good["ratings"] | {"learning_rate": nan}},
        "anchor be 0 or more": good | {"anchor": nan},
        "votes: unknown key 'lr'": good | {"votes": good["votes"] | {"lr": 1}},
        "dropout must lie in": good | {"dropout": 1.0},
    }
    for said, table in bad.items():
        with pytest.raises(EmoNetFaceError, match=said):
            parse_recipe(table, "f")
    with pytest.raises(EmoNetFaceError, match="recipe is 'medium': must be one of small, large"):
        read_recipe("medium")
    (tmp_path / "r.toml").write_text("= 3")
    with pytest.raises(EmoNetFaceError, match="is not TOML"):
        read_recipe(tmp_path / "r.toml")
    with pytest.raises(EmoNetFaceError, match="cannot be read"):
        read_recipe(tmp_path / "absent.toml")
    assert chosen_recipe("small", "mae") == replace(read_recipe("small"), loss="mae")
    assert "run" in SECTIONS


def test_curves_and_tables_are_files():
    _, done = _stage(None)
    report = {"loss": "huber", "table": [{"output": "Amusement", "n": 3, "mae": None}]}
    files = files_of(Stages({"ratings": report, "votes": {"run": False}}, {"ratings": done.curves}))
    rows = list(csv.DictReader(files["training/curves.csv"].decode().splitlines()))
    assert len(rows) == SMALL.epochs * 44
    first = rows[0]
    assert (first["stage"], first["epoch"], first["output"]) == ("ratings", "1", "Amusement")
    assert float(first["held_out"]) == done.curves["held_out"][0][0]
    assert files["training/validation.csv"].decode() == (
        "stage,output,n,mae\nratings,Amusement,3,\n"
    )
    assert files["training/curves.png"].startswith(b"\x89PNG")
    simulated = {"ratings": report | {"annotators": ["simulated-vlm"]}}
    named = files_of(Stages(simulated, {"ratings": done.curves}))["training/curves.png"]
    assert named != files["training/curves.png"], "the picture says so"
    losses = np.array(done.curves["training"], dtype=float).mean(axis=1)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("ran", [("ratings",), ("votes",), ("ratings", "votes")], ids="+".join)
def test_nothing_of_the_curves_lies_outside_their_picture(ran):
    """Least room: the longest title and axis there are."""
    losses = [[0.5] * 44, [0.4] * 44]
    curves = {"epoch": [1, 2], "training": losses, "held_out": losses}
    table = [{"best_epoch": 2}] * 44
    report = {"run": True, "table": table, "annotators": ["simulated-vlm"]}
    reports = {
        "ratings": report | {"loss": "huber", "run": "ratings" in ran},
        "votes": report | {"anchor": 0.25, "balance": True},
    }
    figure = figure_of(Stages(reports, dict.fromkeys(ran, curves)))
    figure.draw_without_rendering()
    (legend,) = figure.legends
    assert len(legend.get_texts()) == 4
    parts = {"legend": legend.get_window_extent()}
    for axes in figure.axes:
        parts |= {f"axes {axes.get_title()}": axes.get_tightbbox()}
    for name, box in parts.items():
        assert figure.bbox.x0 <= box.x0 <= box.x1 <= figure.bbox.x1, name
        assert figure.bbox.y0 <= box.y0 <= box.y1 <= figure.bbox.y1, name
        assert name == "legend" or not box.overlaps(parts["legend"])


def test_the_axes_of_the_curves_name_the_loss_that_was_used():
    ratings = {"loss": "mae", "run": True}
    votes = {"anchor": 0.5, "balance": True}
    assert loss_name("ratings", {"ratings": ratings}) == "mean absolute error of a rating"
    assert "Huber loss (delta 1)" in loss_name("ratings", {"ratings": ratings | {"loss": "huber"}})
    both = loss_name("votes", {"ratings": ratings, "votes": votes})
    assert both.split("\n") == [
        "mean log loss of an answer, both sides alike",
        "+ 0.5 x squared change of the scores",
    ]
    alone = {"ratings": {"run": False}, "votes": votes | {"balance": False}}
    assert loss_name("votes", alone) == "mean log loss of an answer"


def test_a_first_epoch_far_above_the_others_is_left_out_of_the_picture_and_said():
    """Two heads: later losses reach 0.4, the means of epoch 1 are 2.2 and 0.5: 1.05 x 2.2."""
    curves = {"training": [[4.0, 0.4], [0.4, 0.3]], "held_out": [[0.6, 0.4], [None, 0.3]]}
    top, note = view(curves)
    assert (top, note) == (pytest.approx(1.05 * 2.2), "not shown: epoch 1 up to 4")
    curves["training"][0] = [0.41, None]
    curves["held_out"][0] = [0.41, 0.41]
    assert view(curves) == (pytest.approx(1.05 * 0.41), "")
    assert view({side: losses[:1] for side, losses in curves.items()}) == (None, "")


def test_event_files_hold_the_curves(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    heads = new_heads(44, 12, [16, 4], 0.1, seed=0)
    with watching(tmp_path) as watch:
        done = fit_ratings(heads, rated(), SMALL, seed=3, watch=watch)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert len(events.Scalars("ratings/training")) == SMALL.epochs
    found = [event.value for event in events.Scalars("ratings-held_out/Astonishment-Surprise")]
    expected = [losses[12] for losses in done.curves["held_out"]]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


# --- the closed form


def test_ridge_is_the_one_of_scikit_learn():
    from sklearn.linear_model import Ridge as Reference

    data = rated(n=300)
    ridge = fit_ridge(data, 40)
    training = ~data.held_out
    scale = ridge.scale
    features = scale.apply_(data.vectors[training].copy())
    for head in (0, 17, 39):
        reference = Reference(alpha=ridge.penalties[head]).fit(
            features, data.values[training, head]
        )
        expected = reference.predict(scale.apply_(data.vectors.copy()))
        np.testing.assert_allclose(ridge.scores(data.vectors)[:, head], expected, atol=1e-3)


def test_link_losses_of_no_one_asked_are_zero():
    link = Link()
    assert not link.losses(torch.ones(3, 44), torch.zeros(3, 44, 2)).any()


def test_votes_on_forty_four_outputs_leave_the_dimensions_alone():
    data = rated()
    heads = new_heads(44, 12, [16, 4], 0.0, seed=0)
    before = scores_of(heads, data)
    votes = np.zeros((200, 40, 2), dtype=np.float32)
    votes[:, :, 1] = data.values[:, :40] > 3
    votes[:, :, 0] = 1 - votes[:, :, 1]
    voted = replace(data, values=votes)
    done = fit_votes(heads, voted, None, Link(), SMALL, anchor=1.0, seed=0)
    assert done.best_epochs[40:] == [0] * 4
    assert np.array_equal(scores_of(heads, data)[:, 40:], before[:, 40:])
    assert json.loads(json.dumps(done.curves)) == done.curves
