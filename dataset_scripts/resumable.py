"""Builds that may take hours: finished shards are kept aside, and the same call goes on from there.

After a kill, a full disk or Ctrl-C the same call finds what it had finished (see `unfinished`) and
goes on behind the last finished shard; a call with another plan, a changed source included, starts
over.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from dataset_scripts.rejects import Reject, rejects_file, rejects_path
from dataset_scripts.repository import BuildReport, replace_configs
from dataset_scripts.schema import Row
from dataset_scripts.shards import write_shards
from dataset_scripts.unfinished import unfinished
from emonet_face.progress import track

_BESIDE_IMAGE = 1_000
"""Bytes of a row without its image and its scores, generously."""


class Rows(Protocol):
    """Rows and rejects that can start anywhere in their source.

    Attributes:
        position: how much of the source the rows given so far have used up.
    """

    position: int

    def __iter__(self) -> Iterator[Row | Reject]: ...


def build_resumable(
    out: Path,
    config: str,
    rows_from: Callable[[int, Counter[str]], Rows],
    *,
    source: Path,
    plan: Mapping[str, Any],
    strict: bool,
    group_rows: int,
    shard_bytes: int,
    total: int | None = None,
) -> BuildReport:
    """Write or replace one config of a repo, shard by shard; what an equal call finished is kept.

    The repo is the same, byte for byte, whether the build was cut off or not.

    Args:
        out: the repo, an absolute path.
        config: its name.
        rows_from: the rows from a position of the source on; they count into the given counts.
        source: what is read, for errors.
        plan: JSON values that tell what the rows are made from, the state of the source included.
        strict: the first reject is an error.
        group_rows: rows of a Parquet row group.
        shard_bytes: about where a shard ends.
        total: positions of the source, for progress.

    Raises:
        EmoNetFaceError: `out` or the rejects file is not ours, the same config is being built by
            another process, a reject with `strict`, or no row is left. Nothing was written then.
    """
    counts: Counter[str] = Counter()
    path = rejects_path(out, config)
    plan = {**plan, "strict": strict, "group_rows": group_rows, "shard_bytes": shard_bytes}
    with unfinished(out, config, plan) as work:
        n_kept = len(work.shards)
        last = work.shards[-1].state if work.shards else {}
        counts.update(last.get("counts", {}))
        kept = last.get("rejects")
        with rejects_file(path, strict=strict, work=work.rejects, kept=kept) as rejects:
            rows = rows_from(last.get("position", 0), counts)
            accepted = rejects.accepted(rows, source=source, needed=not n_kept)
            left = None if total is None else total - rows.position
            cut = _Cut(track(accepted, f"writing {config}", left), shard_bytes, lambda: {
                "position": rows.position, "counts": dict(counts), "rejects": rejects.state()
            })  # fmt: skip
            while not cut.ended:
                folder = work.next_folder()
                shards = write_shards(
                    cut.rows(), folder, config, group_rows=group_rows, shard_bytes=sys.maxsize
                )
                rejects.flush()
                work.keep(folder, shards, cut.state)
            written = replace_configs(out, [config], lambda into: {config: work.place(into)})
    counts["shards kept from the build that was cut off"] = n_kept
    return BuildReport.of(out, written, rejects, path, counts)


class _Cut:
    """A stream of rows, handed out one shard at a time.

    Attributes:
        ended: whether the stream has ended.
        state: what `snapshot` gave when the last row was handed out.
    """

    def __init__(
        self, rows: Iterator[Row], shard_bytes: int, snapshot: Callable[[], dict[str, Any]]
    ) -> None:
        self.ended = False
        self.state: dict[str, Any] = {}
        self._rows = rows
        self._limit = shard_bytes
        self._snapshot = snapshot
        self._next: Row | None = None

    def rows(self) -> Iterator[Row]:
        """The rows of the next shard; it has at least one, if any is left."""
        size = 0
        while (row := self._next or next(self._rows, None)) is not None:
            size += _size(row)
            if size > self._limit and size > _size(row):
                self._next = row
                return
            self._next = None
            # Nothing behind this row has been read yet: here the build can be taken up again.
            self.state = self._snapshot()
            yield row
        self.ended = True


def _size(row: Row) -> int:
    image = len(row["image"]["bytes"]) if row.get("image") else 0
    scores = sum(4 * len(entry["scores"]) for entry in row.get("ratings", ()))
    return image + scores + len(row.get("prompt") or "") + _BESIDE_IMAGE
