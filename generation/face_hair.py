"""Hair of a schematic face: a mass behind the head and a cap with a hairline in front."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from generation.face_canvas import Canvas
from generation.face_colours import mix
from generation.face_curves import ellipse, smooth
from generation.face_identity import Identity

_SKULL = (0.77, 0.98)
"""Half axes of the skull that hair sits on."""


@dataclass(frozen=True)
class HairStyle:
    """A shape of hair, in head units.

    Attributes:
        hairline: control points from the viewer's left temple to the right one.
        volume: how far the hair stands off the skull at the top.
        fall: the height to which hair hangs behind the face; None where it does not.
        flare: half width of the hanging hair at its end.
        curl: height of the bumps of its edge; 0 for a smooth edge.
        locks: whether hair also frames the cheeks in front of the ears.
        bun: whether hair is gathered on top.
    """

    hairline: tuple[tuple[float, float], ...]
    volume: float = 0.12
    fall: float | None = None
    flare: float = 0.8
    curl: float = 0.0
    locks: bool = False
    bun: bool = False


_ROUND = (
    (-0.75, -0.10), (-0.68, -0.42), (-0.44, -0.64), (0.0, -0.70), (0.44, -0.64), (0.68, -0.42),
    (0.75, -0.10),
)  # fmt: skip
_PARTED = (
    (-0.74, -0.12), (-0.67, -0.40), (-0.50, -0.60), (-0.28, -0.74), (0.05, -0.58), (0.45, -0.50),
    (0.66, -0.38), (0.74, -0.12),
)  # fmt: skip
_MIDDLE = (
    (-0.75, -0.05), (-0.69, -0.36), (-0.45, -0.62), (0.0, -0.86), (0.45, -0.62), (0.69, -0.36),
    (0.75, -0.05),
)  # fmt: skip

STYLES: dict[str, HairStyle] = {
    "crop": HairStyle(_ROUND, volume=0.10),
    "side part": HairStyle(_PARTED, volume=0.15),
    "curls": HairStyle(_ROUND, volume=0.24, curl=0.05),
    "waves": HairStyle(_PARTED, volume=0.16, fall=1.05, flare=0.98, curl=0.03, locks=True),
    "long": HairStyle(_MIDDLE, volume=0.13, fall=1.60, flare=0.95, locks=True),
    "bob": HairStyle(_PARTED, volume=0.15, fall=0.72, flare=0.98, locks=True),
    "bun": HairStyle(_ROUND, volume=0.10, bun=True),
    "receding": HairStyle(
        ((-0.76, -0.10), (-0.72, -0.40), (-0.60, -0.72), (-0.36, -0.92), (0.0, -0.98),
         (0.36, -0.92), (0.60, -0.72), (0.72, -0.40), (0.76, -0.10)),
        volume=0.05,
    ),
}  # fmt: skip


def _edge(style: HairStyle, widest: float) -> np.ndarray:
    """The outer edge over the head, from the viewer's left to the right, +-`widest` degrees."""
    angle = np.radians(np.linspace(-widest, widest, 61))
    bumps = style.curl * np.abs(np.sin(angle * 7.5))
    off = style.volume * (0.45 + 0.55 * np.cos(angle).clip(0.0)) + bumps
    return np.stack([np.sin(angle) * (_SKULL[0] + off), -np.cos(angle) * (_SKULL[1] + off)], axis=1)


def draw_back(canvas: Canvas, who: Identity) -> None:
    """What lies behind the head and the shoulders."""
    style = STYLES[who.style]
    dark = mix(who.hair, (20, 14, 20), 0.28)
    width = np.array([who.face_width, 1.0])
    if style.bun:
        canvas.fill(ellipse(0.0, -1.10, 0.36, 0.22), dark)
        canvas.fill(ellipse(-0.04 * who.light, -1.11, 0.30, 0.17), who.hair)
    if style.fall is None:
        return
    top = _edge(style, 95.0)
    right = smooth(
        [
            top[-1],
            (style.flare * 0.97, 0.3),
            (style.flare, style.fall - 0.2),
            (style.flare * 0.90, style.fall),
            (0.3, style.fall),
        ]
    )[1:]
    left = (right * (-1.0, 1.0))[::-1]
    canvas.fill(np.concatenate([top, right, left]) * width, dark, lift=0.2)


def draw_front(canvas: Canvas, who: Identity) -> None:
    """The cap of hair over the forehead, its shine, and locks beside the cheeks."""
    style = STYLES[who.style]
    mirror = np.array([who.face_width * (who.parting if style.hairline is _PARTED else 1), 1.0])
    hairline = smooth(style.hairline, steps=8)[::-1]
    edge = _edge(style, 97.0)
    # The rim of the face lies that much before the head's middle plane: hair must turn with it.
    lift = np.repeat([0.26, 0.0], [len(edge), len(hairline)])
    canvas.fill(np.concatenate([edge, hairline]) * mirror, who.hair, lift=lift)
    shine = mix(who.hair, (255, 240, 220), 0.22)
    arc = _edge(style, 40.0)[20:50] * (0.9 * who.face_width, 0.93)
    canvas.stroke(arc, np.sin(np.linspace(0, np.pi, len(arc))) * 0.05, shine, 0.55, lift=0.15)
    if style.locks:
        for sign in (-1.0, 1.0):
            lock = smooth(
                [
                    (0.68, -0.46),
                    (0.84, -0.10),
                    (0.91, 0.30),
                    (0.84, 0.66),
                    (0.75, 0.36),
                    (0.70, 0.0),
                ],
                closed=True,
            )
            canvas.fill(lock * (sign * who.face_width, 1.0), who.hair, lift=0.13)
