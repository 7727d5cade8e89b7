"""Neutral means of released heads: the published constants, or what a user gives for them.

A set of means belongs to one set of weights. One set is known exactly, that of a Small model
(`released_neutral_means.json` says where from and what is not known of it); none is for Large.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch

from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import MAX_FILE_BYTES, decode, iter_images, read_bytes
from emonet_face.progress import track
from emonet_face.ratings import resolve_output
from modeling_empathicinsight.backbone import Backbone
from modeling_empathicinsight.embeddings import check_made_by, read_embeddings
from modeling_empathicinsight.modeling_empathicinsight import EmpathicInsightHeads
from modeling_empathicinsight.released_heads import ReleasedHeads
from modeling_empathicinsight.source import batches

PUBLISHED: dict[str, Any] = json.loads(
    files(__package__).joinpath("released_neutral_means.json").read_text(encoding="utf-8")
)
_BATCH = 32


def check_given(heads: ReleasedHeads, given: Path | None) -> None:
    """Make sure, before anything is loaded, that means can be had.

    Raises:
        EmoNetFaceError: nothing is given and none are published for heads of this size, or what
            is given does not exist.
    """
    if given is None and heads.size != PUBLISHED["size"]:
        raise EmoNetFaceError(
            f"no neutral means are published for {heads.size} heads: give --neutral, a JSON file"
            " {slug or name: mean}, a folder of neutral faces, or a Parquet file of `embed`"
        )
    if given is not None and not given.exists():
        raise EmoNetFaceError(f"{given}: no such file or folder of neutral means")


def means_for(
    released: ReleasedHeads,
    given: Path | None,
    backbone: Backbone,
    heads: EmpathicInsightHeads,
) -> tuple[list[float], str]:
    """Neutral means of a set of heads, and their source in words.

    Args:
        released: the heads as read.
        given: None: the published constants. A `.json` file: {slug or name: mean}, exactly the
            outputs of the heads. A `.parquet` file of `embed`: embeddings of neutral faces by the
            same tower. A folder: pictures of neutral faces, searched recursively. Of faces the mean
            raw score is taken.
        backbone: the model's tower.
        heads: the same heads as one module.

    Raises:
        EmoNetFaceError: see `check_given`; a missing, unknown, doubled or not finite mean; a folder
            without pictures; a picture or file that cannot be read; embeddings of another tower.
    """
    check_given(released, given)
    if given is None:
        means = _ordered(list(PUBLISHED["means"].items()), released.names, "published means", True)
        return means, f"{PUBLISHED['source']}; not known: {PUBLISHED['unknown']}"
    if given.is_dir():
        vectors = _embed_folder(given, backbone)
        source = f"mean raw score over {len(vectors)} pictures of neutral faces"
    elif given.suffix == ".parquet":
        vectors = _read_vectors(given, backbone)
        source = f"mean raw score over {len(vectors)} embeddings of neutral faces"
    elif given.suffix == ".json":
        means = _ordered(_read_json(given), released.names, str(given))
        return means, f"given to convert in {given.name}"
    else:
        raise EmoNetFaceError(
            f"{given}: neutral means come from a .json file, a .parquet file of `embed` or a folder"
            " of pictures"
        )
    with torch.inference_mode():
        means = heads(vectors).double().mean(dim=0)
    return means.tolist(), f"{source}, given to convert"


def _ordered(
    pairs: list[tuple[str, Any]], names: list[str], where: str, more: bool = False
) -> list[float]:
    """The values in the order of the outputs; `more`: those of other outputs are passed over."""
    resolved = [(resolve_output(key, where), value) for key, value in pairs]
    counts = Counter(name for name, _ in resolved)
    values = dict(resolved)
    for wrong, what in (
        ([name for name in counts if counts[name] > 1], "given twice"),
        ([name for name in names if name not in values], "missing"),
        ([name for name in values if name not in names and not more], "not an output of the heads"),
    ):
        if wrong:
            raise EmoNetFaceError(f"{where}: the neutral mean of {wrong[0]!r} is {what}")
    for name in names:
        value = values[name]
        if type(value) not in (int, float) or not math.isfinite(value):
            raise EmoNetFaceError(
                f"{where}: the neutral mean of {name!r} is {value!r}; must be a finite number"
            )
    return [float(values[name]) for name in names]


def _read_json(path: Path) -> list[tuple[str, Any]]:
    try:
        # As pairs, because a key that stands twice would be lost in a dictionary.
        pairs = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=list)
    except (OSError, ValueError) as error:
        raise EmoNetFaceError(f"{path}: cannot be read as JSON ({error})") from None
    if not (isinstance(pairs, list) and all(isinstance(pair, tuple) for pair in pairs)):
        raise EmoNetFaceError(f"{path}: a JSON object {{slug or name: mean}} is expected")
    return pairs


def _embed_folder(folder: Path, backbone: Backbone) -> torch.Tensor:
    paths = list(iter_images(folder))
    if not paths:
        raise EmoNetFaceError(f"{folder}: holds no picture of a neutral face")
    parts = []
    for batch in batches(track(paths, "embedding neutral faces"), _BATCH):
        files = [(read_bytes(path, MAX_FILE_BYTES), str(path)) for path in batch]
        parts.append(backbone.embed([decode(data, name) for data, name in files]))
    return torch.cat(parts)


def _read_vectors(path: Path, backbone: Backbone) -> torch.Tensor:
    found = read_embeddings([path])
    check_made_by(backbone, found, f"{path}: its embeddings")
    return torch.from_numpy(np.ascontiguousarray(found.vectors))
