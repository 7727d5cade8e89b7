"""Rows -> Parquet shards of limited size, one row group at a time.

While one row group is written, in a thread of its own, the rows of the next are taken, and a third
thread hashes what has been written. Memory holds two row groups, whatever the size of the dataset.
The same rows give the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import struct
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_scripts.schema import Row, features, shard_name

IMAGE_GROUP_ROWS = 100
"""Rows of a row group with images: what dataset viewers read at once must stay small."""

LABEL_GROUP_ROWS = 10_000
"""Rows of a row group without images."""

GROUP_BYTES = 100_000_000
"""A row group with this many bytes of images ends early."""

SHARD_BYTES = 450_000_000
"""A shard grows to this; with its footer it stays below the promised 500 MB."""

_WAITING_PAGES = 16
"""Pages of about 1 MB that may wait to be hashed."""

_IMAGE_BYTES = "image.bytes"


@dataclass(frozen=True)
class Shards:
    """What was written for one config.

    Attributes:
        paths: the shards in order.
        n_rows: rows in all of them.
        num_bytes: their size as Arrow tables in memory (the `num_bytes` of dataset_info).
        sha256: hex digest of the shards' bytes one after the other, as `cat shards | sha256sum`.
        hashes: shard -> hex digest of its own bytes, where that was taken.
    """

    paths: tuple[Path, ...]
    n_rows: int
    num_bytes: int
    sha256: str
    hashes: Mapping[Path, str] = field(default_factory=dict)


def write_shards(
    rows: Iterable[Row],
    folder: Path,
    config: str,
    *,
    group_rows: int,
    shard_bytes: int = SHARD_BYTES,
) -> Shards:
    """Write the rows of a config below `folder` as `<config>/<split>-IIIII-of-NNNNN.parquet`.

    Image bytes are stored as they are, everything else with snappy; the schema carries the
    `huggingface` metadata, so that the columns load typed even without the README.

    Args:
        rows: dictionaries with exactly the columns of the config.
        folder: must exist and hold no such config.
        config: its name.
        group_rows: rows of a row group.
        shard_bytes: where a shard ends; a single row group may exceed it.

    Returns:
        Shards; without any row no file and `paths` empty.
    """
    schema = features(config).arrow_schema
    with ThreadPoolExecutor(1) as hashing, ThreadPoolExecutor(1) as writing:
        hashes = _Hashes(hashing)
        with _ShardFiles(folder / config, schema, shard_bytes, hashes) as shards:
            waiting: Future[None] | None = None
            for group in _groups(rows, group_rows, set(schema.names)):
                if waiting is not None:
                    waiting.result()
                waiting = writing.submit(shards.add, group)
            if waiting is not None:
                waiting.result()
        total, each = hashes.results()
    paths = tuple(_named(shards.parts, folder, config))
    hashed = dict(zip(paths, each, strict=True))
    return Shards(paths, shards.n_rows, shards.num_bytes, total, hashed)


def _groups(rows: Iterable[Row], group_rows: int, names: set[str]) -> Iterator[list[Row]]:
    group: list[Row] = []
    size = 0
    for row in rows:
        if row.keys() != names:
            raise TypeError(f"a row has the columns {sorted(row)}, needed are {sorted(names)}")
        group.append(row)
        size += len(row["image"]["bytes"]) if row.get("image") else 0
        if len(group) == group_rows or size >= GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


class _Hashes:
    """sha256 of each of several files and of all of them in a row, taken in a thread."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._waiting: deque[Future[None]] = deque()
        self._all: Any = None
        self._own = hashlib.sha256()
        self._each: list[str] = []

    def add(self, data: bytes) -> None:
        """Hash what comes next in the file at hand; it must not change any more."""
        self._waiting.append(self._pool.submit(self._update, data))
        if len(self._waiting) > _WAITING_PAGES:
            self._waiting.popleft().result()

    def _update(self, data: bytes) -> None:
        self._own.update(data)
        if self._all is not None:
            self._all.update(data)

    def end_file(self) -> None:
        """The file at hand is complete; what comes next belongs to another."""
        while self._waiting:
            self._waiting.popleft().result()
        self._each.append(self._own.hexdigest())
        self._all = self._all or self._own  # of the first file both are the same
        self._own = hashlib.sha256()

    def results(self) -> tuple[str, tuple[str, ...]]:
        """(hex digest of all files in a row, those of each)."""
        return (self._all or self._own).hexdigest(), tuple(self._each)


