"""How well heads do on the held-out images, one row per output: what training.json shows."""

from __future__ import annotations

from typing import Any

import numpy as np

from emonet_face.taxonomy import N_EMOTIONS
from eval_metrics.emonet_face_agreement.agreement import spearman
from modeling_empathicinsight.heads_training import Link
from modeling_empathicinsight.targets import Examples

Columns = dict[str, np.ndarray]
COUNTS = ("n", "yes", "no")
"""Columns that are counts and have no mean."""


def against_ratings(scores: np.ndarray, rated: Examples) -> Columns:
    """Held-out ratings against scores and against the mean rating of the training images.

    Args:
        scores: (n, n_outputs) raw scores of all rated images.
        rated: the examples of stage 1.

    Returns:
        Columns of n_outputs numbers: `n`, `mae` (mean absolute error, rating steps), `mae_of_mean`
        (of always giving the training mean), `spearman`; NaN where nothing was rated or nothing
        varies.
    """
    out, values = rated.held_out, rated.values[:, : scores.shape[1]].astype(np.float64)
    mean = _nanmean(values[~out])
    return {
        "n": (~np.isnan(values[out])).sum(axis=0),
        "mae": _nanmean(np.abs(scores[out] - values[out])),
        "mae_of_mean": _nanmean(np.abs(mean - values[out])),
        "spearman": spearman(scores[out], values[out]),
    }


def against_votes(scores: np.ndarray, voted: Examples, link: Link) -> Columns:
    """Held-out answers against P(Yes) at the scores.

    Args:
        scores: (n, n_outputs) raw scores of all voted images.
        voted: the examples of stage 2.
        link: from scores to P(Yes).

    Returns:
        Columns of 40 numbers: `n` (answers), `log_loss` (mean of minus log-likelihood), NaN where
        nobody was asked.
    """
    held_out = voted.held_out
    no, yes = np.moveaxis(voted.values[held_out].astype(np.float64), -1, 0)
    logits = link.a * (scores[held_out, :N_EMOTIONS].astype(np.float64) - link.b)
    losses = no * np.logaddexp(0, logits) + yes * np.logaddexp(0, -logits)
    n = (no + yes).sum(axis=0)
    with np.errstate(invalid="ignore"):
        return {"n": n.astype(int), "log_loss": np.where(n > 0, losses.sum(axis=0) / n, np.nan)}


def class_balance(voted: Examples) -> Columns:
    """How many training answers each of the 40 heads learns from: columns `yes` and `no`."""
    no, yes = voted.values[~voted.held_out].sum(axis=0, dtype=np.int64).T
    return {"yes": yes, "no": no}


def overall(columns: Columns) -> dict[str, float | None]:
    """Means over outputs, those without a value left out; None where none has one."""
    means = {name: _nanmean(values) for name, values in columns.items() if name not in COUNTS}
    return {name: as_json(float(mean)) for name, mean in means.items()}


def rows(columns: Columns) -> list[dict[str, Any]]:
    """Columns -> one dictionary per output."""
    length = len(next(iter(columns.values())))
    return [{k: as_json(v[row].item()) for k, v in columns.items()} for row in range(length)]


def as_json(number: float) -> float | None:
    """NaN -> None; else the number, a float rounded to 6 decimals."""
    if isinstance(number, float):
        return None if np.isnan(number) else round(number, 6)
    return number


def _nanmean(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis without NaN; NaN where nothing is left."""
    present = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(present, values, 0).sum(axis=0) / present.sum(axis=0)
