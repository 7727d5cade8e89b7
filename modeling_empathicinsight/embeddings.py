"""Embeddings of one tower, from embedding files into one array that is mapped into memory."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emonet_face.embedding_file import EmbeddingFile, open_embedding_files, tower_of
from emonet_face.errors import EmoNetFaceError

if TYPE_CHECKING:
    from modeling_empathicinsight.backbone import Backbone


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


def read_embeddings(paths: Sequence[Path]) -> Embeddings:
    """Read embedding files, a block at a time.

    Raises:
        EmoNetFaceError: no file given; a file is unreadable or not one of `embed`; files of
            different towers; a cell is empty; an image stands twice; a vector is not finite or not
            of length 1. The message names file, row (from 1) and image.
    """
    if not paths:
        raise EmoNetFaceError("no embeddings given; make some with `emonet-face embed`")
    files = open_embedding_files(paths)
    metadata = files[0].metadata
    numbers = np.result_type(*(file.numbers for file in files))
    shape = (sum(file.rows for file in files), metadata["dim"])
    row_of: dict[tuple[str, str], int] = {}
    # Not in memory: pages of a file can be given back when memory is short.
    with tempfile.TemporaryFile(prefix="emonet-face-embeddings-") as place:
        vectors = np.memmap(place, numbers, "w+", shape=shape)
        for file in files:
            _read(file, vectors, row_of)
    return Embeddings(row_of, vectors, metadata)


def _read(file: EmbeddingFile, out: np.ndarray, row_of: dict[tuple[str, str], int]) -> None:
    """Add the rows of a file: vectors to `out`, their places to `row_of`."""
    for block in file.blocks():
        start = len(row_of)
        keys = zip(block.configs, block.image_ids, strict=True)
        for place, key in enumerate(keys):
            if key in row_of:
                row = block.start + place + 1
                raise EmoNetFaceError(f"{file.path}, row {row}: {key[0]}/{key[1]} stands twice")
            row_of[key] = start + place
        out[start : len(row_of)] = block.vectors


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
            f"{what} were made with {tower_of(made)}, but {tower.name} is {tower_of(seen)}; give"
            " the tower that made them"
        )


def fingerprint_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes: 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
