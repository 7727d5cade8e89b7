"""How long to wait before a request is sent again."""

from __future__ import annotations

import email.utils
import random
import time
from collections.abc import Iterator, Mapping

MAX_WAIT_S = 120.0
"""An endpoint that asks for a longer pause is left for a later call."""
FIRST_WAIT_S = 0.5


def waits(rng: random.Random) -> Iterator[float]:
    """Seconds before each retry: doubling, with up to half taken off so that threads spread."""
    wait = FIRST_WAIT_S
    while True:
        yield wait * (0.5 + rng.random() / 2)
        wait = min(2 * wait, MAX_WAIT_S)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that `Retry-After` asks for, as a number or as a date; None where it does not."""
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        wait = float(value)
    except ValueError:
        try:
            wait = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return None
    return max(wait, 0.0) if wait == wait else None
