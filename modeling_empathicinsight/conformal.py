"""From scores to expected ratings with intervals: isotonic regression and split conformal.

Images, not ratings, are exchangeable: the raters of one image see the same face, so their ratings
hang together. Every image therefore counts once, and its raters share its weight, both in the fit
and in the quantile (hierarchical conformal prediction: Lee, Barber and Willett,
"Distribution-free inference with hierarchical data", 2023). numpy and scipy only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST_SPREAD = 0.5
"""Half a step of the slider: where raters nearly always agree, the scale of errors is not let fall
below it, for a scale near 0 would blow up the widths everywhere else."""

DIGITS = 6
"""Decimals of knots: what is measured is the rounded map, as it is stored."""


@dataclass(frozen=True)
class Curve:
    """A map of scores, linear between its knots and constant beyond them.

    Attributes:
        scores: (k,) knots, increasing; k >= 1.
        ratings: (k,) expected rating at each knot, not decreasing.
        spreads: (k,) expected distance of a single rating from it, at least LEAST_SPREAD, not
            decreasing.
    """

    scores: Floats
    ratings: Floats
    spreads: Floats

    def rating(self, scores: Floats) -> Floats:
        """Expected ratings at scores of any shape."""
        return np.interp(scores, self.scores, self.ratings)

    def spread(self, scores: Floats) -> Floats:
        """Expected distances of single ratings at scores of any shape."""
        return np.interp(scores, self.scores, self.spreads)


def fit_curve(scores: Floats, ratings: Floats) -> Curve:
    """Isotonic regression of the mean rating, and of raters' distance from it, on the score.

    Args:
        scores: (n,) finite; equal ones are merged first.
        ratings: (n, raters), NaN = did not rate; every image has a rating.

    Returns:
        The curve. Equal scores throughout give one knot: a constant.
    """
    knots, place = np.unique(np.round(scores, DIGITS), return_inverse=True)
    counts = np.bincount(place).astype(np.float64)
    means = _pooled(np.nanmean(ratings, axis=1), place, counts)
    distances = np.nanmean(np.abs(ratings - means[place, None]), axis=1)
    spreads = np.maximum(_pooled(distances, place, counts), LEAST_SPREAD)
    # Inside a run of equal values only its ends matter.
    values = np.stack([means, spreads])
    same = (values[:, 1:] == values[:, :-1]).all(axis=0)
    inner = np.r_[False, same] & np.r_[same, False]
    return Curve(knots[~inner], means[~inner], spreads[~inner])


def _pooled(values: Floats, place: NDArray[np.intp], counts: Floats) -> Floats:
    """Least-squares increasing values, one per place, weighted by how many values a place has."""
    from scipy.optimize import isotonic_regression

    means = np.bincount(place, weights=values) / counts
    return np.round(isotonic_regression(means, weights=counts).x, DIGITS)


def conformal_factor(curve: Curve, scores: Floats, ratings: Floats, coverage: float) -> float:
    """How many spreads an interval reaches to each side, so that it covers.

    With n images that the curve was not fitted to, the factor is the smallest q for which the
    images' shares of ratings at most q spreads from the curve sum up to coverage * (n + 1): the new
    image counts too, as one that is beyond every q. If the n images and the new one are
    exchangeable, and the raters of an image among themselves, then a single rating of the new image
    lies inside with at least the probability `coverage`, whatever the curve is worth.

    Args:
        curve: of `fit_curve`, on other images.
        scores: (n,).
        ratings: (n, raters), NaN = did not rate; every image has a rating.
        coverage: between 0 and 1, e.g. 0.9.

    Returns:
        The factor; infinity where n is too small: below coverage / (1 - coverage), e.g. 9.

    >>> flat = Curve(np.zeros(1), np.zeros(1), np.ones(1))
    >>> conformal_factor(flat, np.zeros(9), np.arange(9.0)[:, None], 0.9)
    8.0
    >>> conformal_factor(flat, np.zeros(8), np.arange(8.0)[:, None], 0.9)
    inf
    """
    distances = np.abs(ratings - curve.rating(scores)[:, None]) / curve.spread(scores)[:, None]
    given = ~np.isnan(ratings)
    shares = (given / given.sum(axis=1, keepdims=True))[given]
    order = np.argsort(distances[given], kind="stable")
    # Sums of shares such as 1/3 are a little off: a hair below the level counts as there.
    reached = np.cumsum(shares[order]) >= coverage * (len(scores) + 1) - 1e-9
    return float(distances[given][order][reached.argmax()]) if reached.any() else math.inf


def half_widths(curve: Curve, factor: float, span: float) -> Floats:
    """Half the width of the interval at each knot, (k,), rounded up and one last digit wider.

    The rating that decides the factor lies on the edge of its interval. The further digit keeps it
    inside, whatever rounding of float64 or float32 the interval is put together with.

    An infinite factor gives `span` everywhere: with it an interval covers the whole scale.
    """
    if math.isinf(factor):
        return np.full_like(curve.spreads, span)
    return (np.ceil(factor * curve.spreads * 10**DIGITS) + 1) / 10**DIGITS


def covered(low: Floats, high: Floats, ratings: Floats) -> Floats:
    """Share of each image's ratings inside its interval, (n,).

    Args:
        low, high: (n,).
        ratings: (n, raters), NaN = did not rate; every image has a rating.
    """
    inside = (ratings >= low[:, None]) & (ratings <= high[:, None])
    return inside.sum(axis=1) / (~np.isnan(ratings)).sum(axis=1)
