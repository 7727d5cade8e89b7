"""The benchmark's figures, one function each: statistics in, a matplotlib figure out.

Colours are those of Okabe and Ito, told apart by colour-blind readers; hatches (or printed numbers)
say the same once more, so that the figures can be read in grey.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from emonet_face.progress import track
from emonet_face.taxonomy import EMOTIONS
from eval_metrics.emonet_face_agreement.agreement import nan_mean
from eval_metrics.groups import group_of
from eval_metrics.protocols import TIERS, Floats, Statistics, people_pairs, tier_of

NOTICE = "simulated raters on schematic faces - a demonstration"

_UNDEFINED = "#D0D0D0"
_BOXES = "box: middle half of the values, bar: median, whiskers: up to 1.5 box lengths"

_STYLE = {
    "Humans": ("#999999", ""),
    "Simulated Humans": ("#C8C8C8", ".."),
    "Our Models": ("#0072B2", ""),
    "Proprietary Models": ("#009E73", "\\\\"),
    "VLMs Multi-Shot": ("#E69F00", "//"),
    "VLMs Zero-Shot": ("#F0E442", "xx"),
    "Simulated Models": ("#56B4E9", "oo"),
    "Other Models": ("#CC79A7", "++"),
    "Random Baseline": ("#FFFFFF", ".."),
    "Other Baselines": ("#FFFFFF", "--"),
}
_TIER_STYLE = {"high": ("#0072B2", ""), "moderate": ("#56B4E9", "//"), "low": ("#E8E8E8", "..")}
_SETTINGS = {
    "hatch.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "legend.frameon": False,
}


def draw(statistics: Statistics, folder: Path, level: float) -> None:
    """Draw every figure that the statistics have data for, as PNG and PDF.

    Args:
        statistics: of one protocol; its name ends the file names.
        folder: where `<figure>_<protocol>.png` and `.pdf` go; made if need be.
        level: confidence level of the intervals, for the captions.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(_SETTINGS):
        drawn = figures_of(statistics, level)
        for name, figure in track(drawn, f"Drawing, {statistics.protocol}"):
            path = folder / f"{name}_{statistics.protocol}"
            figure.savefig(path.with_suffix(".png"), dpi=150, metadata={"Software": None})
            figure.set_layout_engine("none")  # found once, good for both
            figure.savefig(path.with_suffix(".pdf"), metadata={"CreationDate": None})


def figures_of(statistics: Statistics, level: float) -> Iterator[tuple[str, Figure]]:
    """The figures by name; those on correlations are left out where there is no model."""
    figures = {
        "agreement_by_group": lambda: agreement_by_group(statistics),
        "pairwise_kappa": lambda: pairwise_kappa(statistics),
        "krippendorff_alpha": lambda: krippendorff_alpha(statistics, level),
    }
    if len(statistics.panel.models):
        figures["spearman_median"] = lambda: spearman_bars(statistics, level)
        figures["spearman_per_emotion"] = lambda: spearman_per_emotion(statistics)
    for name, make in figures.items():
        figure = make()
        if _simulated(statistics):
            figure.supxlabel(NOTICE, fontsize=8.5, style="italic", x=0.01, ha="left")
        yield name, figure


