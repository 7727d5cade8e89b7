"""EmoNet-Face agreement as an `evaluate` metric: how well scores agree with several human raters.

    agreement = evaluate.load("ORG/emonet_face_agreement")
    agreement.compute(predictions=scores, references=ratings)

A thin wrapper: `inputs.py` checks what comes in, the other siblings hold the maths. The library
reads imports with a pattern, line by line, and copies only the sibling files named there: so each
is named here, also those that only another sibling needs.
"""

from __future__ import annotations

from itertools import combinations
from numbers import Integral, Real

import datasets
import evaluate
import numpy as np
from numpy.typing import NDArray

from .alpha import krippendorff_alpha
from .calibration import calibrated_kappa
from .inputs import (
    check_batch,
    check_image,
    check_widths,
    emotion_names,
    rating_table,
)
from .kappas import human_kappa, pooled_kappa, weighted_kappa
from .levels import round_to_levels
from .ranks import spearman
from .resampling import nan_mean, nan_median, percentile_interval, resample_weights

EMOTIONS = (
    "Amusement",
    "Elation",
    "Pleasure/Ecstasy",
    "Contentment",
    "Thankfulness/Gratitude",
    "Affection",
    "Infatuation",
    "Hope/Enthusiasm/Optimism",
    "Triumph",
    "Pride",
    "Interest",
    "Awe",
    "Astonishment/Surprise",
    "Concentration",
    "Contemplation",
    "Relief",
    "Longing",
    "Teasing",
    "Impatience and Irritability",
    "Sexual Lust",
    "Doubt",
    "Fear",
    "Distress",
    "Confusion",
    "Embarrassment",
    "Shame",
    "Disappointment",
    "Sadness",
    "Bitterness",
    "Contempt",
    "Disgust",
    "Anger",
    "Malevolence/Malice",
    "Sourness",
    "Pain",
    "Helplessness",
    "Fatigue/Exhaustion",
    "Emotional Numbness",
    "Intoxication/Altered States of Consciousness",
    "Jealousy & Envy",
)
"""The 40 EmoNet-Face categories in canonical order: the names of 40-value rows."""

STATISTICS = ("weighted_kappa", "spearman", "human_kappa", "krippendorff_alpha")

DESCRIPTION = """\
How well scores for facial emotions agree with several human raters of the same images, beside how
well the raters agree with each other. Quadratic weighted kappa and Spearman's rho of the scores,
weighted kappa and Krippendorff's alpha of the raters, each with a bootstrap interval over images,
for every emotion and on average.
"""

CITATION = """\
@inproceedings{schuhmann2025emonetface,
  title     = {EmoNet-Face: An Expert-Annotated Benchmark for Synthetic Emotion Recognition},
  author    = {Schuhmann, C. and Kaczmarczyk, R. and Rabby, G. and Friedrich, F. and Kraus, M. and
               Kalyan, K. and Nadi, K. and Nguyen, H. and Kersting, K. and Auer, S.},
  booktitle = {Advances in Neural Information Processing Systems},
  year      = {2025},
  note      = {arXiv:2505.20033},
}
"""

