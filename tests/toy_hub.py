"""A folder of small products, as `publish` takes it, and a Hub for the clients of this process."""

from __future__ import annotations

import time
from contextlib import contextmanager
from types import SimpleNamespace

from hub_server import serve
from toy_model import make_model
from toy_repo import make_repo

from cards.render import render_card
from emonet_face.demo_products import stage_metric

DATASET, MODEL, METRIC = "emonet-face", "empathicinsight-face-small", "emonet_face_agreement"
TOKEN = "hf_" + "t0ken" * 7
ORG = "lab"


def make_products(folder):
    """Dataset, model and metric, each with its card; the weights are larger than a small file."""
    hub, work = folder / "hub", folder / "work"
    hub.mkdir(parents=True)
    make_repo(hub / DATASET)
    make_model(work / MODEL).rename(hub / MODEL)
    stage_metric(hub / METRIC)
    for name in (DATASET, MODEL, METRIC):
        render_card(hub / name)
    return hub


@contextmanager
def connected(root, monkeypatch):
    """A Hub that this process's clients talk to, logged in as a member of ORG, without pauses."""
    from huggingface_hub import constants

    with serve(root) as hub:
        hub.add_user(TOKEN, "somebody", **{ORG: "write"})
        for name, value in {"OFFLINE": False, "DISABLE_XET": True}.items():
            monkeypatch.setattr(constants, f"HF_HUB_{name}", value)
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        template = "{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{hub.url}/{template}")
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        impatient = SimpleNamespace(**{**vars(time), "sleep": lambda _: None})
        monkeypatch.setattr("huggingface_hub.utils._http.time", impatient)
        monkeypatch.setattr("cards.publishing.upload.PAUSE", 0)
        yield hub
