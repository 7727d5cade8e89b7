"""The work on a run: claim a batch, make what it lacks, write it, until nothing is left.

Any number of processes and machines can do it at once (`claims` says where); each batch is made by
one of them. A process that ends early, however it ends, leaves its batches to the others.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

from emonet_face.errors import EmoNetFaceError
from generation.attempts import Outcome, make_all
from generation.backends import Backend
from generation.claims import ClaimFile
from generation.image_files import render, write_image, write_whole
from generation.quality import measure
from generation.run_folder import FAILURES, Run

MOST_FAILURES = 5
"""So many batches in a row of which not one picture came out, and the process gives up: what fails
always, fails for a reason that more attempts do not cure."""

_LOOK_AGAIN = 0.2
"""Seconds between looks at batches that other processes are making."""

_WRITERS_BEHIND = 2
"""Batches that may wait to be written while the next one is made; each holds its pictures."""

_TOGETHER = 5.0
"""Seconds after which batches are written that were made one after the other without a break.

Work on many pictures in a row takes half the time of the same work between two calls of a pipeline,
each of which empties the processor's caches; no more than these seconds are lost with the process.
"""


@dataclass(frozen=True)
class Made:
    """A batch that has been made, and is not yet written.

    Attributes:
        number: of the batch.
        outcomes: (number of the image, what became of it) for those that were missing.
    """

    number: int
    outcomes: tuple[tuple[int, Outcome], ...]

    @property
    def n_failed(self) -> int:
        """How many there is no picture of."""
        return sum(outcome.picture.image is None for _, outcome in self.outcomes)


class Maker:
    """What one process does for a run; the backend is loaded when the first picture is due.

    Args:
        run: the run.
        backend: not yet loaded.
        retries: see `attempts.make_all`.
        find_faces: see `quality.measure`.
    """

    def __init__(
        self, run: Run, backend: Backend, *, retries: int, find_faces: Callable | None = None
    ) -> None:
        self._run, self._backend = run, backend
        self._retries, self._find_faces = retries, find_faces
        self._loaded = False

    def make(self, batch: int) -> Made:
        """Make the missing pictures of a batch that this process has claimed.

        Making and writing are apart so that the next batch can be made while this one is written,
        and so that quick batches can be written together.
        """
        missing = self._run.missing(batch)
        if not missing:
            return Made(batch, ())
        wanted = self._run.indices(batch) if self._backend.batch_matters else missing
        if not self._loaded:
            self._backend.load()
            self._loaded = True
        requests = [self._run.request(index) for index in wanted]
        outcomes = make_all(self._backend, requests, self._run.plan["size"], self._retries)
        kept = (pair for pair in zip(wanted, outcomes, strict=True) if pair[0] in missing)
        return Made(batch, tuple(kept))

    def write(self, batches: Sequence[Made]) -> None:
        """Write the pictures of batches, and for those that could not be made, why."""
        outcomes = [pair for batch in batches for pair in batch.outcomes]
        made = [pair for pair in outcomes if pair[1].picture.image is not None]
        numbers = measure([outcome.picture.image for _, outcome in made], self._find_faces)
        rendered = [
            render(self._run, self._backend, outcome, quality)
            for (_, outcome), quality in zip(made, numbers, strict=True)
        ]
        for (index, _), (data, sidecar) in zip(made, rendered, strict=True):
            write_image(self._run.image_path(index), data, sidecar)
        for index, outcome in outcomes:
            if outcome.picture.image is None:
                self._write_failure(index, outcome)

    def _write_failure(self, index: int, outcome: Outcome) -> None:
        path = self._run.failure_path(index)
        path.parent.mkdir(exist_ok=True)
        record = {"image_id": outcome.request.image_id, "causes": list(outcome.causes)}
        write_whole(path, f"{json.dumps(record, ensure_ascii=False)}\n".encode())


@dataclass(frozen=True)
class Work:
    """What a process needs to know to work on a run; it is pickled to others.

    Attributes:
        run, backend, retries, find_faces: see `generate`.
    """

    run: Run
    backend: Backend
    retries: int
    find_faces: Callable | None

    def maker(self) -> Maker:
        return Maker(self.run, self.backend, retries=self.retries, find_faces=self.find_faces)


def share(run: Run, maker: Maker, claims: ClaimFile, *, overlap: bool) -> Iterator[int]:
    """Work on a run until every batch is done, or has failed here.

    Args:
        run: the run.
        maker: of this process.
        claims: the run's open claim file.
        overlap: write in a thread of its own.

    Yields:
        Each batch as soon as it is made, seen to be done or has failed, so `run.n_batches` in all.

    Raises:
        EmoNetFaceError: MOST_FAILURES batches in a row gave nothing; or see `Backend.make`.
        OSError: the disk is full, or the folder cannot be written.
    """
    seen = bytearray(run.n_batches)  # one byte each: runs may have millions
    with ExitStack() as stack:
        thread = stack.enter_context(ThreadPoolExecutor(1)) if overlap else None
        writing = _Writing(maker, claims, seen, thread)
        for number in range(run.n_batches):
            if claims.claim(number):
                writing.take(maker.make(number))
            elif not claims.is_done(number):
                continue
            seen[number] |= _COUNTED
            yield number
        writing.finish()
        # Now those that others had claimed: they finish them, or end and leave them to us.
        for number in range(run.n_batches):
            while not claims.is_done(number) and not seen[number] & _FAILED:
                if claims.claim(number):
                    writing.take(maker.make(number))
                    writing.finish()
                else:
                    time.sleep(_LOOK_AGAIN)
            if not seen[number] & _COUNTED:
                yield number


_COUNTED, _FAILED = 1, 2


class FailuresInARow:
    """Says when a process should give up; see MOST_FAILURES."""

    def __init__(self) -> None:
        self._n = 0

    def count(self, made: Made) -> None:
        """Take in what became of the next batch.

        Raises:
            EmoNetFaceError: it is the last of MOST_FAILURES in a row that gave nothing.
        """
        nothing = bool(made.outcomes) and made.n_failed == len(made.outcomes)
        self._n = self._n + 1 if nothing else 0
        if self._n >= MOST_FAILURES:
            raise EmoNetFaceError(
                f"{MOST_FAILURES} batches in a row gave no picture; the causes are in {FAILURES}/"
                " of the run, which the same call goes on with"
            )


class _Writing:
    """Batches that are made and not yet written; this process keeps their claims for so long."""

    def __init__(
        self, maker: Maker, claims: ClaimFile, seen: bytearray, thread: ThreadPoolExecutor | None
    ) -> None:
        self._maker, self._claims, self._seen, self._thread = maker, claims, seen, thread
        self._together: list[Made] = []
        self._behind: deque[tuple[Made, Future[None]]] = deque()
        self._last = time.monotonic()
        self._failures = FailuresInARow()

    def take(self, made: Made) -> None:
        """Write a batch now or soon."""
        if self._thread is not None:
            self._behind.append((made, self._thread.submit(self._maker.write, [made])))
            while len(self._behind) > _WRITERS_BEHIND:
                self._settle_first()
            return
        self._together.append(made)
        if made.n_failed or time.monotonic() - self._last > _TOGETHER:
            self._write_together()

    def finish(self) -> None:
        """Wait until all is written."""
        self._write_together()
        while self._behind:
            self._settle_first()

    def _write_together(self) -> None:
        if not self._together:
            return
        self._maker.write(self._together)
        for made in self._together:
            self._settle(made)
        self._together.clear()
        self._last = time.monotonic()

    def _settle_first(self) -> None:
        made, written = self._behind.popleft()
        written.result()
        self._settle(made)

    def _settle(self, made: Made) -> None:
        if made.n_failed:
            self._seen[made.number] |= _FAILED
            self._claims.release(made.number)
        else:
            self._claims.finish(made.number)
        self._failures.count(made)
