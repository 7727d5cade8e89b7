"""Training of the heads beside the obvious way: 40 models one after the other.

    python benchmarks/bench_training.py                       # Small and Large, about 2 minutes
    python benchmarks/bench_training.py --groups              # heads at once, for `heads_at_once`
    python benchmarks/bench_training.py --memory              # peak memory over numbers of images
    python benchmarks/bench_training.py --device cuda --images 203201 --sizes large

The obvious way: 40 `nn.Sequential` models, each with its own DataLoader over a TensorDataset in
memory, dropout and AdamW. Both ways see the same random embeddings of the published width, ratings
and batches of 1,024. They take turns, batch by batch on a CPU, and the least time of each part is
taken, the one that other work disturbed least; an epoch is as many batches as the images fill.
Of the obvious way the least batch of any model counts for all 40, for each takes the same time.
Where other work holds the cores, `--clock cpu --threads 1` counts the seconds of CPU instead.

Expected on 2 cores: at least 4 times (Small); Large at least 1 time without and 1.1 times with
feeding. On a GPU at least 10 times, and one epoch of 203,201 images in under 3 s (Large).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from modeling_empathicinsight.configuration_empathicinsight import HIDDEN_SIZES, N_EMOTIONS
from modeling_empathicinsight.heads_training import new_heads
from modeling_empathicinsight.stage_run import Run, Schedule, Term
from modeling_empathicinsight.targets import Examples
from modeling_empathicinsight.workers import Workers

WIDTH, BATCH = 1152, 1024
TARGETS = {"cpu": {"small": 4.0, "large": 1.1}, "cuda": {"small": 10.0, "large": 10.0}}


@dataclass
class Times:
    """Least seconds of a batch of all heads.

    Attributes:
        feed: until the embeddings of the batch are at hand.
        step: forward, backward, optimiser.
    """

    feed: float = float("inf")
    step: float = float("inf")

    def add(self, feed: float, step: float) -> None:
        self.feed, self.step = min(self.feed, feed), min(self.step, step)


def data(images: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings (images, 1152) of length 1 and ratings (images, 40)."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((images, WIDTH), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors, rng.uniform(0, 7, (images, N_EMOTIONS)).astype(np.float32)


clock = time.perf_counter


def settle(device: str) -> None:
    """Wait until the device has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def obvious(
    size: str, vectors: np.ndarray, ratings: np.ndarray, device: str
) -> Iterator[tuple[float, float]]:
    """Seconds of feeding and of the step for batch after batch, model after model."""
    x, y = torch.from_numpy(vectors), torch.from_numpy(ratings)
    head = 0
    while True:
        parts: list[nn.Module] = []
        wide = WIDTH
        for narrow in HIDDEN_SIZES[size]:
            parts += [nn.Linear(wide, narrow), nn.ReLU(), nn.Dropout(0.1)]
            wide = narrow
        model = nn.Sequential(*parts, nn.Linear(wide, 1)).to(device)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        labels = y[:, head % N_EMOTIONS, None]
        loader = DataLoader(
            TensorDataset(x, labels), batch_size=BATCH, shuffle=True, drop_last=True
        )
        start = clock()
        for features, wanted in loader:
            features, wanted = features.to(device), wanted.to(device)
            fed = clock()
            loss = nn.functional.huber_loss(model(features), wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            settle(device)
            yield fed - start, clock() - fed
            start = clock()
        head += 1


def ours(
    size: str, vectors: np.ndarray, ratings: np.ndarray, device: str, at_once: int | None = None
) -> Iterator[tuple[float, float]]:
    """The same for all heads, by the loop of `fit`."""
    run = started(size, vectors, ratings, device, at_once)
    epoch = 0
    features_of = run.features_of

    def timed(parts: list[torch.Tensor]) -> torch.Tensor:
        nonlocal fed
        start = clock()
        taken = features_of(parts)
        settle(device)
        fed = clock() - start
        return taken

    run.features_of = timed
    fed = 0.0
    while True:
        epoch += 1
        steps = run.steps(epoch, 1e-3)
        while True:
            start = clock()
            if next(steps, None) is None:
                break
            settle(device)
            yield fed, clock() - start - fed


def started(
    size: str, vectors: np.ndarray, ratings: np.ndarray, device: str, at_once: int | None
) -> Run:
    """A stage on ratings, ready to learn; one image is held out."""
    held_out = np.zeros(len(vectors), dtype=bool)
    held_out[-1] = True
    ids = [str(index) for index in range(len(vectors))]
    examples = Examples(ids, vectors, ratings, held_out, {})
    values = torch.from_numpy(ratings).to(device)

    def losses(scores: torch.Tensor, rows: torch.Tensor, columns: slice) -> torch.Tensor:
        return nn.functional.huber_loss(scores, values[rows, columns], reduction="none")

    heads = new_heads(N_EMOTIONS, WIDTH, HIDDEN_SIZES[size], 0.1, seed=0).to(device)
    term = Term(examples, losses, torch.ones_like(values))
    return Run(heads, [term], Schedule(1, 1e-3, 0.01, BATCH), 0, "bench", Workers(), at_once)


def compare(size: str, images: int, device: str, seconds: float) -> bool:
    """Time both ways in turn; print a line. Returns whether the target is met."""
    vectors, ratings = data(min(images, 8 * BATCH + 1) if device == "cpu" else images)
    ways = {
        "obvious": obvious(size, vectors, ratings, device),
        "ours": ours(size, vectors, ratings, device),
    }
    found = {name: Times() for name in ways}
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for name, turns in (("obvious", 8), ("ours", 2)):
            for _ in range(turns):
                found[name].add(*next(ways[name]))
    one = found["obvious"]
    all_ = Times(N_EMOTIONS * one.feed, N_EMOTIONS * one.step)
    mine = found["ours"]
    step = all_.step / mine.step
    whole = (all_.feed + all_.step) / (mine.feed + mine.step)
    target = TARGETS[device][size]
    epoch = (mine.feed + mine.step) * images / BATCH
    print(
        f"{size}: a batch of {BATCH:,} for 40 heads, obvious {all_.feed:.3f} s feeding"
        f" + {all_.step:.3f} s step, ours {mine.feed:.3f} + {mine.step:.3f} s:"
        f" {step:.2f} times without feeding, {whole:.2f} with (expected {target:g});"
        f" an epoch of {images:,} images {epoch:.1f} s"
    )
    return whole >= target and step >= 1


def groups(size: str, device: str, seconds: float) -> None:
    """Print the time of a step by the number of heads at once."""
    vectors, ratings = data(2 * BATCH + 1)
    sizes = (1, 2, 4, 8, 16, 40) if size == "small" else (1, 2, 4)
    ways = {at_once: ours(size, vectors, ratings, device, at_once) for at_once in sizes}
    found = {at_once: Times() for at_once in sizes}
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for at_once, steps in ways.items():
            found[at_once].add(*next(steps))
    print(f"{size}: " + ", ".join(f"{k} at once {t.step * 1000:.0f} ms" for k, t in found.items()))


def memory(images: int) -> None:
    """Print the peak of memory that is not a mapped file, over an epoch on mapped embeddings."""
    import tempfile

    peak = 0

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.005):
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("RssAnon"):
                    peak = max(peak, int(line.split()[1]))

    with tempfile.TemporaryFile() as file:
        vectors = np.memmap(file, np.float32, "w+", shape=(images, WIDTH))
        rng = np.random.default_rng(0)
        for start in range(0, images, BATCH):
            vectors[start : start + BATCH] = rng.standard_normal((1, WIDTH)) / WIDTH**0.5
        ratings = np.ones((images, N_EMOTIONS), dtype=np.float32)
        run = started("small", vectors, ratings, "cpu", None)
        done = threading.Event()
        watcher = threading.Thread(target=watch)
        watcher.start()
        for place, _ in enumerate(run.steps(1, 1e-3)):
            if place == 20:
                break
        done.set()
        watcher.join()
    print(f"{images:>8,} images: peak {peak / 1024:.0f} MB beside {vectors.nbytes / 1e6:.0f} MB")


def main(argv: list[str] | None = None) -> int:
    """Run the benchmarks asked for. Exit code 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=203_201, help="of the epoch that is stated")
    parser.add_argument(
        "--sizes", nargs="+", choices=list(HIDDEN_SIZES), default=list(HIDDEN_SIZES)
    )
    parser.add_argument("--device", choices=list(TARGETS), default="cpu")
    parser.add_argument("--seconds", type=float, default=45, help="of timing for each size")
    parser.add_argument("--groups", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, help="of torch")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    given = parser.parse_args(argv)
    if given.threads:
        torch.set_num_threads(given.threads)
    global clock
    clock = time.process_time if given.clock == "cpu" else time.perf_counter
    if given.device == "cuda" and not torch.cuda.is_available():
        print("no GPU here")
        return 1
    if given.memory_of:
        memory(given.memory_of)
        return 0
    if given.memory:  # each number in a process of its own, whose peak starts low
        for images in (25_000, 50_000, 100_000, 200_000):
            subprocess.run([sys.executable, __file__, "--memory-of", str(images)], check=True)
        return 0
    if given.groups:
        for size in given.sizes:
            groups(size, given.device, given.seconds)
        return 0
    met = [compare(size, given.images, given.device, given.seconds) for size in given.sizes]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
