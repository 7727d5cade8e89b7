"""Agreement statistics of EmoNet-Face: pure maths on arrays of ratings, NaN = missing.

Images are the first axis, categories the last. Where a statistic is undefined the result is NaN,
never 0. Every `image_weights` takes the counts of `resample_weights`, (n_resamples, n_images), and
gives exactly what the statistic is on the images drawn, without building them: a bootstrap of 1,000
resamples is then a few matrix products.

>>> import numpy as np
>>> ratings = np.array([[[0.0], [1.0]], [[7.0], [6.0]]])  # 2 images, 2 raters, 1 category
>>> human_kappa(ratings).round(3)
array([0.946])
"""

from __future__ import annotations

from .alpha import alpha_of_sums, alpha_parts, krippendorff_alpha
from .calibration import calibrated_kappa, quantile_calibrate
from .kappas import (
    human_kappa,
    pairwise_kappa,
    pooled_kappa,
    shared_images,
    weighted_kappa,
)
from .levels import LEVELS, round_to_levels, truncate_to_levels
from .p_values import benjamini_hochberg, mann_whitney
from .precision import average_precision
from .ranks import spearman
from .resampling import nan_mean, nan_median, percentile_interval, resample_weights

__all__ = [
    "LEVELS",
    "alpha_of_sums",
    "alpha_parts",
    "average_precision",
    "benjamini_hochberg",
    "calibrated_kappa",
    "human_kappa",
    "krippendorff_alpha",
    "mann_whitney",
    "nan_mean",
    "nan_median",
    "pairwise_kappa",
    "percentile_interval",
    "pooled_kappa",
    "quantile_calibrate",
    "resample_weights",
    "round_to_levels",
    "shared_images",
    "spearman",
    "truncate_to_levels",
    "weighted_kappa",
]
