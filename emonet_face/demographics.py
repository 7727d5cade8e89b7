"""Ethnicities and genders as published prompts spell them: words of prompts, no observations."""

from __future__ import annotations

ETHNICITIES: tuple[str, ...] = (
    "American Indian or Alaska Native",
    "white caucasian north american",
    "white caucasian european",
    "White",
    "Middle Eastern",
    "North African",
    "arabic",
    "Asian",
    "South Asian",
    "Southeast Asian",
    "Indian",
    "Hispanic or Latino",
    "Native Hawaiian or Other Pacific Islander",
    "Black or African American",
)
"""The 14 published strings. They overlap (three say White, three name the Middle East or North
Africa): "balanced" means balanced over these strings, not over any merge of them."""

GENDERS: tuple[str, ...] = ("man", "woman", "non-binary person")
