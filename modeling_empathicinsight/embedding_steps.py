"""The two steps of `embed`: a piece of a source -> pixels, and pixels -> embeddings.

The first is for worker processes or threads, the second is where the tower is. Which images go
through the tower together hangs on the piece alone, so that a run taken up again, or one on many
machines, does the same sums.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch
from torch.nn import functional as F

from emonet_face.embedding_file import NORM_TOLERANCE
from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import check_whole, decode
from modeling_empathicinsight.preprocessing import FastPreprocessor

if TYPE_CHECKING:
    from modeling_empathicinsight.backbone import Backbone
    from modeling_empathicinsight.embedding_source import Piece, Row

AUTOCAST = {"bfloat16": torch.bfloat16, "float16": torch.float16}
DTYPES = ("auto", "float32", *AUTOCAST)
"""How the tower computes: "auto" is bfloat16 on a GPU and float32 on a CPU."""

PRECISIONS = ("float32", "float16")
"""Of the embeddings as they are stored."""

_ABOUT = b"piece"


@dataclass(frozen=True)
class Settings:
    """How images are embedded.

    Attributes:
        backbone: a vision tower in any form that `load_backbone` takes.
        batch_size: the most images that go through it at a time.
        dtype: how it computes, one of DTYPES and not "auto".
        precision: one of PRECISIONS.
    """

    backbone: str
    batch_size: int
    dtype: str
    precision: str


@dataclass(frozen=True)
class Reject:
    """An image that could not be read, in the form in which `build` writes its rejects.

    Attributes:
        file, row: where it stands, see `embedding_source.Row`.
        reason: what is wrong with it.
        record: its config and id.
    """

    file: str
    row: int | None
    reason: str
    record: dict[str, str]


@dataclass(frozen=True)
class Pixels:
    """What the tower is to see of a piece.

    Attributes:
        image_ids: n ids.
        values: (n, 3, height, width) uint8.
        n_null: rows without an image.
        rejects: images that could not be read.
    """

    image_ids: list[str]
    values: np.ndarray
    n_null: int
    rejects: list[Reject]


class Decoder:
    """Piece -> pixels. Threads may call one at once, and it can be sent to other processes.

    Args:
        tower: whose input the pixels are.
        config: goes into rejects.
    """

    def __init__(self, tower: Backbone, config: str) -> None:
        self._preprocessor = FastPreprocessor(tower.processor, tower.name)
        self._config = config

    def __call__(self, piece: Piece) -> Pixels:
        """See `Pixels`.

        Raises:
            EmoNetFaceError: the rows cannot be read at all (see `GroupPiece.rows`). An image that
                cannot be is a reject.
        """
        found, rejects, n_null = {}, [], 0
        for row in piece.rows():
            if row.data is None and row.fault is None:
                n_null += 1
                continue
            try:
                found[row.image_id] = self._pixels(row)
            except EmoNetFaceError as error:
                reason = str(error).removeprefix(f"{row.file}: ")
                record = {"config": self._config, "image_id": row.image_id}
                rejects.append(Reject(row.file, row.row, reason, record))
        values = np.empty((len(found), 3, *self._preprocessor.size), np.uint8)
        if found:
            np.stack(list(found.values()), out=values)
        return Pixels(list(found), values, n_null, rejects)

    def _pixels(self, row: Row) -> np.ndarray:
        if row.fault is not None:
            raise EmoNetFaceError(row.fault)
        picture = decode(row.data, row.file)
        check_whole(row.data, row.file)
        return self._preprocessor.pixels(picture).numpy()


class Embedder:
    """Pixels -> embeddings, and whatever else is to be kept of a piece.

    Args:
        tower: loaded in float32.
        settings: the images of a piece are shared out evenly to batches of at most this size.
    """

    def __init__(self, tower: Backbone, settings: Settings) -> None:
        self._tower, self._settings = tower, settings
        self._preprocessor = FastPreprocessor(tower.processor, tower.name)

    def __call__(self, pixels: Pixels) -> bytes:
        """A finished piece, see `read_piece`.

        Raises:
            EmoNetFaceError: the tower gives a vector without a direction, or its memory is short.
        """
        n = len(pixels.image_ids)
        vectors = np.empty((n, self._tower.tower.config.hidden_size), np.float32)
        for rows in np.array_split(np.arange(n), -(-n // self._settings.batch_size)) if n else ():
            vectors[rows] = self._vectors(torch.from_numpy(pixels.values[rows[0] : rows[-1] + 1]))
        # NaN compares as False, so the good ones are asked for.
        bad = ~(np.abs(np.linalg.norm(vectors, axis=1) - 1) <= NORM_TOLERANCE)
        if bad.any():
            raise EmoNetFaceError(
                f"{self._tower.name}: the embedding of image"
                f" {pixels.image_ids[int(bad.argmax())]!r} is not finite or zero; the tower's"
                " weights are not usable"
            )
        return _written(pixels, vectors.astype(self._settings.precision))

    @torch.inference_mode()
    def _vectors(self, pixels: torch.Tensor) -> np.ndarray:
        device = torch.device(self._tower.device)
        try:
            values = self._preprocessor.normalise(pixels, device)
            half = AUTOCAST.get(self._settings.dtype)
            with torch.autocast(device.type, half, enabled=half is not None):
                pooled = self._tower.tower(values).pooler_output
            return F.normalize(pooled.float(), dim=-1).cpu().numpy()
        except torch.OutOfMemoryError:
            raise EmoNetFaceError(
                f"{len(pixels)} images at a time do not fit into the memory of {device};"
                " lower --batch-size"
            ) from None


def _written(pixels: Pixels, vectors: np.ndarray) -> bytes:
    about = {"n_null": pixels.n_null, "rejects": [asdict(reject) for reject in pixels.rejects]}
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    table = pa.table({"image_id": pa.array(pixels.image_ids, pa.string()), "embedding": lists})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema.with_metadata({_ABOUT: json.dumps(about)})) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def read_piece(data: pa.NativeFile) -> tuple[pa.Table, dict[str, Any]]:
    """What an `Embedder` made of a piece.

    Args:
        data: open on its bytes; of a mapped file only what is looked at is read.

    Returns:
        (columns `image_id` and `embedding`; {"n_null": ..., "rejects": [{`Reject`'s keys}, ...]}).

    Raises:
        pa.ArrowInvalid: the bytes are not whole.
    """
    table = pa.ipc.open_file(data).read_all()
    return table, json.loads(table.schema.metadata[_ABOUT])