INPUTS_DESCRIPTION = """
Args:
    predictions: for each image a row of scores, one per emotion. Kappa takes them as levels:
        floor(x + 0.5), clipped to 0..7; Spearman takes them as they are.
    references: for each image a list of raters, each a row of ratings 0..7, one per emotion.
        Images may have different numbers of raters.
    emotions: names of the columns. None: the 40 EmoNet-Face categories for rows of 40 values,
        else "0", "1", ...
    rater_ids: for each image the names of its raters, parallel to references. None: all
        (image, rater) pairs of an emotion form one table. Given: one kappa for each rater, or pair
        of raters, over the images they share, then the unweighted mean of those that are defined.
    aggregate: "median" or "mean" of an image's raters, what Spearman compares with.
    n_resamples: resamples of the images for the intervals; 0 gives NaN intervals.
    confidence_level: share of the resamples inside an interval, between 0 and 1.
    seed: of the resamples.
    calibrate: None, or "quantile": kappa takes the scores binned per emotion so that the levels
        are as frequent as those of the rounded mean rating, refitted inside each resample. It
        fits the scores to the references they are scored on: an upper bound, not a result.

Returns:
    weighted_kappa: quadratic weighted kappa of the predictions with single raters.
    spearman: rank correlation of the predictions with the aggregated raters.
    human_kappa: quadratic weighted kappa of different raters of an image: the human anchor.
    krippendorff_alpha: interval alpha of the raters.
    weighted_kappa_ci, spearman_ci, human_kappa_ci, krippendorff_alpha_ci: [low, high].
    per_emotion: the same eight keys for each emotion; above them stand the means over the
        emotions where a value is defined.

    Everything is a Python float. NaN stands where a value is undefined, never 0: a constant side
    (Spearman), two equal constant sides (kappa), no image with two raters (the last two).

Examples:
    >>> agreement = evaluate.load("emonet_face_agreement")
    >>> scores = [[0.2, 5.1], [3.4, 0.0], [6.8, 1.2]]
    >>> ratings = [[[0, 6], [0, 5]], [[4, 0], [2, 1]], [[7, 0], [7, 2], [6, 1]]]
    >>> result = agreement.compute(
    ...     predictions=scores, references=ratings, emotions=["Elation", "Sadness"]
    ... )
    >>> round(result["weighted_kappa"], 3), round(result["human_kappa"], 3)
    (0.956, 0.86)
    >>> round(result["per_emotion"]["Sadness"]["spearman"], 3)
    1.0
"""

Floats = NDArray[np.float64]


class EmonetFaceAgreement(evaluate.Metric):
    """Agreement of predicted emotion scores with several raters: see `INPUTS_DESCRIPTION`."""

    def _info(self) -> evaluate.MetricInfo:
        row = datasets.List(datasets.Value("float64"))
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=INPUTS_DESCRIPTION,
            features=datasets.Features(
                {
                    "predictions": row,
                    "references": datasets.List(datasets.List(datasets.Value("float64"))),
                }
            ),
            reference_urls=["https://arxiv.org/abs/2505.20033"],
        )

    def add(self, *, prediction: object = None, reference: object = None) -> None:
        """Adds one image: its row of scores and the list of its raters' rows."""
        predictions, references = check_image(prediction, reference)
        super().add(prediction=predictions[0], reference=references[0])

    def add_batch(self, *, predictions: object = None, references: object = None) -> None:
        """Adds images: a row of scores and a list of raters' rows for each."""
        predictions, references = check_batch(predictions, references)
        super().add_batch(predictions=predictions, references=references)

    def compute(
        self,
        *,
        predictions: object = None,
        references: object = None,
        emotions: object = None,
        rater_ids: object = None,
        aggregate: str = "median",
        n_resamples: int = 1000,
        confidence_level: float = 0.95,
        seed: int = 42,
        calibrate: str | None = None,
    ) -> dict[str, object] | None:
        """Agreement over the images given here and those added before.

        Raises:
            ValueError: bad input; the message names the place and what is allowed.
        """
        _check_options(aggregate, n_resamples, confidence_level, seed, calibrate)
        if predictions is None and references is None and not len(self):
            raise ValueError("no image: give predictions and references, or add some before")
        gathered = super().compute(predictions=predictions, references=references)
        if gathered is None:  # a process other than the first: that one has the result
            return None
        rows, raters = gathered
        width = check_widths(rows)
        if emotions is None:
            emotions = EMOTIONS if width == len(EMOTIONS) else [str(i) for i in range(width)]
        names = emotion_names(emotions, width)
        scores, ratings = np.asarray(rows, dtype=np.float64), rating_table(raters, rater_ids)
        options = (rater_ids is not None, aggregate, calibrate)
        point = _statistics(scores, ratings, *options, None)
        weights = resample_weights(len(scores), n_resamples, seed)
        samples = _statistics(scores, ratings, *options, weights)
        return _report(names, point, samples, confidence_level)

    def _compute(self, *, predictions: list, references: list) -> tuple[list, list]:
        """Hands back what was gathered.

        The maths stands in `compute`: a fault that only shows there, such as names that do not
        fit, then leaves neither a locked nor a stale cache file behind.
        """
        return predictions, references


