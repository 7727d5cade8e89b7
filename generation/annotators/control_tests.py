"""Can an annotator be told from its control? Held against people, and against itself.

With people: the annotator's mean kappa with them, less that of its control on the same images.
Where there is no run of a control, its own answers dealt out to other images stand for one; that
needs no model, so it serves published ratings too. A readout gives probabilities, not ratings: it
is first brought to the levels that people used, category by category, as is its control.

Without people: answers to grey pictures must vary less than answers to faces, and the answer to a
shuffled picture must be nearer to what was said of that very picture before than to what was said
of the one whose place it took.

An interval that holds 0 means: cannot be told from its control. So does one that lies below 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emonet_face.progress import track
from eval_metrics.emonet_face_agreement.agreement import (
    nan_mean,
    percentile_interval,
    quantile_calibrate,
    resample_weights,
    round_to_levels,
    weighted_kappa,
)
from generation.annotators.said import Annotator, Floats

N_DEALS = 200
"""How often own answers are dealt out anew."""
MIN_IMAGES = 10
"""With fewer images in common nothing is said."""
OWN = "own answers, dealt out"


@dataclass(frozen=True)
class ControlTest:
    """One annotator against one control.

    Attributes:
        annotator, control: names; the control is a run or OWN.
        measure: what was compared.
        n_images: that both have.
        value, control_value, difference: of the measure; larger is better.
        interval: of the difference, 95 %.
    """

    annotator: str
    control: str
    measure: str
    n_images: int
    value: float
    control_value: float
    difference: float
    interval: tuple[float, float]

    @property
    def told_apart(self) -> bool | None:
        """None where it is undefined."""
        if np.isnan(self.interval[0]):
            return None
        return self.interval[0] > 0

    def __str__(self) -> str:
        low, high = self.interval
        numbers = (
            f"{self.measure} {self.value:.3f} against {self.control_value:.3f}, difference"
            f" {self.difference:.3f} [{low:.3f}, {high:.3f}], {self.n_images} images"
        )
        if self.told_apart is None:
            return f"{self.annotator}: nothing can be said against {self.control} ({numbers})"
        verdict = "is told from" if self.told_apart else "CANNOT BE TOLD FROM"
        return f"{self.annotator} {verdict} its control, {self.control} ({numbers})"


def control_tests(
    annotators: Sequence[Annotator],
    images: Sequence[str],
    scores: Floats,
    *,
    n_resamples: int = 1000,
    seed: int = 42,
) -> list[ControlTest]:
    """Every model against its controls, and where there are people against its own answers.

    Args:
        annotators, images, scores: of `said.stacked`.
        n_resamples: of the images, for intervals.
        seed: of the resamples and the deals.

    A control belongs to the annotator of the same model, protocol, prompt and sampling.
    """
    people = scores[:, [annotator.human for annotator in annotators]]
    found = []
    for place, annotator in enumerate(track(annotators, "Controls")):
        if annotator.human or annotator.control is not None:
            continue
        own = scores[:, place]
        readout = annotator.about.get("protocol") == "readout"
        if people.shape[1]:
            found.append(_against_own(annotator.name, own, people, readout, seed))
        for other, control in enumerate(annotators):
            if control.control is None or control.about != annotator.about:
                continue
            with_it = scores[:, other]
            if people.shape[1]:
                found.append(
                    _with_people(
                        (annotator.name, control.name),
                        np.stack([own, with_it]),
                        people,
                        readout,
                        n_resamples,
                        seed,
                    )
                )
            if control.control == "grey":
                found.append(_spread(annotator, control, own, with_it, n_resamples, seed))
            elif control.control == "shuffled":
                found.append(_nearer(annotator, control, images, n_resamples, seed))
    return found


def _levels(scores: Floats, people: Floats, readout: bool) -> Floats:
    """(n_images, 40) levels; of a readout by the quantiles of the people's mean."""
    if not readout:
        return round_to_levels(scores)
    return quantile_calibrate(scores, round_to_levels(nan_mean(people, axis=1)))


def _kappa(levels: Floats, people: Floats, weights: Floats | None = None) -> Floats:
    """Mean kappa with each person and over categories: (), or (n_resamples,)."""
    kappas = weighted_kappa(levels[:, None], people, image_weights=weights)
    return nan_mean(kappas.reshape(*kappas.shape[:-2], -1))


