"""The head itself: shoulders, neck, ears, skin, nose, and signs that are no action units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from generation.face_canvas import Canvas
from generation.face_colours import Colour, mix
from generation.face_curves import ellipse, smooth, taper
from generation.face_eyes import SIDES
from generation.face_hair import STYLES
from generation.face_identity import Identity
from generation.face_mouth import jaw_drop

_TEAR: Colour = (150, 205, 246)
_BLUSH: Colour = (222, 62, 74)


def with_pallor(who: Identity, pallor: float) -> Identity:
    """The same person with paler, greyer skin."""

    def pale(colour: Colour) -> Colour:
        light = round(0.35 * colour[0] + 0.5 * colour[1] + 0.15 * colour[2])
        cool = (min(255, light + 8), min(255, light + 16), min(255, light + 20))
        return mix(mix(colour, cool, 0.34 * pallor), (250, 246, 240), 0.20 * pallor)

    return replace(who, skin=pale(who.skin), shade=pale(who.shade), glow=pale(who.glow))


def draw_shoulders(canvas: Canvas, units: Mapping[str, float], who: Identity) -> None:
    """Clothes, neck and a hint of collar; a shrug (AU82) lifts the shoulders."""
    lift = 0.27 * units["AU82"]
    side = smooth(
        [(0.34, 1.12 - 0.5 * lift), (0.56, 1.20 - 0.85 * lift), (0.92, 1.30 - lift),
         (1.22, 1.46 - lift), (1.42 + 0.6 * lift, 1.9 - lift), (1.6, 2.2)]
    )  # fmt: skip
    body = np.concatenate([side, (side * (-1.0, 1.0))[::-1]])
    canvas.fill(body, who.clothes)
    neck = smooth([(0.36, 0.50), (0.35, 0.95), (0.38, 1.14), (0.46, 1.22)])
    throat = 1.52 if who.neckline else 1.38
    collar = smooth([(0.46, 1.22), (0.26, 1.22 + 0.75 * (throat - 1.22)), (0.0, throat)], steps=4)
    half = np.concatenate([neck, collar])
    skin = mix(who.skin, who.shade, 0.35)
    bare = np.concatenate([half, (half * (-1.0, 1.0))[::-1]])
    canvas.fill(bare, skin)
    with canvas.clipped(bare):
        canvas.spot(0.0, 0.98, 0.60, 0.34, who.shade, 0.95)
    edge = np.concatenate([collar, (collar * (-1.0, 1.0))[::-1]])
    canvas.stroke(edge, 0.045, mix(who.clothes, (255, 255, 255), 0.35))


def _outline(units: Mapping[str, float], who: Identity) -> np.ndarray:
    jaw, puff, suck = jaw_drop(units), units["AD34"], units["AD35"]
    wide = 1.0 + 0.20 * puff - 0.07 * suck
    fall = 0.17 * jaw
    half = np.array(
        [
            (0.0, -0.97),
            (0.42, -0.86),
            (0.68, -0.52),
            (0.745, -0.05),
            (0.71 * (1.0 + 0.4 * (wide - 1.0)), 0.33),
            (0.545 * who.jaw_width * wide, 0.67 + 0.4 * fall),
            (0.32 * who.jaw_width * (1.0 + 0.5 * (wide - 1.0)), 0.925 + 0.9 * fall),
        ]
    )
    chin = np.array([(0.0, 1.005 + fall - 0.02 * units["AU17"])])
    mirrored = (half[1:] * (-1.0, 1.0))[::-1]
    return smooth(np.concatenate([half, chin, mirrored]), closed=True, steps=4) * (
        who.face_width,
        1,
    )


def draw_head(canvas: Canvas, units: Mapping[str, float], who: Identity) -> None:
    """Ears, face, soft light and cheeks."""
    for sign in (-1.0, 1.0) if not STYLES[who.style].locks else ():
        ear = ellipse(sign * 0.755 * who.face_width, 0.10, 0.095, 0.175)
        canvas.fill(ear, mix(who.skin, who.shade, 0.30))
        hollow = ellipse(sign * 0.78 * who.face_width, 0.10, 0.045, 0.10, 16)
        canvas.fill(hollow, mix(who.skin, who.shade, 0.62))
    outline = _outline(units, who)
    canvas.fill(outline, who.skin)
    with canvas.clipped(outline):
        canvas.spot(0.55 * who.light, -0.35, 0.85, 0.95, who.glow, 0.55)
        canvas.spot(-0.68 * who.light, 0.25, 0.60, 1.05, who.shade, 0.55 * abs(who.light))
        _draw_stubble(canvas, units, who)
        _draw_cheeks(canvas, units, who)
    canvas.stroke(np.concatenate([outline, outline[:2]]), 0.018, who.line, 0.45)


def _draw_cheeks(canvas: Canvas, units: Mapping[str, float], who: Identity) -> None:
    blush, puff, suck = units["blush"], units["AD34"], units["AD35"]
    red = mix(_BLUSH, who.skin, 0.10)
    for sign in (-1.0, 1.0):
        canvas.spot(sign * 0.44, 0.27, 0.36, 0.27, red, 0.14 + 0.62 * blush)
        apple = max(units["AU6"], 0.55 * units["AU12"])
        canvas.spot(sign * 0.42, 0.20, 0.24, 0.17, who.glow, 0.65 * apple)
        canvas.spot(sign * 0.50, 0.50, 0.26, 0.26, who.glow, 0.85 * puff)
        rim = smooth([(0.30, 0.36), (0.26, 0.52), (0.33, 0.68)]) * (sign, 1.0)
        canvas.stroke(rim, taper(len(rim), 0.026), who.line, 0.55 * puff)
        canvas.spot(sign * 0.47, 0.50, 0.24, 0.34, who.shade, 1.0 * suck)


def _draw_stubble(canvas: Canvas, units: Mapping[str, float], who: Identity) -> None:
    if who.stubble < 0.1:
        return
    fall = 0.17 * jaw_drop(units)
    jaw = smooth(
        [(0.72, 0.12), (0.55 * who.jaw_width, 0.66 + 0.4 * fall),
         (0.31 * who.jaw_width, 0.90 + fall), (0.0, 0.985 + fall)]
    )  # fmt: skip
    inner = smooth([(0.0, 0.40), (0.22, 0.40), (0.44, 0.52), (0.60, 0.30), (0.67, 0.10)])
    half = np.concatenate([jaw[::-1], inner[::-1]])
    shape = np.concatenate([half, (half * (-1.0, 1.0))[::-1]])
    canvas.fill(shape * (who.face_width, 1.0), who.hair, 0.26 * who.stubble)


def draw_nose(canvas: Canvas, units: Mapping[str, float], who: Identity) -> None:
    """Bridge, tip and nostrils; wrinkling (AU9) shortens it and folds its bridge."""
    wrinkle, flare = units["AU9"], units["AU38"]
    width = who.nose_width * (1.0 + 0.35 * flare + 0.16 * wrinkle)
    tip = 0.285 - 0.035 * wrinkle
    away = -1.0 if who.light > 0 else 1.0
    bridge = smooth([(0.065, -0.12), (0.055, 0.05), (0.085, 0.17), (0.10, tip - 0.03)])
    canvas.stroke(bridge * (away, 1.0), taper(len(bridge), 0.05), who.shade, 0.50, lift=0.05)
    canvas.spot(0.0, tip - 0.06, 0.10, 0.10, who.glow, 0.75)
    canvas.spot(0.0, tip - 0.04, 0.20, 0.17, _BLUSH, 0.50 * units["nose flush"])
    for sign in (-1.0, 1.0):
        wing = smooth(
            [(0.10, tip - 0.075), (0.128, tip - 0.02), (0.105, tip + 0.03), (0.06, tip + 0.02)]
        )
        canvas.stroke(
            wing * (sign * width, 1.0), taper(len(wing), 0.026), who.line, 0.75, lift=0.06
        )
        nostril = ellipse(
            sign * 0.058 * width, tip + 0.024, 0.030 * width, 0.016 + 0.012 * flare, 16
        )
        canvas.fill(nostril, mix(who.line, (30, 8, 12), 0.5), 0.9, lift=0.08)
        for row in range(3):
            y = -0.07 + 0.065 * row
            crease = smooth([(0.02, y + 0.02), (0.075, y - 0.012), (0.13, y - 0.03)])
            canvas.stroke(
                crease * (sign, 1.0), taper(len(crease), 0.026), who.line, 0.85 * wrinkle, lift=0.04
            )
    base = smooth([(-0.05, tip + 0.035), (0.0, tip + 0.05), (0.05, tip + 0.035)])
    canvas.stroke(base, taper(len(base), 0.022), who.line, 0.6, lift=0.09)


def draw_drops(canvas: Canvas, units: Mapping[str, float], who: Identity) -> None:
    """Tears below the eyes and sweat on the temple."""
    tears, sweat = units["tears"], units["sweat"]
    for _, sign in SIDES:
        x = sign * 0.33 * who.eye_distance
        streak = smooth(
            [(x, 0.08), (x + sign * 0.025, 0.24), (x + sign * 0.03, 0.24 + 0.22 * tears)]
        )
        canvas.stroke(streak, taper(len(streak), 0.060, 0.5), _TEAR, 0.85 * tears)
        _drop(canvas, x + sign * 0.03, 0.30 + 0.20 * tears, 0.062, tears)
    for x, y, size in ((0.57, -0.50, 0.085), (0.66, -0.26, 0.062), (-0.60, -0.42, 0.070)):
        _drop(canvas, x, y, size, sweat)


def _drop(canvas: Canvas, x: float, y: float, size: float, strength: float) -> None:
    if strength < 0.03:
        return
    grown = size * (0.5 + 0.5 * strength)
    shape = smooth(
        [(0.0, -1.5), (0.55, -0.35), (0.75, 0.35), (0.0, 0.95), (-0.75, 0.35), (-0.55, -0.35)],
        closed=True,
    )
    canvas.fill(shape * grown + (x, y), _TEAR, 0.95 * min(1.0, 2 * strength))
    canvas.stroke(shape * grown + (x, y), 0.014, (64, 122, 176), 0.8 * strength)
    canvas.fill(
        ellipse(x - 0.28 * grown, y + 0.1 * grown, 0.18 * grown, 0.3 * grown, 10),
        (255, 255, 255),
        0.9,
    )
