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
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from emonet_face.errors import EmoNetFaceError
from emonet_face.progress import track
from emonet_face.ray_cluster import CORES_OF_ACTOR, join_cluster
from generation.claims import ClaimFile
from generation.run_folder import CLAIMS
from generation.work import MOST_FAILURES, FailuresInARow

if TYPE_CHECKING:
    from ray.data import Dataset

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
        self._failures = FailuresInARow()
        self._path = work.run.out / CLAIMS
        self._claims: ClaimFile | None = None

    def __call__(self, rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Make the batches of "id", as far as nobody makes or has made them.

        Returns:
            "id" again; "failed": how many pictures of each could not be made; "end": why this actor
            cannot go on, else "". Ray would hand on an error as the text of all its frames.
        """
        answers = [self._answer(int(number)) for number in rows["id"]]
        failed, ends = zip(*answers, strict=True)
        return {"id": rows["id"], "failed": np.array(failed), "end": np.array(ends, object)}

    def _answer(self, number: int) -> tuple[int, str]:
        try:
            return self._make(number), ""
        except (EmoNetFaceError, OSError) as error:
            return 0, str(error)

    def _make(self, number: int) -> int:
        if self._claims is None:
            self._claims = ClaimFile(self._path)
        if not self._claims.claim(number):
            return 0
        try:
            made = self._maker.make(number)
            self._maker.write([made])
        except BaseException:
            self._claims.release(number)
            raise
        if made.n_failed:
            self._claims.release(number)
        else:
            self._claims.finish(number)
        self._failures.count(made)
        return made.n_failed


def share_with_ray(work: Work, claims: ClaimFile, actors: int | None) -> None:
    """Work on a run until every batch is done, or has failed on an actor.

    Args:
        work: what to work on; its backend is loaded once in each actor.
        claims: the run's claim file, open in this process.
        actors: how many; None: one a GPU of the cluster, or one for each two cores.

    Raises:
        EmoNetFaceError: Ray is not installed, or an actor cannot go on: the backend cannot be
            loaded, nothing can be written, MOST_FAILURES batches in a row gave no picture, or it
            died.
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
            max_restarts=MOST_FAILURES,  # of an actor that died; Ray itself never gives up
            max_task_retries=MOST_FAILURES,
        )
        for row in track(_answers(made), "batches of faces", n):
            if row["end"]:
                raise EmoNetFaceError(row["end"])
            if row["failed"]:
                failed.add(row["id"])
        left = [
            number for number in range(n) if number not in failed and not claims.is_done(number)
        ]
        if not left:
            return
        time.sleep(_LOOK_AGAIN)  # other processes are making these
        numbers = cluster.data.from_items([{"id": i} for i in left])


def _answers(made: Dataset) -> Iterator[dict[str, Any]]:
    """What the actors answer; what is wrong with one that does not, in one line."""
    from ray.exceptions import RayError

    try:
        yield from made.iter_rows()
    except RayError as error:
        last = str(error).strip().splitlines()[-1].strip()  # the others are frames
        raise EmoNetFaceError(f"an actor of the Ray cluster failed ({last})") from None
