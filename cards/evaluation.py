"""`evaluation.json` of a product: what a benchmark found, put where the card looks for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cards.sourced import read_json, sourced
from emonet_face.errors import EmoNetFaceError
from emonet_face.outputs import write_json
from emonet_face.taxonomy import INDEX

EVALUATION = "evaluation.json"
_ANCHOR = "raters with each other"
_SLICE_KEYS = (
    "attribute", "value", "n_images", "weighted_kappa", "difference", "ci_low", "ci_high", "note",
)  # fmt: skip
_GAP_KEYS = ("attribute", "n_slices", "highest", "lowest", "gap", "ci_low", "ci_high", "p_adjusted")


def write_evaluation(
    repo: Path,
    protocols: Mapping[str, list[dict[str, Any]]],
    *,
    level: float,
    seed: int,
    results: Mapping[str, Any] | None = None,
    annotator: str | None = None,
) -> None:
    """Put benchmark rows into a product folder, for its card.

    Args:
        repo: dataset or model folder.
        protocols: protocol -> rows with `annotator`, `weighted_kappa`, `weighted_kappa_ci`,
            `spearman`, `spearman_ci` (None where undefined).
        level: confidence level of the intervals, e.g. 0.95.
        seed: of the benchmark.
        results: the whole `results.json`: adds reliability, slices and values per category.
        annotator: the model's own name in it; None for a dataset.

    Raises:
        EmoNetFaceError: the results know no such annotator.
    """
    record = {
        "made_by": "emonet-face benchmark",
        "confidence_level": level,
        "seed": seed,
        "annotator": annotator,
        "protocols": {name: list(rows) for name, rows in protocols.items()},
    }
    if results is not None:
        record |= _details(results, annotator)
    write_json(repo / EVALUATION, record)


def read_evaluation(repo: Path) -> dict[str, Any]:
    """What `evaluation.json` says, sourced; {} where there is none.

    Raises:
        EmoNetFaceError: it is broken.
    """
    path = repo / EVALUATION
    if not path.is_file():
        return {}
    record = read_json(path)
    for key in ("protocols", "confidence_level"):
        if key not in record:
            raise EmoNetFaceError(f"{path}: has no {key!r}")
    return sourced({"slices": [], "slice_gaps": [], **record}, EVALUATION)


def _details(results: Mapping[str, Any], annotator: str | None) -> dict[str, Any]:
    run = results["protocols"]
    protocol = "corrected" if "corrected" in run else "official"
    tables = run[protocol]
    own = {"reliability": {"protocol": protocol, "rows": _of_categories(tables)}}
    own["tiers"] = results["reliability_tiers"]
    own["tier_counts"] = dict(Counter(row["tier"] for row in _of_categories(tables)))
    shown = _ANCHOR if annotator is None else annotator
    if "slices" in tables:
        for name, keys in (("slices", _SLICE_KEYS), ("slice_gaps", _GAP_KEYS)):
            rows = [row for row in tables[name] if row["annotator"] == shown]
            if name == "slice_gaps":  # with fewer than two slices to compare there is no number
                rows = [row for row in rows if row["gap"] is not None]
            own[name] = [{key: row[key] for key in keys} for row in rows]
    if annotator is not None:
        own["categories"] = _per_category(tables, annotator)
    return own


def _per_category(tables: Mapping[str, Any], annotator: str) -> list[dict[str, Any]]:
    """The model's kappa and rho on each category, beside the alpha of the raters."""
    found = {
        measure: next((row for row in tables[measure] if row["annotator"] == annotator), None)
        for measure in ("weighted_kappa", "spearman_median")
    }
    if None in found.values():
        raise EmoNetFaceError(f"the results know no annotator {annotator!r}")
    return [
        {
            "emotion": row["emotion"],
            "weighted_kappa": found["weighted_kappa"][row["emotion"]],
            "spearman": found["spearman_median"][row["emotion"]],
        }
        for row in _of_categories(tables)
    ]


def _of_categories(tables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The reliability of the categories, without rows of means."""
    return [row for row in tables["krippendorff_alpha"] if row["emotion"] in INDEX]
