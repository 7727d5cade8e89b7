"""Smooth curves, ellipses and stroke widths: the shapes a schematic face is made of."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


@lru_cache(maxsize=128)
def _spline_weights(count: int, closed: bool, steps: int) -> np.ndarray:
    """Catmull-Rom weights (samples, count) of a curve through `count` points."""
    pieces = count if closed else count - 1
    t = np.arange(steps) / steps
    basis = 0.5 * np.stack(
        [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2]
    )
    rows = np.zeros((pieces * steps + (not closed), count))
    for piece in range(pieces):
        for neighbour, weights in zip(range(piece - 1, piece + 3), basis, strict=True):
            index = neighbour % count if closed else min(max(neighbour, 0), count - 1)
            rows[piece * steps : (piece + 1) * steps, index] += weights
    if not closed:
        rows[-1, -1] = 1.0
    return rows


def smooth(points: np.ndarray | list, closed: bool = False, steps: int = 6) -> np.ndarray:
    """A smooth curve through control points (n, 2), `steps` samples from each to the next."""
    control = np.asarray(points, dtype=np.float64)
    return _spline_weights(len(control), closed, steps) @ control


def ellipse(x: float, y: float, rx: float, ry: float, samples: int = 28) -> np.ndarray:
    """An ellipse as a polygon (samples, 2)."""
    return _circle(samples) * (rx, ry) + (x, y)


@lru_cache(maxsize=16)
def _circle(samples: int) -> np.ndarray:
    angle = np.linspace(0.0, 2.0 * np.pi, samples, endpoint=False)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


@lru_cache(maxsize=256)
def _bulge(samples: int) -> np.ndarray:
    return np.sin(np.linspace(0.0, np.pi, samples)).clip(0.0) ** 0.7


def taper(samples: int, thick: float, thin: float = 0.15) -> np.ndarray:
    """Widths of a stroke: `thick` in the middle, `thin` times that at both ends."""
    return thick * (thin + (1.0 - thin) * _bulge(samples))
