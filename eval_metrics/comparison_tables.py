"""Tables of what the corrected protocol says beyond the published ones: columns and rows.

A row may hold more than its table shows; all of it goes to `results.json`.
"""

from __future__ import annotations

import numpy as np

from emonet_face.taxonomy import EMOTIONS
from eval_metrics.baselines import WHAT
from eval_metrics.comparison import AgainstPeople, Comparison
from eval_metrics.groups import PEOPLE_NAME, group_of
from eval_metrics.panel import Panel
from eval_metrics.result_tables import Row, Rows, bounds
from eval_metrics.slices import ANCHOR, Gap, Slice, Slices

BASELINE_COLUMNS = (
    "annotator",
    *EMOTIONS,
    "mean",
    "ci_low",
    "ci_high",
    "spearman",
    "spearman_ci_low",
    "spearman_ci_high",
)
DIFFERENCE_COLUMNS = (
    "model1",
    "model2",
    "n_images",
    "n_emotions",
    "difference",
    "ci_low",
    "ci_high",
    "p",
    "p_adjusted",
)
PEOPLE_COLUMNS = (
    "annotator",
    "anchor_difference",
    "ci_low",
    "ci_high",
    "verdict",
    "published_could_be",
    "n_people",
    "advantage",
    "winning_rate",
    "strict_winning_rate",
    "passes",
    "n_emotions_passed",
)
SLICE_COLUMNS = (
    "annotator",
    "attribute",
    "value",
    "n_images",
    "weighted_kappa",
    "kappa_ci_low",
    "kappa_ci_high",
    "spearman",
    "spearman_ci_low",
    "spearman_ci_high",
    "anchor_kappa",
    "expected_kappa",
    "difference",
    "ci_low",
    "ci_high",
    "p",
    "p_adjusted",
    "note",
)
"""`difference`, which slices are compared by, is weighted_kappa less expected_kappa, that of random
slices of the same size; ci_low, ci_high and the p are its own (see `slices.Slice`)."""
GAP_COLUMNS = (
    "annotator",
    "attribute",
    "n_slices",
    "highest",
    "lowest",
    "gap",
    "ci_low",
    "ci_high",
    "p",
    "p_adjusted",
)
"""`gap` is the largest `difference` of the annotator's slices by this attribute (value `highest`)
less the smallest (value `lowest`)."""


def comparison_tables(comparison: Comparison, panel: Panel) -> list[Rows]:
    """Baselines, differences between models, and models held against people."""
    names = panel.annotators
    differences = [
        {
            "model1": names[one.first],
            "model2": names[one.second],
            "n_images": one.n_images,
            "n_emotions": one.n_emotions,
            "difference": one.difference,
            **bounds(one.interval),
            "p": one.p,
            "p_adjusted": one.p_adjusted,
        }
        for one in comparison.model_differences
    ]
    return [
        Rows("baselines", BASELINE_COLUMNS, _baselines(comparison)),
        Rows("model_differences", DIFFERENCE_COLUMNS, differences),
        Rows("against_people", PEOPLE_COLUMNS, list(map(_people, comparison.against_people))),
    ]


def _baselines(comparison: Comparison) -> list[Row]:
    return [
        {
            "annotator": one.name,
            **dict(zip(EMOTIONS, one.agreement, strict=True)),
            "mean": one.mean.value,
            **bounds(one.mean.interval),
            "spearman": one.spearman.value,
            **bounds(one.spearman.interval, "spearman_"),
            "group": group_of(one.name, human=False),
            "what": WHAT[one.name],
        }
        for one in comparison.baselines
    ]


def _people(one: AgainstPeople) -> Row:
    difference = one.difference
    return {
        "annotator": one.name,
        "anchor_difference": difference and difference.mean_difference,
        **bounds(difference.interval if difference else (np.nan, np.nan)),
        "verdict": one.verdict,
        "published_could_be": one.published_could_be,
        "n_people": one.test.n_people,
        "advantage": one.test.advantage,
        "winning_rate": one.test.winning_rate,
        "strict_winning_rate": one.test.strict_winning_rate,
        "passes": one.test.passes,
        "n_emotions_passed": one.test.n_emotions_passed,
    }


def slice_tables(slices: Slices, panel: Panel) -> list[Rows]:
    """Every slice of every annotator, and each annotator's largest gap by attribute."""
    anchor = {
        (one.attribute, one.value): one.kappa.value
        for one in slices.slices
        if one.annotator == ANCHOR
    }
    rows = [
        _slice(one, panel, anchor[one.attribute, one.value])
        for one in sorted(slices.slices, key=lambda one: one.annotator)
    ]
    gaps = [_gap(one, panel) for one in sorted(slices.gaps, key=lambda one: one.annotator)]
    return [Rows("slices", SLICE_COLUMNS, rows), Rows("slice_gaps", GAP_COLUMNS, gaps)]


def _name(annotator: int, panel: Panel) -> str:
    return PEOPLE_NAME if annotator == ANCHOR else panel.annotators[annotator]


def _slice(one: Slice, panel: Panel, anchor: float) -> Row:
    return {
        "annotator": _name(one.annotator, panel),
        "attribute": one.attribute,
        "value": one.value,
        "n_images": one.n_images,
        "weighted_kappa": one.kappa.value,
        **bounds(one.kappa.interval, "kappa_"),
        "spearman": one.spearman.value,
        **bounds(one.spearman.interval, "spearman_"),
        "anchor_kappa": anchor,
        "expected_kappa": one.expected,
        "difference": one.difference,
        **bounds(one.interval),
        "p": one.p,
        "p_adjusted": one.p_adjusted,
        "note": one.note,
    }


def _gap(one: Gap, panel: Panel) -> Row:
    return {
        "annotator": _name(one.annotator, panel),
        "attribute": one.attribute,
        "n_slices": one.n_slices,
        "highest": one.highest,
        "lowest": one.lowest,
        "gap": one.gap,
        **bounds(one.interval),
        "p": one.p,
        "p_adjusted": one.p_adjusted,
    }
