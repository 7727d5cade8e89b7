"""Rows of a dataset repo, local or on the Hub, read through `datasets.load_dataset`.

Everything is streamed: nothing is copied to a cache, and a changed local file is never answered
with old data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import decode

if TYPE_CHECKING:
    from PIL.Image import Image

Item = TypeVar("Item")


def config_names(dataset: str | Path) -> list[str]:
    """The configs of a dataset repo, e.g. ["hq", "binary", "big"].

    Raises:
        EmoNetFaceError: there is no such folder and no such dataset on the Hub.
    """
    from datasets import get_dataset_config_names

    try:
        return get_dataset_config_names(str(dataset))
    except (OSError, ValueError) as error:  # DatasetNotFoundError is an OSError
        raise unreadable(dataset, error) from None


def iter_rows(dataset: str | Path, config: str, columns: list[str]) -> Iterator[dict[str, Any]]:
    """The rows of a config in order, all its splits one after the other.

    Args:
        dataset: folder or Hub id.
        config: e.g. "big".
        columns: the columns to read. Of an image column the bytes are given, not decoded.

    Raises:
        EmoNetFaceError: no such dataset or config, or a column is missing.
    """
    from datasets import Image, load_dataset
    from datasets.exceptions import DatasetsError

    names = config_names(dataset)
    if config not in names:
        raise EmoNetFaceError(f"{dataset}: has no config {config!r}; found {', '.join(names)}")
    try:
        splits = load_dataset(str(dataset), config, streaming=True, columns=columns)
    except (OSError, ValueError) as error:
        raise unreadable(dataset, error) from None
    for split, data in splits.items():
        missing = [name for name in columns if name not in data.features]
        if missing:
            raise EmoNetFaceError(
                f"{dataset}, config {config}, split {split}: no column {missing[0]!r};"
                f" needed {', '.join(columns)}"
            )
        for name in columns:
            if isinstance(data.features[name], Image):
                data = data.cast_column(name, Image(decode=False))
        try:
            yield from data
        except (OSError, ValueError, DatasetsError) as error:  # a damaged shard, met on the way
            raise unreadable(dataset, error) from None


def iter_images(dataset: str | Path, config: str) -> Iterator[tuple[str, Image | None]]:
    """(image_id, RGB picture, or None where the row has no image) for each row of a config.

    Raises:
        EmoNetFaceError: see `iter_rows`; an image id stands twice; an image does not decode.
    """
    seen: set[str] = set()
    for row in iter_rows(dataset, config, ["image_id", "image"]):
        image_id, image = row["image_id"], row["image"]
        where = f"{dataset}, config {config}, image {image_id!r}"
        if image_id in seen:
            raise EmoNetFaceError(f"{where}: stands twice; image ids must be unique")
        seen.add(image_id)
        if image is None:
            yield image_id, None
        elif image["bytes"] is None:
            raise EmoNetFaceError(f"{where}: the bytes are not in the Parquet file")
        else:
            yield image_id, decode(image["bytes"], where)


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in lists of `size`, the last one shorter; no items: no lists.

    >>> list(batches("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def unreadable(dataset: str | Path, error: Exception) -> EmoNetFaceError:
    """What people are told where `datasets` cannot read a dataset."""
    reason = str(error).strip().partition("\n")[0]
    return EmoNetFaceError(f"{dataset}: cannot be read as a dataset ({reason})")
