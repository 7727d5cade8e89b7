"""Training heads in one stage, from the first epoch or an interrupted one, and what they score."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from emonet_face.progress import track
from modeling_empathicinsight.head_groups import groups_of
from modeling_empathicinsight.modeling_empathicinsight import EmpathicInsightHeads
from modeling_empathicinsight.stage_run import Fit, Run, Schedule, Term
from modeling_empathicinsight.targets import Examples
from modeling_empathicinsight.training_checkpoint import Checkpoint
from modeling_empathicinsight.workers import Workers


def fit(
    heads: EmpathicInsightHeads,
    terms: list[Term],
    schedule: Schedule,
    *,
    seed: int,
    stage: str,
    checkpoint: Checkpoint | None = None,
    workers: Workers | None = None,
    at_once: int | None = None,
    watch: Callable[[str, Fit], None] = lambda stage, so_far: None,
) -> Fit:
    """Minimise the sum of the terms over the training images; the heads are changed in place.

    Args:
        heads: any number of outputs.
        terms: an epoch is one pass over the images of the first; of the others as many images are
            drawn at random for each step.
        schedule: of the training.
        seed: of the order of batches and of dropout.
        stage: its name, for the progress bar and the checkpoint.
        checkpoint: what an earlier call left there is gone on from.
        workers: the processes of the run; None: this one.
        at_once: heads in a group, see `groups_of`.
        watch: called after every epoch with the curves so far.
    """
    workers = workers or Workers()
    run = Run(heads, terms, schedule, seed, stage, workers, at_once)
    checkpoint = checkpoint or Checkpoint()
    if (kept := checkpoint.load(stage)) is not None:
        run.restore(*kept)
    todo = range(run.epoch + 1, schedule.epochs + 1)
    if run.judge.all_stopped():
        todo = range(0)
    for epoch in track(todo, f"heads on {stage}") if todo and workers.first else todo:
        run.learn(epoch)
        watch(stage, run.so_far)
        ended = epoch == schedule.epochs or run.judge.all_stopped()
        if ended or checkpoint.due():
            checkpoint.save(stage, *run.state())
        if ended:
            break
    run.judge.put_best(heads)
    run.so_far.best_epochs = run.judge.best_epoch.tolist()
    return run.so_far


def scores_of(heads: EmpathicInsightHeads, examples: Examples) -> np.ndarray:
    """Raw scores (n, n_outputs) of all the examples, without dropout."""
    groups = groups_of(heads)
    device = groups[0].space.device
    out = np.empty((len(examples.values), sum(group.n_heads for group in groups)), np.float32)
    start = 0
    with torch.no_grad():
        for block in examples.blocks(np.arange(len(out))):
            features = torch.from_numpy(block).to(device)
            for group in groups:
                scores = group.forward(features).cpu().numpy()
                out[start : start + len(block), group.columns] = scores
            start += len(block)
    return out


def device_of(heads: EmpathicInsightHeads) -> torch.device:
    """Where the heads are."""
    return heads.layers[0].weight.device
