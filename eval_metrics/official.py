"""The official protocol: the published analysis, its quirks included.

Truncation toward zero, values outside 0..7 leaving their pair, missing keys as 0, averaged
duplicates; intervals from resampling kappas (or rhos), not images; no adjustment of p-values, and
"could be an annotator" wherever p > 0.05. Each quirk is a statement about what was published, not a
recommendation: see `corrected.py`. Source: released `statistics/analysis-hq.ipynb`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from eval_metrics.emonet_face_agreement.agreement import (
    mann_whitney,
    nan_mean,
    percentile_interval,
    truncate_to_levels,
)
from eval_metrics.official_alpha import alpha_bootstrap
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
    resampling = _Resampling(n_resamples, level, seed)
    with ThreadPoolExecutor(max_workers=1) as beside:  # numpy lets both run at once
        ratings, _ = people_ratings(panel)
        alphas = beside.submit(alpha_bootstrap, ratings, n_resamples, seed)
        levels = truncate_to_levels(panel.scores)
        kappa = pair_kappas(levels, panel.rated[..., None])
        agreement = agreement_with_people(kappa, panel.humans)
        between_people = kappa[people_pairs(panel.humans)]
        spearman = _spearman(panel, resampling)
        group_differences = _group_differences(panel, agreement, resampling)
        annotator_tests = _annotator_tests(panel, kappa, resampling)
    alpha, alpha_samples = alphas.result()
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
        alpha_intervals=np.stack(percentile_interval(alpha_samples, level), axis=-1),
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
