"""Result tables: CSV in UTF-8 with "." decimals, where an empty cell means undefined."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write the named columns of some records under a header; the folder of `path` is made.

    Args:
        path: the file to write; lines end in "\\n".
        columns: the header, in order.
        rows: one mapping a row; keys that are not among the columns are left out. Floats (numpy's
            too) are written in the shortest form that reads back as the same number, booleans as
            True and False; None and NaN become an empty cell.

    Raises:
        ValueError: a row lacks a column or holds an infinity.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        for number, row in enumerate(rows, start=1):
            missing = [name for name in columns if name not in row]
            if missing:
                raise ValueError(f"{path.name}, row {number}: no value for {missing}")
            writer.writerow([_cell(row[name]) for name in columns])


def _cell(value: object) -> str:
    """The text of one cell.

    >>> [_cell(value) for value in (0.1, 3, True, None, float("nan"), "Awe")]
    ['0.1', '3', 'True', '', '', 'Awe']
    """
    if value is None or value != value:  # NaN of any type is the one value unlike itself
        return ""
    if isinstance(value, float):
        if math.isinf(value):
            raise ValueError("a table cannot hold an infinity")
        return repr(float(value))
    return str(value)
