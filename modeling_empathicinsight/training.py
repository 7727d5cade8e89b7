"""Train the heads of a model and write its repo.

    emonet-face train --embeddings big.parquet --embeddings binary.parquet --labels REPO --out DIR

Stage 1 learns ratings of config `big`, stage 2 votes of config `binary` (see `heads_training`); a
stage without labels or embeddings is skipped, and the result says so. Time grows with embeddings,
epochs and head size.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from emonet_face import __version__
from emonet_face.errors import EmoNetFaceError
from emonet_face.outputs import check_replaceable, made_by
from modeling_empathicinsight import neutral
from modeling_empathicinsight.backbone import Backbone, load_backbone
from modeling_empathicinsight.configuration_empathicinsight import HIDDEN_SIZES
from modeling_empathicinsight.embeddings import (
    Embeddings,
    check_made_by,
    fingerprint_of_file,
    read_embeddings,
)
from modeling_empathicinsight.fitting import scores_of
from modeling_empathicinsight.heads_training import new_heads
from modeling_empathicinsight.modeling_empathicinsight import EmpathicInsightHeads
from modeling_empathicinsight.recipes import Recipe, read_recipe
from modeling_empathicinsight.repository import (
    is_model_repo,
    make_config,
    output_names,
    write_model_repo,
)
from modeling_empathicinsight.tower import RECORD as TOWER_RECORD
from modeling_empathicinsight.training_checkpoint import unfinished
from modeling_empathicinsight.training_data import TrainingData
from modeling_empathicinsight.training_files import files_of, watching
from modeling_empathicinsight.training_stages import train_stages
from modeling_empathicinsight.workers import Workers

MADE_BY = "emonet-face train"
MAX_UNMATCHED = 0.05


def train(
    embeddings: Sequence[Path],
    labels: str | Path,
    out: Path,
    *,
    size: str = "small",
    recipe: Recipe | None = None,
    backbone: str | Path | None = None,
    seed: int = 0,
    max_unmatched: float = MAX_UNMATCHED,
    restart: bool = False,
    log: Path | None = None,
) -> dict[str, Any]:
    """Train heads on embeddings and write a complete model repo (without card).

    A tenth of the images of each config is held out; each head keeps the weights of its best epoch
    there. The model has 44 outputs where every dimension is rated, else 40. On one machine's CPU
    the same seed gives the same bytes, also when the run is interrupted and called again.

    Args:
        embeddings: files of `embed`, all of one tower.
        labels: dataset repo, folder or Hub id.
        out: folder; an existing model repo there is replaced.
        size: "small" or "large", the published widths of the heads.
        recipe: how to train; None: that of the size.
        backbone: the tower that made the embeddings; None: the one their files name.
        seed: of the split, the initial weights, the order of batches and dropout.
        max_unmatched: largest share of labels without embedding, or the reverse, put up with.
        restart: forget an unfinished run for `out` instead of going on with it.
        log: folder for TensorBoard's event files, written while heads learn; None: none.

    Returns:
        What training.json says, and `lines`: the same in a few words for people; none but in the
        first of several processes.

    Raises:
        EmoNetFaceError: nothing to train on, a category without labels, embeddings that are bad,
            of different towers or do not match the labels, a backbone that did not make them,
            `out` exists and is not a model repo, or an unfinished run for it had other data,
            settings or versions.
    """
    if size not in HIDDEN_SIZES:
        raise EmoNetFaceError(f"size is {size!r}: must be one of {', '.join(HIDDEN_SIZES)}")
    recipe = recipe or read_recipe(size)
    check_replaceable(Path(out), is_model_repo)
    workers = Workers.join()
    vectors = read_embeddings([Path(path) for path in embeddings])
    data = TrainingData.read(vectors, labels, max_unmatched, seed)
    tower = _backbone(backbone, vectors)
    names = output_names(data.has_dimensions())
    hidden_sizes = HIDDEN_SIZES[recipe.size]
    heads = new_heads(len(names), vectors.vectors.shape[1], hidden_sizes, recipe.dropout, seed)
    heads.to(workers.device or tower.device)
    plan = _plan(data, embeddings, recipe, seed, workers)
    with (
        unfinished(Path(out), plan, restart=restart, writes=workers.first) as checkpoint,
        watching(log if workers.first else None) as watch,
    ):
        stages = train_stages(
            heads, data, recipe, seed, checkpoint=checkpoint, workers=workers, watch=watch
        )
        means, source = _neutral_means(heads, data)
        config = make_config(
            tower, names, means, source, head_size=recipe.size, head_dropout=recipe.dropout
        )
        record = {
            "made_by": MADE_BY,
            "version": __version__,
            "versions": plan["versions"],
            "seed": seed,
            "size": recipe.size,
            "recipe": recipe.record(),
            "outputs": len(names),
            "backbone": _portable(vectors.metadata) | _made_here(tower),
            "embeddings_sha256": plan["embeddings"],
            "neutral_source": source,
            "stages": stages.reports,
        }
        if workers.first:
            files = files_of(stages)
            write_model_repo(Path(out), config, tower, heads.cpu(), record, files)
        workers.wait()
    return {**record, "lines": _lines(Path(out), record) if workers.first else []}


def _plan(
    data: TrainingData, embeddings: Sequence[Path], recipe: Recipe, seed: int, workers: Workers
) -> dict[str, Any]:
    """What tells a run from any other: an unfinished one is gone on with only where all agree."""
    parts = {"ratings": data.rated, "votes": data.voted}
    return {
        "embeddings": [fingerprint_of_file(Path(path)) for path in embeddings],
        "labels": {name: part and part.fingerprint() for name, part in parts.items()},
        "recipe": recipe.record(),
        "seed": seed,
        "processes": workers.number,
        "threads": torch.get_num_threads(),
        "versions": {name: version(name) for name in ("torch", "transformers", "numpy")},
    }


def _backbone(name: str | Path | None, vectors: Embeddings) -> Backbone:
    if name is None:
        name = vectors.metadata.get("backbone")
        if name is None or (Path(name).is_absolute() and not Path(name).is_dir()):
            raise EmoNetFaceError(
                f"the embeddings were made with the tower {name}, which is not there; name its"
                " place with --backbone"
            )
    tower = load_backbone(name)
    check_made_by(tower, vectors)
    return tower


def _portable(metadata: dict[str, Any]) -> dict[str, Any]:
    """What the repo says of its tower; of a local folder only the name, for the path is ours."""
    kept = {key: metadata.get(key) for key in ("revision", "tower_sha256", "size", "dim", "dtype")}
    name = metadata.get("backbone", "")
    return {"name": name if kept["revision"] else Path(name).name, **kept}


def _made_here(tower: Backbone) -> dict[str, str]:
    """`made_by` of a demonstration tower of `tower`; nothing of any other."""
    maker = made_by(Path(tower.name), TOWER_RECORD)
    return {"made_by": maker} if maker else {}


def _neutral_means(heads: EmpathicInsightHeads, data: TrainingData) -> tuple[list[float], str]:
    if data.rated is not None:
        scores = scores_of(heads, data.rated)
        return neutral.means_from_ratings(scores, data.rated), neutral.FROM_RATINGS
    scores = scores_of(heads, data.voted)
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
