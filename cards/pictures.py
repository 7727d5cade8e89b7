"""The picture at the top of a card, drawn from the product's own data: faces, or bars.

Drawn with Pillow alone: a card takes a fraction of a second, and the same data gives the same
bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from emonet_face.captions import caption_lines
from emonet_face.outputs import new_file
from emonet_face.taxonomy import EMOTIONS

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

PICTURE = "card.png"
"""Its name at the root of a product."""

_MADE_BY = "emonet-face card"
_PAPER, _TEXT, _FAINT, _RULE = (255, 255, 255), (40, 42, 50), (110, 114, 126), (222, 224, 230)
_BLUE, _GREY, _RED = (56, 108, 176), (176, 180, 190), (196, 92, 60)
_FACE, _GAP, _COLUMNS = 150, 12, 8


class Bar(NamedTuple):
    """One bar.

    Attributes:
        name: beside it.
        value: None where undefined.
        low, high: of its interval, None without one.
        strong: drawn in colour, else in grey.
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    strong: bool = True


def sample_faces(repo: Path, config: str, n: int = 2 * _COLUMNS) -> list[tuple[bytes, str]]:
    """(picture, prompted category) of a few rows of a config, each with another category.

    Reads the first row group only; rows without a picture or a known category are passed over.
    """
    import pyarrow.parquet as parquet

    found: dict[str, bytes] = {}
    for path in sorted((repo / config).glob("*.parquet"))[:1]:
        group = parquet.ParquetFile(path).read_row_group(0, columns=["image", "prompted_emotion"])
        for row in group.to_pylist():
            image, index = row["image"], row["prompted_emotion"]
            if image is not None and index is not None and image["bytes"]:
                found.setdefault(EMOTIONS[index], image["bytes"])
            if len(found) == n:
                break
    return [(data, name) for name, data in found.items()]


def draw_faces(faces: Sequence[tuple[bytes, str]], out: Path) -> None:
    """A sheet of faces, the prompted category under each."""
    from PIL import Image, ImageDraw

    columns = min(_COLUMNS, len(faces))
    lines, font = -(-len(faces) // columns), _font(15)
    height = _FACE + 44
    size = (_GAP + columns * (_FACE + _GAP), _GAP + lines * (height + _GAP))
    sheet = Image.new("RGB", size, _PAPER)
    pen = ImageDraw.Draw(sheet)
    for place, (data, name) in enumerate(faces):
        x = _GAP + place % columns * (_FACE + _GAP)
        y = _GAP + place // columns * (height + _GAP)
        with Image.open(BytesIO(data)) as image:
            image.draft("RGB", (_FACE, _FACE))
            sheet.paste(image.convert("RGB").resize((_FACE, _FACE)), (x, y))
        text = "\n".join(caption_lines(name, font, _FACE)[:2])
        middle = (x + _FACE / 2, y + _FACE + 4)
        pen.multiline_text(middle, text, fill=_TEXT, font=font, anchor="ma", align="center")
    _save(sheet, out)


def draw_bars(title: str, bars: Sequence[Bar], out: Path) -> None:
    """Horizontal bars in two columns, in the order given, intervals as thin lines."""
    from PIL import Image, ImageDraw

    font, small, large = _font(17), _font(14), _font(22)
    half = -(-len(bars) // 2)
    line, top, label, width = 27, 56, 250, 360
    low, high = _range(bars)
    block = label + width + 90
    sheet = Image.new("RGB", (2 * block + 30, top + half * line + 26), _PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((20, 14), title, fill=_TEXT, font=large)
    for column in range(2):
        left = 20 + column * block + label
        scale = width / (high - low)
        zero = left + (0 - low) * scale
        own = bars[column * half : (column + 1) * half]
        if not own:
            continue
        pen.line((zero, top - 4, zero, top + len(own) * line), fill=_FAINT)
        for place, bar in enumerate(own):
            middle = top + place * line + line / 2
            name = _shortened(bar.name, font, label - 16)
            pen.text((left - 12, middle), name, fill=_TEXT, font=font, anchor="rm")
            _bar(pen, bar, middle, (left, zero, scale, low), small, left + width)
    _save(sheet, out)


def _bar(
    pen: ImageDraw.ImageDraw,
    bar: Bar,
    middle: float,
    axis: tuple[float, float, float, float],
    font: ImageFont.FreeTypeFont,
    right: float,
) -> None:
    left, zero, scale, low = axis
    if bar.value is None:
        pen.text((zero + 6, middle), "undefined", fill=_FAINT, font=font, anchor="lm")
        return
    end = left + (bar.value - low) * scale
    colour = (_BLUE if bar.value >= 0 else _RED) if bar.strong else _GREY
    pen.rectangle((min(zero, end), middle - 8, max(zero, end), middle + 8), fill=colour)
    if bar.low is not None and bar.high is not None:
        ends = [left + (value - low) * scale for value in (bar.low, bar.high)]
        pen.line((ends[0], middle, ends[1], middle), fill=_TEXT, width=2)
        for x in ends:
            pen.line((x, middle - 4, x, middle + 4), fill=_TEXT, width=2)
    furthest = max(end, left + ((bar.high or bar.value) - low) * scale, zero)
    pen.text(
        (min(furthest, right) + 8, middle), f"{bar.value:.2f}", fill=_FAINT, font=font, anchor="lm"
    )


def _range(bars: Sequence[Bar]) -> tuple[float, float]:
    ends = [v for bar in bars for v in (bar.value, bar.low, bar.high) if v is not None]
    return min(0.0, *ends, 0.0), max(0.1, *ends, 0.1)


def _font(size: int) -> ImageFont.FreeTypeFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _shortened(name: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    if font.getlength(name) <= width:
        return name
    while name and font.getlength(name + "…") > width:
        name = name[:-1]
    return name.rstrip(" /&") + "…"


def _save(image: Image.Image, out: Path) -> None:
    from PIL import PngImagePlugin

    note = PngImagePlugin.PngInfo()
    note.add_text("Software", _MADE_BY)
    with new_file(out, ours=lambda path: _MADE_BY.encode() in path.read_bytes()[:256]) as aside:
        image.save(aside, format="PNG", pnginfo=note, compress_level=4)