def _against_own(name: str, own: Floats, people: Floats, readout: bool, seed: int) -> ControlTest:
    rows = ~np.isnan(own).all(axis=1) & ~np.isnan(people).all(axis=(1, 2))
    n = int(rows.sum())
    measure = "kappa with people"
    if n < MIN_IMAGES:
        return _undefined(name, OWN, measure, n)
    levels, rated = _levels(own[rows], people[rows], readout), round_to_levels(people[rows])
    value = float(_kappa(levels, rated))
    rng = np.random.default_rng(seed)
    deals = np.array([_kappa(levels[rng.permutation(n)], rated) for _ in range(N_DEALS)])
    low, high = percentile_interval(value - deals)
    dealt = float(nan_mean(deals))
    return ControlTest(
        name, OWN, measure, n, value, dealt, value - dealt, (float(low), float(high))
    )


def _with_people(
    names: tuple[str, str],
    sides: Floats,
    people: Floats,
    readout: bool,
    n_resamples: int,
    seed: int,
) -> ControlTest:
    rows = ~np.isnan(sides).all(axis=2).any(axis=0) & ~np.isnan(people).all(axis=(1, 2))
    n = int(rows.sum())
    if n < MIN_IMAGES:
        return _undefined(*names, "kappa with people", n)
    rated = round_to_levels(people[rows])
    levels = [_levels(side[rows], people[rows], readout) for side in sides]
    weights = resample_weights(n, n_resamples, seed)
    value, other = (float(_kappa(side, rated)) for side in levels)
    samples = _kappa(levels[0], rated, weights) - _kappa(levels[1], rated, weights)
    return _test(*names, "kappa with people", n, (value, other), samples)


def _spread(
    annotator: Annotator,
    control: Annotator,
    own: Floats,
    grey: Floats,
    n_resamples: int,
    seed: int,
) -> ControlTest:
    """Deviation over images, mean over categories: grey pictures differ in size alone."""
    rows = ~np.isnan(own).all(axis=1) & ~np.isnan(grey).all(axis=1)
    n = int(rows.sum())
    measure = "deviation of the answers over images"
    if n < MIN_IMAGES:
        return _undefined(annotator.name, control.name, measure, n)

    def deviation(scores: Floats, weights: Floats) -> Floats:
        present = ~np.isnan(scores)
        values = np.where(present, scores, 0.0)
        total = weights @ present
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = (weights @ values) / total
            square = (weights @ values**2) / total
        spread = np.sqrt(np.maximum(square - mean**2, 0.0))
        return nan_mean(spread)

    weights = resample_weights(n, n_resamples, seed)
    once = np.ones((1, n))
    value, other = (float(deviation(side[rows], once)[0]) for side in (own, grey))
    samples = deviation(own[rows], weights) - deviation(grey[rows], weights)
    return _test(annotator.name, control.name, measure, n, (value, other), samples)


def _nearer(
    annotator: Annotator,
    control: Annotator,
    images: Sequence[str],
    n_resamples: int,
    seed: int,
) -> ControlTest:
    """How near the answer to a shuffled picture is to what was said of it, and of the other."""
    measure = "nearness to the answer on the picture shown, against the one named"
    own = annotator.scores
    triples = [
        (own[shown], own[image], control.scores[image])
        for image in images
        if image in control.scores and image in own and (shown := control.shown[image]) in own
    ]
    if len(triples) < MIN_IMAGES:
        return _undefined(annotator.name, control.name, measure, len(triples))
    of_shown, of_named, answers = np.moveaxis(np.array(triples), 1, 0)
    near = -np.sqrt(nan_mean((answers - of_shown) ** 2))
    far = -np.sqrt(nan_mean((answers - of_named) ** 2))
    weights = resample_weights(len(triples), n_resamples, seed)
    samples = weights @ (near - far) / len(triples)
    values = float(near.mean()), float(far.mean())
    return _test(annotator.name, control.name, measure, len(triples), values, samples)


def _test(
    name: str,
    control: str,
    measure: str,
    n: int,
    values: tuple[float, float],
    samples: Floats,
) -> ControlTest:
    low, high = percentile_interval(samples) if len(samples) else (np.nan, np.nan)
    difference = values[0] - values[1]
    return ControlTest(name, control, measure, n, *values, difference, (float(low), float(high)))


def _undefined(name: str, control: str, measure: str, n: int) -> ControlTest:
    nan = float("nan")
    return ControlTest(name, control, measure, n, nan, nan, nan, (nan, nan))
