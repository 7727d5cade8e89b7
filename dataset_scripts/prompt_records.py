"""Prompt records: what an image was asked to show, from a sidecar or a prompts file.

A record is a JSON object beside the image (NAME.json beside NAME.png) or a line of a `.jsonl`
with `image_id`. Demographics in it are parameters of the prompt, never observations.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dataset_scripts.rejects import Reject
from dataset_scripts.strict_json import Line, iter_lines
from emonet_face.errors import EmoNetFaceError, shown
from emonet_face.imaging import ImageFile, checked_stem
from emonet_face.ratings import resolve
from emonet_face.released import checked_name
from emonet_face.taxonomy import INDEX

TEXT_KEYS = ("generator", "prompt", "prompted_ethnicity", "prompted_gender")
PROMPT_KEYS = (*TEXT_KEYS, "prompted_emotion", "prompted_age")
"""Keys that become columns of the same name."""

FACT_KEYS = ("image_id", "sha256", "width", "height")
"""Keys that say which image is meant; they must agree with it."""

RUN_KEYS = ("seed", "intensities", "generation", "quality")
"""Keys that `generate` writes for annotators and for making an image again; the dataset has no
column for them."""

LABEL_KEYS = ("annotator", "scores", "dimensions", "annotations")
"""Keys that hold machine labels; only config `big` reads them."""

MAX_AGE = 120


def check_keys(record: Mapping[str, Any]) -> None:
    """Raise EmoNetFaceError at a key that no record may have (a misspelt one would be lost)."""
    allowed = (*PROMPT_KEYS, *FACT_KEYS, *RUN_KEYS, *LABEL_KEYS)
    for key in record:
        if key not in allowed:
            raise EmoNetFaceError(f"unknown key {shown(key)}; known are {', '.join(allowed)}")


def check_facts(record: Mapping[str, Any], image_id: str, image: ImageFile | None) -> None:
    """Raise EmoNetFaceError where a record describes another image than the one at hand.

    Args:
        record: any of FACT_KEYS may be absent or null.
        image_id: the image's stem.
        image: the image; None checks the id alone.
    """
    actual: dict[str, object] = {"image_id": image_id}
    if image is not None:
        actual |= {"sha256": image.sha256, "width": image.width, "height": image.height}
    for key, value in actual.items():
        said = record.get(key)
        if said is not None and said != value:
            raise EmoNetFaceError(f"the record says {key} {shown(said)}, the image has {value!r}")


def prompt_columns(record: Mapping[str, Any]) -> dict[str, Any]:
    """The prompt columns of a record; absent and null keys become None.

    Returns:
        PROMPT_KEYS -> value, `prompted_emotion` as its index in canonical order.

    Raises:
        EmoNetFaceError: a value of another type, an empty text, an unknown emotion.
    """
    columns: dict[str, Any] = dict.fromkeys(PROMPT_KEYS)
    for key in TEXT_KEYS:
        if record.get(key) is not None:
            columns[key] = text_value(record[key], key)
    if record.get("prompted_emotion") is not None:
        name = text_value(record["prompted_emotion"], "prompted_emotion")
        try:
            columns["prompted_emotion"] = INDEX[resolve(name)]
        except EmoNetFaceError as error:
            raise EmoNetFaceError(f"'prompted_emotion': {error}") from None
    age = record.get("prompted_age")
    if age is not None:
        if isinstance(age, bool) or not isinstance(age, int) or not 0 <= age <= MAX_AGE:
            raise EmoNetFaceError(
                f"'prompted_age' is {shown(age)}: must be a whole number of years, 0..{MAX_AGE}"
            )
        columns["prompted_age"] = age
    return columns


def text_value(value: object, key: str) -> str:
    """A text that can be stored, or EmoNetFaceError naming the key."""
    if not isinstance(value, str) or not value.strip():
        raise EmoNetFaceError(f"{key!r} is {shown(value)}: must be a text that is not empty")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise EmoNetFaceError(f"{key!r} is {shown(value)}: is not valid Unicode") from None
    return value


def name_value(value: object, key: str) -> str:
    """The name of an image or an annotator, spelt as in a published table, or EmoNetFaceError."""
    return checked_name(text_value(value, key), key)


def read_prompts(path: Path) -> tuple[dict[str, Line], list[Reject]]:
    """A prompts file -> image id -> line, and the lines that name no image of their own.

    Values are checked later, with the image they belong to. A second line for an image is a
    reject that names the first.

    Raises:
        EmoNetFaceError: the file cannot be read or is empty, or no line of it can be used.
    """
    lines: dict[str, Line] = {}
    rejects: list[Reject] = []
    for line in iter_lines(path):
        if isinstance(line, Reject):
            rejects.append(line)
            continue
        try:
            image_id = checked_stem(name_value(line.record.get("image_id"), "image_id"))
            first = lines.setdefault(image_id, line)
            if first is not line:
                raise EmoNetFaceError(f"image {shown(image_id)} already has line {first.number}")
        except EmoNetFaceError as error:
            rejects.append(Reject(str(path), line.number, str(error), line.record))
    if not lines:
        first = rejects[0]
        raise EmoNetFaceError(f"{path}: no line can be used; line {first.row}: {first.reason}")
    return lines, rejects
