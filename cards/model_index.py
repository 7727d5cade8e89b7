"""`model-index` in the front matter of a model's card: its own results, from its evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cards.evaluation import EVALUATION
from cards.sourced import read_json

MADE_BY_CARD = "emonet-face card"
_MEASURES = {
    "weighted_kappa": "quadratic weighted kappa with single raters, mean over categories",
    "spearman": "Spearman's rho with the raters' median, mean over categories",
}


def by_card(index: Any) -> bool:
    """Whether a card wrote a `model-index`; one of another form was written by somebody else."""
    try:
        return all(
            result["metrics"][0]["args"]["made_by"] == MADE_BY_CARD
            for entry in index
            for result in entry["results"]
        )
    except (TypeError, LookupError):
        return False


def model_index(repo: Path, dataset_id: str, *, simulated: bool) -> list[dict[str, Any]]:
    """`model-index` from evaluation.json: the model's own rows, both protocols; [] without any."""
    path = repo / EVALUATION
    evaluation = read_json(path) if path.is_file() else {}
    name = evaluation.get("annotator")
    raters = "; simulated raters" if simulated else ""
    found = [
        {
            "task": {"type": "image-classification", "name": "facial emotion ratings"},
            "dataset": {
                "type": dataset_id,
                "name": "simulated ratings" if simulated else "EmoNet-Face HQ",
                "config": "hq",
                "split": "test",
            },
            "metrics": [
                {
                    "type": measure,
                    "value": row[measure],
                    "name": f"{text} ({protocol} protocol{raters})",
                    "args": {
                        "made_by": MADE_BY_CARD,
                        "protocol": protocol,
                        "interval": row[f"{measure}_ci"],
                        "confidence_level": evaluation["confidence_level"],
                    },
                }
            ],
        }
        for protocol, rows in evaluation.get("protocols", {}).items()
        for row in rows
        for measure, text in _MEASURES.items()
        if row["annotator"] == name and row[measure] is not None
    ]
    demo = " (demo)" if simulated else ""
    return [{"name": f"{repo.resolve().name}{demo}", "results": found}] if found else []
