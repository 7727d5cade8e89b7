"""Line graphs over the categories: people with people, and models with people.

Categories stand in falling order of the raters' own agreement, which both show: its range over the
raters as a grey band, its mean as a black line on top.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from emonet_face.taxonomy import EMOTIONS
from eval_metrics.emonet_face_agreement.agreement import nan_mean
from eval_metrics.figure_style import MEMBERS, short_name, title
from eval_metrics.groups import figure_name
from eval_metrics.protocols import Floats, Statistics, people_pairs

RANGE, MEAN = "raters: range", "raters: mean"
"""Entries of the legends."""


def human_human_lines(statistics: Statistics) -> Figure:
    """Every rater's mean kappa with the other raters, on each category."""
    people = statistics.panel.humans.tolist()
    order, figure, (axes,) = _frame(statistics, 1, height=3.4)
    _lines(axes, statistics, people, order, width=0.7)
    axes.set_title(title("Agreement of raters with each other, per category", statistics))
    return figure


def model_human_lines(statistics: Statistics) -> Figure:
    """Every model's mean kappa with the raters on each category, one panel for each group."""
    people = set(statistics.panel.humans.tolist())
    groups = {name: who for name, who in statistics.groups.items() if not people & set(who)}
    order, figure, panels = _frame(statistics, len(groups), height=1.8)
    for axes, (name, models) in zip(panels, groups.items(), strict=True):
        _lines(axes, statistics, models, order, width=1.2)
        axes.set_title(figure_name(name), fontsize=10)
    text = title("Agreement of models with human raters, per category", statistics)
    figure.suptitle(text, x=0.01, ha="left", fontsize=11)
    return figure


def _frame(
    statistics: Statistics, n: int, height: float
) -> tuple[NDArray[np.intp], Figure, list[Axes]]:
    """The order of the categories, and n empty panels above their names."""
    between = nan_mean(statistics.pair_kappa[people_pairs(statistics.panel.humans)], axis=0)
    order = np.argsort(-np.nan_to_num(between, nan=-2.0), kind="stable")
    figure = Figure(figsize=(12.5, 1.7 + height * n), layout="constrained")
    panels = list(figure.subplots(n, 1, sharex=True, sharey=True, squeeze=False)[:, 0])
    for axes in panels:
        _band(axes, statistics, order)
        axes.axhline(0, color="#777777", linewidth=0.8, zorder=0)
        axes.grid(axis="x", color="#EEEEEE", linewidth=0.7, zorder=0)
        axes.set_ylabel("weighted kappa")
    panels[-1].set_xticks(range(len(order)), [short_name(EMOTIONS[emotion]) for emotion in order],
                          rotation=60, ha="right", rotation_mode="anchor", fontsize=8)  # fmt: skip
    panels[-1].set_xlim(-0.6, len(order) - 0.4)
    return order, figure, panels


def _band(axes: Axes, statistics: Statistics, order: NDArray[np.intp]) -> None:
    people = statistics.agreement[statistics.panel.humans][:, order]
    defined = ~np.isnan(people).all(axis=0)
    low, high = np.full(len(order), np.nan), np.full(len(order), np.nan)
    low[defined], high[defined] = (
        function(people[:, defined], axis=0) for function in (np.nanmin, np.nanmax)
    )
    places = np.arange(len(order))
    axes.fill_between(places, low, high, color="#D9D9D9", linewidth=0, zorder=1, label=RANGE)
    axes.plot(places, nan_mean(people, axis=0), color="black", linewidth=2.2, zorder=4, label=MEAN)


def _lines(
    axes: Axes,
    statistics: Statistics,
    annotators: list[int],
    order: NDArray[np.intp],
    width: float,
) -> None:
    for number, annotator in enumerate(annotators):
        colour, marker, dashes = MEMBERS[number % len(MEMBERS)]
        values: Floats = statistics.agreement[annotator][order]
        axes.plot(range(len(order)), values, color=colour, marker=marker, linestyle=dashes,
                  markersize=3.5, linewidth=width, zorder=3,
                  label=statistics.panel.annotators[annotator])  # fmt: skip
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)
