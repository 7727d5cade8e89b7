"""One image of a run made again, and compared with the file that is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emonet_face.errors import EmoNetFaceError, shown
from generation.attempts import make_all
from generation.claims import ClaimFile
from generation.image_files import render, write_image
from generation.quality import measure
from generation.run_folder import CLAIMS, Run
from generation.sidecars import read_sidecar
from generation.work import Work


@dataclass(frozen=True)
class Redrawn:
    """One image that was made again.

    Attributes:
        image: its file.
        equal: whether the file had exactly the bytes that were made; None where there was no file
            and it was written.
        difference: largest difference of a pixel value (0-255) where the bytes were others; None
            where there is nothing to compare.
    """

    image: Path
    equal: bool | None
    difference: int | None = None

    def __str__(self) -> str:
        if self.equal is None:
            return f"{self.image}: made"
        if self.equal:
            return f"{self.image}: made again: the same bytes"
        how = "" if self.difference is None else f", pixel values differ by up to {self.difference}"
        return f"{self.image}: made again: OTHER bytes{how}"


def redraw(work: Work, index: int) -> Redrawn:
    """Make one image in the batch and attempt that its sidecar names, or that it is due in."""
    run, backend = work.run, work.backend
    image = run.image_path(index)
    made = _as_made(image)
    batch, attempt = _batch_and_attempt(run, index, made)
    if not batch:
        batch = list(run.indices(run.batch_of(index))) if backend.batch_matters else [index]
    requests = [run.request(i, attempt) for i in batch]
    backend.load()
    retries = 0 if made else work.retries
    outcomes = list(make_all(backend, requests, run.plan["size"], retries))
    outcome = outcomes[batch.index(index)]
    if outcome.picture.image is None:
        raise EmoNetFaceError(f"{image}: could not be made again ({outcome.causes[-1]})")
    (quality,) = measure([outcome.picture.image], work.find_faces)
    data, sidecar = render(run, backend, outcome, quality)
    if not image.exists():
        with ClaimFile(run.out / CLAIMS) as claims:
            claims.wait(run.batch_of(index))  # else another process may be writing it right now
            if not image.exists():
                write_image(image, data, sidecar)
                return Redrawn(image, None)
    there = image.read_bytes()
    if there == data:
        return Redrawn(image, True)
    return Redrawn(image, False, _difference(there, data))


def _batch_and_attempt(run: Run, index: int, made: Mapping[str, Any]) -> tuple[list[int], int]:
    """What a sidecar says of it; no batch and the first attempt where it says nothing."""
    names, attempt = made.get("batch", []), made.get("attempt", 0)
    sidecar = run.image_path(index).with_suffix(".json")
    if not isinstance(names, list) or (names and run.image_id(index) not in names):
        raise EmoNetFaceError(
            f"{sidecar}: 'batch' is {shown(names)}: must be ids of this run, this image's among"
            " them; remove the sidecar, and generate without --only writes it again"
        )
    if type(attempt) is not int or attempt < 0:
        raise EmoNetFaceError(
            f"{sidecar}: 'attempt' is {shown(attempt)}: must be 0 or more; remove the sidecar, and"
            " generate without --only writes it again"
        )
    return [run.index_of(str(name)) for name in names], attempt


def _as_made(image: Path) -> Mapping[str, Any]:
    """How an image was made, as far as its sidecar is there."""
    try:
        made = read_sidecar(image).get("generation")
    except EmoNetFaceError:
        return {}
    return made if isinstance(made, dict) else {}


def _difference(one: bytes, other: bytes) -> int | None:
    import numpy as np

    from emonet_face.imaging import decode

    try:
        pixels = [np.asarray(decode(data, "image"), np.int16) for data in (one, other)]
    except EmoNetFaceError:
        return None
    return int(abs(pixels[0] - pixels[1]).max()) if pixels[0].shape == pixels[1].shape else None
