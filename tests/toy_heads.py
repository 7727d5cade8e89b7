"""Head files in the released format, with random weights, for the tests of conversion."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import torch
from torch import nn

from emonet_face.taxonomy import CATEGORIES, DIMENSIONS

HIDDEN = {"small": (128, 32), "large": (1024, 512, 256)}
SLUGS = {c.name: c.slug for c in CATEGORIES} | {d.slug: d.slug for d in DIMENSIONS}
"""Output name -> the middle of its file's name."""


class ReleasedHead(nn.Module):
    """One head as third parties define it to read the files: linear, ReLU, dropout, ..., linear."""

    def __init__(self, width: int, size: str) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        for wide, narrow in pairwise([width, *HIDDEN[size]]):
            parts += [nn.Linear(wide, narrow), nn.ReLU(), nn.Dropout(0.1)]
        self.layers = nn.Sequential(*parts, nn.Linear(HIDDEN[size][-1], 1))

    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        return self.layers(embedding)


def write_heads(
    folder: Path, size: str = "small", *, width: int = 32, outputs: int = 44, seed: int = 0
) -> dict[str, ReleasedHead]:
    """Write model_<slug>_best.pth files; returns output name -> the head that went into its."""
    folder.mkdir(parents=True, exist_ok=True)
    heads = dict(_draw(size, width, outputs, seed))
    for name, head in heads.items():
        torch.save(head.state_dict(), path_of(folder, name))
    return heads


def path_of(folder: Path, name: str) -> Path:
    return folder / f"model_{SLUGS[name]}_best.pth"


def _draw(size: str, width: int, outputs: int, seed: int) -> Iterator[tuple[str, ReleasedHead]]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for name in list(SLUGS)[:outputs]:
            yield name, ReleasedHead(width, size).eval()
