"""The balance figure: how often each prompted value stands beside an even spread, per config."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dataset_scripts.balance import FACTORS, Cell, crossing, margin
from dataset_scripts.repo_files import MADE_BY_CHECK
from emonet_face.taxonomy import EMOTIONS

STYLES = {"hq": ("#0072B2", "o"), "binary": ("#E69F00", "s"), "big": ("#009E73", "^")}
"""Config -> colour (Okabe and Ito: told apart by colour-blind readers) and marker."""

_SETTINGS = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "legend.frameon": False,
}
_TITLE = (
    "Prompts: images per value beside an even share (1 = even)\n"
    "Values are parameters of prompts, not observations of faces. Entropy is normalised: 1 is even."
)
_LEAST_WIDTH = 1.4  # so that small deviations from even look small


def draw_balance(
    cells: Mapping[str, Counter[Cell]], levels: Mapping[str, Sequence[Any]], path: Path
) -> None:
    """Draw the four factors as PNG; the same counts give the same bytes.

    Args:
        cells: config -> images of each combination of `FACTORS`; at least one config.
        levels: factor -> all its values.
        path: the file to write.
    """
    with matplotlib.rc_context(_SETTINGS):
        figure = balance_figure(cells, levels)
        figure.savefig(path, format="png", dpi=130, metadata={"Software": MADE_BY_CHECK})


def balance_figure(
    cells: Mapping[str, Counter[Cell]], levels: Mapping[str, Sequence[Any]]
) -> Figure:
    """One panel a factor, one row a value, one marker a config; 1 is an even share."""
    others = FACTORS[1:]
    heights = [len(levels[factor]) + 2 for factor in others]
    figure = Figure(figsize=(11, 9.5), layout="constrained")
    grid = figure.add_gridspec(len(others), 2, width_ratios=[1.1, 1], height_ratios=heights)
    places = [grid[:, 0], *(grid[row, 1] for row in range(len(others)))]
    for factor, place in zip(FACTORS, places, strict=True):
        _panel(figure.add_subplot(place), factor, cells, levels)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower right", ncols=len(labels))
    figure.suptitle(_TITLE, x=0.01, ha="left", fontsize=11)
    return figure


def _panel(
    axes: Axes,
    factor: str,
    cells: Mapping[str, Counter[Cell]],
    levels: Mapping[str, Sequence[Any]],
) -> None:
    values = levels[factor]
    axes.axvline(1, color="#777777", linewidth=0.9, zorder=0)
    entropies, largest = [], 1.0
    for index, (config, counts) in enumerate(cells.items()):
        per_value = margin(counts, (factor,))
        n = per_value.total()
        shares = [per_value[(value,)] * len(values) / n if n else 0.0 for value in values]
        largest = max(largest, *shares) if shares else largest
        colour, marker = STYLES[config]
        offset = (index - (len(cells) - 1) / 2) * 0.22
        rows = [row + offset for row in range(len(values))]
        axes.scatter(
            shares, rows, s=18, color=colour, marker=marker, linewidths=0,
            label=f"{config} ({n:,} images)", clip_on=False, zorder=2,
        )  # fmt: skip
        entropies.append(f"{config} {crossing(counts, (factor,), levels).entropy:.3f}")
    names = [EMOTIONS[v] if factor == FACTORS[0] else str(v) for v in values]
    axes.set_yticks(range(len(values)), names, fontsize=8)
    axes.set_ylim(len(values) - 0.4, -0.6)
    axes.set_xlim(0, 1.08 * max(largest, _LEAST_WIDTH))
    axes.grid(axis="y", color="#EEEEEE", linewidth=0.8, zorder=-1)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("images / even share", fontsize=8)
    axes.set_title(f"{factor.replace('_', ' ')}\nentropy: {', '.join(entropies)}")
