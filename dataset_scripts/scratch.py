"""A private table on disk for names that may be too many for memory.

It lies in the system's folder for temporary files, unlinked from the start: it goes with the
process, however that ends, and its cache is about 2 MB whatever it holds.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from emonet_face.errors import EmoNetFaceError


@contextmanager
def scratch() -> Iterator[sqlite3.Connection]:
    """Give an empty database that nobody else sees; it is gone when the block ends.

    Raises:
        EmoNetFaceError: no room is left for it.
    """
    try:
        with closing(sqlite3.connect("", isolation_level=None)) as database:
            database.execute("PRAGMA journal_mode = OFF")
            # One endless transaction: without it every row would be written through by itself.
            database.execute("BEGIN")
            yield database
    except sqlite3.OperationalError as error:
        raise EmoNetFaceError(
            f"the list of file names needs room on disk ({error});"
            " the environment's SQLITE_TMPDIR names another folder for it"
        ) from None


def encode(name: str) -> bytes:
    """A file name as bytes; names that are no Unicode keep the bytes they have on disk."""
    return name.encode("utf-8", "surrogateescape")


def decode(name: bytes) -> str:
    """The inverse of `encode`."""
    return name.decode("utf-8", "surrogateescape")
