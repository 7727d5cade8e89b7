"""The benchmark's official protocol beside the published way: time, memory, what is imported.

    python benchmarks/bench_agreement.py [--quick] [--runs 3] [--folder DIR]   # 3 minutes

The table is generated in the published shape: 2,500 images, 22 annotators (8 people, of whom 4 rate
an image, and 14 models), 44,763 rows, a CSV of 91 MB. `--quick` takes a tenth of the images and one
run; the ratios are then smaller.

- all tables: `eval_metrics.benchmark.benchmark`, official protocol without figures, in a process of
  its own, from its start to its end. Beside it the same tables as loops with pandas, scikit-learn,
  scipy and krippendorff (tests/reference_official.py), reading and imports counted too. Its kappas
  and its bootstrap of alpha are measured on a slice, which is printed, and scaled up.
- image bootstrap: 1,000 resamples of the kappas of all 140 pairs with a person x 40 categories, the
  table in memory; beside it scikit-learn on the images drawn, a slice scaled up.
- both protocols: the whole of them, without figures.

Aimed at on 2 quiet cores: all tables at least 150 times faster, peak under 450 MB; the image
bootstrap under 1.5 s (what was reached: RESULTS.md). Exit code 1 where the tables import torch,
scikit-learn, evaluate, datasets, transformers, pandas or scipy's statistics.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reference_official import OfficialReference

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

HEAVY = ("torch", "sklearn", "evaluate", "datasets", "transformers", "pandas", "scipy.stats")
N_RESAMPLES = 1000
TEAMS = ((1, 2, 3, 4), (1, 2, 3, 7), (1, 4, 5, 8), (1, 5, 6, 8))
"""Who rates an image together: the 17 pairs of the published heat map and no other."""
MISSING = {"Empathic Insight Face Large": 229, "Empathic Insight Face Small": 3,
           "Gemini 2.5 Flash MS": 1, "Gemini 2.0 Flash MS": 4}  # fmt: skip
MODELS = (*MISSING, "Hume Face*", "Gemini 2.5 Pro 03-25 ZS", "Gemini 2.5 Flash ZS",
          "Gemini 2.0 Flash ZS", "Qwen Plus ZS", "GPT-4o ZS", "Claude 3.7 MS", "Pixtral Large ZS",
          "Nova Pro ZS", "Random Baseline")  # fmt: skip


def make_table(path: Path, n_images: int) -> int:
    """Write a ratings file of the published shape; returns its number of rows."""
    import numpy as np

    from emonet_face.taxonomy import CATEGORIES, DIMENSIONS

    rng = np.random.default_rng(0)
    keys = [category.key for category in CATEGORIES]
    felt = np.maximum(0, rng.normal(-2, 2.5, (n_images, len(keys))))

    def levels(noise: float) -> np.ndarray:
        return np.clip(np.rint(felt + rng.normal(0, noise, felt.shape)), 0, 7).astype(int)

    given = {f"human-{number}": levels(1.5) for number in range(1, 9)}
    for number, model in enumerate(MODELS):
        if model.startswith("Empathic"):
            given[model] = felt + rng.normal(-0.5, 1.5, felt.shape)  # below 0 and above 7 too
        elif model == "Hume Face*":
            given[model] = np.clip(felt / 7 + rng.normal(0, 0.15, felt.shape), 0, 1)[:, :31]
        elif model == "Random Baseline":
            given[model] = rng.integers(0, 8, felt.shape)
        else:
            given[model] = levels(1 + number / 5)
    gone = {model: set(rng.permutation(n_images)[: count * n_images // 2500].tolist())
            for model, count in MISSING.items()}  # fmt: skip
    lines = []
    for image in range(n_images):
        people = [f"human-{number}" for number in TEAMS[image * len(TEAMS) // n_images]]
        for annotator in (*people, *(m for m in MODELS if image not in gone.get(m, ()))):
            said = dict(zip(keys, given[annotator][image].tolist(), strict=False))
            if annotator.endswith(("MS", "Small")):
                said |= {d.key: int(rng.integers(d.low, d.high + 1)) for d in DIMENSIONS}
            human = annotator.startswith("human")
            lines.append(f'flux_prompt_9-image_{image:04d}.png,{annotator},{human},"{said}"\n')
    order = rng.permutation(len(lines))
    header = "image,annotator,human,annotations\n"
    path.write_text(header + "".join(lines[i] for i in order), encoding="utf-8")
    return len(lines)


TABLES = f"""
import sys
from pathlib import Path
from eval_metrics.benchmark import benchmark
protocol, ratings, out = sys.argv[1:]
benchmark(Path(out), ratings=Path(ratings), protocol=protocol, figures=False)
import json
status = Path("/proc/self/status").read_text()
print(json.dumps({{"status": status, "imported": [n for n in {HEAVY} if n in sys.modules]}}))
"""
"""A process that does nothing but all tables of a protocol."""


def bootstrap(path: Path) -> None:
    """Kappas of all pairs with a person in every resample of the images; prints the seconds."""
    import numpy as np

    from eval_metrics.emonet_face_agreement.agreement import resample_weights, round_to_levels
    from eval_metrics.image_bootstrap import Draws, PeopleKappas
    from eval_metrics.panel import corrected_panel
    from eval_metrics.sources import read_ratings

    panel = corrected_panel(read_ratings(path))
    levels = round_to_levels(panel.scores)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        draws = Draws(resample_weights(len(panel.images), N_RESAMPLES, 42), 0.95)
        everybody, every_image = np.arange(len(levels)), np.ones(len(panel.images), bool)
        PeopleKappas(panel, levels, draws, everybody, every_image)
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"bootstrap": min(seconds)}))


def published(path: Path, slices: int) -> None:
    """The published way, part by part: prints part -> (seconds measured, factor to the whole)."""
    start = time.perf_counter()
    from reference_official import OfficialReference

    from emonet_face.taxonomy import EMOTIONS

    parts: dict[str, tuple[float, float]] = {}

    def note(name: str, factor: float = 1.0) -> None:
        nonlocal start
        parts[name] = time.perf_counter() - start, factor
        start = time.perf_counter()

    note("imports")
    reference = OfficialReference(path, EMOTIONS, n_resamples=N_RESAMPLES)
    note("read, literal_eval, pivots")
    pairs = list(combinations(reference.annotators, 2))
    for pair in pairs[::slices]:
        reference.kappas(*pair)
    note("kappas", len(pairs) / len(pairs[::slices]))
    reference.n_resamples = N_RESAMPLES // (25 * slices)
    reference.alpha()
    note("alpha and its bootstrap", (N_RESAMPLES + 1) / (reference.n_resamples + 1))
    reference.n_resamples = N_RESAMPLES
    for aggregate in ("median", "mean"):
        reference.spearman(aggregate)
    note("Spearman")
    resample(reference, EMOTIONS[0], note)
    # what is not measured takes as long with any numbers
    stand_in = reference.kappas(*pairs[0])
    reference.kappas = lambda first, second: stand_in
    groups = [reference.humans, *([model] for model in reference.models[:5])]
    for first, second in combinations(groups, 2):
        reference.group_difference(first, second)
    for annotator in reference.annotators:
        reference.could_be_annotator(annotator)
    note("comparisons of groups and annotators")
    print(json.dumps({"status": Path("/proc/self/status").read_text(), "parts": parts}))


def resample(reference: OfficialReference, emotion: str, note: Callable[..., None]) -> None:
    """Kappa of one model with one person in 50 resamples, as scikit-learn on the images drawn."""
    import numpy as np
    from sklearn.metrics import cohen_kappa_score

    both = reference.tables[emotion][[reference.humans[0], reference.models[0]]].dropna()
    values = both.to_numpy().astype(int)
    rng = np.random.default_rng(0)
    for _ in range(50):
        drawn = values[rng.integers(len(values), size=len(values))]
        cohen_kappa_score(*drawn.T, labels=range(8), weights="quadratic")
    note("image bootstrap of kappas", N_RESAMPLES / 50 * 140 * 40)


def measure(*arguments: object) -> dict:
    """A process with these arguments: what it prints, its seconds and its peak memory in MB."""
    # Modules stay compiled between runs, as they are where the packages are installed.
    compiled = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, *map(str, arguments)]
    start = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, env=compiled | {"PYTHONPATH": str(ROOT)}
    )
    said, _ = process.communicate()
    seconds = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"{arguments}: exit code {process.returncode}")
    found = json.loads(said.splitlines()[-1])
    # not from `resource`, which counts what the parent had too
    peak = re.search(r"VmHWM:\s*(\d+) kB", found.pop("status", "VmHWM: 0 kB"))
    return {"seconds": seconds, "peak": int(peak[1]) / 1000, **found}


def measure_tables(path: Path, protocol: str) -> dict:
    """All tables of a protocol: as `measure`, and which heavy modules were imported."""
    with tempfile.TemporaryDirectory() as folder:
        return measure("-c", TABLES, protocol, path, Path(folder) / "out")


def main(argv: list[str] | None = None) -> int:
    """Print the tables; 1 where something heavy was imported."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the images, one run")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="for the file of 91 MB")
    parser.add_argument("--work", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.work:
        what, path, *slices = options.work
        published(Path(path), int(slices[0])) if what == "published" else bootstrap(Path(path))
        return 0
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "hq.csv"
        n_rows = make_table(path, 250 if options.quick else 2500)
        print(f"{n_rows:,} rows, {path.stat().st_size / 1e6:.1f} MB")
        return compare(path, 1 if options.quick else options.runs, 16 if options.quick else 8)


def compare(path: Path, runs: int, slices: int) -> int:
    """Run everything on one file and print it."""
    ours = [measure_tables(path, "official") for _ in range(runs)]
    theirs = measure(__file__, "--work", "published", path, slices)
    # before and after: loads change
    ours += [measure_tables(path, "official") for _ in range(runs)]
    seconds = statistics.median(run["seconds"] for run in ours)
    parts = dict(theirs["parts"])
    loops, factor = parts.pop("image bootstrap of kappas")
    print("\nThe published way, seconds")
    for name, (measured, scale) in parts.items():
        part = f"  ({measured:.1f} measured x {scale:.1f})" if scale != 1 else ""
        print(f"  {name:38} {measured * scale:9.1f}{part}")
    whole = sum(measured * scale for measured, scale in parts.values())
    print("\nAll tables of the official protocol")
    peak = max(run["peak"] for run in ours)
    print(f"  published way {whole:18.1f} s            peak {theirs['peak']:6.0f} MB")
    print(f"  ours          {seconds:18.2f} s  {whole / seconds:6.0f} x  peak {peak:6.0f} MB")
    quick = measure(__file__, "--work", "bootstrap", path)["bootstrap"]
    print(f"\nImage bootstrap, {N_RESAMPLES:,} x 140 pairs x 40 categories")
    print(f"  scikit-learn  {loops * factor:18.0f} s  ({loops:.2f} measured x {factor:,.0f})")
    print(f"  ours          {quick:18.2f} s  {loops * factor / quick:6.0f} x")
    both = measure_tables(path, "both")
    print(f"\nBoth protocols  {both['seconds']:18.1f} s")
    imported = ours[-1]["imported"]
    print(f"\nHeavy imports of the official tables: {', '.join(imported) or 'none'}")
    return 1 if imported else 0


if __name__ == "__main__":
    sys.exit(main())
