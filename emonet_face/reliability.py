"""Reliability tiers: how far the people who rate a category agree with each other.

Standard library only.
"""

from __future__ import annotations

import math

TIERS: tuple[tuple[str, float], ...] = (("high", 0.3), ("moderate", 0.1), ("low", -math.inf))
"""Reliability tiers of a category with their lowest alpha. 0.3 is the line the readout study of the
same ratings (arXiv 2610.08162) calls reliable; 0.1 is our choice. By Krippendorff's own advice
(0.667 for tentative conclusions) no category of faces would pass."""


def tier_of(alpha: float) -> str | None:
    """The reliability tier of a category by Krippendorff's alpha, None where that is undefined.

    >>> tier_of(0.3), tier_of(0.299), tier_of(-0.1), tier_of(float("nan"))
    ('high', 'moderate', 'low', None)
    """
    return next((name for name, least in TIERS if alpha >= least), None)
