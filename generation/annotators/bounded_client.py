"""An HTTP client for `openai` that reads no answer for ever.

The client's own time limit is for each block of an answer alone, and nothing limits their number:
an endpoint that never ends would be read until the memory is full, error messages included.
"""

from __future__ import annotations

import sys
import time
from types import ModuleType
from typing import Any

MAX_BODY_BYTES = 4_000_000
_OF_THE_WIRE = ("content-encoding", "content-length", "transfer-encoding")
"""Headers that are about a body as it was sent, before it was decoded."""


def http_library(openai: ModuleType) -> ModuleType:
    """The HTTP library that this version of `openai` is built on."""
    names = (base.__module__.partition(".")[0] for base in openai.DefaultHttpxClient.__mro__)
    return sys.modules[next(name for name in names if name.startswith("httpx"))]


def bounded_client(openai: ModuleType, timeout_s: float) -> Any:
    """A client with the settings of `openai`'s own, for its `http_client`.

    Args:
        openai: the package.
        timeout_s: for a whole answer; longer ones count as timed out.

    A body longer than MAX_BODY_BYTES is cut there: it will not be JSON, and is kept as that.
    """
    http = http_library(openai)

    class BoundedClient(openai.DefaultHttpxClient):
        def send(self, request: Any, *, stream: bool = False, **options: Any) -> Any:
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

    return BoundedClient(timeout=timeout_s)
