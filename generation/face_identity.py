"""Who a schematic face shows: colours, proportions, hair, wrinkles and a small pose of its own.

The seed draws one set of numbers in 0..1; the demographic strings only choose the ranges these
numbers are laid on, so one seed keeps its proportions through all cells. Ethnicity changes two
things, the range of the skin tone and the range of the hair colour, and these ranges overlap
widely; no feature of the face depends on it. Age brings wrinkles, grey and, at times, thinner hair.
Gender shifts how likely each hair style and a stubble are; every gender can have most styles. None
of this describes real groups of people, and none of it touches the expression.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from emonet_face.errors import EmoNetFaceError
from generation.face_canvas import Pose
from generation.face_colours import Colour, mix, ramp
from generation.prompts import AGES, ETHNICITIES, GENDERS

_SKIN: tuple[Colour, ...] = (
    (252, 226, 205),
    (243, 207, 177),
    (228, 182, 145),
    (205, 152, 112),
    (172, 118, 82),
    (138, 90, 62),
    (104, 66, 46),
)
_HAIR: tuple[Colour, ...] = (
    (30, 25, 28),
    (58, 40, 34),
    (94, 62, 44),
    (138, 90, 54),
    (190, 138, 78),
    (226, 186, 122),
)
_GREY: Colour = (206, 205, 206)
_IRIS: tuple[Colour, ...] = (
    (62, 40, 28),
    (96, 62, 36),
    (112, 98, 52),
    (84, 120, 110),
    (86, 126, 164),
)
_CLOTHES: tuple[Colour, ...] = (
    (86, 124, 160), (176, 92, 84), (96, 138, 110), (222, 178, 92), (124, 104, 152), (74, 84, 104),
    (214, 132, 98), (118, 160, 166),
)  # fmt: skip
_BACKDROPS: tuple[Colour, ...] = (
    (214, 228, 238), (238, 226, 208), (220, 232, 216), (236, 218, 220), (226, 220, 238),
    (214, 234, 230), (240, 232, 196),
)  # fmt: skip

TONES: Mapping[str, tuple[float, float, float]] = MappingProxyType(
    {
        "American Indian or Alaska Native": (0.25, 0.65, 0.30),
        "white caucasian north american": (0.00, 0.48, 1.00),
        "white caucasian european": (0.00, 0.48, 1.00),
        "White": (0.00, 0.48, 1.00),
        "Middle Eastern": (0.12, 0.58, 0.50),
        "North African": (0.18, 0.75, 0.40),
        "arabic": (0.15, 0.65, 0.45),
        "Asian": (0.05, 0.50, 0.30),
        "South Asian": (0.25, 0.82, 0.30),
        "Southeast Asian": (0.15, 0.65, 0.30),
        "Indian": (0.28, 0.85, 0.30),
        "Hispanic or Latino": (0.08, 0.72, 0.60),
        "Native Hawaiian or Other Pacific Islander": (0.28, 0.75, 0.35),
        "Black or African American": (0.38, 1.00, 0.30),
    }
)
"""Ethnicity -> lightest and deepest skin (0 light, 1 deep), lightest hair (0 black, 1 fair).

