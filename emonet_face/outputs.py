"""Outputs that are whole or absent: written aside, renamed when complete.

An output that exists and was not made by this software is never overwritten: a folder is ours if
its manifest says which command made it, a file if its beginning shows our format.
"""

from __future__ import annotations

import errno
import glob
import json
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from emonet_face.errors import EmoNetFaceError

PARTIAL = "partial"
REPLACED = "replaced"
"""Marks in hidden names beside an output: what is being written, and what it replaces."""

_MOST_OF_HOST = 32
"""Characters of a machine's name in such a name."""

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # from Linux's fcntl.h


def _aside(out: Path) -> Path:
    """A fresh hidden name beside `out`; what dead processes left there is removed."""
    if not out.name:
        raise EmoNetFaceError(f"{out}: is not a name that can be written")
    remove_stale(out.parent, out.name)
    aside = own_name(out)
    remove(aside)
    return aside


def own_name(out: Path, mark: str = PARTIAL) -> Path:
    """A hidden name beside `out` that no other process has, on this machine or another."""
    return out.parent / f".{out.name}.{mark}-{_host()}-{os.getpid()}"


@cache
def _host() -> str:
    """This machine's name, as far as it can stand in a file name."""
    return re.sub(r"[^A-Za-z0-9.]+", ".", platform.node())[:_MOST_OF_HOST]


def remove_stale(folder: Path, name: str = "*") -> None:
    """Clear up after dead processes in a folder, for one output or for all.

    What they left half-written is deleted; a folder they had put aside to replace it, and never
    did, goes back to its place.
    """
    for old in _left(folder, name, REPLACED):
        place = folder / old.name[1:].rpartition(f".{REPLACED}-")[0]
        if place.exists():
            remove(old)
        else:
            old.rename(place)
    for stale in _left(folder, name, PARTIAL):
        remove(stale)


def _left(folder: Path, name: str, mark: str) -> Iterator[Path]:
    pattern = name if name == "*" else glob.escape(name)
    for path in folder.glob(f".{pattern}.{mark}-*"):
        owner, _, pid = path.name.rpartition("-")
        here = owner.endswith((f".{mark}-{_host()}", f".{mark}"))  # of others we cannot know
        if here and pid.isdigit() and int(pid) != os.getpid() and not _alive(int(pid)):
            yield path


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def remove(path: Path) -> None:
    """Delete a file or a folder, whichever is there; nothing is there: nothing happens."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def made_by(folder: Path, manifest: str) -> str | None:
    """The command named in a folder's manifest, None where there is no such manifest."""
    try:
        record = json.loads((folder / manifest).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record.get("made_by") if isinstance(record, dict) else None


@contextmanager
def locked(folder: Path, *, wait: bool) -> Iterator[None]:
    """Hold a folder's lock, which goes with the process, however it ends, and leaves no file.

    Where the system or the file system knows no such locks, nobody waits for anybody.

    Args:
        folder: it exists. Others may read and write in it: the lock is an agreement.
        wait: until whoever holds the lock lets go.

    Raises:
        BlockingIOError: another process holds the lock, and `wait` is False.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.EBADF, errno.ENOTSUP, errno.ENOSYS):
                raise
        yield
    finally:
        os.close(handle)


@contextmanager
def new_folder(out: Path, ours: Callable[[Path], bool]) -> Iterator[Path]:
    """Give a folder to fill; put it at `out` when the block ends well, remove it otherwise.

    Args:
        out: where the finished folder goes, links followed; its parents are made.
        ours: whether an existing folder may be replaced. An empty folder always may.

    Raises:
        EmoNetFaceError: `out` exists and is not ours. Nothing was touched then.
    """
    out = Path(os.path.realpath(out))
    remove_stale(out.parent, out.name)
    check_replaceable(out, ours)
    out.parent.mkdir(parents=True, exist_ok=True)
    aside = _aside(out)
    aside.mkdir()
    try:
        yield aside
        if not out.exists():
            aside.rename(out)
        elif not _exchange(aside, out):
            _replace(aside, out)
    finally:
        remove(aside)  # the exchanged old folder, or what did not become the new one


def _exchange(one: Path, other: Path) -> bool:
    """Swap two folders in one step; False where the system or the file system cannot."""
    import ctypes  # here, because few commands write folders and all import this module

    if not sys.platform.startswith("linux"):
        return False
    swap = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if swap is None:
        return False
    paths = os.fsencode(one), os.fsencode(other)
    return swap(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) == 0


def _replace(new: Path, out: Path) -> None:
    """`_exchange` in two steps: whoever is killed between them leaves `out` for remove_stale."""
    old = own_name(out, REPLACED)
    remove(old)
    out.rename(old)
    try:
        new.rename(out)
    except OSError:
        old.rename(out)
        raise
    remove(old)


def check_parents(out: Path) -> None:
    """Raise EmoNetFaceError where a file stands where a folder above `out` should be."""
    parent = next((parent for parent in out.parents if parent.exists()), None)
    if parent is not None and not parent.is_dir():
        raise EmoNetFaceError(f"{parent}: is a file; {out} cannot be below it")


def check_replaceable(out: Path, ours: Callable[[Path], bool]) -> None:
    """Raise EmoNetFaceError where `out` exists and is neither empty nor ours, or cannot be."""
    check_parents(out)
    if not out.exists() and not out.is_symlink():
        return
    if not out.is_dir():
        raise EmoNetFaceError(f"{out}: exists and is not a folder; give another name")
    if any(out.iterdir()) and not ours(out):
        raise EmoNetFaceError(
            f"{out}: exists and was not made by this command; give another name or remove it"
        )


@contextmanager
def new_file(out: Path, ours: Callable[[Path], bool]) -> Iterator[Path]:
    """Give a path to write; put the file at `out` when the block ends well.

    Args:
        out: where the finished file goes, links followed; its parents are made.
        ours: whether an existing file at `out` may be replaced. An empty file always may.

    Raises:
        EmoNetFaceError: `out` exists and is not ours. Nothing was touched then.
    """
    out = Path(os.path.realpath(out))
    check_file_replaceable(out, ours)
    out.parent.mkdir(parents=True, exist_ok=True)
    aside = _aside(out)
    try:
        yield aside
        os.replace(aside, out)
    finally:
        remove(aside)


def check_file_replaceable(out: Path, ours: Callable[[Path], bool]) -> None:
    """Raise EmoNetFaceError where `out` is a folder, a device or a pipe, a file that is neither
    empty nor ours, or cannot be.
    """
    check_parents(out)
    if out.is_dir():
        raise EmoNetFaceError(f"{out}: is a folder; give the name of a file")
    if not out.exists():
        return
    if not out.is_file():  # it has no size either, and a rename would put a file in its place
        raise EmoNetFaceError(f"{out}: is no regular file and cannot be replaced by one")
    if out.stat().st_size and not ours(out):
        raise EmoNetFaceError(
            f"{out}: exists and was not made by this command; give another name or remove it"
        )


def first_line_has(*needles: str) -> Callable[[Path], bool]:
    """An `ours` test for text files: the first line holds all the given pieces."""

    def ours(path: Path) -> bool:
        with path.open("rb") as stream:
            line = stream.readline(1_000_000).decode("utf-8", errors="replace")
        return all(needle in line for needle in needles)

    return ours


def write_text(path: Path, text: str) -> None:
    """Write a file of ours whole or not at all."""
    with new_file(path, ours=lambda _: True) as aside:
        aside.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    """Write indented UTF-8 JSON with a final newline; NaN is written as null by the caller.

    Raises:
        ValueError: the value holds NaN or an infinity, which JSON does not know.
    """
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
