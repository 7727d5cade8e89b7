"""The model on a CPU beside the published way of running it: heads, loading, preprocessing.

    python benchmarks/bench_model.py [--runs 15] [--threads 1 2] [--only heads]     # 2 minutes

The published way: 40 separate modules called in a Python loop, 40 `.pth` files, the stock image
processor. Weights are random, of the published shapes. Both ways take turns in one process; the
least time of each is compared, the one that other work disturbed least, and what both compute is
compared first. Where other work holds the cores, threads wait for one another and the ratios of
the heads say little.

- heads: normalised embeddings -> 40 scores, at batch 1, 32 and 256, in as many threads as torch
  takes by itself, or in the given numbers.
- loading: files in the page cache -> all heads in memory and one image scored, so that no page of a
  mapped file is left unread. The tower, which both ways load alike, is left out.
- preprocessing: the bytes of a 1024 x 1024 JPEG -> `pixel_values` of 384 x 384, in one thread.

Expected on 2 cores: heads at batch 1 at least 4 times (Small) and 1.3 times (Large), at least 1 at
32 and 256; loading at least 20 times; preprocessing at least 2.3 times. One thread is bound by how
fast it reads weights, 24 MB (Small) and 294 MB (Large) an image: there Small reaches 3.5 to 4.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F
from transformers import SiglipImageProcessorPil

from emonet_face.imaging import decode
from modeling_empathicinsight.configuration_empathicinsight import HIDDEN_SIZES, N_EMOTIONS
from modeling_empathicinsight.modeling_empathicinsight import EmpathicInsightHeads
from modeling_empathicinsight.preprocessing import FastPreprocessor

WIDTH = 1152
SIDE, SIZE = 1024, 384
TARGETS = {"small": {1: 4.0, 32: 1.0, 256: 1.0}, "large": {1: 1.3, 32: 1.0, 256: 1.0}}
LOADING, PREPROCESSING = 20.0, 2.3


class PublishedHead(nn.Module):
    """One regressor as third parties rebuild it from the keys of the released files."""

    def __init__(self, hidden_sizes: list[int]) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        wide = WIDTH
        for narrow in hidden_sizes:
            parts += [nn.Linear(wide, narrow), nn.ReLU(), nn.Dropout(0.1)]
            wide = narrow
        self.layers = nn.Sequential(*parts, nn.Linear(wide, 1))

    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        """(batch, 1152) -> (batch, 1)."""
        return self.layers(embedding)


def published_heads(size: str) -> list[PublishedHead]:
    """40 of them, in evaluation mode."""
    return [PublishedHead(HIDDEN_SIZES[size]).eval() for _ in range(N_EMOTIONS)]


@torch.no_grad()
def stacked(modules: list[PublishedHead], size: str) -> EmpathicInsightHeads:
    """The same heads as our model holds them once it is loaded."""
    heads = EmpathicInsightHeads(N_EMOTIONS, WIDTH, HIDDEN_SIZES[size], 0.1).eval()
    linear = [[p for p in m.layers if isinstance(p, nn.Linear)] for m in modules]
    for place, layer in enumerate(heads.layers):
        layer.weight.copy_(torch.stack([parts[place].weight.T for parts in linear]))
        layer.bias.copy_(torch.stack([parts[place].bias for parts in linear]))
    heads.layers[0].interleave_()
    return heads


def loop(modules: list[PublishedHead], embedding: torch.Tensor) -> torch.Tensor:
    """Scores (batch, 40), one module after the other."""
    return torch.cat([module(embedding) for module in modules], dim=1)


def turns(ways: dict[str, Callable[[], object]], runs: int) -> dict[str, float]:
    """Least seconds of each way; they take turns, after one unmeasured turn."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for run in range(runs + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if run:
                times[name].append(time.perf_counter() - start)
    return {name: min(values) for name, values in times.items()}


def show(what: str, theirs: float, ours: float, target: float) -> bool:
    """Print one comparison; whether the target is reached."""
    ratio = theirs / ours
    print(
        f"{what:44} {1e3 * theirs:9.2f} ms {1e3 * ours:9.2f} ms {ratio:7.2f} x"
        f"   (at least {target:g}: {'yes' if ratio >= target else 'NO'})",
        flush=True,
    )
    return ratio >= target


def bench_heads(threads: list[int], runs: int, batches: tuple[int, ...] = (1, 32, 256)) -> bool:
    """All sizes, batches and numbers of threads."""
    good = True
    before = torch.get_num_threads()
    for size in HIDDEN_SIZES:
        modules = published_heads(size)
        heads = stacked(modules, size)
        for n_threads in threads:
            torch.set_num_threads(n_threads)
            for batch in batches:
                good &= _heads(size, modules, heads, batch, n_threads, runs)
    torch.set_num_threads(before)
    return good


