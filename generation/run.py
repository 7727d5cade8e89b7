"""A run: a folder of faces made from balanced prompts, each with a sidecar that says all about it.

RUN/images/ID.png, RUN/images/ID.json beside it, and RUN/run.json, whose presence means that the run
is complete. Each image is written whole, then its sidecar; a run that was cut off is finished by
the same call, and the same call on a finished run changes nothing.

    from generation.run import generate
    generate(120, Path("run"), seed=0)
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

from emonet_face import __version__, outputs
from emonet_face.errors import EmoNetFaceError
from emonet_face.progress import track
from generation.latents import latent_intensities
from generation.prompts import prompt_record
from generation.sidecars import read_sidecar

BACKENDS = ("schematic",)
MADE_BY = "emonet-face generate"
MANIFEST = "run.json"
PLAN = ".plan.json"
"""The manifest's name while images are missing."""
IMAGES = "images"
SIZES = (32, 2048)
"""Smallest and largest side of an image, in pixels."""

_WORTH_WORKERS = 100
"""Fewer images than this are drawn sooner than new processes start."""


@dataclass(frozen=True)
class Redrawn:
    """One image that was drawn again.

    Attributes:
        image: its file.
        equal: whether the file had exactly the bytes that were drawn; None where there was no file
            and it was written.
    """

    image: Path
    equal: bool | None

    def __str__(self) -> str:
        verdict = {True: "drawn again: the same bytes", False: "drawn again: OTHER bytes"}
        return f"{self.image}: {verdict.get(self.equal, 'drawn')}"


def generate(
    n: int,
    out: Path,
    *,
    backend: str = "schematic",
    size: int = 128,
    seed: int = 0,
    only: str | None = None,
    workers: int | None = None,
) -> Path | Redrawn:
    """Make the faces of prompts 0 to n - 1, or those still missing.

    An image counts as there if its sidecar names its sha256; anything else is made again.

    Args:
        n: number of images, at least 1.
        out: the run folder: new, empty, or of a run with the same n, backend, size and seed.
        backend: "schematic", the drawn faces. Each then has latent intensities (`latents`).
        size: side in pixels.
        seed: 0 or more. Same arguments, same bytes (with the same Pillow and numpy).
        only: the id of one image (`image_id_of`): draw just that one again and say whether it comes
            out the same. Where `out` has no such image it is written, so that another folder than
            the run's can serve; an image that is there is left as it is.
        workers: processes; None takes one for each core where it is worth it. They are spawned, so
            a script that asks for more than one needs the `if __name__ == "__main__"` guard.

    Returns:
        The run folder, or with `only` what became of that image.

    Raises:
        EmoNetFaceError: an argument out of range, an id that is not of this run, or `out` holds
            something else.
    """
    plan = _plan(n, backend, size, seed)
    wanted = None if only is None else _index_of(only, n, seed)
    _open(out, plan)
    if wanted is not None:
        return _redraw(out, size, seed, wanted)
    missing = [i for i in range(n) if not _is_whole(_image_path(out, seed, i))]
    if missing or not (out / MANIFEST).exists():
        if (out / MANIFEST).exists():
            os.replace(out / MANIFEST, out / PLAN)
        for _ in track(_make_all(out, missing, size, seed, workers), "faces", len(missing)):
            pass
        os.replace(out / PLAN, out / MANIFEST)
    return out


def image_id_of(seed: int, index: int) -> str:
    """The id of a run's image; seed and number make it unique across runs.

    >>> image_id_of(7, 12)
    'schematic-7-000012'
    """
    return f"schematic-{seed}-{index:06d}"


def check_finished(folder: Path) -> None:
    """Raise EmoNetFaceError where a run lacks images; folders that are no run pass."""
    manifest, run = _begun(folder)
    if manifest is None:
        return
    there = sum(_image_path(folder, run["seed"], i).exists() for i in range(run["n"]))
    if manifest == PLAN or there < run["n"]:
        raise EmoNetFaceError(
            f"{folder}: this run is not finished ({there} of {run['n']} images);"
            " repeat its generate command"
        )


def _plan(n: int, backend: str, size: int, seed: int) -> dict[str, object]:
    """The manifest of a run; its arguments are checked here."""
    if backend not in BACKENDS:
        raise EmoNetFaceError(f"unknown backend {backend!r}; allowed: {', '.join(BACKENDS)}")
    if n < 1:
        raise EmoNetFaceError(f"number of images is {n}: must be 1 or more")
    if not SIZES[0] <= size <= SIZES[1]:
        raise EmoNetFaceError(f"size is {size} pixels: must lie in {SIZES[0]}..{SIZES[1]}")
    if seed < 0:
        raise EmoNetFaceError(f"seed is {seed}: must be 0 or more")
    versions = {name: version(name) for name in ("numpy", "pillow")}
    return {
        "made_by": MADE_BY,
        "n": n,
        "backend": backend,
        "size": size,
        "seed": seed,
        "versions": {"emonet-face": __version__, **versions},
    }


