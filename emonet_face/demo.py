"""The main job, end to end and offline, on schematic faces with simulated raters.

    emonet-face demo --out demo-out          # about three minutes on two cores

Faces -> labels -> dataset repo -> vision tower -> embeddings -> heads in two stages -> model repo
-> metric folder -> benchmark -> cards; then a fresh process that cannot import our packages loads
the three products through the public APIs and scores the model. Every step calls what the commands
of the same name call. Nothing here is a result on EmoNet-Face.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass, field
from pathlib import Path

from emonet_face import __version__
from emonet_face.errors import EmoNetFaceError
from emonet_face.outputs import made_by, new_folder, write_json

MADE_BY = "emonet-face demo"
MANIFEST = "demo.json"
NOTICE = (
    "Demonstration on schematic faces with simulated raters: not a result on EmoNet-Face, and no"
    " statement about people."
)
DATASET, MODEL, METRIC = "emonet-face", "empathicinsight-face-small", "emonet_face_agreement"
MODEL_NAME = "Empathic Insight Face Small (demo)"
RANDOM, CONSTANT = "Random Baseline", "Constant Baseline"
IMAGE_SIZE = 96
TOWER_EPOCHS = 24
"""About 20 s. The ledger of benchmarks has 60 epochs beside it: no better."""
SHARES = {"big": 0.6, "binary": 0.2, "hq": 0.2}
"""How the faces are divided over the three sets."""


@dataclass
class _Steps:
    """Numbered steps with their time: one line each, printed when a step starts and ends."""

    total: int
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self, title: str, work: Callable[[], object]) -> object:
        number = len(self.seconds) + 1
        print(f"[{number:2d}/{self.total}] {title} ...", file=sys.stderr, flush=True)
        start = time.perf_counter()
        result = work()
        self.seconds[title] = round(time.perf_counter() - start, 2)
        print(f"{'':8}{self.seconds[title]:6.1f} s", file=sys.stderr, flush=True)
        return result


def run_demo(out: Path, *, seed: int = 0, n_faces: int = 2000) -> dict[str, object]:
    """Make the products, load them back, print one table.

    Args:
        out: folder to write: `hub/` with the three products, `benchmark/`, `predictions.jsonl`,
            `figures/`, `demo.json` (written last), and `work/` with what lies between.
        seed: same seed, same faces and labels.
        n_faces: faces in all, at least 200, divided over the sets by `SHARES`.

    Returns:
        What `demo.json` holds.

    Raises:
        EmoNetFaceError: `out` exists and no demo made it, or the products did not load.
    """
    if n_faces < 200:
        raise EmoNetFaceError(f"{n_faces} faces are too few to train on; at least 200 are needed")
    ours = lambda folder: made_by(folder, MANIFEST) == MADE_BY  # noqa: E731
    with new_folder(out, ours) as folder, tempfile.TemporaryDirectory() as caches:
        _settle_libraries(caches)
        steps = _Steps(total=9)
        start = time.perf_counter()
        counts = _make_dataset(folder, seed, n_faces, steps)
        training = _make_model(folder, seed, steps)
        _make_metric_and_benchmark(folder, steps)
        loads = steps.run(
            "Load everything back through the public APIs in a fresh process",
            lambda: _load_in_fresh_process(folder / "hub", caches),
        )
        record = {
            "made_by": MADE_BY,
            "version": __version__,
            "notice": NOTICE,
            "seed": seed,
            "faces": counts,
            "training": training,
            "public_loads": loads["loaded"],
            "blocked": loads["blocked"],
            "agreement": loads["agreement"],
            "seconds": {**steps.seconds, "total": round(time.perf_counter() - start, 2)},
        }
        write_json(folder / MANIFEST, record)
    _print_summary(record, out)
    return record


def _settle_libraries(caches: str) -> None:
    """What libraries read when they are imported: no hub is asked, no cache of the user grows.

    One thread a process: layers and tables are small here, and two threads on busy cores mostly
    wait for one another. Where the libraries are imported already (tests), nothing changes.
    """
    if not {"torch", "numpy", "datasets", "huggingface_hub"} & set(sys.modules):
        os.environ.update(_offline(caches), OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")


def _offline(caches: str) -> dict[str, str]:
    return {
        "HF_HOME": caches,
        "HF_HUB_OFFLINE": "1",
        "HF_EVALUATE_OFFLINE": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TRANSFORMERS_VERBOSITY": "error",
    }


def _make_dataset(folder: Path, seed: int, n_faces: int, steps: _Steps) -> dict[str, int]:
    from dataset_scripts.big import build_big
    from dataset_scripts.binary import build_binary
    from dataset_scripts.hq import build_hq
    from generation.annotate import annotate
    from generation.run import generate

    work, repo = folder / "work", folder / "hub" / DATASET
    counts = {name: round(n_faces * share) for name, share in SHARES.items()}
    runs = {name: work / "runs" / name for name in counts}

    def draw() -> None:
        for offset, (name, run) in enumerate(runs.items()):
            generate(counts[name], run, size=IMAGE_SIZE, seed=3 * seed + offset)

    def label() -> None:
        annotate(runs["big"], work / "big.jsonl", protocol="multi-shot", seed=seed)
        annotate(runs["binary"], work / "binary.csv", protocol="votes", seed=seed)
        annotate(runs["hq"], work / "hq.csv", protocol="sliders", seed=seed)
        _append_baselines(work / "hq.csv", seed)

    def build() -> None:
        build_big(runs["big"], repo, labels=work / "big.jsonl", strict=True)
        build_binary(work / "binary.csv", repo, images=runs["binary"] / "images", strict=True)
        build_hq(work / "hq.csv", repo, images=runs["hq"] / "images", strict=True)

    steps.run(f"Draw {sum(counts.values()):,} schematic faces from balanced prompts", draw)
    steps.run("Label them: 8 simulated raters, votes, one simulated machine annotator", label)
    steps.run("Build the dataset repo: big, binary, hq, hq_baselines", build)
    return counts


def _append_baselines(ratings: Path, seed: int) -> None:
    """Add a uniform random and an all-zero model to a ratings file."""
    import numpy as np

    from emonet_face.ratings import Scores
    from emonet_face.released import Rating, iter_ratings, write_ratings
    from emonet_face.taxonomy import EMOTIONS, RATING_MAX

    rows = list(iter_ratings(ratings))
    images = list(dict.fromkeys((row.image, row.image_id) for row in rows))
    levels = np.random.default_rng(seed).integers(0, RATING_MAX + 1, (len(images), len(EMOTIONS)))
    for (image, image_id), drawn in zip(images, levels.tolist(), strict=True):
        for name, values in ((RANDOM, drawn), (CONSTANT, [0] * len(EMOTIONS))):
            scores = Scores([float(value) for value in values])
            rows.append(Rating(image, image_id, name, human=False, scores=scores))
    write_ratings(ratings, rows)


def _make_model(folder: Path, seed: int, steps: _Steps) -> dict[str, object]:
    from modeling_empathicinsight.embedding import embed
    from modeling_empathicinsight.prediction import predict
    from modeling_empathicinsight.tower import make_tower, pretrain_tower
    from modeling_empathicinsight.training import train

    work, repo, model = folder / "work", folder / "hub" / DATASET, folder / "hub" / MODEL
    vectors = [work / f"embeddings-{config}.parquet" for config in ("big", "binary")]

    def tower() -> object:
        make_tower(work / "tower-random", seed=seed)
        random, trained = work / "tower-random", work / "tower"
        return pretrain_tower(random, repo, trained, epochs=TOWER_EPOCHS, seed=seed)

    def heads() -> dict[str, object]:
        for path in vectors:
            config = path.stem.removeprefix("embeddings-")
            embed(str(repo), config, str(work / "tower"), path)
        return train(vectors, str(repo), model, size="small", seed=seed)

    steps.run("Train a small vision tower briefly", tower)
    trained = steps.run("Embed, then train the heads: stage 1 on big, stage 2 on binary", heads)
    with chdir(folder):  # so that the lines name images by their place in the demo folder
        steps.run(
            "Predict the hq images",
            lambda: predict(f"hub/{MODEL}", ["work/runs/hq/images"], Path("predictions.jsonl")),
        )
    return {key: trained[key] for key in ("stages",) if key in trained}


def _make_metric_and_benchmark(folder: Path, steps: _Steps) -> None:
    from cards.render import render_card, write_evaluation
    from eval_metrics.benchmark import benchmark, summary_rows

    hub = folder / "hub"

    def compare() -> dict[str, object]:
        stage_metric(hub / METRIC)
        return benchmark(
            folder / "benchmark",
            dataset=str(hub / DATASET),
            predictions={MODEL_NAME: folder / "predictions.jsonl"},
        )

    def finish() -> None:
        protocols = {name: summary_rows(results, name) for name in results["protocols"]}
        for name in (DATASET, MODEL):
            write_evaluation(
                hub / name,
                protocols,
                level=results["confidence_level"],
                seed=results["seed"],
                results=results,
                annotator=MODEL_NAME if name == MODEL else None,
            )
        for name in (DATASET, MODEL, METRIC):
            render_card(hub / name)
        _figures(folder)

    results = steps.run("Benchmark: model, baselines, human anchor, two protocols", compare)
    steps.run("Write the cards and three figures", finish)


def stage_metric(out: Path) -> None:
    """Copy the metric module, as it is uploaded, into a folder of its name."""
    import eval_metrics

    source = Path(eval_metrics.__file__).parent / METRIC
    shutil.copytree(source, out, ignore=shutil.ignore_patterns("__pycache__"))


def _figures(folder: Path) -> None:
    """Samples, agreement by group and Spearman per category, gathered in `figures/`."""
    target = folder / "figures"
    target.mkdir()
    samples(folder / "work" / "runs" / "hq" / "images", target / "samples.png")
    for name in ("agreement_by_group", "spearman_per_emotion"):
        source = folder / "benchmark" / "figures" / f"{name}_corrected.png"
        shutil.copyfile(source, target / f"{name}.png")


def samples(images: Path, out: Path, *, rows: int = 4, columns: int = 8) -> None:
    """A sheet of generated faces, the prompted category under each."""
    from matplotlib.figure import Figure
    from PIL import Image

    from emonet_face.imaging import iter_images

    figure = Figure(figsize=(1.45 * columns, 1.75 * rows + 0.5), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    figure.suptitle("Schematic faces and the category each was prompted with")
    paths = list(iter_images(images))[: rows * columns]
    for axes in grid.flat:
        axes.axis("off")
    for axes, path in zip(grid.flat, paths, strict=False):
        record = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        with Image.open(path) as image:
            axes.imshow(image)
        axes.set_title(record["prompted_emotion"].replace("/", "/\u200b"), fontsize=7, wrap=True)
    figure.savefig(out, dpi=120)


def _load_in_fresh_process(hub: Path, caches: str) -> dict[str, object]:
    from emonet_face import public_loads

    result = Path(caches) / "public_loads.json"
    home = Path(caches) / "fresh"
    home.mkdir()
    command = [sys.executable, "-I", public_loads.__file__, DATASET, MODEL, METRIC, str(result)]
    environment = {**os.environ, **_offline(str(home))}
    done = subprocess.run(
        command, cwd=hub, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode or not result.exists():
        tail = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise EmoNetFaceError(f"the products did not load in a fresh process: {tail[0]}")
    return json.loads(result.read_text(encoding="utf-8"))


def _print_summary(record: dict[str, object], out: Path) -> None:
    from emonet_face.cli import interval
    from emonet_face.screen_table import print_table

    rows = [
        (name, found["weighted_kappa"], interval(found["weighted_kappa_ci"]),
         found["spearman"], interval(found["spearman_ci"]))
        for name, found in record["agreement"].items()
    ]  # fmt: skip
    model = record["agreement"][MODEL]
    human = (model["human_kappa"], interval(model["human_kappa_ci"]))
    rows.append(("human anchor (simulated raters with each other)", *human, None, "-"))
    print_table(
        "Agreement with the simulated raters, computed from the public loads",
        ("annotator", "weighted kappa", "95% interval", "Spearman", "95% interval"),
        rows,
    )
    print("A dash means undefined: a constant has no ranks to correlate.")
    print(NOTICE)
    print(f"{record['seconds']['total']:.0f} s; look at {out}/figures, {out}/benchmark, {out}/hub")
