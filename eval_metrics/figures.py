"""Which figures a benchmark has, drawn as PNG and PDF.

Each figure has a function of its own: statistics in, a matplotlib figure out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from emonet_face.progress import track
from eval_metrics.coverage_map import coverage_map
from eval_metrics.figure_face import one_face, typical_face
from eval_metrics.figure_style import NOTICE, SETTINGS, simulated
from eval_metrics.figures_kappa import agreement_by_group, pairwise_kappa
from eval_metrics.figures_lines import human_human_lines, model_human_lines
from eval_metrics.figures_models import (
    reliability_and_performance,
    spearman_bars,
    spearman_per_emotion,
)
from eval_metrics.figures_reliability import krippendorff_alpha
from eval_metrics.figures_slices import divided, slice_figure
from eval_metrics.prompted import Prompts, read_category, read_picture
from eval_metrics.protocols import Statistics
from eval_metrics.slices import Slices

Drawn = tuple[str, Figure]


def draw_all(
    evaluated: Mapping[str, Statistics],
    folder: Path,
    level: float,
    slices: Slices | None = None,
    prompts: Prompts | None = None,
    repo: str | None = None,
) -> None:
    """Draw every figure that there is data for, as PNG and PDF.

    Args:
        evaluated: protocol -> statistics; its name ends the names of its figures.
        folder: where `<figure>_<protocol>.png` and `.pdf` go; made if need be.
        level: confidence level of the intervals, for the captions.
        slices: of the corrected protocol.
        prompts: of the dataset, for the map of their coverage.
        repo: dataset repo with the pictures, for the figure of one face.
    """
    for name, statistics in evaluated.items():
        save(figures_of(statistics, level), folder, f"_{name}")
        if name == "corrected" and slices is not None and divided(slices):
            save(_noted(statistics, [("slices", _slices(statistics, slices, level))]), folder,
                 f"_{name}")  # fmt: skip
    statistics = evaluated.get("corrected") or next(iter(evaluated.values()))
    save(_of_images(statistics, prompts, repo), folder, "")


def save(figures: Iterable[Drawn], folder: Path, ending: str) -> None:
    """Write figures as `<name><ending>.png` and `.pdf`; same figure, same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(SETTINGS):
        for name, figure in track(figures, "Drawing"):
            path = folder / f"{name}{ending}"
            figure.savefig(path.with_suffix(".png"), dpi=150, metadata={"Software": None})
            figure.set_layout_engine("none")  # found once, good for both
            figure.savefig(path.with_suffix(".pdf"), metadata={"CreationDate": None})


def _slices(statistics: Statistics, slices: Slices, level: float) -> Callable[[], Figure]:
    return lambda: slice_figure(statistics, slices, level)


def _of_images(
    statistics: Statistics, prompts: Prompts | None, repo: str | None
) -> Iterator[Drawn]:
    """Figures of images and prompts, which no protocol changes."""
    figures = []
    if prompts is not None and prompts.values["ethnicity"]:
        counts = prompts.counts("ethnicity")
        figures.append(("coverage_map", lambda: coverage_map(counts, prompts.n_images)))
    face = typical_face(statistics) if len(statistics.panel.models) else None
    if face is not None:
        picture = None if repo is None else read_picture(repo, face[0])
        category = None if repo is None else read_category(repo, face[0])
        figures.append(("one_face", lambda: one_face(statistics, *face, picture, category)))
    return _noted(statistics, figures)


def _noted(
    statistics: Statistics, figures: Iterable[tuple[str, Callable[[], Figure]]]
) -> Iterator[Drawn]:
    """The figures; with a notice where the raters are simulated."""
    for name, make in figures:
        figure = make()
        if simulated(statistics):
            figure.supxlabel(NOTICE, fontsize=8.5, style="italic", x=0.01, ha="left")
        yield name, figure


def figures_of(statistics: Statistics, level: float) -> Iterator[Drawn]:
    """A protocol's figures by name; those on models are left out where there is none."""
    figures = [
        ("agreement_by_group", lambda: agreement_by_group(statistics)),
        ("pairwise_kappa", lambda: pairwise_kappa(statistics)),
        ("human_human_lines", lambda: human_human_lines(statistics)),
        ("krippendorff_alpha", lambda: krippendorff_alpha(statistics, level)),
    ]
    if len(statistics.panel.models):
        figures += [
            ("model_human_lines", lambda: model_human_lines(statistics)),
            ("spearman_median", lambda: spearman_bars(statistics, level)),
            ("spearman_per_emotion", lambda: spearman_per_emotion(statistics)),
            ("reliability_performance", lambda: reliability_and_performance(statistics)),
        ]
    return _noted(statistics, figures)
