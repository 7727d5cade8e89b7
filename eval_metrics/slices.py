"""Does a model agree as well on every slice of the images? By what their prompts asked for.

Part of the corrected protocol. A slice has few images, and the kappa of two people on few images is
biased toward 0: the mean over people, which the protocol's other tables show, would put every small
slice below the whole. So here all (image, rater) pairs of a slice form one table, as in the metric
`emonet_face_agreement`, and a slice is compared with what random slices of the same size have:
labels are dealt out anew to the images, which also gives the tests. People's agreement with each
other stands beside: a gap that people have too says as much of the images as of the model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from emonet_face.progress import track
from eval_metrics.emonet_face_agreement.agreement import (
    benjamini_hochberg,
    human_kappa,
    nan_mean,
    pooled_kappa,
    round_to_levels,
    spearman,
)
from eval_metrics.image_bootstrap import Draws
from eval_metrics.panel import Panel
from eval_metrics.prompted import Prompts, in_order
from eval_metrics.protocols import Floats, Interval, Mean, references

MIN_IMAGES = 20
"""A slice with fewer images that the annotator rated is undefined."""
SPEARMAN_RESAMPLES = 50
"""Ranks are dear, so of the resamples only these give the standard error of a correlation; its
interval is the normal one."""
ANCHOR = -1
"""Stands for the people's agreement with each other where a position of an annotator is meant."""
_NOTHING = (np.nan, np.nan)


@dataclass(frozen=True)
class Slice:
    """One annotator on the images with one value of one attribute.

    Attributes:
        annotator: position in the panel, or `ANCHOR`.
        n_images: of the slice that the annotator rated (for the anchor: with two people or more).
        kappa: weighted kappa with the people, all (image, rater) pairs of a category in one table,
            mean over categories; NaN below MIN_IMAGES.
        spearman: mean correlation with the people's median; NaN for the anchor.
        expected: mean kappa of random slices of the same size.
        difference, interval: kappa less expected.
        p: of a random slice that lies as far out, two-sided.
        p_adjusted: over all slices of the annotator (Benjamini-Hochberg).
    """

    annotator: int
    attribute: str
    value: str
    n_images: int
    kappa: Mean
    spearman: Mean
    expected: float
    difference: float
    interval: Interval
    p: float
    p_adjusted: float = np.nan

    @property
    def note(self) -> str | None:
        """Why the slice is undefined; None where it is not."""
        return f"fewer than {MIN_IMAGES} images" if self.n_images < MIN_IMAGES else None


@dataclass(frozen=True)
class Gap:
    """The largest difference between two slices of an attribute, in `Slice.difference`.

    Attributes:
        highest, lowest: the two values; None where fewer than two slices are defined.
        gap, interval: the interval holds for all pairs of slices at once, and so for the two that
            were chosen because they lie furthest apart.
        p: of a gap this large where labels are dealt out at random; p_adjusted over the attributes.
    """

    annotator: int
    attribute: str
    n_slices: int
    highest: str | None
    lowest: str | None
    gap: float
    interval: Interval
    p: float
    p_adjusted: float = np.nan


@dataclass(frozen=True)
class Slices:
    """All slices and gaps, annotators in the order of the panel, the anchor first."""

    slices: list[Slice]
    gaps: list[Gap]


def slice_statistics(panel: Panel, prompts: Prompts, draws: Draws, seed: int) -> Slices:
    """Agreement of every model, and of people with each other, slice by slice.

    Args:
        panel: of the corrected protocol.
        prompts: attributes of its images.
        draws: of the panel's images; labels are dealt out as often as images are drawn.
        seed: of the dealing.
    """
    work = _Work(panel, draws)
    slices: list[Slice] = []
    gaps: list[Gap] = []
    for attribute, values in prompts.values.items():
        labels = np.array([values.get(image, "") for image in panel.images])
        if not (labels != "").any():
            continue
        for found in work.attribute(attribute, labels, np.random.default_rng(seed)):
            slices += [one.entry for one in found]
            gaps.append(_gap(found, draws))
    return Slices(_adjusted(slices), _adjusted(gaps))


@dataclass(frozen=True)
class _Found:
    """A slice, and its kappa in each resample and in each dealing of the labels."""

    entry: Slice
    samples: Floats
    dealt: Floats


