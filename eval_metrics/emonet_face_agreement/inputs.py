"""What `compute`, `add` and `add_batch` accept: every fault is a ValueError that names its place.

Arrays, tensors, tuples and dataset columns become nested lists of Python floats. Images, raters and
values are counted from 0, as they are indexed.

>>> check_batch([[0.5, 2]], [[[0, 3], [1, 9]]])
Traceback (most recent call last):
ValueError: references: image 0, rater 1, value 1 is 9.0: ratings lie in 0..7
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real

import numpy as np
from numpy.typing import NDArray

from .levels import LEVELS

RATING_MIN, RATING_MAX = 0, LEVELS - 1

Row = list[float]


def check_batch(predictions: object, references: object) -> tuple[list[Row], list[list[Row]]]:
    """Predictions and references of the same images as nested lists of floats.

    Args:
        predictions: for each image a row of scores, on any scale.
        references: for each image its raters, for each rater a row of ratings 0..7 as long as the
            row of scores. Images may have different numbers of raters, at least one.

    Raises:
        ValueError: a value that is no number, is not finite or is out of range; rows of different
            lengths; an image without a rater; no image; different numbers of images.
    """
    scores = [
        _row(row, f"predictions: image {i}", "scores")
        for i, row in enumerate(_list(predictions, "predictions", "row of scores per image"))
    ]
    images = [
        _list(raters, f"references: image {i}", "row of ratings per rater")
        for i, raters in enumerate(_list(references, "references", "list of raters per image"))
    ]
    if len(scores) != len(images):
        raise ValueError(
            f"predictions has {len(scores)} images, references has {len(images)}: "
            "both describe the same images"
        )
    if not scores:
        raise ValueError("predictions and references are empty: at least one image is needed")
    check_widths(scores)
    ratings = []
    for i, raters in enumerate(images):
        if not raters:
            raise ValueError(f"references: image {i} has no rater: at least one is needed")
        ratings.append([_ratings(row, i, j, len(scores[i])) for j, row in enumerate(raters)])
    return scores, ratings


def check_image(prediction: object, reference: object) -> tuple[list[Row], list[list[Row]]]:
    """`check_batch` of one image, which has no number: a fault says "the image given"."""
    try:
        return check_batch([prediction], [reference])
    except ValueError as error:
        raise ValueError(str(error).replace("image 0", "the image given", 1)) from None


def check_widths(predictions: Sequence[Row]) -> int:
    """The number of values that all rows have.

    Raises:
        ValueError: a row is longer or shorter than the first one.
    """
    width = len(predictions[0])
    for i, row in enumerate(predictions):
        if len(row) != width:
            raise ValueError(
                f"predictions: image {i} has {len(row)} values, image 0 has {width}: "
                "all rows have one value per emotion"
            )
    return width


def emotion_names(emotions: object, width: int) -> list[str]:
    """The names of the columns: as many different strings as a row has values."""
    names = _list(emotions, "emotions", "list of names")
    for i, name in enumerate(names):
        if not isinstance(name, str):
            raise ValueError(f"emotions: name {i} is {name!r}: names are strings")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"emotions names {twice!r} twice: names differ")
    if len(names) != width:
        raise ValueError(f"emotions has {len(names)} names, rows have {width} values")
    return names


def rating_table(references: list[list[Row]], rater_ids: object = None) -> NDArray[np.float64]:
    """Ratings as one array (n_images, n_raters, k), NaN where an image has no such rater.

    Args:
        references: checked ratings, ragged in the number of raters.
        rater_ids: names parallel to the raters of each image, or None. With names each different
            name has a column of its own; without, the columns are places in the lists.

    Raises:
        ValueError: `rater_ids` does not fit `references`, or an image names a rater twice.
    """
    if rater_ids is None:
        columns = [list(range(len(raters))) for raters in references]
    else:
        columns = _rater_columns(_list(rater_ids, "rater_ids", "list of names"), references)
    n_raters = 1 + max(max(own) for own in columns)
    table = np.full((len(references), n_raters, len(references[0][0])), np.nan)
    for i, (own, raters) in enumerate(zip(columns, references, strict=True)):
        table[i, own] = raters
    return table


def _rater_columns(rater_ids: list[object], references: list[list[Row]]) -> list[list[int]]:
    if len(rater_ids) != len(references):
        raise ValueError(f"rater_ids has {len(rater_ids)} images, references has {len(references)}")
    column_of: dict[str, int] = {}
    columns = []
    for i, (given, raters) in enumerate(zip(rater_ids, references, strict=True)):
        names = _list(given, f"rater_ids: image {i}", "name per rater")
        if len(names) != len(raters):
            raise ValueError(
                f"rater_ids: image {i} has {len(names)} names, references has {len(raters)} raters"
            )
        for j, name in enumerate(names):
            if not isinstance(name, str):
                raise ValueError(f"rater_ids: image {i}, rater {j} is {name!r}: names are strings")
            if name in names[:j]:
                raise ValueError(
                    f"rater_ids: image {i}, rater {j} is {name!r} again: each rates it once"
                )
        columns.append([column_of.setdefault(name, len(column_of)) for name in names])
    return columns


def _list(values: object, where: str, wanted: str) -> list:
    if hasattr(values, "tolist"):
        values = values.tolist()
    if isinstance(values, (str, bytes)) or not isinstance(values, Sequence):
        raise ValueError(f"{where} is {_shown(values)}: a {wanted} is needed")
    return list(values)


def _row(values: object, where: str, what: str) -> Row:
    row = _list(values, where, f"row of {what}")
    if not row:
        raise ValueError(f"{where} has no values: at least one is needed")
    for i, value in enumerate(row):
        # float and int first: the checks of 400,000 values are most of the time of a call
        if type(value) is not float and type(value) is not int:
            value = value.tolist() if hasattr(value, "tolist") else value
            if isinstance(value, bool) or not isinstance(value, Real):
                raise ValueError(f"{where}, value {i} is {_shown(value)}: {what} are numbers")
        row[i] = number = float(value)
        if not math.isfinite(number):
            raise ValueError(f"{where}, value {i} is {number}: {what} are finite")
    return row


def _ratings(values: object, image: int, rater: int, width: int) -> Row:
    where = f"references: image {image}, rater {rater}"
    row = _row(values, where, "ratings")
    if len(row) != width:
        raise ValueError(f"{where} has {len(row)} values, the prediction has {width}")
    if min(row) < RATING_MIN or max(row) > RATING_MAX:
        i = next(i for i, v in enumerate(row) if not RATING_MIN <= v <= RATING_MAX)
        raise ValueError(
            f"{where}, value {i} is {row[i]}: ratings lie in {RATING_MIN}..{RATING_MAX}"
        )
    return row


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
