"""The Mann-Whitney test, and p-values of many tests adjusted for their number.

scipy has both. It is not used because importing its statistics takes longer than all tables of the
official protocol; the tests hold these functions against it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .ranks import centred_ranks

Floats = NDArray[np.float64]

_EXACT_MAX = 8  # the size of the smaller sample up to which scipy counts arrangements


def mann_whitney(first: ArrayLike, second: ArrayLike) -> tuple[float, float]:
    """Two-sided Mann-Whitney U test, as `scipy.stats.mannwhitneyu` with its default method.

    Without ties and with 8 values or fewer on a side p is exact, otherwise from the normal
    approximation with corrections for ties and continuity.

    Args:
        first, second: samples of any shape; NaN are left out.

    Returns:
        (u of the first sample, p); (NaN, NaN) where a sample is empty. All values equal: p is 1.

    >>> mann_whitney([1, 2, 4], [3, 5, 6, 7])
    (1.0, 0.11428571428571428)
    """
    x, y = (np.ravel(np.asarray(sample, dtype=np.float64)) for sample in (first, second))
    x, y = x[~np.isnan(x)], y[~np.isnan(y)]
    if not len(x) or not len(y):
        return float("nan"), float("nan")
    both = np.concatenate([x, y])
    n1, n2, n = len(x), len(y), len(both)
    ranks = (centred_ranks(both[:, None])[:n1, 0].sum() + n1 * (n + 1)) / 2
    u = float(ranks - n1 * (n1 + 1) / 2)
    larger = max(u, n1 * n2 - u)
    ties = np.unique(both, return_counts=True)[1].astype(np.float64)
    if min(n1, n2) <= _EXACT_MAX and len(ties) == n:
        return u, min(1.0, 2 * _upper_tail(larger, n1, n2))
    variance = n1 * n2 / 12 * ((n + 1) - (ties**3 - ties).sum() / (n * (n - 1)))
    if variance <= 0:
        return u, 1.0
    z = (larger - n1 * n2 / 2 - 0.5) / math.sqrt(variance)
    return u, min(1.0, math.erfc(z / math.sqrt(2)))


def _upper_tail(u: float, n1: int, n2: int) -> float:
    """Share of the arrangements of n1 and n2 different values with a U of at least u.

    The numbers of arrangements by U are the coefficients of the Gaussian binomial: the product of
    (1 - q^(large + i)) / (1 - q^i) over i = 1..small. Python's whole numbers keep them exact.
    """
    small, large = sorted((n1, n2))
    counts = [1] + [0] * (small * large)
    for i in range(1, small + 1):
        for power in range(len(counts) - 1, large + i - 1, -1):
            counts[power] -= counts[power - large - i]
        for power in range(i, len(counts)):
            counts[power] += counts[power - i]
    return sum(counts[math.ceil(u) :]) / math.comb(n1 + n2, n1)


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
