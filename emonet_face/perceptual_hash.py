"""Perceptual hashes: short bit strings that stay nearly the same when a picture is re-encoded.

A picture is reduced to 64 x 64 grey levels and transformed by a cosine transform (DCT-II). The bits
say which coefficients lie above their median: 64 bits from the lowest 8 x 8 frequencies, which find
candidates quickly, and 256 bits from the lowest 16 x 16, which tell a copy from another portrait of
the same layout. Two pictures are near duplicates where both differ in few bits.

numpy is imported at the top: only those who hash pictures import this module.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

SIDE = 64
COARSE_BITS, FINE_BITS = 64, 256
COARSE_LIMIT, FINE_LIMIT = 6, 12
"""Differing bits of 64 and of 256 up to which two pictures count as near duplicates.

Measured on 2,000 schematic faces, which share one layout, and copies of 400 of them: copies saved
as JPEG of quality 75, scaled by 0.5 or 2 or 10-20 % darker or brighter differ in at most 6 and 10
bits; two different faces never in fewer than 18 of the 256. Crops and mirror images are not found.
"""

_FLAT = 2.0
"""A reduction whose grey levels (0-255) deviate less than this from their mean shows nothing."""

_ROWS, _COLUMNS = 64, 16_384  # a block of distances stays in the processor's cache

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
    middle = flat.shape[1] // 2 - 1  # of the 63 or 255 others, so that the median is one of them
    median = np.partition(flat[:, 1:], middle, axis=1)[
        :, middle, None
    ]  # twice as fast as np.median
    bits = flat > median
    return np.packbits(bits, axis=1).view(np.uint64)


def near(
    a: Hashes, b: Hashes
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.uint64]]]:
    """All pairs of near duplicates: every hash of `a` is compared with every one of `b`.

    Both parts must agree, up to `COARSE_LIMIT` and `FINE_LIMIT` bits. A picture without structure
    is like nothing.

    Args:
        a, b: (n_images, 5) each.

    Yields:
        Block by block (rows of a, rows of b, differing bits of the 256): memory does not grow with
        the number of pairs.
    """
    for rows, columns in _coarse_candidates(a[:, 0], b[:, 0]):
        distance = np.bitwise_count(a[rows, 1:] ^ b[columns, 1:]).sum(axis=1)
        alike = (distance <= FINE_LIMIT) & a[rows, 1:].any(axis=1) & b[columns, 1:].any(axis=1)
        yield rows[alike], columns[alike], distance[alike]


def _coarse_candidates(
    a: NDArray[np.uint64], b: NDArray[np.uint64]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Indices (rows of a, rows of b) of all pairs within `COARSE_LIMIT` bits, block by block."""
    differing = np.empty((_ROWS, _COLUMNS), np.uint64)  # reused: a new block costs more than work
    counts = np.empty((_ROWS, _COLUMNS), np.uint8)
    for top in range(0, len(a), _ROWS):
        for left in range(0, len(b), _COLUMNS):
            one, other = a[top : top + _ROWS, None], b[None, left : left + _COLUMNS]
            bits = np.bitwise_xor(one, other, out=differing[: one.size, : other.size])
            count = np.bitwise_count(bits, out=counts[: one.size, : other.size])
            if count.min() <= COARSE_LIMIT:
                rows, columns = np.nonzero(count <= COARSE_LIMIT)
                yield rows + top, columns + left
