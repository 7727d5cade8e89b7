"""`convert`: released head files -> a model repo; equal numbers behind every door; bad files.

    .venv/bin/pytest tests/test_conversion.py

The head files are made here, in the released format and with random weights.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_faces import draw_face
from toy_heads import path_of, write_heads
from transformers import AutoModel, AutoModelForImageClassification, pipeline

from cards.render import render_card
from emonet_face.cli import main
from emonet_face.errors import EmoNetFaceError
from emonet_face.taxonomy import DIMENSIONS, EMOTIONS
from modeling_empathicinsight.backbone import load_backbone
from modeling_empathicinsight.conversion import convert
from modeling_empathicinsight.released_heads import read_heads
from modeling_empathicinsight.tower import make_tower

WIDTH = 32
OUTPUTS = [*EMOTIONS, *(d.slug for d in DIMENSIONS)]


@pytest.fixture(scope="module")
def tower(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("conversion") / "tower"
    return make_tower(out, image_size=32, patch_size=16, hidden=WIDTH, layers=1, heads=2)


@pytest.fixture(scope="module")
def converted(tower):
    """(44 heads by name, repo made of their files)."""
    heads = write_heads(tower.parent / "small")
    convert(tower.parent / "small", tower, tower.parent / "repo")
    return heads, tower.parent / "repo"


@pytest.fixture
def files(tmp_path) -> Path:
    """A fresh folder of 44 Small head files, to be spoilt."""
    write_heads(tmp_path / "heads")
    return tmp_path / "heads"


def embeddings(n: int = 6) -> torch.Tensor:
    drawn = torch.randn(n, WIDTH, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.normalize(drawn, dim=1)


def separate(heads, vectors: torch.Tensor) -> torch.Tensor:
    """(n, outputs) by one module after the other, in the order of OUTPUTS."""
    with torch.inference_mode():
        return torch.cat([heads[name](vectors) for name in OUTPUTS if name in heads], dim=1)


# --- equal numbers


@pytest.mark.parametrize(("size", "outputs"), [("small", 44), ("small", 40), ("large", 40)])
def test_equals_separate_modules(size, outputs, tower, tmp_path):
    heads = write_heads(tmp_path / "heads", size, outputs=outputs, seed=7)
    neutral = tmp_path / "neutral.json"
    neutral.write_text(json.dumps(dict.fromkeys(OUTPUTS[:outputs], 0.25)))
    record = convert(tmp_path / "heads", tower, tmp_path / "repo", neutral=neutral)
    assert (record["size"], record["outputs"]) == (size, outputs)
    model = AutoModel.from_pretrained(tmp_path / "repo", trust_remote_code=True)
    vectors = embeddings()
    with torch.inference_mode():
        got = model(image_embeds=vectors).scores
    torch.testing.assert_close(got, separate(heads, vectors), atol=1e-6, rtol=0)
    assert model.config.output_names == OUTPUTS[:outputs]
    assert model.config.head_size == size


def test_every_door_gives_the_same_numbers(converted, tower, tmp_path):
    heads, repo = converted
    faces = [draw_face(i / 2 - 1, 0.1, 40, np.random.default_rng(i)) for i in range(4)]
    for index, face in enumerate(faces):
        face.save(tmp_path / f"{index}.png")
    expected = separate(heads, load_backbone(tower).embed(faces)).numpy()

    model = AutoModel.from_pretrained(repo, trust_remote_code=True)
    classify = pipeline("image-classification", model=str(repo), trust_remote_code=True)
    with torch.inference_mode():
        direct = model(**classify.image_processor(faces, return_tensors="pt")).scores.numpy()
    np.testing.assert_allclose(direct, expected, atol=1e-6)

    out = tmp_path / "out.jsonl"
    assert main(["predict", "--model", str(repo), str(tmp_path), "--out", str(out)]) == 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    scores = [[*line["scores"].values(), *line["dimensions"].values()] for line in lines]
    # predict may shrink pictures its own way: within 1/255 of the stock processor's pixels.
    np.testing.assert_allclose(scores, expected, atol=2e-3)

    answers = classify(faces, top_k=40, function_to_apply="none")
    for answer, row in zip(answers, expected, strict=True):
        logits = {entry["label"]: entry["score"] for entry in answer}
        for index, name in enumerate(EMOTIONS):
            assert logits[name] == pytest.approx(
                row[index] - model.config.neutral_means[index], abs=1e-5
            )


@pytest.mark.slow
def test_onnxruntime_gives_the_same_numbers(converted, tower, tmp_path):
    pytest.importorskip("onnxruntime", reason="needs the extra `export`")
    from modeling_empathicinsight.export import export
    from modeling_empathicinsight.predict_onnx import EmpathicInsightFaceOnnx

    heads, repo = converted
    (written,) = export(repo, tmp_path / "model.onnx")
    faces = [draw_face(i - 1, 0.1, 40, np.random.default_rng(i)) for i in range(3)]
    paths = [tmp_path / f"{index}.png" for index in range(3)]
    for face, path in zip(faces, paths, strict=True):
        face.save(path)
    expected = separate(heads, load_backbone(tower).embed(faces)).numpy()
    answer = EmpathicInsightFaceOnnx(str(written.path))([str(path) for path in paths])
    np.testing.assert_allclose(answer["scores"], expected, atol=1e-5)


def test_the_command_reports_and_the_card_can_be_made(files, tower, tmp_path, capsys):
    out = tmp_path / "repo"
    command = ["convert", "--heads", str(files), "--backbone", str(tower), "--out", str(out)]
    assert main([*command, "--size", "small"]) == 0
    text = capsys.readouterr().out
    assert "small heads, 44 outputs" in text
    assert "ferd.jsonl" in text
    assert "not known: which Small checkpoint" in text
    assert main(command) == 0  # a model repo of ours is replaced
    card = render_card(out).read_text()
    assert "EmpathicInsight-Face Small" in card
    assert str(tmp_path) not in card + (out / "training.json").read_text()
    AutoModelForImageClassification.from_pretrained(out, trust_remote_code=True)


def test_files_are_recorded_by_their_hash(files, tower, tmp_path):
    record = convert(files, tower, tmp_path / "repo")
    assert list(record["head_files_sha256"]) == OUTPUTS
    assert json.loads((tmp_path / "repo" / "training.json").read_text()) == record


def test_half_precision_files_become_float32(files, tower, tmp_path):
    path = path_of(files, "Anger")
    state = {key: value.half() for key, value in torch.load(path, weights_only=True).items()}
    torch.save(state, path)
    layers = read_heads(files).states[EMOTIONS.index("Anger")]
    assert all(tensor.dtype == torch.float32 for layer in layers for tensor in layer)
    torch.testing.assert_close(layers[0][0], state["layers.0.weight"].float())


# --- neutral means


def test_published_means_are_those_of_the_published_outputs(converted):
    # raw - mean_subtracted of eval/results/ferd.jsonl, to the six decimals that are reported.
    config = AutoModel.from_pretrained(converted[1], trust_remote_code=True).config
    means = dict(zip(config.output_names, config.neutral_means, strict=True))
    assert means["Affection"] == 1.272224
    assert means["Concentration"] == 4.073406
    assert means["Intoxication/Altered States of Consciousness"] == 0.004028
    assert means["valence"] == -0.152978
    assert len(means) == 44


def test_published_means_agree_with_the_published_rows(published, converted):
    path = published / "ferd_first80.jsonl"
    if not path.is_file():
        pytest.skip(f"no {path.name} in the published data")
    config = AutoModel.from_pretrained(converted[1], trust_remote_code=True).config
    slugs = {name: path_of(Path(), name).stem for name in OUTPUTS}
    for line in path.read_text().splitlines():
        results = json.loads(line)["results"]
        for name, mean in zip(config.output_names, config.neutral_means, strict=True):
            row = results[slugs[name]]
            assert row["raw"] - row["mean_subtracted"] == pytest.approx(mean, abs=5.1e-7)


def test_forty_small_heads_take_forty_of_the_published_means(tower, tmp_path):
    write_heads(tmp_path / "heads", outputs=40)
    convert(tmp_path / "heads", tower, tmp_path / "repo")
    config = json.loads((tmp_path / "repo" / "config.json").read_text())
    assert config["neutral_means"][0] == 0.336076
    assert len(config["neutral_means"]) == 40


def test_large_needs_means(tower, tmp_path):
    write_heads(tmp_path / "heads", "large", outputs=40)
    with pytest.raises(EmoNetFaceError, match="no neutral means are published for large heads"):
        convert(tmp_path / "heads", tower, tmp_path / "repo")
    assert not (tmp_path / "repo").exists()


def test_means_of_neutral_faces_are_mean_scores(converted, tower, files, tmp_path):
    heads, _ = converted
    faces = [draw_face(0.0, 0.0, 40, np.random.default_rng(i)) for i in range(3)]
    (tmp_path / "faces" / "deep").mkdir(parents=True)
    for index, face in enumerate(faces):
        face.save(tmp_path / "faces" / "deep" / f"{index}.png")
    record = convert(files, tower, tmp_path / "repo", neutral=tmp_path / "faces")
    assert record["neutral_source"].startswith("mean raw score over 3 pictures of neutral faces")
    config = json.loads((tmp_path / "repo" / "config.json").read_text())
    expected = separate(heads, load_backbone(tower).embed(faces)).mean(dim=0)
    assert config["neutral_means"] == pytest.approx(expected.tolist(), abs=1e-6)


def test_a_picture_that_cannot_be_read_is_named_and_not_passed_over(files, tower, tmp_path):
    faces = tmp_path / "faces"
    faces.mkdir()
    with pytest.raises(EmoNetFaceError, match="holds no picture of a neutral face"):
        convert(files, tower, tmp_path / "repo", neutral=faces)
    draw_face(0.0, 0.0, 40, np.random.default_rng(0)).save(faces / "a.png")
    (faces / "b.png").write_bytes((faces / "a.png").read_bytes()[:99])
    with pytest.raises(EmoNetFaceError, match=r"b\.png: "):
        convert(files, tower, tmp_path / "repo", neutral=faces)


def test_means_of_embeddings_need_the_same_tower(files, tower, tmp_path):
    from toy_faces import write_toy_repo

    from modeling_empathicinsight.embedding import embed

    write_toy_repo(tmp_path / "data", big=4, binary=0)
    embed(tmp_path / "data", "big", tower, tmp_path / "e.parquet")
    record = convert(files, tower, tmp_path / "repo", neutral=tmp_path / "e.parquet")
    assert "4 embeddings" in record["neutral_source"]
    other = make_tower(
        tmp_path / "other", image_size=32, patch_size=16, hidden=WIDTH, layers=1, heads=2, seed=9
    )
    with pytest.raises(EmoNetFaceError, match=r"were made with .* give the tower that made them"):
        convert(files, other, tmp_path / "repo2", neutral=tmp_path / "e.parquet")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[1]", "a JSON object"),
        ('{"anger": 1}', "'Amusement' is missing"),
        ('{"anger": 1, "Anger": 2}', "'Anger' is given twice"),
        ('{"anger": 1, "anger": 2}', "'Anger' is given twice"),
        ('{"joy": 1}', "unknown"),
        ("all but NaN", "'Amusement' is nan; must be a finite number"),
        ("all but true", "'Amusement' is True; must be a finite number"),
    ],
)
def test_wrong_means_are_named(text, message, files, tower, tmp_path):
    if text.startswith("all but"):
        text = json.dumps(dict.fromkeys(OUTPUTS, 0.5)).replace("0.5", text.split()[-1], 1)
    path = tmp_path / "neutral.json"
    path.write_text(text)
    with pytest.raises(EmoNetFaceError, match=message):
        convert(files, tower, tmp_path / "repo", neutral=path)
    assert not (tmp_path / "repo").exists()


def test_means_beyond_the_heads_are_named(tower, tmp_path):
    write_heads(tmp_path / "heads", outputs=40)
    path = tmp_path / "neutral.json"
    path.write_text(json.dumps(dict.fromkeys(OUTPUTS, 0.5)))
    with pytest.raises(EmoNetFaceError, match="'arousal' is not an output of the heads"):
        convert(tmp_path / "heads", tower, tmp_path / "repo", neutral=path)


@pytest.mark.parametrize(
    ("name", "message"), [("gone.json", "no such file"), ("notes.txt", "come from a .json file")]
)
def test_other_sources_of_means_are_named(name, message, files, tower, tmp_path):
    (tmp_path / "notes.txt").write_text("0.5")
    with pytest.raises(EmoNetFaceError, match=message):
        convert(files, tower, tmp_path / "repo", neutral=tmp_path / name)


# --- bad files


class Explosive:
    """Unpickling this object makes a folder, where unpickling is let run code."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_with_code_is_refused_without_running_it(legacy, files, tmp_path, monkeypatch):
    # The variable would turn the check off where `weights_only` is not given explicitly.
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    mark = tmp_path / "was-run"
    path = path_of(files, "Fear")
    torch.save(
        {"layers.0.weight": Explosive(mark)}, path, _use_new_zipfile_serialization=not legacy
    )
    with pytest.raises(EmoNetFaceError, match=r"fear_best\.pth: refused") as caught:
        read_heads(files)
    assert "nothing in it was run" in str(caught.value)
    assert f"it calls for {os.mkdir.__module__}.mkdir" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not mark.exists()
    torch.load(path, weights_only=False)  # the file is a real attack: this does run it
    assert mark.exists()


