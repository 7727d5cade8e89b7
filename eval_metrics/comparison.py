"""Models compared with each other on the same images, and each with people.

Part of the corrected protocol: one draw of images serves all intervals, so a difference is taken
inside each resample. It covers the choice of images, not that of raters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from emonet_face.progress import track
from eval_metrics.alternative_test import AlternativeTest, alternative_annotator_test
from eval_metrics.baselines import Baseline, trivial_baselines
from eval_metrics.emonet_face_agreement.agreement import (
    benjamini_hochberg,
    nan_mean,
    resample_weights,
    round_to_levels,
)
from eval_metrics.image_bootstrap import Draws, PeopleKappas, Resampled
from eval_metrics.panel import Panel
from eval_metrics.protocols import P_COULD_BE, Difference, Floats, Interval, Statistics


@dataclass(frozen=True)
class ModelDifference:
    """Mean kappa with people of one model less that of another, on images that both rated.

    Attributes:
        first, second: positions in the panel.
        n_images, n_emotions: what both have.
        p_adjusted: over all pairs of models (Benjamini-Hochberg).
    """

    first: int
    second: int
    n_images: int
    n_emotions: int
    difference: float
    interval: Interval
    p: float
    p_adjusted: float


@dataclass(frozen=True)
class AgainstPeople:
    """One annotator held against the people in three ways.

    Attributes:
        name: annotator or baseline.
        annotator: position in the panel, None for a baseline.
        difference: its kappas with people less the people's with each other (the human anchor);
            None for a baseline.
        verdict: "above", "below" or "not told apart" from the anchor, by the interval.
        published_could_be: the published rule (p > 0.05) on these kappas; None where undefined.
        test: the alternative annotator test.
    """

    name: str
    annotator: int | None
    difference: Difference | None
    verdict: str | None
    published_could_be: bool | None
    test: AlternativeTest


@dataclass(frozen=True)
class Comparison:
    """What the corrected protocol says beyond the published tables."""

    draws: Draws
    baselines: list[Baseline]
    model_differences: list[ModelDifference]
    against_people: list[AgainstPeople]


def compare(statistics: Statistics, *, n_resamples: int, level: float, seed: int) -> Comparison:
    """Compare the models of the corrected protocol with each other, with people, with baselines.

    Args:
        statistics: of the corrected protocol.
        n_resamples, level, seed: those that the statistics were made with; the draw of images is
            then the same.
    """
    panel = statistics.panel
    levels = round_to_levels(panel.scores)
    draws = Draws(resample_weights(len(panel.images), n_resamples, seed), level)
    baselines = trivial_baselines(panel, draws, seed)
    return Comparison(
        draws,
        baselines,
        _model_differences(panel, levels, draws),
        _against_people(statistics, levels, baselines),
    )


def _model_differences(panel: Panel, levels: Floats, draws: Draws) -> list[ModelDifference]:
    models = panel.models
    if len(models) < 2:
        return []
    every_image = np.ones(len(panel.images), dtype=bool)
    whole = PeopleKappas(panel, levels, draws, models, every_image)
    own = {int(model): whole.with_people([model]) for model in models}
    found = []
    for first, second in track(list(combinations(models.tolist(), 2)), "Pairs of models"):
        images = panel.rated[first] & panel.rated[second]
        sides = own[first], own[second]
        if not images.all():
            both = PeopleKappas(panel, levels, draws, np.array([first, second]), images)
            sides = both.with_people([first]), both.with_people([second])
        found.append(_difference(first, second, int(images.sum()), sides, draws))
    adjusted = benjamini_hochberg([one.p for one in found])
    return [replace(one, p_adjusted=float(p)) for one, p in zip(found, adjusted, strict=True)]


def _difference(
    first: int, second: int, n_images: int, sides: tuple[Resampled, Resampled], draws: Draws
) -> ModelDifference:
    values = (sides[0].values - sides[1].values)[0]
    shared = ~np.isnan(values)
    value = float(nan_mean(values))
    samples = nan_mean((sides[0].samples - sides[1].samples)[:, 0, shared])
    return ModelDifference(
        first,
        second,
        n_images,
        int(shared.sum()),
        value,
        draws.interval(value, samples),
        draws.p_value(value, samples),
        p_adjusted=np.nan,
    )


def _against_people(
    statistics: Statistics, levels: Floats, baselines: list[Baseline]
) -> list[AgainstPeople]:
    """Every model, then every baseline; people are what they are held against."""
    panel = statistics.panel
    ratings = levels[panel.humans].swapaxes(0, 1)
    found = []
    for one in statistics.annotator_tests:
        if panel.human[one.annotator]:
            continue
        p = one.difference.p
        found.append(
            AgainstPeople(
                panel.annotators[one.annotator],
                one.annotator,
                one.difference,
                verdict_of(one.difference.interval),
                None if np.isnan(p) else bool(p > P_COULD_BE),
                alternative_annotator_test(levels[one.annotator], ratings),
            )
        )
    for baseline in baselines:
        test = alternative_annotator_test(baseline.said, ratings)
        found.append(AgainstPeople(baseline.name, None, None, None, None, test))
    return found


def verdict_of(interval: Interval) -> str | None:
    """Where an interval of a difference lies; None where it is undefined.

    >>> verdict_of((0.1, 0.3)), verdict_of((-0.3, -0.1)), verdict_of((-0.1, 0.1))
    ('above', 'below', 'not told apart')
    """
    low, high = interval
    if np.isnan(low):
        return None
    return "above" if low > 0 else "below" if high < 0 else "not told apart"
