"""The body of a chat completion, read from whatever an endpoint really sends."""

from __future__ import annotations

import json
from dataclasses import dataclass

from generation.annotators.spending import Usage

_MAX_TOKENS = 10**9
"""No request takes more; a larger count is none."""


@dataclass(frozen=True)
class Completion:
    """One answer of an endpoint.

    Attributes:
        text: what the model wrote, else the body as it came.
        failure: why there is no reply to read, None where there is one.
        finish_reason: as the endpoint says, None where it does not.
        usage: tokens, None where the endpoint does not count them.
    """

    text: str
    failure: str | None = None
    finish_reason: str | None = None
    usage: Usage | None = None


def read_completion(body: str) -> Completion:
    """Read a body; one that is no chat completion is a failure that says what it is.

    >>> read_completion("<html>busy</html>").failure
    "the endpoint's answer is not JSON: '<html>busy</html>'"
    """
    try:
        record = json.loads(body)
    except (ValueError, RecursionError):
        return Completion(body, f"the endpoint's answer is not JSON: {body.strip()[:60]!r}")
    if not isinstance(record, dict):
        return Completion(body, f"the endpoint's answer is a {type(record).__name__}")
    usage = _usage(record.get("usage"))
    if record.get("error"):
        return Completion(body, f"the endpoint answered an error: {str(record['error'])[:200]}")
    choices = record.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        return Completion(body, "the endpoint's answer has no message", usage=usage)
    reason = choice.get("finish_reason")
    reason = reason if isinstance(reason, str) else None
    text = _text(message.get("content"))
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal:
        failure = f"the model refused: {refusal[:200]}"
        return Completion(text or refusal, failure, reason, usage)
    if reason == "content_filter":
        return Completion(text, "the endpoint filtered the reply", reason, usage)
    if not text.strip() and reason == "length":
        return Completion(text, "the reply is empty: all its tokens went elsewhere", reason, usage)
    return Completion(text, None, reason, usage)


def _text(content: object) -> str:
    """The text of a message: as it stands, or joined from its parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [part.get("text") for part in content if isinstance(part, dict)]
    return "".join(part for part in parts if isinstance(part, str))


def _usage(record: object) -> Usage | None:
    if not isinstance(record, dict):
        return None
    counts = record.get("prompt_tokens"), record.get("completion_tokens")
    if any(type(n) is not int or not 0 <= n <= _MAX_TOKENS for n in counts):
        return None
    return Usage(*counts)
