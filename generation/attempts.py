"""Make a batch of pictures whatever happens: halve it, try again, and say what was the matter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from generation.backends import Backend, OutOfMemory, Picture, Request

MAX_CAUSE = 300
"""Characters of an error's text that are kept."""

_FLAT = 2
"""Largest range of levels (0-255), in each channel, of a picture that is called one colour."""


@dataclass(frozen=True)
class Outcome:
    """What became of a request.

    Attributes:
        request: as it was asked last; its `attempt` tells the seed.
        picture: the last one; its `image` is None where there is none to be had.
        batch: ids of the pictures that were made with it in one call.
        causes: why it had to be tried more than once, in order.
    """

    request: Request
    picture: Picture
    batch: tuple[str, ...]
    causes: tuple[str, ...]


def make_all(
    backend: Backend, requests: Sequence[Request], size: int, retries: int
) -> Iterator[Outcome]:
    """Every request's outcome, in order.

    A batch that fails is halved until the halves succeed or one picture is left; that one is tried
    `retries` times more. A picture that is not what was asked for (black, replaced by a safety
    filter, values that are no numbers) is made again with other seeds, alone and as often; the last
    one is kept, if there is a picture at all, with its causes.

    Args:
        backend: loaded.
        requests: one batch.
        size: side in pixels.
        retries: 0 or more.

    Raises:
        EmoNetFaceError: the backend says that it can never work.
    """
    yield from _batch(backend, requests, size, retries, ())


def _batch(
    backend: Backend, requests: Sequence[Request], size: int, retries: int, causes: tuple[str, ...]
) -> Iterator[Outcome]:
    try:
        pictures = backend.make(requests, size)
    except (OutOfMemory, RuntimeError) as error:
        causes = (*causes, cause_of(error, len(requests)))
    else:
        batch = tuple(request.image_id for request in requests)
        for request, picture in zip(requests, pictures, strict=True):
            yield _settled(backend, Outcome(request, picture, batch, causes), size, retries)
        return
    if len(requests) > 1:
        middle = (len(requests) + 1) // 2
        for half in (requests[:middle], requests[middle:]):
            yield from _batch(backend, half, size, retries, causes)
    elif retries:
        yield from _batch(backend, requests, size, retries - 1, causes)
    else:
        yield Outcome(requests[0], Picture(None), (requests[0].image_id,), causes)


def _settled(backend: Backend, outcome: Outcome, size: int, retries: int) -> Outcome:
    """The outcome, or that of asking again where the picture is not what was asked for."""
    fault = fault_of(outcome.picture)
    if fault is None:
        return outcome
    causes = (*outcome.causes, fault)
    if not retries:
        return Outcome(outcome.request, outcome.picture, outcome.batch, causes)
    again = [outcome.request.again()]
    return next(_batch(backend, again, size, retries - 1, causes))


def fault_of(picture: Picture) -> str | None:
    """Why a picture is not what was asked for; None where nothing is the matter."""
    if picture.fault is not None or picture.image is None:
        return picture.fault or "no picture"
    bands = picture.image.getextrema()
    if all(high - low <= _FLAT for low, high in bands):
        return f"one colour, {tuple(low for low, _ in bands)}"
    return None


def cause_of(error: Exception, n: int) -> str:
    """One line that says what went wrong with a batch of n."""
    text = " ".join(str(error).split())[:MAX_CAUSE]
    name = "out of memory" if isinstance(error, OutOfMemory) else type(error).__name__
    return f"{name} in a batch of {n}" + (f": {text}" if text else "")
