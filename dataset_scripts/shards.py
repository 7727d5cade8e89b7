"""Rows -> Parquet shards of limited size, one row group at a time.

Memory holds one row group, whatever the size of the dataset. The same rows give the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
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

GROUP_BYTES = 200_000_000
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
        sha256: hex digest of the shards' bytes one after the other, as `cat shards | sha256sum`.
    """

    paths: tuple[Path, ...]
    n_rows: int
    num_bytes: int
    sha256: str


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
    parts: list[Path] = []
    n_rows = num_bytes = 0
    with ExitStack() as open_files:
        stream = writer = None
        for group in _groups(rows, group_rows, set(schema.names)):
            table = pa.Table.from_pylist(group, schema=schema)
            if stream is None or stream.tell() + table.nbytes > shard_bytes:
                open_files.close()
                parts.append(folder / config / f"part-{len(parts):05d}")
                parts[-1].parent.mkdir(exist_ok=True)
                stream = open_files.enter_context(parts[-1].open("wb"))
                writer = open_files.enter_context(_writer(stream, schema))
            writer.write_table(table, row_group_size=len(group))
            n_rows += len(group)
            num_bytes += table.nbytes
    paths = tuple(_named(parts, folder, config))
    return Shards(paths, n_rows, num_bytes, digest(paths))


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


def _writer(stream: object, schema: pa.Schema) -> pq.ParquetWriter:
    columns = _leaves(schema)
    return pq.ParquetWriter(
        stream,
        schema,
        compression={name: "NONE" if name == _IMAGE_BYTES else "SNAPPY" for name in columns},
        use_dictionary=[name for name in columns if name != _IMAGE_BYTES],
        use_content_defined_chunking=True,
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


def digest(paths: Iterable[Path]) -> str:
    """sha256 of the files' bytes one after the other, as `cat FILES | sha256sum` prints it."""
    total = hashlib.sha256()
    for path in paths:
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                total.update(block)
    return total.hexdigest()
