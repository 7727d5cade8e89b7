"""JSON objects from outside, read so that nothing in them is lost unseen.

Python's parser keeps the last of two equal keys and accepts NaN; here both are errors.

>>> parse_object('{"Anger": 3}')
{'Anger': 3}
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from dataset_scripts.rejects import Reject
from emonet_face.errors import EmoNetFaceError, shown

MAX_RECORD_BYTES = 16_000_000
"""A larger record, or a longer line, is refused unread."""

_SHOWN = 200
"""Bytes of such a line that are kept with its reject."""


def parse_object(text: str | bytes) -> dict[str, Any]:
    """One JSON object.

    Raises:
        EmoNetFaceError: not UTF-8, not JSON, not an object, a repeated key, NaN or an infinity.
    """
    try:
        decoded = text if isinstance(text, str) else text.decode("utf-8-sig")
        value = json.loads(decoded, object_pairs_hook=_unique, parse_constant=_no_constant)
    except EmoNetFaceError:
        raise
    except UnicodeDecodeError:
        raise EmoNetFaceError("is not UTF-8 text") from None
    except RecursionError:
        raise EmoNetFaceError("is nested too deeply") from None
    except ValueError as error:
        raise EmoNetFaceError(f"is not JSON ({error})") from None
    if not isinstance(value, dict):
        raise EmoNetFaceError(f"is a JSON {type(value).__name__}, not an object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        twice = next(key for key in counts if counts[key] > 1)
        raise EmoNetFaceError(f"has the key {shown(twice)} twice")
    return record


def _no_constant(name: str) -> NoReturn:
    raise EmoNetFaceError(f"holds {name}: a number must be finite, a gap null")


@dataclass(frozen=True)
class Line:
    """One object of a JSON-lines file.

    Attributes:
        number: its line, from 1.
        offset, length: where the line lies in the file, in bytes.
        record: the object.
    """

    number: int
    offset: int
    length: int
    record: dict[str, Any]


def iter_lines(path: Path) -> Iterator[Line | Reject]:
    """The objects of a JSON-lines file in order; blank lines are passed over.

    A line that is no JSON object comes as a Reject.

    Raises:
        EmoNetFaceError: the file cannot be read or holds no line.
    """
    try:
        stream = path.open("rb")
    except OSError as error:
        raise EmoNetFaceError(f"{path}: cannot be read ({error.strerror})") from None
    offset, empty = 0, True
    with stream:
        for number in count(1):
            text = stream.readline(MAX_RECORD_BYTES)
            if not text:
                break
            if not text.endswith(b"\n") and len(text) == MAX_RECORD_BYTES:
                empty = False
                reason = f"the line has {MAX_RECORD_BYTES:,} bytes or more"
                line = text[:_SHOWN].decode("utf-8", errors="replace")
                yield Reject(str(path), number, reason, {"line": f"{line}..."})
                _skip_line(stream)
            elif text.strip():
                empty = False
                try:
                    yield Line(number, offset, len(text), parse_object(text))
                except EmoNetFaceError as error:
                    line = text.decode("utf-8", errors="replace").rstrip("\r\n")
                    yield Reject(str(path), number, str(error), {"line": line})
            offset = stream.tell()
    if empty:
        raise EmoNetFaceError(f"{path}: is empty; one JSON object a line is expected")


def _skip_line(stream: BinaryIO) -> None:
    while (text := stream.readline(MAX_RECORD_BYTES)) and not text.endswith(b"\n"):
        pass
