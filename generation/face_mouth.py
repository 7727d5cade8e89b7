"""Mouth, tongue and the folds around them, driven by action units.

The mouth is a seam between two corners. Along it, t runs from -1 (viewer's left) to 1; lips and
opening are heights above and below the seam, so teeth and tongue can be cut to the opening.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from generation.action_units import on_side
from generation.face_canvas import Canvas
from generation.face_colours import Colour, mix
from generation.face_curves import ellipse, smooth, taper
from generation.face_eyes import SIDES
from generation.face_identity import Identity

_MOUTH_Y = 0.565
_HALF_WIDTH = 0.265
_ALONG = np.linspace(-1.0, 1.0, 41)
_TEETH: Colour = (250, 248, 242)
_INSIDE: Colour = (92, 24, 34)
_TONGUE: Colour = (222, 104, 112)


class _Mouth(NamedTuple):
    """Curves of one mouth: x, then from top to bottom four heights along it."""

    x: np.ndarray
    top: np.ndarray
    upper: np.ndarray
    lower: np.ndarray
    bottom: np.ndarray

    def line(self, y: np.ndarray) -> np.ndarray:
        return np.stack([self.x, y], axis=1)

    def within(self, shape: np.ndarray) -> np.ndarray:
        """A shape (n, 2) cut to the opening."""
        x = np.clip(shape[:, 0], self.x[0], self.x[-1])
        upper, lower = (np.interp(x, self.x, y) for y in (self.upper, self.lower))
        return np.stack([x, np.clip(shape[:, 1], upper, lower)], axis=1)


def jaw_drop(units: Mapping[str, float]) -> float:
    """How far the jaw hangs, 0 closed to 1."""
    return 1.0 - (1.0 - 0.5 * units["AU26"]) * (1.0 - units["AU27"])


def _sides(units: Mapping[str, float], code: str) -> np.ndarray:
    """A unit along the mouth: its right form weighs on the viewer's left, its left form right."""
    right, left = on_side(units, code, "R"), on_side(units, code, "L")
    return right + (left - right) * (3 * _ALONG - _ALONG**3 + 2) / 4


def _shape(units: Mapping[str, float], who: Identity) -> _Mouth:
    pull, drop, dimple, sneer = (_sides(units, f"AU{n}") for n in (12, 15, 14, 10))
    part, jaw, stretch = units["AU25"], jaw_drop(units), units["AU20"]
    pucker, funnel, clench = units["AU18"], units["AU22"], units["AU31"]
    narrow = (1.0 - 0.50 * pucker) * (1.0 - 0.42 * funnel) * (1.0 - 0.40 * units["AD34"])
    narrow *= (1.0 - 0.16 * units["AU23"]) * (1.0 - 0.14 * units["AU27"])
    half = _HALF_WIDTH * narrow * (1.0 + 0.36 * pull + 0.28 * stretch + 0.10 * dimple + 0.04 * drop)
    x = half * _ALONG
    bent = np.abs(_ALONG) ** 1.7
    corner = -0.012 - 0.165 * pull + 0.125 * drop + 0.035 * stretch - 0.025 * dimple
    press = 1.0 - (1.0 - 0.85 * units["AU24"]) * (1.0 - 0.65 * units["AU23"])
    middle = 0.045 * pull.mean() - 0.035 * drop.mean() - 0.045 * units["AU17"] - 0.01 * press
    seam = _MOUTH_Y + who.mouth_height + middle * (1.0 - bent) + corner * bent
    # A stretched or clenched mouth opens as a slot, a round one as an oval.
    slot = 2.0 + 3.0 * max(stretch, clench, 0.5 * units["AU16"])
    opening = (1.0 - np.abs(_ALONG) ** slot) ** (0.75 - 0.25 * funnel)
    up = (0.018 + 0.045 * pull) * part + 0.075 * sneer + 0.050 * jaw + 0.035 * clench
    down = (0.028 + 0.030 * stretch) * part + 0.27 * jaw + 0.050 * units["AU16"] + 0.045 * clench
    down = down + 0.030 * funnel + 0.030 * max(units["AD19"], units["AD37"])
    full = who.lip_fullness * (1.0 - 0.72 * press) * (1.0 + 0.45 * pucker + 0.35 * funnel)
    full *= (1.0 - 0.30 * stretch) * (1.0 - 0.22 * jaw)
    lip = np.sqrt(np.clip(1.0 - _ALONG**2, 0.0, 1.0))
    bow = 1.0 - 0.22 * np.exp(-((_ALONG / 0.16) ** 2)) - 0.25 * np.abs(_ALONG)
    upper, lower = seam - up * opening, seam + down * opening
    return _Mouth(
        x,
        upper - 0.058 * full * lip * bow,
        upper,
        lower,
        lower + 0.082 * full * lip * (1.0 + 0.25 * units["AU17"]),
    )


