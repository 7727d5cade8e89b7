"""Progress on standard error for work that takes more than a moment."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def track(items: Iterable[Item], description: str, total: int | None = None) -> Iterator[Item]:
    """Hand the items on, with a bar where somebody is looking.

    Args:
        items: anything iterable.
        description: shown left of the bar.
        total: number of items, where `len(items)` does not tell.

    Off a terminal (logs, tests, CI) nothing is printed.
    """
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield from bar.track(items, total=total, description=description)


def track_bytes(
    blocks: Iterable[bytes], description: str, total: int | None, start: int = 0
) -> Iterator[bytes]:
    """Hand blocks of a transfer on, with a bar in bytes where somebody is looking.

    Args:
        blocks: what comes.
        description: shown left of the bar.
        total: bytes in all; None where that is not known.
        start: bytes that had come before.
    """
    if not sys.stderr.isatty():
        yield from blocks
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=total, completed=start)
        for block in blocks:
            yield block
            bar.advance(task, len(block))
