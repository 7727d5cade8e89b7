"""Agreement statistics of EmoNet-Face: pure maths on arrays of ratings, NaN = missing.

Images are the first axis, categories the last. Where a statistic is undefined the result is NaN,
never 0. Every `image_weights` takes the counts of `resample_weights`, (n_resamples, n_images), and
gives exactly what the statistic is on the images drawn, without building them: a bootstrap of 1,000
resamples is then a few matrix products.

>>> ratings = np.array([[[0.0], [1.0]], [[7.0], [6.0]]])  # 2 images, 2 raters, 1 category
>>> human_kappa(ratings).round(3)
array([0.946])
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Groups = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]

LEVELS = 8
"""A rating is one of the 8 levels 0 (absent) to 7 (very strong)."""

_COLUMNS = 512  # categories x pairs handled at a time: bounds the memory of a bootstrap
_RESAMPLES = 64  # resamples handled at a time where ranks differ between them: fits the CPU cache
_ROUNDING = 1e-12  # relative size below which a sum of squares of non-integers counts as zero


def round_to_levels(scores: ArrayLike, low: int = 0, high: int = LEVELS - 1) -> Floats:
    """Scores as levels: floor(x + 0.5), clipped to low..high; NaN stays NaN.

    >>> round_to_levels([-3.2, 0.5, 2.4, 9.0])
    array([0., 1., 2., 7.])
    """
    return np.clip(np.floor(np.asarray(scores, dtype=np.float64) + 0.5), low, high)


def truncate_to_levels(scores: ArrayLike, low: int = 0, high: int = LEVELS - 1) -> Floats:
    """Scores as levels the way the published analysis makes them: cut toward zero.

    A value that lands outside low..high becomes NaN: scikit-learn drops such a pair from the
    confusion matrix without a word (released `analysis-hq.ipynb`).

    >>> truncate_to_levels([-1.0, -0.9, 6.9, 8.0])
    array([nan,  0.,  6., nan])
    """
    cut = np.trunc(np.asarray(scores, dtype=np.float64)) + 0.0  # + 0.0 turns -0.0 into 0.0
    return np.where((cut >= low) & (cut <= high), cut, np.nan)


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
    a, b = _levels(first, "first", n_levels), _levels(second, "second", n_levels)
    counts = _image_weights(image_weights, len(a))
    if len(a) != len(b):
        raise ValueError(f"first has {len(a)} images, second {len(b)}: they must be the same")
    a, b = np.broadcast_arrays(a[..., None], b[..., None])
    trailing = a.shape[1:]
    size = int(np.prod(trailing))
    kappa = np.empty((len(counts), size))
    for start in range(0, size, _COLUMNS):
        stop = min(start + _COLUMNS, size)
        picked = (slice(None), *np.unravel_index(np.arange(start, stop), trailing))
        kappa[:, start:stop] = _kappa_of_columns(a[picked], b[picked], weights, n_levels, counts)
    return _unweighted(kappa.reshape(len(counts), *trailing[:-1]), image_weights)


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
    p, r = _levels(predictions, "predictions"), _levels(ratings, "ratings")
    _check_shapes(r, predictions=p)
    counts = _image_weights(image_weights, len(p))
    present = ~np.isnan(p)
    p = np.where(present, p, 0.0)
    n, s, q = (part * present for part in _rater_sums(r))
    sums = (counts @ part for part in (n, p * n, s, p * p * n + q, p * s))
    return _unweighted(_quadratic(*sums), image_weights)


def human_kappa(ratings: ArrayLike, *, image_weights: ArrayLike | None = None) -> Floats:
    """Quadratic kappa of people with each other: the anchor that a model is compared with.

    All ordered pairs of different raters of an image, over all images, form one 8 x 8 table.

    Args:
        ratings: levels 0..7 or NaN, (n_images, n_raters, k).
        image_weights: (n_resamples, n_images) counts, or None.

    Returns:
        (k,), or (n_resamples, k); NaN where no image has two raters or all ratings are equal.
    """
    r = _levels(ratings, "ratings")
    _check_shapes(r)
    counts = _image_weights(image_weights, len(r))
    n, s, q = _rater_sums(r)
    others = np.maximum(n - 1, 0)
    sums = [counts @ part for part in (n * others, s * others, q * others, s * s - q)]
    pairs, total, squares, products = sums
    return _unweighted(_quadratic(pairs, total, total, 2 * squares, products), image_weights)


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
    x, r = np.asarray(scores, dtype=np.float64), _levels(ratings, "ratings")
    gold = _levels(gold_levels, "gold_levels")
    _check_shapes(r, scores=x, gold_levels=gold)
    counts = _image_weights(image_weights, len(x))
    raters = r.shape[1] if per_rater else 1
    kappa = np.empty((len(counts), raters, x.shape[1]))
    for category in range(x.shape[1]):
        present = ~(np.isnan(x[:, category]) | np.isnan(gold[:, category]))
        given = r[present, :, category]
        # (n_images, raters) of numbers, sums and sums of squares of the ratings
        n, s, q = _rater_sums(given[:, None] if per_rater else given[:, :, None])
        drawn = counts[:, present]
        pairs, total, squares = drawn @ n, drawn @ s, drawn @ q
        groups, borders = _groups(x[present, category]), _borders(gold[present, category], drawn)
        for rows in _blocks(len(counts)):
            w = np.ascontiguousarray(drawn[rows].T)
            p = _calibrate(groups, borders[:, rows], w)
            wp = w * p
            own, product = np.split(wp.T @ np.hstack([n, s]), 2, axis=1)
            wp *= p
            kappa[rows, :, category] = _quadratic(
                pairs[rows], own, total[rows], wp.T @ n + squares[rows], product
            )
    return _unweighted(kappa if per_rater else kappa[:, 0], image_weights)


def spearman(
    first: ArrayLike, second: ArrayLike, *, image_weights: ArrayLike | None = None
) -> Floats:
    """Spearman's rank correlation over the images where both sides have a value.

    Ties share their mean rank; an image drawn twice in a resample is a tie with itself, so a
    resampled value is that of the rows drawn.

    Args:
        first, second: any scale, NaN = missing, (n_images, k).
        image_weights: (n_resamples, n_images) counts, or None.

    Returns:
        (k,), or (n_resamples, k); NaN where one side is constant or no two images are shared.
    """
    x, y = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 2:
        raise ValueError(f"first is {x.shape}, second {y.shape}: both must be (n_images, k)")
    counts = _image_weights(image_weights, len(x))
    rho = np.empty((len(counts), x.shape[1]))
    for category in range(x.shape[1]):
        present = ~(np.isnan(x[:, category]) | np.isnan(y[:, category]))
        drawn = counts[:, present]
        groups = _groups(x[present, category]), _groups(y[present, category])
        for rows in _blocks(len(counts)):
            w = np.ascontiguousarray(drawn[rows].T)
            (rank_x, spread_x), (rank_y, spread_y) = (_ranks(group, w) for group in groups)
            rank_x *= w
            product = np.einsum("ib,ib->b", rank_x, rank_y)
            rho[rows, category] = _ratio(product, np.sqrt(spread_x * spread_y))
    return _unweighted(rho, image_weights)


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
    _check_shapes(r)
    counts = _image_weights(image_weights, len(r))
    paired = (~np.isnan(r)).sum(axis=1, keepdims=True) >= 2
    r = np.where(paired, r, np.nan)
    if metric == "ordinal":
        columns = [_ordinal_alpha(r[:, :, c], counts) for c in range(r.shape[2])]
        alpha = np.stack(columns, axis=1) if columns else np.empty((len(counts), 0))
        return _unweighted(alpha, image_weights)
    # from the least rating on: alpha does not change, and an offset cannot drown the differences
    n, s, q = _rater_sums(r - np.fmin.reduce(r, axis=(0, 1), initial=np.inf))
    within = (n * q - s * s) / np.maximum(n - 1, 1)
    return _unweighted(_alpha(*(counts @ part for part in (n, s, q, within))), image_weights)


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
    gold = _levels(gold_levels, "gold_levels")
    if x.shape != gold.shape or x.ndim != 2:
        raise ValueError(
            f"scores is {x.shape}, gold_levels {gold.shape}: both must be (n_images, k)"
        )
    levels = np.full(x.shape, np.nan)
    for category in range(x.shape[1]):
        present = ~(np.isnan(x[:, category]) | np.isnan(gold[:, category]))
        once = np.ones((int(present.sum()), 1))
        borders = _borders(gold[present, category], once.T)
        fitted = _calibrate(_groups(x[present, category]), borders, once)
        levels[present, category] = fitted[:, 0]
    return levels


def resample_weights(n_images: int, n_resamples: int, seed: int) -> Floats:
    """How often each image is drawn when n_images are drawn with replacement.

    Returns:
        (n_resamples, n_images) whole numbers; each row sums to n_images. Row b counts row b of
        `numpy.random.default_rng(seed).integers(n_images, size=(n_resamples, n_images))`.
    """
    drawn = np.random.default_rng(seed).integers(n_images, size=(n_resamples, n_images))
    drawn += np.arange(n_resamples)[:, None] * n_images
    counts = np.bincount(drawn.ravel(), minlength=n_resamples * n_images)
    return counts.reshape(n_resamples, n_images).astype(np.float64)


def percentile_interval(samples: ArrayLike, level: float = 0.95) -> tuple[Floats, Floats]:
    """Percentile bootstrap interval over axis 0, from the resamples where the value is defined.

    Args:
        samples: (n_resamples, ...).
        level: share of the resamples inside, between 0 and 1.

    Returns:
        (low, high), each (...), interpolated linearly; NaN where no resample has a value.
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level!r}: it must lie between 0 and 1")
    values = np.asarray(samples, dtype=np.float64)
    defined = ~np.isnan(values).all(axis=0) if len(values) else np.zeros(values.shape[1:], bool)
    bounds = np.full((2, *values.shape[1:]), np.nan)
    if defined.any():
        tail = (1 - level) / 2
        bounds[:, defined] = np.nanquantile(values[:, defined], [tail, 1 - tail], axis=0)
    return bounds[0], bounds[1]


