"""Spearman's rank correlation, plain and for every resample of a bootstrap.

Ranks are doubled, so that the mean rank of a tie is a whole number and all sums are exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .resampling import as_counts, compact, ratio, unweighted

Floats = NDArray[np.float64]
Sums = Callable[[int, Floats], tuple[Floats, Floats, Floats]]
"""Of a block of resamples, by number and draws: products of ranks, cubes of each side's ties."""

_RESAMPLES = 128  # handled at a time where ranks differ between resamples: fits the CPU cache
_COLUMNS = 64  # ranked at a time, for the same reason
_CELLS = 256  # up to here a table of two sides' values is quicker than ranks of images


def spearman(
    first: ArrayLike, second: ArrayLike, *, image_weights: ArrayLike | None = None
) -> Floats:
    """Spearman's rank correlation over the images where both sides have a value.

    Ties share their mean rank; an image drawn twice in a resample is a tie with itself, so a
    resampled value is that of the rows drawn.

    Args:
        first, second: any scale, NaN = missing, (n_images, ...); the trailing axes broadcast, so
            (n, M, 1, k) against (n, 1, J, k) gives every model with every reference.
        image_weights: (n_resamples, n_images) counts, or None.

    Returns:
        (...), or (n_resamples, ...); NaN where one side is constant or no two images are shared.

    Raises:
        ValueError: shapes that do not fit.

    >>> spearman([[1.0], [2.0], [2.0], [9.0]], [[0.0], [1.0], [2.0], [3.0]]).round(3)
    array([0.949])
    """
    x, y = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    try:
        shape = np.broadcast_shapes(x.shape[1:], y.shape[1:])
    except ValueError:
        shape = None
    if shape is None or not x.ndim or x.shape[:1] != y.shape[:1]:
        raise ValueError(
            f"first is {x.shape}, second {y.shape}: both must be (n_images, ...) of the same images"
        )
    counts = as_counts(image_weights, len(x))
    x, y = (v.reshape(len(v), *[1] * (len(shape) + 1 - v.ndim), *v.shape[1:]) for v in (x, y))
    rho = _plain(x, y)[None] if image_weights is None else _resampled(x, y, counts)
    return unweighted(rho, image_weights)


def centred_ranks(values: Floats) -> Floats:
    """Twice the mean rank less its average, among the values of a column; 0 where missing.

    Args:
        values: (n, ...), NaN = missing.
    """
    columns = values.reshape(len(values), math.prod(values.shape[1:])).T
    ranks = np.empty(columns.shape)
    for start in range(0, len(columns), _COLUMNS):
        some = np.ascontiguousarray(columns[start : start + _COLUMNS])
        ranks[start : start + _COLUMNS] = _centred_ranks(some)
    return ranks.T.reshape(values.shape)


