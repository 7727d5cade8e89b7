"""How evenly a run is spread over what its prompts ask for: counts, a table, a figure.

These are parameters of prompts: nothing here says what a picture shows.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from io import StringIO
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emonet_face import outputs
from emonet_face.taxonomy import EMOTIONS
from generation.prompts import AGES, ETHNICITIES, GENDERS, INTENSITIES, STYLES, TEMPLATES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEVELS: dict[str, Sequence[Any]] = {
    "emotion": EMOTIONS,
    "ethnicity": ETHNICITIES,
    "age": AGES,
    "gender": GENDERS,
    "intensity": INTENSITIES,
    "style": STYLES,
    "template": tuple(TEMPLATES),
}
"""Factor -> all its values."""

PAIRS = tuple(combinations(LEVELS, 2))
COLUMNS = ("factor", "value", "images", "even_share")


class Balance:
    """Counts of each factor's values and of each pair's cells; as small for millions of images.

    Attributes:
        n: images counted.
        counts: factor -> value -> images.
        cells: (factor, factor) -> (value, value) -> images.
    """

    def __init__(self) -> None:
        self.n = 0
        self.counts: dict[str, Counter[Any]] = {name: Counter() for name in LEVELS}
        self.cells: dict[tuple[str, str], Counter[Any]] = {pair: Counter() for pair in PAIRS}

    def add(self, sidecar: Mapping[str, Any]) -> None:
        """Count the sidecar of one image."""
        values = {name: sidecar.get(f"prompted_{name}") for name in LEVELS}
        values |= {name: value for name, value in sidecar["generation"].items() if name in LEVELS}
        for name, value in values.items():
            self.counts[name][value] += 1
        for one, other in PAIRS:
            self.cells[one, other][values[one], values[other]] += 1
        self.n += 1

    def spread(self, *factors: str) -> tuple[int, int]:
        """Fewest and most images on a value of one factor, or on a cell of two."""
        if len(factors) == 1:
            counts = [self.counts[factors[0]][value] for value in LEVELS[factors[0]]]
        else:
            one, other = factors
            cells = self.cells[one, other]
            counts = [cells[a, b] for a in LEVELS[one] for b in LEVELS[other]]
        return min(counts), max(counts)


def write_table(balance: Balance, path: Path) -> None:
    """Write the counts as CSV: a row a value, then for each pair of factors its fewest and its most
    images on a cell.

    Columns are COLUMNS; `even_share` is what an even spread would give, a fraction of an image
    included.
    """
    rows: list[tuple[Any, ...]] = [COLUMNS]
    for name, values in LEVELS.items():
        even = round(balance.n / len(values), 4)
        rows += [(name, value, balance.counts[name][value], even) for value in values]
    for one, other in PAIRS:
        even = round(balance.n / (len(LEVELS[one]) * len(LEVELS[other])), 4)
        low, high = balance.spread(one, other)
        rows += [
            (f"{one} x {other}", "fewest", low, even),
            (f"{one} x {other}", "most", high, even),
        ]
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    outputs.write_text(path, text.getvalue())


def draw_balance(balance: Balance, path: Path) -> None:
    """Draw the counts as PDF; the same counts give the same bytes."""
    import matplotlib

    with matplotlib.rc_context({"axes.spines.top": False, "axes.spines.right": False}):
        figure = balance_figure(balance)
        figure.savefig(path, format="pdf", metadata={"CreationDate": None, "Producer": None})


def balance_figure(balance: Balance) -> Figure:
    """One panel a factor with a bar a value, and one with the spread of each pair's cells.

    Factors that have the same value everywhere are named above the panels instead.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 9.5), layout="constrained")
    grid = figure.add_gridspec(1, 3, width_ratios=[1, 1.05, 1.15])
    _bars(figure.add_subplot(grid[0]), "emotion", balance)
    middle = grid[1].subgridspec(2, 1, height_ratios=[14, 7])
    _bars(figure.add_subplot(middle[0]), "ethnicity", balance)
    _bars(figure.add_subplot(middle[1]), "age", balance)
    fixed = [name for name in LEVELS if balance.n > 1 and len(balance.counts[name]) == 1]
    small = [name for name in ("gender", "intensity", "style", "template") if name not in fixed]
    right = grid[2].subgridspec(len(small) + 1, 1, height_ratios=[3] * len(small) + [13])
    for place, name in enumerate(small):
        _bars(figure.add_subplot(right[place]), name, balance)
    pairs = [pair for pair in PAIRS if not set(pair) & set(fixed)]
    _pairs(figure.add_subplot(right[len(small)]), balance, pairs)
    same = "".join(f" All are of one {name}." for name in fixed)
    figure.suptitle(
        f"What the prompts of {balance.n:,} images ask for; the line is an even share.{same}\n"
        "Values are parameters of prompts, not observations of faces.",
        x=0.01, ha="left", fontsize=11,
    )  # fmt: skip
    return figure


def _bars(axes: Axes, name: str, balance: Balance) -> None:
    values = LEVELS[name]
    counts = [balance.counts[name][value] for value in values]
    axes.barh(range(len(values)), counts, color="#0072B2", height=0.7)
    axes.axvline(balance.n / len(values), color="#E69F00", linewidth=1.5)
    labels = [str(value) for value in values]
    axes.set_yticks(range(len(values)), labels, fontsize=7)
    axes.set_ylim(len(values) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=7)
    low, high = balance.spread(name)
    axes.set_title(f"{name}: {low} to {high} images", fontsize=9, loc="left")


def _pairs(axes: Axes, balance: Balance, pairs: Sequence[tuple[str, str]]) -> None:
    """Fewest to most images on a cell, as a multiple of an even share."""
    for row, pair in enumerate(pairs):
        even = balance.n / (len(LEVELS[pair[0]]) * len(LEVELS[pair[1]]))
        low, high = (count / even for count in balance.spread(*pair))
        axes.plot([low, high], [row, row], color="#0072B2", linewidth=2.5, solid_capstyle="butt")
        axes.plot([low, high], [row, row], "|", color="#0072B2", markersize=7)
    axes.axvline(1, color="#E69F00", linewidth=1.5, zorder=0)
    axes.set_yticks(range(len(pairs)), [" x ".join(pair) for pair in pairs], fontsize=7)
    axes.set_ylim(len(pairs) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=7)
    axes.set_title("cells of pairs: fewest to most / even share", fontsize=9, loc="left")
