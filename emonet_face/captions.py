"""Names broken into lines that fit under a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import ImageFont


def caption_lines(name: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """`name` broken after spaces and slashes into lines no wider than `width` pixels.

    A word that is wider by itself has a line of its own; an empty name has no lines.
    """
    lines = [""]
    for piece in name.replace("/", "/ ").split():
        joined = lines[-1] + ("" if lines[-1].endswith("/") or not lines[-1] else " ") + piece
        if font.getlength(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(piece)
    return [text for text in lines if text]
