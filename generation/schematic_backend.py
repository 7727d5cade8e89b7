"""The backend that draws: schematic faces from latent intensities, one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from typing import Any

from generation.backends import Picture, Request
from generation.latents import latent_intensities
from generation.marking import DRAWN


@cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("numpy", "pillow")}


class SchematicBackend:
    """See `backends.Backend`. The same request gives the same pixels in any batch."""

    name = "schematic"
    source_type = DRAWN
    batch_matters = False
    overlap = False
    one_core = True

    def __init__(self, batch_size: int = 8) -> None:
        """
        Args:
            batch_size: how many are claimed at once where processes share a run.
        """
        self.batch_size = batch_size

    def generator(self) -> str:
        return self.name

    def recipe(self) -> dict[str, Any]:
        return {}

    def load(self) -> None:
        """Nothing to load."""

    def circumstances(self, request: Request) -> dict[str, Any]:
        return {"versions": _versions()}

    def make(self, requests: Sequence[Request], size: int) -> list[Picture]:
        from generation.schematic import draw

        pictures = []
        for request in requests:
            record = request.record
            intensities = latent_intensities(record, request.run_seed)
            image = draw(
                list(intensities.values()),
                ethnicity=record.ethnicity,
                age=record.age,
                gender=record.gender,
                size=size,
                seed=request.seed,
            )
            pictures.append(Picture(image, facts={"intensities": intensities}))
        return pictures
