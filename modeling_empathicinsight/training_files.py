"""What was learnt, to look at: learning curves and validation tables in `training/` of the repo.

- `curves.csv`: stage, epoch, learning rate, output, mean loss on training and on held-out images.
- `curves.png`: the same, each head a thin line, their mean a thick one; dots are the epochs whose
  weights were kept. The first epoch may lie above what is shown, and a note says so. Simulated
  labels are named as such.
- `validation.csv`: the tables of training.json, a row per stage and output.

While heads learn, the same numbers go to TensorBoard's event files where a folder is given.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import isnan
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from emonet_face.errors import EmoNetFaceError
from emonet_face.simulated import is_simulated
from modeling_empathicinsight.heads_training import HUBER_DELTA
from modeling_empathicinsight.stage_run import Curves, Fit
from modeling_empathicinsight.training_stages import OUTPUTS, Stages

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = "training"
SIDES = ("training", "held_out")
TITLES = {"ratings": "Stage 1: ratings", "votes": "Stage 2: votes"}


def files_of(stages: Stages) -> dict[str, bytes]:
    """The files, place in the repo -> bytes."""
    return {
        f"{FOLDER}/curves.csv": _csv(_curve_rows(stages.curves)),
        f"{FOLDER}/curves.png": _png(figure_of(stages)),
        f"{FOLDER}/validation.csv": _csv(_validation_rows(stages.reports)),
    }


@contextmanager
def watching(folder: Path | None) -> Iterator[Callable[[str, Fit], None]]:
    """Give what `fit` calls after every epoch: it writes TensorBoard's event files, or nothing.

    Args:
        folder: for the event files, whose names and contents hold the time; None: none are written.

    Raises:
        EmoNetFaceError: tensorboard is not installed.
    """
    if folder is None:
        yield lambda stage, so_far: None
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise EmoNetFaceError(
            "event files need tensorboard: pip install 'emonet-face[train]'"
        ) from None
    with SummaryWriter(str(folder)) as writer:

        def watch(stage: str, so_far: Fit) -> None:
            curves = so_far.curves
            epoch = curves["epoch"][-1]
            writer.add_scalar(f"{stage}/learning_rate", curves["learning_rate"][-1], epoch)
            for side in SIDES:
                losses = curves[side][-1]
                writer.add_scalar(f"{stage}/{side}", _mean(losses), epoch)
                for name, loss in zip(OUTPUTS, losses, strict=False):
                    if loss is not None:
                        # TensorBoard makes groups of what stands between slashes.
                        tag = name.replace("/", "-").replace(" ", "_")
                        writer.add_scalar(f"{stage}-{side}/{tag}", loss, epoch)

        yield watch


def _curve_rows(curves: dict[str, Curves]) -> list[dict[str, Any]]:
    return [
        {
            "stage": stage,
            "epoch": epoch,
            "learning_rate": f"{found['learning_rate'][place]:.6g}",
            "output": name,
            "training": found["training"][place][output],
            "held_out": found["held_out"][place][output],
        }
        for stage, found in curves.items()
        for place, epoch in enumerate(found["epoch"])
        for output, name in enumerate(OUTPUTS[: len(found["held_out"][place])])
    ]


def _validation_rows(reports: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"stage": stage, **row}
        for stage, report in reports.items()
        for row in report.get("table", ())
    ]


def _csv(rows: list[dict[str, Any]]) -> bytes:
    """UTF-8 CSV with the columns of all rows; None is an empty cell."""
    names = dict.fromkeys(name for row in rows for name in row)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def figure_of(stages: Stages) -> Figure:
    """The learning curves, one pair of axes for each stage that was run."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    curves = stages.curves
    figure = Figure(figsize=(5.2 * max(1, len(curves)), 4.1), layout="constrained")
    grid = figure.subplots(1, max(1, len(curves)), squeeze=False)[0]
    for axes, (stage, found) in zip(grid, curves.items(), strict=False):
        for side, colour in zip(SIDES, ("tab:blue", "tab:orange"), strict=True):
            for output in range(len(found[side][0])):
                line = [losses[output] for losses in found[side]]
                axes.plot(found["epoch"], _plotted(line), color=colour, lw=0.4, alpha=0.35)
            mean = [_mean(losses) for losses in found[side]]
            label = f"{side.replace('_', '-')} images: mean"
            axes.plot(found["epoch"], mean, color=colour, lw=2.2, label=label)
        report = stages.reports[stage]
        kept = _kept(report, found)
        axes.scatter(*kept, color="tab:orange", s=5, alpha=0.8, label="a head's epoch that is kept")
        simulated = any(map(is_simulated, report.get("annotators", ())))
        title = TITLES[stage] + (", simulated labels" if simulated else "")
        axes.plot([], [], color="tab:gray", lw=0.6, label="one head")
        axes.set(title=title, xlabel="epoch", ylabel=loss_name(stage, stages.reports))
        top, note = view(found)
        axes.set_ylim(0, top)
        axes.text(1, 1, note, transform=axes.transAxes, ha="right", va="top", fontsize=8)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
    if curves:
        handles, labels = grid[0].get_legend_handles_labels()
        ncols = 2 * len(curves)  # one stage is half as wide as two
        figure.legend(handles, labels, loc="outside lower center", ncols=ncols)
    return figure


def _png(figure: Figure) -> bytes:
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=120, metadata={"Software": None})
    return data.getvalue()


def loss_name(stage: str, reports: dict[str, Any]) -> str:
    """What a stage's loss is, in words: for the axis of its curves."""
    report = reports[stage]
    if stage == "ratings":
        return {
            "huber": f"mean Huber loss (delta {HUBER_DELTA:g}) of a rating",
            "mae": "mean absolute error of a rating",
        }[report["loss"]]
    name = "mean log loss of an answer" + (", both sides alike" if report["balance"] else "")
    if reports["ratings"]["run"] and report["anchor"]:
        name += f"\n+ {report['anchor']:g} x squared change of the scores"
    return name


def view(found: Curves) -> tuple[float | None, str]:
    """Top of the loss axis and a note: a head's first epoch does not press all others together.

    Returns:
        What holds every line after the first epoch and the means in it, with 5 % to spare, and
        which loss lies above; None and no note where there is no later epoch.
    """
    first = [loss for side in SIDES for loss in found[side][0] if loss is not None]
    means = [_mean(found[side][0]) for side in SIDES]
    later = [
        loss for side in SIDES for losses in found[side][1:] for loss in losses if loss is not None
    ]
    if not later:
        return None, ""
    top = 1.05 * max(later + [mean for mean in means if not isnan(mean)])
    highest = max(first, default=0.0)
    return top, f"not shown: epoch 1 up to {highest:.2g}" if highest > top else ""


def _kept(report: dict[str, Any], found: Curves) -> tuple[list[int], list[float]]:
    """Epochs and held-out losses of the weights that were kept; a head left as it came has none."""
    best = [(row.get("best_epoch", 0), head) for head, row in enumerate(report.get("table", ()))]
    epochs = [epoch for epoch, _ in best if epoch]
    return epochs, _plotted([found["held_out"][epoch - 1][head] for epoch, head in best if epoch])


def _plotted(line: list[float | None]) -> list[float]:
    return [float("nan") if value is None else value for value in line]


def _mean(losses: list[float | None]) -> float:
    known = [loss for loss in losses if loss is not None]
    return fmean(known) if known else float("nan")
