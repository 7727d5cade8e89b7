"""The paper's evaluation of annotators against people: tables, figures and `results.json`.

emonet-face benchmark --ratings hq.csv --predictions my-model=predictions.jsonl --out benchmark

Two protocols stand side by side: `official` is the published analysis with its quirks, `corrected`
asks the same questions carefully (see `official.py` and `corrected.py`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emonet_face import __version__
from emonet_face.errors import EmoNetFaceError
from emonet_face.outputs import made_by, new_folder, write_json
from emonet_face.simulated import is_simulated
from eval_metrics.groups import HUMAN_GROUPS, PEOPLE_NAME
from eval_metrics.panel import Panel, RatingTable
from eval_metrics.protocols import TIERS, Statistics, check_resampling
from eval_metrics.result_tables import Rows, tables_of
from eval_metrics.sources import PredictionLog, read_dataset, read_predictions, read_ratings
from eval_metrics.summary import notes as notes
from eval_metrics.summary import summary_rows as summary_rows
from eval_metrics.tables import write_table

if TYPE_CHECKING:
    from eval_metrics.prompted import Prompts
    from eval_metrics.slices import Slices

MADE_BY = "emonet-face benchmark"
SCHEMA_VERSION = 1
"""Of `results.json`: see `results.schema.json`."""
MANIFEST = "results.json"
_HASHED_AT_ONCE = 4_000_000
"""Bytes: with the few that `hashlib.file_digest` takes it mostly waits for Python's lock."""
PROTOCOLS = ("official", "corrected")
"""Each is a module of this package with a function `evaluate`."""


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
        predictions: name -> lines of `emonet-face predict`, each one more model, on the rating
            scale as they stand: see `read_predictions`.
        protocol: "official", "corrected" or "both".
        n_resamples: bootstrap size; 0 leaves all intervals undefined.
        confidence_level: of the intervals, between 0 and 1.
        seed: a whole number from 0; same input and seed, same bytes.
        figures: whether to draw them.

    Returns:
        What `results.json` holds; None stands for undefined.

    Raises:
        EmoNetFaceError: bad input (file, row and key named), fewer than two people, or `out` is
            not ours. Nothing was written then.
    """
    chosen = _protocols(protocol)
    if (ratings is None) == (dataset is None):
        raise EmoNetFaceError("give either --ratings or --dataset, and not both")
    check_resampling(n_resamples, confidence_level, seed)
    with new_folder(out, ours=lambda folder: made_by(folder, MANIFEST) == MADE_BY) as folder:
        table, logs, source = _read(ratings, dataset, predictions or {})
        options = {"n_resamples": n_resamples, "level": confidence_level, "seed": seed}
        with ThreadPoolExecutor(max_workers=1) as beside:
            versions = beside.submit(_versions, "numpy", "scipy", "matplotlib")
            evaluated = {name: _evaluate(name, table, options) for name in chosen}
        prompts, slices, more = None, None, []
        if dataset is not None and (figures or "corrected" in evaluated):
            prompts = _prompts(str(dataset))
        if "corrected" in evaluated:
            slices, more = _further(evaluated["corrected"], prompts, options)
        results = {
            "made_by": MADE_BY,
            "schema": SCHEMA_VERSION,
            "versions": {"emonet-face": __version__, **versions.result()},
            "source": source,
            "predictions": {name: vars(log) for name, log in logs.items()},
            "protocol": protocol,
            "n_resamples": n_resamples,
            "confidence_level": confidence_level,
            "seed": seed,
            **_about(table, next(iter(evaluated.values())).panel),
            "protocols": {
                name: _write_tables(
                    statistics, folder / "tables", more if name == "corrected" else []
                )
                for name, statistics in evaluated.items()
            },
        }
        if figures:
            from eval_metrics.figures import draw_all

            repo = None if dataset is None else str(dataset)
            draw_all(evaluated, folder / "figures", confidence_level, slices, prompts, repo)
        results = _plain(results)
        write_json(folder / MANIFEST, results)
    return results


def _evaluate(protocol: str, table: RatingTable, options: Mapping[str, Any]) -> Statistics:
    # Imported here, as below: each protocol is timed with its imports.
    return import_module(f"eval_metrics.{protocol}").evaluate(table, **options)


def _prompts(repo: str) -> Prompts | None:
    from eval_metrics.prompted import read_prompts

    return read_prompts(repo)


def _further(
    statistics: Statistics, prompts: Prompts | None, options: Mapping[str, Any]
) -> tuple[Slices | None, list[Rows]]:
    """Slices, where there are prompts, and the tables that only the corrected protocol has."""
    from eval_metrics.comparison import compare
    from eval_metrics.comparison_tables import comparison_tables, slice_tables
    from eval_metrics.slices import slice_statistics

    comparison = compare(statistics, **options)
    tables = comparison_tables(comparison, statistics.panel)
    if prompts is None:
        return None, tables
    slices = slice_statistics(statistics.panel, prompts, comparison.draws, options["seed"])
    return slices, [*tables, *slice_tables(slices, statistics.panel)]


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
) -> tuple[RatingTable, dict[str, PredictionLog], dict[str, str]]:
    """All ratings, what the files of predictions held besides, and the source by name and digest.

    Results do not depend on where the source lay.
    """
    if ratings is None:
        local = Path(dataset).is_dir()
        source = {"dataset": Path(dataset).resolve().name if local else str(dataset)}
        rated = read_dataset(str(dataset))
    else:
        with ThreadPoolExecutor(max_workers=1) as beside:  # 91 MB take as long to hash as to read
            digest = beside.submit(_digest, ratings)
            rated = read_ratings(ratings)
            source = {"ratings": ratings.name, "sha256": digest.result()}
    tables, logs = [rated], {}
    for name, path in predictions.items():
        table, logs[name] = read_predictions(name, Path(path), rated)
        tables.append(table)
    return RatingTable.joined(tables) if logs else rated, logs, source


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as stream:
        while block := stream.read(_HASHED_AT_ONCE):
            digest.update(block)
    return digest.hexdigest()


def _versions(*packages: str) -> dict[str, str]:
    from importlib.metadata import version  # takes longer than all tables to write

    return {package: version(package) for package in packages}


def _about(table: RatingTable, panel: Panel) -> dict[str, Any]:
    people = {name for name, human in zip(table.annotators, table.human, strict=True) if human}
    annotators = set(table.annotators)
    by_people = panel.rated[panel.humans].any(axis=0)
    apart = [i for i in panel.models if not (panel.rated[i] & by_people).any()]
    return {
        "counts": {
            "rows": len(table.annotators),
            "images": len(set(table.images)),
            "annotators": len(annotators),
            "people": len(people),
            "models": len(annotators - people),
            "missing_values": int(np.isnan(table.scores).sum()),
            "null_by_people": table.n_null_by_people,
        },
        "simulated_annotators": sorted(filter(is_simulated, annotators)),
        "models_apart": [panel.annotators[i] for i in apart],
        "reliability_tiers": {name: least for name, least in TIERS if math.isfinite(least)},
    }


def _write_tables(statistics: Statistics, folder: Path, more: list[Rows]) -> dict[str, Any]:
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
    own = [Rows(one.name, one.columns, one.rows(statistics)) for one in tables_of(statistics)]
    for table in (*own, *more):
        found[table.name] = table.rows
        path = folder / f"{table.name}_{statistics.protocol}.csv"
        write_table(path, table.columns, table.rows)
    return found


def _anchor(statistics: Statistics) -> dict[str, Any]:
    panel, anchor = statistics.panel, statistics.anchor
    groups = [group for group in statistics.groups if group in HUMAN_GROUPS]
    kind = "human" if "Humans" in groups else "simulated"
    return {
        "annotator": f"{kind} {PEOPLE_NAME}",
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
