"""Perceptual hashes: short bit strings that stay nearly the same when a picture is re-encoded.

A picture is reduced to 64 x 64 grey levels and transformed by a cosine transform (DCT-II). The bits
say which coefficients lie above their median: 64 bits from the lowest 8 x 8 frequencies, which find
candidates quickly, and 256 bits from the lowest 16 x 16, which tell a copy from another portrait of
the same layout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

SIDE = 64
COARSE_BITS, FINE_BITS = 64, 256
_FLAT = 2.0
"""A reduction whose grey levels (0-255) deviate less than this from their mean shows nothing."""

_POSITION = np.arange(SIDE) + 0.5
_COSINES = np.cos(np.pi / SIDE * np.arange(16)[:, None] * _POSITION)

Hashes = NDArray[np.uint64]
"""(n_images, 5): the coarse hash, then the four words of the fine one; all 0 without structure."""


def reduce(image: Image.Image) -> NDArray[np.uint8]:
    """A picture -> (64, 64) grey levels 0-255, its proportions given up."""
    from PIL.Image import Resampling

    grey = image.convert("L")
    return np.asarray(grey.resize((SIDE, SIDE), Resampling.LANCZOS, reducing_gap=2.0))


def perceptual_hashes(reduced: NDArray[np.uint8]) -> Hashes:
    """Grey reductions (n_images, 64, 64) -> hashes (n_images, 5).

    A picture without structure (one colour) has the hash 0 and is like nothing: every picture with
    structure has bits set.
    """
    levels = reduced.astype(np.float64)
    spectrum = _COSINES @ levels @ _COSINES.T
    hashes = np.hstack([_above_median(spectrum[:, :8, :8]), _above_median(spectrum)])
    hashes[levels.std(axis=(1, 2)) < _FLAT] = 0
    return hashes


def _above_median(coefficients: NDArray[np.float64]) -> Hashes:
    """One bit a coefficient; the median leaves out the mean brightness, which stands first."""
    flat = coefficients.reshape(len(coefficients), -1)
    bits = flat > np.median(flat[:, 1:], axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(np.uint64)
