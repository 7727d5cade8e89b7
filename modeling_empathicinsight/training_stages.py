"""The two stages of training, one after the other, and what each reports."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from emonet_face.taxonomy import DIMENSIONS, EMOTIONS, N_EMOTIONS
from modeling_empathicinsight import validation
from modeling_empathicinsight.fitting import scores_of
from modeling_empathicinsight.heads_training import Link, fit_link, fit_ratings, fit_votes
from modeling_empathicinsight.modeling_empathicinsight import EmpathicInsightHeads
from modeling_empathicinsight.recipes import Recipe
from modeling_empathicinsight.stage_run import Curves, Fit, Schedule
from modeling_empathicinsight.standardisation import Standardisation
from modeling_empathicinsight.targets import Examples
from modeling_empathicinsight.training_data import TrainingData

OUTPUTS = [*EMOTIONS, *(dimension.slug for dimension in DIMENSIONS)]


@dataclass(frozen=True)
class Stages:
    """What came of the stages.

    Attributes:
        reports: stage -> what training.json says of it.
        curves: stage that was run -> its curves (see `Fit`).
    """

    reports: dict[str, Any]
    curves: dict[str, Curves]


def train_stages(
    heads: EmpathicInsightHeads, data: TrainingData, recipe: Recipe, seed: int, **how: Any
) -> Stages:
    """Run the stages that have data, on standardised embeddings, and report on them.

    Args:
        heads: changed in place; in the end they take plain embeddings.
        data: of the run.
        recipe: of the training.
        seed: of the order of batches and of dropout.
        how: handed on to `fit`.
    """
    examples = [part for part in (data.rated, data.voted) if part is not None]
    scale = Standardisation.of(
        block for part in examples for block in part.blocks(np.flatnonzero(~part.held_out))
    )
    rated, voted = (
        None if part is None else replace(part, scale=scale) for part in (data.rated, data.voted)
    )
    stages = Stages(
        {name: {"run": False, "reason": data.skipped.get(name)} for name in ("ratings", "votes")},
        {},
    )
    if rated is not None:
        done = fit_ratings(heads, rated, recipe.ratings, seed=seed, loss=recipe.loss, **how)
        columns = validation.against_ratings(scores_of(heads, rated), rated)
        report = _report(data, "ratings", rated, recipe.ratings, done, columns)
        stages.reports["ratings"] = {"loss": recipe.loss, **report}
        stages.curves["ratings"] = done.curves
    if voted is not None:
        link = fit_link(heads, voted) if rated is not None else Link()
        before = _vote_columns(heads, rated, voted, link, "_before")
        done = fit_votes(
            heads, voted, rated, link, recipe.votes,
            anchor=recipe.anchor, balance=recipe.balance, seed=seed, **how,
        )  # fmt: skip
        columns = before | _vote_columns(heads, rated, voted, link, "")
        report = _report(data, "votes", voted, recipe.votes, done, columns)
        settings = {"link": asdict(link), "anchor": recipe.anchor, "balance": recipe.balance}
        stages.reports["votes"] = settings | report
        stages.curves["votes"] = done.curves
    scale.fold_into(heads)
    return stages


def _vote_columns(
    heads: EmpathicInsightHeads,
    rated: Examples | None,
    voted: Examples,
    link: Link,
    suffix: str,
) -> validation.Columns:
    votes = validation.against_votes(scores_of(heads, voted), voted, link)
    columns = validation.class_balance(voted)
    columns |= {"n": votes["n"], f"log_loss{suffix}": votes["log_loss"]}
    if rated is not None:
        ratings = validation.against_ratings(scores_of(heads, rated), rated)
        columns |= {
            f"ratings_{key}{suffix}": ratings[key][:N_EMOTIONS] for key in ("mae", "spearman")
        }
    return columns


def _report(
    data: TrainingData,
    stage: str,
    examples: Examples,
    schedule: Schedule,
    done: Fit,
    columns: validation.Columns,
) -> dict[str, Any]:
    table = validation.rows(columns)
    return {
        "run": True,
        "annotators": data.annotators[stage],
        "images": examples.counts,
        "labels_sha256": examples.fingerprint(),
        "schedule": asdict(schedule),
        "epochs": len(done.curves["epoch"]),
        "held_out": validation.overall(columns),
        "table": [
            {"output": name, "best_epoch": epoch, **row}
            for name, epoch, row in zip(OUTPUTS, done.best_epochs, table, strict=False)
        ],
    }
