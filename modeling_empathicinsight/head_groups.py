"""Heads as training holds them: in groups, each with one tensor of weights and one of gradients.

Heads share no weights, so any grouping computes the same: the gradients are those of as many
separate models. A group's first layer is one product for all its heads; its passes are written out
here, without autograd, because they then run in work space that is allocated once. (Fresh memory
for every activation costs more on a CPU than what is computed in it.)
"""

from __future__ import annotations

import math

import torch

from modeling_empathicinsight.modeling_empathicinsight import EmpathicInsightHeads

CPU_WIDTH = 1024
"""Units of first layers that a CPU computes best at a time: eight of Small's heads, one of Large's.
The activations of a batch then stay in its cache."""


def heads_at_once(device: torch.device | str, width: int) -> int | None:
    """How many heads to train as one group on a device; None: all.

    From measurements, `python benchmarks/bench_training.py --groups`.

    Args:
        device: where the heads are trained.
        width: units of a head's first layer.
    """
    return max(1, CPU_WIDTH // width) if torch.device(device).type == "cpu" else None


class WorkSpace:
    """Memory that is allocated once and handed out by name, as large as was ever asked for."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype
        self._kept: dict[str, torch.Tensor] = {}

    def view(self, name: str, shape: tuple[int, ...], dtype: torch.dtype | None = None):  # noqa: ANN201
        """An uninitialised tensor; the last one of that name is overwritten by it."""
        n = math.prod(shape)
        kept = self._kept.get(name)
        if kept is None or kept.numel() < n:
            kept = torch.empty(n, dtype=dtype or self.dtype, device=self.device)
            self._kept[name] = kept
        return kept[:n].view(shape)


class Dropout:
    """Sets hidden units to 0, each head's by themselves; what is left is scaled by `scale`.

    The share is rounded to 1/256, so that a random byte decides on a unit.

    Args:
        share: of the units, 0 to below 1.
        generator: of the bytes.
        space: for the bytes.
    """

    def __init__(self, share: float, generator: torch.Generator, space: WorkSpace) -> None:
        self.cut = round(256 * share)
        self.scale = 256 / (256 - self.cut)
        self.generator, self.space = generator, space

    def apply_(self, hidden: torch.Tensor) -> None:
        """In place, without the scale: the next layer multiplies by it."""
        if not self.cut:
            return
        n = hidden.numel()
        words = self.space.view("words", (-(-n // 8),), torch.int64)
        words.random_(-(2**63), None, generator=self.generator)
        bytes_ = words.view(torch.uint8)[:n].view(hidden.shape)
        # A product with 0 and 1 as floats takes a quarter of the time of masked_fill_.
        hidden.mul_(torch.ge(bytes_, self.cut, out=self.space.view("kept", hidden.shape)))


class HeadGroup:
    """Some heads: `weights` and `gradients` are flat, the layers are views of them.

    Args:
        heads: the model's heads, whose weights are copied.
        columns: which of them.
        space: shared by groups that are computed one after the other. The gradients lie in it.
    """

    def __init__(self, heads: EmpathicInsightHeads, columns: slice, space: WorkSpace) -> None:
        self.columns, self.space = columns, space
        self._shapes = []
        for layer in heads.layers:
            n, wide, narrow = layer.weight[columns].shape
            self._shapes.append((n, wide, narrow))
        self.n_heads = self._shapes[0][0]
        size = sum(n * (wide + 1) * narrow for n, wide, narrow in self._shapes)
        self.weights = torch.empty(size, dtype=space.dtype, device=space.device)
        self.layers = self.views(self.weights)
        self._kept: list[torch.Tensor] = []
        self._scale = 1.0
        for mine, layer in zip(self.layers, heads.layers, strict=True):
            for view, parameter in zip(mine, (layer.weight, layer.bias), strict=True):
                view.copy_(parameter.detach()[columns])

    @property
    def gradients(self) -> torch.Tensor:
        """As `weights`; of the last `backward` of any group in this work space."""
        return self.space.view("gradients", self.weights.shape)

    def views(self, flat: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """(weight (n, wide, narrow), bias (n, narrow)) per layer; the first lies (wide, n, narrow).

        So that it is the matrix (wide, n * narrow) of all heads.
        """
        views, start = [], 0
        for place, (n, wide, narrow) in enumerate(self._shapes):
            weight = flat[start : start + n * wide * narrow]
            start += weight.numel()
            bias = flat[start : start + n * narrow].view(n, narrow)
            start += bias.numel()
            if place == 0:
                weight = weight.view(wide, n, narrow).transpose(0, 1)
            views.append((weight.view(n, wide, narrow) if place else weight, bias))
        return views

    @staticmethod
    def _matrix(weight: torch.Tensor) -> torch.Tensor:
        return weight.transpose(0, 1).flatten(1)

    def forward(self, features: torch.Tensor, dropout: Dropout | None = None) -> torch.Tensor:
        """Features (batch, width) -> scores (batch, n_heads), kept in mind for `backward`.

        The scores lie in the work space: the next call overwrites them.
        """
        batch = len(features)
        self._kept = [features]
        self._scale = dropout.scale if dropout else 1.0
        weight, bias = self.layers[0]
        hidden = self.space.view("hidden 0", (batch, bias.numel()))
        torch.addmm(bias.flatten(), features, self._matrix(weight), out=hidden)
        hidden = hidden.view(batch, self.n_heads, -1).transpose(0, 1)
        for place, (weight, bias) in enumerate(self.layers[1:], start=1):
            # Of the memory order, not of the view: half the time.
            plain = self._kept_plain(hidden, place)
            plain.relu_()
            if dropout:
                dropout.apply_(plain)
            self._kept.append(hidden)
            out = self.space.view(f"hidden {place}", (self.n_heads, batch, bias.shape[1]))
            hidden = torch.baddbmm(bias.unsqueeze(1), hidden, weight, alpha=self._scale, out=out)
        return hidden.squeeze(-1).T

    @staticmethod
    def _kept_plain(hidden: torch.Tensor, place: int) -> torch.Tensor:
        return hidden.transpose(0, 1) if place == 1 else hidden

    def backward(self, slopes: torch.Tensor) -> torch.Tensor:
        """Slopes of a loss in the scores (batch, n_heads) -> `gradients`, in the weights."""
        flat = self.gradients
        views = self.views(flat)
        batch = len(slopes)
        upper = slopes.T.unsqueeze(-1).contiguous()
        for place in range(len(views) - 1, 0, -1):
            weight, bias = views[place]
            hidden = self._kept[place]
            torch.baddbmm(
                weight, hidden.transpose(1, 2), upper, beta=0, alpha=self._scale, out=weight
            )
            torch.sum(upper, dim=1, out=bias)
            lower = self.space.view(f"slopes {place}", (batch, self.n_heads, hidden.shape[2]))
            lower = lower.transpose(0, 1) if place == 1 else lower.view(hidden.shape)
            torch.baddbmm(
                lower, upper, self.layers[place][0].transpose(1, 2), beta=0, alpha=self._scale,
                out=lower,
            )  # fmt: skip
            # Where a unit is 0, by ReLU or by dropout, nothing flows.
            plain = self._kept_plain(lower, place), self._kept_plain(hidden, place)
            torch.ops.aten.threshold_backward.grad_input(*plain, 0, grad_input=plain[0])
            upper = lower
        weight, bias = views[0]
        first = upper.transpose(0, 1).flatten(1)
        torch.mm(self._kept[0].T, first, out=self._matrix(weight))
        torch.sum(first, dim=0, out=bias.view(-1))
        return flat

    @torch.no_grad()
    def copy_to(self, heads: EmpathicInsightHeads) -> None:
        """Put the weights back into the model's heads."""
        for mine, layer in zip(self.layers, heads.layers, strict=True):
            for view, parameter in zip(mine, (layer.weight, layer.bias), strict=True):
                parameter[self.columns] = view.to(parameter)


def groups_of(
    heads: EmpathicInsightHeads, at_once: int | None = None, dtype: torch.dtype | None = None
) -> list[HeadGroup]:
    """All heads, in groups.

    Args:
        heads: their weights are copied.
        at_once: heads in a group; None: as many as `heads_at_once` says.
        dtype: to compute in; None: that of the heads.
    """
    weight = heads.layers[0].weight
    n, _, width = weight.shape
    at_once = at_once or heads_at_once(weight.device, width) or n
    space = WorkSpace(weight.device, dtype or weight.dtype)
    return [
        HeadGroup(heads, slice(start, min(start + at_once, n)), space)
        for start in range(0, n, at_once)
    ]
