"""Rows -> Parquet shards of limited size, one row group at a time.

While one row group is written, in a thread of its own, the rows of the next are taken; finished
shards are hashed meanwhile. Memory holds two row groups, whatever the size of the dataset. The same
rows give the same bytes.
"""

from __future__ import annotations

import hashlib
import struct
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
    with ThreadPoolExecutor(1) as hashing, ThreadPoolExecutor(1) as writing:
        with _ShardFiles(folder / config, schema, shard_bytes, hashing) as shards:
            waiting: Future[None] | None = None
            for group in _groups(rows, group_rows, set(schema.names)):
                if waiting is not None:
                    waiting.result()
                waiting = writing.submit(shards.add, group)
            if waiting is not None:
                waiting.result()
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

    def __enter__(self) -> _ShardFiles:
        return self

    def __exit__(self, fault: type[BaseException] | None, *_: object) -> None:
        if fault is None:
            self._finish()
        else:
            self._open.close()

    def add(self, group: list[Row]) -> None:
        """Write one row group."""
        table = _table(group, self._schema)
        if self._stream is None or self._stream.tell() + table.nbytes > self._shard_bytes:
            self._next(with_images=any(row.get("image") for row in group))
        self._writer.write_table(table, row_group_size=len(group))
        self.n_rows += len(group)
        self.num_bytes += table.nbytes

    def _finish(self) -> None:
        self._open.close()
        if self.parts:
            self.hashes.append(self._hashing.submit(sha256_of, self.parts[-1]))

    def _next(self, with_images: bool) -> None:
        self._finish()
        self._folder.mkdir(exist_ok=True)
        self.parts.append(self._folder / f"part-{len(self.parts):05d}")
        self._stream = self._open.enter_context(pa.OSFile(str(self.parts[-1]), "wb"))
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
