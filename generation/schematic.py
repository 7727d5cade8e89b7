"""Schematic faces: a small deterministic drawing of 40 emotion intensities.

A face is drawn from action units (`action_units`) on the look of one person (`face_identity`), in
relative coordinates, so that every size shows the same picture. The same arguments give the same
bytes wherever the same Pillow and numpy are installed.

>>> face = draw([0.0] * 40, ethnicity="Asian", age=40, gender="woman", size=64, seed=7)
>>> face.size, face.mode
((64, 64), 'RGB')
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from emonet_face.errors import EmoNetFaceError
from generation.action_units import activations
from generation.face_canvas import UPRIGHT, Canvas, Pose
from generation.face_eyes import draw_brows, draw_eyes, draw_forehead
from generation.face_hair import draw_back, draw_front
from generation.face_head import draw_drops, draw_head, draw_nose, draw_shoulders, with_pallor
from generation.face_identity import identity
from generation.face_mouth import draw_mouth

MIN_SIZE, MAX_SIZE = 16, 2048
"""Sides of a picture, in pixels."""

_TURN, _NOD, _TILT = math.radians(26.0), math.radians(19.0), math.radians(15.0)
"""How far the head goes at full activation."""


def draw(
    intensities: Sequence[float],
    *,
    ethnicity: str,
    age: int,
    gender: str,
    size: int = 128,
    seed: int = 0,
) -> Image.Image:
    """Draw one face.

    Args:
        intensities: (40,) in canonical order, 0 absent to 1 full; all zero is a neutral face.
        ethnicity, age, gender: values of `prompts.ETHNICITIES`, `AGES` and `GENDERS`. They set
            ranges of skin tone, hair colour, hair style and wrinkles only (see `face_identity`).
        size: side in pixels, 16..2048.
        seed: 0 or more; varies the person (proportions, colours, hair, backdrop, light, a pose of
            a few degrees), never the expression.

    Returns:
        An RGB picture, size x size.

    Raises:
        EmoNetFaceError: a wrong number of intensities, one outside 0..1 or not finite, an unknown
            demographic value, a size outside 16..2048 or a negative seed.
    """
    units = activations(intensities)
    if not isinstance(size, int | np.integer) or not MIN_SIZE <= size <= MAX_SIZE:
        raise EmoNetFaceError(f"size is {size!r}: must be a whole number in {MIN_SIZE}..{MAX_SIZE}")
    who = with_pallor(identity(ethnicity, age, gender, seed), units["pallor"])
    canvas = Canvas(int(size))
    canvas.backdrop(*who.backdrop)
    canvas.set_pose(_pose(units, who.pose))
    draw_back(canvas, who)
    canvas.set_pose(UPRIGHT)
    draw_shoulders(canvas, units, who)
    canvas.set_pose(_pose(units, who.pose))
    draw_head(canvas, units, who)
    draw_nose(canvas, units, who)
    draw_mouth(canvas, units, who)
    draw_eyes(canvas, units, who)
    draw_forehead(canvas, units, who)
    draw_front(canvas, who)
    draw_brows(canvas, units, who)
    draw_drops(canvas, units, who)
    return canvas.finish()


def _pose(units: Mapping[str, float], own: Pose) -> Pose:
    """The head's position: the person's own, moved by AU51 to AU58."""
    nod = units["AU54"] - units["AU53"]
    return Pose(
        yaw=own.yaw + _TURN * (units["AU51"] - units["AU52"]),
        pitch=own.pitch + _NOD * nod,
        roll=own.roll + _TILT * (units["AU55"] - units["AU56"]),
        zoom=own.zoom * (1.0 + 0.10 * units["AU57"] - 0.10 * units["AU58"]),
        dx=own.dx,
        dy=own.dy + 0.07 * nod,
    )
