"""The finished pieces of an `embed` that is under way, and the one file they are joined into.

They lie in a hidden folder beside the file to be, `.NAME.parts`: a call that ends early leaves them
there, an equal one goes on from them. Written whole or not at all and named by number, they come
out the same in whatever order and by how many processes they were made.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from emonet_face.embedding_file import BLOCK, COLUMNS, is_embedding_file, schema
from emonet_face.errors import EmoNetFaceError
from emonet_face.outputs import (
    check_file_replaceable,
    first_line_has,
    locked,
    new_file,
    remove,
    write_json,
)
from modeling_empathicinsight.embedding_steps import read_piece

_PLAN = "plan.json"
_REJECT = ("file", "row", "reason", "record")


class Parts:
    """The finished pieces among `n`.

    Attributes:
        n: of all pieces.
    """

    def __init__(self, folder: Path, n: int) -> None:
        self.n, self._folder = n, folder

    def missing(self) -> list[int]:
        """The numbers of the pieces that are not there, ascending."""
        with os.scandir(self._folder) as entries:
            there = {entry.name for entry in entries if entry.stat().st_size}
        return [number for number in range(self.n) if self._path(number).name not in there]

    def put(self, number: int, data: bytes) -> None:
        """Keep a finished piece."""
        path = self._path(number)
        aside = path.with_suffix(".new")  # whoever holds the folder is alone, so one name does
        aside.write_bytes(data)
        os.replace(aside, path)

    def __iter__(self) -> Iterator[tuple[pa.Table, dict[str, Any]]]:
        """`read_piece` of all, in order.

        Raises:
            EmoNetFaceError: one is damaged; it is removed.
        """
        for number in range(self.n):
            path = self._path(number)
            try:
                with pa.memory_map(str(path)) as data:
                    yield read_piece(data)
            except pa.ArrowInvalid:
                remove(path)
                raise EmoNetFaceError(
                    f"{path}: was damaged after it was written, and is removed; the same call"
                    " makes it again"
                ) from None

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:07d}.arrow"


@contextmanager
def open_parts(out: Path, plan: Mapping[str, Any], n: int) -> Iterator[Parts]:
    """Give the pieces kept for `out`; remove them when the block ends well.

    Args:
        out: the file to be, links followed.
        plan: JSON values that tell this work from any other; pieces of another plan go.
        n: number of pieces.

    Raises:
        EmoNetFaceError: `out` exists and is not of `embed`, or another process is writing it.
            Nothing was touched then.
    """
    out = Path(os.path.realpath(out))
    check_file_replaceable(out, is_embedding_file)
    check_file_replaceable(rejects_path(out), _ours)
    folder = out.with_name(f".{out.name}.parts")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked(folder, wait=False):
            _start(folder, plan)
            parts = Parts(folder, n)
            try:
                yield parts
            except BaseException:
                if len(parts.missing()) == n:
                    remove(folder)
                raise
            remove(folder)
    except (BlockingIOError, FileNotFoundError) as error:
        if isinstance(error, FileNotFoundError) and folder.exists():
            raise
        raise EmoNetFaceError(f"{out}: is being written by another process") from None


def _start(folder: Path, plan: Mapping[str, Any]) -> None:
    record = folder / _PLAN
    try:
        same = json.loads(record.read_text(encoding="utf-8")) == json.loads(json.dumps(plan))
    except (OSError, ValueError):
        same = False
    if not same:
        for path in folder.iterdir():
            remove(path)
        write_json(record, plan)


def note_rejects(parts: Parts, out: Path) -> Counter[str]:
    """Count what the pieces hold, and list the images that could not be read beside `out`.

    Without such an image there is no list, and one of an earlier call goes.

    Returns:
        "n" embeddings, "n_null" rows without an image, "n_rejected" images that could not be read.
    """
    counts: Counter[str] = Counter()
    path = rejects_path(out)
    with (
        new_file(path, _ours) as aside,
        aside.open("w", encoding="utf-8", errors="backslashreplace") as stream,
    ):
        for table, about in parts:
            counts["n"] += len(table)
            counts["n_null"] += about["n_null"]
            counts["n_rejected"] += len(about["rejects"])
            for reject in about["rejects"]:
                stream.write(json.dumps(reject, ensure_ascii=False) + "\n")
    if not counts["n_rejected"]:
        path.unlink()
    return counts


def join(parts: Parts, out: Path, config: str, metadata: dict[str, Any]) -> None:
    """Write all pieces as one file of `embedding_file`'s form.

    The same pieces give the same bytes. Memory holds one row group.

    Args:
        parts: with at least one embedding.
        out: the file.
        config: goes beside each image id.
        metadata: of the file; its `precision` is that of the pieces.
    """
    form = schema(metadata, metadata["precision"])
    with (
        new_file(out, is_embedding_file) as path,
        pq.ParquetWriter(path, form, compression="none", use_dictionary=["config"]) as writer,
    ):
        for table in _blocks(table for table, _ in parts):
            names = pa.array([config] * len(table), pa.string())
            columns = [names, table["image_id"], table["embedding"]]
            writer.write_table(pa.table(columns, names=COLUMNS).cast(form), BLOCK)


def _blocks(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in tables of BLOCK rows, the last one shorter."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table.replace_schema_metadata())
        if sum(map(len, waiting)) >= BLOCK:
            joined = pa.concat_tables(waiting)
            yield joined.slice(0, BLOCK)
            waiting = [joined.slice(BLOCK)]
    if any(map(len, waiting)):
        yield pa.concat_tables(waiting)


def rejects_path(out: Path) -> Path:
    """Where the images that could not be read are listed."""
    return out.with_name(f"{out.name}.rejects.jsonl")


_ours = first_line_has(*(f'"{key}": ' for key in _REJECT))