Any two ranges overlap."""

_STYLE_WEIGHTS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "man": {"crop": 4, "side part": 4, "curls": 2, "waves": 1, "long": 0.5, "bun": 0.5},
        "woman": {"crop": 1, "side part": 1, "curls": 2, "waves": 3, "long": 3, "bun": 2, "bob": 3},
        "non-binary person": {
            "crop": 2, "side part": 2, "curls": 2, "waves": 2, "long": 2, "bun": 2, "bob": 2,
        },
    }
)  # fmt: skip
_STUBBLE = {"man": 1.0, "woman": 0.0, "non-binary person": 0.5}
_LASHES = {"man": (0.0, 0.4), "woman": (0.3, 1.0), "non-binary person": (0.1, 0.8)}
_DRAWS = (
    *("skin", "hair", "grey", "iris", "clothes", "backdrop", "style", "thinning"),
    *("face_width", "jaw_width", "eye_distance", "eye_size", "eye_tilt", "nose", "lips", "brows"),
    *("brow_height", "stubble", "lashes", "parting", "light", "warmth"),
    *("yaw", "pitch", "roll", "zoom", "dx", "dy", "neckline", "mouth_height"),
)


@dataclass(frozen=True)
class Identity:
    """The look of one person, without any expression. Sizes are factors around 1.

    Attributes:
        skin, shade, glow, line: skin, its shadow, its light and the colour of drawn lines.
        lips, hair, brow, iris, clothes: further colours.
        backdrop: colours at the top and the bottom of the picture.
        style: a key of `face_hair.STYLES`.
        wrinkles, stubble, lashes: 0 none to 1 full.
        eye_tilt, brow_height, mouth_height: shifts in head units.
        light: where the light comes from, -1 viewer's left to 1 right.
        parting: -1 or 1, the side of asymmetric hair.
        neckline: 0 round or 1 pointed.
        pose: a small turn, tilt, shift and zoom.
    """

    skin: Colour
    shade: Colour
    glow: Colour
    line: Colour
    lips: Colour
    hair: Colour
    brow: Colour
    iris: Colour
    clothes: Colour
    backdrop: tuple[Colour, Colour]
    style: str
    wrinkles: float
    stubble: float
    lashes: float
    face_width: float
    jaw_width: float
    eye_distance: float
    eye_size: float
    nose_width: float
    lip_fullness: float
    brow_thickness: float
    eye_tilt: float
    brow_height: float
    mouth_height: float
    light: float
    parting: int
    neckline: int
    pose: Pose


def _check(ethnicity: str, age: int, gender: str, seed: int) -> None:
    for name, value, allowed in (
        ("ethnicity", ethnicity, ETHNICITIES),
        ("age", age, AGES),
        ("gender", gender, GENDERS),
    ):
        if value not in allowed:
            raise EmoNetFaceError(
                f"{name} is {value!r}: must be one of {', '.join(map(str, allowed))}"
            )
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or seed < 0:
        raise EmoNetFaceError(f"seed is {seed!r}: must be a whole number, 0 or more")


def identity(ethnicity: str, age: int, gender: str, seed: int) -> Identity:
    """The person of a seed in a demographic cell; the same arguments give the same person.

    Args:
        ethnicity, age, gender: values of `prompts.ETHNICITIES`, `AGES` and `GENDERS`.
        seed: 0 or more.

    Raises:
        EmoNetFaceError: a value is not among the allowed ones, which the message lists.
    """
    _check(ethnicity, age, gender, seed)
    draws = np.random.default_rng(int(seed)).random(len(_DRAWS)).tolist()
    draw = dict(zip(_DRAWS, draws, strict=True))
    years = (age - AGES[0]) / (AGES[-1] - AGES[0])

    def between(name: str, low: float, high: float) -> float:
        return _between(draw[name], low, high)

    return Identity(
        **_colours(draw, TONES[ethnicity], years),
        style=_style(gender, years, draw["style"], draw["thinning"]),
        wrinkles=years**1.2,
        stubble=_STUBBLE[gender] * max(0.0, between("stubble", -0.9, 1.0)),
        lashes=between("lashes", *_LASHES[gender]),
        face_width=between("face_width", 0.93, 1.05),
        jaw_width=between("jaw_width", 0.88, 1.10),
        eye_distance=between("eye_distance", 0.94, 1.07),
        eye_size=between("eye_size", 0.93, 1.08),
        nose_width=between("nose", 0.85, 1.20),
        lip_fullness=between("lips", 0.85, 1.25),
        brow_thickness=between("brows", 0.80, 1.25),
        eye_tilt=between("eye_tilt", -0.008, 0.014),
        brow_height=between("brow_height", -0.02, 0.02),
        mouth_height=between("mouth_height", -0.02, 0.02),
        light=between("light", -1.0, 1.0),
        parting=1 if draw["parting"] < 0.5 else -1,
        neckline=int(draw["neckline"] < 0.5),
        pose=Pose(
            yaw=between("yaw", -0.07, 0.07),
            pitch=between("pitch", -0.035, 0.035),
            roll=between("roll", -0.035, 0.035),
            zoom=between("zoom", 0.96, 1.03),
            dx=between("dx", -0.04, 0.04),
            dy=between("dy", -0.03, 0.03),
        ),
    )


def _between(position: float, low: float, high: float) -> float:
    return low + (high - low) * position


def _colours(
    draw: Mapping[str, float], tones: tuple[float, float, float], years: float
) -> dict[str, object]:
    """The colours of an identity, by the names of its fields; `years` runs from 0 to 1."""
    light_skin, deep_skin, fair_hair = tones
    tone = _between(draw["skin"], light_skin, deep_skin)
    skin = mix(ramp(_SKIN, tone), (255, 196, 150), 0.10 * draw["warmth"])
    shade = mix(skin, (96, 30, 34), 0.26 + 0.10 * tone)
    grey = min(1.0, max(0.0, 2.1 * years - 0.65 + _between(draw["grey"], -0.35, 0.35)))
    hair = ramp(_HAIR, fair_hair * draw["hair"])
    backdrop = _pick(_BACKDROPS, draw["backdrop"])
    return {
        "skin": skin,
        "shade": shade,
        "glow": mix(skin, (255, 244, 226), 0.42),
        "line": mix(shade, (42, 16, 20), 0.55),
        "lips": mix(skin, (176, 44, 62), 0.42),
        "hair": mix(hair, _GREY, 0.92 * grey),
        "brow": mix(mix(hair, (40, 28, 26), 0.45), _GREY, 0.35 * grey),
        "iris": ramp(_IRIS, draw["iris"] ** 3),
        "clothes": _pick(_CLOTHES, draw["clothes"]),
        "backdrop": (mix(backdrop, (255, 255, 255), 0.35), mix(backdrop, (120, 120, 140), 0.12)),
    }


def _pick(colours: tuple[Colour, ...], position: float) -> Colour:
    return colours[int(position * len(colours))]


def _style(gender: str, years: float, position: float, thinning: float) -> str:
    """A hair style by the gender's weights; with age, some men's and a few others' hair thins."""
    if thinning < years * (0.45 if gender == "man" else 0.06):
        return "receding"
    weights = _STYLE_WEIGHTS[gender]
    edge = position * sum(weights.values())
    for style, weight in weights.items():
        edge -= weight
        if edge < 0.0:
            return style
    return next(reversed(weights))
