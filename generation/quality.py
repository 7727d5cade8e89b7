"""Quality of a run's pictures: numbers beside each, never a verdict and never a deletion.

`generate` measures each picture while it has the pixels and puts the numbers into the sidecar; when
the run is complete they stand together in RUN/quality.jsonl, with the pictures that are alike. What
is too small, too soft or too much alike is for the user to say:

    python -m generation.quality RUN --least-sharpness 50 --faces 1 --no-duplicates

prints the ids that pass, and on standard error how many did not and why. Nothing is removed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emonet_face.errors import EmoNetFaceError
from emonet_face.perceptual_hash import Hashes, near, perceptual_hashes, reduce

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

QUALITY = "quality.jsonl"

KEYS = ("sharpness", "pixels", "perceptual_hash", "faces", "face_share")
"""What a sidecar's "quality" may hold; the last two only where faces were looked for."""


def measure(
    images: Sequence[Image.Image], find_faces: Callable | None = None
) -> list[dict[str, Any]]:
    """The numbers of each picture.

    Args:
        images: RGB; together, because hashing many at once costs little more than one.
        find_faces: gives the faces in a picture, the largest first, as boxes with `left`, `top`,
            `right` and `bottom` in pixels. None: they are not looked for.

    Returns:
        "sharpness": variance of the Laplacian of the grey levels (0-255), so 0 for one colour; it
        grows with noise as well, and compares only pictures of one size. "pixels": sha256 of the
        pixels (files of equal pixels differ, for each holds its own record). "perceptual_hash": 80
        hex digits (`perceptual_hash`). "faces": how many were found; "face_share": the longer side
        of the largest one as a share of the picture's, 0 where there is none.
    """
    if not images:
        return []
    hashes = perceptual_hashes(np.stack([reduce(image) for image in images]))
    measured = []
    for image, words in zip(images, hashes, strict=True):
        numbers: dict[str, Any] = {
            "sharpness": _sharpness(image),
            "pixels": hashlib.sha256(image.tobytes()).hexdigest(),
            "perceptual_hash": words.tobytes().hex(),
        }
        if find_faces is not None:
            numbers |= _faces(image, find_faces)
        measured.append(numbers)
    return measured


def _sharpness(image: Image.Image) -> float:
    grey = np.asarray(image.convert("L")).astype(np.int16)
    curved = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    curved -= 4 * grey[1:-1, 1:-1]
    values = curved.astype(np.float32).ravel()
    return round(float(values @ values) / values.size - float(values.mean()) ** 2, 2)


def _faces(image: Image.Image, find_faces: Callable) -> dict[str, Any]:
    faces = find_faces(image)
    side = max((max(f.right - f.left, f.bottom - f.top) for f in faces[:1]), default=0)
    return {"faces": len(faces), "face_share": round(side / max(image.size), 4)}


class Alike:
    """Finds pictures of one run that are alike; 48 bytes a picture are kept."""

    def __init__(self) -> None:
        self._pixels = bytearray()
        self._hashes = bytearray()

    def add(self, quality: Mapping[str, Any]) -> None:
        """The next picture's numbers, in the run's order."""
        self._pixels += bytes.fromhex(quality["pixels"])[:8]
        self._hashes += bytes.fromhex(quality["perceptual_hash"])

    def found(self) -> tuple[dict[int, int], dict[int, int]]:
        """Picture -> the first earlier one with the same pixels, and the first that looks alike.

        Pictures without structure (one colour) look like nothing.
        """
        pixels = np.frombuffer(bytes(self._pixels), np.uint64)
        _, first, group = np.unique(pixels, return_index=True, return_inverse=True)
        places = first[group]
        exact = {int(i): int(places[i]) for i in np.nonzero(places < np.arange(len(places)))[0]}
        hashes: Hashes = np.frombuffer(bytes(self._hashes), np.uint64).reshape(-1, 5)
        alike: dict[int, int] = {}
        for rows, columns, _ in near(hashes, hashes):
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
                if column < row and pixels[row] != pixels[column]:
                    alike[row] = min(column, alike.get(row, column))
        return exact, alike


def select(
    rows: Iterator[Mapping[str, Any]],
    *,
    least_sharpness: float | None = None,
    least_face_share: float | None = None,
    faces: int | None = None,
    duplicates: bool = True,
    flagged: bool = True,
) -> Iterator[tuple[str, str | None]]:
    """Apply thresholds to rows of quality.jsonl.

    Args:
        rows: see `read_quality`.
        least_sharpness, least_face_share: smaller values do not pass.
        faces: how many faces there must be.
        duplicates: whether pictures with an earlier one like them pass.
        flagged: whether pictures pass that the pipeline's safety checker flagged.

    Yields:
        (image id, None where it passes, else the first reason why not).

    Raises:
        EmoNetFaceError: a threshold on what was not measured.
    """
    for row in rows:
        reasons = {
            "sharpness": _below(row, "sharpness", least_sharpness),
            "face_share": _below(row, "face_share", least_face_share),
            "faces": faces is not None and _value(row, "faces") != faces,
            "duplicate_of": not duplicates and row["duplicate_of"] is not None,
            "near_duplicate_of": not duplicates and row["near_duplicate_of"] is not None,
            "flagged": not flagged and bool(row["flagged"]),
        }
        yield row["image_id"], next((name for name, holds in reasons.items() if holds), None)


def _below(row: Mapping[str, Any], key: str, least: float | None) -> bool:
    return least is not None and _value(row, key) < least


def _value(row: Mapping[str, Any], key: str) -> Any:
    if row.get(key) is None:
        raise EmoNetFaceError(
            f"{row['image_id']}: {key!r} was not measured; `generate --faces` measures faces"
        )
    return row[key]


def read_quality(run: Path) -> Iterator[dict[str, Any]]:
    """The rows of a run's quality.jsonl.

    Raises:
        EmoNetFaceError: the run has none, because it is not complete or is no run.
    """
    try:
        stream = (run / QUALITY).open(encoding="utf-8")
    except OSError as error:
        raise EmoNetFaceError(f"{error.filename}: cannot be read ({error.strerror})") from None
    with stream:
        for line in stream:
            yield json.loads(line)


def main(argv: Sequence[str] | None = None) -> int:
    """The command above; returns 0, or 2 for bad input."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("run", type=Path)
    parser.add_argument("--least-sharpness", type=float)
    parser.add_argument("--least-face-share", type=float)
    parser.add_argument("--faces", type=int)
    parser.add_argument("--no-duplicates", dest="duplicates", action="store_false")
    parser.add_argument("--not-flagged", dest="flagged", action="store_false")
    options = vars(parser.parse_args(argv))
    counts: Counter[str | None] = Counter()
    try:
        for image_id, reason in select(read_quality(options.pop("run")), **options):
            counts[reason] += 1
            if reason is None:
                print(image_id)
    except EmoNetFaceError as error:
        print(error, file=sys.stderr)
        return 2
    reasons = ", ".join(f"{reason}: {n}" for reason, n in counts.items() if reason is not None)
    print(f"{counts[None]} pass; {reasons or 'none does not'}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