def draw_mouth(canvas: Canvas, units: Mapping[str, float], who: Identity) -> None:
    """Lips, what shows between them, and the folds of cheeks and chin."""
    mouth = _shape(units, who)
    lips = mix(who.lips, (206, 196, 196), 0.45 * units["pallor"])
    _draw_folds(canvas, units, who, mouth)
    outline = np.concatenate([mouth.line(mouth.top), mouth.line(mouth.bottom)[::-1]])
    canvas.fill(outline, lips)
    canvas.fill(
        np.concatenate([mouth.line(mouth.top), mouth.line(mouth.upper)[::-1]]),
        mix(lips, who.line, 0.22),
    )
    gap = mouth.lower - mouth.upper
    if gap.max() > 0.015:
        _draw_inside(canvas, units, mouth)
    seam_width = 0.026 * (1.0 + 0.5 * max(units["AU24"], units["AU23"]))
    for edge in (mouth.upper, mouth.lower):
        canvas.stroke(mouth.line(edge), taper(41, seam_width, 0.5), mix(who.line, _INSIDE, 0.4))
    shine = mouth.line(mouth.lower + 0.55 * (mouth.bottom - mouth.lower))[14:27]
    canvas.stroke(shine, taper(13, 0.018), (255, 236, 230), 0.35)
    _draw_pucker(canvas, units, who, mouth)
    _draw_tongue(canvas, units, mouth)


def _draw_inside(canvas: Canvas, units: Mapping[str, float], mouth: _Mouth) -> None:
    canvas.fill(np.concatenate([mouth.line(mouth.upper), mouth.line(mouth.lower)[::-1]]), _INSIDE)
    middle = mouth.x.mean()
    low = mouth.lower.max()
    jaw = jaw_drop(units)
    if jaw > 0.15:
        tongue = ellipse(middle, low + 0.015, 0.62 * mouth.x[-1], 0.10 * min(1.0, 0.4 + jaw))
        canvas.fill(mouth.within(tongue), _TONGUE)
    clench = units["AU31"]
    smile = max(units["AU12"], units["AU12L"], units["AU12R"])
    shown = max(smile, units["AU10"], 0.8 * units["AU20"], clench, 0.35 * units["AU27"])
    shown *= 1.0 - units["AD37"]
    if shown > 0.05:
        height = max(0.075 * shown, 0.6 * clench * (mouth.lower - mouth.upper).max())
        teeth = np.minimum(mouth.upper + height, mouth.lower)
        canvas.fill(np.concatenate([mouth.line(mouth.upper), mouth.line(teeth)[::-1]]), _TEETH)
    below = max(0.8 * units["AU16"], clench, 0.5 * units["AU20"])
    if below > 0.05:
        height = max(0.055 * below, 0.6 * clench * (mouth.lower - mouth.upper).max())
        teeth = np.maximum(mouth.lower - height, mouth.upper)
        canvas.fill(np.concatenate([mouth.line(teeth), mouth.line(mouth.lower)[::-1]]), _TEETH)
    if clench > 0.2:
        bite = (mouth.upper + mouth.lower) / 2
        canvas.stroke(mouth.line(bite)[2:-2], 0.014, (150, 120, 120), clench)
        for t in range(6, 37, 4):
            tooth = np.array([(mouth.x[t], mouth.upper[t]), (mouth.x[t], mouth.lower[t])])
            canvas.stroke(tooth, 0.010, (170, 146, 144), 0.8 * clench)