def change(path: Path, edit) -> None:
    state = torch.load(path, weights_only=True)
    torch.save(edit(state) or state, path)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda s: s.pop("layers.3.bias") is None, "lacks the key 'layers.3.bias'; a small head"),
        (lambda s: s.update(extra=torch.zeros(1)), "holds the extra key 'extra'"),
        (
            lambda s: s.update({"layers.6.weight": torch.zeros(2, 32)}),
            r"layers.6.weight has the shape \(2, 32\); in a small head it is \(1, 32\)",
        ),
        (
            lambda s: s.update({"layers.0.weight": torch.zeros(128)}),
            r"\(128,\); in a small head it is \(128, width of the embedding\)",
        ),
        (
            lambda s: s.update({"layers.3.bias": torch.full((32,), torch.nan)}),
            "layers.3.bias holds values that are not finite",
        ),
        (
            lambda s: s.update({"layers.3.bias": torch.zeros(32, dtype=torch.int64)}),
            "layers.3.bias: is a torch.int64; a dense tensor of floats",
        ),
        (
            lambda s: s.update({"layers.3.bias": torch.full((32,), 1e300, dtype=torch.float64)}),
            "layers.3.bias holds values that are not finite in float32",
        ),
        (
            lambda s: s.update({"layers.3.bias": torch.zeros(32).to(torch.float8_e4m3fn)}),
            "layers.3.bias: is a torch.float8_e4m3fn; a dense tensor of floats of 16, 32 or 64",
        ),
        (lambda s: s.update({"layers.3.bias": [0.0] * 32}), "layers.3.bias: is a list"),
        (
            lambda s: s.update({"layers.3.bias": torch.zeros(32, device="meta")}),
            "layers.3.bias: is a torch.float32; a dense tensor",
        ),
        (lambda s: [1.0], "holds a list; a state dictionary"),
        (lambda s: {"state_dict": s}, "lacks the key 'layers.0.bias'"),
    ],
)
def test_wrong_contents_are_named(edit, message, files):
    path = path_of(files, "Pain")
    change(path, edit)
    with pytest.raises(EmoNetFaceError, match=message) as caught:
        read_heads(files)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 half a zip", b"\x80\x02not a pickle", b"{}"])
