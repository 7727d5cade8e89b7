"""Where a benchmark's ratings come from: a ratings file, a dataset repo, lines of `predict`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emonet_face.errors import EmoNetFaceError
from emonet_face.ratings import Gaps, parse_scores
from emonet_face.released import checked_name
from emonet_face.taxonomy import EMOTIONS, N_EMOTIONS, RATING_MAX, RATING_MIN
from eval_metrics.panel import RatingTable
from eval_metrics.prediction_file import Record, read_prediction_file
from eval_metrics.quiet_datasets import without_bars
from eval_metrics.ratings_file import read_ratings_file

if TYPE_CHECKING:
    import pyarrow as pa

UNIT_SCALE = "Hume Face*"
"""Annotators whose published name holds this are on 0..1; the published analysis takes them x 7."""

_SCORE_KEY = "neutral_subtracted"


@dataclass(frozen=True)
class PredictionLog:
    """What one file of predictions held beside the scores.

    Attributes:
        file: its name.
        n_lines: lines read, errors included.
        errors: the lines that say an image could not be read: line, image, error.
        without_face: images in which `predict --faces` found no face.
        n_other_faces: lines of faces beside the largest of their image, which stands for it.
        missing_images: images of the ratings that the file has no scores for, for whatever reason.
        left_out: all of this in words; empty where there is nothing to say.
    """

    file: str
    n_lines: int
    errors: list[Record]
    without_face: list[str]
    n_other_faces: int
    missing_images: list[str]
    left_out: str


def read_ratings(path: Path) -> RatingTable:
    """The rows of a file in the form of the published `hq.csv`.

    Raises:
        EmoNetFaceError: the file cannot be used, or its first bad row (a person's rating outside
            0..7, an unknown key, ...), named by file, row and key.
    """
    return _on_rating_scale(read_ratings_file(path))


def read_dataset(repo: str) -> RatingTable:
    """The ratings of a dataset repo: people from config `hq`, models from `hq_baselines` if any.

    Args:
        repo: a folder or a Hub id. Only the columns with ratings are read, no image. The repo
            holds 32-bit floats, so continuous model scores may differ from the ratings file in
            their eighth digit.

    Raises:
        EmoNetFaceError: the repo cannot be loaded, lacks config `hq` or a column, or holds a
            person's rating that is missing its list or lies outside 0..7.
    """
    from datasets import get_dataset_config_names, load_dataset
    from datasets.exceptions import DatasetsError

    def rows(config: str, columns: list[str]) -> pa.Table:
        dataset = load_dataset(repo, config, split="test", columns=columns)
        return dataset.with_format("arrow")[:]

    try:
        with without_bars():
            configs = get_dataset_config_names(repo)
            if "hq" not in configs:
                raise EmoNetFaceError(f"{repo}: no config 'hq'; found {', '.join(configs)}")
            tables = [_people(rows("hq", ["image_id", "ratings"]), repo)]
            if "hq_baselines" in configs:
                columns = ["image_id", "annotator", "scores"]
                tables.append(_baselines(rows("hq_baselines", columns), repo))
    except EmoNetFaceError:
        raise
    except (OSError, ValueError, KeyError, DatasetsError) as error:
        reason = str(error.__cause__ or error).partition("\n")[0]
        raise EmoNetFaceError(f"{repo}: cannot be loaded as a dataset repo ({reason})") from None
    return _on_rating_scale(RatingTable.joined(tables))


def _people(table: pa.Table, repo: str) -> RatingTable:
    import pyarrow.compute as pc

    lists = table.column("ratings").combine_chunks()
    stems = table.column("image_id").to_pylist()
    images = [stems[parent] for parent in pc.list_parent_indices(lists).to_pylist()]
    entries = lists.flatten()
    found = _table(
        entries.field("annotator").to_pylist(),
        images,
        True,
        entries.field("scores"),
        f"{repo} (hq)",
    )
    outside = (found.scores < RATING_MIN) | (found.scores > RATING_MAX)
    for row, column in np.argwhere(outside)[:1]:
        raise EmoNetFaceError(
            f"{found.where[row]}, annotator {found.annotators[row]!r}: {EMOTIONS[column]!r} is"
            f" {found.scores[row, column]}: a rating must lie in {RATING_MIN}..{RATING_MAX}"
        )
    return replace(found, n_null_by_people=int(np.isnan(found.scores).sum()))


def _baselines(table: pa.Table, repo: str) -> RatingTable:
    return _table(
        table.column("annotator").to_pylist(),
        table.column("image_id").to_pylist(),
        False,
        table.column("scores").combine_chunks(),
        f"{repo} (hq_baselines)",
    )


def _table(
    annotators: list[str], images: list[str], human: bool, scores: pa.Array, source: str
) -> RatingTable:
    where = [f"{source}, image {image!r}" for image in images]
    if scores.null_count:
        row = scores.is_null().to_pylist().index(True)
        raise EmoNetFaceError(f"{where[row]}: 'scores' is null; a list of {N_EMOTIONS} is needed")
    flat = scores.flatten().to_numpy(zero_copy_only=False).astype(float)
    if flat.size != len(images) * N_EMOTIONS:
        raise EmoNetFaceError(f"{source}: 'scores' must hold {N_EMOTIONS} values a row")
    values = flat.reshape(len(images), N_EMOTIONS)
    return RatingTable(annotators, images, list(repeat(human, len(images))), values, where)


def _on_rating_scale(table: RatingTable) -> RatingTable:
    unit = np.array([UNIT_SCALE in name for name in table.annotators], dtype=bool)
    table.scores[unit] *= RATING_MAX
    return table


def read_predictions(
    name: str, path: Path, known: RatingTable
) -> tuple[RatingTable, PredictionLog]:
    """The scores of a file written by `emonet-face predict` or, one annotator, by `annotate`.

    Of `predict` the neutral-subtracted ones are taken, of `annotate` the ratings as they are. Both
    are on the rating scale: nothing is multiplied here, whatever the model is called (`UNIT_SCALE`
    is for the published ratings alone).

    Args:
        name: what the model is called in tables and figures.
        path: JSON lines; images match those of `known` by file-name stem.
        known: the ratings they are compared with.

    Raises:
        EmoNetFaceError: the name is taken, empty or holds control characters; the file cannot be
            read, or a line (named) is no prediction, stands for an image that the ratings do not
            have, or repeats one; or no line is usable.
    """
    name = checked_name(name, "name of the predictions")
    if name in known.annotators:
        raise EmoNetFaceError(f"{name!r} is already an annotator of the ratings; give another name")
    file = read_prediction_file(path)
    images = set(known.images)
    scores = []
    for line in file.scored:
        values = _scores(line.record, line.where)
        if line.image_id not in images:
            raise EmoNetFaceError(
                f"{line.where}: image {line.image_id!r} is not among the rated images;"
                " leave out lines of images that nobody rated"
            )
        scores.append(values)
    if not scores:
        raise EmoNetFaceError(f"{path}: no line has scores for a rated image")
    table = RatingTable(
        [name] * len(scores),
        [line.image_id for line in file.scored],
        [False] * len(scores),
        np.array(scores, dtype=float),
        [line.where for line in file.scored],
    )
    missing = sorted(images - set(table.images))
    said = [file.left_out(), f"rated images without scores: {len(missing)}" if missing else ""]
    log = PredictionLog(
        path.name,
        file.n_lines,
        file.errors,
        file.without_face,
        file.n_other_faces,
        missing,
        "; ".join(filter(None, said)),
    )
    return table, log


def _scores(record: Record, where: str) -> list[float | None]:
    values = record.get(_SCORE_KEY)
    gaps: Gaps = "error"
    if values is None and "annotator" in record:  # a line of `annotate`, on the rating scale
        values, gaps = record.get("scores"), "null"  # null: its protocol did not ask
    if not isinstance(values, dict):
        raise EmoNetFaceError(
            f"{where}: needs {_SCORE_KEY!r}, as lines of `emonet-face predict` have"
        )
    try:
        return parse_scores(values, bounded=False, gaps=gaps).scores
    except EmoNetFaceError as error:
        raise EmoNetFaceError(f"{where}: {error}") from None
