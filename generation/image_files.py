"""One finished picture -> its marked file and its sidecar, each whole or absent."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emonet_face.outputs import PARTIAL
from generation.marking import encode, xmp_packet

if TYPE_CHECKING:
    from generation.attempts import Outcome
    from generation.backends import Backend
    from generation.run_folder import Run


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
        **picture.made,
        **backend.circumstances(),
    }
    if backend.batch_matters:
        made["batch"] = list(outcome.batch)
    sidecar = {"image_id": request.image_id, "sha256": hashlib.sha256(data).hexdigest()}
    sidecar |= size | prompt | picture.facts | {"generation": made}
    return data, sidecar | ({"quality": dict(quality)} if quality else {})


def write_image(image: Path, data: bytes, sidecar: Mapping[str, Any]) -> None:
    """The image, then the sidecar that vouches for it."""
    write_whole(image, data)
    # A key a line: as readable as with indents, which the json module writes ten times slower.
    lines = (f"{json.dumps(key)}: {_json(value)}" for key, value in sidecar.items())
    text = "{{\n  {}\n}}\n".format(",\n  ".join(lines))
    write_whole(image.with_suffix(".json"), text.encode())


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file of a claimed batch whole or not at all.

    The name aside needs no process number: only whoever has the claim writes, and where it is
    killed the next one writes to the same name.
    """
    aside = path.with_name(f".{path.name}.{PARTIAL}")
    try:
        aside.write_bytes(data)
        os.replace(aside, path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise
