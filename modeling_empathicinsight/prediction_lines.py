"""One result of `predict` as a record, as a JSON line and as a row of a CSV table."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emonet_face.outputs import first_line_has
from modeling_empathicinsight.configuration_empathicinsight import N_EMOTIONS

if TYPE_CHECKING:
    from modeling_empathicinsight.configuration_empathicinsight import EmpathicInsightFaceConfig

Record = dict[str, Any]

_INTERVAL = ("rating", "low", "high")
_FACE = ("face", "n_faces", "left", "top", "right", "bottom", "face_score")


def scored(
    start: Record,
    scores: np.ndarray,
    config: EmpathicInsightFaceConfig,
    top_k: int,
    calibrated: bool = False,
) -> Record:
    """The record of one picture or face.

    Args:
        start: the keys it begins with: "image", and perhaps "face".
        scores: (n_outputs,) raw, float64.
        config: of the model.
        top_k: length of "top".
        calibrated: whether to add "calibrated": {category: {"rating", "low", "high", "tier"}}; the
            model must have a calibration.

    Returns:
        `start` with "scores", "dimensions", "neutral_subtracted", "distribution" and "top"; or with
        "error", if a score is not finite.
    """
    if not np.isfinite(scores).all():
        return {**start, "error": "the model gives scores that are not finite"}
    emotions, others = config.output_names[:N_EMOTIONS], config.output_names[N_EMOTIONS:]
    subtracted = (scores - config.neutral_means)[:N_EMOTIONS]
    powers = np.exp(subtracted - subtracted.max())
    distribution = dict(zip(emotions, (powers / powers.sum()).tolist(), strict=True))
    # Sorting is stable: of equal probabilities the first in canonical order comes first.
    ranked = sorted(distribution.items(), key=lambda item: -item[1])
    ratings = {"calibrated": _ratings(scores, config)} if calibrated else {}
    return {
        **start,
        "scores": dict(zip(emotions, scores[:N_EMOTIONS].tolist(), strict=True)),
        "dimensions": dict(zip(others, scores[N_EMOTIONS:].tolist(), strict=True)) or None,
        "neutral_subtracted": dict(zip(emotions, subtracted.tolist(), strict=True)),
        "distribution": distribution,
        "top": [[name, probability] for name, probability in ranked[:top_k]],
        **ratings,
    }


def _ratings(scores: np.ndarray, config: EmpathicInsightFaceConfig) -> dict[str, Any]:
    """Category -> expected rating, its interval and the category's reliability tier."""
    found = config.calibrate(scores[None])
    tiers = config.tiers()
    return {
        name: {key: float(found[key][0, index]) for key in _INTERVAL} | {"tier": tiers[name]}
        for index, name in enumerate(config.output_names[:N_EMOTIONS])
    }


class JsonLines:
    """One JSON object a line."""

    header = ""

    def line(self, record: Record) -> str:
        """The record as text, with the end of the line."""
        return json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"

    @staticmethod
    def is_ours(path: Path) -> bool:
        """Whether a file was written by `predict` in this form."""
        keys = ("neutral_subtracted", "n_faces", "error")
        return any(first_line_has('{"image": ', f'"{key}": ')(path) for key in keys)


@dataclass(frozen=True)
class Table:
    """CSV: `image`, the face if asked for, a column per category with its neutral-subtracted score,
    the dimensions, the calibrated rating, low and high of each category if asked for, `categories`
    (the top ones, joined by "; ") and `error`. An empty cell is undefined.

    Attributes:
        output_names: of the model.
        faces: whether rows are faces.
        calibrated: whether rows have calibrated ratings.
    """

    output_names: list[str]
    faces: bool
    calibrated: bool = False

    @property
    def header(self) -> str:
        """The first line."""
        face = _FACE if self.faces else ()
        ratings = [f"{name} {key}" for name, key in self._intervals()]
        return _row(["image", *face, *self.output_names, *ratings, "categories", "error"])

    def _intervals(self) -> list[tuple[str, str]]:
        names = self.output_names[:N_EMOTIONS] if self.calibrated else []
        return [(name, key) for name in names for key in _INTERVAL]

    def line(self, record: Record) -> str:
        """The record as text, with the end of the line."""
        cells = [record["image"]]
        if self.faces:
            face = record.get("face", {})
            box = face.get("box", [None] * 4)
            cells += [face.get("index"), face.get("n_faces"), *box, face.get("score")]
        values = record.get("neutral_subtracted", {}) | (record.get("dimensions") or {})
        cells += [values.get(name) for name in self.output_names]
        ratings = record.get("calibrated", {})
        cells += [ratings.get(name, {}).get(key) for name, key in self._intervals()]
        categories = "; ".join(name for name, _ in record.get("top", ()))
        return _row([*cells, categories, record.get("error")])

    @staticmethod
    def is_ours(path: Path) -> bool:
        """Whether a file was written by `predict` in this form."""
        return first_line_has("image,", ",categories,error")(path)


def _row(cells: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
