"""Rules on ratings: their scale, their raters, and the medians that follow from them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dataset_scripts.findings import Findings, counted
from dataset_scripts.row_batches import Batch
from emonet_face.errors import shown
from emonet_face.taxonomy import DIMENSIONS, EMOTIONS, N_EMOTIONS, RATING_MAX, RATING_MIN

HQ_RATERS = 4
"""Raters of every image in the published HQ set."""

_TOLERANCE = 1e-5


class RatingRules:
    """Looks at the columns `ratings`, `median_scores` and `dimensions` of `hq` or `big`."""

    def __init__(self, config: str, findings: Findings) -> None:
        self._config = config
        self._findings = findings
        self._raters: Counter[int] = Counter()

    def look(self, batch: Batch) -> None:
        """Check the ratings of a batch; `close` says how many raters the images have."""
        column = batch.rows["ratings"]
        entries = column.flatten()
        names = entries.field("annotator").to_pylist()
        sizes = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
        row_of = np.repeat(np.arange(len(sizes)), sizes)
        scores, gaps = score_matrix(entries.field("scores"))
        self._raters.update(sizes.tolist())
        for row in np.flatnonzero(sizes == 0):
            self._error("no_rating", batch.where(row), "has no rating")
        self._look_at_names(batch, names, row_of)
        self._look_at_scores(batch, scores, gaps, names, row_of)
        self._look_at_medians(batch, scores, sizes)
        if "dimensions" in batch.rows.schema.names:
            self._look_at_dimensions(batch)

    def close(self) -> None:
        """Say which images have another number of raters than the published set, for `hq`."""
        odd = {n: images for n, images in sorted(self._raters.items()) if n not in (0, HQ_RATERS)}
        if self._config == "hq" and odd:
            spread = ", ".join(f"{counted(images, 'has', 'have')} {n}" for n, images in odd.items())
            text = (
                f"{sum(odd.values()):,} of {self._raters.total():,} images have other than"
                f" {HQ_RATERS} raters: {spread}"
            )
            self._findings.warning("raters", self._config, "", text)

    def _look_at_names(self, batch: Batch, names: list[str | None], row_of: NDArray) -> None:
        seen: set[tuple[int, str]] = set()
        for row, name in zip(row_of.tolist(), names, strict=True):
            if not name:
                self._error("annotator", batch.where(row), "a rating has no annotator")
            elif (row, name) in seen:
                self._error("rated_twice", batch.where(row), f"{shown(name)} rated the image twice")
            else:
                seen.add((row, name))

    def _look_at_scores(
        self, batch: Batch, scores: NDArray, gaps: NDArray, names: list, row_of: NDArray
    ) -> None:
        for entry, emotion in np.argwhere(~gaps & ~in_range(scores, RATING_MIN, RATING_MAX)):
            text = (
                f"{shown(names[entry])} gave {EMOTIONS[emotion]!r} {scores[entry, emotion]:g}:"
                f" a rating must lie in {RATING_MIN}..{RATING_MAX}"
            )
            self._error("rating_range", batch.where(row_of[entry]), text)
        n_gaps = gaps.sum(axis=1)
        people = self._config == "hq"  # an annotator of `big` may leave out some, but not all
        for entry in np.flatnonzero(n_gaps if people else n_gaps == N_EMOTIONS):
            n = counted(int(n_gaps[entry]), "category", "categories")
            text = f"{shown(names[entry])} has no value for {n}"
            where = batch.where(row_of[entry])
            if people:
                self._error("rating_gap", where, f"{text}: 0 is meant")
            else:
                self._findings.warning("rating_gap", self._config, where, text)

    def _look_at_medians(self, batch: Batch, scores: NDArray, sizes: NDArray) -> None:
        stored, _ = score_matrix(batch.rows["median_scores"])
        ends = np.cumsum(sizes)
        for n in np.unique(sizes[sizes > 0]):
            rows = np.flatnonzero(sizes == n)
            given = scores[(ends[rows] - n)[:, None] + np.arange(n)]
            right = _nan_median(given.astype(np.float64))
            same = np.isclose(stored[rows], right, atol=_TOLERANCE, equal_nan=True)
            for row in rows[~same.all(axis=1)]:
                text = "median_scores are not the medians of the ratings"
                self._error("median", batch.where(row), text)

    def _look_at_dimensions(self, batch: Batch) -> None:
        for dimension in DIMENSIONS:
            column = pc.struct_field(batch.rows["dimensions"], dimension.slug)
            values = column.to_numpy(zero_copy_only=False)
            given = column.is_valid().to_numpy(zero_copy_only=False)
            low, high = dimension.low, dimension.high
            for row in np.flatnonzero(given & ~in_range(values, low, high)):
                text = f"{dimension.slug} is {values[row]:g}: must lie in {low}..{high}"
                self._error("dimension_range", batch.where(row), text)

    def _error(self, rule: str, where: str, text: str) -> None:
        self._findings.error(rule, self._config, where, text)


class BaselineRules:
    """Looks at `hq_baselines`: scores of models are any finite numbers."""

    def __init__(self, config: str, findings: Findings) -> None:
        self._config = config
        self._findings = findings

    def look(self, batch: Batch) -> None:
        """Check the scores of a batch."""
        names = batch.rows["annotator"].to_pylist()
        scores, gaps = score_matrix(batch.rows["scores"])
        for row, emotion in np.argwhere(~gaps & ~np.isfinite(scores)):
            text = f"{shown(names[row])} gave {EMOTIONS[emotion]!r} {scores[row, emotion]}: must be"
            text += " finite, or null for a category without a score"
            self._findings.error("score_range", self._config, batch.where(row), text)

    def close(self) -> None:
        """Nothing is left to say."""


def score_matrix(column: pa.FixedSizeListArray) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Vectors of 40 scores -> (n, 40) values with NaN at gaps, and where the gaps are.

    A NaN that was stored is no gap. A vector that is null as a whole is 40 gaps.
    """
    values = np.full((len(column), N_EMOTIONS), np.nan, np.float32)
    gaps = np.ones((len(column), N_EMOTIONS), bool)
    whole = column.is_valid().to_numpy(zero_copy_only=False)
    flat = column.flatten()  # without the vectors that are null
    values[whole] = flat.to_numpy(zero_copy_only=False).reshape(-1, N_EMOTIONS)
    gaps[whole] = flat.is_null().to_numpy(zero_copy_only=False).reshape(-1, N_EMOTIONS)
    return values, gaps


def in_range(values: NDArray, low: float, high: float) -> NDArray[np.bool_]:
    """Where values lie in low..high; False for NaN."""
    with np.errstate(invalid="ignore"):
        return (values >= low) & (values <= high)


def _nan_median(given: NDArray[np.float64]) -> NDArray[np.float64]:
    """(images, raters, 40) -> (images, 40): the median of what was given, NaN where nothing was."""
    median = np.full((given.shape[0], given.shape[2]), np.nan)
    rated = ~np.isnan(given).all(axis=1)
    median[rated] = np.nanmedian(np.swapaxes(given, 1, 2)[rated], axis=-1)
    return median
