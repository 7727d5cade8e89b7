"""Rows -> Parquet shards of limited size, one row group at a time.

While one row group is written, in a thread of its own, the rows of the next are taken, and what is
written is hashed. Memory holds three row groups, whatever the size of the dataset. The same rows
give the same bytes.
"""

from __future__ import annotations

import hashlib
import mmap
import struct
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

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

_IMAGE_BYTES = "image.bytes"
_WAITING = 2
"""Row groups being written or next: with one alone, each would wait for Python's lock first."""


@dataclass(frozen=True)
class Shards:
    """What was written for one config.

    Attributes:
        paths: the shards in order.
        n_rows: rows in all of them.
        num_bytes: their size as Arrow tables in memory (the `num_bytes` of dataset_info).
        hashes: hex sha256 of each of them.
    """

    paths: tuple[Path, ...]
    n_rows: int
    num_bytes: int
    hashes: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """The digest that stands for all of them."""
        return combined(self.hashes)


def combined(hashes: Sequence[str]) -> str:
    """One digest for the shards of a config.

    Args:
        hashes: hex sha256 of each, in order.

    Returns:
        That of a single shard is its own; that of several is what
        `sha256sum SHARDS | cut -c-64 | sha256sum` prints.
    """
    if len(hashes) == 1:
        return hashes[0]
    return hashlib.sha256("".join(f"{each}\n" for each in hashes).encode()).hexdigest()


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
    with (
        ThreadPoolExecutor(1) as hashing,
        _ShardFiles(folder / config, schema, shard_bytes, hashing) as shards,
        ThreadPoolExecutor(1) as writing,  # done before the files are closed, after a fault too
    ):
        waiting: deque[Future[None]] = deque()
        for group in _groups(rows, group_rows, set(schema.names)):
            table = _table(group, schema)
            if len(waiting) == _WAITING:
                waiting.popleft().result()
            waiting.append(writing.submit(shards.add, table))
        for written in waiting:
            written.result()
    hashes = tuple(future.result() for future in shards.hashes)
    paths = tuple(_named(shards.parts, folder, config))
    return Shards(paths, shards.n_rows, shards.num_bytes, hashes)


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


class _ShardFiles:
    """The shards of one config, written one after the other.

    Attributes:
        parts: the files so far, under names that do not say yet how many there will be.
        hashes: of those that are complete, taken in the pool's thread.
        n_rows, num_bytes: as in `Shards`, so far.
    """

    def __init__(
        self, folder: Path, schema: pa.Schema, shard_bytes: int, hashing: ThreadPoolExecutor
    ) -> None:
        self.parts: list[Path] = []
        self.hashes: list[Future[str]] = []
        self.n_rows = self.num_bytes = 0
        self._hashing = hashing
        self._folder = folder
        self._schema = schema
        self._shard_bytes = shard_bytes
        self._open = ExitStack()
        self._stream: pa.NativeFile | None = None
        self._writer: pq.ParquetWriter | None = None
        self._digest: _Digest | None = None

    def __enter__(self) -> _ShardFiles:
        return self

    def __exit__(self, fault: type[BaseException] | None, *_: object) -> None:
        if fault is None:
            self._finish()
        else:
            self._open.close()

    def add(self, table: pa.Table) -> None:
        """Write one row group."""
        if self._stream is None or self._stream.tell() + table.nbytes > self._shard_bytes:
            images = table["image"] if "image" in table.column_names else ()
            self._next(with_images=len(images) > 0 and images.null_count < len(images))
        self._writer.write_table(table, row_group_size=len(table))
        self._hashing.submit(self._digest.follow, self._stream.tell())
        self.n_rows += len(table)
        self.num_bytes += table.nbytes

    def _finish(self) -> None:
        self._open.close()
        if self._digest is not None:
            self.hashes.append(self._hashing.submit(self._digest.finish))

    def _next(self, with_images: bool) -> None:
        self._finish()
        self._folder.mkdir(exist_ok=True)
        self.parts.append(self._folder / f"part-{len(self.parts):05d}")
        self._stream = self._open.enter_context(pa.OSFile(str(self.parts[-1]), "wb"))
        self._writer = self._open.enter_context(_writer(self._stream, self._schema, with_images))
        self._digest = _Digest(self.parts[-1])


class _Digest:
    """The sha256 of a file that grows at its end, taken in while it does.

    What is new is mapped, not read: a single call for all of it needs no memory and, unlike many
    small ones, seldom waits for Python's lock. Only pages that are whole are mapped, so none is
    seen before it has its last byte, on network drives too.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = 0
        self._hash = hashlib.sha256()

    def follow(self, size: int) -> None:
        """Take in the whole pages of the file up to that size."""
        new = size - size % mmap.ALLOCATIONGRANULARITY - self._size
        if new <= 0:
            return
        with self._path.open("rb") as stream:
            try:
                pages = mmap.mmap(stream.fileno(), new, offset=self._size, access=mmap.ACCESS_READ)
            except OSError:  # some file systems map nothing: `finish` reads it all
                return
            with pages:
                self._hash.update(pages)
        self._size += new

    def finish(self) -> str:
        """Read the rest of the file; hex digest of all of it."""
        with self._path.open("rb", buffering=0) as stream:
            stream.seek(self._size)
            return hashlib.file_digest(stream, lambda: self._hash).hexdigest()


def _table(group: Sequence[Row], schema: pa.Schema) -> pa.Table:
    columns = []
    for column in schema:
        values = [row[column.name] for row in group]
        array = _images if column.name == "image" else pa.array
        columns.append(array(values, column.type))
    return pa.Table.from_arrays(columns, schema=schema)


def _images(values: Sequence[Row | None], kind: pa.StructType) -> pa.ChunkedArray:
    """The column `image`: an array for each picture, whose bytes stay where they are."""
    binary, fields = kind["bytes"].type, list(kind)
    paths = pa.array([value and value["path"] for value in values], kind["path"].type)
    chunks = []
    for place, value in enumerate(values):
        if value is None:
            chunks.append(pa.nulls(1, kind))
            continue
        data = value["bytes"]
        offsets = pa.py_buffer(struct.pack("=ii", 0, len(data)))
        picture = pa.Array.from_buffers(binary, 1, [None, offsets, pa.py_buffer(data)])
        path = paths.slice(place, 1)
        chunks.append(pa.StructArray.from_arrays([picture, path], fields=fields))
    return pa.chunked_array(chunks, kind)


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
        # Pictures are too long for their least and greatest to be kept; finding them takes time.
        write_statistics=[name for name in columns if name != _IMAGE_BYTES],
    )


def _leaves(schema: pa.Schema) -> list[str]:
    """The Parquet paths of a schema's leaves, e.g. "votes.list.element.present"."""
    buffer = BytesIO()
    pq.write_table(schema.empty_table(), buffer)
    parquet = pq.read_metadata(buffer).schema
    return [parquet.column(i).path for i in range(len(parquet))]


def _named(parts: Sequence[Path], folder: Path, config: str) -> Iterator[Path]:
    # How many shards there are, which every name states, is known only now.
    for index, part in enumerate(parts):
        yield part.rename(folder / shard_name(config, index, len(parts)))


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb", buffering=0) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
