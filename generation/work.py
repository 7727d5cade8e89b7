"""The work on a run: claim a batch, make what it lacks, write it, until nothing is left.

Any number of processes and machines can do it at once (`claims` says where); each batch is made by
one of them. A process that ends early, however it ends, leaves its batches to the others.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator
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

    def make(self, batch: int) -> Callable[[], tuple[int, int]]:
        """Make the missing pictures of a batch that this process has claimed.

        Returns:
            What writes them; it says how many it wrote and how many there is no picture of. The two
            steps are apart so that the next batch can be made while this one is written.
        """
        missing = self._run.missing(batch)
        if not missing:
            return lambda: (0, 0)
        wanted = self._run.indices(batch) if self._backend.batch_matters else missing
        if not self._loaded:
            self._backend.load()
            self._loaded = True
        requests = [self._run.request(index) for index in wanted]
        outcomes = make_all(self._backend, requests, self._run.plan["size"], self._retries)
        kept = [(i, o) for i, o in zip(wanted, outcomes, strict=True) if i in missing]
        return lambda: self._write(kept)

    def _write(self, outcomes: list[tuple[int, Outcome]]) -> tuple[int, int]:
        made = [
            (index, outcome) for index, outcome in outcomes if outcome.picture.image is not None
        ]
        numbers = measure([outcome.picture.image for _, outcome in made], self._find_faces)
        for (index, outcome), quality in zip(made, numbers, strict=True):
            data, sidecar = render(self._run, self._backend, outcome, quality)
            write_image(self._run.image_path(index), data, sidecar)
        for index, outcome in outcomes:
            if outcome.picture.image is None:
                self._write_failure(index, outcome)
        return len(made), len(outcomes) - len(made)

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
        Each batch as soon as it is seen to be done or has failed, so `run.n_batches` in all.

    Raises:
        EmoNetFaceError: MOST_FAILURES batches in a row gave nothing; or see `Backend.make`.
        OSError: the disk is full, or the folder cannot be written.
    """
    seen = bytearray(run.n_batches)  # one byte each: runs may have millions
    with ExitStack() as stack:
        writing = _Writing(claims, seen, overlap, stack)
        for number in range(run.n_batches):
            if claims.claim(number):
                writing.take(number, maker.make(number))
            elif not claims.is_done(number):
                continue
            seen[number] |= _COUNTED
            yield number
        writing.finish()
        # Now those that others had claimed: they finish them, or end and leave them to us.
        for number in range(run.n_batches):
            while not claims.is_done(number) and not seen[number] & _FAILED:
                if claims.claim(number):
                    writing.take(number, maker.make(number))
                    writing.finish()
                else:
                    time.sleep(_LOOK_AGAIN)
            if not seen[number] & _COUNTED:
                yield number


_COUNTED, _FAILED = 1, 2


class _Writing:
    """Batches that are made and not yet written."""

    def __init__(self, claims: ClaimFile, seen: bytearray, overlap: bool, stack: ExitStack) -> None:
        self._claims, self._seen = claims, seen
        self._waiting: deque[tuple[int, Future[tuple[int, int]]]] = deque()
        self._thread = stack.enter_context(ThreadPoolExecutor(1)) if overlap else None
        self._in_a_row = 0

    def take(self, number: int, write: Callable[[], tuple[int, int]]) -> None:
        """Write a batch now or soon."""
        if self._thread is None:
            self._settle(number, *write())
            return
        self._waiting.append((number, self._thread.submit(write)))
        while len(self._waiting) > _WRITERS_BEHIND:
            self._settle_first()

    def finish(self) -> None:
        """Wait until all is written."""
        while self._waiting:
            self._settle_first()

    def _settle_first(self) -> None:
        number, written = self._waiting.popleft()
        self._settle(number, *written.result())

    def _settle(self, number: int, n_made: int, n_failed: int) -> None:
        if not n_failed:
            self._in_a_row = 0
            self._claims.finish(number)
            return
        self._seen[number] |= _FAILED
        self._claims.release(number)
        self._in_a_row = 0 if n_made else self._in_a_row + 1
        if self._in_a_row >= MOST_FAILURES:
            raise EmoNetFaceError(
                f"{MOST_FAILURES} batches in a row gave no picture; the causes are in {FAILURES}/"
                " of the run, which the same call goes on with"
            )
