"""What the benchmark's figures share: colours, hatches, markers, titles, heat maps.

Colours are those of Okabe and Ito (and one of Paul Tol's), told apart by colour-blind readers;
hatches, markers or printed numbers say the same once more, so that every figure can be read in
grey.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle

from eval_metrics.groups import group_of
from eval_metrics.protocols import Floats, Statistics

NOTICE = "simulated raters on schematic faces - a demonstration"
EDGE = "#333333"
UNDEFINED = "#D0D0D0"
_BELOW_TICKS, _LABEL_LINE = 3.4, 1.6
"""Distance of a legend below the axis, for the ticks and for each line of the label under them, in
sizes of the legend's letters."""
LEGIBLE = 30
"""Columns of a heat map up to which its cells have room for a number."""


class Style(NamedTuple):
    """How a group looks."""

    colour: str
    hatch: str


STYLE = {
    "Humans": Style("#999999", ""),
    "Simulated Humans": Style("#C8C8C8", ".."),
    "Our Models": Style("#0072B2", ""),
    "Proprietary Models": Style("#009E73", "\\\\"),
    "VLMs Multi-Shot": Style("#E69F00", "//"),
    "VLMs Zero-Shot": Style("#F0E442", "xx"),
    "Simulated Models": Style("#56B4E9", "oo"),
    "Other Models": Style("#CC79A7", "++"),
    "Random Baseline": Style("#FFFFFF", ".."),
    "Other Baselines": Style("#FFFFFF", "--"),
}
"""By group of `groups.GROUPS`."""

MEMBERS = (
    ("#0072B2", "o", "-"),
    ("#D55E00", "s", "--"),
    ("#009E73", "^", "-."),
    ("#CC79A7", "D", ":"),
    ("#882255", "v", (0, (5, 1))),
    ("#56B4E9", "P", (0, (3, 1, 1, 1))),
    ("#E69F00", "X", (0, (1, 1))),
    ("#7F7F7F", "*", (0, (7, 2, 1, 2))),
)
"""Colour, marker and dashes of the lines of one panel, in order; a ninth begins again. None is
black, which is the raters' mean."""

SETTINGS = {
    "hatch.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "legend.frameon": False,
}


def group(statistics: Statistics, annotator: int) -> str:
    """The group of an annotator of the panel."""
    panel = statistics.panel
    return group_of(panel.annotators[annotator], bool(panel.human[annotator]))


def is_baseline(statistics: Statistics, annotator: int) -> bool:
    """Whether an annotator of the panel is one of the trivial ones, told by its group."""
    return group(statistics, annotator) in ("Random Baseline", "Other Baselines")


def simulated(statistics: Statistics) -> bool:
    """Whether any of the raters is a simulated one; models that are say so by name and group."""
    return "Simulated Humans" in statistics.groups


def title(text: str, statistics: Statistics, note: str = "") -> str:
    """Title, protocol and a note; raters who are simulated are never called human."""
    if simulated(statistics):
        text = text.replace("human raters", "simulated raters")
    return f"{text}\n{statistics.protocol} protocol{note and f' - {note}'}"


def patch(colour: str, hatch: str, label: str) -> Patch:
    """A legend entry."""
    return Patch(facecolor=colour, hatch=hatch, edgecolor=EDGE, label=label)


def legend_below(axes: Axes, n_columns: int = 3, **options: Any) -> None:
    """A legend under the axis label, where it covers nothing that is drawn.

    Args:
        axes: their label is set already.
        n_columns: of its entries, at most.
        options: of `Axes.legend`, e.g. handles.
    """
    far = _BELOW_TICKS + _LABEL_LINE * (1 + axes.get_xlabel().count("\n"))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0), borderaxespad=far, fontsize=8,
                ncols=n_columns, **options)  # fmt: skip


def heat(axes: Axes, values: Floats, label: str, blank: Floats | None = None) -> None:
    """A heat map from light to dark; an undefined cell is grey and hatched.

    Numbers stand in the cells where there are no more than LEGIBLE columns. Values below 0 have
    the colour of 0, and the colour bar says so. Cells where `blank` is not 0 stay white: there is
    nothing to ask, as of an annotator with itself.
    """
    blank = np.zeros(values.shape) if blank is None else blank
    high = max(0.1, np.ceil(10 * np.nanmax(values, initial=0.0)) / 10)
    colours = matplotlib.colormaps["YlGnBu"].with_extremes(bad=UNDEFINED)
    image = axes.imshow(values, cmap=colours, vmin=0, vmax=high, aspect="auto")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    for (row, column), value in np.ndenumerate(values):
        if blank[row, column]:
            axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, color="white", linewidth=0))
        elif np.isnan(value):
            axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, hatch="////",
                                     edgecolor="#8A8A8A", linewidth=0))  # fmt: skip
        elif values.shape[1] <= LEGIBLE:
            colour = "white" if value > 0.5 * high else "black"
            axes.text(column, row, short(value), ha="center", va="center", fontsize=7,
                      in_layout=False, color=colour)  # fmt: skip
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.6, pad=0.02)
    if np.nanmin(values, initial=0.0) < 0:
        ticks = [tick for tick in bar.get_ticks() if 0 <= tick <= high + 1e-9]
        bar.set_ticks(ticks, labels=["≤ 0" if tick == 0 else f"{tick:g}" for tick in ticks])
    bar.set_label(f"{label} (hatched: undefined)")


def short_name(emotion: str) -> str:
    """The first word or words of a category, for where there is little room; no two are alike.

    >>> short_name("Hope/Enthusiasm/Optimism"), short_name("Impatience and Irritability")
    ('Hope', 'Impatience')
    """
    return emotion.split("/")[0].removesuffix(" and Irritability")


def short(value: float) -> str:
    """A number between -1 and 1 in two decimals without the leading 0.

    >>> short(0.256), short(-0.04), short(-0.001), short(1.0)
    ('.26', '-.04', '.00', '1.00')
    """
    text = f"{value:.2f}".replace("-0.00", "0.00")
    return text.replace("0.", ".", 1)


def model_names(axes: Axes, names: list[str]) -> None:
    """Names under the columns, slanted."""
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor",
                    fontsize=8)  # fmt: skip