def nan_mean(values: ArrayLike, axis: int = -1) -> Floats:
    """Mean of the values that are defined; NaN, without a warning, where none is."""
    v = np.asarray(values, dtype=np.float64)
    return _ratio(np.nansum(v, axis=axis), (~np.isnan(v)).sum(axis=axis).astype(np.float64))


def mann_whitney(first: ArrayLike, second: ArrayLike) -> tuple[float, float]:
    """Two-sided Mann-Whitney U test, as `scipy.stats.mannwhitneyu` with its default method.

    Args:
        first, second: samples of any shape; NaN are left out.

    Returns:
        (u of the first sample, p); (NaN, NaN) where a sample is empty.
    """
    from scipy.stats import mannwhitneyu

    x, y = (np.ravel(np.asarray(sample, dtype=np.float64)) for sample in (first, second))
    x, y = x[~np.isnan(x)], y[~np.isnan(y)]
    if not len(x) or not len(y):
        return float("nan"), float("nan")
    test = mannwhitneyu(x, y, alternative="two-sided")
    return float(test.statistic), float(test.pvalue)


def benjamini_hochberg(p: ArrayLike) -> Floats:
    """p-values adjusted for the false discovery rate over all that are defined; NaN stay NaN.

    >>> benjamini_hochberg([0.01, 0.04, float("nan"), 0.03]).round(3)
    array([0.03, 0.04,  nan, 0.04])
    """
    values = np.asarray(p, dtype=np.float64)
    adjusted = values.copy()
    defined = values[~np.isnan(values)]
    order = np.argsort(defined)[::-1]
    scaled = defined[order] * len(defined) / np.arange(len(defined), 0, -1)
    back = np.empty_like(defined)
    back[order] = np.minimum(np.minimum.accumulate(scaled), 1.0) if len(defined) else scaled
    adjusted[~np.isnan(values)] = back
    return adjusted


