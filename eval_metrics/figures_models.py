"""Figures of models: correlation with people (the paper's Figure 4), and what limits it."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.textpath import TextPath

from emonet_face.taxonomy import EMOTIONS
from eval_metrics.emonet_face_agreement.agreement import nan_mean
from eval_metrics.figure_style import (
    EDGE,
    STYLE,
    group,
    heat,
    is_baseline,
    legend_below,
    model_names,
    patch,
    short_name,
    title,
)
from eval_metrics.figures_reliability import TIER_STYLE, tier_label
from eval_metrics.groups import figure_name
from eval_metrics.protocols import TIERS, Floats, Statistics, tier_of

_NAME = 7
"""Size of the letters that name a point."""


def spearman_bars(statistics: Statistics, level: float) -> Figure:
    """Mean correlation of each model with the raters' median, with its interval."""
    means = statistics.spearman["median"].means
    order = sorted(means, key=lambda model: np.nan_to_num(means[model].value, nan=-2.0))
    figure = Figure(figsize=(8.5, 0.36 * len(order) + 2.2), layout="constrained")
    axes = figure.add_subplot()
    for place, model in enumerate(order):
        value, (low, high) = means[model].value, means[model].interval
        if np.isnan(value):
            axes.text(0.003, place, "undefined", va="center", fontsize=8)
            continue
        style = STYLE[group(statistics, model)]
        axes.barh(place, value, height=0.68, color=style.colour, hatch=style.hatch, edgecolor=EDGE)
        axes.plot([low, high], [place, place], color="black", linewidth=1.4)
        axes.plot([low, high], [place, place], "|", color="black", markersize=7)
        axes.annotate(f"{value:.3f}", (np.nanmax([value, high, 0]), place), (5, 0),
                      textcoords="offset points", va="center", fontsize=8)  # fmt: skip
    axes.set_yticks(range(len(order)), [statistics.panel.annotators[model] for model in order])
    axes.axvline(0, color="#777777", linewidth=0.8)
    axes.set_ylim(-0.6, len(order) - 0.4)
    axes.margins(x=0.1)
    shown = dict.fromkeys(
        group(statistics, model) for model in reversed(order) if not np.isnan(means[model].value)
    )
    handles = [patch(STYLE[name].colour, STYLE[name].hatch, figure_name(name)) for name in shown]
    legend_below(axes, handles=handles)
    axes.set_xlabel(f"mean Spearman correlation over categories, {level:.0%} interval")
    axes.set_title(title("Correlation of models with the raters' median", statistics))
    return figure


def spearman_per_emotion(statistics: Statistics) -> Figure:
    """Correlation of each model on each category, best category on top, best model at the left."""
    found = statistics.spearman["median"]
    models = sorted(found.means, key=lambda m: -np.nan_to_num(found.means[m].value, nan=-2.0))
    ranked = [model for model in models if not is_baseline(statistics, model)]
    rho = found.rho
    order = np.argsort(-np.nan_to_num(nan_mean(rho[ranked or models], axis=0), nan=-2.0))
    figure = Figure(figsize=(5.0 + 0.5 * len(models), 10.5), layout="constrained")
    axes = figure.add_subplot()
    heat(axes, rho[models][:, order].T, "Spearman correlation")
    axes.set_yticks(range(len(EMOTIONS)), [EMOTIONS[emotion] for emotion in order], fontsize=8)
    model_names(axes, [statistics.panel.annotators[model] for model in models])
    text = "Correlation with the raters' median, per category"
    figure.suptitle(title(text, statistics), x=0.01, ha="left", fontsize=11)
    return figure


def best_model(statistics: Statistics) -> int:
    """The model with the highest mean kappa with people; a baseline only where there is no other.

    Raises:
        ValueError: the panel has no model.
    """
    models = statistics.panel.models.tolist()
    if not models:
        raise ValueError("the panel has no model")
    ranked = [model for model in models if not is_baseline(statistics, model)]
    mean = {m: np.nan_to_num(statistics.agreement_means[m].value, nan=-2.0) for m in models}
    return max(ranked or models, key=mean.__getitem__)


