"""One face as a distribution over categories instead of one label (the paper's Figure 5).

Which face: the one whose model distribution lies at the median distance from the people's over all
images, so neither a lucky hit nor a bad miss; of equals the first by name.
"""

from __future__ import annotations

from io import BytesIO
from textwrap import fill

import numpy as np
from matplotlib.figure import Figure

from emonet_face.taxonomy import EMOTIONS
from eval_metrics.figure_style import EDGE, STYLE, group
from eval_metrics.figures_models import best_model
from eval_metrics.protocols import Floats, Statistics, references

SHOWN = 12
"""Categories in the figure: those with the largest share of either side."""
_NOTE = (
    "compare the order of the bars, not their lengths: unlike the raters' shares a softmax leaves"
    " no category at 0, and it is nearly flat where scores lie close together, steep where not"
)


def typical_face(statistics: Statistics) -> tuple[str, int] | None:
    """Image and model for the figure: the best model, and its image at the median distance.

    Returns:
        None where the model has no image with all 40 scores that a person gave a rating above 0.
    """
    panel = statistics.panel
    model = best_model(statistics)
    people = references(panel, "mean")
    usable = ~np.isnan(panel.scores[model]).any(axis=1) & (np.nan_to_num(people) > 0).any(axis=1)
    places = np.flatnonzero(usable)
    if not len(places):
        return None
    distance = np.abs(softmax(panel.scores[model][places]) - shares(people[places])).sum(axis=1)
    order = np.argsort(distance, kind="stable")
    return panel.images[places[order[(len(order) - 1) // 2]]], model


def softmax(scores: Floats) -> Floats:
    """The distribution of a model over its 40 scores, rows of (n, 40), as `predict` gives it."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def shares(ratings: Floats) -> Floats:
    """Mean ratings as shares of their sum, rows of (n, 40)."""
    return ratings / ratings.sum(axis=-1, keepdims=True)


def one_face(
    statistics: Statistics, image: str, model: int, picture: bytes | None, category: str | None
) -> Figure:
    """What people rated and what the model says of one image, beside the image if it is at hand.

    Args:
        statistics: of any protocol: the figure holds ratings as they were given.
        image: its id.
        model: position in the panel.
        picture: bytes of an image file.
        category: the one that the image was asked to show.
    """
    panel = statistics.panel
    place = panel.images.index(image)
    people = shares(references(panel, "mean")[place])
    said = softmax(panel.scores[model][place])
    chosen = np.argsort(-np.maximum(people, said), kind="stable")[:SHOWN]
    chosen = chosen[np.argsort(people[chosen] + said[chosen], kind="stable")]
    figure = Figure(figsize=(9.5 if picture else 7.0, 5.2), layout="constrained")
    if picture is None:
        axes = figure.add_subplot()
    else:
        shown, axes = figure.subplots(1, 2, width_ratios=(1, 1.5))
        _show(shown, picture)
        shown.set_title(image, fontsize=8, loc="center", y=-0.07)
    n_people = int(panel.rated[panel.humans, place].sum())
    name = panel.annotators[model]
    bars = (
        (
            0.2,
            people,
            group(statistics, int(panel.humans[0])),
            f"{n_people} raters, mean ratings as shares of their sum",
        ),
        (-0.2, said, group(statistics, model), f"{name}, softmax of scores"),
    )
    for shift, values, style, label in bars:
        axes.barh(np.arange(len(chosen)) + shift, values[chosen], height=0.38, label=label,
                  color=STYLE[style].colour, hatch=STYLE[style].hatch, edgecolor=EDGE,
                  linewidth=0.6)  # fmt: skip
    axes.set_yticks(range(len(chosen)), [EMOTIONS[emotion] for emotion in chosen], fontsize=8)
    axes.set_xlabel(f"share of the distribution over the 40 categories, the {SHOWN} largest")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), fontsize=8)  # above: it covers no bar
    asked = image if category is None else f"a face prompted as {category}"
    note = fill(_NOTE, 105 if picture else 75)
    text = f"A distribution instead of one label: {asked}\n{note}"
    figure.suptitle(text, x=0.01, ha="left", fontsize=10)
    return figure


def _show(axes: object, picture: bytes) -> None:
    from PIL import Image

    with Image.open(BytesIO(picture)) as image:
        axes.imshow(np.asarray(image.convert("RGB")))
    axes.set_axis_off()
