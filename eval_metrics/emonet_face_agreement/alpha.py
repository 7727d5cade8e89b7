"""Krippendorff's alpha of several raters, from sums within images."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .levels import check_shapes, rater_sums
from .resampling import as_counts, ratio, unweighted

Floats = NDArray[np.float64]

_ROUNDING = 1e-12  # relative size below which a sum of squares of non-integers counts as zero


def krippendorff_alpha(
    ratings: ArrayLike,
    *,
    metric: Literal["interval", "ordinal"] = "interval",
    image_weights: ArrayLike | None = None,
) -> Floats:
    """Krippendorff's alpha of the raters; images with fewer than two ratings leave.

    Args:
        ratings: any scale, NaN = missing, (n_images, n_raters, k).
        metric: the difference of two ratings is that of their values, or of their mean ranks among
            all paired ratings.
        image_weights: (n_resamples, n_images) counts, or None.

    Returns:
        (k,), or (n_resamples, k); NaN where no image has two ratings or all ratings are equal.

    Raises:
        ValueError: an unknown `metric`, or shapes that do not fit.
    """
    if metric not in ("interval", "ordinal"):
        raise ValueError(f"metric is {metric!r}: allowed are 'interval' and 'ordinal'")
    r = np.asarray(ratings, dtype=np.float64)
    check_shapes(r)
    counts = as_counts(image_weights, len(r))
    if metric == "interval":
        return unweighted(alpha_of_sums(*(counts @ part for part in alpha_parts(r))), image_weights)
    r = _paired(r)
    columns = [_ordinal_alpha(r[:, :, c], counts) for c in range(r.shape[2])]
    alpha = np.stack(columns, axis=1) if columns else np.empty((len(counts), 0))
    return unweighted(alpha, image_weights)


def alpha_parts(ratings: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """What each image adds to the sums that interval alpha is made of.

    Args:
        ratings: (n_images, n_raters, k), NaN = missing.

    Returns:
        Number, sum, sum of squares, squared differences inside the image: each (n_images, k).
    """
    r = _paired(ratings)
    # from the least rating on: alpha does not change, and an offset cannot drown the differences
    n, s, q = rater_sums(r - np.fmin.reduce(r, axis=(0, 1), initial=np.inf))
    return n, s, q, (n * q - s * s) / np.maximum(n - 1, 1)


def alpha_of_sums(n: Floats, total: Floats, squares: Floats, within: Floats) -> Floats:
    """Alpha from the sums of `alpha_parts` over the images drawn."""
    spread = n * squares - total**2
    constant = spread <= _ROUNDING * n * squares
    return 1 - ratio((n - 1) * within, np.where(constant, 0.0, spread))


def _paired(ratings: Floats) -> Floats:
    """The ratings without those that are alone on their image."""
    paired = (~np.isnan(ratings)).sum(axis=1, keepdims=True) >= 2
    return np.where(paired, ratings, np.nan)


def _ordinal_alpha(ratings: Floats, counts: Floats) -> Floats:
    """Ordinal alpha of one category, (n_images, n_raters), for each resample.

    The ordinal difference of two values is that of their mean ranks among all paired ratings, so
    it is the interval alpha of those ranks, which change with the resample. The squared
    differences inside images then come from how often two values meet there.
    """
    values = np.unique(ratings[~np.isnan(ratings)])
    has = (ratings[:, :, None] == values).sum(axis=1).astype(np.float64)  # (n_images, n_values)
    n = has.sum(axis=1, keepdims=True)
    other = np.maximum(n - 1, 1)
    drawn = counts @ has
    ranks = np.cumsum(drawn, axis=1) - drawn / 2
    within = ((counts @ (has * n / other)) * ranks**2).sum(axis=1)
    for one in range(len(values)):
        meets = counts @ (has[:, [one]] * has / other)
        within -= ranks[:, one] * (meets * ranks).sum(axis=1)
    total, squares = (drawn * ranks).sum(axis=1), (drawn * ranks**2).sum(axis=1)
    return alpha_of_sums(drawn.sum(axis=1), total, squares, within)
