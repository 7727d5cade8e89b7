"""What both protocols share: the statistics' names and shapes, and their point values.

`official.py` and `corrected.py` each turn a table of ratings into one `Statistics`; they differ in
how a panel is made, how scores become levels, and what is resampled for the intervals.
Source: released `statistics/analysis-hq.ipynb`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from numbers import Integral

import numpy as np
from numpy.typing import NDArray

from emonet_face.errors import EmoNetFaceError
from emonet_face.reliability import TIERS as TIERS
from emonet_face.reliability import tier_of as tier_of
from eval_metrics.emonet_face_agreement.agreement import (
    nan_mean,
    nan_median,
    pairwise_kappa,
    shared_images,
    spearman,
)
from eval_metrics.groups import members
from eval_metrics.panel import Panel

Floats = NDArray[np.float64]
Interval = tuple[float, float]
"""(low, high) of a percentile bootstrap; NaN where undefined."""

AGGREGATES: dict[str, Callable[..., Floats]] = {"median": nan_median, "mean": nan_mean}
"""How the people's ratings of an image become the reference of a Spearman correlation."""

MIN_SHARED_IMAGES = 2
FEW_IMAGES = 30
"""A comparison of groups on fewer images than these says so."""
P_COULD_BE = 0.05
"""The published line: a larger p of the Mann-Whitney test counts as "could be an annotator"."""


def check_resampling(n_resamples: int, level: float, seed: int) -> None:
    """Whether a bootstrap can be drawn with these.

    Raises:
        EmoNetFaceError: fewer than 0 resamples, a level outside 0..1, or a seed that is no whole
            number from 0.
    """
    for name, value in (("resamples", n_resamples), ("seed", seed)):
        if isinstance(value, bool) or not isinstance(value, Integral) or value < 0:
            raise EmoNetFaceError(f"{name}: {value!r} is given, a whole number from 0 is needed")
    if not 0 < level < 1:
        raise EmoNetFaceError(f"confidence level: {level!r} is given, it lies between 0 and 1")


@dataclass(frozen=True)
class Mean:
    """A mean over emotions with its interval."""

    value: float
    interval: Interval


@dataclass(frozen=True)
class Correlation:
    """Spearman's rho of each annotator with one aggregate of the people.

    Attributes:
        rho: (A, 40); NaN where undefined and for all people.
        means: position of a model -> its mean rho over emotions.
    """

    rho: Floats
    means: dict[int, Mean]


@dataclass(frozen=True)
class Difference:
    """Mean of a first set of kappas less that of a second.

    Attributes:
        n1, n2: defined values in each set.
        mean_difference, interval: NaN where a set is empty.
        u, p: two-sided Mann-Whitney test, u of the first set.
    """

    n1: int
    n2: int
    mean_difference: float
    interval: Interval
    u: float
    p: float


@dataclass(frozen=True)
class GroupDifference:
    """Two groups of annotators compared.

    Attributes:
        p_adjusted: NaN where the protocol adjusts nothing.
        n_images: that all models of both groups have; None where each has its own.
        note: why so few, where they are fewer than `FEW_IMAGES`.
    """

    group1: str
    group2: str
    difference: Difference
    p_adjusted: float
    n_images: int | None = None
    note: str | None = None


@dataclass(frozen=True)
class AnnotatorTest:
    """An annotator's kappas with people compared with people's kappas with each other.

    `could_be` is None where it cannot be told.
    """

    annotator: int
    difference: Difference
    could_be: bool | None


@dataclass(frozen=True)
class CategoryTest:
    """A model's agreement with people less people's agreement with each other, on one category."""

    annotator: int
    emotion: int
    difference: float
    interval: Interval
    p: float
    p_adjusted: float


