"""The one table to look at first: people with each other, then models, then trivial baselines."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from emonet_face.errors import EmoNetFaceError

_NOTHING = {"mean": None, "ci_low": None, "ci_high": None}


def summary_rows(results: Mapping[str, Any], protocol: str | None = None) -> list[dict[str, Any]]:
    """The people's agreement with each other, all models, and the trivial baselines.

    Args:
        results: what `benchmark` returns.
        protocol: "official" or "corrected"; None takes the corrected one where it was run.

    Returns:
        Rows with `annotator`, `group`, `kind` ("anchor", "model" or, in the corrected protocol,
        "baseline"), `weighted_kappa`, `weighted_kappa_ci`, `spearman`, `spearman_ci` (with the
        people's median) and `n_images`; models in falling order of kappa, the trivial baselines
        below them. Undefined is None, an interval [None, None].

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
    rows = [_summary(found["human_anchor"], _NOTHING, "anchor")]
    rows += [_summary(row, rho[row["annotator"]], "model") for row in models]
    n_images = results["counts"]["images"]
    return rows + [_baseline(row, n_images) for row in found.get("baselines", [])]


def notes(results: Mapping[str, Any]) -> list[str]:
    """What a reader of the tables must know of the data, one line each.

    Args:
        results: what `benchmark` returns.

    Returns:
        What was left out of files of predictions, people's nulls, models of which nothing can be
        said, and comparisons of groups on few images, those with the same reason in one line.
    """
    lines = [
        f"{name}: {log['left_out']}"
        for name, log in results["predictions"].items()
        if log["left_out"]
    ]
    nulls = results["counts"]["null_by_people"]
    if nulls:
        lines.append(f"nulls in ratings by people, taken as 0 as a missing key is: {nulls}")
    apart = results["models_apart"]
    if apart:
        lines.append(f"models without one image that people rated, so '-': {', '.join(apart)}")
    few: dict[str, list[str]] = {}
    for protocol in results["protocols"].values():
        for row in protocol["group_differences"]:
            if row["note"]:
                few.setdefault(row["note"], []).append(f"{row['group1']} with {row['group2']}")
    lines += [f"{', '.join(pairs)}: {note}" for note, pairs in few.items()]
    return lines


def _baseline(row: Mapping[str, Any], n_images: int) -> dict[str, Any]:
    interval = {key: row[f"spearman_{key}"] for key in ("ci_low", "ci_high")}
    spearman = {"mean": row["spearman"], **interval}
    return _summary({**row, "n_images": n_images}, spearman, "baseline")


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
