"""Rejected rows: each with its reason, counted, and kept in a file beside the repo.

>>> kind_of("unknown category 'Furry'; nearest: 'Fury'")
'unknown category …; nearest: …'
>>> kind_of("'Anger' is -1: a rating must lie in 0..7")
'… is …: a rating must lie in 0..7'
"""

from __future__ import annotations

import io
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from dataset_scripts.schema import Row
from emonet_face.errors import EmoNetFaceError
from emonet_face.outputs import first_line_has, new_file
from emonet_face.released import BadRow

KEYS = ("file", "row", "reason", "record")
_ERRORS = "backslashreplace"
MAX_KINDS = 100
"""Kinds of reasons that are counted each for itself; more are counted together."""

OTHER_REASONS = "other reasons"

_KIND_LENGTH = 200
_PIECES = re.compile(r"""'[^']*'|"[^"]*"|(?P<word>[^\s'"]+)""")
_NUMBERS = re.compile(
    r"(?<![\w-])(?:(?P<range>-?\d+\.\.-?\d+)|[-+]?\d+(,\d{3})*(\.\d+)?(e[-+]?\d+)?)"
)


@dataclass(frozen=True)
class Reject:
    """A row of the source, or an image, that is not in the dataset.

    Attributes:
        file: the source file; a member of an archive as "archive.tar:member".
        row: data row or line in it, counted from 1; None where the file is one record.
        reason: what was wrong.
        record: what would have been used: the source row, or the labels of the image.
    """

    file: str
    row: int | None
    reason: str
    record: dict[str, Any]

    @classmethod
    def of(cls, bad: BadRow, path: Path) -> Reject:
        """The reject of a bad row of a published table."""
        return cls(str(path), bad.row, bad.reason, dict(bad.record))

    @property
    def error(self) -> EmoNetFaceError:
        """The same as an error for people who want to stop at it."""
        place = self.file if self.row is None else f"{self.file}, row {self.row}"
        return EmoNetFaceError(f"{place}: {self.reason}")


def kind_of(reason: str) -> str:
    """A reason without its particulars (quoted pieces, paths, numbers), for counting.

    What is allowed stays: a range as "0..7".
    """
    kind = _PIECES.sub(_general, reason)
    return kind if len(kind) <= _KIND_LENGTH else f"{kind[: _KIND_LENGTH - 1]}…"


def _general(piece: re.Match[str]) -> str:
    word = piece["word"]
    if word is None or "/" in word or word.endswith(".json:"):  # the record beside an image
        return "…"
    return _NUMBERS.sub(lambda number: number["range"] or "…", word)


class Rejects:
    """Takes the rejects out of a stream of rows, counts them and writes them down as they come.

    Attributes:
        n: rejects so far.
        reasons: kind of reason -> number; from the 101st kind on OTHER_REASONS.
        first: the first reject.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        strict: bool = False,
        kept: Mapping[str, Any] | None = None,
    ) -> None:
        """
        Args:
            stream: where they are written; None for nowhere.
            strict: the first one is an error.
            kept: the `state` of an earlier run that this one goes on from.
        """
        self.n = kept["n"] if kept else 0
        self.reasons: Counter[str] = Counter(kept["reasons"] if kept else ())
        self.first: Reject | None = None
        self._bytes = kept["bytes"] if kept else 0
        self._stream = stream
        self._strict = strict

    def state(self) -> dict[str, Any]:
        """What a later run needs to go on from here, as JSON values."""
        return {"n": self.n, "bytes": self._bytes, "reasons": dict(self.reasons)}

    def flush(self) -> None:
        """See to it that all rejects so far are in the file."""
        if self._stream is not None:
            self._stream.flush()

    def accepted(
        self, rows: Iterable[Row | Reject], *, source: Path, needed: bool = True
    ) -> Iterator[Row]:
        """The rows that are no rejects.

        Args:
            rows: what a row generator yields.
            source: named in the error.
            needed: no row at all is an error.

        Raises:
            EmoNetFaceError: at the first reject with `strict`; at the end where no row is left.
        """
        any_row = False
        for row in rows:
            if isinstance(row, Reject):
                self._put(row)
            else:
                any_row = True
                yield row
        if needed and not any_row:
            if self.first is None:
                raise EmoNetFaceError(f"{source}: holds no row for this config")
            raise EmoNetFaceError(
                f"{source}: no row is left, {self.n:,} rejected; the first: {self.first.error}"
            )

    def _put(self, reject: Reject) -> None:
        if self._strict:
            raise EmoNetFaceError(f"{reject.error} (strict: nothing was written)")
        self.n += 1
        self.first = self.first or reject
        kind = kind_of(reject.reason)
        room = len(self.reasons) < MAX_KINDS
        self.reasons[kind if room or kind in self.reasons else OTHER_REASONS] += 1
        if self._stream is not None:
            line = {key: getattr(reject, key) for key in KEYS}
            text = json.dumps(line, ensure_ascii=False) + "\n"
            self._stream.write(text)
            self._bytes += len(text.encode("utf-8", errors=_ERRORS))


def rejects_path(repo: Path, config: str) -> Path:
    """Where the rejects of a build go: beside the repo, never inside."""
    return repo.with_name(f"{repo.name}.rejects-{config}.jsonl")


@contextmanager
def rejects_file(
    path: Path,
    *,
    strict: bool,
    work: Path | None = None,
    kept: Mapping[str, Any] | None = None,
) -> Iterator[Rejects]:
    """Give the Rejects of one build; put their file at `path` when the block ends well.

    Without a reject there is no file, and one of an earlier build goes. Lone surrogates, which
    JSON sources may hold and UTF-8 cannot, are written as the JSON escapes they came as.

    Args:
        path: where the file goes.
        strict: the first reject is an error.
        work: where they are written meanwhile, for builds that can go on after a kill.
        kept: the `Rejects.state` to go on from; what `work` holds beyond it is cut off.

    Raises:
        EmoNetFaceError: a file that is not ours stands at `path`.
    """
    ours = first_line_has(*(f'"{key}": ' for key in KEYS))
    with new_file(path, ours) as aside:
        with (work or aside).open("ab") as file:
            file.truncate(kept["bytes"] if kept else 0)
            with io.TextIOWrapper(file, encoding="utf-8", errors=_ERRORS, newline="\n") as stream:
                rejects = Rejects(stream, strict=strict, kept=kept)
                yield rejects
        if work is not None:
            shutil.copyfile(work, aside)
    if not rejects.n:
        path.unlink(missing_ok=True)
