"""The contact sheet of a run: a few faces of each prompted category on one page, as PDF."""

from __future__ import annotations

import time
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from emonet_face.imaging import decode
from emonet_face.taxonomy import EMOTIONS
from generation.run_folder import Run

_COLUMNS = 5
"""Categories side by side; 8 rows of them make a page."""
SHOWN = 4
"""Faces of a category."""

_GAP = 10
_PAPER, _TEXT, _FAINT = (255, 255, 255), (52, 54, 62), (150, 154, 164)
_NO_DATE = time.gmtime(0)


def write_run_sheet(run: Run, path: Path) -> None:
    """Write the sheet; the same run gives the same bytes."""
    dates = {"creationDate": _NO_DATE, "modDate": _NO_DATE}
    run_sheet(run).save(path, format="PDF", resolution=150.0, title="EmoNet-Face run", **dates)


def run_sheet(run: Run, face: int = 112) -> Image.Image:
    """The first faces of each category in the run's order; where a run has none, an empty place.

    Args:
        run: complete.
        face: side of a face in pixels.

    Returns:
        An RGB picture.
    """
    small, large = ImageFont.load_default(11), ImageFont.load_default(15)
    block = (SHOWN * (face + 2) + _GAP, face + 30)
    rows = -(-len(EMOTIONS) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * block[0] + _GAP, rows * block[1] + 44), _PAPER)
    pen = ImageDraw.Draw(sheet)
    plan = run.plan
    title = (
        f"{plan['n']:,} faces, {plan['generator']}, seed {plan['seed']}. Every face is synthetic; "
        "captions are what prompts ask for."
    )
    pen.text((_GAP, _GAP), title, fill=_TEXT, font=large)
    chosen = _first_of_each(run)
    for place, emotion in enumerate(EMOTIONS):
        x, y = _GAP + place % _COLUMNS * block[0], 40 + place // _COLUMNS * block[1]
        pen.text((x, y), emotion, fill=_TEXT, font=small)
        for column in range(SHOWN):
            left, top = x + column * (face + 2), y + 16
            if column < len(chosen[emotion]):
                image = run.image_path(chosen[emotion][column])
                picture = decode(image.read_bytes(), str(image)).resize(
                    (face, face), reducing_gap=2.0
                )
                sheet.paste(picture, (left, top))
            else:
                pen.rectangle((left, top, left + face - 1, top + face - 1), outline=_FAINT)
    return sheet


def _first_of_each(run: Run) -> dict[str, list[int]]:
    """Category -> numbers of its first images; balanced prompts need 40 x SHOWN looks."""
    chosen: dict[str, list[int]] = {emotion: [] for emotion in EMOTIONS}
    for index in range(min(run.plan["n"], SHOWN * len(EMOTIONS))):
        chosen[run.record(index).emotion].append(index)
    return chosen
