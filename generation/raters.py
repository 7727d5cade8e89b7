"""Simulated annotators: eight people who move sliders and answer yes or no, and one machine.

They stand in for real annotators so that the whole pipeline runs offline, and every name says
"simulated". They never look at a picture: they are told the latent intensities it was drawn from,
see each category more or less clearly, add their own habits and noise, and mark what exceeds their
threshold. Parameters are data below; each says which published number it imitates, and tests
measure what comes out.

>>> RATERS[0].name, len(panel("schematic-0-000000", seed=0))
('simulated-human-1', 4)
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emonet_face.taxonomy import CATEGORIES, DIMENSIONS, EMOTIONS, INDEX, RATING_MAX


@dataclass(frozen=True)
class SimulatedRater:
    """One simulated person.

    Attributes:
        name: "simulated-human-1" to "-8".
        gain: how much of the scale the person uses; 1 is the middle.
        threshold: how strong an impression must be before a slider is touched (intensity, 0..1).
        noise: standard deviation of what the person sees beside the picture (intensity). Imitates
            the published mean kappas of each person with the others: human-1, -2, -3 and -8 agree
            best (.20 to .22), human-4 and -6 least (.13 to .16).
        vote_bar: how strong an impression must be for a Yes (intensity). The bars of 3, 5 and 7
            imitate the published shares of Yes to the contrast question: 1.4, 4.2 and 15.7 %.
    """

    name: str
    gain: float
    threshold: float
    noise: float
    vote_bar: float


RATERS: tuple[SimulatedRater, ...] = (
    SimulatedRater("simulated-human-1", 1.05, 0.24, 0.14, 0.20),
    SimulatedRater("simulated-human-2", 1.10, 0.23, 0.14, 0.40),
    SimulatedRater("simulated-human-3", 0.95, 0.24, 0.15, 0.48),
    SimulatedRater("simulated-human-4", 0.90, 0.23, 0.18, 0.33),
    SimulatedRater("simulated-human-5", 1.00, 0.25, 0.17, 0.37),
    SimulatedRater("simulated-human-6", 1.15, 0.23, 0.20, 0.40),
    SimulatedRater("simulated-human-7", 0.90, 0.23, 0.17, 0.24),
    SimulatedRater("simulated-human-8", 1.00, 0.25, 0.14, 0.32),
)

HABIT = 0.13
"""Standard deviation over categories of a person's lasting liking for a category (intensity)."""

MOOD = 0.06
"""Standard deviation from image to image of a person's threshold. With the other values it imitates
the published mean of 8.14 non-zero categories per annotation and their deviation of 4.00."""

_CLEAR = (
    "Amusement",
    "Elation",
    "Thankfulness/Gratitude",
    "Astonishment/Surprise",
    "Anger",
)
_HARD = (
    "Triumph",
    "Pride",
    "Interest",
    "Awe",
    "Concentration",
    "Contemplation",
    "Longing",
    "Embarrassment",
    "Shame",
    "Sourness",
    "Jealousy & Envy",
)

CLARITY: dict[str, float] = {
    name: 1.2 if name in _CLEAR else 0.3 if name in _HARD else 0.7 for name in EMOTIONS
}
"""How much of a latent intensity reaches an eye. Three steps after the published Krippendorff
alpha: the five categories at .3 or more, those below .1, and the rest."""

PANEL_OFFSETS = (0, 1, 2, 5)
"""An image that starts at person s is rated by s + 0, 1, 2 and 5 (mod 8): four people, as
published. Every two of the eight then share images; of the published people 17 of 28 pairs do."""


def generator(seed: int, image_id: str, purpose: str) -> np.random.Generator:
    """The source of randomness for one image: the same in whatever order images are taken."""
    digest = hashlib.sha256(f"{purpose} {image_id}".encode()).digest()
    return np.random.default_rng([seed, *np.frombuffer(digest, dtype="<u4").tolist()])


def panel(image_id: str, seed: int) -> tuple[SimulatedRater, ...]:
    """The four people who rate an image, in the order of their numbers.

    The first one is drawn by image id and not counted through, because the prompts cycle through 40
    emotions: a rotation by 8 would show each person the same emotions again and again.
    """
    start = int(generator(seed, image_id, "panel").integers(len(RATERS)))
    return tuple(RATERS[i] for i in sorted((start + o) % len(RATERS) for o in PANEL_OFFSETS))


