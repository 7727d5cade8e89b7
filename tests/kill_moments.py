"""Kill a piece of work at every moment between two changes of files: the moments are counted.

The work runs in a process of its own, which sends itself SIGKILL just before its n-th change of a
file below a folder (created, written to, renamed, linked, removed). Used by test_build_faults.py.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

_CHANGES = {"os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(
    ["dataset_scripts.builder", "emonet_face.cli", "yaml", "PIL.PngImagePlugin", "pytest"]
)
"""What the work imports: each process then starts in a fifth of a second."""


def finishes(root: Path, moment: int | None, work: Callable, *arguments: object) -> bool:
    """Run `work(*arguments)`, killed before its n-th change below `root` (n from 1).

    Returns:
        Whether it finished: it made fewer changes than that, or `moment` is None. An error in it is
        an AssertionError here.
    """
    process = _processes.Process(target=_child, args=(str(root), moment, work, arguments))
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL), f"{work.__name__} failed, see its traceback"
    return process.exitcode == 0


def _child(root: str, moment: int | None, work: Callable, arguments: tuple) -> None:
    seen = 0

    def hook(event: str, details: tuple) -> None:
        nonlocal seen
        if event == "open":
            path, _, flags = details
            changes = bool(flags & _WRITING) and str(path).startswith(root)
        elif event == "ctypes.dlsym":
            changes = details[1] == "renameat2"  # looked up just before it swaps two folders
        else:
            changes = event in _CHANGES
        seen += changes
        if changes and seen == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    work(*arguments)


def without_exchange(work: Callable, *arguments: object) -> None:
    """`work` where folders cannot be swapped in one step, as on systems other than Linux."""
    from emonet_face import outputs

    outputs._exchange = lambda one, other: False
    work(*arguments)
