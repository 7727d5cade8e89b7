"""Pictures -> the tower's input: to one grey level that of the stock PIL image processor, in less
than half its time.

The stock processor resizes in Pillow, then rescales and normalises in numpy, in floats. Here a
large picture is resized in uint8 by torch's antialiased kernel, straight from Pillow's memory,
handed over as uint8 (a quarter of the bytes) and normalised where the model is.

Pictures are decoded whole: letting the JPEG decoder reduce them on the way would be faster yet, but
gives pixels that are far from one grey level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import torch
from torch.nn import functional as F

from emonet_face.errors import EmoNetFaceError

if TYPE_CHECKING:
    from PIL import Image
    from transformers.image_processing_utils import BaseImageProcessor

LEAST_SHRINK = 2.0
"""Pictures that shrink by less than this are resized by Pillow, which takes little time for them.
torch's kernel rounds its filter to 16 bits, so each of its two passes may be off by one grey level;
where few pixels are mixed into one (shrinking less, enlarging) both can add up to two levels: in 1
of 5 million values of noise at factor 1.4, in none of 300 million from 1.75 on."""

_MODES = {2: "bilinear", 3: "bicubic"}
"""Pillow's number of a filter (BILINEAR, BICUBIC) -> torch's name. Others are left to Pillow."""


class FastPreprocessor:
    """What an image processor of transformers does, in two steps: `pixels`, then `normalise`.

    Args:
        processor: resizes to a fixed size, rescales and normalises, as SigLIP's do.
        name: of the model, for errors.

    Attributes:
        size: (height, width) of the tower's input.

    Raises:
        EmoNetFaceError: the processor crops, pads or leaves one of the three steps out.
    """

    def __init__(self, processor: BaseImageProcessor, name: object = "the model") -> None:
        steps = {"do_resize": True, "do_rescale": True, "do_normalize": True}
        for step, wanted in {**steps, "do_center_crop": False, "do_pad": False}.items():
            if bool(getattr(processor, step, None)) != wanted:
                raise EmoNetFaceError(
                    f"{name}: preprocessor_config.json must have {step} {str(wanted).lower()}:"
                    " pictures are resized, rescaled and normalised, and nothing else"
                )
        self.size = (processor.size["height"], processor.size["width"])
        self._resample = int(processor.resample)
        mean, std = (
            torch.tensor(values, dtype=torch.float32).view(-1, 1, 1)
            for values in (processor.image_mean, processor.image_std)
        )
        self._factor, self._shift = processor.rescale_factor / std, -mean / std

    def pixels(self, image: Image.Image) -> torch.Tensor:
        """An RGB picture -> (3, height, width) uint8, resized. Threads may call this at once.

        Every value lies within one grey level of the stock processor's, so within 1/255 of it
        before it is normalised and within 2/255 after (mean and deviation .5).
        """
        height, width = self.size
        shrink = min(image.height / height, image.width / width)
        mode = _MODES.get(self._resample)
        if mode is None or shrink < LEAST_SHRINK:
            resized = image.resize((width, height), self._resample)
            return torch.from_numpy(np.array(resized)).permute(2, 0, 1)
        pixels = _memory_of(image).permute(2, 0, 1)
        return F.interpolate(pixels[None], self.size, mode=mode, antialias=True)[0, :3]

    def normalise(
        self,
        pixels: torch.Tensor,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> torch.Tensor:
        """uint8 (n, 3, height, width) -> `pixel_values` of the same shape.

        Args:
            pixels: of `pixels`, stacked.
            device: where the model is; the pixels travel there as bytes.
            dtype: of the result; it is rounded to this at the end only.
        """
        values = pixels.to(device, non_blocking=True).float()
        shift, factor = self._shift.to(device), self._factor.to(device)
        return torch.addcmul(shift, values, factor).to(dtype)


def _memory_of(image: Image.Image) -> torch.Tensor:
    """(height, width, 3 or 4) uint8 of an RGB picture; a fourth channel is padding.

    Pillow keeps a pixel in four bytes, and most pictures in one piece: those are not copied.
    """
    try:
        values = pa.array(image).flatten()
    except (ValueError, TypeError, pa.ArrowException):  # in several pieces, or Pillow before 11.2
        return torch.from_numpy(np.array(image))
    return torch.from_dlpack(values).view(image.height, image.width, 4)
