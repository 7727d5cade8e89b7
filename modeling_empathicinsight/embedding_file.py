"""Files of embeddings: their form, and how they are read; `embed` writes them.

Columns `config`, `image_id`, `embedding` (fixed-size list of float32 or float16, L2-normalised);
the schema metadata under "emonet_face" say which tower made them.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from emonet_face.errors import EmoNetFaceError

if TYPE_CHECKING:
    from modeling_empathicinsight.backbone import Backbone

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


@dataclass(frozen=True)
class Embeddings:
    """The rows of one or more embedding files of one tower.

    Attributes:
        row_of: (config, image_id) -> row.
        vectors: (n, width) float32, or float16 where all files are; L2-normalised. They lie in a
            temporary file that is mapped into memory and goes with the last array on it.
        metadata: as `embed` wrote them.
    """

    row_of: dict[tuple[str, str], int]
    vectors: np.ndarray
    metadata: dict[str, Any]

    def ids(self, config: str) -> list[str]:
        """The image ids of one config, in file order."""
        return [image_id for name, image_id in self.row_of if name == config]


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


def metadata_of(found: pa.Schema) -> dict[str, Any]:
    """What a file says of its tower; {} where it says nothing of that kind."""
    try:
        metadata = json.loads((found.metadata or {}).get(METADATA_KEY, b"{}"))
    except ValueError:
        return {}
    return metadata if isinstance(metadata, dict) else {}


def is_embedding_file(path: Path) -> bool:
    """Whether a file was written by `embed` and may be replaced by it."""
    try:
        return metadata_of(pq.read_schema(path)).get("made_by") == MADE_BY
    except (OSError, pa.ArrowInvalid):
        return False


def fingerprint_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes: 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_embeddings(paths: Sequence[Path]) -> Embeddings:
    """Read embedding files, a block at a time.

    Raises:
        EmoNetFaceError: no file given; a file is unreadable or not one of `embed`; files of
            different towers; a cell is empty; an image stands twice; a vector is not finite or not
            of length 1. The message names file, row (from 1) and image.
    """
    if not paths:
        raise EmoNetFaceError("no embeddings given; make some with `emonet-face embed`")
    forms = [_form(Path(path)) for path in paths]
    metadata = forms[0].metadata
    for form in forms[1:]:
        if any(metadata.get(key) != form.metadata.get(key) for key in IDENTITY):
            raise EmoNetFaceError(
                f"{form.path}: was made with {_tower(form.metadata)}, but {paths[0]} with"
                f" {_tower(metadata)}; embeddings of different towers cannot be trained on together"
            )
    numbers = np.result_type(*(form.numbers for form in forms))
    shape = (sum(form.rows for form in forms), metadata["dim"])
    row_of: dict[tuple[str, str], int] = {}
    # Not in memory: pages of a file can be given back when memory is short.
    with tempfile.TemporaryFile(prefix="emonet-face-embeddings-") as file:
        vectors = np.memmap(file, numbers, "w+", shape=shape)
        for form in forms:
            _read(form, vectors, row_of)
    return Embeddings(row_of, vectors, metadata)


@dataclass(frozen=True)
class _Form:
    """What a file's head says."""

    path: Path
    metadata: dict[str, Any]
    rows: int
    numbers: np.dtype


@contextmanager
def _faults(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0]
        raise EmoNetFaceError(f"{path}: cannot be read as Parquet of `embed` ({reason})") from None


def _form(path: Path) -> _Form:
    with _faults(path), pq.ParquetFile(path) as file:
        found, rows = file.schema_arrow, file.metadata.num_rows
    metadata = metadata_of(found)
    ours = metadata.get("made_by") == MADE_BY and all(key in metadata for key in REQUIRED)
    ours = ours and isinstance(metadata["dim"], int) and metadata["dim"] > 0
    if not ours or not set(COLUMNS) <= set(found.names):
        raise EmoNetFaceError(f"{path}: was not written by `emonet-face embed`")
    kind = found.field("embedding").type
    for numbers in ("float32", "float16"):
        if kind == schema(metadata, numbers).field("embedding").type:
            if rows == 0:
                raise EmoNetFaceError(f"{path}: holds no embeddings")
            return _Form(path, metadata, rows, np.dtype(numbers))
    raise EmoNetFaceError(
        f"{path}: its embeddings are {kind}; must be lists of {metadata['dim']} float32 or float16"
    )


def _read(form: _Form, out: np.ndarray, row_of: dict[tuple[str, str], int]) -> None:
    """Check the rows of a file and add them: vectors to `out`, their places to `row_of`."""
    first = len(row_of)
    with _faults(form.path), pq.ParquetFile(form.path) as file:
        for block in file.iter_batches(BLOCK, columns=list(COLUMNS)):
            start, n = len(row_of), block.num_rows
            for name in COLUMNS:
                if block[name].null_count:
                    row = start - first + block[name].is_valid().to_pylist().index(False) + 1
                    raise EmoNetFaceError(f"{form.path}, row {row}: has no {name}")
            ids = block["image_id"].to_pylist()
            for place, key in enumerate(zip(block["config"].to_pylist(), ids, strict=True), start):
                if key in row_of:
                    row = place - first + 1
                    raise EmoNetFaceError(f"{form.path}, row {row}: {key[0]}/{key[1]} stands twice")
                row_of[key] = place
            numbers = block["embedding"].flatten().to_numpy(zero_copy_only=False)
            vectors = numbers.reshape(n, -1)
            _check(form.path, ids, vectors, start - first)
            out[start : start + n] = vectors


def _check(path: Path, ids: list[str], vectors: np.ndarray, start: int) -> None:
    length = np.linalg.norm(vectors.astype(np.float32, copy=False), axis=1)
    # NaN compares as False, so the good rows are asked for and not the bad ones.
    bad = np.flatnonzero(~(np.abs(length - 1) <= NORM_TOLERANCE))
    if bad.size:
        row = int(bad[0])
        raise EmoNetFaceError(
            f"{path}, row {start + row + 1}: the embedding of {ids[row]!r} has the"
            f" length {length[row]:g}; embeddings must be finite and L2-normalised"
        )


def check_made_by(tower: Backbone, vectors: Embeddings, what: str = "the embeddings") -> None:
    """See that a tower, as it prepares and sees pictures, made these embeddings.

    Raises:
        EmoNetFaceError: it has other weights, or prepares pictures in another way. Of embeddings
            whose file does not say how, only the weights are compared.
    """
    made = vectors.metadata
    seen = {"tower_sha256": tower.sha256, "normalisation": tower.normalisation}
    if any(made.get(key) not in (None, value) for key, value in seen.items()):
        raise EmoNetFaceError(
            f"{what} were made with {_tower(made)}, but {tower.name} is {_tower(seen)}; give the"
            " tower that made them"
        )


def _tower(metadata: dict[str, Any]) -> str:
    name, how = metadata.get("backbone", "a tower"), metadata.get("normalisation")
    seen = f", pictures prepared by {json.dumps(how)}" if how else ""
    return f"{name} (weights {str(metadata['tower_sha256'])[:12]}{seen})"
