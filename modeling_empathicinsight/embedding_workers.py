"""Worker processes that decode pictures ahead of the tower, and end when their parent does."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

import torch

from emonet_face.errors import EmoNetFaceError


@contextmanager
def worker_processes(n: int) -> Iterator[Executor]:
    """Start `n` processes, without waiting until they are there, and stop them at the end.

    They are not forked from this process, which is not safe once torch has threads; so a script
    needs the `if __name__ == "__main__"` guard.

    Raises:
        EmoNetFaceError: one of them was killed, e.g. by a system short of memory.
    """
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    # What workers import is imported once, in the process that they are forked from.
    context.set_forkserver_preload([__name__, "modeling_empathicinsight.embedding_steps"])
    pool = ProcessPoolExecutor(n, context, _begin)
    try:
        for _ in range(n):
            pool.submit(os.getpid)
        yield pool
    except BrokenProcessPool:
        raise EmoNetFaceError(
            "a worker process that decodes images was killed (memory short?); the same call goes"
            " on from there, with --workers 0 without such processes"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    torch.set_num_threads(1)  # there are as many processes as cores already
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that gets SIGKILL cannot say goodbye, and its workers would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
