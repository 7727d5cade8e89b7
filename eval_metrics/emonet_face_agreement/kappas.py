"""Weighted kappa of one annotator with another, of many with many, and of one with all.

With quadratic weights kappa needs no table of levels: the observed cost is sum (a - b)^2, the one
expected by chance follows from the sums and sums of squares of both sides. So the kappas of all
pairs, or of one pair in all resamples, are a few products of matrices. Levels are whole: all of it
is exact, and the undefined case is a denominator of exactly 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .levels import LEVELS, check_shapes, checked_levels, rater_sums
from .resampling import as_counts, compact, ratio, unweighted

Floats = NDArray[np.float64]

_IMAGES = 500  # multiplied at a time
_COLUMNS = 160  # categories x pairs handled at a time: fits the CPU cache


def kappa_of_sums(n: Floats, a: Floats, b: Floats, squares: Floats, products: Floats) -> Floats:
    """Kappa with quadratic weights from sums over n pairs (a, b).

    1 - observed / expected cost, where the observed one is sum a^2 + sum b^2 - 2 sum a b and the
    one expected by chance sum a^2 + sum b^2 - 2 sum a sum b / n.
    """
    n = np.asarray(n, dtype=np.float64)
    chance = np.multiply(a, b, dtype=np.float64)
    above = n * products
    above -= chance
    above *= 2
    below = n * squares
    chance *= 2
    below -= chance
    return ratio(above, below)


def weighted_kappa(
    first: ArrayLike,
    second: ArrayLike,
    *,
    weights: Literal["quadratic", "linear"] = "quadratic",
    n_levels: int = LEVELS,
    image_weights: ArrayLike | None = None,
) -> Floats:
    """Cohen's weighted kappa over the images where both sides have a level.

    Equals `sklearn.metrics.cohen_kappa_score(labels=range(n_levels), weights=...)`.

    Args:
        first, second: levels 0..n_levels-1 or NaN, (n_images, ...); the trailing axes broadcast,
            so (n, R, 1, k) against (n, 1, R, k) gives all pairs of raters.
        weights: a disagreement costs (i - j)^2 or |i - j|.
        image_weights: (n_resamples, n_images) counts, or None for the images as they are.

    Returns:
        (...), or (n_resamples, ...). One side constant: 0 (agreement as expected by chance). Both
        constant and equal, or no shared image: NaN. A single shared image thus gives 0 or NaN; the
        published analysis asks for at least two.

    Raises:
        ValueError: a value that is no level, shapes that do not fit, an unknown `weights`.
    """
    if weights not in ("quadratic", "linear"):
        raise ValueError(f"weights is {weights!r}: allowed are 'quadratic' and 'linear'")
    a = checked_levels(first, "first", n_levels)
    b = checked_levels(second, "second", n_levels)
    counts = as_counts(image_weights, len(a))
    if len(a) != len(b):
        raise ValueError(f"first has {len(a)} images, second {len(b)}: they must be the same")
    shape = np.broadcast_shapes(a.shape[1:], b.shape[1:])
    trailing = shape or (1,)
    a, b = (x.reshape(len(x), *[1] * (len(trailing) + 1 - x.ndim), *x.shape[1:]) for x in (a, b))
    of_columns = _quadratic if weights == "quadratic" else _linear
    counts = compact(counts, largest=2 * (n_levels - 1) ** 2)
    kappa = np.empty((len(counts), *trailing))
    for part in _parts(trailing):
        sides = (x if x.shape[1] == 1 else x[:, part] for x in (a, b))
        kappa[:, part] = of_columns(*sides, counts, n_levels)
    return unweighted(kappa.reshape(len(counts), *shape), image_weights)


def pairwise_kappa(levels: ArrayLike) -> Floats:
    """Quadratic kappa of every two raters on the images that both rated.

    Args:
        levels: 0..7 or NaN, (n_images, n_raters, k).

    Returns:
        (n_raters, n_raters, k), symmetric, NaN and 0 as in `weighted_kappa`; on the diagonal 1, or
        NaN for a constant rater.

    >>> pairwise_kappa([[[0], [0], [7]], [[7], [7], [0]], [[5], [2], [5]]])[0].ravel().round(3)
    array([ 1.   ,  0.836, -0.885])
    """
    r = checked_levels(levels, "levels")
    check_shapes(r)
    exact = compact(np.ones((1, len(r))), (LEVELS - 1) ** 2).dtype
    sums = np.zeros((4, r.shape[2], r.shape[1], r.shape[1]), exact)
    for some in _by_category(r):
        present = ~np.isnan(some)
        values = np.where(present, some, 0).astype(exact)
        present = present.astype(exact)
        turned = values.swapaxes(1, 2)
        sums[0] += present.swapaxes(1, 2) @ present
        sums[1] += turned @ present
        sums[2] += (turned**2) @ present
        sums[3] += turned @ values
    n, total, squares, products = sums
    squares = squares + squares.swapaxes(1, 2)
    return np.moveaxis(kappa_of_sums(n, total, total.swapaxes(1, 2), squares, products), 0, 2)


def shared_images(rated: NDArray[np.bool_]) -> NDArray[np.intp]:
    """How many images every two raters both rated.

    Args:
        rated: (n_images, n_raters, k).

    Returns:
        (n_raters, n_raters, k).
    """
    shared = sum(some.swapaxes(1, 2) @ some for some in _by_category(rated.astype(np.float32)))
    return np.moveaxis(shared, 0, 2).astype(np.intp)


def _by_category(ratings: NDArray[np.generic]) -> Iterator[NDArray[np.generic]]:
    """Some images at a time, (k, some images, n_raters): few enough to stay in the CPU cache.

    Also few enough that BLAS multiplies them in this thread, whatever the other threads are doing.
    """
    for start in range(0, len(ratings), _IMAGES):
        yield np.ascontiguousarray(np.moveaxis(ratings[start : start + _IMAGES], 2, 0))


def pooled_kappa(
    predictions: ArrayLike, ratings: ArrayLike, *, image_weights: ArrayLike | None = None
) -> Floats:
    """Quadratic kappa of one annotator with many: all (image, rater) pairs form one 8 x 8 table.

    Args:
        predictions: levels 0..7 or NaN, (n_images, k).
        ratings: levels 0..7 or NaN, (n_images, n_raters, k).
        image_weights: (n_resamples, n_images) counts, or None.

    Returns:
        (k,), or (n_resamples, k); 0 and NaN as in `weighted_kappa`.
    """
    p, r = checked_levels(predictions, "predictions"), checked_levels(ratings, "ratings")
    check_shapes(r, predictions=p)
    counts = as_counts(image_weights, len(p))
    present = ~np.isnan(p)
    p = np.where(present, p, 0.0)
    n, s, q = (part * present for part in rater_sums(r))
    sums = _whole_sums(counts, n, p * n, s, p * p * n + q, p * s)
    return unweighted(kappa_of_sums(*sums), image_weights)


def human_kappa(ratings: ArrayLike, *, image_weights: ArrayLike | None = None) -> Floats:
    """Quadratic kappa of people with each other: the anchor that a model is compared with.

    All ordered pairs of different raters of an image, over all images, form one 8 x 8 table.

    Args:
        ratings: levels 0..7 or NaN, (n_images, n_raters, k).
        image_weights: (n_resamples, n_images) counts, or None.

    Returns:
        (k,), or (n_resamples, k); NaN where no image has two raters or all ratings are equal.
    """
    r = checked_levels(ratings, "ratings")
    check_shapes(r)
    counts = as_counts(image_weights, len(r))
    n, s, q = rater_sums(r)
    others = np.maximum(n - 1, 0)
    pairs, total, squares, products = _whole_sums(
        counts, n * others, s * others, q * others, s * s - q
    )
    return unweighted(kappa_of_sums(pairs, total, total, 2 * squares, products), image_weights)


def _parts(trailing: tuple[int, ...]) -> Iterator[slice]:
    """Slices of the first trailing axis that hold about `_COLUMNS` columns each."""
    rows = max(1, _COLUMNS // max(1, math.prod(trailing[1:])))
    for start in range(0, trailing[0], rows):
        yield slice(start, start + rows)


def _drawn(counts: Floats, part: Floats) -> Floats:
    """Sums over the images drawn: (n_images, ...) -> (n_resamples, ...)."""
    flat = part.reshape(len(part), math.prod(part.shape[1:]))
    return (counts @ flat).reshape(len(counts), *part.shape[1:])


def _whole_sums(counts: Floats, *parts: Floats) -> list[NDArray[np.floating]]:
    """Whole numbers >= 0, each (n_images, k), summed over the images drawn: (n_resamples, k)."""
    together = np.concatenate(parts, axis=1)
    counts = compact(counts, largest=together.max(initial=0))
    return np.split(counts @ together.astype(counts.dtype), len(parts), axis=1)


def _sides(a: Floats, b: Floats, kind: np.dtype) -> Iterator[tuple[Floats, Floats]]:
    """Each side's levels, 0 where missing, and where the side is present.

    A side without a gap is present in one column, so that sums over the other side, which then do
    not depend on it, are not taken once more for each of its columns.
    """
    for side in (a, b):
        here = ~np.isnan(side)
        if here.all():
            yield side.astype(kind), np.ones((len(side), *[1] * (side.ndim - 1)), kind)
        else:
            yield np.where(here, side, 0).astype(kind), here.astype(kind)


def _quadratic(a: Floats, b: Floats, counts: Floats, _: int) -> Floats:
    (a, here_a), (b, here_b) = _sides(a, b, counts.dtype)
    return kappa_of_sums(
        _drawn(counts, here_a * here_b),
        _drawn(counts, a * here_b),
        _drawn(counts, b * here_a),
        _drawn(counts, a * a * here_b) + _drawn(counts, b * b * here_a),
        _drawn(counts, a * b),
    )


def _linear(a: Floats, b: Floats, counts: Floats, n_levels: int) -> Floats:
    """Linear kappa: |a - b| is the number of steps 1..n_levels-1 that lie between a and b.

    On each step both sides are 0 or 1, where linear and quadratic costs are the same.
    """
    (a, here_a), (b, here_b) = _sides(a, b, counts.dtype)
    n = _drawn(counts, here_a * here_b).astype(np.float64)
    chance = np.zeros(1)
    for step in range(1, n_levels):
        above = _drawn(counts, (a >= step) * here_b).astype(np.float64)
        chance = chance + above * _drawn(counts, (b >= step) * here_a)
    both = _drawn(counts, np.minimum(a, b))  # missing is 0, so is the smaller one
    each = _drawn(counts, a * here_b) + _drawn(counts, b * here_a)
    return ratio(2 * (n * both - chance), n * each - 2 * chance)
