"""A stage of training under way: shared batches, a step for each group of heads, a look each epoch.

The loss is a sum of one term per head, and heads share no weights: training them together or one by
one is the same, only faster (see `head_groups`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import cos, pi

import numpy as np
import torch

from modeling_empathicinsight.head_groups import Dropout, HeadGroup, groups_of
from modeling_empathicinsight.judging import Judge
from modeling_empathicinsight.modeling_empathicinsight import EmpathicInsightHeads
from modeling_empathicinsight.targets import Examples
from modeling_empathicinsight.workers import Workers

Losses = Callable[[torch.Tensor, torch.Tensor, slice], torch.Tensor]
Curves = dict[str, list]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast heads learn: AdamW, learning rate falling to 0 along a cosine.

    Attributes:
        epochs: passes over the training images, at most.
        learning_rate: at the start.
        weight_decay: of AdamW.
        batch_size: images per step.
        patience: a head stops after so many epochs without a new best on held-out images; None:
            never.
    """

    epochs: int
    learning_rate: float
    weight_decay: float
    batch_size: int
    patience: int | None = None


@dataclass(frozen=True)
class Term:
    """One part of a stage's loss.

    Attributes:
        examples: the images.
        losses: scores (batch, heads), rows (batch,), which heads -> losses, 0 without a label.
        labels: (n, n_outputs) how many labels each loss sums up.
        weight: of this part.
    """

    examples: Examples
    losses: Losses
    labels: torch.Tensor
    weight: float = 1.0


@dataclass
class Fit:
    """What came of a stage.

    Attributes:
        best_epochs: for each head the epoch its weights are from; 0 = those it came with.
        curves: lists with an entry per epoch: `epoch`, `learning_rate`, and `training` and
            `held_out`, each a list with the mean loss of every head, None without labels.
    """

    best_epochs: list[int] = field(default_factory=list)
    curves: Curves = field(
        default_factory=lambda: {"epoch": [], "learning_rate": [], "training": [], "held_out": []}
    )


