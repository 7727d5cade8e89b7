"""The two published dataset repos that can be read back: where they are and what their rows hold.

- HQ: `path` is the image (typed so, which loses the file name), `label` a text with the ratings.
- Binary: known from its card alone, which names image, prompt, ethnicity, gender, age and
  annotations.

A repo with other columns is refused: what nobody has described must not be guessed at. How ratings
and votes are spelt in a row is told in `published_labels`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import ImageFile, checked_stem, inspect_image

PUBLISHED = {"hq": "laion/emonet-face-hq", "binary": "laion/emonet-face-binary"}
SPLIT = "train"

_TEXT = ("string", "large_string")
_VOTES = "list of {annotator: string, emotion: string, value: bool}"
_COLUMNS: dict[str, dict[str, tuple[str, ...]]] = {
    "hq": {"path": ("Image",), "label": _TEXT},
    "binary": {
        "image": ("Image",),
        "annotations": (_VOTES, *_TEXT),
        "prompt": _TEXT,
        "ethnicity": _TEXT,
        "gender": _TEXT,
        "age": ("int64", "int32", "int16", "int8"),
    },
}
"""Config -> column -> types it may have."""

_MAX_COLUMNS, _MAX_KIND = 12, 60
"""How many columns an error lists, and how much of the type of each."""

_NEEDED = {"hq": ("path", "label"), "binary": ("image", "annotations")}


@dataclass(frozen=True)
class PublishedRow:
    """One row of a published repo.

    Attributes:
        number: its place, from 1.
        values: its columns, without the picture.
        picture: {"bytes", "path"} as stored.
    """

    number: int
    values: Mapping[str, Any]
    picture: Mapping[str, Any]


class PublishedRepo:
    """A dataset repo in a published form, on the Hub or in a folder.

    Attributes:
        name: id or folder.
        config: "hq" or "binary".
    """

    def __init__(self, config: str, name: str) -> None:
        """
        Args:
            config: which form is expected.
            name: Hub id, or a folder of Parquet files; empty for the published id.

        Raises:
            EmoNetFaceError: it cannot be loaded, or its splits or columns are not the known ones.
        """
        self.name = name or PUBLISHED[config]
        self.config = config
        # Streamed, because a prepared copy would be cached by the text of a README alone.
        splits = self._load()
        if list(splits) != [SPLIT]:
            raise EmoNetFaceError(
                f"{self.name}: has the splits {', '.join(splits)}; known is one split {SPLIT!r}"
            )
        found = {column: _kind(kind) for column, kind in splits[SPLIT].features.items()}
        known = _COLUMNS[config]
        wrong = [c for c, kind in found.items() if kind not in known.get(c.casefold(), ())]
        names = [column.casefold() for column in found]
        missing = [column for column in _NEEDED[config] if column not in names]
        if wrong or missing or len(set(names)) < len(names):
            raise EmoNetFaceError(
                f"{self.name}: has the columns {_described(found)}; known for {config} are"
                f" {_described({column: kinds[0] for column, kinds in known.items()})}"
                f" (needed: {', '.join(_NEEDED[config])})"
            )
        self._rows = splits[SPLIT].decode(False)

    def _load(self, **options: Any) -> Any:
        from datasets import load_dataset

        folder = Path(self.name)
        if not folder.is_dir() and (folder.exists() or _is_path(self.name)):
            raise EmoNetFaceError(
                f"{self.name}: no such folder; give one of Parquet files, or a Hub id"
            )
        place = str(folder.resolve()) if folder.is_dir() else self.name
        with_reason = partial(_first_line, self.name, "cannot be loaded as a dataset")
        try:
            return load_dataset(place, streaming=True, **options)
        except Exception as error:  # the library raises many classes, its own and others'
            raise EmoNetFaceError(with_reason(error)) from error

    def rows(self) -> Iterator[PublishedRow]:
        """All rows in the order of the repo.

        Raises:
            EmoNetFaceError: a file of it cannot be read to its end.
        """
        picture = _NEEDED[self.config][0]
        for number, row in enumerate(self._read(self._rows), start=1):
            values = {column.casefold(): value for column, value in row.items()}
            yield PublishedRow(number, values, values.pop(picture) or {})

    def column(self, name: str) -> Iterator[Any]:
        """The values of one column, without reading the pictures."""
        yield from (row[name] for row in self._read(self._load(columns=[name])[SPLIT]))

    def _read(self, rows: Any) -> Iterator[dict[str, Any]]:
        try:
            yield from rows
        except Exception as error:  # of the Parquet reader, the file system or the network
            raise EmoNetFaceError(_first_line(self.name, "cannot be read", error)) from error

    def image(self, row: PublishedRow) -> tuple[ImageFile, str | None]:
        """The picture of a row and its own file name, where the repo has kept one.

        Raises:
            EmoNetFaceError: there is none, or it cannot be decoded.
        """
        data, name = row.picture.get("bytes"), row.picture.get("path")
        if not data:
            raise EmoNetFaceError("the row holds no picture")
        file = inspect_image(data, "the picture")
        return file, PurePosixPath(name.replace("\\", "/")).name if name else None


def own_id(file: ImageFile, name: str | None) -> str:
    """The id of a picture that nothing else names: its file name's stem where the repo has kept
    that, else the first 16 digits of its sha256.

    Raises:
        EmoNetFaceError: the file name cannot be an id.
    """
    return checked_stem(name) if name else file.sha256[:16]


def _is_path(name: str) -> bool:
    """Whether a name cannot be a Hub id: that is a name, or an owner and a name."""
    return name.startswith((".", "/", "~")) or name.endswith("/") or name.count("/") > 1


def _kind(feature: Any) -> str:
    from datasets import Image, List, Value

    if isinstance(feature, Image):
        return "Image"
    if isinstance(feature, Value):
        return feature.dtype
    if isinstance(feature, List):
        return f"list of {_kind(feature.feature)}"
    if isinstance(feature, dict):
        return "{" + ", ".join(f"{key}: {_kind(feature[key])}" for key in sorted(feature)) + "}"
    return type(feature).__name__


def _described(columns: Mapping[str, str]) -> str:
    shown = [f"{column}: {_short(kind)}" for column, kind in columns.items()]
    more = [f"and {len(shown) - _MAX_COLUMNS} more"] if len(shown) > _MAX_COLUMNS else []
    return ", ".join([*shown[:_MAX_COLUMNS], *more]) or "(none)"


def _short(kind: str) -> str:
    return kind if len(kind) <= _MAX_KIND else f"{kind[: _MAX_KIND - 1]}…"


def _first_line(name: str, what: str, error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{name}: {what} ({lines[0] if lines else type(error).__name__})"
