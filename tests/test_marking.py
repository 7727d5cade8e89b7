"""Marks inside image files: what they say, that they stay, and that they change no pixel.

pytest tests/test_marking.py
"""

from __future__ import annotations

import doctest
import hashlib
import json
import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import read_image
from generation import marking
from generation.marking import (
    DRAWN,
    FORMATS,
    SOURCE_TYPES,
    TRAINED,
    Mark,
    encode,
    is_marked_generated,
    read_mark,
    read_xmp,
    xmp_packet,
)
from generation.run import generate
from generation.sidecars import read_sidecar

RECORD = {"image_id": "x-0-000001", "prompt": 'Joy & <"grief">', "generator": "org/m", "seed": 3}


@pytest.fixture(scope="module")
def picture():
    levels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    return Image.fromarray(levels)


@pytest.mark.parametrize("image_format", FORMATS)
def test_a_mark_is_read_back_from_every_format(image_format, picture):
    packet = xmp_packet(RECORD, TRAINED)
    data = encode(picture, image_format, packet)
    assert read_mark(data) == Mark("trainedAlgorithmicMedia", RECORD)
    assert encode(picture, image_format, packet) == data, "no time stamp"
    assert packet.split(b"?>", 1)[1].strip() in data, "as plain text, for those who only search"


def test_png_pixels_are_as_they_were(picture):
    data = encode(picture, "png", xmp_packet(RECORD, TRAINED))
    from io import BytesIO

    assert np.array_equal(np.asarray(Image.open(BytesIO(data))), np.asarray(picture))


def test_the_packet_is_xmp_with_iptcs_fields():
    """Read with the names of IPTC's own table of 2025.1, not with ours."""
    from xml.etree import ElementTree

    tree = ElementTree.fromstring(xmp_packet(RECORD | {"revision": "abc"}, TRAINED))
    assert tree.tag == "{adobe:ns:meta/}xmpmeta"
    description = tree[0][0]
    iptc = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
    said = {child.tag: child.text for child in description}
    assert said[f"{iptc}DigitalSourceType"] == (
        "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    )
    assert said[f"{iptc}AIPromptInformation"] == RECORD["prompt"]
    assert said[f"{iptc}AISystemUsed"] == "org/m"
    assert said[f"{iptc}AISystemVersionUsed"] == "abc"


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none() | st.booleans()))
def test_any_record_comes_back(record):
    """Also with characters that XML does not allow."""
    inside = {"values": record}
    assert read_xmp(xmp_packet(inside, DRAWN)) == Mark(DRAWN, inside)


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="no exiftool on this machine")
@pytest.mark.parametrize("image_format", FORMATS)
def test_exiftool_reads_it(image_format, picture, tmp_path):
    path = tmp_path / f"x{FORMATS[image_format]}"
    path.write_bytes(encode(picture, image_format, xmp_packet(RECORD, TRAINED)))
    command = ["exiftool", "-j", "-n", "-XMP-iptcExt:all", str(path)]
    said = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)[0]
    assert said["DigitalSourceType"] == SOURCE_TYPES + TRAINED


def test_files_without_a_mark(picture, tmp_path):
    picture.save(tmp_path / "plain.png")
    assert read_mark((tmp_path / "plain.png").read_bytes()) is None
    other = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"></x:xmpmeta>'
    assert read_mark(encode(picture, "png", other)) is None


BROKEN = xmp_packet({}, TRAINED).replace(b"</rdf:RDF>", b"")
ATTRIBUTE = (  # the compact form of RDF, as image generators of others write it
    b'<r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><r:Description'
    b' xmlns:i="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" i:DigitalSourceType="'
    b'http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"/></r:RDF>'
)


@pytest.mark.parametrize(
    ("packet", "generated"),
    [
        (xmp_packet(RECORD, TRAINED), True),
        (xmp_packet({}, DRAWN), True),
        (ATTRIBUTE, True),
        (xmp_packet({}, "compositeWithTrainedAlgorithmicMedia"), False),
        (xmp_packet({}, "digitalCapture"), False),
        (xmp_packet({"prompt": TRAINED}, "digitalCapture"), False),
        (BROKEN, False),
        (b"<x>DigitalSourceType trainedAlgorithmicMedia</x>", False),
    ],
)
def test_only_what_a_generator_made_as_a_whole_counts_as_generated(packet, generated, picture):
    for image_format in FORMATS:
        assert is_marked_generated(encode(picture, image_format, packet)) is generated
    assert not is_marked_generated(b"DigitalSourceType")


def test_a_packet_behind_the_pixels_of_a_png_is_found(picture):
    data = encode(picture, "png", xmp_packet(RECORD, TRAINED))
    start = data.index(b"iTXt") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4], "big")
    moved = data[:start] + data[end:-12] + data[start:end] + data[-12:]  # before IEND
    assert read_mark(moved) == read_mark(data) == Mark(TRAINED, RECORD)


@pytest.mark.parametrize(
    ("packet", "message"),
    [
        (b"<x", "is not XML"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "document type or entities"),
    ],
)
def test_bad_packets_are_refused(packet, message):
    with pytest.raises(EmoNetFaceError, match=message):
        read_xmp(packet)


@pytest.mark.parametrize("image_format", FORMATS)
def test_a_runs_files_are_marked_and_their_sha256_is_that_of_the_marked_file(
    image_format, tmp_path
):
    out = generate(2, tmp_path / "run", size=48, image_format=image_format)
    image = out / "images" / f"schematic-0-000001{FORMATS[image_format]}"
    data, sidecar = image.read_bytes(), read_sidecar(image)
    assert sidecar["sha256"] == hashlib.sha256(data).hexdigest() == read_image(image).sha256
    mark = read_mark(data)
    # Drawn by rules that nobody trained: IPTC has a term of its own for that.
    assert mark.source_type == "algorithmicMedia"
    assert mark.record["prompt"] == sidecar["prompt"]
    assert mark.record["image_seed"] == sidecar["generation"]["image_seed"]
    assert generate(2, out, size=48, image_format=image_format, only=image.stem).equal


def test_docstring_examples():
    results = doctest.testmod(marking)
    assert results.attempted
    assert not results.failed