def _levels(values: ArrayLike, name: str, n_levels: int = LEVELS) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    wrong = ~((array >= 0) & (array < n_levels) & (array == np.floor(array)) | np.isnan(array))
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        value = float(array[place])
        raise ValueError(f"{name}{list(place)} is {value}: levels are whole, 0..{n_levels - 1}")
    return array


def _check_shapes(ratings: Floats, **per_image: Floats) -> None:
    if ratings.ndim != 3:
        raise ValueError(f"ratings is {ratings.shape}: it must be (n_images, n_raters, k)")
    expected = (ratings.shape[0], ratings.shape[2])
    for name, values in per_image.items():
        if values.shape != expected:
            raise ValueError(
                f"{name} is {values.shape}: with ratings of {ratings.shape} it must be {expected}"
            )


def _image_weights(weights: ArrayLike | None, n_images: int) -> Floats:
    """(n_resamples, n_images); one row of ones for the images as they are."""
    if weights is None:
        return np.ones((1, n_images))
    counts = np.asarray(weights, dtype=np.float64)
    if counts.ndim != 2 or counts.shape[1] != n_images:
        raise ValueError(
            f"image_weights is {counts.shape}: it must be (n_resamples, {n_images} images)"
        )
    return counts


def _unweighted(values: Floats, weights: ArrayLike | None) -> Floats:
    return values[0] if weights is None else values


