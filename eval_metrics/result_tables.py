"""The benchmark's tables: which columns they have and how their rows come from the statistics.

A row may hold more than its table shows; all of it goes to `results.json`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from emonet_face.taxonomy import EMOTIONS
from eval_metrics.emonet_face_agreement.agreement import nan_mean
from eval_metrics.groups import group_of
from eval_metrics.protocols import Difference, Floats, Interval, Mean, Statistics, tier_of

Row = dict[str, object]


@dataclass(frozen=True)
class Table:
    """One table: its name (the file is `<name>_<protocol>.csv`), columns and rows."""

    name: str
    columns: tuple[str, ...]
    rows: Callable[[Statistics], list[Row]]


@dataclass(frozen=True)
class Rows:
    """A table with its rows, ready to be written."""

    name: str
    columns: tuple[str, ...]
    rows: list[Row]


def tables_of(statistics: Statistics) -> list[Table]:
    """The tables that a protocol fills: the official one has no tests per category."""
    corrected = statistics.protocol == "corrected"
    return [table for table in TABLES if corrected or table.rows is not _category_differences]


def _weighted_kappa(statistics: Statistics) -> list[Row]:
    panel = statistics.panel
    rows = []
    for position, annotator in enumerate(panel.annotators):
        values = statistics.agreement[position]
        defined = values[~np.isnan(values)]
        rows.append(
            {
                "annotator": annotator,
                **_by_emotion(values),
                **_mean(statistics.agreement_means[position]),
                "std": np.std(defined, ddof=1) if len(defined) > 1 else np.nan,
                "median": np.median(defined) if len(defined) else np.nan,
                "top_emotion": EMOTIONS[np.nanargmax(values)] if len(defined) else None,
                "group": group_of(annotator, bool(panel.human[position])),
                "human": bool(panel.human[position]),
                "n_images": int(panel.rated[position].sum()),
                "n_emotions": len(defined),
            }
        )
    return rows


def _pairwise_kappa(statistics: Statistics) -> list[Row]:
    names = statistics.panel.annotators
    rows = []
    for first, second in combinations(range(len(names)), 2):
        values = statistics.pair_kappa[first, second]
        rows.append(
            {
                "rater1": names[first],
                "rater2": names[second],
                "kappa": float(nan_mean(values)),
                "n_emotions": int((~np.isnan(values)).sum()),
            }
        )
    return rows


def _spearman(aggregate: str) -> Callable[[Statistics], list[Row]]:
    def rows(statistics: Statistics) -> list[Row]:
        found = statistics.spearman[aggregate]
        return [
            {
                "annotator": statistics.panel.annotators[model],
                **_by_emotion(found.rho[model]),
                **_mean(mean),
                "n_emotions": int((~np.isnan(found.rho[model])).sum()),
            }
            for model, mean in found.means.items()
        ]

    return rows


def _alpha(statistics: Statistics) -> list[Row]:
    return [
        {"emotion": emotion, "alpha": alpha, "ci_low": low, "ci_high": high, "tier": tier_of(alpha)}
        for emotion, alpha, (low, high) in zip(
            EMOTIONS, statistics.alpha, statistics.alpha_intervals, strict=True
        )
    ]


def _group_differences(statistics: Statistics) -> list[Row]:
    return [
        {
            "group1": one.group1,
            "group2": one.group2,
            **_difference(one.difference),
            "p_adjusted": one.p_adjusted,
            "n_images": one.n_images,
            "note": one.note,
        }
        for one in statistics.group_differences
    ]


def _could_be_annotator(statistics: Statistics) -> list[Row]:
    return [
        {
            "annotator": statistics.panel.annotators[one.annotator],
            **_difference(one.difference),
            "could_be": one.could_be,
        }
        for one in statistics.annotator_tests
    ]


def _category_differences(statistics: Statistics) -> list[Row]:
    return [
        {
            "annotator": statistics.panel.annotators[one.annotator],
            "emotion": EMOTIONS[one.emotion],
            "difference": one.difference,
            **bounds(one.interval),
            "p": one.p,
            "p_adjusted": one.p_adjusted,
        }
        for one in statistics.category_tests
    ]


def _by_emotion(values: Floats) -> Row:
    return dict(zip(EMOTIONS, values, strict=True))


def _mean(mean: Mean) -> Row:
    return {"mean": mean.value, **bounds(mean.interval)}


def bounds(interval: Interval, of: str = "") -> Row:
    """The two ends of an interval as columns; `of` says whose, where there are several."""
    return dict(zip((f"{of}ci_low", f"{of}ci_high"), interval, strict=True))


def _difference(difference: Difference) -> Row:
    return {
        "n1": difference.n1,
        "n2": difference.n2,
        "mean_difference": difference.mean_difference,
        **bounds(difference.interval),
        "u": difference.u,
        "p": difference.p,
    }


_SPEARMAN_COLUMNS = ("annotator", *EMOTIONS, "mean", "ci_low", "ci_high")
_DIFFERENCE_COLUMNS = ("mean_difference", "ci_low", "ci_high", "u", "p")

TABLES = (
    Table(
        "weighted_kappa",
        ("annotator", *EMOTIONS, "mean", "std", "median", "top_emotion"),
        _weighted_kappa,
    ),
    Table("pairwise_kappa", ("rater1", "rater2", "kappa", "n_emotions"), _pairwise_kappa),
    Table("spearman_median", _SPEARMAN_COLUMNS, _spearman("median")),
    Table("spearman_mean", _SPEARMAN_COLUMNS, _spearman("mean")),
    Table("krippendorff_alpha", ("emotion", "alpha", "ci_low", "ci_high", "tier"), _alpha),
    Table(
        "group_differences",
        ("group1", "group2", "n1", "n2", *_DIFFERENCE_COLUMNS, "p_adjusted"),
        _group_differences,
    ),
    Table(
        "could_be_annotator",
        ("annotator", *_DIFFERENCE_COLUMNS, "could_be"),
        _could_be_annotator,
    ),
    Table(
        "category_differences",
        ("annotator", "emotion", "difference", "ci_low", "ci_high", "p", "p_adjusted"),
        _category_differences,
    ),
)
