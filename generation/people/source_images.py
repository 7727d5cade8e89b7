"""The images that people are asked about, read from a source and looked at before anybody comes."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emonet_face.errors import EmoNetFaceError, shown
from emonet_face.imaging import ImageFile, checked_stem, image_stem, index_images, inspect_image
from emonet_face.progress import track
from emonet_face.ratings import resolve
from generation.annotators.pictures import Picture, pictures_of
from generation.marking import is_marked_generated
from generation.people.questions import Item, Task

_READERS = 4


@dataclass(frozen=True)
class SourceImages:
    """The images of a source.

    Attributes:
        items: those that can be asked about, in the order of the source.
        pictures: sha256 -> what reads the file again.
        left_out: why each of the others cannot be shown, one line each.
        unknown: names of the items that are not known to be made by an image generator: neither
            does a row of a dataset repo name one, nor does the file say so of itself (IPTC's
            digital source type).
    """

    items: list[Item]
    pictures: dict[str, Picture]
    left_out: list[str]
    unknown: list[str]

    @property
    def generated(self) -> bool:
        """Whether all of them are known to be made by an image generator."""
        return not self.unknown

    def bytes_of(self, sha256: str) -> bytes | None:
        """The file of one of the items, None for anything else or where it has changed since."""
        picture = self.pictures.get(sha256)
        if picture is None:
            return None
        try:
            file = picture.read()
        except EmoNetFaceError:
            return None
        return file.data if file.sha256 == sha256 else None


def read_source(
    source: str,
    task: Task,
    *,
    config: str = "hq",
    prompts: Path | None = None,
    known: Collection[str] = (),
) -> SourceImages:
    """All images of a source, each read whole and decoded once.

    Args:
        source: a run folder, a folder of images, a dataset repo folder, or a Hub id.
        task: for votes each image needs the emotion it was prompted for.
        config: of a dataset repo.
        prompts: JSON lines with `image_id` and `prompted_emotion`; None: the sidecar NAME.json
            beside NAME.png says it.
        known: sha256 of images that were decoded before; they are only read.

    Raises:
        EmoNetFaceError: see `pictures_of`; no image can be decoded; for votes, an image without a
            prompted emotion (the first is named, and how many there are).
    """
    pictures = pictures_of(source, config)
    emotions = _prompted(source, pictures, prompts) if task == Task.VOTES else {}
    items: list[Item] = []
    by_digest: dict[str, Picture] = {}
    left_out: list[str] = []
    unknown: list[str] = []
    with ThreadPoolExecutor(_READERS) as readers:
        read = readers.map(lambda picture: _read(picture, known), pictures)
        for picture, file in zip(pictures, track(read, "images", len(pictures)), strict=True):
            if isinstance(file, EmoNetFaceError):
                left_out.append(str(file))
                continue
            digest, generated = file
            stem = image_stem(picture.image)
            items.append(Item(len(items), picture.image, stem, digest, emotions.get(stem)))
            by_digest.setdefault(digest, picture)
            if not generated:
                unknown.append(picture.image)
    if not items:
        raise EmoNetFaceError(f"{source}: no image can be used; the first: {left_out[0]}")
    return SourceImages(items, by_digest, left_out, unknown)


def _read(picture: Picture, known: Collection[str]) -> tuple[str, bool] | EmoNetFaceError:
    """Its sha256 and whether it is known to be generated, or why it cannot be shown."""
    try:
        file: ImageFile = picture.read()
        if file.sha256 not in known:
            inspect_image(file.data, picture.image)
    except EmoNetFaceError as error:
        return error
    return file.sha256, picture.generator is not None or is_marked_generated(file.data)


def _prompted(source: str, pictures: list[Picture], prompts: Path | None) -> dict[str, str]:
    """Image id -> prompted emotion, for every image."""
    if prompts is not None:
        found = _of_lines(prompts)
    elif Path(source).is_dir():
        found = _of_sidecars(Path(source))
    else:
        found = {}
    missing = [p.image for p in pictures if image_stem(p.image) not in found]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise EmoNetFaceError(
            f"{source}: no prompted emotion is known of {shown(missing[0])}{more}; give --prompts"
            ' FILE.jsonl with {"image_id": ..., "prompted_emotion": ...} lines'
        )
    return found


def _of_sidecars(folder: Path) -> dict[str, str]:
    found = {}
    for image_id, path in index_images(folder).items():
        sidecar = path.with_suffix(".json")
        if sidecar.is_file():
            record = _record(_text(sidecar), str(sidecar))
            said = record.get("image_id")
            if said not in (None, image_id):
                raise EmoNetFaceError(f"{sidecar}: is about {shown(said)}, not {image_id!r}")
            if record.get("prompted_emotion") is not None:
                found[image_id] = _emotion(record, str(sidecar))
    return found


def _of_lines(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        record = _record(line, where)
        if not isinstance(record.get("image_id"), str):
            raise EmoNetFaceError(f"{where}: has no 'image_id'")
        try:
            image_id = checked_stem(record["image_id"])
        except EmoNetFaceError as error:
            raise EmoNetFaceError(f"{where}: {error}") from None
        if found.setdefault(image_id, emotion := _emotion(record, where)) != emotion:
            raise EmoNetFaceError(f"{where}: {shown(image_id)} has another emotion further up")
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise EmoNetFaceError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise EmoNetFaceError(f"{path}: is not UTF-8 text") from None


def _record(text: str, where: str) -> Mapping[str, Any]:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        raise EmoNetFaceError(f"{where}: is not JSON text") from None
    if not isinstance(record, dict):
        raise EmoNetFaceError(f"{where}: is a {type(record).__name__}, not an object")
    return record


def _emotion(record: Mapping[str, Any], where: str) -> str:
    try:
        return resolve(record.get("prompted_emotion", ""))
    except EmoNetFaceError as error:
        raise EmoNetFaceError(f"{where}: 'prompted_emotion': {error}") from None