@torch.inference_mode()
def _heads(
    size: str,
    modules: list[PublishedHead],
    heads: EmpathicInsightHeads,
    batch: int,
    n_threads: int,
    runs: int,
) -> bool:
    generator = torch.Generator().manual_seed(batch)
    embedding = F.normalize(torch.randn(batch, WIDTH, generator=generator), dim=-1)
    difference = (loop(modules, embedding) - heads(embedding)).abs().max().item()
    if difference > 1e-6:
        raise SystemExit(f"{size} heads, batch {batch}: scores differ by {difference:.1e}")
    # Small batches take milliseconds, the largest a second: about as long is spent on each.
    repeats = runs * max(1, 8 // batch) if size == "small" or batch == 1 else max(3, runs // 3)
    seconds = turns(
        {"theirs": lambda: loop(modules, embedding), "ours": lambda: heads(embedding)}, repeats
    )
    what = f"heads, {size}, batch {batch}, {n_threads} thread{'s' * (n_threads > 1)}"
    return show(what, seconds["theirs"], seconds["ours"], TARGETS[size].get(batch, 1.0))


def bench_loading(folder: Path, runs: int) -> bool:
    """Both sizes, from files that lie in `folder`."""
    good = True
    embedding = F.normalize(torch.randn(1, WIDTH), dim=-1)
    for size in HIDDEN_SIZES:
        paths = [folder / f"{size}-{index:02d}.pth" for index in range(N_EMOTIONS)]
        modules = published_heads(size)
        for path, module in zip(paths, modules, strict=True):
            torch.save(module.state_dict(), path)
        file = folder / f"{size}.safetensors"
        heads = stacked(modules, size)
        save_file({k: v.contiguous() for k, v in heads.state_dict().items()}, file)
        ways = {
            "theirs": lambda: loop(load_published(paths, size), embedding),  # noqa: B023
            "ours": lambda: load_ours(file, size)(embedding),  # noqa: B023
        }
        with torch.inference_mode():
            difference = (ways["theirs"]() - ways["ours"]()).abs().max().item()
            if difference > 1e-6:
                raise SystemExit(f"{size} heads: loaded scores differ by {difference:.1e}")
            seconds = turns(ways, max(3, runs // 3))
        good &= show(f"loading, {size}", seconds["theirs"], seconds["ours"], LOADING)
    return good


def load_published(paths: list[Path], size: str) -> list[PublishedHead]:
    """40 modules from 40 files."""
    modules = []
    for path in paths:
        module = PublishedHead(HIDDEN_SIZES[size])
        module.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        modules.append(module.eval())
    return modules


def load_ours(file: Path, size: str) -> EmpathicInsightHeads:
    """Stacked heads from one file, as `from_pretrained` makes them: on meta, then filled."""
    with torch.device("meta"):
        heads = EmpathicInsightHeads(N_EMOTIONS, WIDTH, HIDDEN_SIZES[size], 0.1)
    heads.load_state_dict(load_file(file), assign=True)
    heads.layers[0].interleave_()
    return heads.eval()


def picture(side: int = SIDE) -> bytes:
    """A JPEG with smooth colours under noise, as large as a photograph of its size."""
    generator = np.random.default_rng(0)
    colours = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(colours).resize((side, side)), np.int16)
    noisy = smooth + generator.normal(0, 9, (side, side, 1)).astype(np.int16)
    stream = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=75)
    return stream.getvalue()


def bench_preprocessing(runs: int, side: int = SIDE, size: int = SIZE) -> bool:
    """Both filters that SigLIP's processors are saved with, and where our time goes."""
    good = True
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    data = picture(side)
    for name, resample in (("bicubic", 3), ("bilinear", 2)):
        stock = SiglipImageProcessorPil(size={"height": size, "width": size}, resample=resample)
        fast = FastPreprocessor(stock)
        image = decode(data, "picture")

        def theirs(stock: SiglipImageProcessorPil = stock) -> torch.Tensor:
            return stock(images=Image.open(io.BytesIO(data)), return_tensors="pt")["pixel_values"]

        def ours(fast: FastPreprocessor = fast) -> torch.Tensor:
            return fast.normalise(fast.pixels(decode(data, "picture"))[None])

        levels = (theirs() - ours()).abs().max().item() * 127.5
        if levels > 1.001:
            raise SystemExit(f"preprocessing, {name}: {levels:.2f} grey levels apart")
        pixels = fast.pixels(image)[None]
        parts = {
            "decoding": lambda: decode(data, "picture"),
            "resizing": lambda fast=fast, image=image: fast.pixels(image),
            "normalising": lambda fast=fast, pixels=pixels: fast.normalise(pixels),
        }
        seconds = turns({"theirs": theirs, "ours": ours, **parts}, 2 * runs)
        what = f"preprocessing, {name}, {len(data) // 1000} kB, 1 thread"
        good &= show(what, seconds["theirs"], seconds["ours"], PREPROCESSING)
        told = ", ".join(f"{part} {1e3 * seconds[part]:.2f}" for part in parts)
        print(f"{'':4}ours in ms: {told}; largest difference {levels:.2f} grey levels")
    torch.set_num_threads(before)
    return good


def main(argv: list[str] | None = None) -> int:
    """Print the comparisons; exit code 1 if one falls short."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--threads", type=int, nargs="+", default=None)
    parser.add_argument("--only", choices=("heads", "loading", "preprocessing"))
    options = parser.parse_args(argv)
    cores = os.cpu_count() or 1
    threads = options.threads or [torch.get_num_threads()]
    print(f"{cores} cores, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}")
    print(f"{'':44} {'published':>12} {'ours':>12}")
    good = True
    if options.only in (None, "heads"):
        good &= bench_heads(threads, options.runs)
    if options.only in (None, "loading"):
        with tempfile.TemporaryDirectory() as folder:
            good &= bench_loading(Path(folder), options.runs)
    if options.only in (None, "preprocessing"):
        good &= bench_preprocessing(options.runs)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
