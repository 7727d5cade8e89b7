"""One finished picture -> its marked file and its sidecar, each whole or absent."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emonet_face.outputs import PARTIAL
from generation.marking import encode, xmp_packet

if TYPE_CHECKING:
    from generation.attempts import Outcome
    from generation.backends import Backend
    from generation.run_folder import Run


_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",\n", ": "))
"""A value a line: as readable as with indents, which the json module writes ten times slower."""


def render(
    run: Run, backend: Backend, outcome: Outcome, quality: Mapping[str, Any]
) -> tuple[bytes, dict[str, Any]]:
    """The bytes of the image file and its sidecar.

    The file holds the prompt record and the recipe: what has to be the same for the same picture.
    Device, versions and what went wrong on the way are in the sidecar only.

    Args:
        run: the run.
        backend: which made the picture.
        outcome: with a picture.
        quality: what was measured on it.
    """
    request, picture = outcome.request, outcome.picture
    prompt = {
        "generator": backend.generator(),
        "prompt": request.record.text,
        "prompted_emotion": request.record.emotion,
        "prompted_ethnicity": request.record.ethnicity,
        "prompted_age": request.record.age,
        "prompted_gender": request.record.gender,
        "seed": request.run_seed,
    }
    made = {
        "intensity": request.record.intensity,
        "style": request.record.style,
        "template": request.record.template,
        "words": list(request.record.words),
        "image_seed": request.seed,
        **run.plan["recipe"],
    }
    size = {"width": picture.image.width, "height": picture.image.height}
    mark = {"image_id": request.image_id} | size | prompt | made
    packet = xmp_packet(mark, backend.source_type)
    data = encode(picture.image, run.plan["format"], packet)
    made |= {
        "attempt": request.attempt,
        "causes": list(outcome.causes),
        "flagged": picture.flagged,
        **backend.circumstances(request),
    }
    made["versions"] = made["versions"] | {"zlib": zlib.ZLIB_RUNTIME_VERSION}
    if backend.batch_matters:
        made["batch"] = list(outcome.batch)
    sidecar = {"image_id": request.image_id, "sha256": hashlib.sha256(data).hexdigest()}
    sidecar |= size | prompt | picture.facts | {"generation": made}
    return data, sidecar | ({"quality": dict(quality)} if quality else {})


def write_image(image: Path, data: bytes, sidecar: Mapping[str, Any]) -> None:
    """The image, then the sidecar that vouches for it."""
    write_whole(image, data)
    write_whole(image.with_suffix(".json"), f"{_JSON.encode(sidecar)}\n".encode())


def write_whole(path: Path, data: bytes) -> None:
    """Write a file of a claimed batch whole or not at all.

    The name aside needs no process number: only whoever has the claim writes, and where it is
    killed the next one writes to the same name.
    """
    aside = path.with_name(f".{path.name}.{PARTIAL}")
    try:
        _write(aside, data)
        os.replace(aside, path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        if error.filename is None:  # a write to a full disk does not say where
            error.filename = os.fspath(path)
        raise


def _write(path: Path, data: bytes) -> None:
    """`Path.write_bytes` in half its time: such small files are made by the thousand."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o666)
    try:
        while data:
            data = data[os.write(file, data) :]
    finally:
        os.close(file)
