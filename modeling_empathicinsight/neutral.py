"""Neutral means: what a model gives for faces that show nothing of an output.

The released constants belong to the released weights. For weights trained here they are measured on
the training images.
"""

from __future__ import annotations

import numpy as np

from emonet_face.taxonomy import N_EMOTIONS
from modeling_empathicinsight.targets import Examples

MIN_FACES = 10
LOWEST = 0.1
"""Share of the images that stands in where fewer than MIN_FACES are rated 0."""

FROM_RATINGS = (
    "mean raw score over training images whose rating of the category is 0; over the tenth with the"
    f" lowest rating where fewer than {MIN_FACES} are; for dimensions over the tenth with the"
    " smallest sum of the 40 ratings"
)
FROM_VOTES = (
    "mean raw score over training images with only No answers for the category; over the tenth with"
    f" the lowest score where fewer than {MIN_FACES} are"
)


def means_from_ratings(scores: np.ndarray, rated: Examples) -> list[float]:
    """Neutral means as `FROM_RATINGS` says.

    Args:
        scores: (n, 40 or 44) raw scores of all rated images.
        rated: the examples of stage 1; held-out images are passed over.

    Returns:
        One number per output.
    """
    scores, values = scores[~rated.held_out], rated.values[~rated.held_out]
    ratings = values[:, :N_EMOTIONS]
    expressed = np.where(np.isnan(ratings).all(axis=1), np.nan, np.nansum(ratings, axis=1))
    means = []
    for output in range(scores.shape[1]):
        column = ratings[:, output] if output < N_EMOTIONS else expressed
        zero = np.flatnonzero(column == 0) if output < N_EMOTIONS else np.empty(0, dtype=int)
        means.append(scores[_enough(zero, column), output].mean(dtype=np.float64))
    return [float(mean) for mean in means]


def means_from_votes(scores: np.ndarray, voted: Examples) -> list[float]:
    """Neutral means as `FROM_VOTES` says: where there are no ratings.

    Args:
        scores: (n, 40) raw scores of all voted images.
        voted: the examples of stage 2; held-out images are passed over.

    Returns:
        One number per category.
    """
    scores, votes = scores[~voted.held_out], voted.values[~voted.held_out]
    means = []
    for output in range(N_EMOTIONS):
        no, yes = votes[:, output].T
        absent = np.flatnonzero((no > 0) & (yes == 0))
        chosen = _enough(absent, scores[:, output])
        means.append(float(scores[chosen, output].mean(dtype=np.float64)))
    return means


def _enough(rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The rows if there are enough, else those of the lowest values (NaN = no value)."""
    if len(rows) >= MIN_FACES:
        return rows
    count = max(1, round(LOWEST * np.isfinite(values).sum()))
    return np.argsort(values, kind="stable")[:count]
