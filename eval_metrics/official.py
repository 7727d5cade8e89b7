"""The official protocol: the published analysis, its quirks included.

Truncation toward zero, values outside 0..7 leaving their pair, missing keys as 0, averaged
duplicates; intervals from resampling kappas (or rhos), not images; no adjustment of p-values, and
"could be an annotator" wherever p > 0.05. Each quirk is a statement about what was published, not a
recommendation: see `corrected.py`. Source: released `statistics/analysis-hq.ipynb`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from emonet_face.look_ahead import look_ahead
from eval_metrics.emonet_face_agreement.agreement import (
    alpha_of_sums,
    alpha_parts,
    mann_whitney,
    nan_mean,
    percentile_interval,
    truncate_to_levels,
)
from eval_metrics.panel import Panel, RatingTable, official_panel
from eval_metrics.protocols import (
    P_COULD_BE,
    AnnotatorTest,
    Correlation,
    Difference,
    Floats,
    GroupDifference,
    Interval,
    Mean,
    Statistics,
    agreement_with_people,
    annotator_groups,
    check_resampling,
    correlations,
    pair_kappas,
    people_pairs,
    people_ratings,
)

_DRAWN = 500  # resamples at a time: so many that handing them over costs nothing
_GATHERED = 16  # of them at a time: so few that their rows fit the CPU cache


def evaluate(table: RatingTable, *, n_resamples: int, level: float, seed: int) -> Statistics:
    """The statistics of the published analysis.

    Args:
        table: ratings of two or more people and any number of models.
        n_resamples: bootstrap size; 0 gives NaN intervals.
        level: confidence level of the intervals, e.g. 0.95.
        seed: every interval starts its generator from it, except that one generator runs through
            the categories of alpha and one through the models of each Spearman table.

    Raises:
        EmoNetFaceError: see `official_panel` and `check_resampling`.
    """
    check_resampling(n_resamples, level, seed)
    panel = official_panel(table)
    levels = truncate_to_levels(panel.scores)
    resampling = _Resampling(n_resamples, level, seed)
    with ThreadPoolExecutor(max_workers=1) as beside:  # numpy lets both run at once
        alphas = beside.submit(_alpha, panel, resampling)
        kappa = pair_kappas(levels, panel.rated[..., None])
        agreement = agreement_with_people(kappa, panel.humans)
        between_people = kappa[people_pairs(panel.humans)]
        spearman = _spearman(panel, resampling)
        group_differences = _group_differences(panel, agreement, resampling)
        annotator_tests = _annotator_tests(panel, kappa, resampling)
    alpha, alpha_intervals = alphas.result()
    return Statistics(
        protocol="official",
        panel=panel,
        groups=annotator_groups(panel),
        pair_kappa=kappa,
        agreement=agreement,
        agreement_means=[resampling.mean(row) for row in agreement],
        anchor=resampling.mean(nan_mean(between_people, axis=0)),
        spearman=spearman,
        alpha=alpha,
        alpha_intervals=alpha_intervals,
        group_differences=group_differences,
        annotator_tests=annotator_tests,
        category_tests=[],
    )


@dataclass(frozen=True)
class _Resampling:
    """Bootstrap of values that are taken as independent, as the published analysis does."""

    n_resamples: int
    level: float
    seed: int

    def generator(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)

    def interval(self, samples: Floats) -> Interval:
        low, high = percentile_interval(samples, self.level)
        return float(low), float(high)

    def mean(self, values: Floats, generator: np.random.Generator | None = None) -> Mean:
        """Mean of the defined values, the interval from drawing as many of them anew."""
        defined = values[~np.isnan(values)]
        if not len(defined):
            return Mean(np.nan, (np.nan, np.nan))
        generator = generator or self.generator()
        samples = generator.choice(defined, (self.n_resamples, len(defined))).mean(axis=1)
        return Mean(float(defined.mean()), self.interval(samples))

    def difference(self, first: Floats, second: Floats) -> Difference:
        """Difference of the means of two sets of kappas, both drawn anew in each resample."""
        first, second = first[~np.isnan(first)], second[~np.isnan(second)]
        if not (len(first) and len(second)):
            nothing = np.nan, np.nan
            return Difference(len(first), len(second), np.nan, nothing, *nothing)
        drawn = _drawn_pair(self.seed, self.n_resamples, len(first), len(second))
        samples = np.take(first, drawn[0]).mean(axis=1) - np.take(second, drawn[1]).mean(axis=1)
        return Difference(
            len(first),
            len(second),
            float(first.mean() - second.mean()),
            self.interval(samples),
            *mann_whitney(first, second),
        )


@lru_cache(maxsize=1)
def _drawn_pair(seed: int, n_resamples: int, *sizes: int) -> list[NDArray[np.int64]]:
    """Places drawn for two sets in turn: the same for all pairs of sets that are as large."""
    generator = np.random.default_rng(seed)
    return [generator.integers(size, size=(n_resamples, size)) for size in sizes]


def _spearman(panel: Panel, resampling: _Resampling) -> dict[str, Correlation]:
    found = {}
    for aggregate, rho in correlations(panel).items():
        generator = resampling.generator()
        means = {int(model): resampling.mean(rho[model], generator) for model in panel.models}
        found[aggregate] = Correlation(rho, means)
    return found


def _alpha(panel: Panel, resampling: _Resampling) -> tuple[Floats, Floats]:
    """Interval alpha of the people and its bootstrap over images, category by category.

    One generator runs through the categories, so each has draws of its own: 100 million at the
    published size. They are drawn ahead, beside the sums.
    """
    ratings, _ = people_ratings(panel)
    parts = np.stack(alpha_parts(ratings), axis=-1)  # (n_images, 40, 4)
    alpha = alpha_of_sums(*np.moveaxis(parts.sum(axis=0), -1, 0))
    n_images, n_emotions = parts.shape[:2]
    intervals = np.full((n_emotions, 2), np.nan)
    if not n_images:
        return alpha, intervals
    sums = np.empty((resampling.n_resamples, 4))
    pieces = [sums[start : start + _DRAWN] for start in range(0, len(sums), _DRAWN)]
    shapes = ((len(piece), n_images) for _ in range(n_emotions) for piece in pieces)
    draw = partial(resampling.generator().integers, 0, n_images)
    with ThreadPoolExecutor(max_workers=1) as pool:
        draws = look_ahead(draw, shapes, ahead=2, pool=pool)
        for emotion in range(n_emotions):
            of_image = np.ascontiguousarray(parts[:, emotion])
            for piece in pieces:
                piece[:] = _sums_over(next(draws), of_image)
            intervals[emotion] = resampling.interval(alpha_of_sums(*sums.T))
    return alpha, intervals


def _sums_over(drawn: NDArray[np.int64], of_image: Floats) -> Floats:
    """What some resamples, (n, n_images) places drawn, add up of (n_images, 4): (n, 4).

    An image's four numbers are one row of 32 bytes, which numpy gathers at once.
    """
    sums, once = np.empty((len(drawn), 4)), np.ones(len(of_image))
    gathered = np.empty((_GATHERED, *of_image.shape))
    for start in range(0, len(drawn), _GATHERED):
        some = drawn[start : start + _GATHERED]
        rows = gathered[: len(some)]
        np.take(of_image, some, axis=0, mode="clip", out=rows)
        np.matmul(once, rows, out=sums[start : start + _GATHERED])
    return sums


def _group_differences(
    panel: Panel, agreement: Floats, resampling: _Resampling
) -> list[GroupDifference]:
    groups = annotator_groups(panel)
    return [
        GroupDifference(
            first,
            second,
            resampling.difference(agreement[groups[first]], agreement[groups[second]]),
            p_adjusted=np.nan,
        )
        for first, second in combinations(groups, 2)
    ]


def _annotator_tests(panel: Panel, kappa: Floats, resampling: _Resampling) -> list[AnnotatorTest]:
    """A model against all pairs of people, a person against the pairs without that person."""
    first, second = people_pairs(panel.humans)
    tests = []
    for annotator in range(len(panel.annotators)):
        others = (first != annotator) & (second != annotator)
        difference = resampling.difference(
            kappa[annotator, panel.humans], kappa[first[others], second[others]]
        )
        could_be = None if np.isnan(difference.p) else difference.p > P_COULD_BE
        tests.append(AnnotatorTest(annotator, difference, could_be))
    return tests
