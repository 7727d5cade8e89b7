"""Claims on single answers of a shared results file: a lock file beside it (`generation.claims`).

Unlike a run's batches, answers have no numbers: a key's hash tells its byte. What is done stands in
the results file, so that the lock file itself stays empty and its last user removes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from generation.claims import ByteLocks

_CHANGE, _FIRST_CLAIM = 0, 1
"""Bytes of the lock file: held while the results file is changed; the rest."""
_CLAIM_DIGITS = 15
"""Hexadecimal digits of a key that give its byte: fewer than a file offset has room for."""


class Claims:
    """The lock file beside a shared file."""

    def __init__(self, path: Path) -> None:
        """
        Args:
            path: of the lock file; it is made where it is missing.
        """
        self._locks = ByteLocks(path)
        self._closed = False

    def take(self, key: str) -> bool:
        """Claim a key, the hexadecimal text of a hash; False where another process has it."""
        return self._locks.take(_byte_of(key))

    def give_back(self, key: str) -> None:
        """Let go of a claimed key."""
        self._locks.give_back(_byte_of(key))

    @contextmanager
    def changing(self) -> Iterator[None]:
        """While inside, no other process is."""
        self._locks.wait_for(_CHANGE)
        try:
            yield
        finally:
            self._locks.give_back(_CHANGE)

    def alone(self) -> bool:
        """Whether nobody else uses the file; from here on nobody does before `close`."""
        return self._locks.alone()

    def close(self) -> None:
        """Give back all that is held; the second time, nothing."""
        if not self._closed:
            self._closed = True
            self._locks.close(remove=True)


def _byte_of(key: str) -> int:
    return _FIRST_CLAIM + int(key[:_CLAIM_DIGITS], 16)
