"""The figure of `emonet-face transfer`."""

from __future__ import annotations

from matplotlib.figure import Figure

from eval_metrics.mappings import ClassMapping
from eval_metrics.transfer import TransferSummary


def transfer_figure(summary: TransferSummary, target: str, mapping: ClassMapping) -> Figure:
    """Bars per class for the three rules, chance as a line for the two single answers.

    Args:
        target: the data set's name, for the title.
    """
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    axes = figure.add_subplot()
    styles = {
        "hit_rate": ("any mapped category above 0.0375 (published rule)", "#DDDDDD", "..."),
        "top1": ("most probable category", "#0072B2", None),
        "class_sum": ("largest summed class", "#E69F00", "///"),
    }
    for shift, (rule, (label, colour, hatch)) in enumerate(styles.items()):
        places = [index + 0.27 * (shift - 1) for index in range(len(summary.rows))]
        heights = [row[rule] for row in summary.rows]
        axes.bar(places, heights, width=0.25, label=label, color=colour, hatch=hatch,
                 edgecolor="#333333", linewidth=0.5)  # fmt: skip
    axes.axhline(1 / len(mapping.classes), color="black", linewidth=0.8, linestyle="--")
    names = [f"{row['class']}\nn = {row['n']}" for row in summary.rows]
    axes.set_xticks(range(len(names)), names, fontsize=8.5)
    axes.set_ylim(0, 1)
    axes.set_ylabel("share of images counted as right")
    unmapped = summary.coverage[-1]
    axes.set_title(
        f"{target} in {len(mapping.classes)} classes by {mapping.name} (dashed: chance of"
        f" a single answer)\n{40 - unmapped['n_categories']} of 40 categories mapped,"
        f" {unmapped['mean_mass']:.0%} of the probability unmapped",
        fontsize=10, loc="left",
    )  # fmt: skip
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.14))
    return figure