def _begun(folder: Path) -> tuple[str | None, dict[str, object]]:
    """Name and content of the manifest of a run in a folder; (None, {}) where there is no run."""
    for name in (MANIFEST, PLAN):
        if outputs.made_by(folder, name) == MADE_BY:
            return name, json.loads((folder / name).read_text(encoding="utf-8"))
    return None, {}


def _open(out: Path, plan: dict[str, object]) -> None:
    """Make the run folder, or make sure that an existing one is of the same run."""
    manifest, begun = _begun(out)
    outputs.check_replaceable(out, ours=lambda _: manifest is not None)
    if manifest is not None:
        for key in ("n", "backend", "size", "seed"):
            if begun.get(key) != plan[key]:
                raise EmoNetFaceError(
                    f"{out}: holds a run with {key} {begun.get(key)!r}, not {plan[key]!r};"
                    " give the same arguments or another folder"
                )
    else:
        outputs.write_json(out / PLAN, plan)
    (out / IMAGES).mkdir(exist_ok=True)
    outputs.remove_stale(out / IMAGES)


def _image_path(out: Path, seed: int, index: int) -> Path:
    return out / IMAGES / f"{image_id_of(seed, index)}.png"


def _index_of(image_id: str, n: int, seed: int) -> int:
    index = next((i for i in range(n) if image_id_of(seed, i) == image_id), None)
    if index is None:
        raise EmoNetFaceError(
            f"{image_id!r} is not an image of this run: its ids go from"
            f" {image_id_of(seed, 0)} to {image_id_of(seed, n - 1)}"
        )
    return index


def _redraw(out: Path, size: int, seed: int, index: int) -> Redrawn:
    image = _image_path(out, seed, index)
    if not image.exists():
        _make(out, size, seed, index)
        return Redrawn(image, None)
    data, _ = _draw(size, seed, index)
    return Redrawn(image, image.read_bytes() == data)


def _is_whole(image: Path) -> bool:
    try:
        read_sidecar(image)
    except EmoNetFaceError:
        return False
    return True


def _make_all(
    out: Path, indices: list[int], size: int, seed: int, workers: int | None
) -> Iterator[None]:
    if workers is None:
        workers = (os.cpu_count() or 1) if len(indices) >= _WORTH_WORKERS else 1
    make = partial(_make, out, size, seed)
    if workers <= 1:
        yield from map(make, indices)
        return
    spawn = multiprocessing.get_context("spawn")  # forking is not safe once torch has threads
    with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
        yield from pool.map(make, indices, chunksize=16)


def _make(out: Path, size: int, seed: int, index: int) -> None:
    """Draw one image and write it, then its sidecar."""
    data, sidecar = _draw(size, seed, index)
    image = _image_path(out, seed, index)
    text = json.dumps(sidecar, indent=2, ensure_ascii=False) + "\n"
    _write(image, data)
    _write(image.with_suffix(".json"), text.encode())


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all. `outputs.new_file` would list the folder anew for each image."""
    aside = path.with_name(f".{path.name}.{outputs.PARTIAL}-{os.getpid()}")
    aside.write_bytes(data)
    os.replace(aside, path)


def _draw(size: int, seed: int, index: int) -> tuple[bytes, dict[str, object]]:
    """The PNG bytes of one image and its sidecar."""
    from generation.schematic import draw, encode_png

    record = prompt_record(index, seed)
    image_id = image_id_of(seed, index)
    intensities = latent_intensities(record, seed)
    image = draw(
        list(intensities.values()),
        ethnicity=record.ethnicity,
        age=record.age,
        gender=record.gender,
        size=size,
        seed=int.from_bytes(hashlib.sha256(image_id.encode()).digest()[:4]),
    )
    data = encode_png(image)
    return data, {
        "image_id": image_id,
        "sha256": hashlib.sha256(data).hexdigest(),
        "width": image.width,
        "height": image.height,
        "generator": "schematic",
        "prompt": record.text,
        "prompted_emotion": record.emotion,
        "prompted_ethnicity": record.ethnicity,
        "prompted_age": record.age,
        "prompted_gender": record.gender,
        "seed": seed,
        "intensities": intensities,
    }
