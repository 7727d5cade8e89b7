"""Ridge regression of ratings on embeddings: all heads by one factorisation, no training loop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emonet_face.errors import EmoNetFaceError
from modeling_empathicinsight.standardisation import Standardisation
from modeling_empathicinsight.targets import Examples

PENALTIES = tuple(float(10**power) for power in np.arange(-1, 5.5, 0.5))


@dataclass(frozen=True)
class Ridge:
    """Linear heads.

    Attributes:
        scale: of the embeddings.
        weights: (width, n_outputs) on standardised embeddings.
        bias: (n_outputs,).
        penalties: (n_outputs,) each head's, the one with the least held-out squared error.
    """

    scale: Standardisation
    weights: np.ndarray
    bias: np.ndarray
    penalties: np.ndarray

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Embeddings (n, width) -> (n, n_outputs)."""
        return self.scale.apply_(vectors.astype(np.float32)) @ self.weights + self.bias


def fit_ridge(rated: Examples, n_outputs: int) -> Ridge:
    """Least squares with a penalty, over training images whose outputs are all rated.

    With X'X = Q diag(e) Q', the weights for any penalty p are Q (Q'X'Y / (e + p)): one
    factorisation serves all heads and all penalties.

    Args:
        rated: the examples of stage 1.
        n_outputs: the first columns of the ratings.

    Raises:
        EmoNetFaceError: no training image or no held-out image has all outputs rated.
    """
    values = rated.values[:, :n_outputs].astype(np.float64)
    whole = ~np.isnan(values).any(axis=1)
    training, held_out = (
        np.flatnonzero(whole & side) for side in (~rated.held_out, rated.held_out)
    )
    if not (training.size and held_out.size):
        raise EmoNetFaceError("ridge needs training and held-out images with all outputs rated")
    scale = Standardisation.of(rated.blocks(training))
    bias = values[training].mean(axis=0)
    width = rated.vectors.shape[1]
    square, cross = np.zeros((width, width)), np.zeros((width, n_outputs))
    start = 0
    for block in rated.blocks(training):
        x = scale.apply_(block).astype(np.float64)
        y = values[training[start : start + len(block)]] - bias
        start += len(block)
        square += x.T @ x
        cross += x.T @ y
    spread, basis = np.linalg.eigh(square)
    along = basis.T @ cross
    tried = [basis @ (along / (np.maximum(spread, 0) + p)[:, None]) for p in PENALTIES]
    features = scale.apply_(np.concatenate(list(rated.blocks(held_out)))).astype(np.float64)
    errors = [
        np.square(features @ weights + bias - values[held_out]).mean(axis=0) for weights in tried
    ]
    best = np.argmin(errors, axis=0)
    weights = np.stack([tried[choice][:, head] for head, choice in enumerate(best)], axis=1)
    return Ridge(scale, weights, bias, np.array(PENALTIES)[best])
