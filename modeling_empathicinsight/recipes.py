"""Recipes of training, as data: one TOML file for each published size of heads.

A recipe says how the heads are trained and, for people and for a test, by which command, in how
many minutes, on what machine, and what comes out on the schematic faces of the demo.
"""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, fields, replace
from math import inf
from pathlib import Path
from typing import Any

from emonet_face.errors import EmoNetFaceError
from modeling_empathicinsight.configuration_empathicinsight import HIDDEN_SIZES
from modeling_empathicinsight.heads_training import LOSSES
from modeling_empathicinsight.stage_run import Schedule

FOLDER = Path(__file__).with_name("recipes")
SECTIONS = {
    "size": str,
    "loss": str,
    "dropout": float,
    "anchor": float,
    "balance": bool,
    "ratings": dict,
    "votes": dict,
    "run": dict,
    "expected": dict,
}


@dataclass(frozen=True)
class Recipe:
    """How heads are trained.

    Attributes:
        size: "small" or "large".
        loss: of stage 1, "huber" or "mae".
        dropout: after each hidden layer.
        anchor: how strongly stage 2 holds on to the scores of stage 1.
        balance: whether Yes and No of a head weigh the same in stage 2.
        ratings, votes: schedules of stage 1 and stage 2.
    """

    size: str
    loss: str
    dropout: float
    anchor: float
    balance: bool
    ratings: Schedule
    votes: Schedule

    def record(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def read_recipe(name: str | Path) -> Recipe:
    """A recipe by the size of its heads, or from a file.

    Raises:
        EmoNetFaceError: no such recipe, or a file that is none: the key and what is allowed.
    """
    known = name in HIDDEN_SIZES
    path = FOLDER / f"{name}.toml" if known else Path(name)
    if not known and path.suffix != ".toml":
        sizes = ", ".join(HIDDEN_SIZES)
        raise EmoNetFaceError(f"recipe is {str(name)!r}: must be one of {sizes}, or a .toml file")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EmoNetFaceError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:  # not UTF-8, or not TOML
        raise EmoNetFaceError(f"{path}: is not TOML ({error})") from None
    return parse_recipe(table, str(path))


def chosen_recipe(name: str | Path, loss: str | None = None) -> Recipe:
    """A recipe as in `read_recipe`, its loss replaced where one is given."""
    recipe = read_recipe(name)
    if loss is None:
        return recipe
    if loss not in LOSSES:
        raise EmoNetFaceError(f"--loss is {loss!r}: must be one of {', '.join(LOSSES)}")
    return replace(recipe, loss=loss)


def parse_recipe(table: dict[str, Any], where: str) -> Recipe:
    """A recipe from what its TOML says; `run` and `expected` are for people and may be missing."""
    for key in sorted(table.keys() | SECTIONS.keys() - {"run", "expected"}):
        kind = SECTIONS.get(key)
        if kind is None:
            raise EmoNetFaceError(f"{where}: unknown key {key!r}; allowed: {', '.join(SECTIONS)}")
        if not isinstance(table.get(key), kind):
            raise EmoNetFaceError(
                f"{where}: {key} is {table.get(key)!r}: must be a {kind.__name__}"
            )
    for key, allowed in (("size", HIDDEN_SIZES), ("loss", LOSSES)):
        if table[key] not in allowed:
            raise EmoNetFaceError(
                f"{where}: {key} is {table[key]!r}: must be one of {', '.join(allowed)}"
            )
    if not (0 <= table["dropout"] < 1 and 0 <= table["anchor"] < inf):
        raise EmoNetFaceError(
            f"{where}: dropout must lie in 0..1, below 1, and anchor be 0 or more"
        )
    schedules = {
        stage: _schedule(table[stage], f"{where}, {stage}") for stage in ("ratings", "votes")
    }
    scalars = {key: table[key] for key in ("size", "loss", "dropout", "anchor", "balance")}
    return Recipe(**scalars, **schedules)


def _schedule(table: dict[str, Any], where: str) -> Schedule:
    names = [entry.name for entry in fields(Schedule)]
    required = names[:-1]
    for key in sorted(table.keys() | set(required)):
        if key not in names:
            raise EmoNetFaceError(f"{where}: unknown key {key!r}; allowed: {', '.join(names)}")
        value = table.get(key)
        whole = key in ("epochs", "batch_size", "patience")
        good = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
        if not good or not (1 if whole else 0) <= value < inf:
            kind = "a whole number from 1" if whole else "a number from 0"
            raise EmoNetFaceError(f"{where}: {key} is {value!r}: must be {kind}")
    return Schedule(**table)
