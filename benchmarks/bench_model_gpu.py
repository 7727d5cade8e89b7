"""Images per second of the model on one GPU, as a share of what the card can do at best.

    python benchmarks/bench_model_gpu.py [--minutes 8] [--out result.json]          # one GPU
    python benchmarks/bench_model_gpu.py --device cpu --tower tiny                  # does it run?

The tower is that of google/siglip2-so400m-patch16-384 with random weights: no file is needed, speed
does not hang on their values. It runs in bfloat16, the heads in float32. The card's peak is the
best of some large bfloat16 matrix products on random data, measured here; the work per image is
counted by formula and by torch's counter. Needs torch, transformers >= 5.6, numpy, Pillow, pyarrow
and this repository, no network and no installation.

What is run: how far our pixels are from those of both stock processors, and bfloat16 from float32;
decoding alone in threads, and with the model at the same time; then, until the minutes are up, the
model alone at batch 256, 32 and 1, as it is, compiled and as a CUDA graph.

Expected: 60 % of the measured peak at batch 256. About 0.53 * 10^12 operations per image.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from itertools import cycle, islice, pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
from PIL import Image

from emonet_face.imaging import decode
from emonet_face.look_ahead import look_ahead

TINY = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_channels": 3,
    "image_size": 32,
    "patch_size": 16,
}
GOAL = 0.6


class Bench:
    """A device, a deadline and the results so far.

    Attributes:
        results: what was measured, as JSON values.
    """

    def __init__(self, device: str, minutes: float) -> None:
        self.device = torch.device(device)
        self.deadline = time.perf_counter() + 60 * minutes
        self.results: dict[str, Any] = {}

    def note(self, key: str, value: object) -> None:
        """Keep a result and print it at once: the run may be cut off."""
        self.results[key] = value
        shown = f"{value:,.4g}" if isinstance(value, float) else value
        print(f"{key}: {shown}", flush=True)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Run a part; where it fails the others still run."""
        try:
            yield
        except Exception as error:  # whatever the machine lacks, the rest is worth having
            self.note(f"{name}, failed", f"{type(error).__name__}: {str(error)[:300]}")

    def is_late(self) -> bool:
        """Whether the minutes are up."""
        return time.perf_counter() > self.deadline

    def wait(self) -> None:
        """Until the device is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def seconds(self, work: Callable[[], object], least: float = 1.0, most: int = 200) -> float:
        """Median seconds of one call, over about `least` seconds after three unmeasured calls."""
        for _ in range(3):
            work()
        self.wait()
        times: list[float] = []
        while len(times) < 3 or (sum(times) < least and len(times) < most):
            start = time.perf_counter()
            work()
            self.wait()
            times.append(time.perf_counter() - start)
        return statistics.median(times)


def versions(bench: Bench) -> None:
    """Say where this runs."""
    for name in ("torch", "torchvision", "transformers", "pillow", "numpy", "pyarrow"):
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            found = "not installed"
        bench.note(name, found)
    bench.note("python", platform.python_version())
    bench.note("cores", os.cpu_count())
    if bench.device.type == "cuda":
        bench.note("card", torch.cuda.get_device_name())
        bench.note("cuda", torch.version.cuda)


def peak(bench: Bench, sizes: tuple[int, ...]) -> float:
    """Operations per second of the best bfloat16 matrix product."""
    best = 0.0
    for size in sizes:
        a, b = (
            torch.randn(size, size, device=bench.device, dtype=torch.bfloat16) for _ in range(2)
        )
        rate = 2 * size**3 / bench.seconds(lambda: a @ b)  # noqa: B023
        bench.note(f"bf16 matrix product {size}, TFLOP/s", rate / 1e12)
        best = max(best, rate)
    return best


def operations(config: Any) -> float:
    """Multiplications and additions of the matrix products for one image, by formula."""
    vision = config.vision_config
    width, inner = vision.hidden_size, vision.intermediate_size
    tokens = (vision.image_size // vision.patch_size) ** 2
    patches = tokens * 3 * vision.patch_size**2 * width
    layer = tokens * (4 * width**2 + 2 * width * inner) + 2 * tokens**2 * width
    # One query attends over all tokens, whose keys and values are made for it.
    pooling = (2 * tokens + 2) * width**2 + 2 * tokens * width + 2 * width * inner
    widths = [config.embedding_size, *config.head_hidden_sizes, 1]
    heads = len(config.output_names) * sum(a * b for a, b in pairwise(widths))
    return 2.0 * (patches + vision.num_hidden_layers * layer + pooling + heads)


def build(bench: Bench, tower: str) -> Any:
    """The model with random weights, tower in bfloat16."""
    from modeling_empathicinsight.configuration_empathicinsight import EmpathicInsightFaceConfig
    from modeling_empathicinsight.modeling_empathicinsight import EmpathicInsightFaceModel

    config = EmpathicInsightFaceConfig(vision_config=TINY if tower == "tiny" else None)
    torch.manual_seed(0)
    with bench.device:
        model = EmpathicInsightFaceModel(config)
    model.vision_model.to(torch.bfloat16)
    return model.eval().requires_grad_(False)


def counted(bench: Bench, model: Any, pixels: torch.Tensor) -> None:
    """The work per image by torch's own counter, beside the formula's."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        model(pixel_values=pixels)
    bench.note("operations per image, formula", operations(model.config))
    bench.note("operations per image, torch's counter", float(counter.get_total_flops()))


