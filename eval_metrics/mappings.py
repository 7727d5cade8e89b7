"""From the 40 categories to the classes of other data sets: mapping files, and packs that we ship.

The published mappings are fitted to one data set each and need all 40 categories. The packs of
`mapping_packs.json` are our own, made without looking at any data set: strict ones by rules that a
reader can check, inclusive ones by judgement. What a pack does not map stays unmapped, and how much
that is gets printed.

>>> sorted(packs())[:2], read_pack("basic6-strict").categories["Elation"]
(['affectnet8-inclusive', 'affectnet8-strict'], 'happy')
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from emonet_face.errors import EmoNetFaceError
from emonet_face.ratings import resolve
from emonet_face.taxonomy import EMOTIONS

CLASSES = ("anger", "contempt", "disgust", "fear", "happy", "neutral", "sad", "surprise")
"""Alphabetical, and so also the label ids 0..7 of AffectNet as the published evaluation uses it."""
CLASS_ALIASES = {"surprised": "surprise", "happiness": "happy", "sadness": "sad"}

_PACKS = Path(__file__).parent / "mapping_packs.json"


@dataclass(frozen=True)
class ClassMapping:
    """Which class each category stands for.

    Attributes:
        name: of the pack or the file.
        what: what it is and how it was made.
        classes: answers that are possible, alphabetical.
        categories: category -> class; categories without one are unmapped.
        labels: label of the data set (one of `CLASSES`) -> class; images with other labels are
            left out and counted.
        neutral_below: "neutral" is the single answer where no neutral-subtracted score of a mapped
            category reaches this; None: it is an answer like any other.
    """

    name: str
    what: str
    classes: tuple[str, ...]
    categories: Mapping[str, str]
    labels: Mapping[str, str]
    neutral_below: float | None = None

    @property
    def unmapped(self) -> list[str]:
        """Categories that stand for no class, in canonical order."""
        return [name for name in EMOTIONS if name not in self.categories]

    def members(self, answer: str) -> list[str]:
        """Categories of a class, in canonical order."""
        return [name for name in EMOTIONS if self.categories.get(name) == answer]


@lru_cache(maxsize=1)
def packs() -> dict[str, dict[str, Any]]:
    """The shipped packs as their file has them."""
    return json.loads(_PACKS.read_text(encoding="utf-8"))


def read_pack(name: str) -> ClassMapping:
    """One of the shipped packs.

    Raises:
        EmoNetFaceError: there is none of that name.
    """
    if name not in packs():
        raise EmoNetFaceError(
            f"mapping {name!r}: is neither a file nor a pack; packs are {', '.join(packs())}"
        )
    pack = packs()[name]
    categories = {one: label for label, names in pack["categories"].items() for one in names}
    classes = tuple(sorted(pack["categories"]))
    return ClassMapping(
        name, pack["what"], classes, categories, pack["labels"], pack["neutral_below"]
    )


def find_mapping(mapping: Path | str, target: str) -> ClassMapping:
    """A mapping file, or else the pack of that name.

    Raises:
        EmoNetFaceError: see `read_mapping` and `read_pack`.
    """
    path = Path(mapping)
    if path.exists() or path.suffix or len(path.parts) > 1:
        categories = read_mapping(path, target)
        what = f"mapping of {target} in {path.name}"
        return ClassMapping(path.name, what, CLASSES, categories, {c: c for c in CLASSES})
    return read_pack(str(mapping))


def read_mapping(path: Path, target: str) -> dict[str, str]:
    """Category -> class for one target of a mapping file `{target: {"model_<slug>_best": class}}`.

    Raises:
        EmoNetFaceError: the file is no such JSON, lacks the target or one of the 40 categories, or
            names an unknown category or class.
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EmoNetFaceError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise EmoNetFaceError(f"{path}: is not JSON ({error})") from None
    if not isinstance(table, dict) or not isinstance(table.get(target), dict):
        found = ", ".join(table) if isinstance(table, dict) else type(table).__name__
        raise EmoNetFaceError(f"{path}: no target {target!r}; found {found}")
    mapping: dict[str, str] = {}
    for key, value in table[target].items():
        try:
            name = resolve(key)
            if name in mapping:
                raise EmoNetFaceError(f"category {name!r} is mapped twice")
            mapping[name] = class_of(value, f"key {key!r}")
        except EmoNetFaceError as error:
            raise EmoNetFaceError(f"{path}, {target}: {error}") from None
    missing = [name for name in EMOTIONS if name not in mapping]
    if missing:
        raise EmoNetFaceError(f"{path}, {target}: no class for {missing[0]!r}; all 40 are needed")
    return mapping


def is_class(word: str) -> bool:
    """Whether a word, no number, is the name of a class or an alias of one."""
    return CLASS_ALIASES.get(word.lower(), word.lower()) in CLASSES


def class_of(value: object, what: str) -> str:
    """The class that a label names: a class, an alias of one, or an AffectNet id 0..7.

    Raises:
        EmoNetFaceError: it names none; `what` says whose label it is.
    """
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(CLASSES):
        return CLASSES[value]
    if isinstance(value, str):
        name = value.strip().lower()
        if name.isdigit() and int(name) < len(CLASSES):
            return CLASSES[int(name)]
        name = CLASS_ALIASES.get(name, name)
        if name in CLASSES:
            return name
    raise EmoNetFaceError(f"{what} names class {value!r}; allowed are {', '.join(CLASSES)}")
