"""A supersampled drawing surface in head coordinates: polygons, tapered strokes, soft spots.

Head coordinates have their origin between the eyes of a face looking straight ahead; x grows to the
viewer's right, y downwards, and the chin lies near y = 1. A `Pose` turns them like points on an
ellipsoid, so that brows, eyes and mouth wander and foreshorten together when a head turns or nods.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from generation.face_colours import Colour

HEAD_RADII = (0.80, 1.06, 0.72)
"""Half axes (x, y, depth) of the ellipsoid that carries the face."""

_UNIT = 0.36
"""One head unit as a share of the picture's side."""
_ORIGIN = (0.5, 0.46)
"""Where the head's origin lies in the picture, as shares of its side."""
_PIVOT_Y = 1.0
"""Heads tilt about this height, where the neck begins."""
_MIN_WORKING_SIDE = 192
_INVISIBLE = 1 / 255


@dataclass(frozen=True)
class Pose:
    """Where a head is and which way it looks.

    Attributes:
        yaw, pitch, roll: radians; positive turns to the viewer's right, down and clockwise.
        zoom: size, 1 = as usual.
        dx, dy: shift in head units.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    zoom: float = 1.0
    dx: float = 0.0
    dy: float = 0.0

    def place(self, points: np.ndarray, lift: np.ndarray) -> np.ndarray:
        """Head coordinates (n, 2) -> posed head coordinates (n, 2).

        Points inside the face outline lie on the ellipsoid, `lift` (n,) above its surface; points
        outside (hair, ears) lie in its middle plane.
        """
        a, b, depth = HEAD_RADII
        x, y = points.T
        z = depth * np.sqrt(np.maximum(0.0, 1.0 - (x / a) ** 2 - (y / b) ** 2)) + lift
        turned = x * math.cos(self.yaw) + z * math.sin(self.yaw)
        nodded = y * math.cos(self.pitch) + z * math.sin(self.pitch) - _PIVOT_Y
        cos, sin = math.cos(self.roll), math.sin(self.roll)
        tilted = np.stack(
            [turned * cos - nodded * sin, turned * sin + nodded * cos + _PIVOT_Y], axis=1
        )
        return tilted * self.zoom + (self.dx, self.dy)


UPRIGHT = Pose()


class _Shape(NamedTuple):
    """A recorded drawing step.

    Attributes:
        kind: what to do with the points.
        points: (n, 2) head coordinates.
        ink: red, green, blue, opacity.
        lift: height above the head's surface, (n,) or one for all.
        half: half widths of a stroke, (n,) or one for all.
        radii: of a spot.
    """

    kind: Literal["fill", "stroke", "spot", "clip", "unclip"]
    points: np.ndarray
    ink: tuple[int, int, int, int] = (0, 0, 0, 0)
    lift: float | np.ndarray = 0.0
    half: float | np.ndarray = 0.0
    radii: tuple[float, float] = (0.0, 0.0)


def _ink(colour: Colour, alpha: float) -> tuple[int, int, int, int]:
    return (*colour, round(255 * min(1.0, alpha)))


class Canvas:
    """A square picture under work, drawn in head coordinates placed by a pose.

    Shapes are recorded and carried out together when the pose changes and at the end: projecting
    thousands of points at once takes a fraction of the time of going shape by shape.
    """

    def __init__(self, size: int) -> None:
        """A canvas whose `finish` gives a picture of size x size pixels."""
        self._factor = max(2 if size > 128 else 3, -(-_MIN_WORKING_SIDE // size))
        self._side = size * self._factor
        self._image = Image.new("RGB", (self._side, self._side))
        self._draw = ImageDraw.Draw(self._image, "RGBA")
        self._pose = UPRIGHT
        self._shapes: list[_Shape] = []

    def set_pose(self, pose: Pose) -> None:
        """Place everything drawn from now on by this pose."""
        self._carry_out()
        self._pose = pose

    def backdrop(self, top: Colour, bottom: Colour) -> None:
        """Fill the whole picture with a vertical blend."""
        blend = Image.linear_gradient("L").resize((1, self._side))
        column = Image.composite(
            Image.new("RGB", blend.size, bottom), Image.new("RGB", blend.size, top), blend
        )
        self._image.paste(column.resize((self._side, self._side)))

    def fill(
        self,
        points: np.ndarray,
        colour: Colour,
        alpha: float = 1.0,
        lift: float | np.ndarray = 0.0,
    ) -> None:
        """Fill a polygon of head coordinates (n, 2), `lift` above the surface of the head."""
        if alpha > _INVISIBLE:
            self._shapes.append(_Shape("fill", points, _ink(colour, alpha), lift))

    def stroke(
        self,
        points: np.ndarray,
        width: float | np.ndarray,
        colour: Colour,
        alpha: float = 1.0,
        lift: float = 0.0,
    ) -> None:
        """Draw a line along points (n, 2) of one width, or of n widths, in head units."""
        if alpha > _INVISIBLE:
            self._shapes.append(_Shape("stroke", points, _ink(colour, alpha), lift, 0.5 * width))

    def spot(self, x: float, y: float, rx: float, ry: float, colour: Colour, alpha: float) -> None:
        """Blend in a soft ellipse around (x, y) that fades to nothing at radii rx, ry."""
        if alpha > _INVISIBLE:
            centre = np.array([[x, y]])
            self._shapes.append(_Shape("spot", centre, _ink(colour, alpha), radii=(rx, ry)))

    @contextmanager
    def clipped(self, points: np.ndarray) -> Iterator[None]:
        """Keep what is drawn in the block inside a polygon of head coordinates (n, 2)."""
        self._shapes.append(_Shape("clip", points[:0]))
        yield
        self._shapes.append(_Shape("unclip", points))

    def _carry_out(self) -> None:
        """Draw what was recorded since the last call."""
        shapes, self._shapes = self._shapes, []
        if not shapes:
            return
        path, there, back, ends = self._project(shapes)
        before = self._image
        first = 0
        for shape, last in zip(shapes, ends, strict=True):
            if shape.kind == "fill":
                self._draw.polygon(path[first:last], fill=shape.ink)
            elif shape.kind == "stroke":
                returning = back[len(back) - last : len(back) - first]
                self._draw.polygon(there[first:last] + returning, fill=shape.ink)
            elif shape.kind == "spot":
                self._blend_spot(path[first], path[first + 1], shape)
            elif shape.kind == "clip":
                before = self._image.copy()
            else:
                self._keep_inside(path[first:last], before)
            first = last

    def _project(
        self, shapes: list[_Shape]
    ) -> tuple[list[float], list[float], list[float], list[int]]:
        """The pixels of all points: x0, y0, x1, y1, ... as they are; moved to one side by the half
        widths; moved to the other side and in reverse order; and where each shape ends."""
        counts = [len(shape.points) for shape in shapes]
        placed = self._pose.place(
            np.concatenate([shape.points for shape in shapes]),
            _spread([shape.lift for shape in shapes], counts),
        )
        pixels = (placed * _UNIT + _ORIGIN) * self._side
        half = _spread([shape.half for shape in shapes], counts)
        normals = _normals(pixels, np.repeat(np.arange(len(shapes)), counts))
        offset = normals * (half * (_UNIT * self._side * self._pose.zoom))[:, None]
        return (
            pixels.ravel().tolist(),
            (pixels + offset).ravel().tolist(),
            (pixels - offset)[::-1].ravel().tolist(),
            (2 * np.cumsum(counts)).tolist(),
        )

    def _keep_inside(self, outline: list[float], before: Image.Image) -> None:
        """Go back to the picture `before`, but for what lies inside an outline of pixels."""
        left, top = int(min(outline[0::2])), int(min(outline[1::2]))
        box = (left, top, int(max(outline[0::2])) + 2, int(max(outline[1::2])) + 2)
        mask = Image.new("L", (box[2] - left, box[3] - top), 0)
        inner = [value - (top if odd % 2 else left) for odd, value in enumerate(outline)]
        ImageDraw.Draw(mask).polygon(inner, fill=255)
        before.paste(self._image.crop(box), (left, top), mask)
        self._image = before
        self._draw = ImageDraw.Draw(before, "RGBA")

    def _blend_spot(self, x: float, y: float, shape: _Shape) -> None:
        reach = 2.0 * _UNIT * self._side * self._pose.zoom
        width, height = (max(2, round(reach * radius)) for radius in shape.radii)
        mask = _fading(shape.ink[3]).resize((width, height), Image.Resampling.BILINEAR)
        self._image.paste(shape.ink[:3], (round(x - width / 2), round(y - height / 2)), mask)

    def finish(self) -> Image.Image:
        """The picture, averaged down to its final size."""
        self._carry_out()
        return self._image.reduce(self._factor)


def _spread(values: list[float | np.ndarray], counts: list[int]) -> np.ndarray:
    """One value per point, where each shape gave one for all its points or one for each."""
    parts = zip(values, counts, strict=True)
    return np.concatenate([np.full(n, v) if isinstance(v, float) else v for v, n in parts])


def _normals(path: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """Unit normals (n, 2) along lines laid end to end; `owner` (n,) tells the lines apart."""
    steps = np.diff(path, axis=0) * (owner[1:] == owner[:-1])[:, None]
    ahead = np.zeros_like(path)
    ahead[:-1] += steps
    ahead[1:] += steps
    ahead /= np.hypot(ahead[:, 0], ahead[:, 1]).clip(1e-9)[:, None]
    return ahead[:, ::-1] * (-1.0, 1.0)


@lru_cache(maxsize=256)
def _fading(peak: int) -> Image.Image:
    """A 64 x 64 mask: `peak` at the centre, falling smoothly to 0 at the inscribed circle."""
    axis = (np.arange(64) - 31.5) / 31.5
    share = np.clip(1.0 - np.hypot(axis[:, None], axis[None, :]), 0.0, 1.0)
    return Image.fromarray(np.uint8(np.round(peak * share**2 * (3.0 - 2.0 * share))))
