"""Locks on single bytes of a file, through which processes share out work without a server.

The system keeps them by process and gives them back however it ends, killed or not. They do not
keep the threads of one process apart: whoever uses them does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: one process at a time, and nothing tells a second one
    fcntl = None  # type: ignore[assignment]

_CHANGE, _USE, _FIRST_CLAIM = 0, 1, 2
"""Bytes of the lock file: held while the shared file is changed; shared by its users; the rest."""
_CLAIM_DIGITS = 15
"""Hexadecimal digits of a key that give its byte: as many as a file offset has room for."""


class Claims:
    """The lock file beside a shared file; its last user removes it."""

    def __init__(self, path: Path) -> None:
        """
        Args:
            path: of the lock file; it is made where it is missing.
        """
        self._path = path
        self._handle = self._open()

    def _open(self) -> int | None:
        if fcntl is None:
            return None
        while True:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            fcntl.lockf(handle, fcntl.LOCK_SH, 1, _USE)
            try:
                if os.path.samestat(os.fstat(handle), os.stat(self._path)):
                    return handle
            except FileNotFoundError:
                pass  # its last user removed it between our two calls
            os.close(handle)

    def take(self, key: str) -> bool:
        """Claim a key, the hexadecimal text of a hash; False where another process has it."""
        return self._try(_byte_of(key))

    def give_back(self, key: str) -> None:
        """Let go of a claimed key."""
        self._unlock(_byte_of(key))

    @contextmanager
    def changing(self) -> Iterator[None]:
        """While inside, no other process is."""
        if self._handle is not None:
            fcntl.lockf(self._handle, fcntl.LOCK_EX, 1, _CHANGE)
        try:
            yield
        finally:
            self._unlock(_CHANGE)

    def alone(self) -> bool:
        """Whether nobody else uses the file; from here on nobody does before `close`.

        The own share is given up first: of two that leave at once, one then finds itself alone.
        """
        self._unlock(_USE)
        return self._try(_USE)

    def close(self) -> None:
        """Give back all that is held."""
        if self._handle is None:
            return
        if self.alone():
            self._path.unlink(missing_ok=True)
        os.close(self._handle)
        self._handle = None

    def _try(self, byte: int) -> bool:
        if self._handle is None:
            return True
        try:
            fcntl.lockf(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except OSError:
            return False
        return True

    def _unlock(self, byte: int) -> None:
        if self._handle is not None:
            fcntl.lockf(self._handle, fcntl.LOCK_UN, 1, byte)


def _byte_of(key: str) -> int:
    return _FIRST_CLAIM + int(key[:_CLAIM_DIGITS], 16)
