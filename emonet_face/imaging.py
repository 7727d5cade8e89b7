"""Image files: find, read, check, decode, hash.

Pillow is imported inside, so that importing this module stays cheap.
"""

from __future__ import annotations

import hashlib
import stat
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import TYPE_CHECKING

from emonet_face.errors import EmoNetFaceError
from emonet_face.jpeg import whole_header

if TYPE_CHECKING:
    from PIL import Image

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
MAX_FILE_BYTES = 200_000_000
"""Larger files are refused unread: a picture of MAX_PIXELS hardly needs as much."""

MAX_PIXELS = 64_000_000
"""Larger pictures are refused before they are decoded (a decompression bomb, or a mistake)."""

_OPENING = Lock()
"""Threads that read images take turns to silence Pillow: warning filters belong to all of them."""

_ORIENTATION = 0x0112
_QUARTER_TURNS = range(5, 9)
"""EXIF tag of the orientation, and its values for pictures that lie on their side."""


def image_stem(name: str) -> str:
    """The id of an image: its file name without folders and without an image suffix.

    >>> image_stem("a/b/mj_data_1_U2.png"), image_stem("00000"), image_stem("face.v2.JPG")
    ('mj_data_1_U2', '00000', 'face.v2')
    """
    in_folder = "/" in name or "\\" in name
    base = PurePosixPath(name.replace("\\", "/")).name if in_folder else name
    stem, dot, suffix = base.rpartition(".")
    return stem if dot and stem and f".{suffix.lower()}" in IMAGE_SUFFIXES else base


def checked_stem(name: str) -> str:
    """`image_stem` of a name that comes from a table or a record.

    Raises:
        EmoNetFaceError: the name leads out of its folder or ends without a file name.
    """
    if ".." in name.replace("\\", "/").split("/"):
        raise EmoNetFaceError(f"{name!r} leads out of its folder; give the name of an image")
    stem = image_stem(name)
    if name.endswith(("/", "\\")) or not stem.strip(". "):
        raise EmoNetFaceError(f"{name!r} is not the name of an image")
    return stem


