"""Rejected rows: each with its reason, counted, and kept in a file beside the repo.

>>> kind_of("unknown category 'Joy'; nearest: 'Fear'")
'unknown category …; nearest: …'
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from dataset_scripts.schema import Row
from emonet_face.errors import EmoNetFaceError
from emonet_face.outputs import first_line_has, new_file
from emonet_face.released import BadRow

KEYS = ("file", "row", "reason", "record")
_PARTICULARS = re.compile(r"""'[^']*'|"[^"]*"|\S*/\S*|\d+(\.\d+)?""")


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
    """A reason without its particulars (quoted pieces, paths, numbers), for counting."""
    return _PARTICULARS.sub("…", reason)


class Rejects:
    """Takes the rejects out of a stream of rows, counts them and writes them down as they come.

    Attributes:
        n: rejects so far.
        reasons: kind of reason -> number.
        first: the first reject.
    """

    def __init__(self, stream: TextIO | None = None, *, strict: bool = False) -> None:
        self.n = 0
        self.reasons: Counter[str] = Counter()
        self.first: Reject | None = None
        self._stream = stream
        self._strict = strict

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
        self.reasons[kind_of(reject.reason)] += 1
        if self._stream is not None:
            line = {key: getattr(reject, key) for key in KEYS}
            self._stream.write(json.dumps(line, ensure_ascii=False) + "\n")


def rejects_path(repo: Path, config: str) -> Path:
    """Where the rejects of a build go: beside the repo, never inside."""
    return repo.with_name(f"{repo.name}.rejects-{config}.jsonl")


@contextmanager
def rejects_file(path: Path, *, strict: bool) -> Iterator[Rejects]:
    """Give the Rejects of one build; put their file at `path` when the block ends well.

    Without a reject there is no file, and one of an earlier build goes. Lone surrogates, which
    JSON sources may hold and UTF-8 cannot, are written as the JSON escapes they came as.

    Raises:
        EmoNetFaceError: a file that is not ours stands at `path`.
    """
    ours = first_line_has(*(f'"{key}": ' for key in KEYS))
    with (
        new_file(path, ours) as aside,
        aside.open("w", encoding="utf-8", errors="backslashreplace") as stream,
    ):
        rejects = Rejects(stream, strict=strict)
        yield rejects
    if not rejects.n:
        path.unlink(missing_ok=True)