def _centred_ranks(columns: Floats) -> Floats:
    size, n = columns.shape
    order = np.argsort(columns, axis=1)
    order += n * np.arange(size)[:, None]
    ordered = np.take(columns, order)
    new = np.ones((size, n), dtype=bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    starts = np.flatnonzero(new)
    sizes = np.diff(starts, append=new.size)
    # values at places start..start+size-1 of a column, from 0, have twice the rank 2 start + size+1
    doubled = np.repeat(2 * starts + sizes + 1, sizes).reshape(size, n)
    present = ~np.isnan(ordered)
    doubled -= 2 * n * np.arange(size)[:, None] + present.sum(axis=1, keepdims=True) + 1
    ranks = np.empty((size, n))
    np.put(ranks, order, np.where(present, doubled, 0))
    return ranks


def _plain(x: Floats, y: Floats) -> Floats:
    """Correlations of the images as they are, (...): ranks of a side serve all its partners.

    Only where a partner lacks images that the side has is the side ranked anew.
    """
    ranks = centred_ranks(x), centred_ranks(y)
    rho = _correlation(*ranks)
    missing = np.isnan(x), np.isnan(y)
    odd = np.zeros(rho.shape, dtype=bool)
    if missing[0].any() or missing[1].any():
        odd = (missing[0] != missing[1]).any(axis=0)
    if odd.any():
        shape = len(x), *rho.shape
        sides = []
        for values, ranked, lacking in zip((x, y), ranks, missing[::-1], strict=True):
            values, ranked, lacking = (
                np.broadcast_to(v, shape)[:, odd] for v in (values, ranked, lacking)
            )
            anew = (lacking & ~np.isnan(values)).any(axis=0)
            fewer = np.where(lacking[:, anew], np.nan, values[:, anew])
            ranked[:, anew] = centred_ranks(fewer)
            sides.append(ranked)
        rho[odd] = _correlation(*sides)
    return rho


def _correlation(x: Floats, y: Floats) -> Floats:
    spread = (x * x).sum(axis=0) * (y * y).sum(axis=0)
    return ratio(np.einsum("i...,i...->...", x, y), np.sqrt(spread))


@dataclass(frozen=True)
class Codes:
    """A column of values without gaps: which distinct value each image has, and their order.

    Attributes:
        code: (n_images,) place of the image's value among the distinct values.
        order: (n_images,) images by value.
        starts: (n_values,) where each distinct value begins in `order`.
    """

    code: NDArray[np.intp]
    order: NDArray[np.intp]
    starts: NDArray[np.intp]

    @classmethod
    def of(cls, values: Floats) -> Codes:
        order = np.argsort(values)
        ordered = values[order]
        new = np.ones(len(values), dtype=bool)
        new[1:] = ordered[1:] != ordered[:-1]
        code = np.empty(len(values), dtype=np.intp)
        code[order] = np.cumsum(new) - 1
        return cls(code, order, np.flatnonzero(new))

    def __len__(self) -> int:
        return len(self.starts)

    def drawn(self, counts: Floats) -> Floats:
        """How often each distinct value is drawn: (n_images, ...) -> (n_values, ...)."""
        in_order = counts[self.order]
        if len(self) < len(self.order):
            return np.add.reduceat(in_order, self.starts, axis=0)
        return in_order


def resample_blocks(n_resamples: int) -> Iterator[slice]:
    """Slices of the resamples that are handled at a time."""
    for start in range(0, n_resamples, _RESAMPLES):
        yield slice(start, start + _RESAMPLES)


def _resampled(x: Floats, y: Floats, counts: Floats) -> Floats:
    """Correlations in each resample, (n_resamples, ...).

    With T draws, g of them equal and u at most as large, twice the mean rank is 2u - g + 1 and its
    average T + 1. The 1 is left out, so the squares about the average add up to (T^3 - sum g^3) / 3
    and the products to sum w (2u - g) (2u' - g') - T^3.
    """
    shape = np.broadcast_shapes(x.shape[1:], y.shape[1:])
    rho = np.full((len(counts), math.prod(shape)), np.nan)
    # draws times doubled ranks add up to the square of the number of draws
    counts = compact(counts, largest=counts.sum(axis=1).max(initial=0))
    blocks = [(rows, np.ascontiguousarray(counts[rows].T)) for rows in resample_blocks(len(counts))]
    own = np.arange(math.prod(x.shape[1:])).reshape(x.shape[1:])
    own = np.broadcast_to(own, shape).ravel()
    x, y = (np.broadcast_to(v, (len(v), *shape)).reshape(len(v), rho.shape[1]) for v in (x, y))
    ranked = _Ranked()
    for column in np.argsort(own, kind="stable"):  # the partners of one column, one by one
        shared = ~(np.isnan(x[:, column]) | np.isnan(y[:, column]))
        if not shared.any():
            continue
        codes_x, codes_y = (Codes.of(v[shared, column]) for v in (x, y))
        if len(codes_x) * len(codes_y) <= _CELLS:
            sums = _table(codes_x, codes_y)
        else:
            sums = ranked.partner(codes_x, codes_y, key=(own[column], shared.tobytes()))
        for number, (rows, drawn) in enumerate(blocks):
            drawn = drawn if shared.all() else drawn[shared]
            product, cubes_x, cubes_y = sums(number, drawn)
            total = drawn.sum(axis=0, dtype=np.float64) ** 3
            spread = (total - cubes_x) / 3 * ((total - cubes_y) / 3)
            rho[rows, column] = ratio(product - total, np.sqrt(spread))
    return rho.reshape(len(counts), *shape)


def _table(x: Codes, y: Codes) -> Sums:
    """The sums from how often every two values meet: quick for ratings on a few levels."""
    cells = Codes.of(x.code * len(y) + y.code)
    image = cells.order[cells.starts]  # one of each cell
    sides = [Codes.of(side.code[image]) for side in (x, y)]

    def sums(_: int, drawn: Floats) -> tuple[Floats, Floats, Floats]:
        meet = cells.drawn(drawn)
        (ranks_x, cubes_x), (ranks_y, cubes_y) = (_doubled_ranks(s.drawn(meet)) for s in sides)
        product = np.multiply(meet, ranks_x[sides[0].code], dtype=np.float64)
        product *= ranks_y[sides[1].code]
        return product.sum(axis=0), cubes_x, cubes_y

    return sums


class _Ranked:
    """Draws x ranks of one column, image by image, kept for its partners: few models, many ranks.

    They take the memory of the weights.
    """

    def __init__(self) -> None:
        self._key: tuple[int, bytes] | None = None
        self._blocks: dict[int, tuple[Floats, Floats]] = {}

    def partner(self, x: Codes, y: Codes, key: tuple[int, bytes]) -> Sums:
        """The sums with one partner; `key` tells the column and the images."""
        if key != self._key:
            self._key, self._blocks = key, {}

        def sums(number: int, drawn: Floats) -> tuple[Floats, Floats, Floats]:
            if number not in self._blocks:
                ranks, cubes = _doubled_ranks(x.drawn(drawn))
                ranked = ranks[x.code]
                ranked *= drawn
                self._blocks[number] = ranked, cubes
            ranked, cubes_x = self._blocks[number]
            ranks, cubes_y = _doubled_ranks(y.drawn(drawn))
            product = np.einsum("vb,vb->b", y.drawn(ranked), ranks, dtype=np.float64)
            return product, cubes_x, cubes_y

        return sums


def _doubled_ranks(drawn: Floats) -> tuple[Floats, Floats]:
    """2u - g of each distinct value, and the sum of g^3: see `_resampled`."""
    ranks = np.cumsum(drawn, axis=0)
    ranks *= 2
    ranks -= drawn
    return ranks, np.multiply(drawn * drawn, drawn, dtype=np.float64).sum(axis=0)
