"""Embeddings of a dataset's images: made by `embed`, kept in one Parquet file, read by `train`.

    emonet-face embed --dataset REPO --config big --backbone ID_OR_DIR --out big.parquet

Columns `config`, `image_id`, `embedding` (fixed-size list of float32, L2-normalised); the schema
metadata under "emonet_face" say which tower made them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from emonet_face.errors import EmoNetFaceError
from emonet_face.outputs import new_file
from emonet_face.progress import track
from modeling_empathicinsight.backbone import Backbone, load_backbone
from modeling_empathicinsight.source import batches, iter_images

MADE_BY = "emonet-face embed"
METADATA_KEY = b"emonet_face"
COLUMNS = ("config", "image_id", "embedding")
IDENTITY = ("tower_sha256", "size", "dim")
"""The metadata in which embeddings of one tower agree."""

NORM_TOLERANCE = 1e-3


def embed(
    dataset: str | Path,
    config: str,
    backbone: str | Path,
    out: Path,
    *,
    batch_size: int = 64,
    dtype: str = "float32",
) -> dict[str, Any]:
    """Embed every image of one config of a dataset repo.

    Args:
        dataset: folder or Hub id.
        config: e.g. "big".
        backbone: a vision tower in any form that `load_backbone` takes.
        out: Parquet file to write, rows in the order of the dataset.
        batch_size: images at a time.
        dtype: of the tower while it runs; embeddings are float32 always.

    Returns:
        The metadata of the file, and `n` (embeddings), `n_null` (rows without an image, left out).

    Raises:
        EmoNetFaceError: dataset, config or backbone cannot be used (see `iter_images` and
            `load_backbone`); no row has an image; the tower gives no finite embedding.
    """
    n = n_null = 0
    tower = load_backbone(backbone, dtype)
    metadata = _metadata(tower, dtype)
    schema = _schema(metadata)
    with new_file(out, ours=_is_ours) as path, pq.ParquetWriter(path, schema) as writer:
        rows = track(iter_images(dataset, config), f"embedding {config}")
        for batch in batches(rows, batch_size):
            faces = [(image_id, image) for image_id, image in batch if image is not None]
            n_null += len(batch) - len(faces)
            if not faces:
                continue
            ids = [image_id for image_id, _ in faces]
            vectors = tower.embed([image for _, image in faces])
            bad = (vectors.norm(dim=1) - 1).abs() > NORM_TOLERANCE
            bad |= ~vectors.isfinite().all(dim=1)
            if bad.any():
                raise EmoNetFaceError(
                    f"{backbone}: the embedding of image {ids[int(bad.int().argmax())]!r} of"
                    f" config {config} is not finite or zero; the tower's weights are not usable"
                )
            writer.write_table(_table(config, ids, vectors, schema))
            n += len(faces)
        if n == 0:
            raise EmoNetFaceError(
                f"{dataset}, config {config}: none of its {n_null} rows has an image"
            )
    return {**metadata, "config": config, "n": n, "n_null": n_null}


@dataclass(frozen=True)
class Embeddings:
    """The rows of one or more embedding files of one tower.

    Attributes:
        row_of: (config, image_id) -> row.
        vectors: (n, width) float32, L2-normalised.
        metadata: as `embed` wrote them.
    """

    row_of: dict[tuple[str, str], int]
    vectors: np.ndarray
    metadata: dict[str, Any]

    def ids(self, config: str) -> list[str]:
        """The image ids of one config, in file order."""
        return [image_id for name, image_id in self.row_of if name == config]


def read_embeddings(paths: Sequence[Path]) -> Embeddings:
    """Read embedding files.

    Raises:
        EmoNetFaceError: no file given; a file is unreadable or not one of `embed`; files of
            different towers; an image stands twice; a vector is not finite or not of length 1.
            The message names file, row (from 1) and image.
    """
    if not paths:
        raise EmoNetFaceError("no embeddings given; make some with `emonet-face embed`")
    row_of: dict[tuple[str, str], int] = {}
    metadata: dict[str, Any] = {}
    vectors = []
    for path in paths:
        table, found = _read(Path(path))
        if metadata and any(metadata[key] != found[key] for key in IDENTITY):
            raise EmoNetFaceError(
                f"{path}: was made with {_tower(found)}, but {paths[0]} with {_tower(metadata)};"
                " embeddings of different towers cannot be trained on together"
            )
        metadata = metadata or found
        keys = zip(table["config"].to_pylist(), table["image_id"].to_pylist(), strict=True)
        for row, key in enumerate(keys, start=1):
            if key in row_of:
                raise EmoNetFaceError(f"{path}, row {row}: {key[0]}/{key[1]} stands twice")
            row_of[key] = len(row_of)
        column = table["embedding"].combine_chunks()
        vectors.append(column.flatten().to_numpy().reshape(len(column), found["dim"]))
        _check(path, table, vectors[-1])
    return Embeddings(row_of, np.concatenate(vectors), metadata)


def _metadata(tower: Backbone, dtype: str) -> dict[str, Any]:
    return {
        "made_by": MADE_BY,
        "backbone": tower.name,
        "revision": tower.revision,
        "tower_sha256": tower.sha256,
        "size": tower.tower.config.image_size,
        "dtype": dtype,
        "normalized": True,
        "dim": tower.tower.config.hidden_size,
    }


def _schema(metadata: dict[str, Any]) -> pa.Schema:
    types = (pa.string(), pa.string(), pa.list_(pa.float32(), metadata["dim"]))
    fields = [
        pa.field(name, kind, nullable=False) for name, kind in zip(COLUMNS, types, strict=True)
    ]
    return pa.schema(fields, metadata={METADATA_KEY: json.dumps(metadata)})


def _table(config: str, ids: list[str], vectors: torch.Tensor, schema: pa.Schema) -> pa.Table:
    values = pa.array(vectors.numpy().reshape(-1))
    lists = pa.FixedSizeListArray.from_arrays(values, vectors.shape[1])
    return pa.table([pa.array([config] * len(ids)), pa.array(ids), lists], schema=schema)


def _is_ours(path: Path) -> bool:
    try:
        return _metadata_of(pq.read_schema(path)).get("made_by") == MADE_BY
    except (OSError, pa.ArrowInvalid):
        return False


def _metadata_of(schema: pa.Schema) -> dict[str, Any]:
    return json.loads((schema.metadata or {}).get(METADATA_KEY, b"{}"))


def _read(path: Path) -> tuple[pa.Table, dict[str, Any]]:
    try:
        table = pq.read_table(path, columns=list(COLUMNS))
    except (OSError, pa.ArrowInvalid) as error:
        reason = str(error).partition("\n")[0]
        raise EmoNetFaceError(f"{path}: cannot be read as Parquet of `embed` ({reason})") from None
    metadata = _metadata_of(table.schema)
    if metadata.get("made_by") != MADE_BY or table.column_names != list(COLUMNS):
        raise EmoNetFaceError(f"{path}: was not written by `emonet-face embed`")
    if table.num_rows == 0:
        raise EmoNetFaceError(f"{path}: holds no embeddings")
    return table, metadata


def _check(path: Path, table: pa.Table, vectors: np.ndarray) -> None:
    length = np.linalg.norm(vectors, axis=1)
    # NaN compares as False, so the good rows are asked for and not the bad ones.
    bad = np.flatnonzero(~(np.abs(length - 1) <= NORM_TOLERANCE))
    if bad.size:
        row = int(bad[0])
        raise EmoNetFaceError(
            f"{path}, row {row + 1}: the embedding of {table['image_id'][row].as_py()!r} has the"
            f" length {length[row]:g}; embeddings must be finite and L2-normalised"
        )


def _tower(metadata: dict[str, Any]) -> str:
    return f"{metadata['backbone']} (weights {metadata['tower_sha256'][:12]})"
