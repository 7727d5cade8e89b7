"""Train the heads of a model and write its repo.

    emonet-face train --embeddings big.parquet --embeddings binary.parquet --labels REPO --out DIR

Stage 1 learns ratings of config `big`, stage 2 votes of config `binary` (see `heads_training`); a
stage without labels or embeddings is skipped, and the result says so. Time grows with embeddings,
epochs and head size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from emonet_face import __version__
from emonet_face.errors import EmoNetFaceError
from emonet_face.outputs import check_replaceable
from emonet_face.taxonomy import DIMENSIONS, EMOTIONS, N_EMOTIONS
from modeling_empathicinsight import neutral, validation
from modeling_empathicinsight.backbone import Backbone, load_backbone
from modeling_empathicinsight.configuration_empathicinsight import HIDDEN_SIZES
from modeling_empathicinsight.embedding import Embeddings, read_embeddings
from modeling_empathicinsight.fitting import Schedule, scores_of
from modeling_empathicinsight.heads_training import (
    Link,
    Standardisation,
    fit_link,
    fit_ratings,
    fit_votes,
    new_heads,
)
from modeling_empathicinsight.modeling_empathicinsight import EmpathicInsightHeads
from modeling_empathicinsight.repository import (
    is_model_repo,
    make_config,
    output_names,
    write_model_repo,
)
from modeling_empathicinsight.targets import Examples
from modeling_empathicinsight.training_data import TrainingData

MADE_BY = "emonet-face train"
RATINGS_SCHEDULE = Schedule(epochs=30, learning_rate=1e-3, weight_decay=0.01, batch_size=64)
VOTES_SCHEDULE = Schedule(epochs=20, learning_rate=3e-4, weight_decay=0.01, batch_size=64)
ANCHOR = 1.0
DROPOUT = 0.1
MAX_UNMATCHED = 0.05


def train(
    embeddings: Sequence[Path],
    labels: str | Path,
    out: Path,
    *,
    size: str = "small",
    backbone: str | Path | None = None,
    seed: int = 0,
    ratings_schedule: Schedule = RATINGS_SCHEDULE,
    votes_schedule: Schedule = VOTES_SCHEDULE,
    anchor: float = ANCHOR,
    max_unmatched: float = MAX_UNMATCHED,
) -> dict[str, Any]:
    """Train heads on embeddings and write a complete model repo (without card).

    A tenth of the images of each config is held out; each head keeps the weights of its best epoch
    there. The model has 44 outputs where every dimension is rated, else 40. On one machine's CPU
    the same seed gives the same bytes.

    Args:
        embeddings: files of `embed`, all of one tower.
        labels: dataset repo, folder or Hub id.
        out: folder; an existing model repo there is replaced.
        size: "small" or "large", the published widths of the heads.
        backbone: the tower that made the embeddings; None: the one their files name.
        seed: of the split, the initial weights, the order of batches and dropout.
        ratings_schedule, votes_schedule: of stage 1 and stage 2.
        anchor: how strongly stage 2 holds on to the scores of stage 1 (see `fit_votes`).
        max_unmatched: largest share of labels without embedding, or the reverse, put up with.

    Returns:
        What training.json says, and `lines`: the same in a few words for people.

    Raises:
        EmoNetFaceError: nothing to train on, a category without labels, embeddings that are bad,
            of different towers or do not match the labels, a backbone that did not make them, or
            `out` exists and is not a model repo.
    """
    if size not in HIDDEN_SIZES:
        raise EmoNetFaceError(f"size is {size!r}: must be one of {', '.join(HIDDEN_SIZES)}")
    check_replaceable(Path(out), is_model_repo)
    vectors = read_embeddings([Path(path) for path in embeddings])
    data = TrainingData.read(vectors, labels, max_unmatched, seed)
    tower = _backbone(backbone, vectors)
    names = output_names(data.has_dimensions())
    heads = new_heads(len(names), vectors.vectors.shape[1], HIDDEN_SIZES[size], DROPOUT, seed)
    heads.to(tower.device)
    stages = _train_stages(heads, data, ratings_schedule, votes_schedule, anchor, seed)
    means, source = _neutral_means(heads, data)
    config = make_config(tower, names, means, source, head_size=size, head_dropout=DROPOUT)
    record = {
        "made_by": MADE_BY,
        "version": __version__,
        "versions": {name: version(name) for name in ("torch", "transformers", "numpy")},
        "seed": seed,
        "size": size,
        "outputs": len(names),
        "backbone": _portable(vectors.metadata),
        "neutral_source": source,
        "stages": stages,
    }
    write_model_repo(Path(out), config, tower, heads.cpu(), record)
    return {**record, "lines": _lines(Path(out), record)}


def _backbone(name: str | Path | None, vectors: Embeddings) -> Backbone:
    tower = load_backbone(name or vectors.metadata["backbone"])
    if tower.sha256 != vectors.metadata["tower_sha256"]:
        raise EmoNetFaceError(
            f"{tower.name}: has the weights {tower.sha256[:12]}, but the embeddings were made with"
            f" {vectors.metadata['tower_sha256'][:12]}; give the tower that made them"
        )
    return tower


def _portable(metadata: dict[str, Any]) -> dict[str, Any]:
    """What the repo says of its tower; of a local folder only the name, for the path is ours."""
    kept = {key: metadata[key] for key in ("revision", "tower_sha256", "size", "dim", "dtype")}
    name = metadata["backbone"]
    return {"name": name if metadata["revision"] else Path(name).name, **kept}


def _train_stages(
    heads: EmpathicInsightHeads,
    data: TrainingData,
    ratings_schedule: Schedule,
    votes_schedule: Schedule,
    anchor: float,
    seed: int,
) -> dict[str, Any]:
    """Run the stages that have data, on standardised embeddings, and report on them."""
    examples = [part for part in (data.rated, data.voted) if part is not None]
    scale = Standardisation.of(np.concatenate([e.vectors[~e.held_out] for e in examples]))
    rated = scale.apply(data.rated) if data.rated is not None else None
    voted = scale.apply(data.voted) if data.voted is not None else None
    reports: dict[str, Any] = {
        name: {"run": False, "reason": data.skipped.get(name)} for name in ("ratings", "votes")
    }
    if rated is not None:
        epochs = fit_ratings(heads, rated, ratings_schedule, seed=seed)
        columns = validation.against_ratings(scores_of(heads, rated.vectors), rated)
        reports["ratings"] = _report(data, "ratings", rated, ratings_schedule, epochs, columns)
    if voted is not None:
        link = fit_link(heads, voted) if rated is not None else Link()
        before = _vote_columns(heads, rated, voted, link, "_before")
        epochs = fit_votes(heads, voted, rated, link, votes_schedule, anchor=anchor, seed=seed)
        columns = before | _vote_columns(heads, rated, voted, link, "")
        report = _report(data, "votes", voted, votes_schedule, epochs[:N_EMOTIONS], columns)
        reports["votes"] = {"link": asdict(link), "anchor": anchor, **report}
    scale.fold_into(heads)
    return reports


def _vote_columns(
    heads: EmpathicInsightHeads,
    rated: Examples | None,
    voted: Examples,
    link: Link,
    suffix: str,
) -> validation.Columns:
    votes = validation.against_votes(scores_of(heads, voted.vectors), voted, link)
    columns = {"n": votes["n"], f"log_loss{suffix}": votes["log_loss"]}
    if rated is not None:
        ratings = validation.against_ratings(scores_of(heads, rated.vectors), rated)
        columns |= {
            f"ratings_{key}{suffix}": ratings[key][:N_EMOTIONS] for key in ("mae", "spearman")
        }
    return columns


def _report(
    data: TrainingData,
    stage: str,
    examples: Examples,
    schedule: Schedule,
    epochs: list[int],
    columns: validation.Columns,
) -> dict[str, Any]:
    names = [*EMOTIONS, *(d.slug for d in DIMENSIONS)][: len(epochs)]
    table = validation.rows(columns)
    return {
        "run": True,
        "annotators": data.annotators[stage],
        "images": examples.counts,
        "schedule": asdict(schedule),
        "held_out": validation.overall(columns),
        "table": [
            {"output": name, "best_epoch": epoch, **row}
            for name, epoch, row in zip(names, epochs, table, strict=True)
        ],
    }


def _neutral_means(heads: EmpathicInsightHeads, data: TrainingData) -> tuple[list[float], str]:
    if data.rated is not None:
        scores = scores_of(heads, data.rated.vectors)
        return neutral.means_from_ratings(scores, data.rated), neutral.FROM_RATINGS
    scores = scores_of(heads, data.voted.vectors)
    return neutral.means_from_votes(scores, data.voted), neutral.FROM_VOTES


def _lines(out: Path, record: dict[str, Any]) -> list[str]:
    lines = []
    for name, report in record["stages"].items():
        if not report["run"]:
            lines.append(f"{name}: skipped, {report['reason']}")
            continue
        images, held_out = report["images"], report["held_out"]
        numbers = ", ".join(f"{k} {v:.3f}" for k, v in held_out.items() if v is not None)
        lines.append(
            f"{name}: {images['training']} images, {images['held_out']} held out"
            f" ({images['labelled'] - images['matched']} labelled images without embedding);"
            f" held out: {numbers}"
        )
    return [*lines, f"{out}: {record['size']} heads, {record['outputs']} outputs"]