class Run:
    """The state of a stage: weights, optimisers, and what is known of held-out images.

    Args:
        heads: their weights are copied.
        terms: of the loss, the one whose images make up an epoch first.
        schedule: of the training.
        seed: of the order of batches and of dropout.
        stage: its name; goes into the seeds.
        workers: the processes of the run.
        at_once: heads in a group, see `groups_of`.
    """

    def __init__(
        self,
        heads: EmpathicInsightHeads,
        terms: list[Term],
        schedule: Schedule,
        seed: int,
        stage: str,
        workers: Workers,
        at_once: int | None,
    ) -> None:
        self.terms, self.schedule, self.workers = terms, schedule, workers
        self.seed = [seed, *stage.encode()]
        self.share = heads.dropout
        self.epoch, self.so_far = 0, Fit()
        self.device = heads.layers[0].weight.device
        self.groups = groups_of(heads, at_once)
        self.optimizers = [self._optimizer(group) for group in self.groups]
        self.rows = [np.flatnonzero(~term.examples.held_out) for term in terms]
        self.scales = [self._scale(term, rows) for term, rows in zip(terms, self.rows, strict=True)]
        self.losses = torch.zeros(terms[0].labels.shape[1], device=self.device)
        self.judge = Judge(self.groups, terms, schedule.patience)

    def _optimizer(self, group: HeadGroup) -> torch.optim.AdamW:
        group.weights.grad = group.gradients
        settings = {"lr": self.schedule.learning_rate, "weight_decay": self.schedule.weight_decay}
        return torch.optim.AdamW([group.weights], **settings, fused=True)

    def _scale(self, term: Term, rows: np.ndarray) -> torch.Tensor:
        """Per head, from the mean over images to that over labels, times the term's weight.

        The mean is over the labels expected in a batch of that size: those that happen to be in it
        would give a label more weight, the fewer others stand beside it.
        """
        rate = term.labels[torch.from_numpy(rows).to(self.device)].mean(dim=0)
        return torch.where(rate > 0, term.weight / rate, 0)

    def learn(self, epoch: int) -> None:
        """One pass over the training images, then a look at the held-out ones."""
        rate = self.schedule.learning_rate * (1 + cos(pi * (epoch - 1) / self.schedule.epochs)) / 2
        active = [group for group in self.groups if self.judge.learns(group)]
        self.losses.zero_()
        for _ in self.steps(epoch, rate):
            pass
        self.epoch = epoch
        held_out = self.judge.look(epoch)
        self._note(rate, self.workers.add_up_(self.losses), held_out, active)

    def steps(self, epoch: int, rate: float) -> Iterator[int]:
        """Learn from the batches of an epoch; gives the number of images after each."""
        active = [i for i, group in enumerate(self.groups) if self.judge.learns(group)]
        dropouts = {i: self._dropout(epoch, self.groups[i]) for i in active}
        for i in active:
            self.optimizers[i].param_groups[0]["lr"] = rate
        for batch in self._batches(epoch):
            parts = [self.workers.part(rows) for rows in batch]
            sizes = [len(rows) for rows in batch]
            features = self.features_of(parts)
            for i in active:
                group = self.groups[i]
                with torch.no_grad():
                    scores = group.forward(features, dropouts[i])
                slopes = self._slopes(scores, parts, sizes, group.columns)
                with torch.no_grad():
                    self.workers.add_up_(group.backward(slopes))
                self.optimizers[i].step()
            yield sizes[0]

    def _dropout(self, epoch: int, group: HeadGroup) -> Dropout | None:
        if not self.share:
            return None
        seeds = [*self.seed, epoch, group.columns.start, self.workers.rank]
        generator = torch.Generator(self.device).manual_seed(_number(seeds))
        return Dropout(self.share, generator, group.space)

    def _batches(self, epoch: int) -> Iterator[list[torch.Tensor]]:
        """Rows of the first term's images, each once, and beside them rows drawn of the others'."""
        random = np.random.default_rng([*self.seed, epoch])
        order = random.permutation(self.rows[0])
        for start in range(0, len(order), self.schedule.batch_size):
            first = order[start : start + self.schedule.batch_size]
            others = (rows[random.integers(len(rows), size=len(first))] for rows in self.rows[1:])
            yield [torch.from_numpy(rows) for rows in (first, *others)]

    def features_of(self, parts: list[torch.Tensor]) -> torch.Tensor:
        """(images of all parts, width) on the device; a part is rows of a term's examples."""
        taken = [
            torch.from_numpy(term.examples.features(rows.numpy())).to(self.device)
            for term, rows in zip(self.terms, parts, strict=True)
        ]
        return taken[0] if len(taken) == 1 else torch.cat(taken)

    def _slopes(
        self,
        scores: torch.Tensor,
        parts: list[torch.Tensor],
        sizes: list[int],
        columns: slice,
    ) -> torch.Tensor:
        """Slopes of the terms' sum in the scores (all parts' rows, heads); adds up the losses."""
        scores = scores.detach().requires_grad_()
        split = scores.split([len(rows) for rows in parts])
        total = 0
        for term, scale, part, rows, size in zip(
            self.terms, self.scales, split, parts, sizes, strict=True
        ):
            losses = term.losses(part, rows.to(self.device), columns).sum(dim=0)
            weighted = losses * (scale[columns] / size)
            total = total + weighted
            self.losses[columns] += weighted.detach() * (sizes[0] / len(self.rows[0]))
        return torch.autograd.grad(total.sum(), scores)[0]

    def _note(
        self,
        rate: float,
        training: torch.Tensor,
        held_out: torch.Tensor,
        active: list[HeadGroup],
    ) -> None:
        labelled = self.judge.labelled.clone()
        learnt = torch.zeros_like(labelled)
        for group in active:
            learnt[group.columns] = True
        curves = self.so_far.curves
        curves["epoch"].append(self.epoch)
        curves["learning_rate"].append(rate)
        curves["training"].append(_listed(training, labelled & learnt))
        curves["held_out"].append(_listed(held_out, labelled & ~held_out.isnan()))

    def state(self) -> tuple[dict[str, torch.Tensor], dict]:
        """What `restore` needs."""
        tensors = {}
        for i, (group, optimizer) in enumerate(zip(self.groups, self.optimizers, strict=True)):
            tensors |= {f"{i}.weights": group.weights, f"{i}.best": self.judge.best[i]}
            for name, value in optimizer.state[group.weights].items():
                tensors[f"{i}.{name}"] = value
        state = {"epoch": self.epoch, "curves": self.so_far.curves, **self.judge.state()}
        return {key: value.detach().cpu() for key, value in tensors.items()}, state

    def restore(self, tensors: dict[str, torch.Tensor], state: dict) -> None:
        """Go on from what `state` gave."""
        self.epoch, self.so_far.curves = state["epoch"], state["curves"]
        for i, (group, optimizer) in enumerate(zip(self.groups, self.optimizers, strict=True)):
            group.weights.copy_(tensors[f"{i}.weights"])
            self.judge.best[i].copy_(tensors[f"{i}.best"])
            kept = {
                name: tensors[key].to(self.device)
                for name in ("step", "exp_avg", "exp_avg_sq")
                if (key := f"{i}.{name}") in tensors
            }
            if kept:
                optimizer.state[group.weights] = kept
        self.judge.restore(state)


def _number(seeds: list[int]) -> int:
    return int(np.random.SeedSequence(seeds).generate_state(1, np.uint64)[0] >> 1)


def _listed(values: torch.Tensor, known: torch.Tensor) -> list[float | None]:
    pairs = zip(values.tolist(), known.tolist(), strict=True)
    return [round(value, 6) if there else None for value, there in pairs]
