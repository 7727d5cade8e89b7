"""Options that several commands have, and how an option that says nothing is refused."""

from __future__ import annotations

import enum
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer

from emonet_face.errors import EmoNetFaceError

Out = Annotated[
    Path, typer.Option("--out", help="Folder to write; one of an earlier call is replaced.")
]
Seed = Annotated[int, typer.Option(min=0, help="Same seed, same result.")]
Resamples = Annotated[int, typer.Option(min=0, help="Bootstrap resamples.")]
Engine = Annotated[str, typer.Option(help="local or ray")]

RatingsFile = Annotated[Path | None, typer.Option(help="CSV in the form of the published hq.csv.")]
VOTES_FILE = typer.Option(help="CSV in the form of the published binary.csv.")
"""Of `build binary`, which can do without it, and of `votes`, which cannot."""

PictureSource = Annotated[
    str, typer.Argument(help="A run of `generate`, a folder of images, a dataset repo or id.")
]
RepoConfig = Annotated[str, typer.Option(help="Config of a dataset repo.")]
LabelledRepo = Annotated[str, typer.Option(help="Dataset repo with the labels: folder or Hub id.")]

ModelRepo = Annotated[str, typer.Option(help="Model repo: folder or Hub id.")]
NewModelRepo = Annotated[Path, typer.Option(help="Model repo folder to write.")]


class Size(enum.StrEnum):
    """The published sizes of the heads."""

    small = "small"
    large = "large"


def refuse(context: typer.Context, names: Collection[str], why: str) -> None:
    """Refuse options that would be ignored, also where they are given with their default value.

    Args:
        context: of the command that was called.
        names: parameters of its function.
        why: follows the option's name in the message.

    Raises:
        EmoNetFaceError: one of them was given; the first in the order of `--help` is named.
    """
    for parameter in context.command.params:
        if parameter.name in names:
            source = context.get_parameter_source(parameter.name)
            if source is not None and source.name != "DEFAULT":
                raise EmoNetFaceError(f"{parameter.opts[0]} {why}")


def values(context: typer.Context, names: Collection[str]) -> dict[str, object]:
    """What was given or is the default for some parameters that are text, numbers or flags."""
    return {name: context.params[name] for name in names}
