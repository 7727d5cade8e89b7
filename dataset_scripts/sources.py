"""Where the images of a Big source and their records lie: a folder, archives, or both.

Images are read one at a time and archives in place: nothing is unpacked to disk, and memory holds
names and offsets only.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from dataset_scripts.rejects import Reject
from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import IMAGE_SUFFIXES, image_stem, index_images
from emonet_face.outputs import made_by

RUN_MANIFEST = "run.json"


@dataclass(frozen=True)
class Pair:
    """An image and the record beside it, wherever they lie.

    Attributes:
        image_id: the image's stem.
        name: its file name.
        file: where it is, for people: "folder/NAME.png" or "archive.tar:folder/NAME.png".
        read_image: gives the image's bytes.
        read_record: gives the bytes of NAME.json; None where there is none.
    """

    image_id: str
    name: str
    file: str
    read_image: Callable[[], bytes]
    read_record: Callable[[], bytes] | None


def iter_pairs(source: Path) -> Iterator[Pair | Reject]:
    """All images of a source: first those in folders, in path order, then archive by archive.

    A record without an image, and an archive member with an unsafe name or that is no plain file,
    come as Rejects. Hidden files and files of other kinds are passed over.

    Args:
        source: a folder, searched recursively for images and `*.tar`, or one `.tar` file. A pair's
            readers work until the next pair is asked for.

    Raises:
        EmoNetFaceError: there is no such source, an archive is damaged, or two images have one
            stem.
    """
    if source.is_dir():
        index = index_images(source)
        yield from _folder_pairs(source, index)
        archives = sorted(path for path in source.rglob("*.tar") if not _hidden(path, source))
        seen = {image_id: str(path) for image_id, path in index.items()}
    elif source.is_file() and source.suffix == ".tar":
        archives, seen = [source], {}
    else:
        raise EmoNetFaceError(f"{source}: is neither a folder nor a .tar archive")
    for archive in archives:
        for pair in _archive_pairs(archive):
            if isinstance(pair, Pair) and seen.setdefault(pair.image_id, pair.file) != pair.file:
                raise EmoNetFaceError(
                    f"{pair.file} and {seen[pair.image_id]} have the same stem {pair.image_id!r}:"
                    " an image id may stand only once"
                )
            yield pair


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _folder_pairs(root: Path, index: dict[str, Path]) -> Iterator[Pair | Reject]:
    for image_id, path in index.items():
        sidecar = path.with_suffix(".json")
        read_record = sidecar.read_bytes if sidecar.is_file() else None
        yield Pair(image_id, path.name, str(path), path.read_bytes, read_record)
    for path in sorted(root.rglob("*.json")):
        image = index.get(path.stem)
        beside = image is not None and image.parent == path.parent
        if not beside and not _hidden(path, root) and not _is_manifest(path):
            yield Reject(str(path), None, "no image beside this record", {})


def _is_manifest(path: Path) -> bool:
    return path.name == RUN_MANIFEST and made_by(path.parent, RUN_MANIFEST) is not None


@dataclass(frozen=True)
class _Member:
    name: PurePosixPath
    offset: int
    size: int


def _archive_pairs(archive: Path) -> Iterator[Pair | Reject]:
    images: dict[PurePosixPath, _Member] = {}
    records: dict[PurePosixPath, _Member] = {}
    for member in _members(archive):
        if isinstance(member, Reject):
            yield member
            continue
        is_record = member.name.suffix == ".json"
        place = member.name.with_suffix("")
        other = (records if is_record else images).setdefault(place, member)
        if other is not member:
            raise EmoNetFaceError(
                f"{archive}: {member.name} and {other.name} have the same stem {place.name!r}"
            )
    with archive.open("rb") as stream:
        for place, image in sorted(images.items(), key=lambda item: item[1].name):
            record = records.pop(place, None)
            yield Pair(
                image_stem(image.name.name),
                image.name.name,
                f"{archive}:{image.name}",
                partial(_read, stream, image),
                None if record is None else partial(_read, stream, record),
            )
    for record in sorted(records.values(), key=lambda member: member.name):
        yield Reject(f"{archive}:{record.name}", None, "no image beside this record", {})


def _read(stream: BinaryIO, member: _Member) -> bytes:
    stream.seek(member.offset)
    return stream.read(member.size)


def _members(path: Path) -> Iterator[_Member | Reject]:
    """The images and records of an archive in its own order, by their place in it.

    Raises:
        EmoNetFaceError: not a plain tar, damaged, or cut off.
    """
    try:
        with tarfile.open(path, "r:") as archive:
            while (info := archive.next()) is not None:
                archive.members.clear()  # else it remembers every header it has read
                name = PurePosixPath(info.name)
                if info.isdir() or any(part.startswith(".") for part in name.parts if part != ".."):
                    continue
                if name.is_absolute() or ".." in name.parts:
                    reason = "the name leads out of the archive"
                elif not info.isfile() or info.issparse():
                    reason = "is no plain file"
                elif name.suffix.lower() in IMAGE_SUFFIXES or name.suffix == ".json":
                    yield _Member(name, info.offset_data, info.size)
                    continue
                else:
                    continue
                yield Reject(f"{path}:{info.name}", None, reason, {})
            end = archive.offset
    except OSError as error:
        raise EmoNetFaceError(f"{path}: cannot be read ({error.strerror})") from None
    except tarfile.TarError as error:
        raise EmoNetFaceError(f"{path}: is not a whole tar archive ({error})") from None
    _check_end(path, end)


def _check_end(path: Path, end: int) -> None:
    # `tarfile` takes a broken header, or a file cut off between members, for the end.
    with path.open("rb") as stream:
        stream.seek(end)
        block = stream.read(tarfile.BLOCKSIZE)
    if block != tarfile.NUL * tarfile.BLOCKSIZE:
        raise EmoNetFaceError(f"{path}: is damaged or cut off at byte {end:,}")
