"""Who makes what, where several processes or machines share work: locks on single bytes of a file.

The system itself gives such a lock back when its process ends, however it ends: no lease that is
too short or too long, no clocks to compare, nothing to clean up after `kill -9`, no moment in which
two processes take over a dead one's claim. Locks do not keep the threads of one process apart, and
closing the file in one place of a process gives back what it holds in another.

Several machines can share the work where the file system passes POSIX locks between them: NFS (v4,
or v3 with its lock manager), GPFS, CephFS, Lustre mounted with `flock`. Where it does not, machines
would not see each other's claims: give each a run of its own, with a seed of its own. On Windows,
which has no such locks, nothing may be shared.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_USERS = 2**62
"""A byte far behind all others, which each user of the file shares."""

_DONE = b"\x01"


class ByteLocks:
    """The bytes of a file that is there only to be locked; it is made where it is missing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        while True:
            self.file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            self._lock("LOCK_SH", _USERS)
            if self._is_at_its_path():
                return
            os.close(self.file)  # its last user removed it between our two calls

    def take(self, byte: int) -> bool:
        """Lock a byte; False where another process has it."""
        try:
            self._lock("LOCK_EX", byte, wait=False)
        except (BlockingIOError, PermissionError):  # POSIX allows either
            return False
        return True

    def wait_for(self, byte: int) -> None:
        """Lock a byte as soon as whoever has it gives it back."""
        self._lock("LOCK_EX", byte)

    def give_back(self, byte: int) -> None:
        """Unlock a byte."""
        self._lock("LOCK_UN", byte)

    def alone(self) -> bool:
        """Whether nobody else uses the file; from here on nobody does before `close`.

        The own share is given up first: of two that leave at once, one then finds itself alone.
        """
        self.give_back(_USERS)
        return self.take(_USERS)

    def close(self, *, remove: bool) -> None:
        """Give back all that is held.

        Args:
            remove: delete the file if nobody else uses it.
        """
        if remove and self.alone() and self._is_at_its_path():
            self._path.unlink()
        os.close(self.file)

    def _is_at_its_path(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self.file), os.stat(self._path))
        except FileNotFoundError:
            return False

    def _lock(self, kind: str, byte: int, *, wait: bool = True) -> None:
        if fcntl is not None:
            how = getattr(fcntl, kind) | (0 if wait else fcntl.LOCK_NB)
            fcntl.lockf(self.file, how, 1, byte)


class ClaimFile:
    """The open claim file of a run: one byte a batch, 1 where the batch is done.

    Whoever makes a batch holds the lock on its byte. Open the file only once in a process.
    """

    def __init__(self, path: Path) -> None:
        self._locks = ByteLocks(path)

    def __enter__(self) -> ClaimFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give all claims back; a file that says of no batch that it is done need not stay."""
        self._locks.close(remove=os.fstat(self._locks.file).st_size == 0)

    def is_done(self, number: int) -> bool:
        """Whether a batch is marked as done."""
        return os.pread(self._locks.file, 1, number) == _DONE

    def claim(self, number: int) -> bool:
        """Take a batch; False where it is done or another process makes it."""
        if self.is_done(number) or not self._locks.take(number):
            return False
        if self.is_done(number):  # in the meantime; on NFS only a lock shows what others wrote
            self.release(number)
            return False
        return True

    def finish(self, number: int) -> None:
        """Mark a claimed batch as done and give it back."""
        os.pwrite(self._locks.file, _DONE, number)
        self.release(number)

    def reopen(self, number: int) -> None:
        """Mark a batch as not done."""
        os.pwrite(self._locks.file, b"\0", number)

    def release(self, number: int) -> None:
        """Give a batch back, done or not."""
        self._locks.give_back(number)

    def wait(self, number: int) -> None:
        """Take a place as soon as whoever has it gives it back."""
        self._locks.wait_for(number)
