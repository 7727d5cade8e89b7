"""How much many hands bring against a slow endpoint, and a shared prefix to a readout.

    python benchmarks/bench_annotation.py     # about 2 minutes on 2 cores

Expected: against a local endpoint that takes 200 ms for each answer, 50 requests under way give at
least 40 times the throughput of one; at prefixes of 1,000 tokens the shared prefix reads 40
questions at least 5 times as fast as the plain way on a tiny local image-text model (one whole
conversation after the other), with probabilities equal to 1e-3.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests"
"""Where the fake endpoint and the toy model live."""
LATENCY_S = 0.2


def draw_faces(folder: Path, n: int, side: int) -> Path:
    """Write n pictures that differ."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(n):
        pixels = rng.integers(0, 255, (side // 32, side // 32, 3), dtype=np.uint8)
        picture = Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)
        picture.save(folder / f"{index:05d}.png")
    return folder


def throughput(folder: Path, out: Path, url: str, concurrency: int) -> float:
    """Answers a second, from the call to the written results."""
    from generation.annotate import ModelOptions, annotate

    options = ModelOptions("zero-shot", base_url=url, concurrency=concurrency)
    start = time.perf_counter()
    summary = annotate(folder, out, annotator="openai", protocol="zero-shot", options=options)
    seconds = time.perf_counter() - start
    if summary["labels"] != summary["images"]:
        raise SystemExit(f"only {summary['labels']} of {summary['images']} images were labelled")
    return summary["images"] / seconds


def bench_endpoint(folder: Path, n_many: int, n_one: int, side: int) -> float:
    """Print the two throughputs; returns their ratio."""
    server = subprocess.Popen(
        [sys.executable, str(TESTS / "fake_endpoint.py"), "--latency", str(LATENCY_S)],
        stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        url = server.stdout.readline().strip()
        warm = draw_faces(folder / "warm", 2, side)
        throughput(warm, folder / "warm.jsonl", url, 2)  # imports are no part of it
        few, many = (draw_faces(folder / f"n{n}", n, side) for n in (n_one, n_many))
        one = throughput(few, folder / "one.jsonl", url, 1)
        fifty = throughput(many, folder / "fifty.jsonl", url, 50)
    finally:
        server.kill()
        server.wait()
    print(f"endpoint of {1000 * LATENCY_S:.0f} ms, {side} px pictures, zero-shot:")
    print(f"  1 under way   {one:7.2f} answers/s ({n_one} images)")
    print(f"  50 under way  {fifty:7.2f} answers/s ({n_many} images): {fifty / one:.1f} times")
    return fifty / one


def bench_readout(folder: Path, repeats: int) -> tuple[float, float]:
    """Print the times of both ways; returns (ratio of medians, largest difference)."""
    sys.path.insert(0, str(TESTS))
    import torch
    from toy_vlm import make_reader

    from emonet_face.imaging import read_image
    from generation.annotators.local_model import LocalModel, picture_of
    from generation.annotators.readout import Readout

    torch.set_num_threads(1)
    model = LocalModel(str(make_reader(folder / "reader")))
    reading = Readout(model)
    (path,) = draw_faces(folder / "picture", 1, 240).iterdir()
    picture = picture_of(read_image(path))
    texts = reading._texts[0]
    n_tokens = model.inputs(texts[0], picture)["input_ids"].shape[1]
    times: dict[str, list[float]] = {"plain": [], "shared": []}
    difference = 0.0
    for _ in range(repeats):
        start = time.perf_counter()
        plain = reading.read_plain(picture, texts)
        middle = time.perf_counter()
        shared = reading.read_shared(picture, texts)
        times["plain"].append(middle - start)
        times["shared"].append(time.perf_counter() - middle)
        difference = max(difference, float(np.abs(plain.p_yes - shared.p_yes).max()))
    medians = {name: float(np.median(values)) for name, values in times.items()}
    ratio = medians["plain"] / medians["shared"]
    print(f"readout, 40 questions of {n_tokens} tokens, tiny model, 1 thread:")
    print(f"  plain {medians['plain']:.3f} s, shared prefix {medians['shared']:.3f} s:"
          f" {ratio:.1f} times; largest difference of P(yes) {difference:.1e}")  # fmt: skip
    return ratio, difference


def main(argv: list[str] | None = None) -> int:
    """Print both; exit code 1 where one falls short."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--many", type=int, default=2000, help="images at 50 under way")
    parser.add_argument("--one", type=int, default=40, help="images at 1 under way")
    parser.add_argument("--side", type=int, default=256, help="pixels of a picture's side")
    parser.add_argument("--repeats", type=int, default=5, help="of the readout")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        times = bench_endpoint(Path(name), options.many, options.one, options.side)
        ratio, difference = bench_readout(Path(name), options.repeats)
    return 0 if times >= 40 and ratio >= 5 and difference <= 1e-3 else 1


if __name__ == "__main__":
    sys.exit(main())
