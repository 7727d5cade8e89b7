"""Average precision: how well scores put the images that show an emotion before the others."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .ranks import Codes
from .resampling import as_counts, ratio, unweighted

Floats = NDArray[np.float64]


def average_precision(
    scores: ArrayLike, relevant: ArrayLike, *, image_weights: ArrayLike | None = None
) -> Floats:
    """Area under precision over recall, as `sklearn.metrics.average_precision_score`.

    The mean over emotions, `nan_mean` of what is returned, is the mAP that the readout study
    (arXiv 2610.08162) prints beside kappa. Constant scores have the share of relevant images.

    Args:
        scores: any scale, NaN = missing, (n_images, k).
        relevant: whether the emotion is there, 0 or 1, NaN = unknown, (n_images, k); for ratings
            e.g. where the people's median is at least 1.
        image_weights: (n_resamples, n_images) counts, or None.

    Returns:
        (k,), or (n_resamples, k), in 0..1; NaN where no relevant image has a score.

    Raises:
        ValueError: `relevant` holds another number, or shapes that do not fit.

    >>> average_precision([[0.9], [0.8], [0.1]], [[1], [0], [1]]).round(3)
    array([0.833])
    """
    x, gold = np.asarray(scores, dtype=np.float64), np.asarray(relevant, dtype=np.float64)
    if x.shape != gold.shape or x.ndim != 2:
        raise ValueError(f"scores is {x.shape}, relevant {gold.shape}: both must be (n_images, k)")
    if not (np.isnan(gold) | (gold == 0) | (gold == 1)).all():
        place = tuple(np.argwhere(~(np.isnan(gold) | (gold == 0) | (gold == 1)))[0].tolist())
        raise ValueError(f"relevant{list(place)} is {gold[place]}: allowed are 0, 1 and NaN")
    counts = as_counts(image_weights, len(x))
    found = np.full((len(counts), x.shape[1]), np.nan)
    for category in range(x.shape[1]):
        present = ~(np.isnan(x[:, category]) | np.isnan(gold[:, category]))
        if present.any():
            drawn = np.ascontiguousarray(counts[:, present].T)
            codes = Codes.of(-x[present, category])  # the highest score first
            hits = codes.drawn(drawn * gold[present, category][:, None])
            upto = np.cumsum(hits, axis=0)
            precision = np.nan_to_num(ratio(upto, np.cumsum(codes.drawn(drawn), axis=0)))
            found[:, category] = ratio((precision * hits).sum(axis=0), upto[-1])
    return unweighted(found, image_weights)
