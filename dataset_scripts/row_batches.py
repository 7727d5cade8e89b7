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
        return f"{self.shard}, row {self.first + index} (image {self.ids[index]!r})"


def iter_batches(repo: Path, config: str, path: Path, findings: Findings) -> Iterator[Batch]:
    """The rows of a shard, row group by row group; memory holds one of them.

    Damage in the middle is a finding; the rows before it come all the same.
    """
    size = IMAGE_GROUP_ROWS if "image" in features(config) else LABEL_GROUP_ROWS
    shard, first = path.relative_to(repo).as_posix(), 1
    try:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                # One group a call: the reader keeps all groups of a call until its end.
                for rows in file.iter_batches(size, row_groups=[group]):
                    yield Batch(config, shard, first, rows, rows["image_id"].to_pylist())
                    first += len(rows)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        text = f"cannot be read from row {first} on ({error})"
        findings.error("unreadable_shard", config, shard, text)
