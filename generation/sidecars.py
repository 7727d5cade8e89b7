"""The sidecar of a generated image: NAME.json beside NAME.png, checked before it is believed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from emonet_face.errors import EmoNetFaceError
from emonet_face.taxonomy import EMOTIONS


@dataclass(frozen=True)
class Face:
    """An image to be labelled.

    Attributes:
        image: file name.
        image_id: its stem.
        target: the prompted emotion.
        intensities: (40,) latent, 0..1, canonical order.
    """

    image: str
    image_id: str
    target: str
    intensities: tuple[float, ...]


def read_sidecar(image: Path) -> dict[str, object]:
    """The sidecar of an image, checked to be about that very image.

    Raises:
        EmoNetFaceError: missing, not a JSON object, or its image_id or sha256 is another's.
    """
    path = image.with_suffix(".json")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        digest = hashlib.sha256(image.read_bytes()).hexdigest()
    except OSError as error:
        raise EmoNetFaceError(f"{error.filename}: cannot be read ({error.strerror})") from None
    except ValueError:
        raise EmoNetFaceError(f"{path}: is not JSON text") from None
    if not isinstance(record, dict):
        raise EmoNetFaceError(f"{path}: is a {type(record).__name__}, not an object")
    for key, expected in (("image_id", image.stem), ("sha256", digest)):
        if record.get(key) != expected:
            raise EmoNetFaceError(
                f"{path}: {key!r} is {record.get(key)!r}, but the image beside it has {expected!r}"
            )
    return record


def read_face(image: Path) -> Face:
    """An image's sidecar as the simulated annotators need it.

    Raises:
        EmoNetFaceError: see `read_sidecar`; or the sidecar has no intensities, or not exactly
            40 in 0..1, or its prompted emotion is not a category.
    """
    record = read_sidecar(image)
    where = image.with_suffix(".json")
    given = record.get("intensities")
    if given is None:
        raise EmoNetFaceError(
            f"{where}: no 'intensities'; the simulated annotators need a run of the schematic"
            " backend"
        )
    if not isinstance(given, dict) or set(given) != set(EMOTIONS):
        raise EmoNetFaceError(f"{where}: 'intensities' must be an object of the 40 categories")
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise EmoNetFaceError(f"{where}: intensity of {name!r} is {value!r}: must be in 0..1")
    target = record.get("prompted_emotion")
    if target not in EMOTIONS:
        raise EmoNetFaceError(f"{where}: 'prompted_emotion' is {target!r}, not a category")
    return Face(image.name, image.stem, str(target), tuple(given[name] for name in EMOTIONS))