def _draw_tongue(canvas: Canvas, units: Mapping[str, float], mouth: _Mouth) -> None:
    """A tongue shown over the lower lip (AD19), or wiping the upper one at its left (AD37)."""
    show, wipe = units["AD19"], units["AD37"]
    if show > 0.05:
        root = mouth.lower[20] - 0.03
        tip = mouth.bottom[20] + 0.15 * show
        half = 0.115 * (0.6 + 0.4 * show)
        tongue = smooth(
            [(-half, root), (-half * 1.05, (root + tip) / 2), (-half * 0.6, tip - 0.02), (0.0, tip),
             (half * 0.6, tip - 0.02), (half * 1.05, (root + tip) / 2), (half, root)]
        )  # fmt: skip
        canvas.fill(tongue, _TONGUE)
        groove = np.array([(0.0, root + 0.01), (0.0, (root + tip) / 2), (0.0, tip - 0.05)])
        canvas.stroke(groove, taper(3, 0.02, 0.4), (176, 66, 80))
    if wipe > 0.05:
        at = 27
        x, y = mouth.x[at], mouth.upper[at]
        tip = smooth(
            [(x - 0.11, y + 0.03), (x - 0.09, y - 0.04 * wipe), (x, y - 0.10 * wipe),
             (x + 0.08, y - 0.045 * wipe), (x + 0.085, y + 0.03)]
        )  # fmt: skip
        canvas.fill(tip, _TONGUE)
        canvas.stroke(tip, 0.010, (176, 66, 80), 0.8)


def _draw_pucker(canvas: Canvas, units: Mapping[str, float], who: Identity, mouth: _Mouth) -> None:
    """Short radial creases around pursed lips."""
    pucker = units["AU18"]
    middle = (mouth.top[20] + mouth.bottom[20]) / 2
    for angle in np.radians((-150, -120, -90, -60, -30, 30, 60, 120, 150)):
        ray = np.array([np.cos(angle), np.sin(angle)])
        rim = ray * (mouth.x[-1] + 0.02, (mouth.bottom[20] - mouth.top[20]) / 2 + 0.02)
        start = rim + np.array([0.0, middle])
        crease = np.array([start, start + 0.12 * rim, start + 0.065 * ray])
        canvas.stroke(crease, taper(3, 0.016, 0.4), who.line, 0.65 * pucker)


def _draw_folds(canvas: Canvas, units: Mapping[str, float], who: Identity, mouth: _Mouth) -> None:
    for side, sign in SIDES:
        end = -1 if sign > 0 else 0
        corner_x, corner_y = abs(mouth.x[end]), mouth.lower[end]
        smile, sneer, dimple = (on_side(units, f"AU{n}", side) for n in (12, 10, 14))
        cheek = max(0.75 * smile, 0.85 * sneer, 0.95 * units["AU9"], 0.35 * units["AU20"])
        fold = smooth(
            [(0.125, 0.245 - 0.03 * sneer), (0.22, 0.31), (corner_x + 0.06, corner_y - 0.09),
             (corner_x + 0.075, corner_y + 0.03)]
        ) * (sign, 1.0)  # fmt: skip
        strength = max(0.62 * cheek, 0.40 * who.wrinkles, 0.10)
        canvas.stroke(fold, taper(len(fold), 0.024), who.line, strength)
        nook = smooth(
            [(corner_x + 0.025, corner_y - 0.055), (corner_x + 0.055, corner_y),
             (corner_x + 0.025, corner_y + 0.055)]
        ) * (sign, 1.0)  # fmt: skip
        canvas.stroke(nook, taper(len(nook), 0.030), who.line, 0.9 * dimple)
        droop = on_side(units, "AU15", side)
        sag = smooth(
            [(corner_x + 0.01, corner_y), (corner_x + 0.05, corner_y + 0.06),
             (corner_x + 0.045, corner_y + 0.15)]
        ) * (sign, 1.0)  # fmt: skip
        canvas.stroke(sag, taper(len(sag), 0.022), who.line, max(0.6 * droop, 0.3 * who.wrinkles))
    _draw_chin(canvas, units, who, mouth)


def _draw_chin(canvas: Canvas, units: Mapping[str, float], who: Identity, mouth: _Mouth) -> None:
    y = mouth.bottom[20] + 0.075
    raised = units["AU17"]
    canvas.spot(0.0, y, 0.22, 0.09, who.shade, 0.30 + 0.4 * raised)
    crease = smooth([(-0.13, y + 0.035), (0.0, y - 0.015), (0.13, y + 0.035)])
    canvas.stroke(crease, taper(len(crease), 0.026), who.line, max(0.75 * raised, 0.12))
    for x, dy in ((-0.07, 0.09), (0.0, 0.075), (0.07, 0.09), (-0.035, 0.125), (0.035, 0.125)):
        canvas.fill(ellipse(x, y + dy, 0.014, 0.011, 8), who.line, 0.55 * raised)
