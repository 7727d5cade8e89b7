"""What the images of a dataset repo were asked to show, and the pictures themselves.

Demographics are parameters of the prompts, never observations of the pictures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emonet_face.errors import EmoNetFaceError
from emonet_face.taxonomy import EMOTIONS
from eval_metrics.quiet_datasets import without_bars

if TYPE_CHECKING:
    from datasets import Dataset

ATTRIBUTES = {
    "ethnicity": "prompted_ethnicity",
    "age": "prompted_age",
    "gender": "prompted_gender",
    "generator": "generator",
}
"""Attribute -> column of config `hq`."""


@dataclass(frozen=True)
class Prompts:
    """The attributes of a repo's images.

    Attributes:
        values: attribute -> (image id -> value as text); images without a value are left out.
        n_images: images of the config.
    """

    values: Mapping[str, Mapping[str, str]]
    n_images: int

    def counts(self, attribute: str) -> dict[str, int]:
        """How many images have each value, in the order of the values."""
        found = Counter(self.values[attribute].values())
        return {value: found[value] for value in in_order(found)}


def in_order(values: Mapping[str, object]) -> list[str]:
    """Values in their natural order: numbers by size, before words by the alphabet."""
    return sorted(values, key=lambda v: (not v.isdigit(), int(v) if v.isdigit() else 0, v))


def read_prompts(repo: str) -> Prompts | None:
    """The attributes of config `hq`; None for a repo without these columns.

    Args:
        repo: a folder or a Hub id; no picture is read.

    Raises:
        EmoNetFaceError: the columns are there and cannot be read.
    """
    dataset = _load(repo, ["image_id", *ATTRIBUTES.values()])
    if dataset is None:
        return None
    table = dataset.with_format("arrow")[:]
    images = table.column("image_id").to_pylist()
    values = {
        attribute: {
            image: str(value)
            for image, value in zip(images, table.column(column).to_pylist(), strict=True)
            if value is not None and str(value).strip()
        }
        for attribute, column in ATTRIBUTES.items()
    }
    return Prompts(values, len(images))


def read_category(repo: str, image_id: str) -> str | None:
    """The category that one image of config `hq` was asked to show; None where none is known.

    Raises:
        EmoNetFaceError: as `read_picture`.
    """
    value = _cell(_load(repo, ["image_id", "prompted_emotion"]), repo, image_id)
    return EMOTIONS[value] if isinstance(value, int) else value


def read_picture(repo: str, image_id: str) -> bytes | None:
    """The bytes of one picture of config `hq`; None where the repo holds only its ratings.

    Raises:
        EmoNetFaceError: the repo has no such image, or it cannot be read.
    """
    from datasets import Image

    dataset = _load(repo, ["image_id", "image"])
    if dataset is not None:
        dataset = dataset.cast_column("image", Image(decode=False))
    picture = _cell(dataset, repo, image_id)
    return picture and picture["bytes"]


def _cell(dataset: Dataset | None, repo: str, image_id: str) -> Any:
    """What an image has in the column beside `image_id`; None where there is no such column."""
    if dataset is None:
        return None
    ids = dataset.with_format("arrow")["image_id"][:].to_pylist()
    if image_id not in ids:
        raise EmoNetFaceError(f"{repo}: config 'hq' has no image {image_id!r}")
    (column,) = set(dataset.column_names) - {"image_id"}
    return dataset[ids.index(image_id)][column]


def _load(repo: str, columns: list[str]) -> Dataset | None:
    """Some columns of config `hq`; None for a repo that lacks one of them."""
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError

    try:
        with without_bars():
            found = load_dataset(repo, "hq", split="test", streaming=True).features
            if not set(columns) <= set(found):
                return None
            return load_dataset(repo, "hq", split="test", columns=columns)
    except (OSError, ValueError, KeyError, DatasetsError) as error:
        reason = str(error.__cause__ or error).partition("\n")[0]
        raise EmoNetFaceError(f"{repo}: config 'hq' cannot be read ({reason})") from None
