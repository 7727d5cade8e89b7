"""Secrets that must not be published: found by the forms of keys and tokens, shown by no more than
their beginning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from cards.publishing.staged_files import StagedRepo

LARGEST = 32 << 20
"""Larger files, and those of `BINARY`, are tables and weights, where nobody writes a key."""

BINARY = (".parquet", ".safetensors", ".onnx", ".data", ".png", ".jpg")

PATTERNS = {
    "a Hugging Face token": rb"\b(?:hf|api_org)_[A-Za-z0-9]{30,}\b",
    "an API key": rb"\bsk-(?=[A-Za-z_-]*\d)(?:[a-z]+-)*[A-Za-z0-9_-]{20,}",
    "an AWS key": rb"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "an AWS secret": rb"(?i)\baws_secret_access_key\b['\"]?\s*[:=]\s*['\"]?[A-Za-z0-9/+]{40}",
    "a GitHub token": rb"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,})",
    "a Google key": rb"\bAIza[A-Za-z0-9_-]{35}\b",
    "a Slack token": rb"\bxox[abprs]-[A-Za-z0-9-]{10,}",
    "a private key": rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY",
    "a password in an address": rb"\bhttps?://[^\s/:@'\"<>]+:[^\s/:@'\"<>]+@[\w.-]+",
}
_COMPILED = {what: re.compile(pattern) for what, pattern in PATTERNS.items()}


def secret_faults(repo: StagedRepo, token: str | None) -> Iterator[tuple[str, str]]:
    """("file:line", what stands there) for everything in a repo that looks like a secret.

    Args:
        repo: what is to be published.
        token: the one that is used to upload; it must not stand anywhere either.
    """
    for file in repo.files:
        if file.size > LARGEST or file.path.suffix in BINARY:
            continue
        data = file.path.read_bytes()
        for what, start in _found(data, token):
            line = data.count(b"\n", 0, start) + 1
            shown = data[start : start + 4].decode("ascii", "replace")
            yield f"{file.name}:{line}", f"holds {what} ({shown}…); take it out and revoke it"


def _found(data: bytes, token: str | None) -> Iterator[tuple[str, int]]:
    for what, pattern in _COMPILED.items():
        for match in pattern.finditer(data):
            yield what, match.start()
    if token and (place := data.find(token.encode())) >= 0:
        yield "the token that you upload with", place
