"""HTTP clients for `openai` that read no answer for ever, one for each thread.

The client's own time limit is for each block of an answer alone, and nothing limits their number:
an endpoint that never ends would be read until the memory is full, error messages included.

One client for many threads looks at all its connections for each request, under one lock: with 50
requests under way that took more of the processor than everything else together.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

MAX_BODY_BYTES = 4_000_000
_OF_THE_WIRE = ("content-encoding", "content-length", "transfer-encoding")
"""Headers that are about a body as it was sent, before it was decoded."""


def http_library(openai: ModuleType) -> ModuleType:
    """The HTTP library that this version of `openai` is built on."""
    names = (base.__module__.partition(".")[0] for base in openai.DefaultHttpxClient.__mro__)
    return sys.modules[next(name for name in names if name.startswith("httpx"))]


class PerThread:
    """A client for each thread, made when the thread first asks for it."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make, self._local = make, threading.local()
        self._lock = threading.Lock()
        self._clients: list[Any] = []

    def get(self) -> Any:
        """The client of the calling thread."""
        client = getattr(self._local, "client", None)
        if client is None:
            with self._lock:
                client = self._make()
                self._clients.append(client)
            self._local.client = client
        return client

    def close(self) -> None:
        """Close the clients of all threads."""
        for client in self._clients:
            client.close()


def bounded_clients(openai: ModuleType, timeout_s: float) -> Callable[[], Any]:
    """Makes clients with the settings of `openai`'s own, for its `http_client`.

    Args:
        openai: the package.
        timeout_s: for a whole answer; longer ones count as timed out.

    A body longer than MAX_BODY_BYTES is cut there: it will not be JSON, and is kept as that.
    """
    http = http_library(openai)
    certificates = http.create_ssl_context()  # 10 ms of work, the same for every client

    class BoundedClient(openai.DefaultHttpxClient):
        def send(self, request: Any, *, stream: bool = False, **options: Any) -> Any:
            """Send a request and read the answer whole; `stream` changes nothing.

            Raises:
                ReadTimeout: the answer has not ended after `timeout_s`.
            """
            deadline = time.monotonic() + timeout_s
            response = super().send(request, stream=True, **options)
            body = bytearray()
            try:
                for block in response.iter_bytes():
                    body += block
                    if len(body) > MAX_BODY_BYTES:
                        break
                    if time.monotonic() > deadline:
                        raise http.ReadTimeout("the answer does not end", request=request)
            finally:
                response.close()
            headers = [(k, v) for k, v in response.headers.items() if k not in _OF_THE_WIRE]
            return http.Response(
                response.status_code, headers=headers, content=bytes(body), request=request
            )

    return lambda: BoundedClient(timeout=timeout_s, verify=certificates)
