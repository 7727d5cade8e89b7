"""Eyes and brows of a schematic face, driven by action units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np

from generation.action_units import on_side
from generation.face_canvas import Canvas
from generation.face_colours import Colour, mix
from generation.face_curves import ellipse, smooth, taper
from generation.face_identity import Identity

Side = Literal["L", "R"]
SIDES: tuple[tuple[Side, float], ...] = (("L", 1.0), ("R", -1.0))
"""The person's own side and the sign of x there: their left is the viewer's right."""

_EYE_X, _EYE_Y = 0.33, 0.0
_HALF_WIDTH = 0.192
_UPPER, _LOWER = 0.124, 0.078
_IRIS, _PUPIL = 0.108, 0.044
_WHITE: Colour = (250, 249, 246)
_ALONG = np.linspace(-1.0, 1.0, 25)
"""Along the eye: -1 at the nose, 1 at the temple."""


class _Lids(NamedTuple):
    x: np.ndarray
    upper: np.ndarray
    lower: np.ndarray
    crease: np.ndarray

    def within(self, shape: np.ndarray) -> np.ndarray:
        """A shape (n, 2) cut to the opening between the lids."""
        order = np.argsort(self.x)
        x = np.clip(shape[:, 0], self.x.min(), self.x.max())
        low = np.interp(x, self.x[order], self.upper[order])
        high = np.interp(x, self.x[order], self.lower[order])
        return np.stack([x, np.clip(shape[:, 1], low, high)], axis=1)


def gaze(units: Mapping[str, float]) -> tuple[float, float]:
    """Where the eyes point: x to the viewer's right, y down, each in -1..1."""
    return units["AU61"] - units["AU62"], units["AU64"] - units["AU63"]


def _lids(units: Mapping[str, float], who: Identity, side: Side, sign: float) -> _Lids:
    """The curves of both lids. Closing brings the upper lid down to wherever the lower one is."""
    wink = units["AU46L"] if side == "L" else 0.0
    closed = 1.0 - (1.0 - on_side(units, "AU43", side)) * (1.0 - wink)
    look_down, look_up = max(0.0, gaze(units)[1]), max(0.0, -gaze(units)[1])
    lift = 1.0 - (1.0 - 0.85 * max(units["AU6"], wink)) * (1.0 - 0.65 * units["AU7"])
    size = who.eye_size
    arch_up = 1.0 - np.abs(_ALONG) ** 2.3
    arch_low = 1.0 - _ALONG**2
    height = 1.0 + 0.45 * units["AU5"] - 0.18 * units["AU7"] - 0.28 * units["AU6"]
    height = _UPPER * size * max(0.3, height - 0.52 * look_down + 0.18 * look_up)
    brow_weight = 0.045 * units["AU4"] * (1.0 - _ALONG) / 2.0
    sorrow = 0.030 * units["AU1"] * (1.0 - units["AU5"]) * (1.0 + _ALONG) / 2.0
    opened = -height * arch_up + (brow_weight + sorrow) * arch_up
    lower = _LOWER * size * (1.0 - 1.55 * lift + 0.25 * units["AU5"]) * arch_low
    upper = np.minimum(opened + (lower - opened) * min(1.0, closed), lower)
    centre = sign * _EYE_X * who.eye_distance
    slope = -(who.eye_tilt + 0.012) * _ALONG + _EYE_Y
    crease = opened - 0.045 * (1.0 - 0.75 * units["AU5"]) * (0.35 + 0.65 * arch_up)
    return _Lids(
        centre + sign * _ALONG * _HALF_WIDTH * size, upper + slope, lower + slope, crease + slope
    )


def draw_eyes(canvas: Canvas, units: Mapping[str, float], who: Identity) -> None:
    """Eyeballs, lids, lashes and the lines around them."""
    for side, sign in SIDES:
        lids = _lids(units, who, side, sign)
        upper = np.stack([lids.x, lids.upper], axis=1)
        lower = np.stack([lids.x, lids.lower], axis=1)
        crease = np.stack([lids.x, lids.crease], axis=1)
        _draw_socket(canvas, units, who, sign)
        canvas.fill(np.concatenate([crease, upper[::-1]]), mix(who.skin, who.shade, 0.42))
        opening = np.concatenate([upper, lower[::-1]])
        if (lids.lower - lids.upper).max() > 0.012:
            canvas.fill(opening, _WHITE)
            _draw_iris(canvas, units, who, lids, side, sign)
            shadow = lids.within(upper + np.array([0.0, 0.028]))
            canvas.fill(np.concatenate([upper, shadow[::-1]]), who.line, 0.30)
            moist = units["moist eyes"]
            canvas.stroke(lower[4:-4] - (0.0, 0.012), taper(17, 0.030), (255, 255, 255), moist)
        canvas.stroke(crease[2:-2], taper(21, 0.014), who.line, 0.55)
        canvas.stroke(lower, taper(25, 0.016), who.line, 0.60)
        lash = mix(who.line, (24, 14, 18), 0.75)
        canvas.stroke(upper, taper(25, 0.040, 0.35), lash)
        _draw_lashes(canvas, who, upper, sign, lash)