def iter_images(root: Path) -> Iterator[Path]:
    """All image files below a folder, in path order; hidden files and folders are passed over."""
    for path in sorted(root.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() and not hidden:
            yield path


def index_images(root: Path) -> dict[str, Path]:
    """Image id -> file, recursively.

    Raises:
        EmoNetFaceError: the folder is missing, or two files have one stem.
    """
    if not root.is_dir():
        raise EmoNetFaceError(f"{root}: no such folder of images")
    found: dict[str, Path] = {}
    for path in iter_images(root):
        other = found.setdefault(image_stem(path.name), path)
        if other != path:
            raise EmoNetFaceError(
                f"{path} and {other} have the same stem {image_stem(path.name)!r}:"
                " images are matched by stem, so each may stand only once"
            )
    return found


@dataclass(frozen=True)
class ImageFile:
    """An image file that was read whole and can be decoded.

    Attributes:
        data: the bytes as they are on disk.
        sha256: hex digest of `data`.
        width, height: in pixels, after the EXIF orientation is applied.
    """

    data: bytes
    sha256: str
    width: int
    height: int


def read_image(path: Path) -> ImageFile:
    """Read an image file and make sure that it can be decoded.

    It is decoded, except where `jpeg.whole_header` tells the same in less time.

    Raises:
        EmoNetFaceError: unreadable, not an image, truncated, animated or larger than MAX_PIXELS.
    """
    return inspect_image(read_bytes(path, MAX_FILE_BYTES), str(path))


def read_bytes(path: Path, most: int) -> bytes:
    """The bytes of a file that may not be what it should be.

    Raises:
        EmoNetFaceError: it cannot be read, is a pipe or a device, or has more than `most` bytes.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading a pipe waits, a device may never end
            raise EmoNetFaceError(f"{path}: is no regular file")
        if status.st_size > most:
            raise EmoNetFaceError(
                f"{path}: has {status.st_size:,} bytes; at most {most:,} are allowed"
            )
        return path.read_bytes()
    except OSError as error:
        raise EmoNetFaceError(f"{path}: cannot be read ({error.strerror})") from None


def inspect_image(data: bytes, where: str) -> ImageFile:
    """What `read_image` says of a file, for bytes that come from elsewhere (an archive).

    Args:
        data: the bytes of a PNG, JPEG or WebP file.
        where: what to call the image in an error.

    Raises:
        EmoNetFaceError: not an image, truncated, animated or larger than MAX_PIXELS.
    """
    with _faults_named(where):
        header = whole_header(data)
        image = _opened(data if header is None else header.picture, where)
        image.load()
        on_its_side = image.getexif().get(_ORIENTATION) in _QUARTER_TURNS
    if header is None:
        check_whole(data, where)
        size = image.size
    else:
        size = header.width, header.height
        _check_pixels(*size, where)
    return ImageFile(data, hashlib.sha256(data).hexdigest(), *size[:: -1 if on_its_side else 1])


def check_whole(data: bytes, where: str) -> None:
    """What a decoder passes over: the end mark, which it does not need, and a PNG's checksums.

    `inspect_image` asks this too; it is for those who decode the picture anyway.

    Raises:
        EmoNetFaceError: the file was cut off or changed.
    """
    if data.startswith(b"\x89PNG"):
        whole = _png_is_whole(data)
    elif data.startswith(b"\xff\xd8"):
        # A thumbnail inside has an end of its own, so it must follow the start of the last scan.
        whole = data.rfind(b"\xff\xd9") > data.rfind(b"\xff\xda")
    else:
        whole = True  # WebP states its length, which Pillow checks
    if not whole:
        raise EmoNetFaceError(f"{where}: is damaged or cut off, though a picture comes out of it")


def _png_is_whole(data: bytes) -> bool:
    place, kind = 8, b""
    while kind != b"IEND":
        length = int.from_bytes(data[place : place + 4], "big")
        end = place + 8 + length
        kind = data[place + 4 : place + 8]
        checksum = int.from_bytes(data[end : end + 4], "big")
        if len(data) < end + 4 or zlib.crc32(memoryview(data)[place + 4 : end]) != checksum:
            return False
        place = end + 4
    return True


def decode(data: bytes, where: str) -> Image.Image:
    """Image bytes -> RGB picture, upright.

    EXIF orientation is applied; transparency is laid over white; grey, palette and 16-bit pictures
    become 8-bit RGB.

    Args:
        data: the bytes of a PNG, JPEG or WebP file.
        where: what to call the image in an error.

    Raises:
        EmoNetFaceError: not an image, truncated, animated or larger than MAX_PIXELS.
    """
    from PIL.ImageOps import exif_transpose

    with _faults_named(where):
        image = _opened(data, where)
        image.load()
        exif_transpose(image, in_place=True)
        return _to_rgb(image)


def _opened(data: bytes, where: str) -> Image.Image:
    """A picture of which the header was read and found acceptable."""
    from PIL import Image

    with _OPENING, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image = Image.open(BytesIO(data), formats=("PNG", "JPEG", "WEBP"))
    _check_pixels(image.width, image.height, where)
    # Cameras put a small or a second view behind a JPEG ("MPO"): the first picture is meant.
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        raise EmoNetFaceError(f"{where}: is animated; one still picture is expected")
    return image


def _check_pixels(width: int, height: int, where: str) -> None:
    if width * height > MAX_PIXELS:
        raise EmoNetFaceError(f"{where}: {width} x {height} pixels; at most {MAX_PIXELS:,} allowed")


@contextmanager
def _faults_named(where: str) -> Iterator[None]:
    """Turn what Pillow raises at a bad file into an EmoNetFaceError that names the file."""
    from PIL import Image, UnidentifiedImageError

    try:
        yield
    except EmoNetFaceError:
        raise
    except UnidentifiedImageError:
        raise EmoNetFaceError(f"{where}: is not a PNG, JPEG or WebP image") from None
    except Image.DecompressionBombError:
        raise EmoNetFaceError(f"{where}: more than {MAX_PIXELS:,} pixels") from None
    except Exception as error:  # Pillow's decoders raise many classes on damaged files
        raise EmoNetFaceError(f"{where}: cannot be decoded ({error})") from None


def _to_rgb(image: Image.Image) -> Image.Image:
    from PIL import Image

    if image.mode.startswith("I;16") or image.mode in {"I", "F"}:
        # Pillow's own conversion clips 16-bit values instead of scaling them.
        image = image.convert("F").point(lambda value: value / 257.0).convert("L")
    if "A" in image.getbands() or "transparency" in image.info:
        picture = image.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
