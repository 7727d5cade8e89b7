"""Numbers that know where they come from: a card prints no others.

>>> table = sourced({"kappa": [0.25, None]}, "evaluation.json")
>>> table["kappa"][0], table["kappa"][1]
(Number(value=0.25, source='evaluation.json#/kappa/0'), None)
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emonet_face.errors import EmoNetFaceError

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Number:
    """A number and its source.

    Attributes:
        value: finite.
        source: FILE#POINTER. FILE is a path in the product, `results/NAME.json`, a Python file, or
            `CONFIG/*.parquet`; POINTER is a JSON pointer (RFC 6901) into it, or names what was
            counted in the shards.
    """

    value: float
    source: str

    def __post_init__(self) -> None:
        """Raise ValueError where the value is no finite number."""
        if isinstance(self.value, bool) or not math.isfinite(self.value):
            raise ValueError(f"{self.source}: {self.value!r} is no finite number")


def sourced(value: Any, file: str, pointer: str = "") -> Any:
    """Plain data with every number replaced by a `Number`; text, booleans and None stay."""
    if isinstance(value, Mapping):
        return {key: sourced(v, file, f"{pointer}/{_escaped(key)}") for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [sourced(v, file, f"{pointer}/{place}") for place, v in enumerate(value)]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Number(value, f"{file}#{pointer}")
    return value


def part(data: Mapping[str, Any], file: str, *keys: str) -> Any:
    """One branch of a file's data, sourced; None where it is not there."""
    found: Any = data
    for key in keys:
        if not isinstance(found, Mapping) or key not in found:
            return None
        found = found[key]
    return sourced(found, file, "".join(f"/{_escaped(key)}" for key in keys))


def _escaped(key: object) -> str:
    return str(key).replace("~", "~0").replace("/", "~1")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        EmoNetFaceError: it cannot be read, is not JSON, or holds something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EmoNetFaceError(f"{path}: is not a readable JSON file ({error})") from None
    if not isinstance(value, dict):
        raise EmoNetFaceError(f"{path}: holds a {type(value).__name__}, not an object")
    return value


def results(name: str) -> dict[str, Any]:
    """A file of `results/`, sourced: of the clone, or the copy that the installed package has."""
    for folder in (HERE / "results", HERE.parent / "results"):
        if (folder / name).is_file():
            return sourced(read_json(folder / name), f"results/{name}")
    raise EmoNetFaceError(f"results/{name}: is not there; install the package again")


def values_of(rows: Sequence[Any]) -> list[float | None]:
    """Numbers -> floats, None where undefined."""
    return [None if row is None else float(row.value) for row in rows]
