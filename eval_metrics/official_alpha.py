"""The published bootstrap of Krippendorff's alpha, draw for draw.

One generator runs through the categories, so each has draws of its own: 100 million at the
published size. Ratings are whole numbers, so what an image adds to the sums fits into one integer:
the draws are looked up and added once, not once for each sum.
Source: released `statistics/analysis-hq.ipynb`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from eval_metrics.drawn_places import Places
from eval_metrics.emonet_face_agreement.agreement import alpha_of_sums, alpha_parts

Floats = NDArray[np.float64]

_DRAWS = 250_000  # places at a time: few enough for the CPU cache, and seldom waiting for a lock
_BITS = 63  # of a positive integer


def alpha_bootstrap(ratings: Floats, n_resamples: int, seed: int) -> tuple[Floats, Floats]:
    """Interval alpha of each category, and of it in each resample of the images.

    Args:
        ratings: (n_images, n_raters, k), NaN = missing.
        n_resamples: 0 for none.
        seed: of the one generator.

    Returns:
        (k,) and (n_resamples, k); NaN where undefined, as without an image.
    """
    parts = np.stack(alpha_parts(ratings), axis=-1)  # (n_images, k, 4)
    alpha = alpha_of_sums(*np.moveaxis(parts.sum(axis=0), -1, 0))
    n_images, k = parts.shape[:2]
    samples = np.full((n_resamples, k), np.nan)
    if n_images:
        places = Places(seed, n_images)
        for category in range(k):
            sums = _Sums(parts[:, category])
            drawn = [sums.over(some) for some in _blocks(places, n_resamples, n_images)]
            samples[:, category] = alpha_of_sums(*np.concatenate(drawn).T) if drawn else ()
    return alpha, samples


def _blocks(places: Places, n_resamples: int, n_images: int) -> Iterator[NDArray[np.int64]]:
    """All resamples of one category, some at a time: (some, n_images) places."""
    rows = max(1, _DRAWS // n_images)
    for start in range(0, n_resamples, rows):
        yield places((min(rows, n_resamples - start), n_images))


class _Sums:
    """What resamples add up of the parts of one category, (n_images, 4) as of `alpha_parts`."""

    def __init__(self, parts: Floats) -> None:
        n, total, squares, _ = parts.T
        self._parts = np.ascontiguousarray(parts)
        self._n = n[0]
        whole = np.stack([total, squares, n * squares - total**2])
        bits = [(len(parts) * int(most)).bit_length() for most in whole.max(axis=1)]
        alike = n[0] > 1 and (n == n[0]).all() and (whole == np.rint(whole)).all()
        self._fits = alike and sum(bits) <= _BITS
        if self._fits:
            self._shifts = np.cumsum([0, *bits[:-1]])[:, None]
            self._masks = (1 << np.array(bits)[:, None]) - 1
            self._packed = (whole.astype(np.int64) << self._shifts).sum(axis=0)

    def over(self, places: NDArray[np.int64]) -> Floats:
        """The sums over each row of places, (n, n_images): (n, 4)."""
        # "clip" only spares numpy a second look at places that are all there
        if not self._fits:
            return np.take(self._parts, places, axis=0, mode="clip").sum(axis=1)
        packed = np.take(self._packed, places, mode="clip").sum(axis=1)
        total, squares, within = packed >> self._shifts & self._masks
        n = np.full(len(places), self._n * places.shape[1])
        return np.stack([n, total, squares, within / (self._n - 1)], axis=1)
