"""Faces in a picture: where they are, and the part of the picture that the model should see.

The model was trained on portraits, whole; from other pictures the faces are cut out first, here and
with the same margin in every place that does so. The detector is dlib's HOG detector, which carries
its weights in the library (package dlib-bin), or one of dlib's own kinds given by path.

This file is uploaded with the model's page. It needs numpy, Pillow and, to find faces, dlib.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

MARGIN = 0.35
"""Added on each side of a face's box, in sides of that box: the box then fills 1 / 1.7 = .59 of the
crop. On two published portraits, which the model takes whole, it fills .52 and .63."""

SEARCH_SIDE = 800
"""Pictures are searched at this length of their longer side, in pixels, larger and smaller ones
alike, so that what is found does not hang on the resolution. The HOG detector sees faces from 80
pixels, so from a tenth of the longer side."""

HOG = "dlib HOG"


@dataclass(frozen=True)
class FaceBox:
    """A face in a picture.

    Attributes:
        left, top, right, bottom: in pixels of the picture, right and bottom exclusive.
        score: the detector's own, higher is surer; comes in no common unit.
    """

    left: int
    top: int
    right: int
    bottom: int
    score: float

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(left, top, right, bottom), as Pillow's `crop` takes it."""
        return self.left, self.top, self.right, self.bottom


class Detector:
    """A face detector of dlib's. Threads may share one.

    Args:
        path: None for the HOG detector in the library; a `.dat` file of a max-margin CNN (such as
            mmod_human_face_detector.dat); or an `.svm` file of an HOG detector of your own.

    Attributes:
        name: "dlib HOG" or the file's name.

    Raises:
        ModuleNotFoundError: dlib is not installed.
        ValueError: no such file, or it holds no such detector.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self._load = _loader(path)
        # dlib's detectors keep the picture they work on inside them, and take half a second to
        # load: there are as many as are at work at once.
        self._idle = [self._load()]
        self.name = HOG if path is None else Path(path).name

    def __call__(self, pixels: np.ndarray) -> list[tuple[Any, float]]:
        """(height, width, 3) uint8 RGB -> (dlib rectangle, score) of each face."""
        try:
            search = self._idle.pop()
        except IndexError:
            search = self._load()
        try:
            return search(pixels)
        finally:
            self._idle.append(search)


def _loader(path: str | Path | None) -> Callable[[], Callable]:
    try:
        import dlib
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "finding faces needs dlib: pip install 'emonet-face[faces]' (or dlib-bin alone)"
        ) from None
    if path is None:
        return lambda: _hog(dlib.get_frontal_face_detector())
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file to take a face detector from")
    kinds = {".dat": dlib.cnn_face_detection_model_v1, ".svm": dlib.fhog_object_detector}
    if path.suffix not in kinds:
        raise ValueError(f"{path}: a face detector is a .dat file (CNN) or an .svm file (HOG)")
    wrap = _cnn if path.suffix == ".dat" else _hog

    def load() -> Callable:
        try:
            return wrap(kinds[path.suffix](str(path)))
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"{path}: holds no face detector of dlib's ({reason})") from None

    return load


def _hog(detector: Any) -> Callable:
    def search(pixels: np.ndarray) -> list[tuple[Any, float]]:
        boxes, scores, _ = detector.run(pixels, 0, 0.0)
        return list(zip(boxes, scores, strict=True))

    return search


def _cnn(detector: Any) -> Callable:
    return lambda pixels: [(found.rect, found.confidence) for found in detector(pixels, 0)]


_default: list[Detector] = []


def find_faces(image: Image.Image, detector: Detector | None = None) -> list[FaceBox]:
    """The faces in a picture, the largest first; an empty list where there is none.

    Args:
        image: upright; any mode that converts to RGB.
        detector: None: dlib's HOG detector.

    Raises:
        ModuleNotFoundError: dlib is not installed.
    """
    if detector is None:
        if not _default:
            _default.append(Detector())
        detector = _default[0]
    width, height = image.size
    scale = SEARCH_SIDE / max(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    pixels = np.asarray(image.convert("RGB").resize(size, reducing_gap=2.0))
    faces = [
        _in_picture(rectangle, score, width / size[0], height / size[1], width, height)
        for rectangle, score in detector(pixels)
    ]
    whole = [face for face in faces if face.right > face.left and face.bottom > face.top]
    return sorted(whole, key=lambda face: (-_area(face), -face.score, face.left, face.top))


def _in_picture(
    rectangle: Any, score: float, across: float, down: float, width: int, height: int
) -> FaceBox:
    """A rectangle of the searched copy in pixels of the picture, cut off at its edges."""
    return FaceBox(
        left=max(0, round(rectangle.left() * across)),
        top=max(0, round(rectangle.top() * down)),
        right=min(width, round((rectangle.right() + 1) * across)),
        bottom=min(height, round((rectangle.bottom() + 1) * down)),
        score=float(score),
    )


def _area(face: FaceBox) -> int:
    return (face.right - face.left) * (face.bottom - face.top)


def crop_box(size: tuple[int, int], face: FaceBox, margin: float = MARGIN) -> tuple[int, ...]:
    """The square around a face that the model should see: (left, top, right, bottom).

    Its side is the longer side of the face's box and twice the margin. Where it would reach over an
    edge it is moved inside, and where it is larger than the picture it is made as large as fits: no
    pixel is invented, no face is stretched.

    Args:
        size: width and height of the picture, in pixels.
        face: see `find_faces`.
        margin: on each side, in sides of the face's box.

    Raises:
        ValueError: the margin is negative or not finite.

    >>> crop_box((1000, 500), FaceBox(400, 200, 500, 300, 1.0), margin=0.5)
    (350, 150, 550, 350)
    >>> crop_box((1000, 500), FaceBox(0, 0, 100, 100, 1.0), margin=0.5)
    (0, 0, 200, 200)
    >>> crop_box((1000, 500), FaceBox(400, 0, 800, 400, 1.0), margin=0.5)
    (350, 0, 850, 500)
    """
    if not 0 <= margin < float("inf"):
        raise ValueError(f"margin is {margin}: must be 0 or more")
    longer = max(face.right - face.left, face.bottom - face.top)
    side = max(1, min(round(longer * (1 + 2 * margin)), *size))
    middle = (face.left + face.right) / 2, (face.top + face.bottom) / 2
    start = [
        min(max(round(place - side / 2), 0), whole - side)
        for place, whole in zip(middle, size, strict=True)
    ]
    return start[0], start[1], start[0] + side, start[1] + side


def crop(image: Image.Image, face: FaceBox, margin: float = MARGIN) -> Image.Image:
    """The part of a picture that `crop_box` says, a square, in the picture's own resolution."""
    return image.crop(crop_box(image.size, face, margin))
