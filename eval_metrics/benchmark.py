"""The paper's evaluation of annotators against people: tables, figures and `results.json`.

emonet-face benchmark --ratings hq.csv --predictions my-model=predictions.jsonl --out benchmark

Two protocols stand side by side: `official` is the published analysis with its quirks, `corrected`
asks the same questions carefully (see `official.py` and `corrected.py`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from emonet_face import __version__
from emonet_face.errors import EmoNetFaceError
from emonet_face.outputs import made_by, new_folder, write_json
from eval_metrics import corrected, official
from eval_metrics.groups import HUMAN_GROUPS, is_simulated
from eval_metrics.panel import RatingTable
from eval_metrics.protocols import TIERS, Statistics
from eval_metrics.result_tables import tables_of
from eval_metrics.sources import PredictionLog, read_dataset, read_predictions, read_ratings
from eval_metrics.tables import write_table

MADE_BY = "emonet-face benchmark"
MANIFEST = "results.json"
PROTOCOLS: dict[str, Callable[..., Statistics]] = {
    "official": official.evaluate,
    "corrected": corrected.evaluate,
}


def benchmark(
    out: Path,
    *,
    ratings: Path | None = None,
    dataset: Path | str | None = None,
    predictions: Mapping[str, Path] | None = None,
    protocol: str = "both",
    n_resamples: int = 1000,
    confidence_level: float = 0.95,
    seed: int = 42,
    figures: bool = True,
) -> dict[str, Any]:
    """Compare annotators with people and write everything into the folder `out`.

    Args:
        out: the folder to make; one made by this function before is replaced.
        ratings: a CSV in the form of the published `hq.csv`. Either this or `dataset`.
        dataset: a dataset repo with config `hq` (people) and perhaps `hq_baselines` (models), as a
            folder or a Hub id.
        predictions: name -> lines of `emonet-face predict`, each one more model.
        protocol: "official", "corrected" or "both".
        n_resamples: bootstrap size; 0 leaves all intervals undefined.
        confidence_level: of the intervals, between 0 and 1.
        seed: same input and seed, same bytes.
        figures: whether to draw them.

    Returns:
        What `results.json` holds; None stands for undefined.

    Raises:
        EmoNetFaceError: bad input (file, row and key named), fewer than two people, or `out` is
            not ours. Nothing was written then.
    """
    chosen = _protocols(protocol)
    if (ratings is None) == (dataset is None):
        raise EmoNetFaceError("give either a ratings file or a dataset repo, and not both")
    if n_resamples < 0 or not 0 < confidence_level < 1:
        raise EmoNetFaceError(
            f"{n_resamples} resamples at level {confidence_level}: allowed are 0 or more resamples"
            " and a level between 0 and 1"
        )
    with new_folder(out, ours=lambda folder: made_by(folder, MANIFEST) == MADE_BY) as folder:
        table, logs = _read(ratings, dataset, predictions or {})
        options = {"n_resamples": n_resamples, "level": confidence_level, "seed": seed}
        evaluated = {name: PROTOCOLS[name](table, **options) for name in chosen}
        results = {
            "made_by": MADE_BY,
            "versions": {"emonet-face": __version__, **_versions("numpy", "scipy", "matplotlib")},
            "source": _source(ratings, dataset),
            "predictions": {name: vars(log) for name, log in logs.items()},
            "protocol": protocol,
            "n_resamples": n_resamples,
            "confidence_level": confidence_level,
            "seed": seed,
            "counts": _counts(table),
            "simulated_annotators": sorted(filter(is_simulated, set(table.annotators))),
            "reliability_tiers": {name: least for name, least in TIERS if math.isfinite(least)},
            "protocols": {},
        }
        for name, statistics in evaluated.items():
            results["protocols"][name] = _write_tables(statistics, folder / "tables")
        if figures:
            from eval_metrics.figures import draw

            for statistics in evaluated.values():
                draw(statistics, folder / "figures", confidence_level)
        results = _plain(results)
        write_json(folder / MANIFEST, results)
    return results


def summary_rows(results: Mapping[str, Any], protocol: str | None = None) -> list[dict[str, Any]]:
    """The one table to look at first: the people's agreement with each other, then all models.

    Args:
        results: what `benchmark` returns.
        protocol: "official" or "corrected"; None takes the corrected one where it was run.

    Returns:
        Rows with `annotator`, `group`, `kind` ("anchor" or "model"), `weighted_kappa`,
        `weighted_kappa_ci`, `spearman`, `spearman_ci` (with the people's median) and `n_images`;
        models in falling order of kappa. Undefined is None, an interval [None, None].

    Raises:
        EmoNetFaceError: the protocol was not run.
    """
    run = results["protocols"]
    protocol = protocol or ("corrected" if "corrected" in run else "official")
    if protocol not in run:
        raise EmoNetFaceError(f"protocol {protocol!r} was not run; found {', '.join(run)}")
    found = run[protocol]
    rho = {row["annotator"]: row for row in found["spearman_median"]}
    models = [row for row in found["weighted_kappa"] if not row["human"]]
    models.sort(key=lambda row: math.inf if row["mean"] is None else -row["mean"])
    anchor = found["human_anchor"]
    nothing = {"mean": None, "ci_low": None, "ci_high": None}
    rows = [_summary(anchor, nothing, "anchor")]
    return rows + [_summary(row, rho[row["annotator"]], "model") for row in models]


def _summary(kappa: Mapping[str, Any], rho: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return {
        "annotator": kappa["annotator"],
        "group": kappa["group"],
        "kind": kind,
        "weighted_kappa": kappa["mean"],
        "weighted_kappa_ci": [kappa["ci_low"], kappa["ci_high"]],
        "spearman": rho["mean"],
        "spearman_ci": [rho["ci_low"], rho["ci_high"]],
        "n_images": kappa["n_images"],
    }


def _protocols(protocol: str) -> list[str]:
    if protocol == "both":
        return list(PROTOCOLS)
    if protocol not in PROTOCOLS:
        raise EmoNetFaceError(
            f"unknown protocol {protocol!r}; allowed are {', '.join(PROTOCOLS)} and both"
        )
    return [protocol]


def _read(
    ratings: Path | None, dataset: Path | str | None, predictions: Mapping[str, Path]
) -> tuple[RatingTable, dict[str, PredictionLog]]:
    rated = read_dataset(str(dataset)) if ratings is None else read_ratings(ratings)
    tables, logs = [rated], {}
    for name, path in predictions.items():
        table, logs[name] = read_predictions(name, Path(path), rated)
        tables.append(table)
    return RatingTable.joined(tables), logs


def _source(ratings: Path | None, dataset: Path | str | None) -> dict[str, str]:
    """The input by name and digest: results do not depend on where it lay."""
    if ratings is None:
        local = Path(dataset).is_dir()
        return {"dataset": Path(dataset).resolve().name if local else str(dataset)}
    digest = hashlib.sha256(ratings.read_bytes()).hexdigest()
    return {"ratings": ratings.name, "sha256": digest}


def _versions(*packages: str) -> dict[str, str]:
    return {package: version(package) for package in packages}


def _counts(table: RatingTable) -> dict[str, int]:
    people = {name for name, human in zip(table.annotators, table.human, strict=True) if human}
    return {
        "rows": len(table.annotators),
        "images": len(set(table.images)),
        "annotators": len(set(table.annotators)),
        "people": len(people),
        "models": len(set(table.annotators) - people),
        "missing_values": int(np.isnan(table.scores).sum()),
    }


def _write_tables(statistics: Statistics, folder: Path) -> dict[str, Any]:
    """Write a protocol's tables; returns their rows and what they do not hold."""
    panel = statistics.panel
    found: dict[str, Any] = {
        "n_duplicate_rows": panel.n_duplicates,
        "groups": {
            group: [panel.annotators[position] for position in positions]
            for group, positions in statistics.groups.items()
        },
        "human_anchor": _anchor(statistics),
    }
    for table in tables_of(statistics):
        found[table.name] = table.rows(statistics)
        path = folder / f"{table.name}_{statistics.protocol}.csv"
        write_table(path, table.columns, found[table.name])
    return found


def _anchor(statistics: Statistics) -> dict[str, Any]:
    panel, anchor = statistics.panel, statistics.anchor
    groups = [group for group in statistics.groups if group in HUMAN_GROUPS]
    kind = "human" if "Humans" in groups else "simulated"
    return {
        "annotator": f"{kind} raters with each other",
        "group": " and ".join(groups),
        "mean": anchor.value,
        "ci_low": anchor.interval[0],
        "ci_high": anchor.interval[1],
        "n_images": int((panel.rated[panel.humans].sum(axis=0) > 1).sum()),
    }


def _plain(value: object) -> Any:
    """The value as JSON knows it: numpy's numbers as Python's, NaN as None."""
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    return None if isinstance(value, float) and math.isnan(value) else value