def agreement_by_group(statistics: Statistics) -> Figure:
    """Box plots of kappas: A every rater with the others, B every group with the raters."""
    panel, kappa = statistics.panel, statistics.pair_kappa
    people = panel.humans
    pairs = kappa[people_pairs(people)]
    own = [("all pairs of raters", pairs, _group(statistics, people[0]))]
    own += [(panel.annotators[p], kappa[p, people], _group(statistics, p)) for p in people]
    groups = [(name, statistics.agreement[who], name) for name, who in statistics.groups.items()]

    rows = len(own), len(groups)
    figure = Figure(figsize=(8.5, 0.36 * sum(rows) + 2.2), layout="constrained")
    top, below = figure.subplots(2, 1, sharex=True, height_ratios=[n + 0.6 for n in rows])
    _boxes(top, own)
    _boxes(below, groups)
    top.set_title("A  Raters with each other: one value per pair of raters and category")
    below.set_title("B  Groups with the raters: one value per annotator and category")
    below.set_xlabel("quadratic weighted kappa (0: no more than chance, 1: identical)")
    title = _title("Agreement with human raters", statistics, _BOXES)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
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
    for box, (_, _, group) in zip(parts["boxes"], entries, strict=True):
        colour, hatch = _STYLE[group]
        box.set(facecolor=colour, hatch=hatch, edgecolor="#333333")
    axes.set_yticks(list(places), [name for name, _, _ in entries])
    axes.axvline(0, color="#777777", linewidth=0.8, zorder=0)
    for place, row in zip(places, values, strict=True):
        text = f"median {np.median(row):.2f}, n = {len(row)}" if len(row) else "undefined"
        axes.text(1.01, place, text, transform=axes.get_yaxis_transform(), va="center", fontsize=8)


def spearman_bars(statistics: Statistics, level: float) -> Figure:
    """Mean correlation of each model with the raters' median, with its interval."""
    means = statistics.spearman["median"].means
    order = sorted(means, key=lambda model: np.nan_to_num(means[model].value, nan=-2.0))
    figure = Figure(figsize=(8.5, 0.36 * len(order) + 1.9), layout="constrained")
    axes = figure.add_subplot()
    for place, model in enumerate(order):
        value, (low, high) = means[model].value, means[model].interval
        if np.isnan(value):
            axes.text(0.003, place, "undefined: constant scores", va="center", fontsize=8)
            continue
        colour, hatch = _STYLE[_group(statistics, model)]
        axes.barh(place, value, height=0.68, color=colour, hatch=hatch, edgecolor="#333333")
        axes.plot([low, high], [place, place], color="black", linewidth=1.4)
        axes.plot([low, high], [place, place], "|", color="black", markersize=7)
        axes.annotate(f"{value:.3f}", (np.nanmax([value, high, 0]), place), (5, 0),
                      textcoords="offset points", va="center", fontsize=8)  # fmt: skip
    axes.set_yticks(range(len(order)), [statistics.panel.annotators[model] for model in order])
    axes.axvline(0, color="#777777", linewidth=0.8)
    axes.set_ylim(-0.6, len(order) - 0.4)
    axes.margins(x=0.1)
    shown = list(dict.fromkeys(_group(statistics, model) for model in reversed(order)))
    axes.legend(handles=[_patch(_STYLE[name], name) for name in shown], loc="lower right")
    axes.set_xlabel(f"mean Spearman correlation over categories, {level:.0%} interval")
    axes.set_title(_title("Correlation of models with the raters' median", statistics))
    return figure


def spearman_per_emotion(statistics: Statistics) -> Figure:
    """Correlation of each model on each category, best category on top, best model at the left."""
    found = statistics.spearman["median"]
    models = sorted(found.means, key=lambda m: -np.nan_to_num(found.means[m].value, nan=-2.0))
    ranked = [m for m in models if not _group(statistics, m).endswith(("Baseline", "Baselines"))]
    rho = found.rho
    order = np.argsort(-np.nan_to_num(nan_mean(rho[ranked or models], axis=0), nan=-2.0))
    figure = Figure(figsize=(5.0 + 0.5 * len(models), 10.5), layout="constrained")
    axes = figure.add_subplot()
    _heat(axes, rho[models][:, order].T, "Spearman correlation")
    axes.set_yticks(range(len(EMOTIONS)), [EMOTIONS[emotion] for emotion in order], fontsize=8)
    _model_names(axes, [statistics.panel.annotators[model] for model in models])
    text = "Correlation with the raters' median, per category"
    figure.suptitle(_title(text, statistics), x=0.01, ha="left", fontsize=11)
    return figure


