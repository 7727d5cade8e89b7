"""Which files a text-to-image model is, and whether diffusers can make pictures with them."""

from __future__ import annotations

import hashlib
import inspect
from pathlib import Path

from emonet_face.errors import EmoNetFaceError

INDEX = "model_index.json"
_WHOLE = 2**20
"""Bytes of a file that count for `fingerprint` from its beginning, and as many from its end."""


def find_model(model: str, revision: str | None) -> tuple[Path, str]:
    """The folder of a model, and what identifies its content."""
    folder = Path(model)
    if folder.is_dir():
        if revision is not None:
            raise EmoNetFaceError(f"{model}: is a folder, which has no revision {revision!r}")
        if not (folder / INDEX).is_file():
            raise EmoNetFaceError(f"{model}: is no diffusers pipeline: it has no {INDEX}")
        return folder.resolve(), fingerprint(folder)
    from diffusers import DiffusionPipeline

    try:
        folder = Path(DiffusionPipeline.download(model, revision=revision, use_safetensors=True))
    except Exception as error:  # hub, network and validation errors are of many classes
        raise EmoNetFaceError(
            f"{model!r}: neither a folder nor a model that can be had from the Hub"
            f" ({first_line(error)})"
        ) from None
    return folder, folder.name


def fingerprint(folder: Path) -> str:
    """What identifies the files of a folder: "files-" and 16 hex digits.

    Names, sizes, and the first and the last mebibyte of each file, which for smaller files is all.
    """
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        size = path.stat().st_size
        digest.update(f"{path.relative_to(folder).as_posix()} {size}\n".encode())
        with path.open("rb") as stream:
            digest.update(stream.read(_WHOLE))
            stream.seek(max(_WHOLE, size - _WHOLE))
            digest.update(stream.read(_WHOLE))
    return f"files-{digest.hexdigest()[:16]}"


def is_text_to_image(pipeline: type) -> bool:
    """Whether diffusers lists the class as such, or else it takes a prompt and nothing to start
    from."""
    from diffusers.pipelines.auto_pipeline import AUTO_TEXT2IMAGE_PIPELINES_MAPPING

    known = inspect.signature(pipeline.__call__).parameters
    listed = pipeline in AUTO_TEXT2IMAGE_PIPELINES_MAPPING.values()
    return listed or ("prompt" in known and not {"image", "video", "num_frames"} & set(known))


def first_line(error: Exception) -> str:
    """The first line of an error's text; its class where it has none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
