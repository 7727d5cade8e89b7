"""What passes between the campaign, which goes through images, and whoever is asked about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import ImageFile
from emonet_face.taxonomy import EMOTIONS
from generation.annotators.acceptance import accept
from generation.annotators.protocols import Protocol
from generation.annotators.reply_reader import read_answer


class NoAnswerError(Exception):
    """Nobody answered, after all retries: the image can be asked about again later."""


class StoppedError(Exception):
    """The call is ending: nothing was sent."""


@dataclass(frozen=True)
class Reply:
    """What a model wrote.

    Attributes:
        text: the raw reply; "" where there was none.
        failure: why the reply cannot be one, whatever its text (a refusal, an error); else None.
        details: what the line keeps beside it: seconds, tokens, cost, attempts, what was not sent.
    """

    text: str
    failure: str | None = None
    details: dict[str, object] = field(default_factory=dict)


Ask = Callable[[ImageFile], Reply]
"""Sends the prompt with an image."""

Label = Callable[[ImageFile], dict[str, object]]
"""Gives the part of a result line that tells what was said of an image."""


def rating_label(protocol: Protocol, ask: Ask) -> Label:
    """Ask for ratings and read the reply by a protocol.

    The result has "scores" (40 names; null where the protocol does not ask), perhaps "dimensions",
    "reasons" and "warnings"; or "error". Either way "raw" is the reply as it came.
    """

    def label(image: ImageFile) -> dict[str, object]:
        """Ask about one image; what cannot be read as an answer is an "error", not raised."""
        reply = ask(image)
        kept = {**reply.details, "raw": reply.text}
        if reply.failure is not None:
            return {"error": reply.failure, **kept}
        try:
            accepted = accept(read_answer(reply.text), protocol)
        except EmoNetFaceError as error:
            return {"error": str(error), **kept}
        said: dict[str, object] = {
            "scores": dict(zip(EMOTIONS, accepted.scores.scores, strict=True))
        }
        if accepted.scores.dimensions:
            said["dimensions"] = accepted.scores.dimensions
        if accepted.reasons:
            said["reasons"] = accepted.reasons
        if accepted.warnings:
            said["warnings"] = list(accepted.warnings)
        return {**said, **kept}

    return label