def ways_of(bench: Bench, model: Any, pixels: torch.Tensor, compiled: bool) -> Iterator[tuple]:
    """(name, call) of each way to run the model on one batch."""
    yield "as it is", lambda: model(pixel_values=pixels).scores
    if bench.device.type == "cuda" and len(pixels) <= 32:
        yield "CUDA graph", graph_of(model, pixels)
    if compiled:
        modes = ["default", "max-autotune-no-cudagraphs"]
        for mode in ["reduce-overhead", *modes[:1]] if len(pixels) == 1 else modes:
            torch.compiler.reset()
            fast = torch.compile(model, mode=mode, dynamic=False)
            yield f"compiled, {mode}", lambda fast=fast: fast(pixel_values=pixels).scores


def graph_of(model: Any, pixels: torch.Tensor) -> Callable[[], None]:
    """The kernels of one forward pass, launched at once."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):
            model(pixel_values=pixels)
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        model(pixel_values=pixels)
    return graph.replay


def bench_batches(
    bench: Bench, model: Any, batches: list[int], best_rate: float, compiled: bool
) -> None:
    """Images per second of the model alone."""
    side = model.config.vision_config.image_size
    work = operations(model.config)
    for batch in batches:
        pixels = torch.randn(batch, 3, side, side, device=bench.device).to(torch.bfloat16)
        for name, call in ways_of(bench, model, pixels, compiled):
            if bench.is_late():
                bench.note(f"batch {batch}, {name}", "left out: the minutes are up")
                continue
            with bench.part(f"batch {batch}, {name}"):
                rate = batch / bench.seconds(call)
                bench.note(f"batch {batch}, {name}, images/s", rate)
                bench.note(f"batch {batch}, {name}, share of peak", rate * work / best_rate)


def pictures(side: int, n: int = 16) -> list[bytes]:
    """JPEGs with smooth colours under noise."""
    generator = np.random.default_rng(0)
    made = []
    for _ in range(n):
        colours = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        smooth = np.asarray(Image.fromarray(colours).resize((side, side)), np.int16)
        noisy = smooth + generator.normal(0, 9, (side, side, 1)).astype(np.int16)
        stream = io.BytesIO()
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=75)
        made.append(stream.getvalue())
    return made


def bench_decoding(bench: Bench, model: Any, batch: int, side: int, n: int) -> None:
    """Decoding and resizing alone, and with the model working at the same time."""
    from modeling_empathicinsight.preprocessing import FastPreprocessor

    stock = processor(model)
    fast, made = FastPreprocessor(stock), pictures(side)
    bench.note("JPEG, kB", sum(map(len, made)) / len(made) / 1000)

    def ready(n_images: int) -> Iterator[torch.Tensor]:
        work = islice(cycle(made), n_images)
        return look_ahead(lambda data: fast.pixels(decode(data, "picture")), work, ahead=2 * batch)

    def together(n_images: int) -> None:
        """Decode, and score each batch while the next one is decoded."""
        started = None
        parts = ready(n_images)
        while pixels := list(islice(parts, batch)):
            values = fast.normalise(torch.stack(pixels), bench.device, torch.bfloat16)
            scores = model(pixel_values=values).scores
            if started is not None:
                started.cpu()
            started = scores
        started.cpu()

    for name, call in {"alone": lambda n: list(ready(n)), "and the model": together}.items():
        call(batch)
        start = time.perf_counter()
        call(n)
        rate = n / (time.perf_counter() - start)
        bench.note(f"decoding {name}, {side} px, batch {batch}, images/s", rate)
    start = time.perf_counter()
    for data in made:
        stock(images=Image.open(io.BytesIO(data)), return_tensors="pt")
    bench.note("stock processor, one thread, images/s", len(made) / (time.perf_counter() - start))


def processor(model: Any) -> Any:
    """The stock processor on Pillow."""
    from transformers import SiglipImageProcessorPil

    size = model.config.vision_config.image_size
    return SiglipImageProcessorPil(size={"height": size, "width": size})


def parity(bench: Bench, model: Any, side: int) -> None:
    """bfloat16 beside float32, our pixels beside both of transformers' processors."""
    from modeling_empathicinsight.preprocessing import FastPreprocessor

    stock = processor(model)
    fast = FastPreprocessor(stock)
    images = [decode(data, "picture") for data in pictures(side, 8)]
    pixels = torch.stack([fast.pixels(image) for image in images])
    ours = fast.normalise(pixels)
    theirs = stock(images=images, return_tensors="pt")["pixel_values"]
    bench.note("pixels, ours and Pillow's, grey levels", (ours - theirs).abs().max().item() * 127.5)
    values = ours.to(bench.device)
    half = model(pixel_values=values.to(torch.bfloat16)).scores
    model.vision_model.float()
    whole = model(pixel_values=values).scores
    model.vision_model.to(torch.bfloat16)
    bench.note(
        "scores, bfloat16 and float32, largest difference", (half - whole).abs().max().item()
    )
    try:
        import torchvision  # noqa: F401 - only whether it is there
        from transformers import SiglipImageProcessor
    except ImportError as error:
        bench.note("torchvision parity", f"left out: {error}")
        return
    size = model.config.vision_config.image_size
    other = SiglipImageProcessor(size={"height": size, "width": size})
    theirs = other(images=images, return_tensors="pt")["pixel_values"]
    levels = (ours - theirs).abs() * 127.5
    bench.note("pixels, ours and torchvision's, grey levels", levels.max().item())


