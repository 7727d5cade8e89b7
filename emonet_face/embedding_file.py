"""The form of an embedding file, which `emonet-face embed` writes, and its rows block by block.

Columns `config`, `image_id`, `embedding` (fixed-size list of float32 or float16, L2-normalised);
the schema metadata under "emonet_face" say which tower made them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from emonet_face.errors import EmoNetFaceError

MADE_BY = "emonet-face embed"
METADATA_KEY = b"emonet_face"
COLUMNS = ("config", "image_id", "embedding")
REQUIRED = ("tower_sha256", "size", "dim")
IDENTITY = (*REQUIRED, "normalisation")
"""The metadata in which embeddings of one tower agree. Files made before normalisation was noted
lack it: they agree with each other, and with no file that has it."""

NORM_TOLERANCE = 1e-3
"""Of a vector's length. Rounded to float16 a vector of length 1 is off by less than half of it."""

BLOCK = 4096
"""Rows read at once: 19 MB of the published width."""


def schema(metadata: dict[str, Any], numbers: str = "float32") -> pa.Schema:
    """The form of a file whose vectors are `numbers`: "float32" or "float16".

    Args:
        metadata: goes into the file; holds `made_by`, the keys of REQUIRED and what else is known.
        numbers: how each number is stored.
    """
    kind = {"float32": pa.float32(), "float16": pa.float16()}[numbers]
    types = (pa.string(), pa.string(), pa.list_(kind, metadata["dim"]))
    fields = [
        pa.field(name, kind, nullable=False) for name, kind in zip(COLUMNS, types, strict=True)
    ]
    return pa.schema(fields, metadata={METADATA_KEY: json.dumps(metadata)})


def is_embedding_file(path: Path) -> bool:
    """Whether a file was written by `embed` and may be replaced by it."""
    try:
        return _metadata(pq.read_schema(path)).get("made_by") == MADE_BY
    except (OSError, pa.ArrowInvalid):
        return False


@dataclass(frozen=True)
class EmbeddingFile:
    """What the head of a file says.

    Attributes:
        path: of the file.
        metadata: as `embed` wrote them.
        rows: how many.
        numbers: float32 or float16.
    """

    path: Path
    metadata: dict[str, Any]
    rows: int
    numbers: np.dtype

    def rows_per_config(self) -> Counter[str]:
        """How many rows each config has. Reads that column alone.

        Raises:
            EmoNetFaceError: the file is damaged, or a cell of the column is empty.
        """
        with _faults(self.path):
            column = pq.read_table(self.path, columns=[COLUMNS[0]])[COLUMNS[0]]
        self._check_full(COLUMNS[0], column, 0)
        return Counter(column.to_pylist())

    def blocks(self) -> Iterator[Block]:
        """The rows, at most BLOCK at a time.

        Raises:
            EmoNetFaceError: the file is damaged, a cell is empty, or a vector is not finite or not
                of length 1. The message names file, row (from 1) and image.
        """
        start = 0
        with _faults(self.path), pq.ParquetFile(self.path) as file:
            for block in file.iter_batches(BLOCK, columns=list(COLUMNS)):
                for name in COLUMNS:
                    self._check_full(name, block[name], start)
                numbers = block["embedding"].flatten().to_numpy(zero_copy_only=False)
                vectors = numbers.reshape(block.num_rows, -1)
                ids = block["image_id"].to_pylist()
                self._check(ids, vectors, start)
                yield Block(start, block["config"].to_pylist(), ids, vectors)
                start += block.num_rows

    def _check_full(self, name: str, cells: pa.Array | pa.ChunkedArray, start: int) -> None:
        if cells.null_count:
            row = start + cells.is_valid().to_pylist().index(False) + 1
            raise EmoNetFaceError(f"{self.path}, row {row}: has no {name}")

    def _check(self, ids: list[str], vectors: np.ndarray, start: int) -> None:
        length = np.linalg.norm(vectors.astype(np.float32, copy=False), axis=1)
        # NaN compares as False, so the good rows are asked for and not the bad ones.
        bad = np.flatnonzero(~(np.abs(length - 1) <= NORM_TOLERANCE))
        if bad.size:
            row = int(bad[0])
            raise EmoNetFaceError(
                f"{self.path}, row {start + row + 1}: the embedding of {ids[row]!r} has the"
                f" length {length[row]:g}; embeddings must be finite and L2-normalised"
            )


class Block(NamedTuple):
    """Some rows of a file.

    Attributes:
        start: the place of the first in the file, from 0.
        configs, image_ids: n each.
        vectors: (n, dim) of the file's numbers.
    """

    start: int
    configs: list[str]
    image_ids: list[str]
    vectors: np.ndarray


def open_embedding_files(paths: Sequence[Path]) -> list[EmbeddingFile]:
    """Read the heads of files that are to be used together.

    Raises:
        EmoNetFaceError: one cannot be read, is not one of `embed`, holds no rows, or comes from
            another tower than the first.
    """
    files = [_opened(Path(path)) for path in paths]
    for file in files[1:]:
        first = files[0]
        if any(first.metadata.get(key) != file.metadata.get(key) for key in IDENTITY):
            raise EmoNetFaceError(
                f"{file.path}: was made with {tower_of(file.metadata)}, but {first.path} with"
                f" {tower_of(first.metadata)}; embeddings of different towers cannot be used"
                " together"
            )
    return files


def tower_of(metadata: dict[str, Any]) -> str:
    """What made embeddings, for a message."""
    name, how = metadata.get("backbone", "a tower"), metadata.get("normalisation")
    seen = f", pictures prepared by {json.dumps(how)}" if how else ""
    return f"{name} (weights {str(metadata['tower_sha256'])[:12]}{seen})"


@contextmanager
def _faults(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0]
        raise EmoNetFaceError(f"{path}: cannot be read as Parquet of `embed` ({reason})") from None


def _opened(path: Path) -> EmbeddingFile:
    with _faults(path), pq.ParquetFile(path) as file:
        found, rows = file.schema_arrow, file.metadata.num_rows
    metadata = _metadata(found)
    ours = metadata.get("made_by") == MADE_BY and all(key in metadata for key in REQUIRED)
    ours = ours and isinstance(metadata["dim"], int) and metadata["dim"] > 0
    if not ours or not set(COLUMNS) <= set(found.names):
        raise EmoNetFaceError(f"{path}: was not written by `emonet-face embed`")
    kind = found.field("embedding").type
    for numbers in ("float32", "float16"):
        if kind == schema(metadata, numbers).field("embedding").type:
            if rows == 0:
                raise EmoNetFaceError(f"{path}: holds no embeddings")
            return EmbeddingFile(path, metadata, rows, np.dtype(numbers))
    raise EmoNetFaceError(
        f"{path}: its embeddings are {kind}; must be lists of {metadata['dim']} float32 or float16"
    )


def _metadata(found: pa.Schema) -> dict[str, Any]:
    """What a file says of its tower; {} where it says nothing of that kind."""
    try:
        metadata = json.loads((found.metadata or {}).get(METADATA_KEY, b"{}"))
    except ValueError:
        return {}
    return metadata if isinstance(metadata, dict) else {}
