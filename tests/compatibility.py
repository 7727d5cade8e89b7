"""Does a model repo load, with equal outputs, under the oldest transformers and the newest?

    make compat            # needs a package index; a few minutes, 3 packages a version

Makes a toy model repo here, then loads it through AutoModel and pipeline in an environment of its
own for each version: a venv that looks into this one for everything but transformers and what that
asks for in other versions. Our packages are out of reach there. Prints versions and differences;
exit code 1 where a version does not load or the outputs differ by more than 1e-5.
"""

from __future__ import annotations

import argparse
import json
import os
import site
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path

OLDEST = "5.6.0"
"""The oldest transformers that the uploaded code promises: older ones read the vision keys wrongly.
The card says the same."""

TOLERANCE = 1e-5
"""Largest difference of a score, on a scale of 0 to 7; float32 rounding stays far below."""

PACKAGES = ("transformers", "huggingface_hub", "tokenizers", "torch", "safetensors", "numpy")


def make_environment(folder: Path, requirement: str) -> Path:
    """A venv with a transformers of its own on top of this environment.

    Args:
        folder: where to make it; one that is there is used again.
        requirement: for pip, e.g. "transformers==5.6.0".

    Returns:
        Its Python.
    """
    python = folder.absolute() / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=False)
        (own,) = (folder / "lib").glob("python*/site-packages")
        (own / "below.pth").write_text("\n".join(site.getsitepackages()) + "\n", encoding="utf-8")
    elif "==" in requirement:
        return python
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*pip, "--upgrade", requirement], check=True)
    return python


def probe(model: Path, out: Path) -> None:
    """Load a model repo as a stranger would and write what it gives; runs in the other venv."""
    from importlib.metadata import version

    import torch
    from PIL import Image
    from transformers import AutoModel, pipeline

    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (3, 40, 40, 3), generator=generator, dtype=torch.uint8)
    pictures = [Image.fromarray(picture.numpy()) for picture in pixels]
    loaded = AutoModel.from_pretrained(str(model), trust_remote_code=True).eval()
    classify = pipeline("image-classification", model=str(model), trust_remote_code=True)
    with torch.inference_mode():
        inputs = classify.image_processor(pictures, return_tensors="pt")
        given = loaded(**inputs)
    answers = classify(pictures, top_k=40, function_to_apply="none")
    shares = classify(pictures, top_k=40)
    record = {
        "versions": {name: version(name) for name in PACKAGES},
        "class": type(loaded).__name__,
        "scores": given.scores.tolist(),
        "embedding": given.embedding.tolist(),
        "logits": [_by_label(answer) for answer in answers],
        "distribution": [_by_label(answer) for answer in shares],
    }
    out.write_text(json.dumps(record), encoding="utf-8")


def _by_label(answer: list[dict[str, object]]) -> list[float]:
    return [entry["score"] for entry in sorted(answer, key=lambda entry: str(entry["label"]))]


def difference(one: dict[str, object], other: dict[str, object]) -> dict[str, float]:
    """Output -> largest absolute difference of two probes."""
    import numpy as np

    keys = ("scores", "embedding", "logits", "distribution")
    return {key: float(np.abs(np.subtract(one[key], other[key])).max()) for key in keys}


def _run(python: Path | str, model: Path, out: Path, cache: Path) -> dict[str, object]:
    """Probe with a Python, away from the clone and from the Hub."""
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    settings = {"HF_HOME": str(cache), "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    command = [str(python), "-I", str(Path(__file__).resolve()), "--probe", str(model), str(out)]
    subprocess.run(command, check=True, cwd=out.parent, env=clean | settings)
    return json.loads(out.read_text(encoding="utf-8"))


def main(argv: Sequence[str] | None = None) -> int:
    """See the head of the file; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument(
        "--environments", type=Path, default=Path(".compat"), help="keeps the venvs"
    )
    parser.add_argument("--probe", nargs=2, type=Path, metavar=("MODEL", "OUT"))
    options = parser.parse_args(argv)
    if options.probe:
        probe(*options.probe)
        return 0
    from toy_model import make_model

    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model = make_model(folder / "empathicinsight-face-small")
        found["tested"] = _run(sys.executable, model, folder / "tested.json", folder / "cache-0")
        for name, requirement in (
            ("oldest", f"transformers=={OLDEST}"),
            ("newest", "transformers"),
        ):
            python = make_environment(options.environments / name, requirement)
            cache = folder / f"cache-{name}"
            found[name] = _run(python, model, folder / f"{name}.json", cache)
    worst = 0.0
    for name, record in found.items():
        apart = difference(record, found["tested"])
        worst = max(worst, *apart.values())
        versions = ", ".join(f"{k} {v}" for k, v in record["versions"].items())
        print(f"{name}: {record['class']} with {versions}")
        print("  largest differences:", ", ".join(f"{k} {v:.1e}" for k, v in apart.items()))
    print("equal" if worst <= TOLERANCE else f"NOT equal: {worst:.1e} > {TOLERANCE:.0e}")
    return 0 if worst <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
