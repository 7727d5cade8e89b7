"""The picture at the top of a card, drawn from the product's own data: faces, or bars.

Drawn with Pillow alone: a card takes a fraction of a second, and the same data gives the same
bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cards.printing import SHAPES
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
_TWO_COLUMNS = 13
"""From so many bars on they stand in two columns: fewer are compared more easily in one."""
_EDGE, _TOP, _LINE, _WIDTH, _VALUE = 20, 56, 27, 360, 80
"""Of a picture of bars, in pixels: margin, first bar, line, longest bar, what follows a bar."""


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


def draw_bars(title: str, bars: Sequence[Bar], out: Path, note: str) -> None:
    """Horizontal bars in the order given, intervals as thin lines; from `_TWO_COLUMNS` on in two.

    Columns share their scale. Names are as wide as they need to be; values have the decimals that
    cards print.

    Args:
        title: above the bars.
        bars: at least one.
        out: the picture; one of somebody else is not replaced.
        note: below the bars, in small letters: what the values are of.
    """
    from PIL import Image, ImageDraw

    font, small, large = _font(17), _font(14), _font(22)
    half = len(bars) if len(bars) < _TWO_COLUMNS else -(-len(bars) // 2)
    parts = [bars[start : start + half] for start in range(0, len(bars), half)]
    low, high = _range(bars)
    scale = (_WIDTH if len(parts) > 1 else 2 * _WIDTH) / (high - low)
    left, columns = _EDGE, []
    for part in parts:
        least, most = _range(part)
        left += max(font.getlength(bar.name) for bar in part) + _GAP
        columns.append(_Axis(left - least * scale, scale))
        left += (most - least) * scale + _VALUE
    width = round(max(left, large.getlength(title) + 2 * _EDGE))
    lines = caption_lines(note, small, width - 2 * _EDGE)
    bottom = _TOP + half * _LINE + 14
    sheet = Image.new("RGB", (width, bottom + len(lines) * 19 + 12), _PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((_EDGE, 14), title, fill=_TEXT, font=large)
    for part, axis in zip(parts, columns, strict=True):
        foot = _TOP + len(part) * _LINE
        pen.line((axis.zero, _TOP - 4, axis.zero, foot), fill=_FAINT)
        names = axis.x(_range(part)[0]) - _GAP
        for place, bar in enumerate(part):
            middle = _TOP + place * _LINE + _LINE / 2
            pen.text((names, middle), bar.name, fill=_TEXT, font=font, anchor="rm")
            _bar(pen, bar, middle, axis, small)
    for place, line in enumerate(lines):
        pen.text((_EDGE, bottom + place * 19), line, fill=_FAINT, font=small)
    _save(sheet, out)


class _Axis(NamedTuple):
    """Where values lie across the picture."""

    zero: float
    scale: float

    def x(self, value: float) -> float:
        return self.zero + value * self.scale


def _bar(
    pen: ImageDraw.ImageDraw,
    bar: Bar,
    middle: float,
    axis: _Axis,
    font: ImageFont.FreeTypeFont,
) -> None:
    if bar.value is None:
        pen.text((axis.zero + 6, middle), "undefined", fill=_FAINT, font=font, anchor="lm")
        return
    end = axis.x(bar.value)
    colour = (_BLUE if bar.value >= 0 else _RED) if bar.strong else _GREY
    pen.rectangle((min(axis.zero, end), middle - 8, max(axis.zero, end), middle + 8), fill=colour)
    if bar.low is not None and bar.high is not None:
        ends = [axis.x(value) for value in (bar.low, bar.high)]
        pen.line((ends[0], middle, ends[1], middle), fill=_TEXT, width=2)
        for x in ends:
            pen.line((x, middle - 4, x, middle + 4), fill=_TEXT, width=2)
    furthest = max(end, axis.x(bar.value if bar.high is None else bar.high), axis.zero)
    text = SHAPES["number"](bar.value)
    pen.text((furthest + 8, middle), text, fill=_FAINT, font=font, anchor="lm")


def _range(bars: Sequence[Bar]) -> tuple[float, float]:
    ends = [v for bar in bars for v in (bar.value, bar.low, bar.high) if v is not None]
    return min(0.0, *ends, 0.0), max(0.1, *ends, 0.1)


def _font(size: int) -> ImageFont.FreeTypeFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _save(image: Image.Image, out: Path) -> None:
    from PIL import PngImagePlugin

    note = PngImagePlugin.PngInfo()
    note.add_text("Software", _MADE_BY)
    with new_file(out, ours=lambda path: _MADE_BY.encode() in path.read_bytes()[:256]) as aside:
        image.save(aside, format="PNG", pnginfo=note, compress_level=4)
