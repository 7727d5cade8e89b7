"""The corrected protocol: the same questions, asked carefully.

Scores are rounded and clipped; a model's missing category stays missing; images are resampled with
all their categories and raters, one draw for all statistics, so that an interval holds the noise
of images and ratings; a comparison uses only the images that its models share and the categories
that both sides have; p-values are adjusted (Benjamini-Hochberg). "Could be an annotator" asks that
there be no evidence of agreeing less with people than people do with each other, so agreeing more
is never a reason for "no". A wide interval still passes: it is a screen, no proof of equality.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from emonet_face.progress import track
from eval_metrics.emonet_face_agreement.agreement import (
    benjamini_hochberg,
    krippendorff_alpha,
    resample_weights,
    round_to_levels,
    spearman,
)
from eval_metrics.image_bootstrap import Draws, PeopleKappas, Resampled
from eval_metrics.panel import Panel, RatingTable, corrected_panel
from eval_metrics.protocols import (
    AGGREGATES,
    FEW_IMAGES,
    AnnotatorTest,
    CategoryTest,
    Correlation,
    Floats,
    GroupDifference,
    Mean,
    Statistics,
    annotator_groups,
    check_resampling,
    correlations,
    pair_kappas,
    people_ratings,
    references,
)


def evaluate(table: RatingTable, *, n_resamples: int, level: float, seed: int) -> Statistics:
    """The statistics with the defects of the published analysis put right.

    Args:
        table: ratings of two or more people and any number of models.
        n_resamples: resamples of the images; 0 gives NaN intervals.
        level: confidence level of the intervals, e.g. 0.95.
        seed: of the one draw that all intervals share.

    Raises:
        EmoNetFaceError: see `corrected_panel` and `check_resampling`.
    """
    check_resampling(n_resamples, level, seed)
    panel = corrected_panel(table)
    levels = round_to_levels(panel.scores)
    draws = Draws(resample_weights(len(panel.images), n_resamples, seed), level)
    comparisons = _Comparisons(panel, levels, draws)
    agreement = [comparisons.whole.with_people([a]) for a in range(len(panel.annotators))]
    alpha, alpha_intervals = _alpha(panel, draws)
    annotator_tests, category_tests = _annotator_tests(panel, comparisons)
    return Statistics(
        protocol="corrected",
        panel=panel,
        groups=annotator_groups(panel),
        pair_kappa=pair_kappas(levels, ~np.isnan(levels)),
        agreement=np.array([one.values[0] for one in agreement]),
        agreement_means=[draws.mean(one) for one in agreement],
        anchor=draws.mean(comparisons.whole.between_people().over_annotators()),
        spearman=_spearman(panel, draws),
        alpha=alpha,
        alpha_intervals=alpha_intervals,
        group_differences=_group_differences(panel, comparisons),
        annotator_tests=annotator_tests,
        category_tests=category_tests,
    )


class _Comparisons:
    """Kappas with people on all images, and on the images that some annotators share."""

    def __init__(self, panel: Panel, levels: Floats, draws: Draws) -> None:
        self.panel = panel
        self.levels = levels
        self.draws = draws
        everybody = np.arange(len(panel.annotators))
        every_image = np.ones(len(panel.images), dtype=bool)
        self.whole = PeopleKappas(panel, levels, draws, everybody, every_image)

    def common_images(self, annotators: list[int]) -> NDArray[np.bool_]:
        """(N,) the images that all models among these annotators have."""
        models = [annotator for annotator in annotators if not self.panel.human[annotator]]
        return self.panel.rated[models].all(axis=0)

    def on_common_images(self, annotators: list[int]) -> PeopleKappas:
        """Kappas of these annotators on their common images."""
        images = self.common_images(annotators)
        if images.all():
            return self.whole
        return PeopleKappas(self.panel, self.levels, self.draws, np.unique(annotators), images)


def _spearman(panel: Panel, draws: Draws) -> dict[str, Correlation]:
    """The people's aggregates of an image do not change with the images drawn."""
    reference = np.stack([references(panel, aggregate) for aggregate in AGGREGATES], axis=1)
    means: dict[str, dict[int, Mean]] = {aggregate: {} for aggregate in AGGREGATES}
    rho = correlations(panel)
    for model in track(panel.models.tolist(), "Spearman, corrected"):
        used = panel.rated[model]
        samples = spearman(
            panel.scores[model][used][:, None],
            reference[used],
            image_weights=draws.weights[:, used],
        )
        for number, aggregate in enumerate(AGGREGATES):
            both = Resampled(rho[aggregate][[model]], samples[:, [number]])
            means[aggregate][model] = draws.mean(both)
    return {aggregate: Correlation(rho[aggregate], means[aggregate]) for aggregate in AGGREGATES}


