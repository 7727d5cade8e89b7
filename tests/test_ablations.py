"""The published table of ablations, and what `ablate` refuses.

    .venv/bin/pytest tests/test_ablations.py          # -m '' for the one that trains

The table's form is stated at the top of `ablations.py`; its numbers come from schematic faces.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from toy_faces import write_toy_repo

from emonet_face.errors import EmoNetFaceError
from modeling_empathicinsight.ablations import (
    ABLATIONS,
    COMPARED,
    MADE_BY,
    SIMULATED,
    ablate,
    is_ablation_file,
)
from modeling_empathicinsight.embedding import embed
from modeling_empathicinsight.tower import make_tower

ROOT = Path(__file__).parents[1]
KEYS = {
    "made_by", "version", "notice", "seed", "n_resamples", "confidence_level", "images", "raters",
    "tower_sha256", "weighted_kappa", "differences",
}  # fmt: skip


def check_form(record: dict) -> None:
    """Raises where a record is not of the form that `ablations.py` states."""
    assert set(record) == KEYS
    assert record["made_by"] == MADE_BY
    found = record["weighted_kappa"]
    for name, one in found.items():
        assert set(one) == {"size", "stages", "normalised", "value", "ci"}
        variant = ABLATIONS[name]
        stated = (one["size"], one["stages"], one["normalised"])
        assert stated == (variant.size, variant.stages, variant.normalised)
        assert -1 <= one["ci"][0] <= one["ci"][1] <= 1
    pairs = [(pair["variant"], pair["beside"]) for pair in record["differences"]]
    assert pairs == [pair for pair in COMPARED if set(pair) <= set(found)]
    for pair in record["differences"]:
        assert set(pair) == {"variant", "beside", "value", "ci"}
        apart = found[pair["variant"]]["value"] - found[pair["beside"]]["value"]
        assert pair["value"] == pytest.approx(apart, abs=2e-6)
        assert pair["ci"][0] <= pair["ci"][1]


def test_the_published_table_is_whole_and_says_that_it_is_simulated():
    record = json.loads((ROOT / "results" / "ablations.json").read_text(encoding="utf-8"))
    check_form(record)
    assert set(record["weighted_kappa"]) == set(ABLATIONS)
    assert record["notice"] == SIMULATED
    assert all(name.startswith("simulated-") for name in record["raters"])


def test_trained_heads_beat_ridge_and_both_stages_are_not_below_the_first():
    """What training is for, on the demo's faces; intervals over images, of one seed.

    Of Small the interval of both stages beside stage 1 holds 0: only its sign is asked for.
    """
    record = json.loads((ROOT / "results" / "ablations.json").read_text(encoding="utf-8"))
    pairs = {(pair["variant"], pair["beside"]): pair for pair in record["differences"]}
    assert pairs["small", "small-ratings-only"]["value"] > 0
    assert pairs["large", "large-ratings-only"]["ci"][0] > 0
    for size in ("small", "large"):
        assert pairs[size, "ridge"]["ci"][0] > 0


def test_what_cannot_be_ablated_is_named(tmp_path):
    out = tmp_path / "a.json"
    with pytest.raises(EmoNetFaceError, match="no such ablation; allowed: small, small-ratings"):
        ablate([], "labels", out, names=["medium"])
    with pytest.raises(EmoNetFaceError, match="small-not-normalised: needs --raw"):
        ablate([], "labels", out, names=["small-not-normalised"])
    with pytest.raises(EmoNetFaceError, match="no embeddings given"):
        ablate([], "labels", out)
    out.write_text('{"my": "notes"}\n')
    with pytest.raises(EmoNetFaceError, match="was not made by this command"):
        ablate([], "labels", out)
    assert out.read_text() == '{"my": "notes"}\n'
    assert is_ablation_file(ROOT / "results" / "ablations.json")


@pytest.fixture(scope="module")
def toy(one_thread, tmp_path_factory):
    """(repo, tower, embedding files) of a toy whose hq images two people rated."""
    place = tmp_path_factory.mktemp("ablations")
    repo = write_toy_repo(place / "toy", big=100, binary=40, hq=30)
    tower = make_tower(
        place / "tower", image_size=32, patch_size=16, hidden=32, layers=1, heads=2, seed=1
    )
    files = []
    for config in ("big", "binary", "hq"):
        files.append(place / f"{config}.parquet")
        embed(repo, config, tower, files[-1])
    return repo, tower, files


def test_ridge_is_compared_and_written_twice_alike(toy, tmp_path):
    repo, _, files = toy
    columns, rows = ablate(files, repo, tmp_path / "a.json", names=["ridge"], seed=3)
    assert columns[0] == "variant"
    assert [row[0] for row in rows] == ["ridge"]
    first = (tmp_path / "a.json").read_bytes()
    check_form(json.loads(first))
    ablate(files, repo, tmp_path / "a.json", names=["ridge"], seed=3)
    assert (tmp_path / "a.json").read_bytes() == first
    with pytest.raises(EmoNetFaceError, match="no rated image of config hq is among"):
        ablate(files[:2], repo, tmp_path / "a.json", names=["ridge"])
    assert (tmp_path / "a.json").read_bytes() == first
