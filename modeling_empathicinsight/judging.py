"""Held-out images as judges while heads learn: the best weights of each head, and when it stops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from modeling_empathicinsight.head_groups import HeadGroup
from modeling_empathicinsight.modeling_empathicinsight import EmpathicInsightHeads

if TYPE_CHECKING:
    from modeling_empathicinsight.stage_run import Term

SHRINKAGE = 20
"""Held-out labels of the average head that are counted in with a head's own. With a handful of
labels of its own a head's best epoch would be luck."""


class Judge:
    """For each head the weights of its best epoch so far, judged on held-out images.

    Args:
        groups: the heads; `best` holds their best weights, group by group.
        terms: of the loss.
        patience: epochs without a new best after which a head stops; None: never.
    """

    def __init__(self, groups: list[HeadGroup], terms: list[Term], patience: int | None) -> None:
        self.groups, self.terms, self.patience = groups, terms, patience
        device = groups[0].space.device
        self.rows = [np.flatnonzero(term.examples.held_out) for term in terms]
        self.counts = [
            term.labels[torch.from_numpy(rows).to(device)].sum(dim=0)
            for term, rows in zip(terms, self.rows, strict=True)
        ]
        self.totals = [torch.zeros_like(count) for count in self.counts]
        # A head without labels has nothing to be judged by: it stays as it was.
        self.labelled = terms[0].labels.sum(dim=0) > 0
        self.best_epoch = torch.zeros(len(self.labelled), dtype=torch.long, device=device)
        self.stopped = ~self.labelled
        self.best = [group.weights.clone() for group in groups]
        self._score(groups)
        self.loss = self._shrunk()

    def learns(self, group: HeadGroup) -> bool:
        """Whether any head of the group has not stopped."""
        return not bool(self.stopped[group.columns].all())

    def all_stopped(self) -> bool:
        """Whether no head learns any more."""
        return bool(self.stopped.all())

    def look(self, epoch: int) -> torch.Tensor:
        """Judge the weights of an epoch. Returns the mean held-out loss of every head."""
        self._score([group for group in self.groups if self.learns(group)])
        loss = self._shrunk()
        better = (loss < self.loss) & ~self.stopped
        self.loss = torch.where(better, loss, self.loss)
        self.best_epoch[better] = epoch
        for best, group in zip(self.best, self.groups, strict=True):
            self._keep(best, group, better[group.columns])
        if self.patience is not None:
            self.stopped |= epoch - self.best_epoch >= self.patience
        means = (
            term.weight * total / count
            for term, total, count in zip(self.terms, self.totals, self.counts, strict=True)
        )
        return sum(means)

    @staticmethod
    def _keep(best: torch.Tensor, group: HeadGroup, better: torch.Tensor) -> None:
        if better.all():
            best.copy_(group.weights)
        elif better.any():
            now = zip(group.views(best), group.layers, strict=True)
            for kept, layer in now:
                for old, new in zip(kept, layer, strict=True):
                    old[better] = new[better]

    @torch.no_grad()
    def put_best(self, heads: EmpathicInsightHeads) -> None:
        """Put the best weights into the model's heads."""
        for best, group in zip(self.best, self.groups, strict=True):
            group.weights.copy_(best)
            group.copy_to(heads)

    def state(self) -> dict[str, Any]:
        """What `restore` needs beside `best`, as JSON values."""
        return {
            "loss": self.loss.tolist(),
            "best_epoch": self.best_epoch.tolist(),
            "stopped": self.stopped.tolist(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave; the weights have been put back before."""
        for name in ("loss", "best_epoch", "stopped"):
            mine = getattr(self, name)
            setattr(self, name, torch.tensor(state[name], dtype=mine.dtype, device=mine.device))
        self._score(self.groups)

    @torch.no_grad()
    def _score(self, groups: list[HeadGroup]) -> None:
        """Sums of the held-out losses of these groups' heads, by the weights as they are."""
        for term, rows, total in zip(self.terms, self.rows, self.totals, strict=True):
            for group in groups:
                total[group.columns] = 0
            start = 0
            for block in term.examples.blocks(rows):
                features = torch.from_numpy(block).to(total.device)
                here = torch.from_numpy(rows[start : start + len(block)]).to(total.device)
                start += len(block)
                for group in groups:
                    losses = term.losses(group.forward(features), here, group.columns)
                    total[group.columns] += losses.sum(dim=0)

    def _shrunk(self) -> torch.Tensor:
        """(n_outputs,) mean held-out loss, drawn towards that of all heads (see SHRINKAGE)."""
        loss = 0
        for term, total, count in zip(self.terms, self.totals, self.counts, strict=True):
            mean = total.sum() / count.sum().clamp(min=1)
            loss = loss + term.weight * (total + SHRINKAGE * mean) / (count + SHRINKAGE)
        return loss
