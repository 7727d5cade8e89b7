"""The rows of a shard, some at a time: what the rules on rows look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_scripts.findings import Findings
from dataset_scripts.schema import features
from dataset_scripts.shards import IMAGE_GROUP_ROWS, LABEL_GROUP_ROWS
from emonet_face.errors import shown


@dataclass(frozen=True)
class Batch:
    """Rows that stand together in a shard.

    Attributes:
        config: their config.
        shard: the shard's path in the repo.
        first: number of the first row in the shard, from 1.
        rows: the rows.
        ids: their image ids.
    """

    config: str
    shard: str
    first: int
    rows: pa.RecordBatch
    ids: list[str | None]

    def where(self, index: int) -> str:
        """Which row that is, for people."""
        return f"{self.shard}, row {self.first + index} (image {shown(self.ids[index])})"


def iter_batches(repo: Path, config: str, path: Path, findings: Findings) -> Iterator[Batch]:
    """The rows of a shard, row group by row group; memory holds one of them.

    Damage in the middle is a finding; the rows before it come all the same. A row with text that is
    not UTF-8 is a finding, and is left out.
    """
    size = IMAGE_GROUP_ROWS if "image" in features(config) else LABEL_GROUP_ROWS
    shard, first = path.relative_to(repo).as_posix(), 1
    try:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                # One group a call: the reader keeps all groups of a call until its end.
                for rows in file.iter_batches(size, row_groups=[group]):
                    for piece in _pieces(rows):
                        wrong = _invalid_column(piece)
                        if wrong is None:
                            yield Batch(config, shard, first, piece, piece["image_id"].to_pylist())
                        else:
                            where = f"{shard}, row {first}"
                            findings.error("invalid_text", config, where, wrong)
                        first += len(piece)
    except (OSError, pa.ArrowException) as error:
        text = f"cannot be read from row {first} on ({error})"
        findings.error("unreadable_shard", config, shard, text)


def _pieces(rows: pa.RecordBatch) -> list[pa.RecordBatch]:
    """The rows together where all are valid, else one by one."""
    if _invalid_column(rows) is None:
        return [rows]
    # Copied, because a slice is checked with all that lies in the lists it is cut from.
    return [rows.take([index]) for index in range(len(rows))]


def _invalid_column(rows: pa.RecordBatch) -> str | None:
    """What is wrong with the values of a column, such as text that is not UTF-8; None if nothing.

    The reader of Parquet does not look; a Python text could not be made of them.
    """
    for name, column in zip(rows.schema.names, rows.columns, strict=True):
        try:
            column.validate(full=True)
        except pa.ArrowInvalid as error:
            reason = str(error).splitlines()[0]
            return f"column {name!r} cannot be read ({reason}): the row was not looked at"
    return None
