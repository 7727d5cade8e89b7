"""The bootstrap over images as a matrix of weights, and what is made of resampled values.

Row b of the weights says how often each image is drawn in resample b. One matrix serves all
statistics, so that differences between them are paired; a sum over the images drawn is a product
with it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_WHOLE_IN_FLOAT32 = 2**24  # up to here 32-bit floats hold every whole number


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


def as_counts(weights: ArrayLike | None, n_images: int) -> Floats:
    """Weights as (n_resamples, n_images); one row of ones for the images as they are.

    Raises:
        ValueError: another shape.
    """
    if weights is None:
        return np.ones((1, n_images))
    counts = np.asarray(weights, dtype=np.float64)
    if counts.ndim != 2 or counts.shape[1] != n_images:
        raise ValueError(
            f"image_weights is {counts.shape}: it must be (n_resamples, {n_images} images)"
        )
    return counts


def unweighted(values: Floats, weights: ArrayLike | None) -> Floats:
    """The values without the axis of resamples where no weights were given."""
    return values[0] if weights is None else values


def compact(counts: Floats, largest: float) -> NDArray[np.floating]:
    """The weights as 32-bit floats where products with them stay exact, which takes half the time.

    Args:
        counts: (n_resamples, n_images).
        largest: of the whole numbers >= 0 that they will be multiplied with.
    """
    whole = (counts == np.floor(counts)).all() and (counts >= 0).all()
    if whole and counts.sum(axis=1).max(initial=0) * largest <= _WHOLE_IN_FLOAT32:
        return counts.astype(np.float32)
    return counts


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
    missing = np.isnan(values)
    bounds = np.full((2, *values.shape[1:]), np.nan)
    tails = [(1 - level) / 2, 1 - (1 - level) / 2]
    if len(values) and not missing.any():
        bounds[:] = np.quantile(values, tails, axis=0)
    elif not missing.all():
        defined = ~missing.all(axis=0)
        bounds[:, defined] = np.nanquantile(values[:, defined], tails, axis=0)
    return bounds[0], bounds[1]


def nan_mean(values: ArrayLike, axis: int = -1) -> Floats:
    """Mean of the values that are defined; NaN, without a warning, where none is."""
    v = np.asarray(values, dtype=np.float64)
    missing = np.isnan(v)
    total = np.where(missing, 0.0, v).sum(axis=axis)
    return ratio(total, v.shape[axis] - missing.sum(axis=axis, dtype=np.float64))


def nan_median(values: ArrayLike, axis: int = -1) -> Floats:
    """Median of the values that are defined, as `numpy.nanmedian` but quick on short axes.

    NaN, without a warning, where no value is defined.
    """
    v = np.sort(np.asarray(values, dtype=np.float64), axis=axis)  # NaN stand last
    last = np.maximum((~np.isnan(v)).sum(axis=axis, keepdims=True) - 1, 0)
    if not v.shape[axis]:
        return np.full(last.squeeze(axis).shape, np.nan)
    middle = [np.take_along_axis(v, place, axis) for place in (last // 2, (last + 1) // 2)]
    return ((middle[0] + middle[1]) / 2).squeeze(axis)


def ratio(numerator: ArrayLike, denominator: ArrayLike) -> Floats:
    """The quotient, NaN where the denominator is 0."""
    below = np.asarray(denominator)
    shape = np.broadcast_shapes(np.shape(numerator), below.shape)
    return np.divide(numerator, below, out=np.full(shape, np.nan), where=below != 0)
