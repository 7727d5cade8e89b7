"""World map of the regions that the prompts' ethnicity strings may evoke (the paper's Figure 2).

The published figure shows web-scraped sets at the left and EmoNet-Face at the right; only the
latter can be drawn from a dataset repo. A region is a reading of a word in a prompt, never an
observation: `prompt_regions.json` says which countries stand for which string, and why.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure

from eval_metrics.figure_style import EDGE, patch
from eval_metrics.protocols import Floats

_HERE = Path(__file__).parent
_HATCH = "////"
_NO_PROMPT = "#F2F2F2"
_FAINTEST = 0.15
"""Where on the colour map 0 images begin: its first colours are too pale for a country."""
_POLYNOMIAL = (1.340264, -0.081106, 0.000893, 0.003796)


@lru_cache(maxsize=2)
def _shipped(name: str) -> dict[str, Any]:
    return json.loads((_HERE / name).read_text(encoding="utf-8"))


def regions() -> dict[str, list[str]]:
    """Ethnicity string of the prompts -> the countries it may evoke; none where it names none."""
    return {
        name: entry["countries"]
        for name, entry in _shipped("prompt_regions.json")["regions"].items()
    }


def images_of_countries(counts: Mapping[str, int]) -> dict[str, int]:
    """Country -> images with a prompt that may evoke it; one image may count for many countries.

    Args:
        counts: ethnicity string -> images.
    """
    known = regions()
    found = dict.fromkeys(_shipped("world_countries.json")["countries"], 0)
    for name, n in counts.items():
        for country in known.get(name, ()):
            found[country] += n
    return found


def coverage_map(counts: Mapping[str, int], n_images: int) -> Figure:
    """The map, and beside it how many images each string has.

    Args:
        counts: ethnicity string -> images.
        n_images: of the dataset; those without a string are counted in the note.
    """
    figure = Figure(figsize=(12.5, 4.9), layout="constrained")
    world, bars = figure.subplots(1, 2, width_ratios=(3.4, 1))
    found = images_of_countries(counts)
    colours = ListedColormap(matplotlib.colormaps["YlGnBu"](np.linspace(_FAINTEST, 1, 256)))
    scale = Normalize(0, max(1, *found.values()))
    _countries(world, {name: n for name, n in found.items() if not n}, _NO_PROMPT, _HATCH)
    for n in sorted(set(found.values()) - {0}):
        same = {name: one for name, one in found.items() if one == n}
        _countries(world, same, colours(scale(n)), None)
    world.set_aspect("equal")
    world.autoscale_view()
    world.set_axis_off()
    world.legend(handles=[patch(_NO_PROMPT, _HATCH, "evoked by no prompt")], loc="upper left",
                 bbox_to_anchor=(0, 0), fontsize=8.5)  # fmt: skip
    _bars(bars, counts, n_images)
    figure.suptitle(
        "Demographic coverage of the prompts\ncountries that a word of a prompt may evoke, not"
        " observations of faces; map: Natural Earth",
        x=0.01, ha="left", fontsize=11,
    )  # fmt: skip
    bounds = matplotlib.cm.ScalarMappable(scale, colours)
    bar = figure.colorbar(bounds, ax=world, orientation="horizontal", shrink=0.45, pad=0.02)
    bar.set_label("images, each counted for every country that its string may evoke")
    return figure


def _countries(axes: Axes, chosen: Mapping[str, int], fill: Any, hatch: str | None) -> None:
    shapes = _shipped("world_countries.json")["countries"]
    rings = [
        equal_earth(np.reshape(ring, (-1, 2)) / 10) for name in chosen for ring in shapes[name]
    ]
    axes.add_collection(
        PolyCollection(rings, facecolor=fill, edgecolor="#8C8C8C", linewidth=0.35, hatch=hatch)
    )


def equal_earth(degrees: Floats) -> Floats:
    """Longitude and latitude, (n, 2) in degrees, on the plane by the Equal Earth projection.

    Savric, Patterson and Jenny (2018): equal areas are equal on paper, so that a country looks as
    large as it is. The equator is 5.41 long, the poles are 2.63 apart.
    """
    longitude, latitude = np.radians(degrees).T
    angle = np.arcsin(np.sqrt(3) / 2 * np.sin(latitude))
    a, b, c, d = _POLYNOMIAL
    second, sixth = angle**2, angle**6
    width = 3 * (9 * d * sixth * second + 7 * c * sixth + 3 * b * second + a)
    x = 2 * np.sqrt(3) * longitude * np.cos(angle) / width
    y = angle * (sixth * (d * second + c) + b * second + a)
    return np.column_stack([x, y])


def _bars(axes: Axes, counts: Mapping[str, int], n_images: int) -> None:
    known = regions()
    names = sorted(counts, key=lambda name: (counts[name], name))
    for place, name in enumerate(names):
        mapped = bool(known.get(name))
        axes.barh(place, counts[name], color="#56B4E9" if mapped else "#FFFFFF",
                  hatch=None if mapped else _HATCH, edgecolor=EDGE, linewidth=0.6)  # fmt: skip
        axes.text(counts[name], place, f" {counts[name]}", va="center", fontsize=7.5)
    axes.set_yticks(range(len(names)), names, fontsize=7.5)
    axes.margins(x=0.14)
    without = n_images - sum(counts.values())
    axes.set_xlabel("images" + (f" ({without} more name no ethnicity)" if without else ""))
    if not all(known.get(name) for name in counts):
        axes.legend(handles=[patch("#FFFFFF", _HATCH, "names no region")], loc="lower left",
                    bbox_to_anchor=(0, 1), fontsize=8.5)  # fmt: skip
