"""What a card shows of agreement by the words of prompts: values in the order of one column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cards.sourced import Number
from emonet_face.errors import EmoNetFaceError

COLUMN = "difference"
"""Of a slice: its kappa less that of random slices as large. It alone says which is highest."""


def slices_of(evaluation: Mapping[str, Any]) -> dict[str, Any] | None:
    """Slices and gaps of the attributes that divide the images; None where none does.

    Args:
        evaluation: of `read_evaluation`.

    Returns:
        "rows": of `slices`, attribute by attribute, the highest `COLUMN` first, undefined last;
        "gaps": of `slice_gaps`, each with `high` and `low`, the two values of `COLUMN` it lies
        between.

    Raises:
        EmoNetFaceError: rows of an earlier version without that column, or a gap that is not the
            one between the highest and the lowest value of it.
    """
    rows = evaluation.get("slices", [])
    if any(COLUMN not in row for row in rows):
        raise EmoNetFaceError(
            f"evaluation.json: its slices lack {COLUMN!r}; put the results in again, with"
            " `emonet-face card --results`"
        )
    by_attribute: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_attribute.setdefault(row["attribute"], []).append(row)
    shown = [
        row
        for found in by_attribute.values()
        if len(found) > 1
        for row in sorted(found, key=_descending)
    ]
    gaps = [_with_ends(gap, by_attribute) for gap in evaluation.get("slice_gaps", [])]
    return {"rows": shown, "gaps": gaps} if gaps else None


def _descending(row: Mapping[str, Any]) -> tuple[bool, float]:
    value: Number | None = row[COLUMN]
    return value is None, -value.value if value is not None else 0.0


def _with_ends(
    gap: Mapping[str, Any], by_attribute: Mapping[str, list[dict[str, Any]]]
) -> dict[str, Any]:
    found = {row["value"]: row[COLUMN] for row in by_attribute.get(gap["attribute"], [])}
    values = [number.value for number in found.values() if number is not None]
    high, low = found.get(gap["highest"]), found.get(gap["lowest"])
    if None in (high, low) or (high.value, low.value) != (max(values), min(values)):
        raise EmoNetFaceError(
            f"evaluation.json: the gap of {gap['attribute']!r} is not the one between the highest"
            f" and the lowest {COLUMN!r} of its slices"
        )
    return {**gap, "high": high, "low": low}
