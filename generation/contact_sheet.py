"""Draw the contact sheet: all 40 categories at full intensity on one face, grouped by family.

    python -m generation.contact_sheet --out docs/contact_sheet.png

About 2 seconds. The picture is the same on every run.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from emonet_face.captions import caption_lines
from emonet_face.outputs import new_file
from emonet_face.taxonomy import EMOTIONS, FAMILIES
from generation.schematic import draw

_COLUMNS = 11
_GAP = 8
_PAPER, _TEXT, _RULE = (255, 255, 255), (52, 54, 62), (150, 154, 164)
_CAPTION, _HEADING = 0.133, 0.142
"""Sizes of the letters in sides of a face: the largest with which "Disappointment" is no wider than
a face and "Cognitive States and Processes" no wider than the two faces under it."""
_MADE_BY = "emonet-face contact sheet"
_NEUTRAL = "No emotion"
_NOTE = "Schematic faces, drawn from facial action units: illustrations, no photographs."


def pack_rows() -> list[list[tuple[str, tuple[str, ...]]]]:
    """Families laid out in rows of at most 11 faces, each in the first row with room for it.

    Returns:
        Rows of (family, categories); a group of one neutral face comes last.
    """
    rows: list[list[tuple[str, tuple[str, ...]]]] = []
    for group in (*FAMILIES.items(), (_NEUTRAL, ("Neutral",))):
        for row in rows:
            if sum(len(names) for _, names in row) + len(group[1]) <= _COLUMNS:
                row.append(group)
                break
        else:
            rows.append([group])
    return rows


def contact_sheet(
    *,
    ethnicity: str = "Hispanic or Latino",
    age: int = 30,
    gender: str = "woman",
    seed: int = 8,
    face: int = 128,
    intensity: float = 1.0,
) -> Image.Image:
    """Every category alone, at one intensity, on the same person.

    Args:
        ethnicity, age, gender, seed: the person, see `schematic.draw`.
        face: side of a face in pixels, 16..2048.
        intensity: 0..1 for every category.

    Returns:
        An RGB picture of 4 rows with family headings and captions.

    Raises:
        EmoNetFaceError: see `schematic.draw`.
    """
    person = {"ethnicity": ethnicity, "age": age, "gender": gender, "seed": seed}
    rows = pack_rows()
    small = ImageFont.load_default(max(8, round(face * _CAPTION)))
    large = ImageFont.load_default(max(9, round(face * _HEADING)))
    heading, line = round(large.size * 1.7), round(small.size * 1.15)
    captions = {
        name: caption_lines(name, small, face) for row in rows for _, names in row for name in names
    }
    longest = [max(len(captions[name]) for _, names in row for name in names) for row in rows]
    heights = [heading + face + lines * line + 2 * _GAP for lines in longest]
    size = (_GAP + _COLUMNS * (face + _GAP), 2 * _GAP + sum(heights) + line)
    sheet = Image.new("RGB", size, _PAPER)
    pen = ImageDraw.Draw(sheet)
    top = _GAP
    for row, height in zip(rows, heights, strict=True):
        x = _GAP
        for family, names in row:
            end = x + len(names) * (face + _GAP) - _GAP
            pen.text((x, top), family, fill=_TEXT, font=large)
            pen.line((x, top + heading - 6, end, top + heading - 6), fill=_RULE)
            for name in names:
                shown = [intensity * (emotion == name) for emotion in EMOTIONS]
                sheet.paste(draw(shown, **person, size=face), (x, top + heading))
                place = (x + face / 2, top + heading + face + 2)
                caption = "\n".join(captions[name])
                pen.multiline_text(
                    place, caption, fill=_TEXT, font=small, anchor="ma", align="center"
                )
                x += face + _GAP
        top += height
    pen.text((_GAP, top), _NOTE, fill=_TEXT, font=small)
    return sheet


def write_contact_sheet(sheet: Image.Image, out: Path) -> None:
    """Write a contact sheet as PNG.

    Raises:
        EmoNetFaceError: `out` exists and is no contact sheet of ours.
    """
    note = PngImagePlugin.PngInfo()
    note.add_text("Software", _MADE_BY)
    with new_file(out, ours=lambda path: _MADE_BY.encode() in path.read_bytes()[:256]) as aside:
        sheet.save(aside, format="PNG", optimize=True, pnginfo=note)


def main(argv: Sequence[str] | None = None) -> int:
    """The command above; returns 0."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--out", type=Path, required=True, help="PNG file to write")
    options = parser.parse_args(argv)
    write_contact_sheet(contact_sheet(), options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
