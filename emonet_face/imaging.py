"""Image files: find, read, check, decode, hash.

Pillow is imported inside, so that importing this module stays cheap.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from emonet_face.errors import EmoNetFaceError

if TYPE_CHECKING:
    from PIL import Image

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
MAX_PIXELS = 64_000_000
"""Larger pictures are refused before they are decoded (a decompression bomb, or a mistake)."""


def image_stem(name: str) -> str:
    """The id of an image: its file name without folders and without an image suffix.

    >>> image_stem("a/b/mj_data_1_U2.png"), image_stem("00000"), image_stem("face.v2.JPG")
    ('mj_data_1_U2', '00000', 'face.v2')
    """
    base = PurePosixPath(name.replace("\\", "/")).name
    stem, dot, suffix = base.rpartition(".")
    return stem if dot and stem and f".{suffix.lower()}" in IMAGE_SUFFIXES else base


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
    """An image file that was read whole and found decodable.

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
    """Read an image file and make sure that it decodes.

    Raises:
        EmoNetFaceError: unreadable, not an image, truncated, animated or larger than MAX_PIXELS.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EmoNetFaceError(f"{path}: cannot be read ({error.strerror})") from None
    return inspect_image(data, str(path))


def inspect_image(data: bytes, where: str) -> ImageFile:
    """What `read_image` says of a file, for bytes that come from elsewhere (an archive).

    Args:
        data: the bytes of a PNG, JPEG or WebP file.
        where: what to call the image in an error.

    Raises:
        EmoNetFaceError: not an image, truncated, animated or larger than MAX_PIXELS.
    """
    image = decode(data, where)
    return ImageFile(data, hashlib.sha256(data).hexdigest(), image.width, image.height)


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
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(BytesIO(data), formats=("PNG", "JPEG", "WEBP"))
        if image.width * image.height > MAX_PIXELS:
            raise EmoNetFaceError(
                f"{where}: {image.width} x {image.height} pixels; at most {MAX_PIXELS:,} allowed"
            )
        if getattr(image, "n_frames", 1) > 1:
            raise EmoNetFaceError(f"{where}: is animated; one still picture is expected")
        image.load()
    except EmoNetFaceError:
        raise
    except UnidentifiedImageError:
        raise EmoNetFaceError(f"{where}: is not a PNG, JPEG or WebP image") from None
    except Image.DecompressionBombError:
        raise EmoNetFaceError(f"{where}: more than {MAX_PIXELS:,} pixels") from None
    except Exception as error:  # Pillow's decoders raise many classes on damaged files
        raise EmoNetFaceError(f"{where}: cannot be decoded ({error})") from None
    return _to_rgb(ImageOps.exif_transpose(image))


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