def _alpha(panel: Panel, draws: Draws) -> tuple[Floats, Floats]:
    ratings, images = people_ratings(panel)
    alpha = krippendorff_alpha(ratings)
    samples = krippendorff_alpha(ratings, image_weights=draws.weights[:, images])
    intervals = [draws.interval(*one) for one in zip(alpha, samples.T, strict=True)]
    return alpha, np.array(intervals)


def _group_differences(panel: Panel, comparisons: _Comparisons) -> list[GroupDifference]:
    """Every two groups, on the images that all models of both have; people add no restriction."""
    groups = annotator_groups(panel)
    found = []
    for first, second in track(list(combinations(groups, 2)), "Groups, corrected"):
        both = groups[first] + groups[second]
        kappas = comparisons.on_common_images(both)
        difference = comparisons.draws.difference(
            kappas.with_people(groups[first]), kappas.with_people(groups[second])
        )
        n_images = int(comparisons.common_images(both).sum())
        note = _note(panel, both, n_images)
        found.append(GroupDifference(first, second, difference, np.nan, n_images, note))
    adjusted = benjamini_hochberg([one.difference.p for one in found])
    return [replace(one, p_adjusted=float(p)) for one, p in zip(found, adjusted, strict=True)]


def _note(panel: Panel, annotators: list[int], n_images: int) -> str | None:
    """Why a comparison of groups stands on few images; None where it does not."""
    if n_images >= FEW_IMAGES:
        return None
    if n_images == len(panel.images):
        return f"only {n_images} images"
    models = [annotator for annotator in annotators if not panel.human[annotator]]
    n_rated = panel.rated.sum(axis=1)
    fewest = min(models, key=n_rated.__getitem__)
    return (
        f"only {n_images} images that all models of both groups have; of them"
        f" {panel.annotators[fewest]!r} has the fewest, {n_rated[fewest]} of {len(panel.images)}"
    )


def _annotator_tests(
    panel: Panel, comparisons: _Comparisons
) -> tuple[list[AnnotatorTest], list[CategoryTest]]:
    """Each annotator against the pairs of (other) people; a model on the images that it rated."""
    tests, by_category = [], []
    for annotator in track(range(len(panel.annotators)), "Could be an annotator, corrected"):
        kappas = comparisons.on_common_images([*panel.humans, annotator])
        own, people = kappas.pairs_of(annotator), kappas.between_people(without=annotator)
        difference = comparisons.draws.difference(own, people)
        _, high = difference.interval
        tests.append(AnnotatorTest(annotator, difference, None if np.isnan(high) else high >= 0))
        if not panel.human[annotator]:
            by_category += _category_tests(annotator, own, people, comparisons.draws)
    return tests, by_category


def _category_tests(
    annotator: int, own: Resampled, people: Resampled, draws: Draws
) -> list[CategoryTest]:
    """One model against the people on each category, p adjusted over the categories."""
    first, second = own.over_annotators(), people.over_annotators()
    values = (first.values - second.values)[0]
    samples = (first.samples - second.samples)[:, 0]
    p = [draws.p_value(*one) for one in zip(values, samples.T, strict=True)]
    adjusted = benjamini_hochberg(p)
    return [
        CategoryTest(
            annotator,
            emotion,
            float(values[emotion]),
            draws.interval(values[emotion], samples[:, emotion]),
            p[emotion],
            float(adjusted[emotion]),
        )
        for emotion in range(len(values))
    ]
