"""What a run may spend: requests, tokens, money; and how fast it may ask."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from emonet_face.errors import EmoNetFaceError
from generation.annotators.asking import StoppedError

_PER = 1_000_000
"""Prices are per million tokens."""
_SLOWEST = 0.001
"""Least requests a minute; a wait may not be longer than the system can count."""


class CapReachedError(Exception):
    """The next request could cross a cap: nothing was sent."""


@dataclass(frozen=True)
class Usage:
    """Tokens of one answer, as the endpoint counts them."""

    prompt: int
    completion: int


class Spending:
    """Counts requests and tokens of all threads and keeps to the caps.

    A request is sent only if it, and all that are under way, stay below `max_cost` even at their
    longest reply; the prompt is taken to be as long as the longest so far. The first request goes
    alone, because only its answer tells how many tokens a picture takes.

    Attributes:
        requests: sent by this call, retries included.
        prompt_tokens, completion_tokens: of this call.
        cost: of this call and of those before it on the same results; None without prices.
    """

    def __init__(
        self,
        *,
        price_in: float | None = None,
        price_out: float | None = None,
        max_cost: float | None = None,
        max_requests: int | None = None,
        spent_before: float = 0.0,
    ) -> None:
        """
        Args:
            price_in, price_out: per million tokens of prompt and of reply; both or neither.
            max_cost: in the currency of the prices; counts what was spent before.
            max_requests: of this call.
            spent_before: by earlier calls on the same results.

        Raises:
            EmoNetFaceError: a number below 0 or without end, one price alone, or max_cost without
                prices.
        """
        numbers = {
            "--price-in": price_in,
            "--price-out": price_out,
            "--max-cost": max_cost,
            "--max-requests": max_requests,
        }
        for name, value in numbers.items():
            if value is not None and not 0 <= value < math.inf:
                raise EmoNetFaceError(f"{name} is {value}: must be a number, 0 or more")
        if (price_in is None) != (price_out is None):
            raise EmoNetFaceError("give --price-in and --price-out together, or neither")
        if max_cost is not None and price_in is None:
            raise EmoNetFaceError("--max-cost needs --price-in and --price-out, per million tokens")
        self.requests = self.prompt_tokens = self.completion_tokens = 0
        self.cost: float | None = None if price_in is None else spent_before
        self._price_in, self._price_out = price_in or 0.0, price_out or 0.0
        self._max_cost, self._max_requests = max_cost, max_requests
        self._longest_prompt: int | None = None
        self._under_way = 0
        self._changed = threading.Condition()

    def price_of(self, usage: Usage) -> float | None:
        """What one answer cost; None without prices."""
        if self.cost is None:
            return None
        return (usage.prompt * self._price_in + usage.completion * self._price_out) / _PER

    @contextmanager
    def request(self, prompt_characters: int, max_tokens: int) -> Iterator[None]:
        """Take the right to send one request; waits while others under way could use it up.

        Args:
            prompt_characters: an upper bound of the prompt's text tokens, for the first request.
            max_tokens: longest reply.

        Raises:
            CapReachedError: it could cross a cap.
        """
        with self._changed:
            while not self._may_go(prompt_characters, max_tokens):
                self._changed.wait()
            self.requests += 1
            self._under_way += 1
        try:
            yield
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    def add(self, usage: Usage | None) -> None:
        """Count the tokens of an answer, inside its `request`.

        Raises:
            EmoNetFaceError: the endpoint did not count them, and there is a cap on the cost.
        """
        if usage is None:
            if self._max_cost is not None:
                raise EmoNetFaceError(
                    "the endpoint does not say how many tokens it used, so --max-cost cannot be"
                    " kept; use --max-requests"
                )
            return
        with self._changed:
            self.prompt_tokens += usage.prompt
            self.completion_tokens += usage.completion
            self._longest_prompt = max(usage.prompt, self._longest_prompt or 0)
            if self.cost is not None:
                self.cost += self.price_of(usage) or 0.0

    def _may_go(self, prompt_characters: int, max_tokens: int) -> bool:
        if self._max_requests is not None and self.requests >= self._max_requests:
            raise CapReachedError(f"--max-requests {self._max_requests} are sent")
        if self._max_cost is None:
            return True
        if self._longest_prompt is None and self._under_way:
            return False
        longest = self._longest_prompt or prompt_characters
        worst = self.price_of(Usage(longest, max_tokens)) or 0.0
        if (self.cost or 0.0) + worst * (self._under_way + 1) <= self._max_cost:
            return True
        if self._under_way:
            return False  # those may turn out shorter
        raise CapReachedError(
            f"{self.cost:.6g} of --max-cost {self._max_cost:g} is spent, and a request may cost"
            f" {worst:.6g}"
        )


class Pace:
    """Lets requests of all threads through, evenly spaced and not during a pause.

    Attributes:
        stop: once it is set, nothing is let through and nobody waits.
    """

    def __init__(
        self, per_minute: float | None = None, stop: threading.Event | None = None
    ) -> None:
        """
        Args:
            per_minute: most requests a minute; None for no limit.
            stop: see above.

        Raises:
            EmoNetFaceError: it is below 0.001, which is one request in 16 hours.
        """
        if per_minute is not None and not per_minute >= _SLOWEST:
            raise EmoNetFaceError(
                f"--requests-per-minute is {per_minute}: must be {_SLOWEST} or more"
            )
        self._gap = 60 / per_minute if per_minute else 0.0
        self._next = 0.0
        self._lock = threading.Lock()
        self.stop = threading.Event() if stop is None else stop

    def wait(self) -> None:
        """Return when the next request may be sent.

        Raises:
            StoppedError: `stop` is set.
        """
        with self._lock:
            now = time.monotonic()
            at = max(self._next, now)
            self._next = at + self._gap
        if self.stop.wait(at - now) if at > now else self.stop.is_set():
            raise StoppedError

    def pause(self, seconds: float) -> None:
        """Let nothing new through for a while: the endpoint asked for it."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)
