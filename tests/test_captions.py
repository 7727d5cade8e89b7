"""Names under pictures are broken where they may be.

pytest tests/test_captions.py
"""

from __future__ import annotations

import pytest

from emonet_face.captions import caption_lines


class Letters:
    """A font of which every letter is one pixel wide."""

    def getlength(self, text: str) -> float:
        return len(text)


@pytest.mark.parametrize(
    ("name", "width", "expected"),
    [
        ("Awe", 10, ["Awe"]),
        ("Jealousy & Envy", 10, ["Jealousy &", "Envy"]),
        ("Jealousy & Envy", 9, ["Jealousy", "& Envy"]),
        ("Fatigue/Exhaustion", 12, ["Fatigue/", "Exhaustion"]),
        ("Fatigue/Exhaustion", 18, ["Fatigue/Exhaustion"]),  # no space comes behind the slash
        ("Helplessness", 5, ["Helplessness"]),
        ("", 5, []),
    ],
)
def test_breaks_after_spaces_and_slashes(name, width, expected):
    assert caption_lines(name, Letters(), width) == expected
