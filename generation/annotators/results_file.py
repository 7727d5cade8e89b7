"""The results of an annotation: one JSON line for each image, appended as the answers come.

A line's `key` is the hash of everything that was sent for its image, so a call that is repeated
finds what is there and asks for the rest: killed and continued, nothing is lost or paid for twice.
Several processes may share a file. Each takes an image by a lock on one byte of a lock file beside
it; the system gives such a lock back however the process ends.

A line with "final": false says that nobody answered; the next call asks again, and the answer takes
the line's place when the file is closed.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType
from typing import Any

from emonet_face.errors import EmoNetFaceError, shown
from emonet_face.outputs import PARTIAL, remove_stale
from generation.annotators.claims import Claims

_BEGINNING = b'{"image": "'
"""Of every line."""
_KINDS: dict[str, Any] = {
    "image": str,
    "key": str,
    "cost": (int, float, NoneType),
    "final": (bool, NoneType),
    "scores": (dict, NoneType),
    "error": (str, NoneType),
}
_SYNC_S = 1.0
"""A line may be this old before it is made safe from a power failure."""


def payload_key(plan: Mapping[str, object], image: str, sha256: str) -> str:
    """The key of a result: a hash of all that it depends on.

    Args:
        plan: annotator, protocol, prompt version, model, sampling, control.
        image: file name; two files may hold the same picture.
        sha256: of the picture that is sent.
    """
    payload = json.dumps([plan, image, sha256], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(payload.encode()).hexdigest()


class ResultsFile:
    """Results in a file that this and other processes append to. Safe for many threads.

    Attributes:
        path: the file.
        cost: what the lines say was paid, in all.
    """

    def __init__(self, path: Path, plan: Mapping[str, object]) -> None:
        """Open the file, or make it with the first line.

        Args:
            path: JSON lines.
            plan: what is the same for all lines; every line holds these fields.

        Raises:
            EmoNetFaceError: the file is no results file, holds those of another plan, or cannot be
                read or written.
        """
        self.path = Path(os.path.abspath(path))
        self.cost = 0.0
        self._plan = json.loads(json.dumps(plan))
        self._keys: dict[str, bool] = {}
        self._key_of_image: dict[str, str] = {}
        self._superseded = 0
        self._claimed: set[str] = set()
        self._offset, self._number, self._inode = 0, 0, None
        self._lock = threading.RLock()
        self._synced = time.monotonic()
        if self.path.is_dir():
            raise EmoNetFaceError(f"{path}: is a folder; give the name of a file")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        remove_stale(self.path.parent, self.path.name)
        self._claims = Claims(self.path.with_name(f".{self.path.name}.lock"))
        try:
            self._refresh()
            with self._claims.changing():
                self._heal()
            self._refresh()
        except BaseException:
            self._claims.close()
            raise

    def lines(self) -> Iterator[dict[str, Any]]:
        """The latest line of each image, in the order of image names."""
        with self._lock:
            latest = {line["image"]: line for _, line in self._read_from(0)}
        for image in sorted(latest):
            yield latest[image]

    def done(self, key: str, image: str) -> bool:
        """Whether a final line has this key.

        Raises:
            EmoNetFaceError: the image has a final line that was made from another payload.
        """
        with self._lock:
            if self._keys.get(key):
                return True
            other = self._key_of_image.get(image)
            if other not in (None, key) and self._keys[other]:
                raise EmoNetFaceError(
                    f"{self.path}: {image!r} has a result for another picture under this name;"
                    " give another --out"
                )
            return False

    def claim(self, key: str, image: str) -> bool:
        """Take an image to work on; False where it is done, or another process has it.

        Raises:
            EmoNetFaceError: see `done`.
        """
        with self._lock:
            if key in self._claimed or not self._claims.take(key):
                return False
            self._refresh()  # another process may have finished it and let go
            if self.done(key, image):
                self._claims.give_back(key)
                return False
            self._claimed.add(key)
            return True

    def append(self, key: str, line: Mapping[str, object]) -> None:
        """Write the result of a claimed image, and let go of it.

        Args:
            key: of `claim`.
            line: "image" and what was said of it; the plan and the key are added.
        """
        whole = {"image": line["image"], **self._plan, **line, "key": key}
        data = (json.dumps(whole, ensure_ascii=False) + "\n").encode("utf-8", "replace")
        with self._lock:
            with self._claims.changing():
                self._heal()
                with self.path.open("ab", buffering=0) as stream:
                    about = os.fstat(stream.fileno())
                    try:
                        written = stream.write(data)
                    except OSError as error:
                        error.filename = os.fspath(self.path)  # the system does not name it
                        raise
                if written != len(data):
                    raise EmoNetFaceError(f"{self.path}: cannot be written (disk full)")
                if (about.st_ino, about.st_size) == (self._inode, self._offset):
                    self._offset += written  # nobody else wrote: no need to read it back
                    self._number += 1
                    self._take_in(whole)
            self._refresh()
            self.release(key)
            due = time.monotonic() - self._synced > _SYNC_S
            if due:
                self._synced = time.monotonic()
        if due:
            self._sync()  # while others go on

    def _sync(self) -> None:
        with self.path.open("rb") as stream:
            os.fsync(stream.fileno())

    def release(self, key: str) -> None:
        """Let go of an image without a result."""
        with self._lock:
            if key in self._claimed:
                self._claimed.remove(key)
                self._claims.give_back(key)

    def close(self) -> None:
        """Drop the lines that later ones took the place of; the last user removes the lock file."""
        with self._lock:
            try:
                if self.path.exists():
                    self._sync()
                    if self._claims.alone():
                        self._refresh()
                        if self._superseded:
                            with self._claims.changing():
                                self._compact()
            finally:
                self._claims.close()

    def _refresh(self) -> None:
        """Take in the lines that were added since, by whomever."""
        try:
            about = self.path.stat()
        except FileNotFoundError:
            return
        if about.st_ino != self._inode:
            self._inode, self._offset, self._number = about.st_ino, 0, 0
            self._keys.clear()
            self._key_of_image.clear()
            self._superseded, self.cost = 0, 0.0
        if about.st_size > self._offset:
            for end, line in self._read_from(self._offset):
                self._offset = end
                self._take_in(line)

    def _take_in(self, line: dict[str, Any]) -> None:
        key, image = line["key"], line["image"]
        before = self._key_of_image.get(image)
        if before is not None:
            self._superseded += 1
        self._keys[key] = line.get("final", True)
        self._key_of_image[image] = key
        self.cost += line.get("cost") or 0.0

    def _read_from(self, offset: int) -> Iterator[tuple[int, dict[str, Any]]]:
        """(where it ends, the line) for each whole line from a place on."""
        if not self.path.exists():
            return
        number = self._number if offset else 0
        with self.path.open("rb") as stream:
            stream.seek(offset)
            for text in stream:
                if not text.endswith(b"\n"):
                    break  # being written by another process
                number += 1
                offset += len(text)
                if text.strip():
                    yield offset, self._checked(text, number)
        self._number = number

    def _checked(self, text: bytes, number: int) -> dict[str, Any]:
        where = f"{self.path}, line {number}"
        try:
            line = json.loads(text)
        except ValueError:
            raise EmoNetFaceError(
                f"{where}: is not JSON; remove the line (its image is then asked about again), or"
                " give another --out"
            ) from None
        needed = ("image", "key", *self._plan)
        if not isinstance(line, dict) or any(key not in line for key in needed):
            raise _not_ours(where)
        for key, kinds in _KINDS.items():
            if not isinstance(line.get(key), kinds):
                raise EmoNetFaceError(
                    f"{where}: {key!r} is {shown(line[key])}; remove the line (its image is then"
                    " asked about again), or give another --out"
                )
        for key, value in self._plan.items():
            if line[key] != value:
                raise EmoNetFaceError(
                    f"{where}: has {key} {line[key]!r}, not {value!r}; give another --out"
                )
        return line

    def _compact(self) -> None:
        latest: dict[str, int] = {}
        lines = [line for _, line in self._read_from(0)]
        for number, line in enumerate(lines):
            latest[line["image"]] = number
        kept = sorted(latest.values())
        aside = self.path.with_name(f".{self.path.name}.{PARTIAL}-{os.getpid()}")
        with aside.open("wb") as stream:
            for number in kept:
                text = json.dumps(lines[number], ensure_ascii=False) + "\n"
                stream.write(text.encode("utf-8", "replace"))
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(aside, self.path)

    def _heal(self) -> None:
        """Cut off a line whose writer was killed before its end."""
        if not self.path.exists():
            return
        with self.path.open("r+b") as stream:
            size = end = stream.seek(0, os.SEEK_END)
            stream.seek(max(size - 1, 0))
            if stream.read(1) in (b"", b"\n"):
                return
            while end:
                start = max(end - 65536, 0)
                stream.seek(start)
                found = stream.read(end - start).rfind(b"\n")
                if found >= 0:
                    end = start + found + 1
                    break
                end = start
            if not end:  # no line before it that shows whose file this is
                stream.seek(0)
                beginning = stream.read(len(_BEGINNING))
                if beginning != _BEGINNING[: len(beginning)]:
                    raise _not_ours(str(self.path))
            stream.truncate(end)


def _not_ours(where: str) -> EmoNetFaceError:
    return EmoNetFaceError(
        f"{where}: exists and was not made by this command; give another name or remove it"
    )
