"""The exact folders that `publish` uploads, staged without copying any large file.

A staged folder holds what its source held at one moment: small files are copied, large ones are
hard links (symbolic ones where the file system knows no hard links), so what is checked is what is
uploaded. Its card is rendered again, so that snippets name the repo as it is called on the Hub; the
source keeps its own. A source file that is replaced afterwards changes nothing here; one that is
written into is noticed, because size and times of all files are compared again before anything is
committed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cards.collection import KINDS
from cards.hub_names import check_name
from cards.render import kind_of, render_card
from emonet_face.errors import EmoNetFaceError
from emonet_face.outputs import PARTIAL, remove_stale

"""In the order they are published: a page comes after the model that it shows."""

REPO_TYPES = {"dataset": "dataset", "model": "model", "metric": "space", "space": "space"}
"""What each is on the Hub: `evaluate.load` looks for metrics among the Spaces."""

SMALL_BYTES = 1 << 20
"""Files up to this size are copied when staged."""

_THREADS = 4


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
    """A folder to publish as one repo.

    Attributes:
        name: the repo's name without organisation; the folder's.
        kind: one of `KINDS`.
        folder: where it is staged.
        files: sorted by name.
    """

    name: str
    kind: str
    folder: Path
    files: tuple[StagedFile, ...]

    @property
    def repo_type(self) -> str:
        """What it is on the Hub: "dataset", "model" or "space"."""
        return REPO_TYPES[self.kind]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


@contextmanager
def staged(hub_dir: Path, org: str) -> Iterator[list[StagedRepo]]:
    """Stage every folder of `hub_dir` for the length of a block, in the order of `KINDS`.

    The staging folder lies beside `hub_dir`, hidden, so that hard links are possible; what dead
    processes left there is removed first. Where nothing can be written there, it lies among the
    temporary files.

    Args:
        hub_dir: the folder that holds the products.
        org: organisation that the cards name.

    Raises:
        EmoNetFaceError: no such folder, nothing in it, a folder that is no product or has a name
            that the Hub refuses, a link or a device in one.
    """
    hub = Path(os.path.realpath(hub_dir))
    if not hub.is_dir():
        raise EmoNetFaceError(f"{hub_dir}: no such folder; give the one that holds the products")
    if _is_product(hub):
        raise EmoNetFaceError(f"{hub_dir}: is a product itself; give the folder that holds it")
    sources = sorted(path for path in hub.iterdir() if _is_source(path))
    if not sources:
        raise EmoNetFaceError(f"{hub_dir}: holds no folders; each product is a folder in it")
    aside = _staging_folder(hub)
    try:
        repos = [_stage(source, aside / source.name, org) for source in sources]
        yield sorted(repos, key=lambda repo: (KINDS.index(repo.kind), repo.name))
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _is_product(folder: Path) -> bool:
    try:
        return bool(kind_of(folder))
    except EmoNetFaceError:
        return False


def left_out(hub_dir: Path) -> list[str]:
    """Names in `hub_dir` that belong to no repo, such as reports of rejected rows."""
    return sorted(path.name for path in hub_dir.iterdir() if not _is_source(path))


def _is_source(path: Path) -> bool:
    if path.is_symlink():
        raise EmoNetFaceError(f"{path}: is a symbolic link; publish uploads real folders only")
    return path.is_dir() and not path.name.startswith(".")


def _staging_folder(hub: Path) -> Path:
    aside = hub.parent / f".{hub.name}.{PARTIAL}-{os.getpid()}"
    try:
        remove_stale(hub.parent, hub.name)
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
    except OSError:
        return Path(tempfile.mkdtemp(prefix="emonet-face-publish-"))
    return aside


def _stage(source: Path, folder: Path, org: str) -> StagedRepo:
    check_name(source.name, f"{source}")
    kind = kind_of(source)
    for original in _walk(source):
        place = folder / original.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        _put(original, place)
    try:
        render_card(folder, org)
    except EmoNetFaceError as error:
        raise EmoNetFaceError(str(error).replace(f"{folder}", f"{source}")) from None
    paths = [Path(base, name) for base, _, names in os.walk(folder) for name in names]
    with ThreadPoolExecutor(_THREADS) as threads:
        files = tuple(threads.map(lambda path: _hashed(folder, path), paths))
    return StagedRepo(source.name, kind, folder, tuple(sorted(files, key=lambda file: file.name)))


def _walk(source: Path) -> Iterator[Path]:
    for base, folders, names in os.walk(source):
        for name in [*folders, *names]:
            path = Path(base, name)
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                raise EmoNetFaceError(f"{path}: is a symbolic link; put the file itself there")
            if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
                raise EmoNetFaceError(f"{path}: is no regular file and cannot be published")
            if stat.S_ISREG(mode):
                yield path


def _put(original: Path, place: Path) -> None:
    if original.stat().st_size <= SMALL_BYTES:
        shutil.copyfile(original, place)
        return
    try:
        os.link(original, place)
    except OSError:
        place.symlink_to(original)


def _hashed(folder: Path, path: Path) -> StagedFile:
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
