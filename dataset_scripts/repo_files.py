"""The files of a dataset repo that are no shards: their names, and which of them `check` wrote.

A build replaces the README and `croissant.json` and drops what `check` wrote: it spoke of the old
shards. Everything else in the folder stays.
"""

from __future__ import annotations

from pathlib import Path

from emonet_face.front_matter import README
from emonet_face.outputs import made_by

CROISSANT = "croissant.json"
CHECK = "check.json"
BALANCE_FIGURE = "balance.png"
MADE_BY_CHECK = "emonet-face check"

KNOWN_FILES = (
    README, CROISSANT, CHECK, BALANCE_FIGURE,
    "evaluation.json", "eval.yaml", "card.png", "LICENSE",
)  # fmt: skip
"""What may lie at the root of a dataset repo: written by builds, `check`, cards and benchmarks."""

_PNG_HEAD = 1_000


def made_by_check(path: Path) -> bool:
    """Whether `check` wrote a file: `check.json` says so in a key, the figure in its metadata."""
    if path.name == CHECK:
        return made_by(path.parent, CHECK) == MADE_BY_CHECK
    if path.name == BALANCE_FIGURE:
        try:
            with path.open("rb") as stream:
                return MADE_BY_CHECK.encode() in stream.read(_PNG_HEAD)
        except OSError:
            return False
    return False


def check_outputs(repo: Path) -> set[str]:
    """The names of the files in a repo that `check` wrote."""
    return {name for name in (CHECK, BALANCE_FIGURE) if made_by_check(repo / name)}
