"""Figure of the slices: how a model's agreement differs by what the prompts asked for."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from eval_metrics.figure_style import MEMBERS, is_baseline, legend_below, title
from eval_metrics.protocols import Statistics
from eval_metrics.slices import ANCHOR, MIN_IMAGES, Slice, Slices

MAX_MODELS = 4
"""Models in the figure, best first; the table has all."""
_APART, _REACH = 0.3, 0.68
"""Marks of a row, whose distance from the next row is 1: how far apart at most, and altogether."""


def slice_figure(statistics: Statistics, slices: Slices, level: float) -> Figure:
    """Column `difference` of the table of slices, for people and the best models.

    It is kappa less the mean of random slices of the same size. Of the attributes that divide the
    images (`divided`), at least one is needed. One panel an attribute, one row a slice, with
    intervals; a filled marker where the difference is significant over all slices of the annotator.
    """
    best, n_models = _best(statistics)
    chosen = [ANCHOR, *best]
    attributes = divided(slices)
    values = {a: list(dict.fromkeys(s.value for s in slices.slices if s.attribute == a))
              for a in attributes}  # fmt: skip
    longest = max(attributes, key=lambda attribute: len(values[attribute]))
    others = [attribute for attribute in attributes if attribute != longest]
    rows = max(len(values[longest]), sum(len(values[a]) for a in others) + len(others))
    size = (13.5 if others else 8.5), (0.12 + 0.075 * len(chosen)) * rows + 2.4
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.add_gridspec(1, 1 + bool(others))
    panels = {longest: figure.add_subplot(grid[0])}
    if others:
        ratios = [len(values[attribute]) + 0.5 for attribute in others]
        for place, attribute in zip(
            grid[1].subgridspec(len(others), 1, height_ratios=ratios), others, strict=True
        ):
            panels[attribute] = figure.add_subplot(place, sharex=panels[longest])
    for attribute, axes in panels.items():
        found = {(s.annotator, s.value): s for s in slices.slices if s.attribute == attribute}
        _panel(axes, statistics, found, values[attribute], chosen)
        axes.set_title(f"prompted {attribute}" if attribute != "generator" else attribute,
                       fontsize=10)  # fmt: skip
    for attribute in (longest, *others[-1:]):
        panels[attribute].set_xlabel(
            f"difference: weighted kappa less that of\nrandom slices as large, {level:.0%} interval"
        )
    panels[longest].xaxis.set_major_locator(MaxNLocator(5))  # shared by the other panels
    legend_below(panels[longest], min(3, len(chosen)))
    note = "filled: adjusted p below .05"
    if len(best) < n_models:
        note += f"; the {len(best)} best of {n_models} models"
    text = "Agreement by what the prompts asked for (never observed)"
    figure.suptitle(title(text, statistics, note), x=0.01, ha="left", fontsize=11)
    return figure


def divided(slices: Slices) -> list[str]:
    """The attributes with two values or more."""
    values: dict[str, set[str]] = {}
    for one in slices.slices:
        values.setdefault(one.attribute, set()).add(one.value)
    return [attribute for attribute, found in values.items() if len(found) > 1]


def _best(statistics: Statistics) -> tuple[list[int], int]:
    """The best models, baselines aside, and how many models there are."""
    means = statistics.agreement_means
    models = [m for m in statistics.panel.models.tolist() if not is_baseline(statistics, m)]
    models.sort(key=lambda model: -np.nan_to_num(means[model].value, nan=-2.0))
    return models[:MAX_MODELS], len(models)


def _panel(
    axes: Axes,
    statistics: Statistics,
    found: dict[tuple[int, str], Slice],
    values: list[str],
    chosen: list[int],
) -> None:
    step = min(_APART, _REACH / max(1, len(chosen) - 1))
    for number, annotator in enumerate(chosen):
        colour, marker, _ = MEMBERS[number] if annotator != ANCHOR else ("#6A6A6A", "o", "-")
        name = "raters with each other"
        if annotator != ANCHOR:
            name = statistics.panel.annotators[annotator]
        shift = step * ((len(chosen) - 1) / 2 - number)
        axes.plot([], [], marker, color=colour, markerfacecolor="white", label=name)
        for place, value in enumerate(reversed(values)):
            one = found[annotator, value]
            if np.isnan(one.difference):
                continue
            fill = colour if one.p_adjusted < 0.05 else "white"
            axes.plot(one.interval, [place + shift] * 2, color=colour, linewidth=1.1)
            axes.plot(one.difference, place + shift, marker, color=colour, markerfacecolor=fill,
                      markersize=5)  # fmt: skip
    names = [_row_name(found, value, chosen) for value in reversed(values)]
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.axvline(0, color="#777777", linewidth=0.8, zorder=0)
    axes.grid(axis="y", color="#F0F0F0", zorder=0)


def _row_name(found: dict[tuple[int, str], Slice], value: str, chosen: list[int]) -> str:
    n = max(found[annotator, value].n_images for annotator in chosen)
    return f"{value} (n = {n}{', too few' if n < MIN_IMAGES else ''})"
