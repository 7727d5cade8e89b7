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
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from emonet_face import __version__
from emonet_face.demo_products import (
    DATASET,
    METRIC,
    MODEL,
    Steps,
    make_dataset,
    make_metric_and_benchmark,
    make_model,
)
from emonet_face.errors import EmoNetFaceError
from emonet_face.outputs import made_by, new_folder, write_json

MADE_BY = "emonet-face demo"
MANIFEST = "demo.json"
NOTICE = (
    "Demonstration on schematic faces with simulated raters: not a result on EmoNet-Face, and no"
    " statement about people."
)


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
        steps = Steps(total=9)
        start = time.perf_counter()
        counts = make_dataset(folder, seed, n_faces, steps)
        training = make_model(folder, out, seed, steps)
        make_metric_and_benchmark(folder, steps)
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
    from emonet_face.screen_table import interval, print_table

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