def _check_options(
    aggregate: object,
    n_resamples: object,
    confidence_level: object,
    seed: object,
    calibrate: object,
) -> None:
    if aggregate not in ("median", "mean"):
        raise ValueError(f"aggregate is {aggregate!r}: allowed are 'median' and 'mean'")
    if calibrate not in (None, "quantile"):
        raise ValueError(f"calibrate is {calibrate!r}: allowed are None and 'quantile'")
    for name, value in (("n_resamples", n_resamples), ("seed", seed)):
        if isinstance(value, bool) or not isinstance(value, Integral) or value < 0:
            raise ValueError(f"{name} is {value!r}: a whole number, 0 or more, is needed")
    if not isinstance(confidence_level, Real) or not 0 < confidence_level < 1:
        raise ValueError(f"confidence_level is {confidence_level!r}: it lies between 0 and 1")


def _statistics(
    scores: Floats,
    ratings: Floats,
    per_rater: bool,
    aggregate: str,
    calibrate: str | None,
    weights: Floats | None,
) -> dict[str, Floats]:
    """Each statistic by emotion, (k,), or (n_resamples, k) with weights."""
    levels, rated = round_to_levels(scores), round_to_levels(ratings)
    center = nan_median if aggregate == "median" else nan_mean
    if calibrate:
        gold = round_to_levels(nan_mean(ratings, axis=1))
        kappa = calibrated_kappa(scores, rated, gold, per_rater=per_rater, image_weights=weights)
    elif per_rater:
        kappa = weighted_kappa(levels[:, None], rated, image_weights=weights)
    else:
        kappa = pooled_kappa(levels, rated, image_weights=weights)
    if per_rater:
        kappa = nan_mean(kappa, axis=-2)
        human = _mean_kappa_of_pairs(rated, weights)
    else:
        human = human_kappa(rated, image_weights=weights)
    rho = spearman(scores, center(ratings, axis=1), image_weights=weights)
    alpha = krippendorff_alpha(ratings, image_weights=weights)
    return dict(zip(STATISTICS, (kappa, rho, human, alpha), strict=True))


def _mean_kappa_of_pairs(rated: Floats, weights: Floats | None) -> Floats:
    present = ~np.isnan(rated[:, :, 0])
    pairs = [
        (i, j)
        for i, j in combinations(range(rated.shape[1]), 2)
        if (present[:, i] & present[:, j]).any()
    ]
    first, second = (rated[:, [pair[side] for pair in pairs]] for side in (0, 1))
    return nan_mean(weighted_kappa(first, second, image_weights=weights), axis=-2)


def _report(
    names: list[str], point: dict[str, Floats], samples: dict[str, Floats], level: float
) -> dict[str, object]:
    overall: dict[str, object] = {}
    per_emotion: dict[str, dict[str, object]] = {name: {} for name in names}
    for key in STATISTICS:
        mean_low, mean_high = percentile_interval(nan_mean(samples[key]), level)
        overall[key] = float(nan_mean(point[key]))
        overall[f"{key}_ci"] = [float(mean_low), float(mean_high)]
        low, high = percentile_interval(samples[key], level)
        for i, name in enumerate(names):
            per_emotion[name][key] = float(point[key][i])
            per_emotion[name][f"{key}_ci"] = [float(low[i]), float(high[i])]
    return {**overall, "per_emotion": per_emotion}
