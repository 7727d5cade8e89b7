"""Training of the heads on embeddings: stage 1 from ratings, stage 2 from yes/no votes.

Stage 1 regresses ratings (Huber loss, mean over the rated images of each head).

Stage 2 reads every answer as evidence: P(Yes) = sigmoid(a * (score - b)), the same a > 0 and b for
all answers. Given the score the answers are independent, so three Yes of three pull harder than two
of three, those harder than one of two, and a single No pulls down; that the next person is asked
only after a Yes needs no correction, for what decided it is itself among the answers. a and b are
fitted to the scores of stage 1 and then held, and the scores of rated images are tied to those of
stage 1: so votes move the order of faces, and a score stays a rating.

The released model's own recipe is not documented; this one is ours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional as F

from emonet_face.taxonomy import N_EMOTIONS, RATING_MAX
from modeling_empathicinsight.fitting import Schedule, Term, device_of, fit, scores_of
from modeling_empathicinsight.modeling_empathicinsight import EmpathicInsightHeads
from modeling_empathicinsight.targets import Examples

HUBER_DELTA = 1.0
"""Errors beyond one step of the rating scale count linearly."""


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
        """Minus log-likelihood (n, 40) of the votes (n, 40, 2: No, Yes) on images with `scores`."""
        logits = self.a * (scores[:, :N_EMOTIONS] - self.b)
        return votes[..., 0] * F.softplus(logits) + votes[..., 1] * F.softplus(-logits)


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
    def of(cls, vectors: np.ndarray) -> Standardisation:
        """Of embeddings (n, width). A coordinate that hardly varies is not blown up to 1."""
        deviation = vectors.std(axis=0)
        return cls(vectors.mean(axis=0), np.maximum(deviation, 0.1 * deviation.mean() + 1e-6))

    def apply(self, examples: Examples) -> Examples:
        """The examples with standardised vectors."""
        return replace(examples, vectors=(examples.vectors - self.mean) / self.deviation)

    @torch.no_grad()
    def fold_into(self, heads: EmpathicInsightHeads) -> None:
        """Make heads for standardised embeddings heads for plain ones, in place."""
        first = heads.layers[0]
        first.weight /= torch.from_numpy(self.deviation)[:, None].to(first.weight)
        first.bias -= torch.from_numpy(self.mean).to(first.weight) @ first.weight


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
    heads: EmpathicInsightHeads, examples: Examples, schedule: Schedule, *, seed: int
) -> list[int]:
    """Stage 1, in place.

    Args:
        heads: their outputs are the first columns of the ratings.
        examples: of `Ratings`.
        schedule: of the training.
        seed: of the order of batches and of dropout.

    Returns:
        The epoch that each head's weights are from; 0 = the weights it came with were best.
    """
    values = torch.from_numpy(examples.values[:, : _n_outputs(heads)]).to(device_of(heads))
    rated = ~values.isnan()
    with torch.no_grad():
        heads.layers[-1].bias[:, 0] = values[~examples.held_out].nanmean(dim=0).nan_to_num()

    def losses(scores: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        wanted = torch.where(rated[rows], values[rows], scores.detach())
        return F.huber_loss(scores, wanted, reduction="none", delta=HUBER_DELTA)

    term = Term(examples, losses, rated.float())
    return fit(heads, [term], schedule, seed, "heads on ratings")


def fit_link(heads: EmpathicInsightHeads, examples: Examples) -> Link:
    """a and b of greatest likelihood for the heads as they are, on the training images.

    Args:
        heads: trained on ratings.
        examples: of `Votes`.

    Returns:
        The default link where higher scores do not go with more Yes, or all answers are equal.
    """
    scores = scores_of(heads, examples.vectors[~examples.held_out])[:, :N_EMOTIONS]
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
) -> list[int]:
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

    Returns:
        The epoch that each head's weights are from; 0 = as before stage 2. Heads nobody was asked
        about stay as they were.
    """
    votes = torch.from_numpy(examples.values).to(device_of(heads))
    unasked = _n_outputs(heads) - N_EMOTIONS

    def vote_losses(scores: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return F.pad(link.losses(scores, votes[rows]), (0, unasked))

    terms = [Term(examples, vote_losses, F.pad(votes.sum(dim=-1), (0, unasked)))]
    if rated is not None:
        before = torch.from_numpy(scores_of(heads, rated.vectors)).to(device_of(heads))

        def changes(scores: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
            return (scores - before[rows]).square()

        terms.append(Term(rated, changes, torch.ones_like(before), anchor))
    return fit(heads, terms, schedule, seed, "heads on votes")


def _n_outputs(heads: EmpathicInsightHeads) -> int:
    return heads.layers[0].weight.shape[0]
