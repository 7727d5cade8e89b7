"""What annotators said, read from result files and rating tables into one array."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emonet_face.errors import EmoNetFaceError, shown
from emonet_face.imaging import checked_stem
from emonet_face.ratings import parse_scores
from emonet_face.released import BadRow, iter_ratings
from emonet_face.taxonomy import N_EMOTIONS

Floats = NDArray[np.float64]


@dataclass
class Annotator:
    """One annotator, and what is known of it beside its scores.

    Attributes:
        name: as in the files.
        human: whether a person, real or simulated.
        about: model, protocol, prompt and sampling of a model; empty for others.
        control: the control it was run as, None for none.
        shown: image -> the image that was shown in its place, for controls.
        scores: image id -> (40,) with NaN where it gave none.
        failures: reason -> how many of its answers did not fit.
        unanswered: images without any answer.
        seconds: how long each answer took, where that was recorded.
    """

    name: str
    human: bool
    about: dict[str, Any] = field(default_factory=dict)
    control: str | None = None
    shown: dict[str, str] = field(default_factory=dict)
    scores: dict[str, Floats] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0
    seconds: list[float] = field(default_factory=list)


def read_annotators(paths: Sequence[Path]) -> list[Annotator]:
    """The annotators of some files, people first, each in order of appearance.

    Args:
        paths: `.jsonl` of `annotate`, or `.csv` in the form of the published `hq.csv`.

    Raises:
        EmoNetFaceError: a file cannot be used, a bad row or line (named), votes, or an annotator
            that rates an image twice; or there is no line at all.
    """
    found: dict[str, Annotator] = {}
    for path in paths:
        if path.suffix == ".csv":
            _read_table(path, found)
        elif path.suffix == ".jsonl":
            _read_lines(path, found)
        else:
            raise EmoNetFaceError(f"{path}: give .jsonl of `annotate` or .csv like hq.csv")
    if not found:
        raise EmoNetFaceError(f"{', '.join(map(str, paths))}: nobody said anything in them")
    return sorted(found.values(), key=lambda annotator: not annotator.human)


def stacked(annotators: Sequence[Annotator]) -> tuple[list[str], Floats]:
    """(image ids, scores (n_images, n_annotators, 40)), NaN where somebody gave none."""
    images = sorted({image for annotator in annotators for image in annotator.scores})
    place = {image: number for number, image in enumerate(images)}
    scores = np.full((len(images), len(annotators), N_EMOTIONS), np.nan)
    for column, annotator in enumerate(annotators):
        for image, row in annotator.scores.items():
            scores[place[image], column] = row
    return images, scores


def _read_table(path: Path, found: dict[str, Annotator]) -> None:
    for rating in iter_ratings(path):
        if isinstance(rating, BadRow):
            raise rating.error
        annotator = found.setdefault(rating.annotator, Annotator(rating.annotator, rating.human))
        _add(annotator, rating.image_id, rating.scores.scores, str(path))


def _read_lines(path: Path, found: dict[str, Annotator]) -> None:
    try:
        with path.open(encoding="utf-8", newline="\n") as stream:  # a reply may hold other breaks
            lines = list(stream)
    except OSError as error:
        raise EmoNetFaceError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise EmoNetFaceError(f"{path}: is not UTF-8 text") from None
    for number, text in enumerate(lines, start=1):
        where = f"{path}, line {number}"
        try:
            line = json.loads(text)
            name, image = line["annotator"], checked_stem(line["image"])
            if not isinstance(name, str):
                raise TypeError
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise EmoNetFaceError(f"{where}: is no line of `annotate`") from None
        if "present" in line:
            raise EmoNetFaceError(f"{where}: is a vote; the command `votes` reports on those")
        annotator = found.setdefault(name, _annotator(line))
        _read_line(annotator, line, image, where)


def _annotator(line: dict[str, Any]) -> Annotator:
    about = {key: line[key] for key in ("model", "protocol", "prompt", "sampling") if key in line}
    human = line.get("protocol") == "sliders"
    return Annotator(line["annotator"], human, about, line.get("control"))


def _read_line(annotator: Annotator, line: dict[str, Any], image: str, where: str) -> None:
    if not line.get("final", True):
        annotator.unanswered += 1
        return
    seconds = line.get("seconds")
    if seconds is not None:
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds >= 0:
            raise EmoNetFaceError(f"{where}: 'seconds' is {shown(seconds)}: must be 0 or more")
        annotator.seconds.append(float(seconds))
    if annotator.control is not None:
        if not isinstance(line.get("shown"), str):
            raise EmoNetFaceError(f"{where}: a control that does not say what was 'shown'")
        annotator.shown[image] = checked_stem(line["shown"])
    if "error" in line:
        annotator.failures[str(line["error"])] += 1
        return
    try:
        scores = parse_scores(line["scores"], gaps="null").scores
    except (KeyError, AttributeError):
        raise EmoNetFaceError(f"{where}: has neither 'scores' nor 'error'") from None
    except EmoNetFaceError as error:
        raise EmoNetFaceError(f"{where}: {error}") from None
    _add(annotator, image, scores, where)


def _add(annotator: Annotator, image: str, scores: list[float | None], where: str) -> None:
    row = np.array(scores, dtype=np.float64)
    before = annotator.scores.setdefault(image, row)
    if before is not row and not np.array_equal(before, row, equal_nan=True):
        raise EmoNetFaceError(f"{where}: {annotator.name!r} has rated {image!r} differently before")
