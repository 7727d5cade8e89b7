"""Scores as the 8 levels of a rating, 0..7, the two ways they are made of continuous scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

LEVELS = 8
"""A rating is one of the 8 levels 0 (absent) to 7 (very strong)."""


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


def checked_levels(values: ArrayLike, name: str, n_levels: int = LEVELS) -> Floats:
    """The values as an array, if each is a level 0..n_levels-1 or NaN.

    Raises:
        ValueError: another value; the message gives its name and place.
    """
    array = np.asarray(values, dtype=np.float64)
    wrong = ~((array >= 0) & (array < n_levels) & (array == np.floor(array)) | np.isnan(array))
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        value = float(array[place])
        raise ValueError(f"{name}{list(place)} is {value}: levels are whole, 0..{n_levels - 1}")
    return array


def check_shapes(ratings: Floats, **per_image: Floats) -> None:
    """Raise a ValueError unless ratings are (n_images, n_raters, k), the others (n_images, k)."""
    if ratings.ndim != 3:
        raise ValueError(f"ratings is {ratings.shape}: it must be (n_images, n_raters, k)")
    expected = (ratings.shape[0], ratings.shape[2])
    for name, values in per_image.items():
        if values.shape != expected:
            raise ValueError(
                f"{name} is {values.shape}: with ratings of {ratings.shape} it must be {expected}"
            )


def rater_sums(ratings: Floats) -> tuple[Floats, Floats, Floats]:
    """Number, sum and sum of squares of the ratings over axis 1, missing ones left out."""
    present = ~np.isnan(ratings)
    values = np.where(present, ratings, 0.0)
    return present.sum(axis=1).astype(np.float64), values.sum(axis=1), (values**2).sum(axis=1)
