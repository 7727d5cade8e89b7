"""Apply a function to items in order, a few items ahead of whoever takes the results.

>>> list(look_ahead(abs, [3, -1, -2]))
[3, 1, 2]
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST_THREADS = 16


def look_ahead(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    ahead: int = 0,
    pool: Executor | None = None,
) -> Iterator[Result]:
    """`map(function, items)`, with the function running in threads or other processes.

    Worth it where the function reads, hashes or decodes: that happens outside Python's lock.

    Args:
        function: called in any order, in threads.
        items: taken as results are taken.
        ahead: how many results may wait to be taken; two per thread, if that is more.
        pool: where the function runs instead of threads started for it, and is left running.

    Raises:
        Exception: what the function raised for an item, when its result would be due.
    """
    if pool is None:
        threads = min(os.cpu_count() or 1, _MOST_THREADS)
        with ThreadPoolExecutor(threads) as pool:
            yield from look_ahead(function, items, max(ahead, 2 * threads), pool)
        return
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
