"""The hidden folder of a build that is not finished: its plan, its finished shards, its rejects.

It lies beside the repo. The plan says what is built from what; each finished shard says where the
source then stood. It goes when the build is complete, or when the source turns out to be bad.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset_scripts.schema import shard_name
from dataset_scripts.shards import Shards, sha256_of
from emonet_face.errors import EmoNetFaceError
from emonet_face.outputs import locked, remove, write_json

_PLAN, _STATE, _REJECTS = "plan.json", "shard.json", "rejects.jsonl"


@dataclass(frozen=True)
class KeptShard:
    """A finished shard.

    Attributes:
        path: where it lies for the time being.
        n_rows, num_bytes: as in `Shards`.
        sha256: hex digest of the file.
        state: where the build stood behind its last row, as JSON values.
    """

    path: Path
    n_rows: int
    num_bytes: int
    sha256: str
    state: dict[str, Any]


@contextmanager
def unfinished(out: Path, config: str, plan: Mapping[str, Any]) -> Iterator[Unfinished]:
    """Give the hidden folder of a build, with what an equal build before it finished.

    Args:
        out: the repo, an absolute path.
        config: what is built in it.
        plan: JSON values that tell this build from any other; another plan starts over.

    Raises:
        EmoNetFaceError: another process has the folder; or, in place of an OSError in the block,
            that its finished shards are kept.
    """
    folder = out.parent / f".{out.name}.unfinished-{config}"
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        try:
            held.enter_context(locked(folder, wait=False))
        except BlockingIOError:
            raise EmoNetFaceError(f"{out}: {config} is being built by another process") from None
        work = Unfinished(folder, config, plan)
        try:
            yield work
        except OSError as error:
            if not work.shards:
                remove(folder)
                raise
            raise EmoNetFaceError(
                f"{error.filename or out}: {error.strerror or error}; {len(work.shards)} finished"
                f" shards are kept in {folder}, the same call goes on from there"
            ) from error
        except EmoNetFaceError:
            remove(folder)
            raise
        except BaseException:
            if not work.shards:
                remove(folder)
            raise
        remove(folder)


class Unfinished:
    """The hidden folder of one build.

    Attributes:
        folder: where it is.
        rejects: the file for the rejects so far.
        shards: the finished shards, in order.
    """

    def __init__(self, folder: Path, config: str, plan: Mapping[str, Any]) -> None:
        """
        Args:
            folder: it exists, and nobody else works in it.
            config, plan: of the build; what belongs to another plan is deleted.
        """
        self.folder = folder
        self.rejects = folder / _REJECTS
        self.shards: list[KeptShard] = []
        self._config = config
        if _read_json(folder / _PLAN) != plan:
            for entry in folder.iterdir():
                remove(entry)
            write_json(folder / _PLAN, plan)
        while (shard := self._finished(self._folder())) is not None:
            self.shards.append(shard)
        for entry in folder.iterdir():
            if entry.is_dir() and entry.name >= self._folder().name:
                remove(entry)

    def _folder(self) -> Path:
        return self.folder / f"{len(self.shards):05d}"

    def _shard(self, folder: Path) -> Path:
        return folder / shard_name(self._config, 0, 1)

    def _finished(self, folder: Path) -> KeptShard | None:
        record = _read_json(folder / _STATE)
        path = self._shard(folder)
        try:
            shard = KeptShard(path, **record)
            return shard if sha256_of(path) == shard.sha256 else None
        except (OSError, TypeError):  # gone, or noted by another version
            return None

    def next_folder(self) -> Path:
        """An empty folder for the next shard."""
        folder = self._folder()
        remove(folder)
        folder.mkdir()
        return folder

    def keep(self, folder: Path, shards: Shards, state: dict[str, Any]) -> None:
        """Note that the shard in a folder is finished; one without rows is nothing to keep."""
        if not shards.n_rows:
            return
        (path,), (sha256,) = shards.paths, shards.hashes
        kept = KeptShard(path, shards.n_rows, shards.num_bytes, sha256, state)
        self.shards.append(kept)
        record = {name: value for name, value in vars(kept).items() if name != "path"}
        write_json(folder / _STATE, record)

    def place(self, into: Path) -> Shards:
        """Put all finished shards below a folder, named as those of a repo."""
        names = [shard_name(self._config, i, len(self.shards)) for i in range(len(self.shards))]
        paths = tuple(into / name for name in names)
        for path, shard in zip(paths, self.shards, strict=True):
            path.parent.mkdir(exist_ok=True)
            try:
                os.link(shard.path, path)
            except OSError:  # a file system without hard links
                os.replace(shard.path, path)
        n_rows = sum(shard.n_rows for shard in self.shards)
        num_bytes = sum(shard.num_bytes for shard in self.shards)
        return Shards(paths, n_rows, num_bytes, tuple(shard.sha256 for shard in self.shards))


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
