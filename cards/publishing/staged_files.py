"""Files and folders as they are staged: hashed once, compared with that before they are sent."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from emonet_face.errors import EmoNetFaceError

REPO_TYPES = {"dataset": "dataset", "model": "model", "metric": "space", "space": "space"}
"""What each is on the Hub: `evaluate.load` looks for metrics among the Spaces."""


@dataclass(frozen=True)
class StagedFile:
    """A file to publish.

    Attributes:
        name: its path in the repo, with "/".
        path: where it is staged.
        size: bytes.
        stamp: what the file system said of it when it was hashed: size, time, identity.
        sha256: of its content.
    """

    name: str
    path: Path
    size: int
    stamp: tuple[int, ...]
    sha256: str

    def check(self) -> None:
        """Raise EmoNetFaceError where the file is gone or was written into since it was hashed."""
        try:
            now = _stamp(self.path)
        except FileNotFoundError:
            raise EmoNetFaceError(
                f"{self.path}: is gone: the staging folder was cleared away during the upload;"
                " nothing was committed, run the command again"
            ) from None
        if now != self.stamp:
            raise EmoNetFaceError(
                f"{self.name}: was changed during the upload; nothing was committed, run the"
                " command again when the file is finished"
            )

    def read(self) -> bytes:
        """The content, which must still be what was hashed."""
        self.check()
        data = self.path.read_bytes()
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise EmoNetFaceError(f"{self.name}: was changed during the upload; run it again")
        return data

    def git_id(self) -> str:
        """The id git gives the content, by which a Hub names files it does not keep as large."""
        total = hashlib.sha1(b"blob %d\0" % self.size, usedforsecurity=False)
        with self.path.open("rb") as stream:
            while block := stream.read(1 << 20):
                total.update(block)
        return total.hexdigest()


@dataclass(frozen=True)
class StagedRepo:
    """A folder to publish as one repo, or one that cannot be because of its faults.

    Attributes:
        name: the repo's name without organisation; the folder's.
        kind: one of `KINDS`; "" where it cannot be told, which is one of the faults.
        folder: where it is staged.
        files: sorted by name.
        faults: (path in the repo, what is wrong) of what could not be staged; path "": all of it.
        has_card: whether its card could be rendered.
        replaced: a line for each file of the card whose own text in the folder is not published.
    """

    name: str
    kind: str
    folder: Path
    files: tuple[StagedFile, ...]
    faults: tuple[tuple[str, str], ...] = ()
    has_card: bool = True
    replaced: tuple[str, ...] = ()

    @property
    def repo_type(self) -> str:
        """What it is on the Hub: "dataset", "model" or "space"."""
        return REPO_TYPES[self.kind]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def placed(text: str, *folders: Path) -> tuple[str, str]:
    """An error's text -> (path below one of `folders`, what is wrong there); path "": all of it.

    >>> placed("/hub/model/README.md: is empty", Path("/hub/model"))
    ('README.md', 'is empty')
    >>> placed("/hub/model: is no product folder", Path("/hub/model"))
    ('', 'is no product folder')
    """
    where = ""
    for folder in map(str, folders):
        if text.startswith((f"{folder}/", f"{folder}: ")):
            where, _, text = text.removeprefix(folder).removeprefix("/").partition(": ")
        text = text.replace(f"{folder}/", "")
    return where, text


def hashed(folder: Path, path: Path) -> StagedFile:
    """A file of a staged folder, read once for its hash.

    Raises:
        EmoNetFaceError: it was written into meanwhile.
    """
    before = _stamp(path)
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    name = path.relative_to(folder).as_posix()
    if _stamp(path) != before:
        raise EmoNetFaceError(f"{name}: was changed while it was read; run the command again")
    return StagedFile(name, path, before[0], before, digest)


def _stamp(path: Path) -> tuple[int, ...]:
    now = path.stat()
    return now.st_size, now.st_mtime_ns, now.st_ino, now.st_dev
