"""Rules on stored pictures: each decodes, and is the one that its row speaks of."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from dataset_scripts.findings import Findings
from dataset_scripts.near_duplicates import Prints
from dataset_scripts.row_batches import Batch
from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import check_whole, decode
from emonet_face.perceptual_hash import SIDE, perceptual_hashes, reduce


def decoding_threads() -> Executor:
    """Threads for `ImageRules`, one per processor: Pillow's decoders run side by side."""
    return ThreadPoolExecutor(os.cpu_count())


@dataclass(frozen=True)
class _Picture:
    """What the bytes of a picture say: `error` where they do not decode."""

    digest: bytes
    size: tuple[int, int] = (0, 0)
    reduced: np.ndarray | None = None
    error: str = ""


def _look(data: bytes | None) -> _Picture | None:
    if data is None:
        return None
    digest = hashlib.sha256(data).digest()
    try:
        image = decode(data, "the picture")
        check_whole(data, "the picture")
    except EmoNetFaceError as error:
        return _Picture(digest, error=str(error))
    return _Picture(digest, image.size, reduce(image))


class ImageRules:
    """Looks at the pictures of one config.

    Attributes:
        prints: what comparisons with other configs need.
    """

    def __init__(self, config: str, findings: Findings, threads: Executor) -> None:
        self.prints = Prints()
        self._config = config
        self._findings = findings
        self._threads = threads
        self._n_missing = 0

    def look(self, batch: Batch) -> None:
        """Check the pictures of a batch against the columns sha256, width and height."""
        data = pc.struct_field(batch.rows["image"], "bytes").to_pylist()
        facts = zip(
            *(batch.rows[c].to_pylist() for c in ("sha256", "width", "height")), strict=True
        )
        pictures = list(self._threads.map(_look, data))
        reduced = np.zeros((len(batch.ids), SIDE, SIDE), np.uint8)
        for index, (picture, (sha256, *size)) in enumerate(zip(pictures, facts, strict=True)):
            if picture is None:
                self._n_missing += 1
                continue
            if picture.digest.hex() != sha256:
                text = f"sha256 is {sha256!r}, the picture has {picture.digest.hex()!r}"
                self._error("image_sha256", batch.where(index), text)
            if picture.reduced is None:
                self._error("image_decode", batch.where(index), picture.error)
                continue
            if picture.size != tuple(size):
                text = f"width and height are {size}, the picture has {list(picture.size)}"
                self._error("image_size", batch.where(index), text)
            reduced[index] = picture.reduced
        self.prints.ids += [image_id or "" for image_id in batch.ids]
        self.prints.digests += [None if p is None else p.digest for p in pictures]
        self.prints.blocks.append(perceptual_hashes(reduced))

    def close(self) -> None:
        """Say how many rows have no picture, once all batches were looked at."""
        n = len(self.prints.ids)
        if n and self._n_missing == n:
            text = "no row has a picture: only labels were given"
            self._findings.add("info", "image_missing", self._config, "", text)
        elif self._n_missing:
            text = f"no picture in {self._n_missing:,} of {n:,} rows"
            self._findings.warning("image_missing", self._config, "", text)

    def _error(self, rule: str, where: str, text: str) -> None:
        self._findings.error(rule, self._config, where, text)
