"""`embed --engine ray`: the same steps spread over a Ray cluster, with Ray Data.

Numbers of pieces go to actors, each of which holds the tower; the finished pieces come back and are
kept by the process that asked, as those of the local engine are. So the file is the same, a piece
that Ray hands out again because a worker died is kept once, and the next call goes on from what one
left. Bit for bit it is the same where torch has as many threads, or the same kind of GPU; otherwise
the embeddings differ by rounding. Every node must reach a folder of images, or a dataset in a
folder, by the same path.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from emonet_face.errors import EmoNetFaceError
from emonet_face.look_ahead import look_ahead
from emonet_face.ray_cluster import CORES_OF_ACTOR, Cluster
from modeling_empathicinsight.backbone import load_backbone
from modeling_empathicinsight.embedding_steps import Decoder, Embedder, Settings

if TYPE_CHECKING:
    from modeling_empathicinsight.embedding_source import Source

_PIECES = 8
"""Given to an actor at a time: all but the first are decoded while the tower is at work."""


class PieceActor:
    """One actor: a tower, and what decodes pictures for it.

    Args:
        source: with all pieces.
        settings: of the steps.
        threads: that decode, and of torch on a CPU.
    """

    def __init__(self, source: Source, settings: Settings, threads: int) -> None:
        torch.set_num_threads(threads)
        tower = load_backbone(settings.backbone)
        self._pool = ThreadPoolExecutor(threads)
        self._pieces, self._sha256 = source.pieces, tower.sha256
        self._decode, self._embed = Decoder(tower, source.config), Embedder(tower, settings)

    def __call__(self, rows: dict[str, np.ndarray]) -> Iterator[dict[str, Any]]:
        """Work on the pieces of "number".

        Yields:
            "number" and "piece", the bytes of an `Embedder`, one piece at a time; "error" is what
            to tell people where it could not be made, else empty. "tower" tells whose it is.
        """
        numbers = rows["number"].tolist()
        pieces = (self._pieces[number] for number in numbers)
        decoded = look_ahead(self._decode, pieces, _PIECES, self._pool)
        for number in numbers:
            piece, error = b"", ""
            try:
                piece = self._embed(next(decoded))
            except EmoNetFaceError as fault:
                error = str(fault)
            yield {
                "number": np.array([number]),
                "piece": np.array([piece], dtype=object),
                "error": np.array([error]),
                "tower": np.array([self._sha256]),
            }
            if error:
                return


def embed_with_ray(
    cluster: Cluster,
    source: Source,
    numbers: list[int],
    settings: Settings,
    sha256: str,
    actors: int | None,
) -> Iterator[tuple[int, bytes]]:
    """The given pieces, finished, in the order in which they come.

    Args:
        cluster: where to work.
        source: of the images.
        numbers: of the pieces that are wanted, at least one.
        settings: of the steps.
        sha256: of the tower that this process has found under that name.
        actors: how many; None: one a GPU of the cluster, or one for each core.

    Raises:
        EmoNetFaceError: as the steps do, or a node has another tower under the same name.
    """
    share = actors or cluster.gpus or max(1, cluster.cores)
    n_actors = min(share, len(numbers))
    portion = max(1, min(_PIECES, len(numbers) // n_actors))
    made = cluster.data.from_items([{"number": number} for number in numbers]).map_batches(
        PieceActor,
        fn_constructor_args=(source, settings, max(1, cluster.cores // share)),
        batch_size=portion,
        compute=cluster.data.ActorPoolStrategy(size=n_actors),
        num_gpus=1 if cluster.gpus else 0,
        num_cpus=CORES_OF_ACTOR,
    )
    for row in made.iter_rows():
        if row["error"]:
            raise EmoNetFaceError(row["error"])
        if row["tower"] != sha256:
            raise EmoNetFaceError(
                f"{settings.backbone}: a node of the cluster has other weights under this name"
            )
        yield row["number"], row["piece"]
