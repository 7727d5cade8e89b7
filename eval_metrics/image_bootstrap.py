"""Bootstrap over images: kappas with people, and what they are in every resample.

An image is drawn with all its categories and raters, and one draw serves all statistics, so
differences between annotators are taken inside each resample.

Kappas of few images are biased toward 0, and a resample holds fewer different images than the
sample. Averaged over many pairs and categories, that bias of the resamples is larger than their
spread: the plain percentile interval of a mean kappa can lie wholly below the kappa itself.
Less the bias of the resamples, their mean less the value, it is centred at the value. But the value
is as biased against the truth as the resamples are against the value: less that bias once more, the
interval is centred where the truth is expected. Every interval here reaches from the one to the
other: it holds the value that it stands beside, and reaches out to the truth. For a mean kappa over
40 mostly unused categories, 95 % intervals covered it in .95 to .97 of simulations of 500 images;
of 80 images in .72 (a model) and .88 (the human anchor), because there the bootstrap sees but a
part of the bias. Centred at the value alone they had .41 and .15.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eval_metrics.emonet_face_agreement.agreement import (
    mann_whitney,
    nan_mean,
    percentile_interval,
    weighted_kappa,
)
from eval_metrics.panel import Panel
from eval_metrics.protocols import Difference, Floats, Interval, Mean, enough_shared, people_pairs


@dataclass(frozen=True)
class Resampled:
    """Statistics per annotator (or pair) and category: as they are, and in each resample.

    Attributes:
        values: (n, 40).
        samples: (n_resamples, n, 40).
    """

    values: Floats
    samples: Floats

    def over_annotators(self) -> Resampled:
        """The mean of what is defined per category, n = 1."""
        return Resampled(
            nan_mean(self.values, axis=0)[None], nan_mean(self.samples, axis=1)[:, None]
        )

    def mean(self) -> tuple[float, Floats]:
        """The mean of all that is defined, and in each resample."""
        flat = self.samples.reshape(len(self.samples), self.values.size)
        return float(nan_mean(self.values.ravel())), nan_mean(flat)


@dataclass(frozen=True)
class Draws:
    """How often each image is drawn, and what is made of a statistic's resampled values.

    Attributes:
        weights: (n_resamples, N) counts.
        level: confidence level of the intervals.
    """

    weights: Floats
    level: float

    def interval(self, value: float, samples: Floats) -> Interval:
        """Percentile interval of one number's resampled values, less their bias once and twice.

        Returns:
            The lower of the two low ends and the higher of the two high ends: centred at the value,
            and at the value less its own bias (see the module).
        """
        bias = _bias(value, samples)
        low, high = (float(end) for end in percentile_interval(samples - bias, self.level))
        return min(low, low - bias), max(high, high - bias)

    def mean(self, of: Resampled) -> Mean:
        """Mean over everything defined, taken anew in each resample."""
        value, samples = of.mean()
        return Mean(value, self.interval(value, samples))

    def difference(self, first: Resampled, second: Resampled) -> Difference:
        """First mean less second mean, on the categories that both have.

        The interval comes from the images; u and p are those of a Mann-Whitney test on the values,
        as in the published analysis, which takes them as independent.
        """
        shared = ~(np.isnan(first.values).all(axis=0) | np.isnan(second.values).all(axis=0))
        sides = [
            Resampled(side.values[:, shared], side.samples[..., shared]) for side in (first, second)
        ]
        (value1, samples1), (value2, samples2) = (side.mean() for side in sides)
        return Difference(
            *(int((~np.isnan(side.values)).sum()) for side in sides),
            value1 - value2,
            self.interval(value1 - value2, samples1 - samples2),
            *mann_whitney(sides[0].values, sides[1].values),
        )

    def p_value(self, value: float, samples: Floats) -> float:
        """Two-sided p of "no difference": twice the share of resamples on the rarer side of 0.

        The resampled values are taken less their bias once: differences of means over the same
        images have little of it. One is added to both counts, so p is never 0; NaN where the
        value is, or without a defined resample.
        """
        defined = (samples - _bias(value, samples))[~np.isnan(samples)]
        if np.isnan(value) or not len(defined):
            return float("nan")
        rarer = min((defined <= 0).sum(), (defined >= 0).sum())
        return float(min(1.0, 2 * (rarer + 1) / (len(defined) + 1)))


def _bias(value: float, samples: Floats) -> float:
    return float(nan_mean(samples) - value)


class PeopleKappas:
    """Quadratic kappas of some annotators, people among them or not, with each of the people."""

    def __init__(
        self,
        panel: Panel,
        levels: Floats,
        draws: Draws,
        annotators: NDArray[np.intp],
        images: NDArray[np.bool_],
    ) -> None:
        """Compute them.

        Args:
            panel: people come first in it.
            levels: (A, N, 40) levels 0..7 or NaN.
            draws: of the N images.
            annotators: positions in the panel, ascending.
            images: (N,) the images to use.
        """
        self._column = {int(annotator): column for column, annotator in enumerate(annotators)}
        shape = len(panel.humans), len(annotators), levels.shape[2]
        self._values = np.full(shape, np.nan)
        self._samples = np.full((len(draws.weights), *shape), np.nan)
        with_whole = np.vstack([np.ones((1, len(images))), draws.weights])
        for person in panel.humans:
            later = annotators[annotators > person]
            if not len(later):
                continue
            used = images & panel.rated[person]
            later = later[np.argsort(np.isnan(levels[later][:, used]).any(axis=(1, 2)))]
            first, second = levels[person][used], levels[later][:, used]
            kappas = weighted_kappa(
                first[:, None], second.swapaxes(0, 1), image_weights=with_whole[:, used]
            )
            kappas[:, ~enough_shared(~np.isnan(first), ~np.isnan(second))] = np.nan
            self._put(person, later, kappas)
            if person in self._column:  # what later people have with this one
                people = panel.human[later]
                for other, kappa in zip(later[people], kappas.swapaxes(0, 1)[people], strict=True):
                    self._put(other, np.array([person]), kappa[:, None])

    def _put(self, person: int, annotators: NDArray[np.intp], kappas: Floats) -> None:
        """Take in (1 + n_resamples, n_annotators, 40): those of the whole first."""
        columns = [self._column[int(annotator)] for annotator in annotators]
        self._values[person, columns] = kappas[0]
        self._samples[:, person, columns] = kappas[1:]

    def pairs_of(self, annotator: int) -> Resampled:
        """Its kappas with each of the people; a person's with itself is NaN."""
        column = self._column[annotator]
        return Resampled(self._values[:, column], self._samples[:, :, column])

    def with_people(self, annotators: list[int]) -> Resampled:
        """Mean kappa of each annotator with the (other) people."""
        columns = [self._column[annotator] for annotator in annotators]
        return Resampled(
            nan_mean(self._values[:, columns], axis=0),
            nan_mean(self._samples[:, :, columns], axis=1),
        )

    def between_people(self, without: int | None = None) -> Resampled:
        """The kappas of all pairs of people, or of those without one annotator."""
        first, second = people_pairs(np.arange(len(self._values)))
        if without is not None:
            others = (first != without) & (second != without)
            first, second = first[others], second[others]
        return Resampled(self._values[first, second], self._samples[:, first, second])