def test_damaged_files_are_named(data, files):
    path = path_of(files, "Pain")
    path.write_bytes(data)
    with pytest.raises(EmoNetFaceError, match=r"pain_best\.pth: cannot be read as"):
        read_heads(files)
    whole = path_of(files, "Anger").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(EmoNetFaceError, match=r"pain_best\.pth: cannot be read as"):
        read_heads(files)


def test_a_folder_in_place_of_a_file_is_named(files):
    path = path_of(files, "Pain")
    path.unlink()
    path.mkdir()
    with pytest.raises(EmoNetFaceError, match=r"pain_best\.pth: is no regular file"):
        read_heads(files)


def test_missing_doubled_and_foreign_files_are_named(files, tmp_path):
    (files / "README.md").write_text("left alone")
    path_of(files, "Anger").rename(tmp_path / "away.pth")
    with pytest.raises(EmoNetFaceError, match="no head file for 1 of the 44 outputs, 'Anger'"):
        read_heads(files)
    (tmp_path / "away.pth").rename(path_of(files, "Anger"))
    path_of(files, "valence").unlink()
    with pytest.raises(EmoNetFaceError, match="'valence' the first; 40 categories and none or all"):
        read_heads(files)
    for slug in ("arousal", "dominance", "emotional_vulnerability"):
        path_of(files, slug).unlink()
    assert len(read_heads(files).names) == 40

    double = files / "model_hopelessness_best.pth"  # an alias of Helplessness in published votes
    shutil.copy(path_of(files, "Anger"), double)
    with pytest.raises(EmoNetFaceError, match="both the head of 'Helplessness'"):
        read_heads(files)
    double.rename(files / "model_joy_best.pth")
    with pytest.raises(EmoNetFaceError, match="unknown"):
        read_heads(files)
    (files / "model_joy_best.pth").rename(files / "anger.pth")
    with pytest.raises(EmoNetFaceError, match=r"anger\.pth: not a head by its name"):
        read_heads(files)