def habits(rater: SimulatedRater) -> np.ndarray:
    """(40,) a person's liking for each category: lasting, told from the name alone."""
    return generator(0, rater.name, "habits").normal(0.0, HABIT, len(EMOTIONS))


def rate(
    intensities: Sequence[float], rater: SimulatedRater, rng: np.random.Generator
) -> np.ndarray:
    """One person's sliders for one image.

    Args:
        intensities: (40,) latent, 0..1, canonical order.
        rater: who rates.
        rng: this image's and this person's.

    Returns:
        (40,) integers 0..7; 0 = slider not touched.
    """
    clarity = np.array(list(CLARITY.values()))
    seen = rater.gain * clarity * np.asarray(intensities) + habits(rater)
    excess = seen + rng.normal(0.0, rater.noise, len(EMOTIONS))
    excess -= rater.threshold + rng.normal(0.0, MOOD)
    # The weakest impression that touches a slider at all sets it to 1.
    return np.where(excess > 0, np.clip(np.rint(1 + RATING_MAX * excess), 1, RATING_MAX), 0).astype(
        int
    )


def says_yes(
    intensities: Sequence[float], emotion: str, rater: SimulatedRater, rng: np.random.Generator
) -> bool:
    """One person's answer to whether the face shows an emotion.

    Asking for an emotion by name makes people look for it: unclear categories are seen better than
    with 40 sliders (square root of the clarity), as the published votes agree far more than the
    published sliders.
    """
    at = INDEX[emotion]
    seen = rater.gain * CLARITY[emotion] ** 0.5 * intensities[at] + habits(rater)[at]
    return bool(seen + rng.normal(0.0, rater.noise) > rater.vote_bar)


MACHINE = "simulated-vlm"

MACHINE_NON_ZERO = 5
"""Most categories the machine marks: the rule of the released multi-shot prompt."""
MACHINE_NOISE, MACHINE_BAR = 0.06, 0.12
"""Noise and threshold (intensity); about 4.5 marks come out, as published (4.2 to 4.9)."""

DIMENSION_BASE: dict[str, float] = {
    "arousal": 3.0,
    "valence": 0.0,
    "dominance": 0.0,
    "emotional_vulnerability": 2.0,
}
"""The extra dimensions of a face that shows nothing."""

DIMENSION_WEIGHTS: dict[str, tuple[float, float, float, float]] = {
    "Positive High-Energy Emotions": (1.3, 1.2, 0.5, 0.0),
    "Positive Low-Energy Emotions": (-0.5, 1.2, 0.2, 0.5),
    "Negative High-Energy Emotions": (1.5, -1.2, 0.2, -0.3),
    "Negative Low-Energy Emotions": (-0.3, -1.1, -0.7, 0.5),
    "Cognitive States and Processes": (0.3, 0.0, 0.0, -0.3),
    "Physical and Exhaustive States": (-0.6, -0.8, -0.8, 0.7),
    "Longing & Lust": (0.4, 0.4, -0.2, 0.9),
}
"""Family -> what one unit of summed intensity adds to arousal, valence, dominance and emotional
vulnerability. Our own choice: no person ever rated these dimensions."""


def rate_as_machine(intensities: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """The simulated vision-language model's ratings in the multi-shot style.

    Returns:
        (40,) integers 0..7, at most MACHINE_NON_ZERO of them above 0.
    """
    seen = np.asarray(intensities) + rng.normal(0.0, MACHINE_NOISE, len(EMOTIONS))
    weakest_kept = np.sort(seen)[-MACHINE_NON_ZERO]
    marked = (seen >= weakest_kept) & (seen > MACHINE_BAR)
    return np.where(marked, np.clip(np.rint(RATING_MAX * seen), 1, RATING_MAX), 0).astype(int)


def dimensions_of(intensities: Sequence[float]) -> dict[str, float]:
    """Extra dimensions of a face, slug -> whole step of its scale.

    base + weights x summed intensity per family, clipped to the scale of `taxonomy.DIMENSIONS`.
    """
    weights = np.array([DIMENSION_WEIGHTS[entry.family] for entry in CATEGORIES])
    shift = np.asarray(intensities) @ weights
    return {
        # + 0.0 turns the -0.0 that rounding may give into 0.0
        d.slug: float(np.clip(np.rint(DIMENSION_BASE[d.slug] + change), d.low, d.high)) + 0.0
        for d, change in zip(DIMENSIONS, shift, strict=True)
    }
