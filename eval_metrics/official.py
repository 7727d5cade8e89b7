"""The official protocol: the published analysis, its quirks included.

Truncation toward zero, values outside 0..7 leaving their pair, missing keys as 0, averaged
duplicates; intervals from resampling kappas (or rhos), not images; no adjustment of p-values, and
"could be an annotator" wherever p > 0.05. Each quirk is a statement about what was published, not a
recommendation: see `corrected.py`. Source: released `statistics/analysis-hq.ipynb`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from emonet_face.progress import track
from eval_metrics.emonet_face_agreement.agreement import (
    krippendorff_alpha,
    mann_whitney,
    nan_mean,
    percentile_interval,
    resample_weights,
    truncate_to_levels,
)
from eval_metrics.panel import Panel, RatingTable, official_panel
from eval_metrics.protocols import (
    AGGREGATES,
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
    correlations,
    pair_kappas,
    people_pairs,
    people_ratings,
    references,
)

P_COULD_BE = 0.05
"""An annotator with a larger p counts as one that could be a person."""


def evaluate(table: RatingTable, *, n_resamples: int, level: float, seed: int) -> Statistics:
    """The statistics of the published analysis.

    Args:
        table: ratings of two or more people and any number of models.
        n_resamples: bootstrap size; 0 gives NaN intervals.
        level: confidence level of the intervals, e.g. 0.95.
        seed: every interval starts its generator from it, except that one generator runs through
            the categories of alpha and one through the models of each Spearman table.

    Raises:
        EmoNetFaceError: see `official_panel`.
    """
    panel = official_panel(table)
    levels = truncate_to_levels(panel.scores)
    kappa = pair_kappas(levels, np.broadcast_to(panel.rated[..., None], levels.shape))
    resampling = _Resampling(n_resamples, level, seed)
    agreement = agreement_with_people(kappa, panel.humans)
    between_people = kappa[people_pairs(panel.humans)]
    alpha, alpha_intervals = _alpha(panel, resampling)
    return Statistics(
        protocol="official",
        panel=panel,
        groups=annotator_groups(panel),
        pair_kappa=kappa,
        agreement=agreement,
        agreement_means=[resampling.mean(row) for row in agreement],
        anchor=resampling.mean(nan_mean(between_people, axis=0)),
        spearman={aggregate: _spearman(panel, aggregate, resampling) for aggregate in AGGREGATES},
        alpha=alpha,
        alpha_intervals=alpha_intervals,
        group_differences=_group_differences(panel, agreement, resampling),
        annotator_tests=_annotator_tests(panel, kappa, resampling),
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
        samples = self._means(defined, generator or self.generator())
        return Mean(float(defined.mean()), self.interval(samples))

    def difference(self, first: Floats, second: Floats) -> Difference:
        """Difference of the means of two sets of kappas, both drawn anew in each resample."""
        first, second = first[~np.isnan(first)], second[~np.isnan(second)]
        if not (len(first) and len(second)):
            nothing = np.nan, np.nan
            return Difference(len(first), len(second), np.nan, nothing, *nothing)
        generator = self.generator()
        samples = self._means(first, generator) - self._means(second, generator)
        return Difference(
            len(first),
            len(second),
            float(first.mean() - second.mean()),
            self.interval(samples),
            *mann_whitney(first, second),
        )

    def _means(self, values: Floats, generator: np.random.Generator) -> Floats:
        return generator.choice(values, (self.n_resamples, len(values))).mean(axis=1)


def _spearman(panel: Panel, aggregate: str, resampling: _Resampling) -> Correlation:
    rho = correlations(panel, references(panel, aggregate))
    generator = resampling.generator()
    means = {int(model): resampling.mean(rho[model], generator) for model in panel.models}
    return Correlation(rho, means)


def _alpha(panel: Panel, resampling: _Resampling) -> tuple[Floats, Floats]:
    """Interval alpha of the people and its bootstrap over images, category by category."""
    ratings, _ = people_ratings(panel)
    generator = resampling.generator()
    intervals = np.full((ratings.shape[2], 2), np.nan)
    emotions = range(len(intervals)) if len(ratings) else ()
    for emotion in track(emotions, "Alpha, official"):
        # In place of a seed numpy takes a generator as it is, and goes on from where it stands.
        drawn = resample_weights(len(ratings), resampling.n_resamples, generator)
        samples = krippendorff_alpha(ratings[:, :, [emotion]], image_weights=drawn)
        intervals[emotion] = resampling.interval(samples[:, 0])
    return krippendorff_alpha(ratings), intervals


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
