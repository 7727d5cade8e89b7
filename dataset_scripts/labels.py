"""Machine labels of images: from a record beside the image, or from `annotate`'s JSON lines."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from dataset_scripts.prompt_records import name_value
from dataset_scripts.rejects import Reject
from dataset_scripts.scratch import decode, encode
from dataset_scripts.strict_json import Line, iter_lines, parse_object
from emonet_face.errors import EmoNetFaceError, shown
from emonet_face.imaging import checked_stem
from emonet_face.ratings import Scores, parse_scores, resolve_dimension
from emonet_face.taxonomy import DIMENSIONS, EMOTIONS

Label = tuple[str, Scores]
"""(annotator, what it said of one image)."""

_ENTRY_KEYS = ("annotator", "scores", "dimensions")


def parse_label(record: Mapping[str, Any]) -> Label:
    """The label in an object with `annotator`, `scores` and perhaps `dimensions`.

    Ratings must lie in 0..7, dimensions on their own scales. A missing category stays None.

    Raises:
        EmoNetFaceError: a missing or wrong part, an unknown or repeated key, a bad value, or no
            category with a value.
    """
    annotator = name_value(record.get("annotator"), "annotator")
    said = _mapping(record.get("scores"), "scores")
    label = parse_scores(said, gaps="null")
    if len(label.gaps) == len(EMOTIONS):
        raise EmoNetFaceError("'scores' has no value for any category")
    if record.get("dimensions") is None:
        return annotator, label
    more = _mapping(record["dimensions"], "dimensions")
    for key in more:
        resolve_dimension(key)
    extra = parse_scores(more, gaps="null").dimensions
    for slug in extra:
        if slug in label.dimensions:
            raise EmoNetFaceError(f"{slug!r} stands in 'scores' and in 'dimensions': give one")
    return annotator, Scores(label.scores, label.dimensions | extra, label.aliases)


def _mapping(value: object, key: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise EmoNetFaceError(f"{key!r} is {shown(value)}: must be an object of key and number")
    return value


def labels_in(record: Mapping[str, Any]) -> list[Label]:
    """The labels in the record of an image: its own or those of `annotations`; perhaps none.

    Raises:
        EmoNetFaceError: a bad label, or both forms at once.
    """
    entries = record.get("annotations")
    if entries is None:
        return [parse_label(record)] if any(key in record for key in _ENTRY_KEYS) else []
    own = next((key for key in _ENTRY_KEYS if key in record), None)
    if own is not None:
        raise EmoNetFaceError(f"has {own!r} beside 'annotations': give one")
    if not isinstance(entries, list):
        raise EmoNetFaceError(f"'annotations' is {shown(entries)}: is not a list")
    labels = []
    for number, entry in enumerate(entries, start=1):
        try:
            unknown = next((k for k in _mapping(entry, "entry") if k not in _ENTRY_KEYS), None)
            if unknown is not None:
                raise EmoNetFaceError(
                    f"unknown key {shown(unknown)}; known are {', '.join(_ENTRY_KEYS)}"
                )
            labels.append(parse_label(entry))
        except EmoNetFaceError as error:
            raise EmoNetFaceError(f"entry {number} of 'annotations': {error}") from None
    return labels


def median_dimensions(labels: Sequence[Label]) -> dict[str, float | None] | None:
    """Per dimension the median over the annotators who gave it; None where nobody gave any."""
    given = {
        d.slug: [s.dimensions[d.slug] for _, s in labels if d.slug in s.dimensions]
        for d in DIMENSIONS
    }
    if not any(given.values()):
        return None
    return {slug: median(values) if values else None for slug, values in given.items()}


class LabelFile:
    """The lines of `annotate`'s JSON lines by image; a table on disk keeps their places.

    Attributes:
        path: the file.
        state: its size and times; an unchanged file has the same.
    """

    def __init__(self, path: Path, table: sqlite3.Connection) -> None:
        """
        Args:
            path: the file; it is read by `index`.
            table: of `scratch()`, for the places.

        Raises:
            EmoNetFaceError: there is no such file.
        """
        self.path = path
        try:
            about = path.stat()
        except OSError as error:
            raise EmoNetFaceError(f"{path}: cannot be read ({error.strerror})") from None
        self.state = [about.st_size, about.st_mtime_ns, about.st_ctime_ns]
        self._table = table
        table.execute("CREATE TABLE labels (stem BLOB, line INTEGER, offset INTEGER, size INTEGER)")

    def index(self) -> Iterator[Reject]:
        """Go through the file once, before anything else is asked; lines that name no image come
        as Rejects.

        Raises:
            EmoNetFaceError: the file cannot be read or is empty.
        """
        for line in iter_lines(self.path):
            if isinstance(line, Reject):
                yield line
                continue
            try:
                image_id = checked_stem(name_value(line.record.get("image"), "image"))
            except EmoNetFaceError as error:
                yield self._reject(line, error)
                continue
            place = encode(image_id), line.number, line.offset, line.length
            self._table.execute("INSERT INTO labels VALUES (?, ?, ?, ?)", place)
        self._table.execute("CREATE INDEX label_stem ON labels (stem, line)")

    def of(self, image_id: str) -> Iterator[Label | Reject]:
        """The labels of an image in file order, each bad line as a Reject."""
        query = "SELECT line, offset, size FROM labels WHERE stem = ? ORDER BY line"
        for line in self._lines(self._table.execute(query, (encode(image_id),))):
            try:
                if "scores" not in line.record and "error" in line.record:
                    raise EmoNetFaceError(f"the annotator failed: {shown(line.record['error'])}")
                yield parse_label(line.record)
            except EmoNetFaceError as error:
                yield self._reject(line, error)

    def without_image(self, has_image: Callable[[str], bool], source: Path) -> Iterator[Reject]:
        """The lines on images that are not there, as Rejects."""
        missing = (
            place
            for stem, *place in self._table.execute("SELECT * FROM labels ORDER BY line")
            if not has_image(decode(stem))
        )
        for line in self._lines(missing):
            stem = checked_stem(name_value(line.record["image"], "image"))
            yield self._reject(line, EmoNetFaceError(f"no image {shown(stem)} in {source}"))

    def _lines(self, places: Iterable[Sequence[int]]) -> Iterator[Line]:
        with self.path.open("rb") as stream:
            for number, offset, length in places:
                stream.seek(offset)
                yield Line(number, offset, length, parse_object(stream.read(length)))

    def _reject(self, line: Line, error: EmoNetFaceError) -> Reject:
        return Reject(str(self.path), line.number, str(error), line.record)
