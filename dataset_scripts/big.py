"""Images with machine labels -> config `big`.

    emonet-face build big --source faces/ --out emonet-face
    emonet-face build big --source RUN/ --labels labels.jsonl --out emonet-face

A source holds NAME.{png,jpg,jpeg,webp} beside NAME.json, in folders or in `*.tar`. The record has
`annotator` and `scores` (or a list of both in `annotations`), perhaps `dimensions` and prompt
fields; with a labels file it may be absent or hold prompt fields alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dataset_scripts.columns import face_columns, rating_columns
from dataset_scripts.labels import Label, LabelFile, labels_in, median_dimensions
from dataset_scripts.rejects import Reject
from dataset_scripts.repository import BuildReport, build_configs
from dataset_scripts.schema import Row
from dataset_scripts.shards import IMAGE_GROUP_ROWS
from dataset_scripts.sources import Pair, iter_pairs
from dataset_scripts.strict_json import parse_object
from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import inspect_image


def build_big(
    source: Path, out: Path, *, labels: Path | None = None, strict: bool = False
) -> BuildReport:
    """Write or replace the config `big` of a dataset repo.

    Args:
        source: folder of images with records and of `*.tar`, or one `.tar`.
        out: the dataset repo.
        labels: JSON lines of `annotate`; None where the records hold the labels.
        strict: the first rejected image or label is an error.

    Raises:
        EmoNetFaceError: a file or folder cannot be used, two images have one stem, `out` is not
            ours, no image is left, or `strict`. Nothing was written then.
    """
    counts: Counter[str] = Counter()
    return build_configs(
        out,
        {"big": rows(source, labels=labels, counts=counts)},
        source=source,
        strict=strict,
        counts=counts,
        group_rows=IMAGE_GROUP_ROWS,
    )


def rows(
    source: Path, *, labels: Path | None = None, counts: Counter[str] | None = None
) -> Iterator[Row | Reject]:
    """The rows of config `big`, in the order of `sources.iter_pairs`, read one at a time.

    A bad line of the labels file is a reject of its own; the image stays if another label is left.

    Args:
        source, labels: as in `build_big`.
        counts: filled with what the report says beside rows and rejects.

    Raises:
        EmoNetFaceError: a file or folder as a whole cannot be used.
    """
    counts = Counter() if counts is None else counts
    label_file = None if labels is None else LabelFile(labels)
    if label_file is not None:
        yield from label_file.rejects
    for pair in iter_pairs(source):
        if isinstance(pair, Reject):
            yield pair
            continue
        given: list[Label] = []
        for label in label_file.take(pair.image_id) if label_file is not None else ():
            if isinstance(label, Reject):
                yield label
            else:
                given.append(label)
        yield _row_or_reject(pair, given, labels, counts)
    if label_file is not None:
        yield from label_file.left(source)


def _row_or_reject(
    pair: Pair, given: list[Label], labels: Path | None, counts: Counter[str]
) -> Row | Reject:
    record: dict[str, Any] = {}
    try:
        record = _record(pair, needed=labels is None)
        found = [*labels_in(record), *given]
        if not found:
            raise EmoNetFaceError(
                "the record beside it has no labels; give --labels"
                if labels is None
                else f"no label in {labels}, nor in a record beside it"
            )
        row = _row(pair, record, found)
    except EmoNetFaceError as error:
        said = [{"annotator": name, "scores": label.scores} for name, label in given]
        return Reject(pair.file, None, str(error), record | ({"labels": said} if said else {}))
    for annotator, label in found:
        counts[f"images labelled by {annotator}"] += 1
        counts["categories without a value"] += len(label.gaps)
        for alias in label.aliases:
            counts[f"keys {alias!r} read as its category"] += 1
    return row


def _record(pair: Pair, *, needed: bool) -> dict[str, Any]:
    if pair.read_record is None:
        if needed:
            raise EmoNetFaceError(f"no {pair.image_id}.json beside it")
        return {}
    try:
        return parse_object(_read(pair.read_record))
    except EmoNetFaceError as error:
        raise EmoNetFaceError(f"{pair.image_id}.json: {error}") from None


def _read(reader: Any) -> bytes:
    try:
        return reader()
    except OSError as error:
        raise EmoNetFaceError(f"cannot be read ({error.strerror})") from None


def _row(pair: Pair, record: Mapping[str, Any], labels: Sequence[Label]) -> Row:
    names = [annotator for annotator, _ in labels]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise EmoNetFaceError(f"{twice!r} labelled the image twice; one label each is allowed")
    image = inspect_image(_read(pair.read_image), "the image")
    return {
        **face_columns(pair.image_id, record, image, pair.name),
        **rating_columns([(annotator, label.scores) for annotator, label in labels]),
        "dimensions": median_dimensions(labels),
    }
