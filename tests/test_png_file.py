"""PNG files of our own writing: every pixel comes back through another reader, and as predicted.

pytest tests/test_png_file.py
"""

from __future__ import annotations

import doctest
import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from emonet_face.imaging import decode
from generation import png_file
from generation.png_file import encode_png

SIDES = st.integers(1, 9)


def chunks(data):
    """(name, content) of each chunk, its checksum compared."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    place, found = 8, []
    while place < len(data):
        (length,) = struct.unpack_from(">I", data, place)
        name, content = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        assert struct.unpack_from(">I", data, place + 8 + length) == (zlib.crc32(name + content),)
        found.append((name, content))
        place += 12 + length
    return found


@given(arrays(np.uint8, st.tuples(SIDES, SIDES, st.just(3))))
def test_every_pixel_comes_back(levels):
    data = encode_png(levels, {})
    with Image.open(BytesIO(data)) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        assert np.array_equal(np.asarray(image), levels)
    assert data == encode_png(levels.copy(), {})


def test_differences_are_those_of_the_predictor_average():
    """Two rows of two grey pixels, by hand: less floor((left + above) / 2), modulo 256.

    10 20 above 31 0: 10 - 0, 20 - floor(10 / 2) = 15; 31 - floor(10 / 2) = 26,
    0 - floor((31 + 20) / 2) = -25, so 231.
    """
    levels = np.repeat(np.array([[10, 20], [31, 0]], np.uint8)[:, :, None], 3, axis=2)
    named = dict(chunks(encode_png(levels, {})))
    assert list(named) == [b"IHDR", b"IDAT", b"IEND"]
    assert named[b"IHDR"] == struct.pack(">IIBBBBB", 2, 2, 8, 2, 0, 0, 0)
    rows = [[3, 10, 10, 10, 15, 15, 15], [3, 26, 26, 26, 231, 231, 231]]
    assert zlib.decompress(named[b"IDAT"]) == bytes([*rows[0], *rows[1]])


def test_the_mean_of_two_bytes_does_not_overflow():
    levels = np.full((2, 2, 3), 255, np.uint8)
    raw = zlib.decompress(dict(chunks(encode_png(levels, {})))[b"IDAT"])
    assert list(raw[8:]) == [128] * 3 + [0] * 3, "255 - floor(255 / 2), 255 - 255"


def test_texts_are_read_by_others():
    texts = {"XML:com.adobe.xmp": "<x>\u00e9\u4e00</x>", "Title": ""}
    data = encode_png(np.zeros((1, 1, 3), np.uint8), texts)
    with Image.open(BytesIO(data)) as image:
        image.load()
        assert dict(image.text) == texts
    assert [name for name, _ in chunks(data)] == [b"IHDR", b"iTXt", b"iTXt", b"IDAT", b"IEND"]


def test_pixels_that_do_not_lie_in_a_row_in_memory():
    levels = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    for view in (levels[::-1, ::2], levels.transpose(1, 0, 2)):
        assert np.array_equal(np.asarray(decode(encode_png(view, {}), "view")), view)


@pytest.mark.parametrize("side", [64, 256])
def test_photos_are_about_as_small_as_a_general_encoder_makes_them(side):
    """A soft picture with noise of three levels, as a photo has."""
    noise = np.random.default_rng(0).normal(0, 3, (side, side, 3))
    slope = np.linspace(40, 200, side)[:, None, None] + np.linspace(0, 30, side)[None, :, None]
    levels = (slope + noise).round().astype(np.uint8)
    stream = BytesIO()
    Image.fromarray(levels).save(stream, "PNG")
    assert len(encode_png(levels, {})) < 1.05 * stream.tell()


def test_docstring_examples():
    results = doctest.testmod(png_file)
    assert results.attempted
    assert not results.failed
