"""A JPEG need not be decoded to be found whole: pytest tests/test_jpeg.py

Pillow's full decoding is the reference: on thousands of damaged files both say the same.
"""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
from PIL import Image

from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import decode, inspect_image
from emonet_face.jpeg import whole_header


def jpeg(size=(64, 48), mode="RGB", **options):
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(stream, "JPEG", **options)
    return stream.getvalue()


PLAIN = [
    jpeg((width, height), mode, subsampling=subsampling, quality=quality, optimize=quality > 80)
    for width, height in ((64, 48), (33, 17), (1, 1))
    for mode in ("RGB", "L", "CMYK")
    for subsampling in (0, 2)
    for quality in (40, 90)
]
OTHERS = [jpeg(progressive=True), jpeg(restart_marker_blocks=2)]


def decodes(data):
    try:
        Image.open(io.BytesIO(data), formats=("JPEG",)).load()
    except Exception:
        return False
    return True


def damaged(data, chance):
    place = chance.randrange(len(data))
    some = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 12)))
    return chance.choice(
        [
            data[:place],
            data[:place] + b"\xff\xd9",
            data[:place] + some + data[place + len(some) :],
            data[:place] + some + data[place:],
            data[:place] + data[place + len(some) :],
            # The header is where most can go wrong.
            data[: place % 650] + some[:1] + data[place % 650 + 1 :],
        ]
    )


def test_the_short_way_and_decoding_agree_on_damaged_files():
    chance = random.Random(1)
    short = refused = 0
    for _ in range(6_000):
        data = damaged(chance.choice(PLAIN + OTHERS), chance)
        header = whole_header(data)
        if header is not None:
            short += 1
            whole = decodes(data)
            refused += not whole
            assert decodes(header.picture) == whole
    assert short > 1_500
    assert refused > 50


@pytest.mark.parametrize("data", PLAIN, ids=range(len(PLAIN)))
def test_whole_files_take_the_short_way_and_cut_ones_do_not(data):
    header = whole_header(data)
    assert decodes(header.picture)
    assert (header.width, header.height) == Image.open(io.BytesIO(data)).size
    assert whole_header(data + b"trailing") == header
    for cut in (len(data) - 2, len(data) // 2 + 40, 30, 3, 2, 0):
        assert whole_header(data[:cut]) is None


def test_a_large_picture_is_refused_by_its_own_size(monkeypatch):
    monkeypatch.setattr("emonet_face.imaging.MAX_PIXELS", 3_000)
    with pytest.raises(EmoNetFaceError, match="x: 64 x 48 pixels; at most 3,000"):
        inspect_image(jpeg(), "x")


@pytest.mark.parametrize("data", OTHERS, ids=["progressive", "restart marks"])
def test_other_files_are_to_be_decoded(data):
    assert whole_header(data) is None
    assert inspect_image(data, "x").width == 64


def test_what_is_said_of_an_image_does_not_depend_on_the_way(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 8  # lies on its side
    for options in ({}, {"progressive": True}, {"exif": exif}, {"exif": exif, "progressive": True}):
        data = jpeg((20, 10), **options)
        found = inspect_image(data, "x")
        assert (found.width, found.height) == decode(data, "x").size
    cut = jpeg()[:-300]
    with pytest.raises(EmoNetFaceError, match="x: cannot be decoded"):
        inspect_image(cut, "x")
    # Whoever cuts a file and ends it properly fools every decoder; so this is no worse.
    assert inspect_image(cut + b"\xff\xd9", "x").height == decode(cut + b"\xff\xd9", "x").height
