"""The card of the model's page, from the record that staged it and that of the model it shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cards.model_card import DEMO
from cards.model_card import TITLE as MODEL_TITLE
from cards.sourced import read_json
from emonet_face.errors import EmoNetFaceError
from emonet_face.outputs import made_by
from emonet_face.simulated import beside, model_is_simulated

RECORD = "space.json"
NOTICE, DEMONSTRATION = "notice.md", "demonstration.md"
MADE_BY = "emonet-face page"


def is_space(repo: Path) -> bool:
    """Whether a folder is a page that `emonet-face page --out` staged."""
    return made_by(repo, RECORD) == MADE_BY


def space_context(repo: Path) -> dict[str, Any]:
    """What `space.md.j2` needs.

    Whether the model was trained on simulated raters is told from its own record where it lies
    beside the page, else from what that said when the page was staged.

    Raises:
        EmoNetFaceError: one of the page's texts is missing, or the model's record cannot be used.
    """
    record = read_json(repo / RECORD)
    simulated = model_is_simulated(beside(repo, record["model"]))
    if simulated is None:
        simulated = record.get("simulated")
    return {
        "title": MODEL_TITLE + (DEMO if simulated else ""),
        "model_id": record["model"],
        "demonstration": _text(repo / DEMONSTRATION) if simulated else "",
        "notice": _text(repo / NOTICE),
    }


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise EmoNetFaceError(f"{path}: cannot be read ({error.strerror})") from None
