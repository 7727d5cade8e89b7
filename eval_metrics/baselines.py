"""Trivial baselines: what an annotator scores that has not seen the image, and one that has.

They are no rows of the ratings, so the tables of the published analysis stay as they are; the
corrected protocol has a table of their own, and the summary shows them below the models.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from eval_metrics.emonet_face_agreement.agreement import (
    nan_mean,
    round_to_levels,
    spearman,
    weighted_kappa,
)
from eval_metrics.groups import BASELINE_PREFIX
from eval_metrics.image_bootstrap import Draws, Resampled
from eval_metrics.panel import Panel
from eval_metrics.protocols import MIN_SHARED_IMAGES, Floats, Mean, references

CONSTANT = f"{BASELINE_PREFIX}constant-zero baseline"
PREVALENCE = f"{BASELINE_PREFIX}prevalence baseline"
RANDOM = f"{BASELINE_PREFIX}random baseline"
MEAN_RATER = f"{BASELINE_PREFIX}mean-rater baseline"
WHAT = {
    CONSTANT: "0 for every category of every image",
    PREVALENCE: "the mean rating of each category over all images and raters",
    RANDOM: "the row of one rater on another image, drawn by the seed",
    MEAN_RATER: "the mean of the image's other raters: it has seen ratings, never the rater's own",
}
"""What each baseline says, by name."""


@dataclass(frozen=True)
class Baseline:
    """One trivial annotator.

    Attributes:
        name: a key of `WHAT`.
        agreement: (40,) mean kappa with the people.
        mean: of it over the categories.
        spearman: mean correlation with the people's median; NaN where undefined: for constants, and
            for the mean rater, who would be compared with ratings that it was made from.
        said: (N, P, 40) levels that it gives, as each of the P people meets them.
    """

    name: str
    agreement: Floats
    mean: Mean
    spearman: Mean
    said: Floats


def trivial_baselines(panel: Panel, draws: Draws, seed: int) -> list[Baseline]:
    """The baselines on a panel's images, in the order of `WHAT`.

    Args:
        panel: a person's missing key is 0 in it.
        draws: of the panel's images, shared with all other intervals.
        seed: of the random baseline.
    """
    ratings = panel.scores[panel.humans].swapaxes(0, 1)
    shape = ratings.shape
    median = references(panel, "median")
    shown = random_rows(ratings, np.random.default_rng(seed))
    alike = {
        CONSTANT: np.zeros((shape[0], shape[2])),
        PREVALENCE: np.broadcast_to(np.nanmean(ratings, axis=(0, 1)), (shape[0], shape[2])),
        RANDOM: shown,
    }
    found = [
        _baseline(name, ratings, np.repeat(scores[:, None], shape[1], axis=1), draws,
                  lambda scores=scores: _correlation(scores, median, draws))
        for name, scores in alike.items()
    ]  # fmt: skip
    nothing = Mean(np.nan, (np.nan, np.nan))
    return [
        *found,
        _baseline(MEAN_RATER, ratings, mean_of_others(ratings), draws, lambda: nothing),
    ]


def mean_of_others(ratings: Floats) -> Floats:
    """For each rating, the mean of the image's other raters; NaN where there is no other.

    Args:
        ratings: (N, P, 40), NaN = not rated.
    """
    given = (~np.isnan(ratings)).astype(np.float64)
    values = np.nan_to_num(ratings, nan=0.0)
    others = given.sum(axis=1, keepdims=True) - given
    sums = values.sum(axis=1, keepdims=True) - values
    return np.divide(sums, others, out=np.full(ratings.shape, np.nan), where=others > 0)


def random_rows(ratings: Floats, generator: np.random.Generator) -> Floats:
    """For each image one rater's row on another image: (N, 40), NaN where there is no other.

    The images stand in a random circle, and each has the row of its neighbour.

    Args:
        ratings: (N, P, 40), NaN = not rated.
        generator: of the circle and of the raters.
    """
    rated = ~np.isnan(ratings).all(axis=2)
    images = np.flatnonzero(rated.any(axis=1))
    shown = np.full((len(ratings), ratings.shape[2]), np.nan)
    if len(images) < 2:
        return shown
    circle = generator.permutation(images)
    shown[circle] = [
        ratings[other, generator.choice(np.flatnonzero(rated[other]))]
        for other in np.roll(circle, 1)
    ]
    return shown


def _baseline(
    name: str, ratings: Floats, scores: Floats, draws: Draws, correlation: Callable[[], Mean]
) -> Baseline:
    levels, said = round_to_levels(ratings), round_to_levels(scores)
    shared = (~np.isnan(levels) & ~np.isnan(said)).sum(axis=0) >= MIN_SHARED_IMAGES
    values = np.where(shared, weighted_kappa(levels, said), np.nan)
    samples = weighted_kappa(levels, said, image_weights=draws.weights)
    samples = np.where(shared, samples, np.nan)
    agreement = nan_mean(values, axis=0)
    resampled = Resampled(agreement[None], nan_mean(samples, axis=1)[:, None])
    return Baseline(name, agreement, draws.mean(resampled), correlation(), said)


def _correlation(scores: Floats, median: Floats, draws: Draws) -> Mean:
    if (np.ptp(scores, axis=0) == 0).all():  # constants have no ranks: nothing to resample
        return Mean(np.nan, (np.nan, np.nan))
    rho = spearman(scores, median)
    samples = spearman(scores, median, image_weights=draws.weights)
    return draws.mean(Resampled(rho[None], samples[:, None]))
