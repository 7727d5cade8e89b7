"""From 40 emotion intensities to facial action units: what a schematic face has to show.

`UNITS` names the vocabulary: action units (AU) and action descriptors (AD) of the Facial Action
Coding System with the head and eye positions it codes, one gross behaviour (shoulder shrug), and
a few visible signs outside FACS (tears, blush, ...). A code that ends in L or R acts on that side
of the person's own face. Which units stand for which category, by which literature, is the table
in `displays`.

>>> sorted(unit for unit, value in activations([0.0] * 40).items() if value)
[]
>>> half_content = [0.5 * (name == "Contentment") for name in EMOTIONS]
>>> round(activations(half_content)["AU12"], 3)
0.35
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from emonet_face.errors import EmoNetFaceError
from emonet_face.taxonomy import EMOTIONS
from generation.displays import DISPLAYS

UNITS: dict[str, str] = {
    "AU1": "inner brow raiser",
    "AU2": "outer brow raiser",
    "AU2L": "outer brow raiser, left",
    "AU2R": "outer brow raiser, right",
    "AU4": "brow lowerer",
    "AU4R": "brow lowerer, right",
    "AU5": "upper lid raiser",
    "AU6": "cheek raiser",
    "AU7": "lid tightener",
    "AU9": "nose wrinkler",
    "AU10": "upper lip raiser",
    "AU10L": "upper lip raiser, left",
    "AU10R": "upper lip raiser, right",
    "AU12": "lip corner puller",
    "AU12L": "lip corner puller, left",
    "AU12R": "lip corner puller, right",
    "AU14": "dimpler",
    "AU14L": "dimpler, left",
    "AU14R": "dimpler, right",
    "AU15": "lip corner depressor",
    "AU15R": "lip corner depressor, right",
    "AU16": "lower lip depressor",
    "AU17": "chin raiser",
    "AU18": "lip pucker",
    "AU20": "lip stretcher",
    "AU22": "lip funneler",
    "AU23": "lip tightener",
    "AU24": "lip pressor",
    "AU25": "lips part",
    "AU26": "jaw drop",
    "AU27": "mouth stretch",
    "AU31": "jaw clencher",
    "AU38": "nostril dilator",
    "AU43": "eye closure, from drooping to shut",
    "AU43L": "eye closure, left",
    "AU43R": "eye closure, right",
    "AU46L": "wink, left",
    "AU51": "head turned left",
    "AU52": "head turned right",
    "AU53": "head up",
    "AU54": "head down",
    "AU55": "head tilted left",
    "AU56": "head tilted right",
    "AU57": "head forward",
    "AU58": "head back",
    "AU61": "eyes left",
    "AU62": "eyes right",
    "AU63": "eyes up",
    "AU64": "eyes down",
    "AU65": "walleye",
    "AU82": "shoulder shrug",
    "AD19": "tongue show",
    "AD34": "cheek puff",
    "AD35": "cheek suck",
    "AD37": "lip wipe with the tongue",
    "blush": "redder cheeks",
    "nose flush": "redder nose",
    "pallor": "paler, greyer skin",
    "tears": "tears on the cheeks",
    "moist eyes": "glistening eyes",
    "sweat": "drops of sweat on the temple",
    "pupil dilation": "wider pupils",
    "eye circles": "dark circles under the eyes",
}
"""Unit -> its FACS name, or what is seen. The codes are those of Ekman, Friesen & Hager (2002)."""

_CODES = tuple(UNITS)
_WEIGHTS = np.array([[DISPLAYS[name].units.get(code, 0.0) for code in _CODES] for name in EMOTIONS])


def check_intensities(intensities: Sequence[float]) -> np.ndarray:
    """The 40 intensities as float64, checked.

    Raises:
        EmoNetFaceError: not 40 values, or one is no finite number in 0..1; the category is named.
    """
    if len(intensities) != len(EMOTIONS):
        raise EmoNetFaceError(
            f"{len(intensities)} intensities: {len(EMOTIONS)} are needed, in canonical order"
        )
    for name, value in zip(EMOTIONS, intensities, strict=True):
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not 0.0 <= number <= 1.0:
            raise EmoNetFaceError(f"intensity of {name!r} is {value!r}: must lie in 0..1")
    return np.asarray(intensities, dtype=np.float64)


def activations(intensities: Sequence[float]) -> dict[str, float]:
    """How far each unit is activated by a mixture of emotions.

    Contributions add with saturation: activation = 1 - product over categories of
    (1 - weight * intensity). A single category therefore gives weight * intensity, more of any
    category never lowers a unit, and no unit passes 1. Antagonists (AU12 and AU15, gaze left and
    right) may be active together; the drawing balances them.

    Args:
        intensities: (40,) in canonical order, 0 absent to 1 full.

    Returns:
        Every code of UNITS -> 0..1; all zero for a neutral face.

    Raises:
        EmoNetFaceError: see `check_intensities`.
    """
    values = check_intensities(intensities)
    active = 1.0 - np.prod(1.0 - _WEIGHTS * values[:, None], axis=0)
    return dict(zip(_CODES, active.tolist(), strict=True))


def on_side(units: Mapping[str, float], code: str, side: Literal["L", "R"]) -> float:
    """Activation of a unit on one side: the two-sided unit and its one-sided form, saturating."""
    return 1.0 - (1.0 - units.get(code, 0.0)) * (1.0 - units.get(f"{code}{side}", 0.0))
