"""Latent intensities: what a schematic face is told to show, drawn from its prompt.

They are simulated: the shape follows common sense (the prompted emotion leads, related categories
accompany it, a few pictures fail to show anything), not a measurement.

>>> from generation.prompts import prompt_record
>>> values = latent_intensities(prompt_record(0), seed=0)
>>> len(values), max(values, key=values.get) == prompt_record(0).emotion
(40, True)
"""

from __future__ import annotations

import numpy as np

from emonet_face.taxonomy import CATEGORIES, EMOTIONS, INDEX, OPPOSITE
from generation.prompts import PromptRecord

RANGES: dict[str, tuple[float, float]] = {
    "subtle": (0.35, 0.55),
    "mild": (0.50, 0.75),
    "strong": (0.75, 1.00),
}
"""Intensity word -> lowest and highest latent intensity (0..1) of the prompted emotion."""

COMPANIONS = (3, 8)
"""Fewest and most accompanying categories; with the prompted one 6.5 of 40 on average."""

COMPANION_STRENGTH = (0.15, 0.70)
"""Intensity of a companion as a share of the prompted emotion's."""

NEAR_NEUTRAL_SHARE = 0.08
"""Pictures that show next to nothing whatever the prompt says, as text-to-image models produce
some; every intensity is then multiplied by NEAR_NEUTRAL_FACTOR."""
NEAR_NEUTRAL_FACTOR = 0.15

NEIGHBOURS: dict[str, tuple[str, ...]] = {
    "Positive High-Energy Emotions": ("Positive Low-Energy Emotions", "Longing & Lust"),
    "Positive Low-Energy Emotions": (
        "Positive High-Energy Emotions",
        "Cognitive States and Processes",
    ),
    "Negative High-Energy Emotions": (
        "Negative Low-Energy Emotions",
        "Physical and Exhaustive States",
    ),
    "Negative Low-Energy Emotions": (
        "Negative High-Energy Emotions",
        "Physical and Exhaustive States",
    ),
    "Cognitive States and Processes": (
        "Positive Low-Energy Emotions",
        "Negative Low-Energy Emotions",
    ),
    "Physical and Exhaustive States": (
        "Negative Low-Energy Emotions",
        "Negative High-Energy Emotions",
    ),
    "Longing & Lust": ("Positive High-Energy Emotions", "Positive Low-Energy Emotions"),
}
"""Family -> the families that its companions may also come from."""

_FAMILY_WEIGHT, _NEIGHBOUR_WEIGHT = 3.0, 1.0


def latent_intensities(record: PromptRecord, seed: int) -> dict[str, float]:
    """The intensity of each category in the face that a prompt gets.

    Args:
        record: the prompt.
        seed: the run's seed; with the prompt's number it fixes every value.

    Returns:
        The 40 categories in canonical order -> intensity, 0 (absent) to 1, rounded to 4 decimals so
        that the sidecar's text holds the very numbers that were drawn. The prompted emotion is the
        largest; its contrast category (`taxonomy.OPPOSITE`) is 0.
    """
    rng = np.random.default_rng([seed, record.index])
    values = np.zeros(len(EMOTIONS))
    strength = rng.uniform(*RANGES[record.intensity])
    weights = _companion_weights(record.emotion)
    count = rng.integers(COMPANIONS[0], COMPANIONS[1], endpoint=True)
    companions = rng.choice(len(EMOTIONS), size=count, replace=False, p=weights / weights.sum())
    values[companions] = strength * rng.uniform(*COMPANION_STRENGTH, size=count)
    values[INDEX[record.emotion]] = strength
    if rng.random() < NEAR_NEUTRAL_SHARE:
        values *= NEAR_NEUTRAL_FACTOR
    return {name: round(float(value), 4) for name, value in zip(EMOTIONS, values, strict=True)}


def _companion_weights(emotion: str) -> np.ndarray:
    """(40,) how readily each category accompanies an emotion; never itself or its contrast."""
    family = CATEGORIES[INDEX[emotion]].family
    weight_of = dict.fromkeys(NEIGHBOURS[family], _NEIGHBOUR_WEIGHT) | {family: _FAMILY_WEIGHT}
    weights = np.array([weight_of.get(entry.family, 0.0) for entry in CATEGORIES])
    weights[[INDEX[emotion], INDEX[OPPOSITE[emotion]]]] = 0.0
    return weights
