"""What `predict` is asked to score: paths, folders and globs -> files in order -> pictures."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import MAX_FILE_BYTES, check_whole, decode, iter_images, read_bytes

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Input:
    """A file to score, or a path that leads to none and why.

    Attributes:
        name: the path as it was given, or as it was found below a given folder or glob.
        error: why there is nothing to read; None for a file.
    """

    name: str
    error: str | None = None

    def picture(self) -> Image:
        """The decoded RGB picture, upright (see `imaging.decode`).

        Raises:
            EmoNetFaceError: there is no such file, or it is no picture that can be decoded.
        """
        if self.error:
            raise EmoNetFaceError(self.error)
        data = read_bytes(Path(self.name), MAX_FILE_BYTES)
        picture = decode(data, self.name)
        check_whole(data, self.name)
        return picture


def find_inputs(paths: Sequence[str | Path]) -> list[Input]:
    """The files that paths, folders (recursively) and globs stand for, each once, in order.

    A path that leads to no file stands in its place with the reason.

    Raises:
        EmoNetFaceError: nothing leads to a file.
    """
    found: dict[str, Input] = {}  # by absolute path: a.png and ./a.png are one file
    for path in map(str, paths):
        names, error = _expand(path)
        for name in names:
            found.setdefault(os.path.abspath(name), Input(name))
        if error:
            found.setdefault(os.path.abspath(path), Input(path, error))
    if all(entry.error for entry in found.values()):
        reasons = "; ".join(f"{entry.name}: {entry.error}" for entry in found.values())
        raise EmoNetFaceError(f"no images to score ({reasons or 'no paths given'})")
    return list(found.values())


def fingerprint(inputs: Sequence[Input]) -> str:
    """SHA-256 over names, sizes and times of change: the same as long as no file is touched."""
    digest = hashlib.sha256()
    for entry in inputs:
        try:
            status = Path(entry.name).stat()
            state = f"{status.st_size} {status.st_mtime_ns}"
        except OSError:
            state = "none"
        digest.update(f"{entry.name}\0{entry.error}\0{state}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _expand(path: str) -> tuple[list[str], str | None]:
    """The image files that a path, folder or glob stands for, or why there are none."""
    if Path(path).is_dir():
        names = [str(name) for name in iter_images(Path(path))]
        return names, None if names else "the folder holds no image"
    if Path(path).exists():
        return [path], None
    if not glob.has_magic(path):
        return [], "no such file or folder"
    matches = [_expand(match)[0] for match in sorted(glob.glob(path, recursive=True))]
    names = [name for match in matches for name in match]
    return names, None if names else "the pattern matches no image"
