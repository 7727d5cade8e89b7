"""Labels by the simulated people and the simulated machine, written whole.

The labels of an image depend on the seed, its id and its latent intensities alone: not on the other
images, nor on their order.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import index_images
from emonet_face.outputs import new_file
from emonet_face.progress import track
from emonet_face.ratings import Scores
from emonet_face.released import (
    RATING_COLUMNS,
    VOTE_COLUMNS,
    Rating,
    Vote,
    write_ratings,
    write_votes,
)
from emonet_face.taxonomy import EMOTIONS
from generation.cascade import cast_votes
from generation.raters import (
    MACHINE,
    dimensions_of,
    generator,
    panel,
    rate,
    rate_as_machine,
)
from generation.run import check_finished
from generation.sidecars import Face, read_face

Label = Rating | Vote

PROTOCOLS = ("sliders", "votes", "multi-shot")


def simulate(source: Path, out: Path, protocol: str, seed: int) -> dict[str, object]:
    """Label every image of a run.

    Args:
        source: a run folder made with the schematic backend.
        out: `.csv` (hq.csv form; for votes binary.csv form) or `.jsonl`, one object a line: a
            rating has "image", "annotator", "protocol", "simulated", "scores" (40) and, from the
            machine, "dimensions"; a vote has "emotion", "role" ("target" or "contrast") and
            "present" instead of scores.
        protocol: "sliders" (four of eight simulated people per image), "votes" (the cascade) or
            "multi-shot" (the simulated machine).
        seed: 0 or more.

    Returns:
        "out", "annotator", "protocol", "simulated" (True), "images", "labels" (rows written).

    Raises:
        EmoNetFaceError: an unfinished run, a sidecar that is missing or damaged or has no
            intensities, or `out` exists and is not ours. Nothing is written then.
    """
    check_finished(source)
    images = list(index_images(source).values())
    if not images:
        raise EmoNetFaceError(f"{source}: holds no images")
    count = 0

    def labelled() -> Iterator[tuple[Face, list[Label]]]:
        nonlocal count
        for image in track(images, f"labels ({protocol})"):
            face = read_face(image)
            labels = _LABELS[protocol](face, seed)
            count += len(labels)
            yield face, labels

    with new_file(out, _is_ours) as aside:
        _write(aside, labelled(), protocol, as_lines=out.suffix == ".jsonl")
    return {
        "out": str(out),
        "annotator": "simulated",
        "protocol": protocol,
        "simulated": True,
        "images": len(images),
        "labels": count,
    }


def _sliders(face: Face, seed: int) -> list[Label]:
    ratings: list[Label] = []
    for rater in panel(face.image_id, seed):
        rng = generator(seed, face.image_id, f"sliders {rater.name}")
        values = rate(face.intensities, rater, rng)
        scores = Scores([float(value) for value in values])
        ratings.append(Rating(face.image, face.image_id, rater.name, True, scores))
    return ratings


def _votes(face: Face, seed: int) -> list[Label]:
    return [*cast_votes(face.image_id, face.target, face.intensities, seed)]


def _multi_shot(face: Face, seed: int) -> list[Label]:
    rng = generator(seed, face.image_id, MACHINE)
    values = rate_as_machine(face.intensities, rng)
    scores = Scores([float(value) for value in values], dimensions_of(face.intensities))
    return [Rating(face.image, face.image_id, MACHINE, False, scores)]


_LABELS: dict[str, Callable[[Face, int], list[Label]]] = {
    "sliders": _sliders,
    "votes": _votes,
    "multi-shot": _multi_shot,
}


def _write(
    path: Path, labelled: Iterable[tuple[Face, list[Label]]], protocol: str, *, as_lines: bool
) -> None:
    if as_lines:
        with path.open("w", encoding="utf-8") as stream:
            for face, labels in labelled:
                for label in labels:
                    stream.write(json.dumps(_line(face, label, protocol), ensure_ascii=False))
                    stream.write("\n")
        return
    write = write_votes if protocol == "votes" else write_ratings
    write(path, (label for _, labels in labelled for label in labels))


def _line(face: Face, label: Label, protocol: str) -> dict[str, object]:
    line: dict[str, object] = {
        "image": face.image,
        "annotator": label.annotator,
        "protocol": protocol,
        "simulated": True,
    }
    if isinstance(label, Vote):
        role = "target" if label.emotion == face.target else "contrast"
        return {**line, "emotion": label.emotion, "role": role, "present": label.present}
    line["scores"] = dict(zip(EMOTIONS, label.scores.scores, strict=True))
    if label.scores.dimensions:
        line["dimensions"] = label.scores.dimensions
    return line


def _is_ours(path: Path) -> bool:
    """Whether a file holds simulated labels: a published table has the same header, other names."""
    with path.open(encoding="utf-8", errors="replace") as stream:
        first, second = stream.readline(1_000_000), stream.readline(1_000_000)
    if path.suffix == ".jsonl":
        return '"simulated": true' in first
    headers = (",".join(RATING_COLUMNS), ",".join(VOTE_COLUMNS))
    return first.rstrip("\n") in headers and ",simulated-" in second
