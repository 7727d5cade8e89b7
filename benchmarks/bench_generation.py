"""What the run machinery costs beside the pipeline, what sharing gains, whether memory stays flat.

    python benchmarks/bench_generation.py [--only overhead] [--images 1000] [--runs 5]

About 25 minutes on 2 cores with all three parts.

- overhead: a tiny random FLUX, SD3 and SDXL pipeline (64 x 64 pixels, 2 steps, one picture at a
  time as by default, one torch thread) makes --images images in a run as `generate` makes them, and
  each of them once more by a bare call of the pipeline (same prompt, seed, steps and batch), whose
  picture nobody keeps. The two calls stand next to each other, because these cores do the same work
  in times that drift by a third within minutes; the bare call comes second, right after another
  call as in a loop of its own, so that caches which the run's work has emptied are counted against
  the run. The overhead is all the time of `generate` but the bare calls', over the bare calls':
  prompts, claims, checks, quality, marking, encoding, writing, and at the end reading all images
  back and the manifest; only the reports and loading the model are not in it. On a processor a run
  writes in line, so nothing hides. Saving plain PNG files, which any script would do, stands beside
  it: the rest is what a run does more.
- sharing: schematic faces of 256 pixels, one process beside two on one run, --runs times in turn;
  the median of one over two. Two processes on one chip do not double anything by themselves where
  the cores are two threads of one: so beside it the ceiling, two processes that draw the same faces
  into memory and share nothing, not even a folder. Starting Python is left out.
- memory: largest resident size of a process that makes 1,000 and 100,000 images of a backend that
  costs nothing (one fixed picture of 32 pixels), reports included.

Aimed at: overhead under 3 %; sharing at least 1.6 times; memory the same but for 48 bytes a picture
that finding duplicates keeps.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", DIFFUSERS_VERBOSITY="error", TRANSFORMERS_VERBOSITY="error")
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from generation.backends import Picture, Request
from generation.diffusers_backend import DiffusersBackend
from generation.run import _plan, generate
from generation.run_folder import Run

WARM = 3
SIDE, DRAWN_SIDE = 64, 256


def overhead(n_images: int, kinds: Sequence[str] | None, folder: Path) -> None:
    """Print the machinery's share of the pipeline's time, for each kind of pipeline."""
    import torch
    from tiny_pipelines import KINDS, OPTIONS, save

    torch.set_num_threads(1)
    for kind in kinds or KINDS:
        model = str(save(kind, folder / f"tiny-{kind}"))
        backend = _BesideBare(DiffusersBackend(model, steps=2, options=OPTIONS[kind]))
        generate(WARM, folder / f"warm-{kind}", backend=backend, size=SIDE, workers=1)
        backend.own, backend.bare = [], []
        both = _seconds(generate, n_images, folder / kind, backend=backend, size=SIDE, workers=1)
        saving = _saving(folder / kind, folder / f"saved-{kind}")
        differences = [own - bare for own, bare in zip(backend.own, backend.bare, strict=True)]
        bare = sum(backend.bare)
        run = both - bare
        error = statistics.stdev(differences) * n_images**0.5 / bare
        print(
            f"{kind:5s} {n_images} images: pipeline alone {1000 * bare / n_images:.2f} ms an image,"
            f" run {1000 * run / n_images:.2f} ms: {run / bare - 1:+.2%} (standard error"
            f" {error:.2%}); without saving PNG, {1000 * saving / n_images:.2f} ms:"
            f" {(run - saving) / bare - 1:+.2%}",
            flush=True,
        )


class _BesideBare:
    """A backend that calls its pipeline once more for each batch, and keeps nothing of that.

    Attributes:
        own, bare: seconds of each call for the run, and of each that nobody keeps.
    """

    def __init__(self, backend: DiffusersBackend) -> None:
        self._backend = backend
        self.own: list[float] = []
        self.bare: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def make(self, requests: Sequence[Request], size: int) -> list[Picture]:
        import torch

        backend = self._backend
        start = time.perf_counter()
        pictures = backend.make(requests, size)
        between = time.perf_counter()
        backend._pipeline(
            prompt=[request.record.text for request in requests],
            generator=[torch.Generator().manual_seed(request.seed) for request in requests],
            height=size,
            width=size,
            **backend._call,
            **backend._options,
        )
        self.own.append(between - start)
        self.bare.append(time.perf_counter() - between)
        return pictures


def _seconds(work: Callable, *arguments: Any, **options: Any) -> float:
    start = time.perf_counter()
    work(*arguments, **options)
    return time.perf_counter() - start


def _saving(run: Path, folder: Path) -> float:
    """Seconds to save the run's pictures as PNG, without anything else."""
    from PIL import Image

    folder.mkdir()
    pictures = []
    for path in run.glob("images/*.png"):
        with Image.open(path) as image:
            pictures.append((path.name, image.convert("RGB")))
    start = time.perf_counter()
    for name, image in pictures:
        image.save(folder / name)
    return time.perf_counter() - start


