"""The embeddings of one config, from files that `emonet-face embed` wrote, block by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dataset_scripts.near_duplicates import Vectors
from emonet_face.embedding_file import EmbeddingFile


@dataclass(frozen=True)
class EmbeddingBlocks:
    """The embeddings of one config in some files; iterating reads them from disk each time."""

    files: Sequence[EmbeddingFile]
    config: str

    def __iter__(self) -> Iterator[Vectors]:
        for file in self.files:
            for block in file.blocks():
                mine = [row for row, name in enumerate(block.configs) if name == self.config]
                if mine:
                    ids = [block.image_ids[row] for row in mine]
                    yield ids, block.vectors[mine].astype(np.float32, copy=False)
