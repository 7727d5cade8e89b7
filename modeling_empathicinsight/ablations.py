"""Variants of training compared on people's ratings of images that no variant was trained on.

    emonet-face ablate --embeddings big.parquet --embeddings binary.parquet \\
        --embeddings hq.parquet --labels REPO --raw TOWER --out ablations.json

Each variant scores the images of config `hq`; its quadratic-weighted kappa is the mean over people
and categories of the kappa with one person, of neutral-subtracted scores. Differences are paired:
both variants are seen on the same resampled images. Intervals are over images: they know nothing of
how far another seed of the training would move a variant.

The file is one JSON object:

- `made_by`, `version`, `seed`, `n_resamples`, `confidence_level`;
- `notice`: that faces and raters are simulated, where they are; else empty;
- `images`, `raters`, `tower_sha256`: how many images of `hq`, who rated them, whose embeddings;
- `weighted_kappa`: name of a variant -> `size` ("small", "large"; null: ridge), `stages` ("both" or
  "ratings"), `normalised`, `value` and `ci`, the interval [low, high];
- `differences`: a list of `variant`, `beside`, `value` (variant minus beside) and `ci`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from emonet_face import __version__
from emonet_face.errors import EmoNetFaceError
from emonet_face.outputs import check_file_replaceable, made_by, write_json
from emonet_face.simulated import is_simulated
from emonet_face.taxonomy import N_EMOTIONS
from eval_metrics.emonet_face_agreement.agreement import (
    nan_mean,
    percentile_interval,
    resample_weights,
    round_to_levels,
    weighted_kappa,
)
from modeling_empathicinsight import neutral
from modeling_empathicinsight.ablation_data import Panel, read_panel, with_lengths
from modeling_empathicinsight.configuration_empathicinsight import HIDDEN_SIZES
from modeling_empathicinsight.embeddings import Embeddings, read_embeddings
from modeling_empathicinsight.fitting import scores_of
from modeling_empathicinsight.heads_training import new_heads
from modeling_empathicinsight.recipes import read_recipe
from modeling_empathicinsight.ridge import fit_ridge
from modeling_empathicinsight.training import MAX_UNMATCHED
from modeling_empathicinsight.training_data import TrainingData
from modeling_empathicinsight.training_stages import train_stages

MADE_BY = "emonet-face ablate"
N_RESAMPLES = 1000
SIMULATED = (
    "Schematic faces with simulated raters: not a result on EmoNet-Face, and no statement about"
    " people."
)


@dataclass(frozen=True)
class Ablation:
    """One variant.

    Attributes:
        size: of the heads; None: ridge regression of the ratings, in closed form.
        stages: "both" or "ratings".
        normalised: whether the embeddings have length 1.
    """

    size: str | None
    stages: str = "both"
    normalised: bool = True


ABLATIONS = {
    "small": Ablation("small"),
    "small-ratings-only": Ablation("small", stages="ratings"),
    "small-not-normalised": Ablation("small", normalised=False),
    "large": Ablation("large"),
    "large-ratings-only": Ablation("large", stages="ratings"),
    "ridge": Ablation(None, stages="ratings"),
}
COMPARED = (
    ("small", "small-ratings-only"),
    ("small", "ridge"),
    ("small-ratings-only", "ridge"),
    ("small", "small-not-normalised"),
    ("large", "small"),
    ("large", "large-ratings-only"),
    ("large", "ridge"),
)
COLUMNS = ("variant", "weighted kappa", "95% interval", "beside", "difference", "95% interval")


def ablate(
    embeddings: Sequence[Path],
    labels: str | Path,
    out: Path,
    *,
    names: Sequence[str] | None = None,
    raw: str | Path | None = None,
    seed: int = 0,
) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """Train the variants, compare them, write a JSON file.

    Args:
        embeddings: files of `embed` for the configs big, binary and hq, of one tower.
        labels: dataset repo, folder or Hub id.
        out: file to write; one of this command is replaced.
        names: of ABLATIONS; None: all that can be run.
        raw: the tower that made the embeddings: it is asked for their lengths before
            normalisation. None: no variant without normalisation.
        seed: of the training and of the resampling.

    Returns:
        COLUMNS, and the rows of the table to print.

    Raises:
        EmoNetFaceError: an unknown name, one that needs `raw`, or data that cannot be used.
    """
    out = Path(out)
    check_file_replaceable(out, is_ablation_file)
    chosen = _chosen(names, raw)
    vectors = read_embeddings([Path(path) for path in embeddings])
    panel = read_panel(labels, vectors)
    sources = {True: vectors}
    if not all(ABLATIONS[name].normalised for name in chosen):
        sources[False] = with_lengths(vectors, labels, raw)
    counts = resample_weights(len(panel.image_ids), N_RESAMPLES, seed)
    found: dict[str, tuple[float, np.ndarray]] = {}
    for name in chosen:
        variant = ABLATIONS[name]
        scores = _scores(variant, sources[variant.normalised], labels, panel, seed)
        found[name] = (_kappa(scores, panel.ratings)[0], _kappa(scores, panel.ratings, counts))
    record = _record(found, panel, vectors, seed)
    write_json(out, record)
    return COLUMNS, _rows(record)


def is_ablation_file(path: Path) -> bool:
    """Whether a file was written by `ablate` and may be replaced by it."""
    return made_by(path.parent, path.name) == MADE_BY


def _chosen(names: Sequence[str] | None, raw: str | Path | None) -> list[str]:
    for name in names or ():
        if name not in ABLATIONS:
            raise EmoNetFaceError(
                f"--only {name!r}: no such ablation; allowed: {', '.join(ABLATIONS)}"
            )
        if raw is None and not ABLATIONS[name].normalised:
            raise EmoNetFaceError(f"--only {name}: needs --raw, the tower that made the embeddings")
    possible = [name for name, v in ABLATIONS.items() if v.normalised or raw is not None]
    return [name for name in possible if names is None or name in names]


def _scores(
    variant: Ablation, vectors: Embeddings, labels: str | Path, panel: Panel, seed: int
) -> np.ndarray:
    """(n_images, 40) neutral-subtracted scores of the panel's images."""
    data = TrainingData.read(vectors, labels, MAX_UNMATCHED, seed)
    if data.rated is None:
        raise EmoNetFaceError(f"ablations need ratings: {data.skipped['ratings']}")
    if variant.stages == "ratings":
        data = replace(data, voted=None, skipped={"votes": "left out"})
    elif data.voted is None:
        raise EmoNetFaceError(f"ablations need votes: {data.skipped['votes']}")
    judged = panel.examples(vectors)
    if variant.size is None:
        ridge = fit_ridge(data.rated, N_EMOTIONS)
        own, scores = (
            np.concatenate(
                [ridge.scores(block) for block in part.blocks(np.arange(len(part.rows)))]
            )
            for part in (data.rated, judged)
        )
    else:
        recipe = read_recipe(variant.size)
        width = vectors.vectors.shape[1]
        hidden_sizes = HIDDEN_SIZES[variant.size]
        heads = new_heads(N_EMOTIONS, width, hidden_sizes, recipe.dropout, seed)
        heads.to("cuda" if torch.cuda.is_available() else "cpu")
        train_stages(heads, data, recipe, seed)
        own, scores = scores_of(heads, data.rated), scores_of(heads, judged)
    return scores - np.array(neutral.means_from_ratings(own, data.rated))


