"""A backend for tests that makes what a function says and keeps what it was asked for."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from generation.backends import Picture, Request
from generation.marking import DRAWN


def gradient(request: Request, size: int) -> Picture:
    """A picture of the request's own."""
    level = Image.linear_gradient("L").resize((size, size))
    bands = [level.point(lambda v, k=k: (v * (request.seed >> k) // 7) % 256) for k in (0, 8, 16)]
    return Picture(Image.merge("RGB", bands))


class Painter:
    """See `generation.backends.Backend`.

    Args:
        log: file that gets a line "process id, image id" for each picture that is asked for.
        paint: (request, pictures asked for at once) -> Picture, or an error; None: `gradient`.
        seconds: to sleep for each batch.
        overlap, batch_matters, batch_size: as of every backend.

    Attributes:
        asked: for each call the (number, attempt) of its requests, in this process.
    """

    name = "painter"
    source_type = DRAWN
    one_core = True

    def __init__(
        self,
        log: Path | None = None,
        *,
        paint: Callable[[Request, int], Picture] | None = None,
        seconds: float = 0.0,
        batch_size: int = 3,
        batch_matters: bool = False,
        overlap: bool = False,
    ) -> None:
        self.log, self.paint, self.seconds = log, paint, seconds
        self.batch_size, self.batch_matters, self.overlap = batch_size, batch_matters, overlap
        self.asked: list[list[tuple[int, int]]] = []

    def generator(self) -> str:
        return self.name

    def recipe(self) -> dict[str, Any]:
        return {}

    def load(self) -> None:
        pass

    def circumstances(self, request: Request) -> dict[str, Any]:
        return {"versions": {}}

    def make(self, requests: list[Request], size: int) -> list[Picture]:
        time.sleep(self.seconds)
        self.asked.append([(request.record.index, request.attempt) for request in requests])
        if self.log is not None:
            with self.log.open("a") as stream:
                stream.writelines(f"{os.getpid()} {request.image_id}\n" for request in requests)
        if self.paint is None:
            return [gradient(request, size) for request in requests]
        return [self.paint(request, len(requests)) for request in requests]
