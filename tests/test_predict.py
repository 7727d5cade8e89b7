"""Scores of image files: lines, their order, errors among them, what may be overwritten.

.venv/bin/pytest tests/test_predict.py
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from toy_faces import draw_face

from emonet_face.errors import EmoNetFaceError
from emonet_face.taxonomy import DIMENSIONS, EMOTIONS
from modeling_empathicinsight.backbone import load_backbone
from modeling_empathicinsight.heads_training import new_heads
from modeling_empathicinsight.prediction import Summary, predict
from modeling_empathicinsight.repository import (
    load_model,
    make_config,
    output_names,
    write_model_repo,
)
from modeling_empathicinsight.tower import make_tower

TINY = {"image_size": 32, "patch_size": 16, "hidden": 32, "layers": 1, "heads": 2}


def model_with(out: Path, dimensions: bool) -> Path:
    backbone = load_backbone(make_tower(out.with_name(f"{out.name}-tower"), **TINY))
    names = output_names(dimensions)
    config = make_config(backbone, names, [0.1] * len(names), "made up", head_size="small")
    write_model_repo(out, config, backbone, new_heads(len(names), 32, [128, 32], 0.1, 0), {})
    return out


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return model_with(tmp_path_factory.mktemp("predict") / "model", dimensions=True)


@pytest.fixture
def faces(tmp_path) -> Path:
    """faces/{a,b,c}.png, faces/deep/d.jpg and two files that are no pictures."""
    folder = tmp_path / "faces"
    (folder / "deep").mkdir(parents=True)
    for index, name in enumerate(("c.png", "a.png", "b.png", "deep/d.jpg")):
        draw_face(index / 2 - 1, 0.0, 40, np.random.default_rng(index)).save(folder / name)
    (folder / "ab-broken.png").write_bytes((folder / "a.png").read_bytes()[:200])
    (folder / "notes.txt").write_text("no picture")
    return folder


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def names_of(lines: list[dict]) -> list[str]:
    return [Path(line["image"]).name for line in lines]


def test_lines_hold_what_the_model_says(model, faces, tmp_path):
    out = tmp_path / "out.jsonl"
    assert predict(model, [faces / "a.png"], out, top_k=3) == Summary(1, 0)
    (line,) = lines_of(out)
    assert list(line) == [
        "image",
        "scores",
        "dimensions",
        "neutral_subtracted",
        "distribution",
        "top",
    ]
    assert line["image"] == str(faces / "a.png")
    assert list(line["scores"]) == list(line["distribution"]) == list(EMOTIONS)
    assert list(line["dimensions"]) == [d.slug for d in DIMENSIONS]
    loaded, processor = load_model(model)
    pixels = processor(images=Image.open(faces / "a.png"), return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        scores = loaded(pixels).scores[0].double()
    assert list(line["scores"].values()) == pytest.approx(scores[:40].tolist(), abs=1e-6)
    assert list(line["dimensions"].values()) == pytest.approx(scores[40:].tolist(), abs=1e-6)
    for name in EMOTIONS:
        assert line["neutral_subtracted"][name] == pytest.approx(line["scores"][name] - 0.1)
    softmax = torch.tensor(list(line["neutral_subtracted"].values())).softmax(0)
    assert list(line["distribution"].values()) == pytest.approx(softmax.tolist(), abs=1e-7)
    assert sum(line["distribution"].values()) == pytest.approx(1, abs=1e-12)
    ranked = sorted(line["distribution"].items(), key=lambda item: -item[1])
    assert line["top"] == [list(item) for item in ranked[:3]]


def test_order_is_that_of_the_input_and_errors_stand_in_their_place(model, faces, tmp_path):
    out = tmp_path / "out.jsonl"
    paths = [faces / "c.png", tmp_path / "missing.png", faces, str(tmp_path / "x*.png")]
    assert predict(model, paths, out, batch_size=2) == Summary(7, 3)
    lines = lines_of(out)
    # c.png is named first and again by the folder: it stands once, where it came first.
    assert names_of(lines) == [
        "c.png",
        "missing.png",
        "a.png",
        "ab-broken.png",
        "b.png",
        "d.jpg",
        "x*.png",
    ]
    errors = {Path(line["image"]).name: line["error"] for line in lines if "error" in line}
    assert list(errors) == ["missing.png", "ab-broken.png", "x*.png"]
    assert errors["missing.png"] == "no such file or folder"
    assert "cannot be decoded" in errors["ab-broken.png"]
    assert all(list(line) == ["image", "error"] for line in lines if "error" in line)


def test_globs_are_sorted_and_may_be_recursive(model, faces, tmp_path):
    out = tmp_path / "out.jsonl"
    predict(model, [str(faces / "[bc].png"), str(faces / "**" / "*.jpg")], out)
    assert names_of(lines_of(out)) == ["b.png", "c.png", "d.jpg"]


def test_batches_do_not_change_scores(model, faces, tmp_path):
    for size in (1, 16):
        predict(model, [faces], tmp_path / f"{size}.jsonl", batch_size=size)
    one, many = (lines_of(tmp_path / f"{size}.jsonl") for size in (1, 16))
    assert names_of(one) == names_of(many)
    for a, b in zip(one, many, strict=True):
        if "scores" in a:
            assert a["scores"] == pytest.approx(b["scores"], abs=1e-5)


def test_standard_output_without_a_file(model, faces, capsys):
    assert predict(model, [faces / "a.png", faces / "notes.txt"]) == Summary(2, 1)
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert "scores" in first
    assert "not a PNG" in second["error"]


def test_nothing_matched_is_an_error_and_writes_nothing(model, tmp_path):
    (tmp_path / "empty").mkdir()
    for paths in ([], [tmp_path / "empty"], [tmp_path / "gone.png", str(tmp_path / "*.jpg")]):
        with pytest.raises(EmoNetFaceError, match="no images to score"):
            predict(model, paths, tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


def test_only_our_own_files_are_overwritten(model, faces, tmp_path):
    out = tmp_path / "out.jsonl"
    predict(model, [faces / "a.png"], out)
    predict(model, [faces / "ab-broken.png", faces / "b.png"], out)
    predict(model, [faces / "b.png"], out)  # over a file whose first line is an error
    assert names_of(lines_of(out)) == ["b.png"]
    labels = '{"image": "a.png", "annotator": "simulated-vlm", "scores": {}}\n'
    out.write_text(labels)
    with pytest.raises(EmoNetFaceError, match="was not made by this command"):
        predict(model, [faces / "a.png"], out)
    assert out.read_text() == labels


def test_forty_outputs_have_no_dimensions(faces, tmp_path):
    model = model_with(tmp_path / "forty", dimensions=False)
    predict(model, [faces / "a.png"], tmp_path / "out.jsonl")
    assert lines_of(tmp_path / "out.jsonl")[0]["dimensions"] is None


def test_arguments_and_models_are_checked(model, faces, tmp_path):
    with pytest.raises(EmoNetFaceError, match=r"top_k is 41, must lie in 1\.\.40"):
        predict(model, [faces], top_k=41)
    with pytest.raises(EmoNetFaceError, match="no model folder"):
        predict(tmp_path / "nothing", [faces])
    config = json.loads((model / "config.json").read_text())
    bare = tmp_path / "bare"
    bare.mkdir()
    for path in model.iterdir():
        (bare / path.name).write_bytes(path.read_bytes())
    (bare / "config.json").write_text(json.dumps(config | {"neutral_means": None}))
    with pytest.raises(EmoNetFaceError, match="no neutral_means"):
        predict(bare, [faces])
