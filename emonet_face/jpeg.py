"""Whether a JPEG is whole, told without decoding its pixels.

The coded pixels of a JPEG carry no checksum, and a decoder conceals what is wrong with them: in a
sequential picture without restart marks it can fail at the header, at the tables, or where the
data ends before the end mark, and nowhere else. So those three are all there is to look at, which
takes a twentieth of the time of decoding.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

START = b"\xff\xd8"
_END = b"\xff\xd9"
_START_OF_FRAME = (0xC0, 0xC1)
_START_OF_SCAN = 0xDA
_PLAIN_SEGMENTS = (0xC4, 0xDB, 0xFE, *range(0xE0, 0xF0))
"""Markers of Huffman tables, quantisation tables, comments and application data."""

_MARK = re.compile(rb"\xff[^\x00]")
"""In coded pixels a byte FF is followed by 00; what else follows makes it a mark."""

_ONE_PIXEL = b"\0\1\0\1"


@dataclass(frozen=True)
class Header:
    """The beginning of a JPEG whose coded pixels are whole.

    Attributes:
        width, height: in pixels, as stored; above 0.
        picture: the same header and tables around a single pixel, quick to decode.
    """

    width: int
    height: int
    picture: bytes


def whole_header(data: bytes) -> Header | None:
    """The header of a JPEG, if the file goes on to its end mark.

    The picture that `data` holds can be decoded if and only if `Header.picture` can.

    Args:
        data: the bytes of a file.

    Returns:
        None where that promise cannot be given (no JPEG, progressive, several scans, restart marks,
        no end mark, anything unusual in the header): decode `data` itself then.
    """
    places = _frame_and_scan(data)
    if places is None:
        return None
    frame, scan = places
    mark = _MARK.search(data, scan)
    if mark is None or mark.group() != _END:
        return None
    height = int.from_bytes(data[frame + 5 : frame + 7])
    width = int.from_bytes(data[frame + 7 : frame + 9])
    if not width or not height:
        return None
    picture = data[: frame + 5] + _ONE_PIXEL + data[frame + 9 : scan] + _END
    return Header(width, height, picture)


def _frame_and_scan(data: bytes) -> tuple[int, int] | None:
    """Where the frame header and the coded pixels begin; None where they do not stand plainly."""
    frame = None
    place = len(START)
    while data.startswith(START) and data[place : place + 1] == b"\xff" and place + 4 <= len(data):
        marker = data[place + 1]
        after = place + 2 + int.from_bytes(data[place + 2 : place + 4])
        if marker == _START_OF_SCAN:
            return None if frame is None else (frame, after)
        if marker in _START_OF_FRAME and frame is None:
            frame = place
        elif marker not in _PLAIN_SEGMENTS:
            return None
        place = after
    return None
