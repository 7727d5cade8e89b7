"""`generate --engine ray`: the work on a run spread over a Ray cluster, with Ray Data.

Ray Data hands numbers of batches to actors, each of which holds the pipeline; an actor claims a
batch, makes it and writes it into the run folder as every process does, and hands back only how
many pictures it could not make. So the result is the same as that of one process, a batch that Ray
gives out twice is made once, and what a dead node leaves is made by others or by the next call.
Every node must reach the run folder by the same path, on a file system that passes locks
(`claims`). What `--dtype auto` means is settled where the call is made: on a machine without a GPU
give `--dtype bfloat16`.

What that means for large runs, on paper. Assumed, not measured: FLUX.1-dev at 1024 x 1024, 28 steps
in bfloat16, 9 s a picture on an H100 and 18 s on an A100; SDXL, 30 steps, 3.5 s and 6 s; one actor
a GPU; 1.4 MB a PNG and 0.3 MB a JPEG of quality 95. Measured on one core of the ledger's machine:
the run machinery takes about 5 ms a picture of 64 px (benchmarks/bench_generation.py), and encoding
a published face of 1024 px as PNG 0.56 s, in a thread beside the pipeline; so neither adds to the
hours. Actors do not talk to each other, so hours divide by GPUs until the pictures per GPU are few.

| pictures | model | H100 hours | on 8 H100 | on 64 H100 | on 256 H100 | PNG | JPEG |
|---|---|---|---|---|---|---|---|
| 200,000 | FLUX.1-dev | 500 | 63 h | 7.8 h | 2.0 h | 0.28 TB | 0.06 TB |
| 200,000 | SDXL | 194 | 24 h | 3.0 h | 0.8 h | 0.28 TB | 0.06 TB |
| 20 million | FLUX.1-dev | 50,000 | 260 days | 33 days | 8.1 days | 28 TB | 6 TB |
| 20 million | SDXL | 19,444 | 101 days | 13 days | 3.2 days | 28 TB | 6 TB |

On A100 it is twice as many hours with FLUX.1-dev and 1.7 times with SDXL. Sidecars add 2 kB a
picture. A folder should not hold 40 million files: make 20 million pictures as 100 runs of 200,000
with seeds of their own, whose ids never meet.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from emonet_face.progress import track
from emonet_face.ray_cluster import CORES_OF_ACTOR, join_cluster
from generation.claims import ClaimFile
from generation.run_folder import CLAIMS

if TYPE_CHECKING:
    from generation.work import Work


_BLOCKS = 16
"""Portions of work for each actor: the last ones end within a sixteenth of the whole time."""

_LOOK_AGAIN = 1.0
"""Seconds."""


class BatchMaker:
    """One actor: a pipeline, and an open claim file.

    Args:
        work: what to work on.
    """

    def __init__(self, work: Work) -> None:
        self._maker = work.maker()
        self._claims = ClaimFile(work.run.out / CLAIMS)

    def __call__(self, rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Make the batches of "id", as far as nobody makes or has made them.

        Returns:
            "id" again, and "failed": how many pictures of each could not be made.
        """
        failed = [self._make(int(number)) for number in rows["id"]]
        return {"id": rows["id"], "failed": np.array(failed)}

    def _make(self, number: int) -> int:
        if not self._claims.claim(number):
            return 0
        _, failed = self._maker.make(number)()
        if failed:
            self._claims.release(number)
        else:
            self._claims.finish(number)
        return failed


def share_with_ray(work: Work, claims: ClaimFile, actors: int | None) -> None:
    """Work on a run until every batch is done, or has failed on an actor.

    Args:
        work: what to work on; its backend is loaded once in each actor.
        claims: the run's claim file, open in this process.
        actors: how many; None: one a GPU of the cluster, or one for each two cores.

    Raises:
        EmoNetFaceError: Ray is not installed.
    """
    cluster = join_cluster()
    n, failed = work.run.n_batches, set()
    actors = min(actors or cluster.gpus or max(1, cluster.cores // 2), n)
    numbers = cluster.data.range(n, override_num_blocks=min(n, _BLOCKS * actors))
    while True:
        made = numbers.map_batches(
            BatchMaker,
            fn_constructor_args=(work,),
            batch_size=1,
            compute=cluster.data.ActorPoolStrategy(size=actors),
            num_gpus=1 if cluster.gpus else 0,
            num_cpus=CORES_OF_ACTOR,
        )
        for row in track(made.iter_rows(), "batches of faces", n):
            if row["failed"]:
                failed.add(row["id"])
        left = [
            number for number in range(n) if number not in failed and not claims.is_done(number)
        ]
        if not left:
            return
        time.sleep(_LOOK_AGAIN)  # other processes are making these
        numbers = cluster.data.from_items([{"id": i} for i in left])
