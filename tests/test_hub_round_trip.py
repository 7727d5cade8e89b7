"""What a stranger loads with only the Hub's address: pytest -m slow tests/test_hub_round_trip.py

The products are published by the command, in a process of its own, to a small Hub over real HTTP;
a fresh process then loads them by name as strangers do. HF_HUB_DISABLE_XET is set because that Hub
has no Xet storage.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import serve
from toy_hub import DATASET, METRIC, MODEL, ORG, TOKEN, make_products

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

STRANGER = """
import json, sys
from datasets import load_dataset
org, dataset, model, metric = sys.argv[1:]
hq = load_dataset(f"{org}/{dataset}", "hq")
streamed = next(iter(load_dataset(f"{org}/{dataset}", "hq", streaming=True)["test"]))
default = load_dataset(f"{org}/{dataset}")
from transformers import AutoModel, pipeline
loaded = AutoModel.from_pretrained(f"{org}/{model}", trust_remote_code=True)
classify = pipeline("image-classification", model=f"{org}/{model}", trust_remote_code=True)
scored = classify(hq["test"][0]["image"], top_k=40)
import evaluate
agreement = evaluate.load(f"{org}/{metric}")
rows = [[float((i + j) % 8) for j in range(40)] for i in range(8)]
result = agreement.compute(predictions=rows, references=[[r, r] for r in rows], n_resamples=0)
from huggingface_hub import HfApi, snapshot_download
folders = {
    name: snapshot_download(f"{org}/{name}", repo_type=kind)
    for kind, name in (("dataset", dataset), ("model", model), ("space", metric))
}
tags = [tag.name for tag in HfApi().list_repo_refs(f"{org}/{model}").tags]
(collection,) = HfApi().list_collections(owner=org)
print(json.dumps({
    "rows": {name: len(part) for name, part in hq.items()}, "default": len(default["test"]),
    "streamed": streamed["image_id"], "first": hq["test"][0]["image_id"],
    "model": type(loaded).__name__, "labels": sorted(item["label"] for item in scored),
    "kappa": result["weighted_kappa"], "folders": folders, "tags": tags,
    "collection": [item.item_id for item in collection.items],
}))
"""

BARE = """
import json, sys
from datasets import load_dataset
print(json.dumps([row["image_id"] for row in load_dataset("emonet-face", "hq")["test"]]))
"""


def _environment(home, url):
    """What a fresh machine has: none of the tests' settings, no token, an empty cache."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HF_", "TRANSFORMERS_", "EMONET_"))
    }
    return {**kept, "HF_HOME": str(home), "HF_ENDPOINT": url, "HF_HUB_DISABLE_XET": "1"}


def _run(command, cwd, environment):
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert TOKEN not in done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The small Hub with everything on it, and the folder it came from."""
    root = tmp_path_factory.mktemp("release")
    folder = make_products(root / "products")
    with serve(root / "server") as hub:
        hub.add_user(TOKEN, "somebody", **{ORG: "write"})
        environment = _environment(root / "home", hub.url) | {"HF_TOKEN": TOKEN}
        command = [sys.executable, "-m", "emonet_face.cli", "publish", str(folder), "--org", ORG]
        shown = _run([*command, "--upload"], os.getcwd(), environment)
        assert "Done in" in shown
        before = hub.writes()
        _run([*command, "--upload"], os.getcwd(), environment)
        assert hub.writes() == before
        stored = [p for p in (root / "home").rglob("*") if p.is_file()]
        assert not [p for p in stored if TOKEN.encode() in p.read_bytes()]
        yield hub, folder


def test_a_stranger_loads_everything_by_name_from_an_empty_cache(published, tmp_path):
    hub, folder = published
    command = [sys.executable, "-I", "-c", STRANGER, ORG, DATASET, MODEL, METRIC]
    shown = _run(command, tmp_path, _environment(tmp_path / "home", hub.url))
    found = json.loads(shown.splitlines()[-1])
    config = json.loads((folder / MODEL / "config.json").read_text())
    assert found["rows"] == {"test": 3}
    assert found["default"] == 3
    assert found["streamed"] == found["first"] == "hq-0"
    assert found["model"] == "EmpathicInsightFaceModel"
    assert found["labels"] == sorted(config["id2label"].values())
    assert found["kappa"] == 1.0
    assert found["tags"]
    assert len(found["collection"]) == 3
    for name, copy in found["folders"].items():
        for file in (folder / name).rglob("*"):
            if file.is_file() and file.name not in ("README.md", "eval.yaml"):
                same = Path(copy) / file.relative_to(folder / name)
                assert same.read_bytes() == file.read_bytes(), file


def test_the_bare_name_works_from_the_folder_and_then_from_the_cache(published, tmp_path):
    """Bare names are refused by the Hub's client: a folder of that name, or its cache, answers."""
    hub, folder = published
    environment = _environment(tmp_path / "home", hub.url)
    wanted = ["hq-0", "hq-1", "hq-2"]
    command = [sys.executable, "-I", "-c", BARE]
    assert json.loads(_run(command, folder, environment).splitlines()[-1]) == wanted
    (tmp_path / "elsewhere").mkdir()
    elsewhere = _run(command, tmp_path / "elsewhere", environment)
    assert json.loads(elsewhere.splitlines()[-1]) == wanted