def _blocks(n_resamples: int) -> Iterator[slice]:
    for start in range(0, n_resamples, _RESAMPLES):
        yield slice(start, min(start + _RESAMPLES, n_resamples))


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    return np.divide(
        numerator,
        denominator,
        out=np.full(np.shape(denominator), np.nan),
        where=np.asarray(denominator) != 0,
    )


def _rater_sums(ratings: Floats) -> tuple[Floats, Floats, Floats]:
    """Number, sum and sum of squares of the ratings over axis 1, missing ones left out."""
    present = ~np.isnan(ratings)
    values = np.where(present, ratings, 0.0)
    return present.sum(axis=1).astype(np.float64), values.sum(axis=1), (values**2).sum(axis=1)


def _quadratic(n: Floats, a: Floats, b: Floats, squares: Floats, products: Floats) -> Floats:
    """Kappa with quadratic weights from sums over n pairs (a, b).

    The observed cost is sum (a - b)^2, the one expected by chance sum a^2 + sum b^2 - 2 sum a
    sum b / n; kappa = 1 - observed / expected. Levels are whole, so all of it is exact and the
    undefined case is a denominator of exactly 0.
    """
    return _ratio(2 * (n * products - a * b), n * squares - 2 * a * b)


def _kappa_of_columns(a: Floats, b: Floats, weights: str, n_levels: int, counts: Floats) -> Floats:
    """Kappa of (n_images, columns) levels, (n_resamples, columns)."""
    present = ~(np.isnan(a) | np.isnan(b))
    n = counts @ present.astype(np.float64)
    a, b = np.where(present, a, 0.0), np.where(present, b, 0.0)
    if weights == "quadratic":
        return _quadratic(n, counts @ a, counts @ b, counts @ (a * a + b * b), counts @ (a * b))
    # |a - b| is the number of steps 1..n_levels-1 that lie between a and b: on each step both sides
    # are 0 or 1, where linear and quadratic costs are the same.
    chance = np.zeros_like(n)
    for step in range(1, n_levels):
        chance += (counts @ (a >= step)) * (counts @ (b >= step))
    return _ratio(
        2 * (n * (counts @ np.minimum(a, b)) - chance), n * (counts @ (a + b)) - 2 * chance
    )


def _groups(values: Floats) -> Groups:
    """Images in ascending order, where each distinct value starts in it, and which one each has."""
    _, codes = np.unique(values, return_inverse=True)
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    return order, starts, codes


def _places(groups: Groups, counts: Floats) -> tuple[Floats, Floats]:
    """How often each distinct value is drawn, and how many draws are at most as large."""
    order, starts, _ = groups
    drawn = counts[order]
    if len(starts) < len(order):
        drawn = np.add.reduceat(drawn, starts, axis=0)
    return drawn, np.cumsum(drawn, axis=0)


def _ranks(groups: Groups, counts: Floats) -> tuple[Floats, Floats]:
    """Twice the mean rank less its average for each image, and the sum of its squares.

    With N draws, g of them equal and u at most as large, twice the mean rank is 2u - g + 1 and the
    average N + 1; the squares add up to (N^3 - sum g^3) / 3.
    """
    if not len(groups[0]):
        return np.zeros_like(counts), np.zeros(counts.shape[1])
    drawn, ranks = _places(groups, counts)
    total = ranks[-1].copy()
    spread = (total**3 - np.einsum("ib,ib,ib->b", drawn, drawn, drawn)) / 3
    ranks *= 2
    ranks -= drawn
    ranks -= total
    return ranks[groups[2]], spread


def _borders(gold: Floats, counts: Floats) -> Floats:
    """How many draws of the gold are at most level 0, 1, ..., 6: (7, n_resamples)."""
    return (counts @ (gold[:, None] <= np.arange(LEVELS - 1)).astype(np.float64)).T


def _calibrate(groups: Groups, borders: Floats, counts: Floats) -> Floats:
    """Calibrated levels of one category, (n_images, n_resamples): see `quantile_calibrate`."""
    if not len(groups[0]):
        return np.zeros_like(counts)
    drawn, upto = _places(groups, counts)
    middle = upto - drawn / 2
    levels = np.zeros(middle.shape, dtype=np.int8)
    for border in borders:
        levels += middle >= border
    return levels.astype(np.float64)[groups[2]]


def _alpha(n: Floats, total: Floats, squares: Floats, within: Floats) -> Floats:
    """Alpha from n paired ratings, their sum and squares, and the squared differences in images."""
    spread = n * squares - total**2
    constant = spread <= _ROUNDING * n * squares
    return 1 - _ratio((n - 1) * within, np.where(constant, 0.0, spread))


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
    return _alpha(drawn.sum(axis=1), total, squares, within)
