"""Colours of a schematic face: 8-bit RGB, mixed and laid on ramps."""

from __future__ import annotations

Colour = tuple[int, int, int]


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """The colour `share` of the way from the first to the second."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return (red, green, blue)


def ramp(stops: tuple[Colour, ...], position: float) -> Colour:
    """The colour at `position` in 0..1 along evenly spaced stops."""
    place = min(max(position, 0.0), 1.0) * (len(stops) - 1)
    index = min(int(place), len(stops) - 2)
    return mix(stops[index], stops[index + 1], place - index)