def pairwise_kappa(statistics: Statistics) -> Figure:
    """Kappa of every two annotators, mean over categories, people first."""
    order = [position for positions in statistics.groups.values() for position in positions]
    names = [statistics.panel.annotators[position] for position in order]
    size = 0.4 * len(names) + 3.2
    figure = Figure(figsize=(size + 1.0, size), layout="constrained")
    axes = figure.add_subplot()
    kappa = nan_mean(statistics.pair_kappa)[np.ix_(order, order)]
    _heat(axes, kappa, "quadratic weighted kappa, mean over categories")
    axes.set_yticks(range(len(names)), names, fontsize=8)
    _model_names(axes, names)
    border = len(statistics.panel.humans) - 0.5
    if border < len(names) - 1:
        axes.axhline(border, color="black", linewidth=1)
        axes.axvline(border, color="black", linewidth=1)
    text = "Agreement of every two annotators, raters first"
    figure.suptitle(_title(text, statistics), x=0.01, ha="left", fontsize=11)
    return figure


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
        colour, hatch = _TIER_STYLE[tier]
        axes.barh(place, alpha[emotion], color=colour, hatch=hatch, edgecolor="#333333", height=0.7)
        axes.plot(statistics.alpha_intervals[emotion], [place] * 2, color="black", linewidth=1.3)
    for _, least in TIERS[:-1]:
        axes.axvline(least, color="#777777", linewidth=0.9, linestyle="--", zorder=0)
    axes.axvline(0, color="#333333", linewidth=0.8)
    axes.set_yticks(range(len(order)), [EMOTIONS[emotion] for emotion in order], fontsize=8)
    axes.set_ylim(-0.7, len(order) - 0.3)
    axes.legend(handles=[_patch(_TIER_STYLE[name], _tier_label(name)) for name, _ in TIERS],
                title="reliability", loc="lower right")  # fmt: skip
    axes.set_xlabel(f"Krippendorff's alpha (interval), {level:.0%} interval over images")
    axes.set_title(_title("How far the raters agree on each category", statistics))
    return figure


def _tier_label(name: str) -> str:
    least = dict(TIERS)[name]
    return f"{name}: alpha {least:g} or more" if np.isfinite(least) else f"{name}: less"


def _heat(axes: Axes, values: Floats, label: str) -> None:
    """A heat map from light to dark with the numbers in it; an undefined cell is grey and crossed.

    Values below 0 have the colour of 0: the number tells them apart.
    """
    high = max(0.1, np.ceil(10 * np.nanmax(values, initial=0.0)) / 10)
    colours = matplotlib.colormaps["YlGnBu"].with_extremes(bad=_UNDEFINED)
    image = axes.imshow(values, cmap=colours, vmin=0, vmax=high, aspect="auto")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    for (row, column), value in np.ndenumerate(values):
        text = "×" if np.isnan(value) else f"{value:.2f}".replace("0.", ".").replace("-.00", ".00")
        axes.text(column, row, text, ha="center", va="center", fontsize=7, in_layout=False,
                  color="white" if value > 0.5 * high else "black")  # fmt: skip
    axes.figure.colorbar(image, ax=axes, shrink=0.6, pad=0.02, label=f"{label} (×: undefined)")


def _model_names(axes: Axes, names: list[str]) -> None:
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor",
                    fontsize=8)  # fmt: skip


def _group(statistics: Statistics, annotator: int) -> str:
    panel = statistics.panel
    return group_of(panel.annotators[annotator], bool(panel.human[annotator]))


def _patch(style: tuple[str, str], label: str) -> Patch:
    return Patch(facecolor=style[0], hatch=style[1], edgecolor="#333333", label=label)


def _simulated(statistics: Statistics) -> bool:
    """Whether any of the raters is a simulated one; models that are say so by name and group."""
    return "Simulated Humans" in statistics.groups


def _title(text: str, statistics: Statistics, note: str = "") -> str:
    """Title, protocol and a note; raters who are simulated are never called human."""
    if _simulated(statistics):
        text = text.replace("human raters", "simulated raters")
    return f"{text}\n{statistics.protocol} protocol{note and f' - {note}'}"