@torch.inference_mode()
def run(bench: Bench, options: argparse.Namespace) -> None:
    """All parts; the compiled ways, which take minutes, come last for each batch."""
    model = build(bench, options.tower)
    is_tiny = options.tower == "tiny"
    best_rate = peak(bench, (256,) if is_tiny else (4096, 8192, 16384))
    bench.note("measured peak, TFLOP/s", best_rate / 1e12)
    size = model.config.vision_config.image_size
    with bench.part("counting"):
        counted(bench, model, torch.randn(1, 3, size, size, device=bench.device).bfloat16())
    with bench.part("parity"):
        parity(bench, model, options.side)
    with bench.part("decoding"):
        n = 16 if is_tiny else 2048
        bench_decoding(bench, model, max(options.batches), options.side, n)
    bench_batches(bench, model, options.batches, best_rate, not options.no_compile)
    shares = [value for key, value in bench.results.items() if key.endswith("share of peak")]
    if shares and not is_tiny:
        reached = "reached" if max(shares) >= GOAL else "not reached"
        bench.note("goal", f"{max(shares):.0%} of the peak at best; {GOAL:.0%} {reached}")


def main(argv: list[str] | None = None) -> int:
    """Print every result as it comes; exit code 3 where the machine lacks something."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--tower", default="so400m", choices=("so400m", "tiny"))
    parser.add_argument("--batches", type=int, nargs="+", default=[256, 32, 1])
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--side", type=int, default=1024, help="pixels of the JPEGs")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(argv)
    if options.device == "cuda" and not torch.cuda.is_available():
        print(f"torch {torch.__version__} finds no CUDA device here; try --device cpu --tower tiny")
        return 3
    bench = Bench(options.device, options.minutes)
    versions(bench)
    try:
        run(bench, options)
    except ImportError as error:
        print(f"something is not installed: {error}; transformers >= 5.6 is needed")
        return 3
    finally:
        if options.out is not None:
            options.out.write_text(json.dumps(bench.results, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