class _HashedFile(io.BufferedWriter):
    """A new file; what is written is hashed as well."""

    def __init__(self, path: Path, hashes: _Hashes) -> None:
        super().__init__(io.FileIO(path, "w"))
        self._hashes = hashes

    def write(self, data: Any) -> int:
        # First, as it refuses when closed: a writer that failed tries again when it is collected,
        # in any thread, and must not reach the hashing pool then.
        written = super().write(data)
        self._hashes.add(bytes(data))
        return written

    def close(self) -> None:
        if not self.closed:
            self._hashes.end_file()
        super().close()


class _ShardFiles:
    """The shards of one config, written one after the other.

    Attributes:
        parts: the files so far, under names that do not say yet how many there will be.
        n_rows, num_bytes: as in `Shards`, so far.
    """

    def __init__(self, folder: Path, schema: pa.Schema, shard_bytes: int, hashes: _Hashes) -> None:
        self.parts: list[Path] = []
        self.n_rows = self.num_bytes = 0
        self._hashes = hashes
        self._folder = folder
        self._schema = schema
        self._shard_bytes = shard_bytes
        self._open = ExitStack()
        self._stream: _HashedFile | None = None
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> _ShardFiles:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def add(self, group: list[Row]) -> None:
        """Write one row group."""
        table = _table(group, self._schema)
        if self._stream is None or self._stream.tell() + table.nbytes > self._shard_bytes:
            self._next(with_images=any(row.get("image") for row in group))
        self._writer.write_table(table, row_group_size=len(group))
        self.n_rows += len(group)
        self.num_bytes += table.nbytes

    def _next(self, with_images: bool) -> None:
        self._open.close()
        self._folder.mkdir(exist_ok=True)
        self.parts.append(self._folder / f"part-{len(self.parts):05d}")
        self._stream = self._open.enter_context(_HashedFile(self.parts[-1], self._hashes))
        self._writer = self._open.enter_context(_writer(self._stream, self._schema, with_images))


def _table(group: Sequence[Row], schema: pa.Schema) -> pa.Table:
    columns = []
    for column in schema:
        values = [row[column.name] for row in group]
        array = _images if column.name == "image" else pa.array
        columns.append(array(values, column.type))
    return pa.Table.from_arrays(columns, schema=schema)


def _images(values: Sequence[Row | None], kind: pa.StructType) -> pa.ChunkedArray:
    """The column `image`: an array for each picture, whose bytes stay where they are."""
    return pa.chunked_array([_image(value, kind) for value in values], kind)


def _image(value: Row | None, kind: pa.StructType) -> pa.Array:
    if value is None:
        return pa.nulls(1, kind)
    data = value["bytes"]
    offsets = pa.py_buffer(struct.pack("=ii", 0, len(data)))
    picture = pa.Array.from_buffers(kind["bytes"].type, 1, [None, offsets, pa.py_buffer(data)])
    path = pa.array([value["path"]], kind["path"].type)
    return pa.StructArray.from_arrays([picture, path], fields=list(kind))


def _writer(stream: object, schema: pa.Schema, with_images: bool) -> pq.ParquetWriter:
    columns = _leaves(schema)
    return pq.ParquetWriter(
        stream,
        schema,
        compression={name: "NONE" if name == _IMAGE_BYTES else "SNAPPY" for name in columns},
        use_dictionary=[name for name in columns if name != _IMAGE_BYTES],
        # It lets uploads find unchanged pages again; uncompressed images are found without.
        use_content_defined_chunking=not with_images,
        write_page_index=True,
    )


def _leaves(schema: pa.Schema) -> list[str]:
    """The Parquet paths of a schema's leaves, e.g. "votes.list.element.present"."""
    buffer = io.BytesIO()
    pq.write_table(schema.empty_table(), buffer)
    parquet = pq.read_metadata(buffer).schema
    return [parquet.column(i).path for i in range(len(parquet))]


def _named(parts: Sequence[Path], folder: Path, config: str) -> Iterator[Path]:
    # How many shards there are, which every name states, is known only now.
    for index, part in enumerate(parts):
        yield part.rename(folder / shard_name(config, index, len(parts)))


def digest(paths: Iterable[Path]) -> str:
    """sha256 of the files' bytes one after the other, as `cat FILES | sha256sum` prints it."""
    total = hashlib.sha256()
    for path in paths:
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                total.update(block)
    return total.hexdigest()