def sharing(n_images: int, runs: int, folder: Path) -> None:
    """Print how many times faster two processes are, on one run and with nothing to share."""
    times: dict[str, list[float]] = {"one": [], "two": [], "apart": []}
    for number in range(runs):
        times["one"].append(_together([(_fill, folder / f"one-{number}", n_images)]))
        times["two"].append(_together([(_fill, folder / f"two-{number}", n_images)] * 2))
        halves = [(_draw_only, None, n_images // 2)] * 2
        times["apart"].append(_together(halves))
        whole = _together([(_draw_only, None, n_images)])
        times.setdefault("alone", []).append(whole)
        print(f"  run {number + 1}: " + ", ".join(f"{k} {v[-1]:.2f} s" for k, v in times.items()))
    ratio = statistics.median(a / b for a, b in zip(times["one"], times["two"], strict=True))
    ceiling = statistics.median(a / b for a, b in zip(times["alone"], times["apart"], strict=True))
    print(f"two processes on one run: {ratio:.2f} times one; sharing nothing: {ceiling:.2f} times")


def _together(jobs: list[tuple[Callable, Any, int]]) -> float:
    """Seconds from the moment when all processes are ready to the end of the last."""
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(len(jobs) + 1)
    processes = [spawn.Process(target=_ready, args=(barrier, *job)) for job in jobs]
    for process in processes:
        process.start()
    barrier.wait()
    start = time.perf_counter()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    return time.perf_counter() - start


def _ready(barrier: Any, work: Callable, *arguments: Any) -> None:
    import generation.run
    import generation.schematic  # noqa: F401

    barrier.wait()
    work(*arguments)


def _fill(out: Path, n_images: int) -> None:
    generate(n_images, out, size=DRAWN_SIDE, workers=1)


def _draw_only(_: None, n_images: int) -> None:
    """Draw, measure and encode as a run does, and write nothing."""
    from generation.attempts import make_all
    from generation.image_files import render
    from generation.quality import measure
    from generation.schematic_backend import SchematicBackend

    backend = SchematicBackend()
    run = Run(Path(), _plan(n_images, backend, DRAWN_SIDE, 0, (), "png"))
    for batch in range(run.n_batches):
        requests = [run.request(index) for index in run.indices(batch)]
        outcomes = list(make_all(backend, requests, DRAWN_SIDE, 0))
        numbers = measure([outcome.picture.image for outcome in outcomes])
        for outcome, quality in zip(outcomes, numbers, strict=True):
            render(run, backend, outcome, quality)


class _Fixed:
    """A backend that gives one picture again and again, with noise in one corner."""

    name = "fixed"
    source_type = "algorithmicMedia"
    batch_size = 64
    batch_matters = False
    overlap = True
    one_core = True

    def generator(self) -> str:
        return self.name

    def recipe(self) -> dict[str, Any]:
        return {}

    def load(self) -> None:
        import numpy as np

        self._levels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)

    def circumstances(self, request: Request) -> dict[str, Any]:
        return {"versions": {}}

    def make(self, requests: Any, size: int) -> list[Any]:
        import numpy as np
        from PIL import Image

        from generation.backends import Picture

        made = []
        for request in requests:
            levels = np.random.default_rng(request.seed).permutation(self._levels)
            made.append(Picture(Image.fromarray(levels)))
        return made


def memory(sizes: list[int], folder: Path) -> None:
    """Print the largest resident size of a process for each size of run."""
    spawn = multiprocessing.get_context("spawn")
    for n in sizes:
        results = spawn.Queue()
        process = spawn.Process(target=_measured, args=(folder / f"memory-{n}", n, results))
        process.start()
        megabytes, seconds = results.get()
        process.join()
        print(f"{n:7d} images: {megabytes:.1f} MB at most, {1000 * seconds / n:.2f} ms an image")


def _measured(out: Path, n: int, results: Any) -> None:
    start = time.perf_counter()
    generate(n, out, backend=_Fixed(), size=32, report=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    results.put((peak, time.perf_counter() - start))


def main(argv: list[str] | None = None) -> int:
    """Run the parts that were asked for; returns 0."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--only", choices=("overhead", "sharing", "memory"))
    parser.add_argument("--kinds", nargs="+", help="of pipelines: flux, sd3, sdxl; all by default")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        if options.only in (None, "overhead"):
            overhead(options.images, options.kinds, Path(folder))
        if options.only in (None, "sharing"):
            sharing(options.images // 5, options.runs, Path(folder))
        if options.only in (None, "memory"):
            memory([options.records // 100, options.records], Path(folder))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