@dataclass(frozen=True)
class Statistics:
    """Everything one protocol says of one panel; A annotators, people first, 40 categories.

    Attributes:
        protocol: "official" or "corrected".
        panel: the ratings as the protocol takes them.
        groups: group -> positions of its annotators.
        pair_kappa: (A, A, 40), symmetric; NaN on the diagonal and where undefined.
        agreement: (A, 40), mean kappa with the people (a person's with the other people).
        agreement_means: per annotator, its mean over emotions.
        anchor: mean kappa of people with each other: over pairs, then over emotions.
        spearman: aggregate -> correlation.
        alpha, alpha_intervals: (40,) and (40, 2), Krippendorff's alpha of the people.
        group_differences, annotator_tests: in the order of groups and annotators.
        category_tests: models only; empty in the official protocol, which has none.
    """

    protocol: str
    panel: Panel
    groups: dict[str, list[int]]
    pair_kappa: Floats
    agreement: Floats
    agreement_means: list[Mean]
    anchor: Mean
    spearman: dict[str, Correlation]
    alpha: Floats
    alpha_intervals: Floats
    group_differences: list[GroupDifference]
    annotator_tests: list[AnnotatorTest]
    category_tests: list[CategoryTest]


def annotator_groups(panel: Panel) -> dict[str, list[int]]:
    """Group -> positions of its annotators in the panel."""
    return members(panel.annotators, panel.human.tolist())


def pair_kappas(levels: Floats, present: NDArray[np.bool_]) -> Floats:
    """Quadratic kappa of every two annotators per category, on the images both rated.

    Args:
        levels: (A, N, 40) levels 0..7 or NaN.
        present: (A, N, 40), or (A, N, 1) for all categories alike, whether the annotator rated;
            a pair needs two shared images.

    Returns:
        (A, A, 40), symmetric; NaN on the diagonal and where undefined.
    """
    kappa = pairwise_kappa(levels.swapaxes(0, 1))
    few = shared_images(present.swapaxes(0, 1)) < MIN_SHARED_IMAGES
    kappa[np.broadcast_to(few, kappa.shape)] = np.nan
    kappa[np.diag_indices(len(kappa))] = np.nan
    return kappa


def enough_shared(first: NDArray[np.bool_], others: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether one annotator (N, 40) shares two images or more with each other one (A, N, 40)."""
    return (first & others).sum(axis=1) >= MIN_SHARED_IMAGES


def agreement_with_people(pair_kappa: Floats, people: NDArray[np.intp]) -> Floats:
    """Mean kappa with the people, (A, 40); a person's own column is NaN and so leaves the mean."""
    return nan_mean(pair_kappa[:, people], axis=1)


def people_pairs(people: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """All pairs of people as two index arrays, the first before the second."""
    first, second = np.array(list(combinations(people.tolist(), 2))).T
    return first, second


def references(panel: Panel, aggregate: str) -> Floats:
    """The people's median or mean per image, (N, 40); NaN for an image that no person rated."""
    people = panel.humans
    rated = panel.rated[people].any(axis=0)
    values = np.full(panel.scores.shape[1:], np.nan)
    values[rated] = AGGREGATES[aggregate](panel.scores[people][:, rated], axis=0)
    return values


def correlations(panel: Panel) -> dict[str, Floats]:
    """Spearman's rho of each model's scores, as they are, with each aggregate of the people.

    Returns:
        Aggregate -> (A, 40), NaN for all people.
    """
    reference = np.stack([references(panel, aggregate) for aggregate in AGGREGATES], axis=1)
    rho = np.full((len(AGGREGATES), *panel.scores.shape[::2]), np.nan)
    models = panel.scores[panel.models].swapaxes(0, 1)
    rho[:, panel.models] = spearman(models[:, None], reference[:, :, None])
    return dict(zip(AGGREGATES, rho, strict=True))


def people_ratings(panel: Panel) -> tuple[Floats, NDArray[np.bool_]]:
    """The people's ratings as (n_images, n_people, 40) and which of the N images those are.

    Images that no person rated and people with fewer than two ratings are left out.
    """
    people = panel.humans[panel.rated[panel.humans].sum(axis=1) > 1]
    images = panel.rated[people].any(axis=0)
    return panel.scores[people][:, images].swapaxes(0, 1), images