def _draw_iris(
    canvas: Canvas,
    units: Mapping[str, float],
    who: Identity,
    lids: _Lids,
    side: Side,
    sign: float,
) -> None:
    gaze_x, gaze_y = gaze(units)
    astray = units["AU65"] * (0.75 if side == "L" else 0.25)
    x = sign * _EYE_X * who.eye_distance + 0.095 * gaze_x + sign * 0.075 * astray
    y = _EYE_Y - 0.018 + (0.098 if gaze_y > 0 else 0.068) * gaze_y
    y -= 0.03 * units["AU65"] * (side == "L")
    radius = _IRIS * who.eye_size
    canvas.fill(lids.within(ellipse(x, y, radius, radius)), mix(who.iris, (18, 12, 16), 0.55))
    canvas.fill(lids.within(ellipse(x, y, radius * 0.84, radius * 0.84)), who.iris)
    pupil = _PUPIL * (1.0 + 0.75 * units["pupil dilation"])
    canvas.fill(lids.within(ellipse(x, y, pupil, pupil, 20)), (16, 12, 16))
    moist = units["moist eyes"]
    spark = 0.026 * (1.0 + 0.6 * moist)
    canvas.fill(lids.within(ellipse(x - 0.036, y - 0.036, spark, spark, 14)), (255, 255, 255))
    canvas.fill(lids.within(ellipse(x + 0.036, y + 0.042, 0.02, 0.02, 12)), (255, 255, 255), moist)


def _draw_socket(canvas: Canvas, units: Mapping[str, float], who: Identity, sign: float) -> None:
    """Shade above the eye, circles under it, and the folds of a raised cheek."""
    x = sign * _EYE_X * who.eye_distance
    canvas.spot(x, _EYE_Y - 0.07, 0.30, 0.20, who.shade, 0.30)
    dark = units["eye circles"]
    bag = smooth([(-0.15, 0.09), (-0.06, 0.155), (0.06, 0.155), (0.15, 0.09)]) * (sign, 1.0) + (
        x,
        0.0,
    )
    canvas.spot(x, _EYE_Y + 0.10, 0.24, 0.15, mix(who.shade, (70, 44, 84), 0.5), 0.75 * dark)
    canvas.stroke(bag, taper(len(bag), 0.022), who.line, max(0.55 * dark, 0.28 * who.wrinkles))
    fold = smooth([(-0.14, 0.12), (-0.02, 0.165), (0.10, 0.14), (0.21, 0.06)]) * (sign, 1.0) + (
        x,
        0.0,
    )
    squeeze = max(units["AU6"], 0.8 * units["AU46L"] * (sign > 0))
    canvas.stroke(fold, taper(len(fold), 0.024), who.line, 0.55 * squeeze)
    feet = max(0.85 * squeeze, 0.45 * who.wrinkles)
    for slope in (-0.07, 0.0, 0.07):
        foot = np.array([(x + sign * 0.20, 0.35 * slope), (x + sign * 0.25, 0.6 * slope + 0.004),
                         (x + sign * (0.29 + 0.02 * squeeze), slope)])  # fmt: skip
        canvas.stroke(foot, taper(3, 0.016, 0.4), who.line, 0.60 * feet)


def _draw_lashes(
    canvas: Canvas, who: Identity, upper: np.ndarray, sign: float, colour: Colour
) -> None:
    """A short wing at the outer corner."""
    if who.lashes < 0.25:
        return
    reach = 0.055 * who.lashes
    wing = np.array(
        [
            upper[-4],
            upper[-1] + (sign * 0.5 * reach, -0.2 * reach),
            upper[-1] + (sign * reach, -reach),
        ]
    )
    canvas.stroke(wing, np.array([0.03, 0.024, 0.006]), colour)


def draw_brows(canvas: Canvas, units: Mapping[str, float], who: Identity) -> None:
    """Brows: five points each, moved by the raisers and the lowerer."""
    for side, sign in SIDES:
        inner, outer, knit = (
            on_side(units, "AU1", side), on_side(units, "AU2", side), on_side(units, "AU4", side)
        )  # fmt: skip
        nose = 0.03 * units["AU9"]
        drop = np.array(
            [
                0.125 * knit - 0.135 * inner + nose,
                0.105 * knit - 0.110 * inner - 0.030 * outer + nose,
                0.075 * knit - 0.050 * inner - 0.100 * outer,
                0.050 * knit - 0.010 * inner - 0.140 * outer,
                0.020 * knit + 0.015 * inner - 0.120 * outer,
            ]
        )
        x = np.array([0.125 - 0.05 * knit, 0.21 - 0.02 * knit, 0.33, 0.45, 0.55])
        y = np.array([-0.265, -0.300, -0.330, -0.320, -0.255]) - who.brow_height + drop
        brow = smooth(np.stack([sign * x * who.eye_distance, y], axis=1), steps=6)
        width = np.interp(
            np.linspace(0, 1, len(brow)), [0, 0.15, 0.6, 1], [0.045, 0.068, 0.056, 0.012]
        )
        canvas.stroke(brow, width * who.brow_thickness, who.brow)


def draw_forehead(canvas: Canvas, units: Mapping[str, float], who: Identity) -> None:
    """The wrinkles of raised or knitted brows, and of age."""
    raised, knit = (
        sum(on_side(units, code, side) for side, _ in SIDES) / 2 for code in ("AU2", "AU4")
    )
    middle = max(units["AU1"], raised)
    for row, y in enumerate((-0.46, -0.54, -0.62)):
        reach = 0.20 + 0.22 * max(raised, who.wrinkles)
        bow = 0.03 * units["AU1"] - 0.02
        crease = smooth([(-reach, y + bow), (0.0, y - bow), (reach, y + bow)])
        strength = max(0.42 * middle * (1.0 - 0.25 * row), 0.36 * who.wrinkles)
        canvas.stroke(crease, taper(len(crease), 0.018), who.line, strength)
    for sign in (-1.0, 1.0):
        x = sign * (0.055 - 0.012 * knit)
        furrow = smooth([(x * 1.3, -0.34), (x, -0.25), (x * 1.15, -0.15)])
        canvas.stroke(furrow, taper(len(furrow), 0.026), who.line, 0.80 * knit)
