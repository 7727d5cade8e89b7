"""The stages of a model's training on its card: images, annotators, what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cards.sourced import Number, sourced
from emonet_face.simulated import TRAINING_RECORD, is_simulated

MEASURES = {
    "mae": "mean absolute error of the ratings",
    "spearman": "Spearman with the ratings",
    "log_loss": "log loss of the votes",
    "ratings_mae": "mean absolute error of the ratings, 40 categories",
    "ratings_spearman": "Spearman with the ratings, 40 categories",
}
"""Key in training.json -> what it is on the images held out."""
_EARLIER = ("_before", "_of_mean")
"""Behind a key of the same measure before the stage; of the constant mean where nothing was."""
_FEW = 2
"""Annotators who are named; more are counted."""


def stages_of(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The stages that a model's training.json tells of, as its card shows them."""
    stages = sourced(record.get("stages", {}), TRAINING_RECORD, "/stages")
    return [
        {
            "name": name,
            "run": stage.get("run", False),
            "images": stage.get("images", {}),
            **_annotators(name, stage.get("annotators", [])),
            "measures": _measures(stage.get("held_out", {})),
        }
        for name, stage in stages.items()
    ]


def _annotators(stage: str, names: list[str]) -> dict[str, Any]:
    """Few are named; of more there are `n_annotators`, and `annotators` says what they are."""
    if len(names) <= _FEW:
        return {"n_annotators": None, "annotators": ", ".join(names)}
    simulated = sum(map(is_simulated, names))
    kind = "simulated raters" if simulated == len(names) else "raters"
    some = ", some of them simulated" if 0 < simulated < len(names) else ""
    place = f"{TRAINING_RECORD}#length(/stages/{stage}/annotators)"
    return {"n_annotators": Number(len(names), place), "annotators": f"{kind}{some}"}


def _measures(held_out: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What was measured after a stage, each beside its value before."""
    after = [key for key in held_out if not key.endswith(_EARLIER)]
    return [
        {
            "what": MEASURES.get(key, key.replace("_", " ")),
            "before": next((held_out[key + e] for e in _EARLIER if key + e in held_out), None),
            "after": held_out[key],
        }
        for key in after
    ]
