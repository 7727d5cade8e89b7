"""The command that makes everything once: `emonet-face demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emonet_face.commands.options import Out, Seed


def demo(
    out: Out = Path("demo-out"),
    seed: Seed = 0,
    faces: Annotated[
        int, typer.Option(min=200, help="How many schematic faces in all; fewer is quicker.")
    ] = 2000,
) -> None:
    """Make everything once, offline, in minutes: faces, labels, dataset, model, metric, benchmark.

    Then load the three products back through the public APIs in a fresh process. A demonstration
    on schematic faces with simulated raters, not a result on EmoNet-Face.
    """
    from emonet_face.demo import run_demo

    run_demo(out, seed=seed, n_faces=faces)
