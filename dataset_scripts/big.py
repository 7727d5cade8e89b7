"""Images with machine labels -> config `big`.

    emonet-face build big --source faces/ --out emonet-face
    emonet-face build big --source RUN/ --labels labels.jsonl --out emonet-face

A source holds NAME.{png,jpg,jpeg,webp} beside NAME.json, in folders or in `*.tar`. The record has
`annotator` and `scores` (or a list of both in `annotations`), perhaps `dimensions` and prompt
fields; with a labels file it may be absent or hold prompt fields alone.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from dataset_scripts.columns import face_columns, rating_columns
from dataset_scripts.labels import Label, LabelFile, labels_in, median_dimensions
from dataset_scripts.rejects import Reject
from dataset_scripts.repository import BuildReport, check_repo
from dataset_scripts.resumable import build_resumable
from dataset_scripts.schema import Row, features
from dataset_scripts.scratch import scratch
from dataset_scripts.shards import IMAGE_GROUP_ROWS, SHARD_BYTES
from dataset_scripts.sources import Pair, Source
from dataset_scripts.strict_json import parse_object
from emonet_face import __version__
from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import ImageFile, inspect_image
from emonet_face.look_ahead import look_ahead


def build_big(
    source: Path,
    out: Path,
    *,
    labels: Path | None = None,
    strict: bool = False,
    shard_bytes: int = SHARD_BYTES,
) -> BuildReport:
    """Write or replace the config `big` of a dataset repo.

    A build that was cut off (killed, the disk full) is taken up by the same call: see `resumable`.

    Args:
        source: folder of images with records and of `*.tar`, or one `.tar`.
        out: the dataset repo.
        labels: JSON lines of `annotate`; None where the records hold the labels.
        strict: the first rejected image or label is an error.
        shard_bytes: about where a shard ends.

    Raises:
        EmoNetFaceError: a file or folder cannot be used, two images have one stem, `out` is not
            ours, no image is left, or `strict`. Nothing was written then.
    """
    out = Path(os.path.realpath(out))
    if out.is_relative_to(os.path.realpath(source)):
        raise EmoNetFaceError(f"{out}: lies inside the source {source}; give another place")
    check_repo(out)
    with scratch() as table:
        found = Source(source, table)
        label_file = None if labels is None else LabelFile(labels, table)
        return build_resumable(
            out,
            "big",
            partial(BigRows, found, label_file),
            source=source,
            plan=_plan(found, label_file),
            strict=strict,
            group_rows=IMAGE_GROUP_ROWS,
            shard_bytes=shard_bytes,
            total=found.n_images,
        )


def _plan(source: Source, labels: LabelFile | None) -> dict[str, Any]:
    """All that the rows and their bytes on disk are made from."""
    return {
        "made_by": "emonet-face build big",
        "versions": [__version__, pa.__version__],
        "columns": str(features("big").arrow_schema.remove_metadata()),
        "source": [str(source.path), source.fingerprint],
        "labels": None if labels is None else [str(labels.path), labels.state],
    }


def rows(
    source: Path, *, labels: Path | None = None, counts: Counter[str] | None = None
) -> Iterator[Row | Reject]:
    """The rows of config `big`, in the order of `Source.items`, read one at a time.

    A bad line of the labels file is a reject of its own; the image stays if another label is left.

    Args:
        source, labels: as in `build_big`.
        counts: filled with what the report says beside rows and rejects.

    Raises:
        EmoNetFaceError: a file or folder as a whole cannot be used.
    """
    with scratch() as table:
        found = Source(source, table)
        label_file = None if labels is None else LabelFile(labels, table)
        yield from BigRows(found, label_file, 0, Counter() if counts is None else counts)


class BigRows:
    """The rows of config `big` from some item of the source on.

    Attributes:
        position: how many items of the source the rows so far have used up.
    """

    def __init__(
        self, source: Source, labels: LabelFile | None, position: int, counts: Counter[str]
    ) -> None:
        """
        Args:
            source, labels: where images and labels are.
            position: the item to start with. Beyond the first, what is said of the labels file as
                a whole has been said before.
            counts: filled with what the report says beside rows and rejects.
        """
        self.position = position
        self._source = source
        self._labels = labels
        self._counts = counts

    def __iter__(self) -> Iterator[Row | Reject]:
        first = self.position == 0
        for reject in self._labels.index() if self._labels else ():
            if first:
                yield reject
        for item, image in look_ahead(_with_image, self._source.items(self.position)):
            self.position += 1
            if isinstance(item, Reject):
                yield item
            else:
                yield from self._of_pair(item, image)
        if self._labels:
            yield from self._labels.without_image(self._source.has, self._source.path)

    def _of_pair(self, pair: Pair, image: ImageFile | EmoNetFaceError) -> Iterator[Row | Reject]:
        given: list[Label] = []
        for label in self._labels.of(pair.image_id) if self._labels else ():
            if isinstance(label, Reject):
                yield label
            else:
                given.append(label)
        try:
            record = _record(pair, needed=self._labels is None)
        except EmoNetFaceError as error:
            yield _reject(pair, {}, given, error)
            return
        try:
            found = [*labels_in(record), *given]
            if not found:
                raise EmoNetFaceError(
                    "the record beside it has no labels; give --labels"
                    if self._labels is None
                    else f"no label in {self._labels.path}, nor in a record beside it"
                )
            row = _row(pair, record, found, image, self._counts)
        except EmoNetFaceError as error:
            yield _reject(pair, record, given, error)
            return
        _count(found, self._counts)
        yield row


def _with_image(
    item: Pair | Reject,
) -> tuple[Pair | Reject, ImageFile | EmoNetFaceError | None]:
    if isinstance(item, Reject):
        return item, None
    try:
        return item, inspect_image(_read(item.read_image), "the image")
    except EmoNetFaceError as error:
        return item, error


def _record(pair: Pair, *, needed: bool) -> dict[str, Any]:
    if pair.read_record is None:
        if needed:
            raise EmoNetFaceError(f"no {pair.image_id}.json beside it")
        return {}
    try:
        return parse_object(_read(pair.read_record))
    except EmoNetFaceError as error:
        raise EmoNetFaceError(f"{pair.image_id}.json: {error}") from None


def _read(reader: Callable[[], bytes]) -> bytes:
    try:
        return reader()
    except OSError as error:
        raise EmoNetFaceError(f"cannot be read ({error.strerror})") from None


def _row(
    pair: Pair,
    record: Mapping[str, Any],
    labels: Sequence[Label],
    image: ImageFile | EmoNetFaceError,
    counts: Counter[str],
) -> Row:
    names = [annotator for annotator, _ in labels]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise EmoNetFaceError(f"{twice!r} labelled the image twice; one label each is allowed")
    if isinstance(image, EmoNetFaceError):
        raise image
    return {
        **face_columns(pair.image_id, record, image, pair.name, counts),
        **rating_columns([(annotator, label.scores) for annotator, label in labels]),
        "dimensions": median_dimensions(labels),
    }


def _reject(
    pair: Pair, record: dict[str, Any], given: Sequence[Label], error: EmoNetFaceError
) -> Reject:
    said = [{"annotator": name, "scores": label.scores} for name, label in given]
    return Reject(pair.file, None, str(error), record | ({"labels": said} if said else {}))


def _count(labels: Sequence[Label], counts: Counter[str]) -> None:
    for annotator, label in labels:
        counts[f"images labelled by {annotator}"] += 1
        counts["categories without a value"] += len(label.gaps)
        for alias in label.aliases:
            counts[f"keys {alias!r} read as its category"] += 1
