"""The exact folders that `publish` uploads, staged without copying any large file.

A staged folder holds what its source held at one moment: small files are copied, large ones are
hard links (symbolic ones where the file system knows no hard links), so what is checked is what is
uploaded. Its card is rendered again, so that snippets name the repo as it is called on the Hub; the
source keeps its own. A source file that is replaced afterwards changes nothing here; one that is
written into is noticed, because size and times of all files are compared again before anything is
committed.

Faults of a folder are noted with it and not raised, so that one run finds those of all folders.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from cards.collection import KINDS
from cards.hub_names import check_name
from cards.publishing.own_text import render_anew
from cards.publishing.staged_files import StagedFile, StagedRepo, hashed, placed
from cards.render import kind_of
from emonet_face.errors import EmoNetFaceError
from emonet_face.outputs import PARTIAL, remove_stale

SMALL_BYTES = 1 << 20
"""Files up to this size are copied when staged."""

_SIGNS = {"model": "config.json", "dataset": "*/*.parquet"}
"""Kind -> files that tell it where what tells it for sure cannot be read."""

_THREADS = 4


@contextmanager
def staged(hub_dir: Path, org: str) -> Iterator[list[StagedRepo]]:
    """Stage every folder of `hub_dir` for the length of a block, in the order of `KINDS`.

    The staging folder lies beside `hub_dir`, hidden, so that hard links are possible; what dead
    processes left there is removed first. Where nothing can be written there, it lies among the
    temporary files.

    Args:
        hub_dir: the folder that holds the products.
        org: organisation that the cards name.

    Yields:
        All folders, those with faults too; `verify` lists them, and nothing with a fault is sent.

    Raises:
        EmoNetFaceError: no such folder, nothing in it, or it is a product itself.
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
    order = [*KINDS, ""]
    try:
        repos = [_stage(source, aside / source.name, org) for source in sources]
        yield sorted(repos, key=lambda repo: (order.index(repo.kind), repo.name))
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
    return path.is_symlink() or (path.is_dir() and not path.name.startswith("."))


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
    """A folder, staged as far as its faults allow."""
    if source.is_symlink():
        fault = ("", "is a symbolic link; publish uploads real folders only")
        return StagedRepo(source.name, "", folder, (), (fault,), has_card=False)
    faults: list[tuple[str, str]] = []
    with _noting(faults, source):
        check_name(source.name, f"{source}")
    kind = _kind(source, faults)
    for original in _walk(source, faults):
        place = folder / original.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        with _noting(faults, source, folder):
            _put(original, place)
    replaced = None
    if kind:
        with _noting(faults, source, folder):
            replaced = render_anew(folder, org)

    def looked_at(path: Path) -> StagedFile | None:
        with _noting(faults, folder, source, only=PermissionError):
            return hashed(folder, path)
        return None

    paths = sorted(Path(base, name) for base, _, names in os.walk(folder) for name in names)
    with ThreadPoolExecutor(_THREADS) as threads:
        files = [file for file in threads.map(looked_at, paths) if file is not None]
    return StagedRepo(
        name=source.name,
        kind=kind,
        folder=folder,
        files=tuple(sorted(files, key=lambda file: file.name)),
        faults=tuple(dict.fromkeys(faults)),
        has_card=replaced is not None,
        replaced=replaced or (),
    )


def _kind(source: Path, faults: list[tuple[str, str]]) -> str:
    """A folder's kind, told by other signs where a file is broken; "" where it cannot be told."""
    with _noting(faults, source):
        return kind_of(source)
    with suppress(EmoNetFaceError):
        return kind_of(source, front={})
    return next((kind for kind, sign in _SIGNS.items() if any(source.glob(sign))), "")


@contextmanager
def _noting(
    faults: list[tuple[str, str]],
    *folders: Path,
    only: type[Exception] | tuple[type[Exception], ...] = (EmoNetFaceError, PermissionError),
) -> Iterator[None]:
    """Note what is raised as a fault, its place below one of `folders`."""
    try:
        yield
    except only as error:
        text = str(error)
        if isinstance(error, OSError):
            text = f"{error.filename}: cannot be read ({error.strerror})"
        faults.append(placed(text, *folders))


def _walk(source: Path, faults: list[tuple[str, str]]) -> Iterator[Path]:
    """The regular files of a folder; links, devices and what cannot be listed are faults."""

    def unlisted(error: OSError) -> None:
        name = Path(error.filename).relative_to(source).as_posix()
        faults.append((name, f"cannot be read ({error.strerror})"))

    for base, folders, names in os.walk(source, onerror=unlisted):
        for name in sorted([*folders, *names]):
            path = Path(base, name)
            mode = path.lstat().st_mode
            where = path.relative_to(source).as_posix()
            if stat.S_ISLNK(mode):
                faults.append((where, "is a symbolic link; put the file itself there"))
            elif stat.S_ISREG(mode):
                yield path
            elif not stat.S_ISDIR(mode):
                faults.append((where, "is no regular file and cannot be published"))


def _put(original: Path, place: Path) -> None:
    if original.stat().st_size <= SMALL_BYTES:
        shutil.copyfile(original, place)
        return
    try:
        os.link(original, place)
    except OSError:
        place.symlink_to(original)
