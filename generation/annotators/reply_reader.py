"""The answer object inside a model's reply: JSON, a Python literal, or a mixture of both.

Tolerant in spelling: either quotes, true or True, comments, trailing commas, fences, text before
and after, a thinking part. Strict in meaning: an object that is cut off or broken, a key that
stands twice, two different answers: all are refused, nothing is repaired. Text is read as data,
never run.

>>> read_answer("Sure!\\n```python\\n{'Anger': 3,  # a guess\\n}\\n``` Anything else?")
{'Anger': 3}
"""

from __future__ import annotations

import json
import re
from typing import NoReturn

from emonet_face.errors import EmoNetFaceError

MAX_DEPTH = 8
MAX_DIGITS = 20
MAX_BRACKETS = 500
"""Brackets that may begin nothing: each is read until that is clear, perhaps to the reply's end."""
_TOKEN = re.compile(
    r"""(?P<skip>\s+|\#[^\n]*|//[^\n]*)
      | (?P<comment>/\*)
      | (?P<string>"[^"\\]*(?:\\.[^"\\]*)*"|'[^'\\]*(?:\\.[^'\\]*)*')
      | (?P<number>[+-]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![\w.]))
      | (?P<word>[A-Za-z]+(?!\w))
      | (?P<mark>[{}\[\]:,])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(
    r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U00(?:0[0-9a-fA-F]|10)[0-9a-fA-F]{4}|.)", re.DOTALL
)
_ESCAPES = {
    **{letter: letter for letter in "\"'\\/"},
    **{"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "\n": ""},
}
_WORDS = {
    "true": True,
    "True": True,
    "false": False,
    "False": False,
    "null": None,
    "None": None,
}
_THINKING_END = "</think>"

Answer = dict[str, object] | list[object]


def read_answer(reply: str) -> Answer:
    """The one object, or list of objects, that a reply holds.

    Args:
        reply: what the model wrote.

    Returns:
        Dictionaries with text keys, lists, text, numbers, booleans and None.

    Raises:
        EmoNetFaceError: there is none, it is cut off or broken, a key stands twice, or there are
            two that differ. The message says which, as a reason to be recorded.
    """
    text = reply.rpartition(_THINKING_END)[2]
    if not text.strip():
        raise EmoNetFaceError("the reply is empty")
    found: list[Answer] = []
    place = in_prose = 0
    while (start := _next_start(text, place)) is not None:
        reader = _Reader(text, start)
        try:
            value = reader.value(0)
        except EmoNetFaceError:
            if reader.begun:
                raise
            place = start + 1  # a bracket in prose
            in_prose += 1
            if in_prose > MAX_BRACKETS:
                raise EmoNetFaceError(
                    f"the reply has more than {MAX_BRACKETS} brackets around no object"
                ) from None
            continue
        place = reader.place
        if isinstance(value, dict) or _is_list_of_objects(value):
            found.append(value)
    if not found:
        raise EmoNetFaceError(f"no object in the reply, which begins {text.strip()[:60]!r}")
    if any(other != found[0] for other in found):
        raise EmoNetFaceError(f"the reply holds {len(found)} objects that differ; one is expected")
    return found[0]


def _next_start(text: str, place: int) -> int | None:
    starts = [at for at in (text.find("{", place), text.find("[", place)) if at >= 0]
    return min(starts, default=None)


def _is_list_of_objects(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)


class _Reader:
    """Reads one value from a place in a text.

    Attributes:
        place: where the next token begins.
        begun: whether a key with its colon was read, so that this is an object and not prose.
    """

    def __init__(self, text: str, place: int) -> None:
        self.place = place
        self.begun = False
        self._text = text

    def value(self, depth: int) -> object:
        """Read one value; `place` is then behind it.

        Args:
            depth: of the objects and lists around it, 0 for none.

        Raises:
            EmoNetFaceError: it is cut off, broken, too deep, or a key stands twice in an object.
        """
        kind, token = self._token()
        if token == "{":
            return self._object(depth + 1)
        if token == "[":
            return self._list(depth + 1)
        if kind == "string":
            return self._string(token)
        if kind == "number":
            return self._number(token)
        if kind == "word" and token in _WORDS:
            return _WORDS[token]
        self._refuse(token)

    def _object(self, depth: int) -> dict[str, object]:
        self._check_depth(depth)
        record: dict[str, object] = {}
        while True:
            kind, token = self._token()
            if token == "}":
                return record
            if kind != "string":
                self._refuse(token)
            key = self._string(token)
            self._expect(":")
            self.begun = True
            if key in record:
                raise EmoNetFaceError(f"the key {key!r} stands twice in one object of the reply")
            record[key] = self.value(depth)
            if self._comma_or("}"):
                return record

    def _list(self, depth: int) -> list[object]:
        self._check_depth(depth)
        values: list[object] = []
        while True:
            if self._peek() == "]":
                self._token()
                return values
            values.append(self.value(depth))
            if self._comma_or("]"):
                return values

    def _comma_or(self, end: str) -> bool:
        """Whether the object or list ends here; a comma means that it goes on."""
        _, token = self._token()
        if token not in (",", end):
            self._refuse(token)
        return token == end

    def _expect(self, mark: str) -> None:
        _, token = self._token()
        if token != mark:
            self._refuse(token)

    def _peek(self) -> str:
        place = self.place
        _, token = self._token()
        self.place = place
        return token

    def _token(self) -> tuple[str, str]:
        while True:
            match = _TOKEN.match(self._text, self.place)
            if match is None:
                rest = self._text[self.place : self.place + 30]
                if not rest or rest[0] in "\"'":  # a text without its closing quote
                    raise EmoNetFaceError("the reply is cut off before its object ends")
                self._refuse(rest)
            self.place = match.end()
            if match.lastgroup == "comment":
                end = self._text.find("*/", self.place)
                if end < 0:
                    raise EmoNetFaceError("the reply is cut off before its object ends")
                self.place = end + 2
            elif match.lastgroup != "skip":
                return str(match.lastgroup), match.group()

    @staticmethod
    def _refuse(token: str) -> NoReturn:
        raise EmoNetFaceError(f"the object in the reply is broken at {token[:30]!r}")

    @staticmethod
    def _check_depth(depth: int) -> None:
        if depth > MAX_DEPTH:
            raise EmoNetFaceError(f"the reply is nested more than {MAX_DEPTH} deep")

    @staticmethod
    def _number(token: str) -> int | float:
        if len(token) > MAX_DIGITS:
            raise EmoNetFaceError(f"a number in the reply is {len(token)} characters long")
        return float(token) if set(token) & set(".eE") else int(token)

    @staticmethod
    def _string(token: str) -> str:
        if "\\" not in token:
            return token[1:-1]
        if token[0] == '"':
            try:
                return json.loads(token, strict=False)
            except ValueError:
                pass  # an escape that Python knows and JSON does not
        return _ESCAPE.sub(_unescaped, token[1:-1])


def _unescaped(match: re.Match[str]) -> str:
    """What an escape stands for; one that nobody knows stands for itself, as in Python."""
    code = match[1]
    if len(code) > 1:
        return chr(int(code[1:], 16))
    return _ESCAPES.get(code, match[0])
