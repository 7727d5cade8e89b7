"""The images and records in a tar archive: where each lies, without unpacking it."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import IMAGE_SUFFIXES

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Member:
    """An image or a record: its path inside, and where its bytes lie in the archive."""

    name: str
    offset: int
    size: int


@dataclass(frozen=True)
class BadMember:
    """A member that cannot be used, and why."""

    name: str
    reason: str


def iter_members(path: Path) -> Iterator[Member | BadMember]:
    """The images and records of an archive in its own order; hidden files and others are skipped.

    Raises:
        EmoNetFaceError: not a plain tar, damaged, or cut off.
    """
    try:
        with tarfile.open(path, "r:") as archive:
            while (info := archive.next()) is not None:
                archive.members.clear()  # else it remembers every header it has read
                member = _member(info)
                if member is not None:
                    yield member
            end = archive.offset
    except OSError as error:
        raise EmoNetFaceError(f"{path}: cannot be read ({error.strerror})") from None
    except tarfile.TarError as error:
        raise EmoNetFaceError(f"{path}: is not a whole tar archive ({error})") from None
    _check_end(path, end)


def _member(info: tarfile.TarInfo) -> Member | BadMember | None:
    name = PurePosixPath(info.name)
    if info.isdir() or any(part.startswith(".") for part in name.parts if part != ".."):
        return None
    if name.is_absolute() or ".." in name.parts:
        return BadMember(info.name, "the name leads out of the archive")
    if not info.isfile() or info.issparse():
        return BadMember(info.name, "is no plain file")
    if name.suffix.lower() in IMAGE_SUFFIXES or name.suffix == ".json":
        return Member(str(name), info.offset_data, info.size)
    return None


def _check_end(path: Path, end: int) -> None:
    # `tarfile` takes a broken or empty header, or a file cut off between members, for the end.
    with path.open("rb") as stream:
        stream.seek(end)
        block = stream.read(tarfile.BLOCKSIZE)
        if len(block) < tarfile.BLOCKSIZE:
            raise EmoNetFaceError(f"{path}: is cut off at byte {end:,}")
        while block:
            if block.count(0) < len(block):
                raise EmoNetFaceError(
                    f"{path}: goes on behind its end at byte {end:,}: damaged, or two archives in"
                    " one file"
                )
            block = stream.read(_BLOCK)
