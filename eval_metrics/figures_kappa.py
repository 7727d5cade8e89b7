"""Figures of weighted kappa: by group (the paper's Figure 3), and of every two annotators."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eval_metrics.emonet_face_agreement.agreement import nan_mean
from eval_metrics.figure_style import EDGE, STYLE, group, heat, model_names, short, title
from eval_metrics.groups import figure_name
from eval_metrics.protocols import Floats, Statistics, people_pairs

_BOXES = "box: middle half of the values, bar: median, whiskers: up to 1.5 box lengths"


def agreement_by_group(statistics: Statistics) -> Figure:
    """Box plots of kappas: A every rater with the others, B every group with the raters."""
    panel, kappa = statistics.panel, statistics.pair_kappa
    people = panel.humans
    pairs = kappa[people_pairs(people)]
    own = [("all pairs of raters", pairs, group(statistics, people[0]))]
    own += [(panel.annotators[p], kappa[p, people], group(statistics, p)) for p in people]
    groups = [(figure_name(name), statistics.agreement[who], name)
              for name, who in statistics.groups.items()]  # fmt: skip

    rows = len(own), len(groups)
    figure = Figure(figsize=(8.5, 0.36 * sum(rows) + 2.2), layout="constrained")
    top, below = figure.subplots(2, 1, sharex=True, height_ratios=[n + 0.6 for n in rows])
    _boxes(top, own)
    _boxes(below, groups)
    top.set_title("A  Raters with each other: one value per pair of raters and category")
    below.set_title("B  Groups with the raters: one value per annotator and category")
    below.set_xlabel("quadratic weighted kappa (0: no more than chance, 1: identical)")
    text = title("Agreement with human raters", statistics, _BOXES)
    figure.suptitle(text, x=0.01, ha="left", fontsize=11)
    return figure


def _boxes(axes: Axes, entries: list[tuple[str, Floats, str]]) -> None:
    """Horizontal boxes from top to bottom with median and n at the right."""
    values = [entry[~np.isnan(entry)] for _, entry, _ in entries]
    places = range(len(entries), 0, -1)
    parts = axes.boxplot(
        values,
        positions=list(places),
        orientation="horizontal",
        widths=0.62,
        patch_artist=True,
        medianprops={"color": "black", "linewidth": 1.8},
        flierprops={"marker": ".", "markersize": 4, "markerfacecolor": "#777777",
                    "markeredgecolor": "none"},
    )  # fmt: skip
    for box, (_, _, name) in zip(parts["boxes"], entries, strict=True):
        box.set(facecolor=STYLE[name].colour, hatch=STYLE[name].hatch, edgecolor=EDGE)
    axes.set_yticks(list(places), [name for name, _, _ in entries])
    axes.axvline(0, color="#777777", linewidth=0.8, zorder=0)
    for place, row in zip(places, values, strict=True):
        text = f"median {short(np.median(row))}, n = {len(row)}" if len(row) else "undefined"
        axes.text(1.01, place, text, transform=axes.get_yaxis_transform(), va="center", fontsize=8)


def pairwise_kappa(statistics: Statistics) -> Figure:
    """Kappa of every two annotators, mean over categories, people first."""
    order = [position for positions in statistics.groups.values() for position in positions]
    names = [statistics.panel.annotators[position] for position in order]
    size = 0.4 * len(names) + 3.2
    figure = Figure(figsize=(size + 1.0, size), layout="constrained")
    axes = figure.add_subplot()
    kappa = nan_mean(statistics.pair_kappa)[np.ix_(order, order)]
    heat(axes, kappa, "quadratic weighted kappa, mean over categories", blank=np.eye(len(kappa)))
    axes.set_yticks(range(len(names)), names, fontsize=8)
    model_names(axes, names)
    border = len(statistics.panel.humans) - 0.5
    if border < len(names) - 1:
        axes.axhline(border, color="black", linewidth=1)
        axes.axvline(border, color="black", linewidth=1)
    text = "Agreement of every two annotators, raters first"
    figure.suptitle(title(text, statistics), x=0.01, ha="left", fontsize=11)
    return figure
