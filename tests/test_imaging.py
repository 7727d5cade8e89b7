"""Image files are found, checked and decoded: pytest tests/test_imaging.py"""

from __future__ import annotations

import doctest
import hashlib

import numpy as np
import pytest
from PIL import Image

from emonet_face import EmoNetFaceError, imaging
from emonet_face.imaging import decode, index_images, iter_images, read_image


def _save(path, image, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def test_docstring_examples_run():
    assert doctest.testmod(imaging).failed == 0


def test_images_are_found_recursively_and_matched_by_stem(tmp_path):
    red = Image.new("RGB", (4, 4), "red")
    _save(tmp_path / "a" / "one.PNG", red, format="PNG")
    _save(tmp_path / "two.webp", red)
    _save(tmp_path / ".hidden" / "three.png", red)
    (tmp_path / "one.json").write_text("{}")
    assert sorted(index_images(tmp_path)) == ["one", "two"]
    assert len(list(iter_images(tmp_path))) == 2
    _save(tmp_path / "b" / "one.jpg", red)
    with pytest.raises(EmoNetFaceError, match="same stem 'one'"):
        index_images(tmp_path)
    with pytest.raises(EmoNetFaceError, match="no such folder"):
        index_images(tmp_path / "none")


def test_reading_gives_bytes_hash_and_size(tmp_path):
    path = _save(tmp_path / "x.png", Image.new("RGB", (5, 3)))
    found = read_image(path)
    assert found.data == path.read_bytes()
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (found.width, found.height) == (5, 3)


def test_exif_orientation_is_applied(tmp_path):
    image = Image.new("RGB", (6, 2), "white")
    exif = image.getexif()
    exif[0x0112] = 6  # rotated by a quarter: the upright picture is 2 wide and 6 high
    path = _save(tmp_path / "r.jpg", image, exif=exif)
    assert decode(path.read_bytes(), "r").size == (2, 6)
    assert read_image(path).width == 2


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("L", (2, 2), 77), (77, 77, 77)),
        (Image.new("1", (2, 2), 1), (255, 255, 255)),
        (Image.new("RGBA", (2, 2), (255, 0, 0, 0)), (255, 255, 255)),
        (Image.new("RGBA", (2, 2), (255, 0, 0, 255)), (255, 0, 0)),
        (Image.fromarray(np.full((2, 2), 0x8080, np.uint16)), (128, 128, 128)),
    ],
    ids=["grey", "bilevel", "transparent", "opaque", "16-bit"],
)
def test_every_mode_becomes_rgb(tmp_path, image, expected):
    path = _save(tmp_path / "m.png", image)
    found = decode(path.read_bytes(), "m")
    assert found.mode == "RGB"
    assert found.getpixel((0, 0)) == expected


def test_palette_with_transparency(tmp_path):
    image = Image.new("P", (2, 2), 0)
    image.putpalette([255, 0, 0] + [0, 0, 0] * 255)
    path = _save(tmp_path / "p.png", image, transparency=0)
    assert decode(path.read_bytes(), "p").getpixel((0, 0)) == (255, 255, 255)


def test_damaged_and_foreign_files_are_named(tmp_path):
    (tmp_path / "t.png").write_text("not a picture")
    with pytest.raises(EmoNetFaceError, match=r"t\.png: is not a PNG, JPEG or WebP"):
        read_image(tmp_path / "t.png")
    whole = _save(tmp_path / "w.png", Image.effect_noise((64, 64), 50)).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(EmoNetFaceError, match="cannot be decoded"):
        read_image(tmp_path / "cut.png")
    with pytest.raises(EmoNetFaceError, match="cannot be read"):
        read_image(tmp_path / "absent.png")
    with pytest.raises(EmoNetFaceError, match="is no regular file"):
        read_image(tmp_path)
    frames = [Image.new("RGB", (2, 2), c) for c in ("red", "blue")]
    path = _save(tmp_path / "a.webp", frames[0], save_all=True, append_images=frames[1:])
    with pytest.raises(EmoNetFaceError, match="animated"):
        read_image(path)


def test_too_many_pixels_are_refused_before_decoding(tmp_path, monkeypatch):
    path = _save(tmp_path / "big.png", Image.new("1", (200, 200)))
    monkeypatch.setattr(imaging, "MAX_PIXELS", 100)
    with pytest.raises(EmoNetFaceError, match="200 x 200 pixels"):
        read_image(path)
