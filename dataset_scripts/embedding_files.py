"""Embeddings that `emonet-face embed` wrote, read block by block."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dataset_scripts.near_duplicates import Vectors
from emonet_face.errors import EmoNetFaceError

COLUMNS = ("config", "image_id", "embedding")
_METADATA = b"emonet_face"
_IDENTITY = ("backbone", "revision", "size", "dim")
"""The metadata that say which tower made embeddings: those of two towers cannot be compared."""

_BLOCK = 4_096
_LENGTH_TOLERANCE = 1e-2


@dataclass(frozen=True)
class EmbeddingBlocks:
    """The embeddings of one config in some files; iterating reads them from disk each time."""

    files: Sequence[Path]
    config: str

    def __iter__(self) -> Iterator[Vectors]:
        for path in self.files:
            for batch in pq.ParquetFile(path).iter_batches(_BLOCK, columns=list(COLUMNS)):
                mine = batch.filter(pa.compute.equal(batch["config"], self.config))
                if len(mine):
                    yield mine["image_id"].to_pylist(), _matrix(mine["embedding"], path)


def open_embeddings(files: Sequence[Path]) -> Counter[str]:
    """Check that files hold comparable embeddings.

    Returns:
        config -> embeddings in all files.

    Raises:
        EmoNetFaceError: a file cannot be read, is not one of `embed`, or comes from another
            backbone than the first.
    """
    counts: Counter[str] = Counter()
    first: dict[str, Any] = {}
    for path in files:
        try:
            schema = pq.read_schema(path)
            names = pq.read_table(path, columns=["config"])["config"] if schema.names else None
        except FileNotFoundError:
            raise EmoNetFaceError(f"{path}: no such file of embeddings") from None
        except (OSError, pa.ArrowException, KeyError) as error:
            raise EmoNetFaceError(f"{path}: is no file of embeddings ({error})") from None
        about = _about(path, schema)
        first = first or about
        if about != first:
            raise EmoNetFaceError(
                f"{path}: was made with {about}, {files[0]} with {first}: give files of one tower"
            )
        if names is not None:
            counts.update(names.to_pylist())
    return counts


def _about(path: Path, schema: pa.Schema) -> dict[str, Any]:
    missing = [name for name in COLUMNS if name not in schema.names]
    if missing:
        raise EmoNetFaceError(f"{path}: has no column {missing[0]!r}; needed are {list(COLUMNS)}")
    try:
        record = json.loads((schema.metadata or {})[_METADATA])
        return {key: record[key] for key in _IDENTITY}
    except (KeyError, ValueError, TypeError):
        raise EmoNetFaceError(f"{path}: was not written by `emonet-face embed`") from None


def _matrix(column: pa.Array, path: Path) -> np.ndarray:
    matrix = np.stack(column.to_numpy(zero_copy_only=False)).astype(np.float32, copy=False)
    lengths = np.linalg.norm(matrix, axis=1)
    if not np.all(np.abs(lengths - 1) <= _LENGTH_TOLERANCE):  # false for NaN too
        raise EmoNetFaceError(f"{path}: holds an embedding whose length is not 1")
    return matrix
