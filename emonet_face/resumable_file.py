"""A text file that takes long to write: what an equal call had written before it ended is kept.

It grows in a hidden file beside its place, `.NAME.unfinished`; a second one says what is written
there and how far. The finished file is moved to its place.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from emonet_face.errors import EmoNetFaceError
from emonet_face.outputs import check_file_replaceable, remove


class ResumableFile:
    """The unfinished file, open at its end.

    Attributes:
        state: what was given to `keep` last, perhaps by an earlier call; empty at the start.
    """

    def __init__(self, stream: BinaryIO, record: Path, plan: Mapping[str, Any]) -> None:
        self.state: dict[str, Any] = {}
        self._stream, self._record, self._plan = stream, record, plan
        kept = _read_json(record)
        start = 0
        size = stream.seek(0, os.SEEK_END)
        # A file shorter than the record says is not the one that it speaks of.
        if isinstance(kept, dict) and kept.get("plan") == plan and size >= kept["bytes"]:
            start, self.state = kept["bytes"], kept["state"]
        if not start:
            remove(record)
        stream.seek(start)
        stream.truncate()

    def write(self, text: str) -> None:
        """Append text. Of names that are not UTF-8, the odd bytes are written as \\udcXX."""
        self._stream.write(text.encode("utf-8", "backslashreplace"))

    def keep(self, state: dict[str, Any]) -> None:
        """From here an equal call goes on if this one ends early.

        Args:
            state: JSON values, for the caller's own use.
        """
        self._stream.flush()
        record = {"plan": self._plan, "bytes": self._stream.tell(), "state": state}
        aside = self._record.with_name(f"{self._record.name}.new")
        aside.write_text(json.dumps(record), encoding="utf-8")
        os.replace(aside, self._record)
        self.state = state


@contextmanager
def resumable_file(
    out: Path, ours: Callable[[Path], bool], plan: Mapping[str, Any]
) -> Iterator[ResumableFile]:
    """Give a file to write on; put it at `out` when the block ends well.

    Where the block ends otherwise, what was kept stays for the next call with the same plan; if
    nothing was, nothing stays.

    Args:
        out: where the finished file goes, links followed; its parents are made.
        ours: whether an existing file at `out` may be replaced. An empty file always may.
        plan: JSON values that tell this file from any other; another plan starts over.

    Raises:
        EmoNetFaceError: `out` exists and is not ours, or another process is writing it. Nothing was
            touched then.
    """
    out = Path(os.path.realpath(out))
    check_file_replaceable(out, ours)
    out.parent.mkdir(parents=True, exist_ok=True)
    growing = out.parent / f".{out.name}.unfinished"
    record = growing.with_name(f"{growing.name}.json")
    plan = json.loads(json.dumps(plan))  # as it will be read back
    with open(os.open(growing, os.O_RDWR | os.O_CREAT, 0o666), "r+b") as stream:
        _lock(stream, growing, out)
        file = ResumableFile(stream, record, plan)
        try:
            yield file
        except BaseException:
            if not file.state:
                remove(growing)
                remove(record)
            raise
        stream.flush()
        os.replace(growing, out)
        remove(record)


def _lock(stream: BinaryIO, growing: Path, out: Path) -> None:
    """Take a lock that goes with the open file, however the process ends."""
    try:
        import fcntl
    except ImportError:  # Windows, where two writers at once are not told apart
        return
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever held the lock may have moved the finished file to its place since it was opened.
        if not os.path.samestat(os.fstat(stream.fileno()), growing.stat()):
            raise FileNotFoundError
    except (BlockingIOError, FileNotFoundError):
        raise EmoNetFaceError(f"{out}: is being written by another process") from None


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
