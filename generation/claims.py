"""The claim file of a run: which batches are done, and which some process is making right now.

It has one byte a batch, 1 where the batch is done, and a lock on that byte for as long as a process
makes the batch. The system itself gives such a lock back when its process ends, however it ends: no
lease that is too short or too long, no clocks to compare, nothing to clean up after `kill -9`, no
moment in which two processes take over a dead one's claim.

Several machines can share a run where the file system passes POSIX locks between them: NFS (v4, or
v3 with its lock manager), GPFS, CephFS, Lustre mounted with `flock`. Where it does not, machines
would not see each other's claims: give each a run of its own, with a seed of its own.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

try:
    import fcntl
except ImportError:  # Windows: no locks, so no sharing
    fcntl = None

_DONE = b"\x01"


class ClaimFile:
    """The open claim file; open it only once in a process: closing it gives all locks back.

    On Windows, which has no such locks, a run must not be shared.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)

    def __enter__(self) -> ClaimFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._file)

    def is_done(self, number: int) -> bool:
        """Whether a batch is marked as done."""
        return os.pread(self._file, 1, number) == _DONE

    def claim(self, number: int) -> bool:
        """Take a batch; False where it is done or another process makes it."""
        if self.is_done(number) or not self._try(number):
            return False
        if self.is_done(number):  # in the meantime; on NFS only a lock shows what others wrote
            self.release(number)
            return False
        return True

    def finish(self, number: int) -> None:
        """Mark a claimed batch as done and give it back."""
        os.pwrite(self._file, _DONE, number)
        self.release(number)

    def reopen(self, number: int) -> None:
        """Mark a batch as not done."""
        os.pwrite(self._file, b"\0", number)

    def release(self, number: int) -> None:
        """Give a batch back, done or not."""
        if fcntl is not None:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, number)

    def wait(self, number: int) -> None:
        """Take a place as soon as whoever has it gives it back."""
        if fcntl is not None:
            fcntl.lockf(self._file, fcntl.LOCK_EX, 1, number)

    def _try(self, number: int) -> bool:
        if fcntl is None:
            return True
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
        except (BlockingIOError, PermissionError):  # POSIX allows either
            return False
        return True
