"""A table on standard output, as every command prints it, and what stands in its cells."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], n_left: int = 1
) -> None:
    """One table on standard output; NaN and None are shown as a dash, floats by three decimals.

    Args:
        title: above it.
        columns: their heads.
        rows: a value for each column; text is shown as it stands, without markup.
        n_left: so many of the first columns are set to the left, the others to the right.
    """
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < n_left else "right", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    Console(width=None if sys.stdout.isatty() else 120, markup=False).print(table)


def interval(pair: Sequence[float | None] | None) -> str:
    """An interval as text; a dash where it is undefined."""
    if pair is None or any(value is None or value != value for value in pair):
        return "-"
    return f"[{pair[0]:.3f}, {pair[1]:.3f}]"


def _cell(value: object) -> str:
    if value is None or value != value:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
