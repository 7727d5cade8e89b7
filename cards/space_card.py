"""The card of the model's page, from the record that staged it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cards.sourced import read_json
from emonet_face.errors import EmoNetFaceError
from emonet_face.outputs import made_by

RECORD = "space.json"
NOTICE = "notice.md"
MADE_BY = "emonet-face page"


def is_space(repo: Path) -> bool:
    """Whether a folder is a page that `emonet-face page --out` staged."""
    return made_by(repo, RECORD) == MADE_BY


def space_context(repo: Path) -> dict[str, Any]:
    """What `space.md.j2` needs.

    Raises:
        EmoNetFaceError: the page's notice is missing.
    """
    try:
        notice = (repo / NOTICE).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise EmoNetFaceError(f"{repo / NOTICE}: cannot be read ({error.strerror})") from None
    return {"model_id": read_json(repo / RECORD)["model"], "notice": notice}
