"""The fast path of preprocessing beside the stock processor on Pillow.

.venv/bin/pytest tests/test_preprocessing.py
"""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import SiglipImageProcessorPil

from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import decode
from modeling_empathicinsight import preprocessing
from modeling_empathicinsight.preprocessing import FastPreprocessor

LEVEL = 2 / 255
"""One grey level in normalised values: mean and deviation are .5."""

SIZES = [
    (1024, 1024),
    (768, 800),
    (767, 2000),
    (385, 384),
    (384, 384),
    (200, 60),
    (1, 1),
    (3000, 9),
]


def stock(
    resample: int = 3, size: tuple[int, int] = (384, 384), **other
) -> SiglipImageProcessorPil:
    height, width = size
    return SiglipImageProcessorPil(
        size={"height": height, "width": width}, resample=resample, **other
    )


def noise(width: int, height: int, kind: str, seed: int = 0) -> Image.Image:
    """Grey levels without order, only 0 and 255, or smooth."""
    rng = np.random.default_rng([seed, width, height])
    values = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    if kind == "hard":
        values = (values > 127).astype(np.uint8) * 255
    image = Image.fromarray(values)
    return image.resize((9, 9)).resize((width, height)) if kind == "smooth" else image


@pytest.mark.parametrize("resample", [0, 1, 2, 3], ids=["nearest", "lanczos", "linear", "cubic"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_every_value_is_within_one_grey_level_of_the_stock_processor(size, resample):
    processor = stock(resample, (96, 128))
    fast = FastPreprocessor(processor)
    for kind in ("noise", "hard", "smooth"):
        image = noise(*size, kind)
        theirs = processor(images=image, return_tensors="pt")["pixel_values"]
        pixels = fast.pixels(image)
        assert pixels.dtype == torch.uint8
        assert pixels.shape == (3, 96, 128)
        ours = fast.normalise(pixels[None])
        assert ours.dtype == theirs.dtype
        assert (ours - theirs).abs().max() <= LEVEL + 1e-6


def test_pictures_that_shrink_little_are_equal_to_the_last_bit():
    processor = stock()
    fast = FastPreprocessor(processor)
    image = noise(700, 767, "noise")
    theirs = processor(images=image, return_tensors="pt")["pixel_values"]
    assert (fast.normalise(fast.pixels(image)[None]) - theirs).abs().max() < 1e-6


def test_pixels_come_straight_from_pillows_memory_or_by_a_copy(monkeypatch):
    """A 1024 x 1024 picture lies in one piece, a 5000 x 4000 one in several."""
    warnings.simplefilter("error")  # torch would warn of memory that it must not write to
    fast = FastPreprocessor(stock())
    image, large = noise(1024, 1024, "smooth"), Image.new("RGB", (5000, 4000), (1, 2, 3))
    assert preprocessing._memory_of(image).shape == (1024, 1024, 4)
    assert preprocessing._memory_of(large).shape == (4000, 5000, 3)
    assert fast.pixels(large).unique().tolist() == [1, 2, 3]
    direct, before = fast.pixels(image), image.tobytes()
    monkeypatch.setattr(preprocessing.pa, "array", lambda _: (_ for _ in ()).throw(TypeError()))
    assert torch.equal(fast.pixels(image), direct)
    assert image.tobytes() == before


def test_the_picture_may_be_gone_before_its_pixels_are_used():
    fast = FastPreprocessor(stock())
    pixels = [preprocessing._memory_of(noise(1024, 1024, "noise", seed)) for seed in range(8)]
    for seed, found in enumerate(pixels):
        assert np.array_equal(found[..., :3].numpy(), np.array(noise(1024, 1024, "noise", seed)))
    assert fast.size == (384, 384)


def test_a_decoded_jpeg_goes_the_same_way():
    stream = io.BytesIO()
    noise(1024, 1024, "smooth").save(stream, "JPEG")
    processor = stock()
    fast = FastPreprocessor(processor)
    theirs = processor(images=Image.open(stream), return_tensors="pt")["pixel_values"]
    ours = fast.normalise(fast.pixels(decode(stream.getvalue(), "picture"))[None])
    assert (ours - theirs).abs().max() <= LEVEL + 1e-6


def test_other_means_deviations_and_factors_are_kept():
    settings = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.2, 0.4, 0.8]}
    processor = stock(2, (32, 32), rescale_factor=1 / 128, **settings)
    fast = FastPreprocessor(processor)
    image = noise(20, 20, "noise")
    theirs = processor(images=image, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(fast.normalise(fast.pixels(image)[None]), theirs)
    half = fast.normalise(fast.pixels(image)[None], dtype=torch.bfloat16)
    assert torch.equal(half, fast.normalise(fast.pixels(image)[None]).bfloat16())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"do_resize": False}, "must have do_resize true"),
        ({"do_normalize": False}, "must have do_normalize true"),
        ({"do_rescale": False}, "must have do_rescale true"),
    ],
)
def test_a_processor_that_does_something_else_is_refused(settings, message):
    with pytest.raises(EmoNetFaceError, match=f"toy: preprocessor_config.json {message}"):
        FastPreprocessor(stock(**settings), "toy")