def _kappa(scores: np.ndarray, ratings: np.ndarray, counts: np.ndarray | None = None) -> np.ndarray:
    """(1,), or (n_resamples,): mean over categories of the mean over people."""
    if counts is None:
        counts = np.ones((1, len(scores)))
    levels = round_to_levels(scores)[:, None]
    kappa = weighted_kappa(levels, ratings, image_weights=counts)
    return nan_mean(nan_mean(kappa, axis=1), axis=1)


def _record(
    found: dict[str, tuple[float, np.ndarray]], panel: Panel, vectors: Embeddings, seed: int
) -> dict[str, Any]:
    return {
        "made_by": MADE_BY,
        "version": __version__,
        "notice": SIMULATED if any(map(is_simulated, panel.raters)) else "",
        "seed": seed,
        "n_resamples": N_RESAMPLES,
        "confidence_level": 0.95,
        "images": len(panel.image_ids),
        "raters": panel.raters,
        "tower_sha256": vectors.metadata["tower_sha256"],
        "weighted_kappa": {
            name: {
                "size": ABLATIONS[name].size,
                "stages": ABLATIONS[name].stages,
                "normalised": ABLATIONS[name].normalised,
                "value": round(float(value), 6),
                "ci": _interval(samples),
            }
            for name, (value, samples) in found.items()
        },
        "differences": [
            {
                "variant": first,
                "beside": second,
                "value": round(float(found[first][0] - found[second][0]), 6),
                "ci": _interval(found[first][1] - found[second][1]),
            }
            for first, second in COMPARED
            if first in found and second in found
        ],
    }


def _interval(samples: np.ndarray) -> list[float]:
    return [round(float(bound), 6) for bound in percentile_interval(samples)]


def _rows(record: dict[str, Any]) -> list[tuple[object, ...]]:
    rows = []
    for name, one in record["weighted_kappa"].items():
        start = (name, one["value"], _shown(one["ci"]))
        beside = [pair for pair in record["differences"] if pair["variant"] == name]
        for pair in beside:
            rows.append((*start, pair["beside"], pair["value"], _shown(pair["ci"])))
            start = ("", "", "")
        if not beside:
            rows.append((*start, "", None, ""))
    return rows


def _shown(interval: Sequence[float]) -> str:
    return f"[{interval[0]:.3f}, {interval[1]:.3f}]"
