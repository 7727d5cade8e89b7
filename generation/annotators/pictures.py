"""The pictures to be labelled: of a run, of any folder of images, or of a dataset repo."""

from __future__ import annotations

import hashlib
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import MAX_PIXELS, ImageFile, check_whole, index_images, inspect_image
from emonet_face.released import checked_name
from generation.run import check_finished

_PNG, _ANIMATED = b"\x89PNG\r\n\x1a\n", b"acTL"
_PNG_HEADER_BYTES = 33
_Check = Callable[[bytes, str], ImageFile]
"""Bytes and where they are from -> the file, or EmoNetFaceError."""


@dataclass(frozen=True)
class Picture:
    """One picture of a source.

    Attributes:
        image: file name, as it stands in results.
        read: gives the file, checked; EmoNetFaceError where it cannot be used.
        generator: what made it, where a dataset repo says so.
    """

    image: str
    read: Callable[[], ImageFile]
    generator: str | None = None


def pictures_of(source: str, config: str, *, decoded: bool = False) -> list[Picture]:
    """All pictures of a source.

    Args:
        source: a run folder, a folder of images, a dataset repo folder, or a Hub id.
        config: of a dataset repo.
        decoded: whether each is also decoded when it is read; else a PNG is not.

    Raises:
        EmoNetFaceError: there is no such thing, a run is not finished, two images have one stem, a
            name cannot stand in a table, a repo lacks the config, or there are no images.
    """
    folder = Path(source)
    check = inspect_image if decoded else _checked
    if folder.is_dir() and not _is_repo(folder):
        check_finished(folder)
        found = [
            Picture(path.name, partial(_read_file, path, check))
            for path in index_images(folder).values()
        ]
    elif folder.is_dir() or (not folder.exists() and source.count("/") == 1):
        found = _of_repo(source, config, check)
    else:
        raise EmoNetFaceError(f"{source}: no such folder of images, nor a dataset repo")
    if not found:
        raise EmoNetFaceError(f"{source}: holds no images")
    for picture in found:
        checked_name(picture.image, "image")
        try:
            picture.image.encode()
        except UnicodeEncodeError:  # results would hold another name, and two may become one
            raise EmoNetFaceError(
                f"{source}: the file name {picture.image!r} is not UTF-8; rename the file"
            ) from None
    return found


def _is_repo(folder: Path) -> bool:
    return (folder / "README.md").is_file() and any(folder.glob("*/*.parquet"))


def _of_repo(repo: str, config: str, check: _Check) -> list[Picture]:
    from datasets import Image, concatenate_datasets, load_dataset
    from datasets.exceptions import DatasetsError

    try:
        splits = load_dataset(repo, config)
        rows = concatenate_datasets(list(splits.values()))
        rows = rows.cast_column("image", Image(decode=False))
        ids = rows["image_id"]
        generators = rows["generator"] if "generator" in rows.column_names else [None] * len(ids)
    except (OSError, ValueError, KeyError, DatasetsError) as error:
        reason = str(error.__cause__ or error).partition("\n")[0]
        raise EmoNetFaceError(f"{repo}: config {config!r} cannot be loaded ({reason})") from None
    lock = threading.Lock()
    return [
        Picture(
            f"{image_id}.png", partial(_read_row, rows, index, image_id, lock, check), generator
        )
        for index, (image_id, generator) in enumerate(zip(ids, generators, strict=True))
    ]


def _read_row(
    rows: Any, index: int, image_id: str, lock: threading.Lock, check: _Check
) -> ImageFile:
    with lock:  # a dataset is read by one thread at a time
        image = rows[index]["image"]
    if image is None or image["bytes"] is None:
        raise EmoNetFaceError(f"{image_id}: the repo holds no picture of it")
    return check(image["bytes"], image_id)


def _read_file(path: Path, check: _Check) -> ImageFile:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EmoNetFaceError(f"{path}: cannot be read ({error.strerror})") from None
    return check(data, str(path))


def _checked(data: bytes, where: str) -> ImageFile:
    """What `inspect_image` says, sooner: a PNG is not decoded, for its checksums tell that it is
    whole, and with many requests under way the decoding would be most of the work."""
    if not data.startswith(_PNG) or _ANIMATED in data[:200] or len(data) < _PNG_HEADER_BYTES:
        return inspect_image(data, where)
    check_whole(data, where)
    width, height = struct.unpack(">II", data[16:24])
    if width * height > MAX_PIXELS:
        return inspect_image(data, where)  # which says so
    return ImageFile(data, hashlib.sha256(data).hexdigest(), width, height)