class _Work:
    """Kappas and correlations on parts of a panel's images."""

    def __init__(self, panel: Panel, draws: Draws) -> None:
        self.panel = panel
        self.draws = draws
        self.levels = round_to_levels(panel.scores)
        self.ratings = self.levels[panel.humans].swapaxes(0, 1)
        self.median = references(panel, "median")
        n_people = panel.rated[panel.humans].sum(axis=0)
        self.rated = {ANCHOR: n_people > 1} | {
            model: panel.rated[model] & (n_people > 0) for model in panel.models.tolist()
        }

    def attribute(
        self, name: str, labels: NDArray[np.str_], generator: np.random.Generator
    ) -> list[list[_Found]]:
        """The slices of an attribute: one list for each annotator."""
        known = np.flatnonzero(labels != "")
        values = in_order(dict.fromkeys(labels[known].tolist()))
        codes = np.array([values.index(label) for label in labels[known]], dtype=np.int16)
        dealt = generator.permuted(np.tile(codes, (len(self.draws.weights), 1)), axis=1)
        found: dict[int, list[_Found]] = {annotator: [] for annotator in self.rated}
        for code, value in track(list(enumerate(values)), f"Slices by {name}"):
            random = np.zeros((len(dealt), len(labels)))
            random[:, known] = dealt == code
            for annotator, rated in self.rated.items():
                mask = (labels == value) & rated
                found[annotator].append(self._slice(annotator, name, value, mask, random))
        return list(found.values())

    def _slice(
        self, annotator: int, name: str, value: str, mask: NDArray[np.bool_], random: Floats
    ) -> _Found:
        n_images = int(mask.sum())
        nothing = np.full(len(random), np.nan)
        if n_images < MIN_IMAGES:
            undefined = Mean(np.nan, _NOTHING)
            entry = Slice(annotator, name, value, n_images, undefined, undefined, np.nan, np.nan,
                          _NOTHING, np.nan)  # fmt: skip
            return _Found(entry, nothing, nothing)
        kappa = float(nan_mean(self._kappa(annotator, mask)))
        samples = nan_mean(self._kappa(annotator, mask, self.draws.weights[:, mask]))
        dealt = nan_mean(self._kappa(annotator, slice(None), random))
        expected = float(nan_mean(dealt))
        difference = kappa - expected
        entry = Slice(
            annotator,
            name,
            value,
            n_images,
            Mean(kappa, self._interval(kappa, samples)),
            self._spearman(annotator, mask),
            expected,
            difference,
            # the dealt slices are as small and as biased: centred, nothing is left to take off
            self._interval(difference, samples - nan_mean(samples) + difference),
            _two_sided(kappa, dealt),
        )
        return _Found(entry, samples, dealt - expected)

    def _interval(self, value: float, samples: Floats) -> Interval:
        return _NOTHING if np.isnan(value) else self.draws.interval(value, samples)

    def _kappa(
        self, annotator: int, mask: NDArray[np.bool_] | slice, weights: Floats | None = None
    ) -> Floats:
        if annotator == ANCHOR:
            return human_kappa(self.ratings[mask], image_weights=weights)
        return pooled_kappa(self.levels[annotator][mask], self.ratings[mask], image_weights=weights)

    def _spearman(self, annotator: int, mask: NDArray[np.bool_]) -> Mean:
        if annotator == ANCHOR:
            return Mean(np.nan, _NOTHING)
        scores, median = self.panel.scores[annotator][mask], self.median[mask]
        value = float(nan_mean(spearman(scores, median)))
        weights = self.draws.weights[:SPEARMAN_RESAMPLES, mask]
        samples = nan_mean(spearman(scores, median, image_weights=weights))
        if np.isnan(value) or (~np.isnan(samples)).sum() < 2:
            return Mean(value, _NOTHING)
        reach = float(np.nanstd(samples, ddof=1)) * NormalDist().inv_cdf(0.5 + self.draws.level / 2)
        return Mean(value, (value - reach, value + reach))


def _two_sided(value: float, random: Floats) -> float:
    """Twice the share of the random values on the rarer side of a value, it counted among them."""
    defined = random[~np.isnan(random)]
    if np.isnan(value) or not len(defined):
        return float("nan")
    rarer = min((defined <= value).sum(), (defined >= value).sum())
    return float(min(1.0, 2 * (rarer + 1) / (len(defined) + 1)))


def _gap(found: list[_Found], draws: Draws) -> Gap:
    """The largest gap; interval (by bootstrap) and p (by dealing) know that it was chosen.

    Both take the range over all slices: of the resampled deviations from each slice's own mean,
    and of the dealt differences.
    """
    first = found[0].entry
    defined = [one for one in found if not np.isnan(one.entry.difference)]
    if len(defined) < 2:
        return Gap(first.annotator, first.attribute, len(defined), None, None, np.nan, _NOTHING,
                   np.nan)  # fmt: skip
    values = np.array([one.entry.difference for one in defined])
    high, low = int(values.argmax()), int(values.argmin())
    gap = float(values[high] - values[low])
    samples = np.array([one.samples for one in defined])
    reach = _ranges(samples - nan_mean(samples, axis=1)[:, None])
    spread = float(np.quantile(reach, draws.level)) if len(reach) else np.nan
    chance = _ranges(np.array([one.dealt for one in defined]))
    p = ((chance >= gap).sum() + 1) / (len(chance) + 1) if len(chance) else np.nan
    names = defined[high].entry.value, defined[low].entry.value
    interval = gap - spread, gap + spread
    return Gap(first.annotator, first.attribute, len(defined), *names, gap, interval, float(p))


def _ranges(values: Floats) -> Floats:
    """Highest less lowest over axis 0, where all are defined."""
    return np.ptp(values[:, ~np.isnan(values).any(axis=0)], axis=0)


def _adjusted(entries: list) -> list:
    """p adjusted over all entries of an annotator."""
    p = np.array([entry.p for entry in entries], dtype=np.float64)
    who = np.array([entry.annotator for entry in entries])
    adjusted = np.full(len(entries), np.nan)
    for one in set(who.tolist()):
        adjusted[who == one] = benjamini_hochberg(p[who == one])
    return [
        replace(entry, p_adjusted=float(value))
        for entry, value in zip(entries, adjusted, strict=True)
    ]
