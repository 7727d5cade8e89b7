"""One training loop for heads: shared batches, and for each head the weights of its best epoch.

The loss is a sum of one term per head, and heads share no weights: training them together or one by
one is the same, only faster.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from emonet_face.progress import track
from modeling_empathicinsight.modeling_empathicinsight import EmpathicInsightHeads
from modeling_empathicinsight.targets import Examples

SHRINKAGE = 20
"""Held-out labels of the average head that are counted in with a head's own. With a handful of
labels of its own a head's best epoch would be luck."""

CHUNK = 1024
"""Images that are scored at once where nothing is learnt; Large needs 0.2 MB for each."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast heads learn: AdamW, learning rate falling to 0 along a cosine.

    Attributes:
        epochs: passes over the training images.
        learning_rate: at the start.
        weight_decay: of AdamW.
        batch_size: images per step.
    """

    epochs: int
    learning_rate: float
    weight_decay: float
    batch_size: int


@dataclass(frozen=True)
class Term:
    """One part of a stage's loss.

    Attributes:
        examples: the images.
        losses: scores (batch, n_outputs), rows (batch,) -> losses, 0 where there is no label.
        labels: (n, n_outputs) how many labels each loss sums up.
        weight: of this part.
    """

    examples: Examples
    losses: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    labels: torch.Tensor
    weight: float = 1.0


def fit(
    heads: EmpathicInsightHeads, terms: list[Term], schedule: Schedule, seed: int, title: str
) -> list[int]:
    """Minimise the sum of the terms over the training images; the heads are changed in place.

    Args:
        heads: any number of outputs.
        terms: an epoch is one pass over the images of the first; of the others as many images are
            drawn at random for each step.
        schedule: of the training.
        seed: of the order of batches and of dropout.
        title: shown beside the progress bar.

    Returns:
        For each head the epoch its weights are from; 0 = those it came with were best.
    """
    optimizer = torch.optim.AdamW(
        heads.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay
    )
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, schedule.epochs)
    generator = torch.Generator().manual_seed(seed)
    batches = [_batch_loss(heads, term) for term in terms]
    best = _Best(heads, terms)
    # Dropout knows the global generator only: it is seeded here and put back afterwards.
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for epoch in track(range(1, schedule.epochs + 1), title):
            heads.train()
            order = _training_rows(terms[0])
            order = order[torch.randperm(len(order), generator=generator)]
            for rows in order.split(schedule.batch_size):
                drawn = [rows, *(_draw(term, len(rows), generator) for term in terms[1:])]
                loss = sum(batch(rows) for batch, rows in zip(batches, drawn, strict=True))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            scheduler.step()
            heads.eval()
            best.keep(epoch)
    return best.restore()


def scores_of(heads: EmpathicInsightHeads, vectors: np.ndarray) -> np.ndarray:
    """Embeddings (n, width) -> raw scores (n, n_outputs), without dropout."""
    training, device = heads.training, device_of(heads)
    heads.eval()
    with torch.no_grad():
        parts = [heads(part.to(device)).cpu() for part in torch.from_numpy(vectors).split(CHUNK)]
    heads.train(training)
    return torch.cat(parts).numpy()


def device_of(heads: EmpathicInsightHeads) -> torch.device:
    """Where the heads are."""
    return heads.layers[0].weight.device


def _training_rows(term: Term) -> torch.Tensor:
    return torch.from_numpy(np.flatnonzero(~term.examples.held_out))


def _draw(term: Term, size: int, generator: torch.Generator) -> torch.Tensor:
    rows = _training_rows(term)
    return rows[torch.randint(len(rows), (size,), generator=generator)]


def _batch_loss(heads: EmpathicInsightHeads, term: Term) -> Callable[[torch.Tensor], torch.Tensor]:
    """rows -> the term's loss: per head the mean over labels, summed over heads.

    The mean is over the labels expected in a batch of that size: those that happen to be in it
    would give a label more weight, the fewer others stand beside it.
    """
    device = device_of(heads)
    vectors = torch.from_numpy(term.examples.vectors)
    rate = term.labels[_training_rows(term).to(device)].mean(dim=0)
    scale = torch.where(rate > 0, term.weight / rate, 0)

    def loss(rows: torch.Tensor) -> torch.Tensor:
        losses = term.losses(heads(vectors[rows].to(device)), rows.to(device))
        return (losses.mean(dim=0) * scale).sum()

    return loss


class _Best:
    """For each head the weights of its best epoch so far, judged on held-out images."""

    def __init__(self, heads: EmpathicInsightHeads, terms: list[Term]) -> None:
        self.heads, self.terms = heads, terms
        self.rows = [torch.from_numpy(np.flatnonzero(t.examples.held_out)) for t in terms]
        self.loss = self._losses()
        self.epoch = torch.zeros(len(self.loss), dtype=torch.long, device=self.loss.device)
        self.weights = [p.detach().clone() for p in heads.parameters()]
        # A head without labels has nothing to be judged by: it stays as it was.
        self.labelled = terms[0].labels.sum(dim=0) > 0

    def keep(self, epoch: int) -> None:
        """Look at the weights of an epoch."""
        loss = self._losses()
        better = (loss < self.loss) & self.labelled
        self.loss = torch.where(better, loss, self.loss)
        self.epoch[better] = epoch
        for kept, now in zip(self.weights, self.heads.parameters(), strict=True):
            kept[better] = now.detach()[better]

    def restore(self) -> list[int]:
        """Put the best weights into the heads. Returns the epoch of each."""
        with torch.no_grad():
            for kept, now in zip(self.weights, self.heads.parameters(), strict=True):
                now.copy_(kept)
        return self.epoch.tolist()

    def _losses(self) -> torch.Tensor:
        return sum(
            term.weight * self._shrunk(term, rows)
            for term, rows in zip(self.terms, self.rows, strict=True)
        )

    @torch.no_grad()
    def _shrunk(self, term: Term, rows: torch.Tensor) -> torch.Tensor:
        """(n_outputs,) mean held-out loss, drawn towards that of all heads (see SHRINKAGE)."""
        device = device_of(self.heads)
        total = sum(
            term.losses(
                self.heads(torch.from_numpy(term.examples.vectors[part]).to(device)),
                part.to(device),
            ).sum(dim=0)
            for part in rows.split(CHUNK)
        )
        count = term.labels[rows.to(device)].sum(dim=0)
        mean = total.sum() / count.sum().clamp(min=1)
        return (total + SHRINKAGE * mean) / (count + SHRINKAGE)
