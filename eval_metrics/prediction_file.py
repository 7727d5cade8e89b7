"""Files of predictions, line by line: which line speaks for which image, and which for none.

`emonet-face predict` writes a line for each image, or with `--faces` one for each face in it, the
largest first. An image counts once, by its largest face. Lines without scores (an image that could
not be read, one without a face) and the lines of further faces are left out, and kept count of.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from emonet_face.errors import EmoNetFaceError, shown
from emonet_face.imaging import image_stem
from emonet_face.progress import track

Record = dict[str, object]
_IMAGE_KEYS = ("image", "image_path")


@dataclass(frozen=True)
class ScoredLine:
    """The line that speaks for an image.

    Attributes:
        image: its name in the file; image_id: what it is told from others by.
        record: the line.
        where: file and line, for error messages.
    """

    image: str
    image_id: str
    record: Record
    where: str


@dataclass
class PredictionFile:
    """What a file of predictions holds.

    Attributes:
        scored: one line for each image, in file order.
        n_lines: lines read, those without scores included.
        errors: the lines that say an image could not be read: line, image, error.
        without_face: images in which no face was found.
        n_other_faces: lines of faces that are not the largest of their image.
    """

    scored: list[ScoredLine] = field(default_factory=list)
    n_lines: int = 0
    errors: list[Record] = field(default_factory=list)
    without_face: list[str] = field(default_factory=list)
    n_other_faces: int = 0

    def left_out(self) -> str:
        """What was left out, in words; empty where nothing was."""
        parts = (
            (len(self.errors), "images that could not be read"),
            (len(self.without_face), "images without a face"),
            (self.n_other_faces, "further faces beside the largest of their image"),
        )
        return ", ".join(f"{what}: {n}" for n, what in parts if n)


def read_prediction_file(path: Path, image_id: Callable[[str], str] = image_stem) -> PredictionFile:
    """The lines of a file of predictions, sorted into those that speak for an image and the rest.

    Args:
        path: JSON lines, each with `image` (or `image_path`, as published).
        image_id: what images are told apart by, made of their names.

    Raises:
        EmoNetFaceError: the file cannot be read, or a line (named) is no JSON object, names no
            image, gives one that another line has, or a face whose image has no larger one before.
    """
    found = PredictionFile()
    line_of: dict[str, int] = {}
    for number, record in track(_objects(path), f"Reading {path.name}"):
        found.n_lines += 1
        where = f"{path}, line {number}"
        image = next((record[key] for key in _IMAGE_KEYS if key in record), None)
        if not isinstance(image, str) or not image:
            raise EmoNetFaceError(f"{where}: no 'image' or 'image_path' with a file name")
        try:
            name = image_id(image)
            place = _face(record)
        except EmoNetFaceError as error:
            raise EmoNetFaceError(f"{where}: {error}") from None
        if place and name in line_of:
            found.n_other_faces += 1
            continue
        if place:
            raise EmoNetFaceError(
                f"{where}: face {place} of image {shown(name)} has no larger one before it"
            )
        if line_of.setdefault(name, number) != number:
            raise EmoNetFaceError(
                f"{where}: image {shown(name)} stands in line {line_of[name]} already;"
                " one line per image is allowed, or one per face, the largest first"
            )
        if "error" in record:
            found.errors.append({"line": number, "image": image, "error": record["error"]})
        elif place is None:
            found.without_face.append(image)
        else:
            found.scored.append(ScoredLine(image, name, record, where))
    return found


def _face(record: Record) -> int | None:
    """Place of the line's face, 0 for the largest or for a whole image; None: none was found."""
    face = record.get("face")
    if face is None:
        return 0
    if not isinstance(face, dict):
        raise EmoNetFaceError(f"'face' is {shown(face)}, an object is needed")
    key = "index" if face.get("n_faces") != 0 else "n_faces"
    place = face.get(key)
    if isinstance(place, bool) or not isinstance(place, int) or place < 0:
        raise EmoNetFaceError(f"'face' has {key!r} {shown(place)}, a whole number from 0 is needed")
    return None if key == "n_faces" else place


def _objects(path: Path) -> Iterator[tuple[int, Record]]:
    """The JSON objects of a file with the numbers of their lines; empty lines are skipped."""
    try:
        with path.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, start=1):
                if not line.strip():
                    continue
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise EmoNetFaceError(
                        f"{path}, line {number}: is not JSON ({error}); JSON lines are needed, as"
                        " `predict --out NAME.jsonl` writes them"
                    ) from None
                if not isinstance(record, dict):
                    raise EmoNetFaceError(f"{path}, line {number}: is not a JSON object")
                yield number, record
    except OSError as error:
        raise EmoNetFaceError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise EmoNetFaceError(f"{path}: is not UTF-8 text") from None
