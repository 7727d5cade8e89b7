"""What `embed` reads: the images of a dataset's config or of a folder, cut into pieces.

A piece is a few dozen consecutive rows that any process can read by itself, so pieces are what
workers decode, what Ray hands out, and what is kept where a call ends early.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import MAX_FILE_BYTES, image_stem, index_images, read_bytes
from modeling_empathicinsight.source import batches, config_names, unreadable

if TYPE_CHECKING:
    from fsspec.core import OpenFile

FOLDER_CONFIG = "images"
"""The config that is written for the images of a folder, unless another one is named."""

_FILES = 64
"""Images of a folder in one piece."""

_MOST_ROWS = 128
"""A row group with more rows is cut. Those of a dataset repo have 100: each is read only once."""

_COLUMNS = ["image_id", "image"]


class Row(NamedTuple):
    """An image as it is stored.

    Attributes:
        image_id: its id.
        file, row: where it stands: an image file and None, or a Parquet file and the row (from 1).
        data: the bytes of the image; None where the row has none.
        fault: why they could not be read; None where all is well.
    """

    image_id: str
    file: str
    row: int | None
    data: bytes | None
    fault: str | None = None


@dataclass(frozen=True)
class FilesPiece:
    """Image files of a folder."""

    files: tuple[str, ...]

    def rows(self) -> Iterator[Row]:
        """The images, in path order; a file that cannot be read is a row with a fault."""
        for file in self.files:
            image_id = image_stem(Path(file).name)
            try:
                yield Row(image_id, file, None, read_bytes(Path(file), MAX_FILE_BYTES))
            except EmoNetFaceError as error:
                yield Row(image_id, file, None, None, str(error).removeprefix(f"{file}: "))


@dataclass(frozen=True)
class GroupPiece:
    """Rows of one row group of a Parquet file.

    Attributes:
        file: path or address, as `datasets` resolved it (of the Hub: with its commit).
        group: the row group.
        start, stop: rows of the group.
        first: row of the file, from 1, with which the group begins.
        name: of the dataset and its config, for errors.
    """

    file: str
    group: int
    start: int
    stop: int
    first: int
    name: str

    def rows(self) -> Iterator[Row]:
        """The rows in order.

        Raises:
            EmoNetFaceError: the file cannot be read, or holds paths where bytes should be.
        """
        with _parquet(self.file, self.name) as file:
            place = 0
            blocks = file.iter_batches(_MOST_ROWS, row_groups=[self.group], columns=_COLUMNS)
            for block in blocks:
                for index in range(max(self.start - place, 0), min(self.stop - place, len(block))):
                    number = self.first + place + index
                    image_id, image = (block[name][index].as_py() for name in _COLUMNS)
                    if image is not None and image["bytes"] is None:
                        raise EmoNetFaceError(
                            f"{self.name}, image {image_id!r}: the bytes are not in the Parquet"
                            " file"
                        )
                    yield Row(image_id, self.file, number, image and image["bytes"])
                place += len(block)
                if place >= self.stop:
                    return


Piece = FilesPiece | GroupPiece


@dataclass(frozen=True)
class Source:
    """All images of a folder or of a config of a dataset.

    Attributes:
        name: for messages, e.g. "repo, config big".
        config: goes beside each image id.
        pieces: in order; a list of names and places, no pixels.
        n_rows: in all of them.
        fingerprint: the same as long as no file is touched.
    """

    name: str
    config: str
    pieces: list[Piece]
    n_rows: int
    fingerprint: str


def folder_source(folder: Path, config: str = FOLDER_CONFIG) -> Source:
    """The image files below a folder; the id of an image is the stem of its file.

    Raises:
        EmoNetFaceError: no such folder, no image in it, or two files with one stem.
    """
    files = [str(path) for path in index_images(folder).values()]
    if not files:
        raise EmoNetFaceError(f"{folder}: holds no PNG, JPEG or WebP image")
    digest = hashlib.sha256()
    for file in files:
        status = Path(file).stat()
        _add(digest, file, status.st_size, status.st_mtime_ns)
    pieces: list[Piece] = [FilesPiece(tuple(part)) for part in batches(files, _FILES)]
    return Source(str(folder), config, pieces, len(files), digest.hexdigest())


def dataset_source(dataset: str | Path, config: str) -> Source:
    """The rows of a config of a dataset repo, all its splits one after the other.

    Only what Parquet says of itself and the ids are read here.

    Args:
        dataset: folder or Hub id, with configs in Parquet.
        config: e.g. "big".

    Raises:
        EmoNetFaceError: no such dataset or config, not in Parquet, a column is missing or of
            another kind, an image id stands twice or is missing.
    """
    name = f"{dataset}, config {config}"
    files = _files(dataset, config)
    pieces: list[Piece] = []
    digest, n_rows = hashlib.sha256(), 0
    for file in files:
        with _parquet(file, name) as parquet:
            _check_columns(f"{name}, file {file}", parquet.schema_arrow)
            first = 1
            for group in range(parquet.num_row_groups):
                rows = parquet.metadata.row_group(group).num_rows
                for start in range(0, rows, _MOST_ROWS):
                    stop = min(start + _MOST_ROWS, rows)
                    pieces.append(GroupPiece(file, group, start, stop, first, name))
                first += rows
            n_rows += parquet.metadata.num_rows
        about = _opened(file).fs.info(file)
        _add(digest, file, about["size"], about.get("mtime"))
    _check_ids(name, files)
    return Source(name, config, pieces, n_rows, digest.hexdigest())


def _files(dataset: str | Path, config: str) -> list[str]:
    """The Parquet files of a config, in order, resolved by the public loader."""
    from datasets import load_dataset_builder

    names = config_names(dataset)
    if config not in names:
        raise EmoNetFaceError(f"{dataset}: has no config {config!r}; found {', '.join(names)}")
    try:
        builder = load_dataset_builder(str(dataset), config)
    except (OSError, ValueError) as error:
        raise unreadable(dataset, error) from None
    files = [str(file) for part in (builder.config.data_files or {}).values() for file in part]
    other = [file for file in files if not file.endswith(".parquet")]
    if other or not files:
        raise EmoNetFaceError(
            f"{dataset}, config {config}: {other[0] if other else 'it'} is no Parquet; a dataset"
            " repo holds its configs in Parquet, a folder of images goes in as images"
        )
    return files


def _opened(file: str) -> OpenFile:
    import fsspec

    return fsspec.open(file, "rb")


@contextmanager
def _parquet(file: str, name: str) -> Iterator[pq.ParquetFile]:
    try:
        with _opened(file) as stream, pq.ParquetFile(stream) as parquet:
            yield parquet
    except (OSError, pa.ArrowException) as error:
        reason = str(error).strip().partition("\n")[0]
        raise EmoNetFaceError(f"{name}: {file} cannot be read ({reason})") from None


def _check_columns(where: str, schema: pa.Schema) -> None:
    for column in _COLUMNS:
        if column not in schema.names:
            raise EmoNetFaceError(f"{where}: no column {column!r}; needed {', '.join(_COLUMNS)}")
    image = schema.field("image").type
    if not pa.types.is_struct(image) or image.get_field_index("bytes") < 0:
        raise EmoNetFaceError(f"{where}: column 'image' is {image}; must hold the images' bytes")


def _check_ids(name: str, files: Iterable[str]) -> None:
    """Each id there and only once. Eight bytes an image are kept, not the ids."""
    prints = array("Q")
    for image_id in _ids(name, files):
        if image_id is None:
            raise EmoNetFaceError(f"{name}: row {len(prints) + 1} has no image_id")
        prints.append(_print(image_id))
    ordered = np.sort(np.frombuffer(prints, np.uint64)) if prints else np.empty(0, np.uint64)
    alike = set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())
    if not alike:
        return
    found = Counter(image_id for image_id in _ids(name, files) if _print(image_id) in alike)
    for image_id, times in found.items():
        if times > 1:
            raise EmoNetFaceError(
                f"{name}, image {image_id!r}: stands twice; image ids must be unique"
            )


def _ids(name: str, files: Iterable[str]) -> Iterator[str | None]:
    for file in files:
        with _parquet(file, name) as parquet:
            for block in parquet.iter_batches(columns=["image_id"]):
                yield from block["image_id"].to_pylist()


def _print(image_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(image_id.encode(), digest_size=8).digest())


def _add(digest: hashlib._Hash, *facts: object) -> None:
    digest.update("\0".join(map(str, facts)).encode("utf-8", "surrogateescape") + b"\n")
