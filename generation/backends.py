"""What a backend is: prompts in, pictures out. The run folder asks nothing else of it.

Two exist: `schematic_backend` draws, `diffusers_backend` holds a text-to-image pipeline. A third
needs no more than the protocol below; `generate` takes it as it takes those.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from PIL import Image

    from generation.prompts import PromptRecord


class OutOfMemory(Exception):
    """A backend had too little memory for a batch; a smaller one may fit."""


@dataclass(frozen=True)
class Request:
    """One picture that is wanted.

    Attributes:
        image_id: of the picture.
        record: its prompt.
        run_seed: the run's seed.
        attempt: 0 at first; a picture that came out black or was replaced is asked for again with
            the next one, and so with another seed.
    """

    image_id: str
    record: PromptRecord
    run_seed: int
    attempt: int = 0

    @property
    def seed(self) -> int:
        """Of this picture alone, 32 bits: it depends on its id and the attempt, not on others."""
        text = self.image_id if self.attempt == 0 else f"{self.image_id} attempt {self.attempt}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])

    def again(self) -> Request:
        """The same picture with the next seed."""
        return replace(self, attempt=self.attempt + 1)


@dataclass(frozen=True)
class Picture:
    """What a backend made.

    Attributes:
        image: RGB; None where there is nothing to be seen at all.
        fault: why it is not what was asked for, if the backend knows: a safety filter replaced it,
            its values are no numbers. It is then asked for again.
        flagged: the verdict of the backend's safety checker; None where it has none.
        facts: further keys of its sidecar; `build big` must know them.
    """

    image: Image.Image | None
    fault: str | None = None
    flagged: bool | None = None
    facts: dict[str, Any] = field(default_factory=dict)


class Backend(Protocol):
    """Makes pictures. Pickled to other processes before it is loaded.

    Attributes:
        name: as in `--backend`; goes into run.json.
        source_type: the term of IPTC's digital source type that fits what it makes.
        batch_size: how many pictures it makes at once.
        batch_matters: whether a picture may come out a little different beside others. Then the
            whole batch is made where one of it is missing, and sidecars say who was in it.
        overlap: whether pictures are encoded and written while it makes the next ones. True for
            those that mostly wait for an accelerator; on a processor both would only slow each
            other down.
        one_core: whether it keeps one core busy and no more, so that by default a run takes a
            process for each core.
    """

    name: str
    source_type: str
    batch_size: int
    batch_matters: bool
    overlap: bool
    one_core: bool

    def generator(self) -> str:
        """What made the picture, for the dataset's column of that name."""

    def recipe(self) -> dict[str, Any]:
        """All that must be the same for the same picture (JSON values); costs little."""

    def load(self) -> None:
        """Get ready; called once in each process that makes pictures."""

    def circumstances(self, request: Request) -> dict[str, Any]:
        """What else to keep of how a picture was made (JSON values): "versions", by name, device,
        how its prompt was read. Asked when the picture is written, with `overlap` in a thread."""

    def make(self, requests: Sequence[Request], size: int) -> list[Picture]:
        """One picture a request, in order, `size` pixels square.

        Raises:
            OutOfMemory: the batch is too large.
            RuntimeError: it failed; a smaller batch or another attempt may not.
            EmoNetFaceError: it can never work.
        """