def test_sizes_and_widths_must_agree(files, tower, tmp_path):
    with pytest.raises(EmoNetFaceError, match="are small by their shapes, but --size says large"):
        read_heads(files, "large")
    with pytest.raises(EmoNetFaceError, match="medium"):
        convert(files, tower, tmp_path / "repo", size="medium")
    write_heads(tmp_path / "large", "large", outputs=1)
    shutil.copy(path_of(tmp_path / "large", "Amusement"), path_of(files, "Fear"))
    with pytest.raises(
        EmoNetFaceError, match=r"fear_best\.pth: the size is large, that of model_a"
    ):
        read_heads(files)
    write_heads(tmp_path / "wide", width=48)
    shutil.copy(path_of(tmp_path / "wide", "Fear"), path_of(files, "Fear"))
    with pytest.raises(EmoNetFaceError, match=r"fear_best\.pth: the embedding width is 48"):
        read_heads(files)
    with pytest.raises(EmoNetFaceError, match=r"take embeddings of 48 numbers, but .* gives 32"):
        convert(tmp_path / "wide", tower, tmp_path / "repo")


def test_empty_and_missing_folders(tower, tmp_path):
    with pytest.raises(EmoNetFaceError, match="no such folder"):
        convert(tmp_path / "gone", tower, tmp_path / "repo")
    (tmp_path / "empty").mkdir()
    with pytest.raises(EmoNetFaceError, match=r"holds no model_<slug>_best\.pth"):
        convert(tmp_path / "empty", tower, tmp_path / "repo")


def test_other_folders_are_not_overwritten(files, tower):
    with pytest.raises(EmoNetFaceError, match="was not made by this command"):
        convert(files, tower, files)


def test_a_bad_file_ends_the_command_in_one_line(files, tower, tmp_path, capsys):
    path_of(files, "Fear").write_bytes(b"junk")
    command = ["convert", "--heads", str(files), "--backbone", str(tower)]
    assert main([*command, "--out", str(tmp_path / "repo")]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "model_fear_best.pth" in err
    assert not (tmp_path / "repo").exists()
