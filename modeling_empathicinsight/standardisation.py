"""Shift and scale of embeddings while heads learn, folded into their first layer afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from modeling_empathicinsight.modeling_empathicinsight import EmpathicInsightHeads


@dataclass(frozen=True)
class Standardisation:
    """Shift and scale to mean 0 and deviation 1 of each coordinate.

    Coordinates of normalised embeddings are small around a large common mean, from where training
    is slow. Heads learn on standardised ones; then shift and scale are folded into their first
    layer, and they take plain embeddings like the released ones.

    Attributes:
        mean, deviation: (width,) float32.
    """

    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def of(cls, blocks: Iterable[np.ndarray]) -> Standardisation:
        """Of embeddings (n, width), given in blocks, in one pass.

        A coordinate that hardly varies is not blown up to 1.
        """
        n, mean, squares = 0, 0.0, 0.0
        for block in blocks:
            here = block.mean(axis=0, dtype=np.float64)
            apart = here - mean
            # Sums of squares around the mean add up, but for the distance of the two means.
            squares = squares + np.square(block - here).sum(axis=0, dtype=np.float64)
            squares = squares + np.square(apart) * (n * len(block) / (n + len(block)))
            n += len(block)
            mean = mean + apart * (len(block) / n)
        deviation = np.sqrt(squares / n)
        deviation = np.maximum(deviation, 0.1 * deviation.mean() + 1e-6)
        return cls(mean.astype(np.float32), deviation.astype(np.float32))

    def apply_(self, vectors: np.ndarray) -> np.ndarray:
        """Standardise float32 vectors (n, width) in place."""
        vectors -= self.mean
        vectors /= self.deviation
        return vectors

    @torch.no_grad()
    def fold_into(self, heads: EmpathicInsightHeads) -> None:
        """Make heads for standardised embeddings heads for plain ones, in place."""
        first = heads.layers[0]
        first.weight /= torch.from_numpy(self.deviation)[:, None].to(first.weight)
        first.bias -= torch.from_numpy(self.mean).to(first.weight) @ first.weight
