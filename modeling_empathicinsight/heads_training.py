"""Training of the heads on embeddings: stage 1 from ratings, stage 2 from yes/no votes.

Stage 1 regresses ratings (Huber or absolute error, mean over the rated images of each head).

Stage 2 reads every answer as evidence: P(Yes) = sigmoid(a * (score - b)), the same a > 0 and b for
all answers. Given the score the answers are independent, so three Yes of three pull harder than two
of three, those harder than one of two, and a single No pulls down; that the next person is asked
only after a Yes needs no correction, for what decided it is itself among the answers. a and b are
fitted to the scores of stage 1 and then held, and the scores of rated images are tied to those of
stage 1: so votes move the order of faces, and a score stays a rating. Answers on contrast
categories are evidence like any other: mostly a No where nothing was expected.

The released model's own recipe is not documented; this one is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from emonet_face.errors import EmoNetFaceError
from emonet_face.taxonomy import N_EMOTIONS, RATING_MAX
from modeling_empathicinsight.fitting import device_of, fit, scores_of
from modeling_empathicinsight.modeling_empathicinsight import EmpathicInsightHeads
from modeling_empathicinsight.stage_run import Fit, Schedule, Term
from modeling_empathicinsight.targets import Examples

HUBER_DELTA = 1.0
"""Errors beyond one step of the rating scale count linearly."""

LOSSES = ("huber", "mae")
MAX_BALANCE = 10.0
"""Largest weight of an answer where the classes are balanced."""


@dataclass(frozen=True)
class Link:
    """P(Yes) = sigmoid(a * (score - b)).

    Attributes:
        a: how many logits surer an answer gets with each point of the rating scale; above 0.
        b: the score at which half of the answers are Yes.
        fitted: False for the default, which is taken where there are no ratings: P(Yes) is 3 % at
            a score of 0 and 97 % at 7.
    """

    a: float = 1.0
    b: float = RATING_MAX / 2
    fitted: bool = False

    def probability(self, scores: np.ndarray) -> np.ndarray:
        """P(Yes) at the scores, any shape."""
        return 1 / (1 + np.exp(-self.a * (scores - self.b)))

    def losses(self, scores: torch.Tensor, votes: torch.Tensor) -> torch.Tensor:
        """Minus log-likelihood (n, k) of the votes (n, k, 2: No, Yes) on images with `scores`."""
        logits = self.a * (scores - self.b)
        return votes[..., 0] * F.softplus(logits) + votes[..., 1] * F.softplus(-logits)


def new_heads(
    n_outputs: int, width: int, hidden_sizes: list[int], dropout: float, seed: int
) -> EmpathicInsightHeads:
    """Heads with random weights."""
    heads = EmpathicInsightHeads(n_outputs, width, hidden_sizes, dropout)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in heads.layers:
            layer.reset_parameters(generator)
    return heads.eval()


def fit_ratings(
    heads: EmpathicInsightHeads,
    examples: Examples,
    schedule: Schedule,
    *,
    seed: int,
    loss: str = "huber",
    **how: Any,
) -> Fit:
    """Stage 1, in place.

    Args:
        heads: their outputs are the first columns of the ratings.
        examples: of `Ratings`.
        schedule: of the training.
        seed: of the order of batches and of dropout.
        loss: "huber" or "mae".
        how: handed on to `fit`: checkpoint, workers, at_once, watch.

    Raises:
        EmoNetFaceError: another loss.
    """
    if loss not in LOSSES:
        raise EmoNetFaceError(f"loss is {loss!r}: must be one of {', '.join(LOSSES)}")
    delta = HUBER_DELTA if loss == "huber" else None
    values = torch.from_numpy(examples.values[:, : _n_outputs(heads)]).to(device_of(heads))
    rated = ~values.isnan()
    with torch.no_grad():
        known = values[torch.from_numpy(~examples.held_out)]
        centre = known.nanmean(dim=0) if delta else known.nanmedian(dim=0).values
        heads.layers[-1].bias[:, 0] = centre.nan_to_num()

    def losses(scores: torch.Tensor, rows: torch.Tensor, columns: slice) -> torch.Tensor:
        wanted = torch.where(rated[rows, columns], values[rows, columns], scores.detach())
        if delta is None:
            return F.l1_loss(scores, wanted, reduction="none")
        return F.huber_loss(scores, wanted, reduction="none", delta=delta)

    term = Term(examples, losses, rated.float())
    return fit(heads, [term], schedule, seed=seed, stage="ratings", **how)


def fit_link(heads: EmpathicInsightHeads, examples: Examples) -> Link:
    """a and b of greatest likelihood for the heads as they are, on the training images.

    Args:
        heads: trained on ratings.
        examples: of `Votes`.

    Returns:
        The default link where higher scores do not go with more Yes, or all answers are equal.
    """
    scores = scores_of(heads, examples)[~examples.held_out, :N_EMOTIONS]
    no, yes = np.moveaxis(examples.values[~examples.held_out].astype(np.float64), -1, 0)
    asked = (no + yes) > 0
    no, yes = no[asked], yes[asked]
    if not (no.sum() and yes.sum()):
        return Link()
    design = np.stack([np.ones(no.size), scores[asked]], axis=1)
    beta, ridge = np.zeros(2), 1e-3 * np.eye(2)
    for _ in range(50):  # Newton's method; the ridge keeps it finite where scores part the answers
        p = 1 / (1 + np.exp(-design @ beta))
        curvature = design.T @ (design * ((yes + no) * p * (1 - p))[:, None]) + ridge
        beta += np.linalg.solve(curvature, design.T @ (yes - (yes + no) * p) - ridge @ beta)
    offset, a = map(float, beta)
    return Link(a, -offset / a, fitted=True) if a > 1e-3 else Link()


def fit_votes(
    heads: EmpathicInsightHeads,
    examples: Examples,
    rated: Examples | None,
    link: Link,
    schedule: Schedule,
    *,
    anchor: float,
    seed: int,
    balance: bool = False,
    **how: Any,
) -> Fit:
    """Stage 2, in place.

    Args:
        heads: as stage 1 left them, or new ones.
        examples: of `Votes`.
        rated: the examples of stage 1, whose scores are to stay; None where there was none.
        link: from scores to answers.
        schedule: of the training.
        anchor: weight of the mean squared change of the scores of rated images, in logarithms of
            likelihood per squared step of the rating scale.
        seed: of the order of batches and of dropout.
        balance: whether the Yes of a head weigh as much as its No (see `answer_weights`).
        how: handed on to `fit`: checkpoint, workers, at_once, watch.

    Returns:
        Heads nobody was asked about stay as they were: their best epoch is 0.
    """
    counts = examples.values * answer_weights(examples) if balance else examples.values
    votes = torch.from_numpy(_padded(counts, _n_outputs(heads))).to(device_of(heads))

    def vote_losses(scores: torch.Tensor, rows: torch.Tensor, columns: slice) -> torch.Tensor:
        return link.losses(scores, votes[rows, columns])

    terms = [Term(examples, vote_losses, votes.sum(dim=-1))]
    if rated is not None:
        before = torch.from_numpy(scores_of(heads, rated)).to(device_of(heads))

        def changes(scores: torch.Tensor, rows: torch.Tensor, columns: slice) -> torch.Tensor:
            return (scores - before[rows, columns]).square()

        terms.append(Term(rated, changes, torch.ones_like(before), anchor))
    return fit(heads, terms, schedule, seed=seed, stage="votes", **how)


def answer_weights(examples: Examples) -> np.ndarray:
    """(40, 2) float32: weights of No and Yes that give both sides of a head the same sum.

    Their mean over a head's training answers is 1, but no weight is above MAX_BALANCE. 1 where
    there is one side only.
    """
    sides = examples.values[~examples.held_out].sum(axis=0, dtype=np.float64)
    both = (sides > 0).all(axis=1, keepdims=True)
    total = sides.sum(axis=1, keepdims=True)
    weights = np.where(both, total / np.maximum(2 * sides, 1), 1)
    return np.minimum(weights, MAX_BALANCE).astype(np.float32)


def _padded(votes: np.ndarray, n_outputs: int) -> np.ndarray:
    """Votes (n, 40, 2) with outputs that nobody is asked about, the dimensions, as zeros."""
    return np.pad(votes, ((0, 0), (0, n_outputs - votes.shape[1]), (0, 0)))


def _n_outputs(heads: EmpathicInsightHeads) -> int:
    return heads.layers[0].weight.shape[0]
