"""Load staged products as strangers will, where our packages cannot be imported.

`publish` runs this file by its path in a fresh process whose working folder holds the products:

    python -I staged_loads.py PUBLIC_LOADS.py TASKS.json OUT.json

TASKS.json is a list of [kind, folder]; OUT.json becomes {folder: null, or what went wrong}.
It imports none of our packages; what blocks them is taken from PUBLIC_LOADS.py.
"""

from __future__ import annotations

import json
import math
import runpy
import sys
from pathlib import Path


def load_dataset_folder(folder: str) -> None:
    """The first row of every split of every config, streamed."""
    from datasets import get_dataset_config_names, load_dataset

    for config in get_dataset_config_names(folder):
        for split, rows in load_dataset(folder, config, streaming=True).items():
            if next(iter(rows), None) is None:
                raise ValueError(f"config {config!r} has no rows in split {split!r}")


def load_model_folder(folder: str) -> None:
    """All weights there, and 40 finite scores of the pipeline on a drawn picture."""
    from PIL import Image
    from transformers import AutoModel, pipeline

    _, report = AutoModel.from_pretrained(folder, trust_remote_code=True, output_loading_info=True)
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report.get(what):
            raise ValueError(f"{what.replace('_', ' ')}: {sorted(map(str, report[what]))[:3]}")
    classify = pipeline("image-classification", model=folder, trust_remote_code=True, device="cpu")
    found = classify(Image.linear_gradient("L").convert("RGB"), top_k=100)
    if len(found) != 40 or not all(math.isfinite(item["score"]) for item in found):
        raise ValueError(f"the pipeline gives {len(found)} scores, not 40 finite ones")


def load_metric_folder(folder: str) -> None:
    """Predictions equal to the ratings agree with them entirely."""
    import evaluate

    rows = [[float((row + column) % 8) for column in range(40)] for row in range(8)]
    result = evaluate.load(folder).compute(
        predictions=rows, references=[[row, row] for row in rows], n_resamples=0
    )
    if result["weighted_kappa"] != 1.0:
        raise ValueError(f"the kappa of equal ratings is {result['weighted_kappa']}, not 1")


LOADS = {
    "dataset": load_dataset_folder,
    "model": load_model_folder,
    "metric": load_metric_folder,
}


def main(argv: list[str] | None = None) -> int:
    """See the head of the file."""
    public_loads, tasks, out = sys.argv[1:] if argv is None else argv
    runpy.run_path(public_loads)["block_our_packages"]()
    found: dict[str, str | None] = {}
    for kind, folder in json.loads(Path(tasks).read_text(encoding="utf-8")):
        try:
            LOADS[kind](f"./{folder}")
            found[folder] = None
        except Exception as error:  # whatever it is, it is the answer
            lines = [line for line in str(error).splitlines() if line.strip()]
            found[folder] = f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
    Path(out).write_text(json.dumps(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
