"""Controls: the same annotator with the picture taken away, to see whether it ever looked.

- grey: every picture is replaced by an even grey one of its size.
- shuffled: every picture is replaced by another one of the source; none keeps its own.
- constant: nobody is asked; every category of every picture is 0.

An annotator that does no better than its control has not been reading the face. This is how the
published baselines whose pictures never arrived would have been noticed.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import partial

import numpy as np

from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import ImageFile, inspect_image
from emonet_face.taxonomy import DIMENSIONS, EMOTIONS
from generation.annotators.pictures import Picture

CONTROLS = ("grey", "shuffled", "constant")
GREY = (128, 128, 128)


def controlled(
    pictures: Sequence[Picture], control: str | None, seed: int
) -> list[tuple[Picture, str]]:
    """What is shown in place of each picture.

    Args:
        pictures: all of a source.
        control: one of CONTROLS, or None for the pictures themselves.
        seed: of the shuffle.

    Returns:
        For each picture, one that has its name and gives what is shown, and the name of what that
        is: "grey", or the picture whose place it is.

    Raises:
        EmoNetFaceError: an unknown control, or a shuffle of a single picture.
    """
    if control is None or control == "constant":
        return [(picture, picture.image) for picture in pictures]
    if control == "grey":
        return [(Picture(p.image, partial(_grey, p)), "grey") for p in pictures]
    if control != "shuffled":
        raise EmoNetFaceError(f"unknown control {control!r}; allowed: {', '.join(CONTROLS)}")
    if len(pictures) < 2:
        raise EmoNetFaceError("the control 'shuffled' needs two pictures or more")
    return [
        (Picture(picture.image, other.read), other.image)
        for picture, other in zip(pictures, _in_one_cycle(pictures, seed), strict=True)
    ]


def _in_one_cycle(pictures: Sequence[Picture], seed: int) -> list[Picture]:
    """The pictures in an order that leaves none in its place, each such cycle equally likely."""
    order = np.random.default_rng(seed).permutation(len(pictures))
    shown: list[Picture] = list(pictures)
    for here, after in zip(order, np.roll(order, -1), strict=True):
        shown[here] = pictures[after]
    return shown


def _grey(picture: Picture) -> ImageFile:
    from PIL import Image

    file = picture.read()
    stream = io.BytesIO()
    Image.new("RGB", (file.width, file.height), GREY).save(stream, "PNG")
    return inspect_image(stream.getvalue(), f"the grey picture for {picture.image}")


def constant_label(dimensions: bool) -> dict[str, object]:
    """What the constant control says of every picture.

    Args:
        dimensions: whether the protocol asks for them; they are then at their lowest step without
            a sign, 0.
    """
    said: dict[str, object] = {"scores": dict.fromkeys(EMOTIONS, 0.0)}
    if dimensions:
        said["dimensions"] = {d.slug: 0.0 for d in DIMENSIONS}
    return said