def reliability_and_performance(statistics: Statistics) -> Figure:
    """Per category, how far raters agree against how well the best model agrees with them."""
    model = best_model(statistics)
    x, y = statistics.alpha, statistics.agreement[model]
    figure = Figure(figsize=(9.5, 7.5), layout="constrained")
    axes = figure.add_subplot()
    defined = np.flatnonzero(~(np.isnan(x) | np.isnan(y)))
    for emotion in defined:
        colour, _, marker = TIER_STYLE[tier_of(x[emotion]) or "low"]
        axes.plot(x[emotion], y[emotion], marker, color=colour, markeredgecolor=EDGE, markersize=7,
                  zorder=3)  # fmt: skip
    axes.axhline(0, color="#AAAAAA", linewidth=0.8, zorder=0)
    axes.axvline(0, color="#AAAAAA", linewidth=0.8, zorder=0)
    axes.margins(0.09)
    axes.set_xlabel("Krippendorff's alpha of the raters (reliability)")
    axes.set_ylabel(f"weighted kappa of {statistics.panel.annotators[model]} with the raters")
    handles = [
        Line2D([], [], linestyle="", marker=TIER_STYLE[name][2], color=TIER_STYLE[name][0],
               markeredgecolor=EDGE, label=tier_label(name))
        for name, _ in TIERS
    ]  # fmt: skip
    legend_below(axes, handles=handles, title="reliability")
    left_out = len(EMOTIONS) - len(defined)
    words = "category" if left_out == 1 else "categories"
    note = f"{left_out} {words} undefined on one side" if left_out else ""
    text = "Reliability of the ratings and agreement of the best model, per category"
    axes.set_title(title(text, statistics, note))
    _label(axes, x, y, defined.tolist())
    return figure


def _label(axes: Axes, x: Floats, y: Floats, chosen: list[int]) -> None:
    """Name the points, each at the first of some places around it where nothing stands yet.

    Places are offsets in points (1/72 inch), so that they hold at any resolution. A white outline
    keeps names legible where a line of the axes runs behind them.
    """
    axes.figure.draw_without_rendering()  # limits and sizes are settled from here on
    pixels = axes.transData.transform(np.column_stack([x[chosen], y[chosen]]))
    points = pixels * 72 / axes.figure.dpi
    panel = axes.bbox.extents * 72 / axes.figure.dpi
    taken = [(px - 4, py - 4, px + 4, py + 4) for px, py in points]
    for emotion, (px, py) in zip(chosen, points, strict=True):
        name = short_name(EMOTIONS[emotion])
        width, height = TextPath((0, 0), name, size=_NAME).get_extents().width + 3, 8.0
        spots = [
            (dx if dx > 0 else dx - width, dy - height / 2)
            for reach in range(6, 90, 7)
            for dx, dy in ((reach, 0), (-reach, 0), (reach, reach), (-reach, reach),
                           (reach, -reach), (-reach, -reach))
        ]  # fmt: skip
        boxes = [(px + dx, py + dy, px + dx + width, py + dy + height) for dx, dy in spots]
        free = [
            place
            for place, box in enumerate(boxes)
            if _within(box, panel) and not _meets(box, taken)
        ]
        place = free[0] if free else 0
        taken.append(boxes[place])
        left, low = spots[place]
        far = place >= 6  # beyond the first places a line leads to the point
        lead = {"arrowstyle": "-", "color": "#999999", "linewidth": 0.5, "shrinkB": 3}
        axes.annotate(name, (x[emotion], y[emotion]), (left if left > 0 else left + width, low),
                      textcoords="offset points", ha="left" if left > 0 else "right", va="bottom",
                      fontsize=_NAME, in_layout=False, arrowprops=lead if far else None,
                      path_effects=[withStroke(linewidth=2.5, foreground="white")])  # fmt: skip


def _within(box: tuple[float, ...], panel: Floats) -> bool:
    left, low, right, high = box
    return panel[0] < left and panel[1] < low and right < panel[2] and high < panel[3]


def _meets(box: tuple[float, ...], taken: list[tuple[float, ...]]) -> bool:
    left, low, right, high = box
    return any(left < r and a < right and low < h and b < high for a, b, r, h in taken)
