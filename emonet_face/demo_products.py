"""The demo's three products, step by step: dataset repo, model repo, metric with benchmark.

Each step calls what the command of the same name calls.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass, field
from pathlib import Path

DATASET, MODEL, METRIC = "emonet-face", "empathicinsight-face-small", "emonet_face_agreement"
MODEL_NAME = "Empathic Insight Face Small (demo)"
RANDOM, CONSTANT = "Random Baseline", "Constant Baseline"
IMAGE_SIZE = 96
TOWER_EPOCHS = 24
"""About 20 s. The ledger of benchmarks has 60 epochs beside it: no better."""
SHARES = {"big": 0.6, "binary": 0.2, "hq": 0.2}
"""How the faces are divided over the three sets."""


@dataclass
class Steps:
    """Numbered steps with their time: one line each, printed when a step starts and ends."""

    total: int
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self, title: str, work: Callable[[], object]) -> object:
        """Do the next step.

        Args:
            title: what is printed, and its key in `seconds`.
            work: does it.

        Returns:
            What `work` returns.
        """
        number = len(self.seconds) + 1
        print(f"[{number:2d}/{self.total}] {title} ...", file=sys.stderr, flush=True)
        start = time.perf_counter()
        result = work()
        self.seconds[title] = round(time.perf_counter() - start, 2)
        print(f"{'':8}{self.seconds[title]:6.1f} s", file=sys.stderr, flush=True)
        return result


def make_dataset(folder: Path, seed: int, n_faces: int, steps: Steps) -> dict[str, int]:
    """Draw faces, label them and build the dataset repo `folder/hub/emonet-face`.

    Args:
        folder: of the demo.
        seed: same seed, same faces and labels.
        n_faces: in all, divided by `SHARES`.
        steps: say what is under way.

    Returns:
        The number of faces of each config.
    """
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


def make_model(folder: Path, place: Path, seed: int, steps: Steps) -> dict[str, object]:
    """Train tower and heads into the model repo `folder/hub/empathicinsight-face-small`.

    Args:
        folder: of the demo, with its dataset repo.
        place: where the folder will be when it is finished; embeddings name their tower there.
        seed: of the weights and the training.
        steps: say what is under way.

    Returns:
        The `stages` of training.json.
    """
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
            name_tower(path, place / "work" / "tower")
        return train(vectors, str(repo), model, size="small", backbone=work / "tower", seed=seed)

    steps.run("Train a small vision tower briefly", tower)
    trained = steps.run("Embed, then train the heads: stage 1 on big, stage 2 on binary", heads)
    with chdir(folder):  # so that the lines name images by their place in the demo folder
        steps.run(
            "Predict the hq images",
            lambda: predict(f"hub/{MODEL}", ["work/runs/hq/images"], Path("predictions.jsonl")),
        )
    return {key: trained[key] for key in ("stages",) if key in trained}


def name_tower(path: Path, tower: Path) -> None:
    """Say in an embedding file where its tower is to be found; `train` looks there.

    Args:
        path: written by `embed` from a tower in a folder that is not finished yet.
        tower: the tower's place when it is.
    """
    import pyarrow.parquet as pq

    from emonet_face.embedding_file import open_embedding_files, schema

    (file,) = open_embedding_files([path])
    form = schema({**file.metadata, "backbone": str(tower)}, file.numbers.name)
    pq.write_table(pq.read_table(path).replace_schema_metadata(form.metadata), path)


def make_metric_and_benchmark(folder: Path, steps: Steps) -> None:
    """Put the metric into `folder/hub`, benchmark the model, write the cards and figures.

    Args:
        folder: of the demo, with dataset repo, model repo and predictions.
        steps: say what is under way.
    """
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
        """Results into the cards of dataset and model, then all cards and the figures."""
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
    figure.suptitle(
        "Schematic faces and the category each was prompted with; a face may show others too"
    )
    paths = list(iter_images(images))[: rows * columns]
    for axes in grid.flat:
        axes.axis("off")
    for axes, path in zip(grid.flat, paths, strict=False):
        record = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        with Image.open(path) as image:
            axes.imshow(image)
        axes.set_title(record["prompted_emotion"].replace("/", "/\u200b"), fontsize=7, wrap=True)
    figure.savefig(out, dpi=120)
