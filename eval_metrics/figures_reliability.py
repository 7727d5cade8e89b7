"""Figure of how far the raters agree on each category: Krippendorff's alpha and its tiers."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from emonet_face.taxonomy import EMOTIONS
from eval_metrics.figure_style import EDGE, legend_below, patch, title
from eval_metrics.protocols import TIERS, Statistics, tier_of

TIER_STYLE = {
    "high": ("#0072B2", "", "o"),
    "moderate": ("#56B4E9", "//", "^"),
    "low": ("#E8E8E8", "..", "s"),
}
"""Fill, hatch and marker of a reliability tier."""


def krippendorff_alpha(statistics: Statistics, level: float) -> Figure:
    """How far the raters agree on each category, most on top, in reliability tiers."""
    alpha = statistics.alpha
    order = np.argsort(np.nan_to_num(alpha, nan=-2.0))
    figure = Figure(figsize=(8.5, 9.5), layout="constrained")
    axes = figure.add_subplot()
    for place, emotion in enumerate(order):
        tier = tier_of(alpha[emotion])
        if tier is None:
            axes.text(0.005, place, "undefined: no rating differs", va="center", fontsize=7)
            continue
        colour, hatch, _ = TIER_STYLE[tier]
        axes.barh(place, alpha[emotion], color=colour, hatch=hatch, edgecolor=EDGE, height=0.7)
        axes.plot(statistics.alpha_intervals[emotion], [place] * 2, color="black", linewidth=1.3)
    for _, least in TIERS[:-1]:
        axes.axvline(least, color="#777777", linewidth=0.9, linestyle="--", zorder=0)
    axes.axvline(0, color=EDGE, linewidth=0.8)
    axes.set_yticks(range(len(order)), [EMOTIONS[emotion] for emotion in order], fontsize=8)
    axes.set_ylim(-0.7, len(order) - 0.3)
    handles = [patch(*TIER_STYLE[name][:2], tier_label(name)) for name, _ in TIERS]
    legend_below(axes, handles=handles, title="reliability")
    axes.set_xlabel(f"Krippendorff's alpha (interval), {level:.0%} interval over images")
    axes.set_title(title("How far the raters agree on each category", statistics))
    return figure


def tier_label(name: str) -> str:
    """A tier with its lowest alpha."""
    least = dict(TIERS)[name]
    return f"{name}: alpha {least:g} or more" if np.isfinite(least) else f"{name}: less"
