"""Calibrate a model repo: scores -> expected ratings with intervals, measured on raters' data.

    emonet-face calibrate --model DIR --dataset REPO

The images of a dataset config are split in three by a hash of their ids and the seed; nothing else
of them is looked at. On the first part each category gets an isotonic map from score to mean
rating, on the second the width of its intervals, on the third their coverage is measured. The
result is data in config.json; `model.calibrate(scores)` and `predict --calibrated` apply it.

A model should be calibrated on images that it was not trained on, and not be benchmarked by
calibrated ratings on the images that calibrated it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from emonet_face.errors import EmoNetFaceError
from emonet_face.outputs import new_folder, write_json
from emonet_face.reliability import tier_of
from emonet_face.simulated import is_simulated
from emonet_face.taxonomy import EMOTIONS, RATING_MAX, RATING_MIN
from eval_metrics.emonet_face_agreement.agreement import krippendorff_alpha, nan_mean
from modeling_empathicinsight.configuration_empathicinsight import (
    LOW_TIER,
    EmpathicInsightFaceConfig,
)
from modeling_empathicinsight.conformal import (
    Floats,
    conformal_factor,
    covered,
    fit_curve,
    half_widths,
)
from modeling_empathicinsight.rated_images import read_rated
from modeling_empathicinsight.repository import is_model_repo, refresh_code

PARTS = ("fit", "conformal", "held_out")
LEAST_IMAGES = 5
"""Rated images that a category must have in each part."""

TABLE_COLUMNS = ("category", "tier", "alpha", "held-out images", "coverage", "mean width")
_CONFIG = "config.json"


def calibrate(
    model: Path,
    dataset: str | Path,
    *,
    config: str = "hq",
    coverage: float = 0.9,
    holdout: float = 0.25,
    seed: int = 0,
    out: Path | None = None,
) -> dict[str, Any]:
    """Measure a calibration and write it into a model repo's config.json.

    Args:
        model: model repo folder.
        dataset: dataset repo, folder or Hub id, with the columns `image` and `ratings`.
        config: of the dataset.
        coverage: how often an interval is to hold a rating, between 0 and 1.
        holdout: share of the images on which coverage is measured; of the rest a third gives the
            widths and two thirds the maps.
        seed: of the split. The order of the rows does not matter.
        out: None: into `model` itself; else a copy of it with the calibration.

    Returns:
        The calibration as config.json holds it (see `measure`).

    Raises:
        EmoNetFaceError: the model, the dataset or a rating in it cannot be used; a category has too
            few rated images; or `out` exists and is not a model repo. Nothing is written then.
    """
    for name, value in (("coverage", coverage), ("holdout", holdout)):
        if not 0 < value < 1:
            raise EmoNetFaceError(f"{name} is {value}: must lie between 0 and 1")
    if not Path(model).is_dir():
        raise EmoNetFaceError(f"{model}: is no folder; calibrate writes into a model repo folder")
    rated = read_rated(Path(model), dataset, config)
    parts = split(rated.image_ids, holdout, seed)
    found = measure(rated.scores, rated.ratings, parts, coverage)
    calibration = {
        "statement": _statement(coverage, rated.raters),
        "target_coverage": coverage,
        "dataset": Path(dataset).resolve().name if Path(dataset).is_dir() else str(dataset),
        "config": config,
        "raters": rated.raters,
        "seed": seed,
        "images": {name: int((parts == k).sum()) for k, name in enumerate(PARTS)},
        "left_out": rated.n_null,
        **found,
    }
    _write(Path(model), out, calibration)
    return calibration


def old_exports(folder: Path) -> list[Path]:
    """ONNX files of a model repo: each holds the calibration of the time when it was written."""
    return sorted(Path(folder).rglob("*.onnx"))


def split(image_ids: list[str], holdout: float, seed: int) -> np.ndarray:
    """(n,) int: to which of PARTS each image goes, by the rank of a hash of its id and the seed."""
    ranked = sorted(
        range(len(image_ids)),
        key=lambda i: hashlib.sha256(f"calibrate {seed} {image_ids[i]}".encode()).digest(),
    )
    n_held_out = round(holdout * len(ranked))
    n_conformal = round((len(ranked) - n_held_out) / 3)
    parts = np.zeros(len(ranked), dtype=np.int64)
    parts[ranked[:n_held_out]] = PARTS.index("held_out")
    parts[ranked[n_held_out : n_held_out + n_conformal]] = PARTS.index("conformal")
    return parts


def measure(scores: Floats, ratings: Floats, parts: np.ndarray, coverage: float) -> dict[str, Any]:
    """Maps, widths and held-out coverage of all categories.

    Args:
        scores: (n, 40) finite.
        ratings: (n, raters, 40), 0-7, NaN = none.
        parts: (n,) as `split` gives them.
        coverage: between 0 and 1.

    Returns:
        Plain data: "categories", for each name the knots `scores`, `ratings`, `half_widths`, the
        numbers of images, `held_out_coverage` and `held_out_width` (means over the held-out
        images), `alpha` over all images (None if undefined), `tier` and `low_reliability`; and the
        unweighted means of the two held-out columns over categories.

    Raises:
        EmoNetFaceError: a category has fewer than LEAST_IMAGES rated images in a part.
    """
    alphas = krippendorff_alpha(ratings)
    categories = {}
    for index, name in enumerate(EMOTIONS):
        given = ~np.isnan(ratings[:, :, index]).all(axis=1)
        data = []
        for part, what in enumerate(PARTS):
            rows = given & (parts == part)
            if rows.sum() < LEAST_IMAGES:
                raise EmoNetFaceError(
                    f"{name}: {rows.sum()} rated images in the part {what!r}, at least"
                    f" {LEAST_IMAGES} are needed; {given.sum()} of {len(given)} images are rated"
                )
            data.append((scores[rows, index], ratings[rows, :, index]))
        alpha = float(alphas[index])
        categories[name] = _one(*data, coverage) | {
            "alpha": round(alpha, 4) if np.isfinite(alpha) else None,
            "tier": tier_of(alpha),
            "low_reliability": tier_of(alpha) == LOW_TIER,
        }
    means = {
        key: round(float(np.mean([entry[key] for entry in categories.values()])), 4)
        for key in ("held_out_coverage", "held_out_width")
    }
    return {**means, "categories": categories}


def _one(
    fit: tuple[Floats, Floats],
    conformal: tuple[Floats, Floats],
    held_out: tuple[Floats, Floats],
    coverage: float,
) -> dict[str, Any]:
    """One category: (scores, ratings) of each part -> its entry."""
    curve = fit_curve(*fit)
    factor = conformal_factor(curve, *conformal, coverage)
    widths = half_widths(curve, factor, RATING_MAX - RATING_MIN)
    scores, ratings = held_out
    half = np.interp(scores, curve.scores, widths)
    low, high = (
        np.clip(curve.rating(scores) + side * half, RATING_MIN, RATING_MAX) for side in (-1, 1)
    )
    return {
        "scores": curve.scores.tolist(),
        "ratings": curve.ratings.tolist(),
        "half_widths": widths.tolist(),
        "n_fit": len(fit[0]),
        "n_conformal": len(conformal[0]),
        "n_held_out": len(scores),
        "held_out_coverage": round(float(covered(low, high, ratings).mean()), 4),
        "held_out_width": round(float((high - low).mean()), 4),
    }


def table_rows(calibration: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    """The rows of TABLE_COLUMNS, category by category, then the mean over them."""
    for name, entry in calibration["categories"].items():
        images = entry["n_held_out"]
        held_out = (entry["held_out_coverage"], entry["held_out_width"])
        yield name, entry["tier"], entry["alpha"], images, *held_out
    alphas = [entry["alpha"] for entry in calibration["categories"].values()]
    alpha = float(nan_mean([np.nan if a is None else a for a in alphas]))
    images = calibration["images"]["held_out"]
    held_out = (calibration["held_out_coverage"], calibration["held_out_width"])
    yield "mean", None, alpha, images, *held_out


def _statement(coverage: float, raters: list[str]) -> str:
    simulated = any(map(is_simulated, raters))
    return (
        f"For each category by itself, the interval holds the rating (0-7) that one more"
        f"{' simulated' if simulated else ''} rater gives a new image with a probability of at"
        f" least {coverage:g}, if image and rater are drawn as those of the calibration were. It is"
        " an average over images, not a promise for any one of them; it is about one rater, not the"
        " mean of several, and about what raters say, not what a person feels."
    )


def _write(model: Path, out: Path | None, calibration: dict[str, Any]) -> None:
    fields = json.loads((model / _CONFIG).read_text(encoding="utf-8"))
    fields = dict(sorted((fields | {"calibration": calibration}).items()))
    EmpathicInsightFaceConfig.from_dict(fields)  # a calibration the model refuses is not written
    if out is None or Path(out).resolve() == model.resolve():
        refresh_code(model)
        write_json(model / _CONFIG, fields)
        return
    with new_folder(Path(out), is_model_repo) as folder:
        shutil.copytree(model, folder, dirs_exist_ok=True)
        refresh_code(folder)
        write_json(folder / _CONFIG, fields)
