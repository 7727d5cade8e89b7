"""Images with the scores of a model and the ratings of people: what `calibrate` measures on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch

from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import decode
from emonet_face.progress import track
from emonet_face.ratings import check_rating
from emonet_face.taxonomy import EMOTIONS, N_EMOTIONS
from modeling_empathicinsight.conformal import Floats
from modeling_empathicinsight.preprocessing import FastPreprocessor
from modeling_empathicinsight.repository import load_model
from modeling_empathicinsight.source import batches, iter_rows

_BATCH = 32


@dataclass(frozen=True)
class Rated:
    """Images with the model's scores and their ratings.

    Attributes:
        image_ids: n ids.
        scores: (n, 40) raw scores.
        ratings: (n, raters, 40), NaN = none; who rated is not kept apart.
        raters: all their names, sorted.
        n_null: rows without an image or without ratings, left out.
    """

    image_ids: list[str]
    scores: Floats
    ratings: Floats
    raters: list[str]
    n_null: int


def read_rated(model: Path, dataset: str | Path, config: str) -> Rated:
    """Score the rated images of a dataset config, as `predict` would.

    Args:
        model: model repo folder.
        dataset: folder or Hub id, with the columns `image_id`, `image` and `ratings`.
        config: e.g. "hq".

    Raises:
        EmoNetFaceError: model or dataset cannot be used; an image stands twice or does not decode;
            a rating lies outside 0..7; somebody rated an image twice; the model gives a score that
            is not finite; or no row has both an image and ratings.
    """
    loaded, processor = load_model(model)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    loaded.to(device)
    preprocessor = FastPreprocessor(processor, model)  # that of `predict`: the same scores
    ids: list[str] = []
    names: set[str] = set()
    scores, ratings = [], []
    n_rows = 0
    for batch in batches(track(_faces(dataset, config), f"scoring {config}"), _BATCH):
        n_rows += len(batch)
        faces = [row for row in batch if row is not None]
        if not faces:
            continue
        pixels = torch.stack([preprocessor.pixels(face) for _, face, _ in faces])
        with torch.inference_mode():
            output = loaded(pixel_values=preprocessor.normalise(pixels, device, loaded.dtype))
        scores.append(output.scores[:, :N_EMOTIONS].double().cpu().numpy())
        for image_id, _, given in faces:
            ids.append(image_id)
            ratings.append(list(given.values()))
            names.update(given)
    if not ids:
        raise EmoNetFaceError(
            f"{dataset}, config {config}: none of its {n_rows} rows has both an image and ratings"
        )
    table = np.concatenate(scores)
    if not np.isfinite(table).all():
        bad = ids[int(np.isfinite(table).all(axis=1).argmin())]
        raise EmoNetFaceError(f"{model}: gives image {bad!r} scores that are not finite")
    filled = np.array(list(zip_longest(*ratings, fillvalue=[np.nan] * N_EMOTIONS)))
    return Rated(ids, table, filled.swapaxes(0, 1), sorted(names), n_rows - len(ids))


def _faces(dataset: str | Path, config: str) -> Iterator[tuple[str, Any, dict[str, Any]] | None]:
    """(image id, picture, rater -> 40 ratings) per row; None where a row lacks one of them."""
    seen: set[str] = set()
    for row in iter_rows(dataset, config, ["image_id", "image", "ratings"]):
        image_id = row["image_id"]
        where = f"{dataset}, config {config}, image {image_id!r}"
        if image_id in seen:
            raise EmoNetFaceError(f"{where}: stands twice; image ids must be unique")
        seen.add(image_id)
        if row["image"] is None or not row["ratings"]:
            yield None
            continue
        if row["image"]["bytes"] is None:
            raise EmoNetFaceError(f"{where}: the bytes are not in the Parquet file")
        given: dict[str, list[float]] = {}
        for rating in row["ratings"]:
            name = rating["annotator"]
            if name in given:
                raise EmoNetFaceError(f"{where}: rated twice by {name!r}")
            given[name] = [
                np.nan if value is None else check_rating(value, f"{where}, {name}, {emotion}")
                for emotion, value in zip(EMOTIONS, rating["scores"], strict=True)
            ]
        yield image_id, decode(row["image"]["bytes"], where), given
