"""Quantile calibration: scores binned so that their levels are as frequent as the gold's."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .kappas import kappa_of_sums
from .levels import LEVELS, check_shapes, checked_levels, rater_sums
from .ranks import Codes, resample_blocks
from .resampling import as_counts, unweighted

Floats = NDArray[np.float64]


def quantile_calibrate(scores: ArrayLike, gold_levels: ArrayLike) -> Floats:
    """Scores as levels with the level counts of the gold: per category, a monotone binning.

    The lowest scores get level 0, as many as the gold has, and so on: the oracle marginal of the
    readout study (arXiv 2610.08162). Equal scores always get one level, that of the middle of
    their places (the higher one where the middle falls on a border); the counts equal the gold's
    exactly where no scores are equal.

    Args:
        scores: any scale, NaN = missing, (n_images, k).
        gold_levels: levels 0..7 or NaN, (n_images, k), e.g. the rounded mean rating.

    Returns:
        Levels, (n_images, k); NaN where the score or the gold is missing.

    >>> quantile_calibrate([[0.1], [0.9], [0.2], [0.3]], [[0], [5], [0], [2]]).ravel()
    array([0., 5., 0., 2.])
    """
    x = np.asarray(scores, dtype=np.float64)
    gold = checked_levels(gold_levels, "gold_levels")
    if x.shape != gold.shape or x.ndim != 2:
        raise ValueError(
            f"scores is {x.shape}, gold_levels {gold.shape}: both must be (n_images, k)"
        )
    levels = np.full(x.shape, np.nan)
    for category in range(x.shape[1]):
        present = ~(np.isnan(x[:, category]) | np.isnan(gold[:, category]))
        once = np.ones((int(present.sum()), 1))
        borders = _borders(gold[present, category], once.T)
        fitted = _calibrate(Codes.of(x[present, category]), borders, once)
        levels[present, category] = fitted[:, 0]
    return levels


def calibrated_kappa(
    scores: ArrayLike,
    ratings: ArrayLike,
    gold_levels: ArrayLike,
    *,
    per_rater: bool = False,
    image_weights: ArrayLike | None = None,
) -> Floats:
    """Kappa of `quantile_calibrate`d scores, the calibration refitted inside each resample.

    Args:
        scores: any scale, (n_images, k).
        ratings: levels 0..7 or NaN, (n_images, n_raters, k).
        gold_levels: what the calibration is fitted to, (n_images, k).
        per_rater: one kappa for each rater instead of one over all (image, rater) pairs.
        image_weights: (n_resamples, n_images) counts, or None.

    Returns:
        (k,) as `pooled_kappa`, or (n_raters, k) as `weighted_kappa`; (n_resamples, ...) before it.
    """
    x, r = np.asarray(scores, dtype=np.float64), checked_levels(ratings, "ratings")
    gold = checked_levels(gold_levels, "gold_levels")
    check_shapes(r, scores=x, gold_levels=gold)
    counts = as_counts(image_weights, len(x))
    raters = r.shape[1] if per_rater else 1
    kappa = np.empty((len(counts), raters, x.shape[1]))
    for category in range(x.shape[1]):
        present = ~(np.isnan(x[:, category]) | np.isnan(gold[:, category]))
        given = r[present, :, category]
        # (n_images, raters) of numbers, sums and sums of squares of the ratings
        n, s, q = rater_sums(given[:, None] if per_rater else given[:, :, None])
        drawn = counts[:, present]
        pairs, total, squares = drawn @ n, drawn @ s, drawn @ q
        codes, borders = Codes.of(x[present, category]), _borders(gold[present, category], drawn)
        for rows in resample_blocks(len(counts)):
            w = np.ascontiguousarray(drawn[rows].T)
            p = _calibrate(codes, borders[:, rows], w)
            wp = w * p
            own, product = np.split(wp.T @ np.hstack([n, s]), 2, axis=1)
            wp *= p
            kappa[rows, :, category] = kappa_of_sums(
                pairs[rows], own, total[rows], wp.T @ n + squares[rows], product
            )
    return unweighted(kappa if per_rater else kappa[:, 0], image_weights)


def _borders(gold: Floats, counts: Floats) -> Floats:
    """How many draws of the gold are at most level 0, 1, ..., 6: (7, n_resamples)."""
    return (counts @ (gold[:, None] <= np.arange(LEVELS - 1)).astype(np.float64)).T


def _calibrate(codes: Codes, borders: Floats, counts: Floats) -> Floats:
    """Calibrated levels of one category, (n_images, n_resamples): see `quantile_calibrate`."""
    if not len(codes):
        return np.zeros_like(counts)
    drawn = codes.drawn(counts)
    middle = np.cumsum(drawn, axis=0) - drawn / 2
    levels = np.zeros(middle.shape, dtype=np.int8)
    for border in borders:
        levels += middle >= border
    return levels.astype(np.float64)[codes.code]
