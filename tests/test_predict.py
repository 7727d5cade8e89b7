"""Scores of image files and of the faces in them: lines, their order, errors among them, tables,
calls that are cut off and taken up, what may be overwritten.

.venv/bin/pytest tests/test_predict.py
"""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from toy_faces import draw_face

from emonet_face.cli import main
from emonet_face.errors import EmoNetFaceError
from emonet_face.taxonomy import DIMENSIONS, EMOTIONS
from modeling_empathicinsight import prediction
from modeling_empathicinsight.backbone import load_backbone
from modeling_empathicinsight.face_crops import FaceBox, crop_box
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


def test_a_file_is_scored_once_however_it_is_spelled(model, faces, tmp_path, monkeypatch):
    monkeypatch.chdir(faces.parent)
    out = tmp_path / "out.jsonl"
    predict(model, ["faces/a.png", "./faces/a.png", "faces/../faces/a.png", faces / "a.png"], out)
    assert [line["image"] for line in lines_of(out)] == ["faces/a.png"]


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


def test_pipes_devices_and_links_are_left_alone(model, faces, tmp_path):
    os.mkfifo(tmp_path / "pipe.jsonl")
    os.mkfifo(faces / "pipe.png")  # nobody writes to it: opening it would wait for ever
    for out in (tmp_path / "pipe.jsonl", Path(os.devnull)):
        with pytest.raises(EmoNetFaceError, match="is no regular file"):
            predict(model, [faces / "a.png"], out)
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "real.jsonl")
    paths = [faces / "pipe.png", faces / "a.png"]
    assert predict(model, paths, tmp_path / "link.jsonl") == Summary(2, 1)
    assert (tmp_path / "link.jsonl").is_symlink()
    assert "is no regular file" in lines_of(tmp_path / "real.jsonl")[0]["error"]


def test_forty_outputs_have_no_dimensions(faces, tmp_path):
    model = model_with(tmp_path / "forty", dimensions=False)
    predict(model, [faces / "a.png"], tmp_path / "out.jsonl")
    assert lines_of(tmp_path / "out.jsonl")[0]["dimensions"] is None


def test_arguments_and_models_are_checked(model, faces, tmp_path):
    with pytest.raises(EmoNetFaceError, match=r"top_k is 41, must lie in 1\.\.40"):
        predict(model, [faces], top_k=41)
    for size in (0, 4097, 10**30):
        with pytest.raises(EmoNetFaceError, match=rf"batch_size is {size}, must lie in 1\.\.4096"):
            predict(model, [faces], batch_size=size)
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


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def scores_of(model: Path, folder: Path, *images: bytes) -> list[list[float]]:
    """The 40 scores of each picture, all in one call."""
    folder.mkdir()
    for index, data in enumerate(images):
        (folder / f"{index}.png").write_bytes(data)
    predict(model, [folder], folder / "out.jsonl")
    return [list(line["scores"].values()) for line in lines_of(folder / "out.jsonl")]


def test_a_picture_on_its_side_scores_like_the_upright_one(model, tmp_path):
    upright = draw_face(1.0, 0.0, 64, np.random.default_rng(0))
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn by 90 degrees clockwise to see it"
    sideways = upright.transpose(Image.Transpose.ROTATE_90)
    plain, marked, unmarked = scores_of(
        model, tmp_path / "x", encoded(upright), encoded(sideways, exif=exif), encoded(sideways)
    )
    assert marked == pytest.approx(plain, abs=1e-6)
    assert unmarked != pytest.approx(plain, abs=1e-4)


def test_every_kind_of_picture_scores_like_its_rgb_twin(model, tmp_path):
    """Transparency is laid over white; 16 bits are scaled, not clipped; CMYK is converted."""
    ramp = np.linspace(0, 255, 64 * 64).reshape(64, 64)
    grey = Image.fromarray(ramp.astype(np.uint8))
    clear = grey.convert("RGBA")
    clear.putalpha(0)
    pairs = {
        "grey": (encoded(grey), grey),
        "16-bit": (encoded(Image.fromarray(ramp.astype(np.uint8).astype(np.uint16) * 257)), grey),
        "palette": (encoded(grey.convert("RGB").quantize()), grey.convert("RGB").quantize()),
        "transparent": (encoded(clear), Image.new("RGB", (64, 64), "white")),
        "bilevel": (encoded(Image.new("1", (64, 64), 1)), Image.new("RGB", (64, 64), "white")),
        "cmyk": (
            encoded(Image.new("CMYK", (64, 64), (0, 255, 255, 0)), "JPEG", quality=100),
            Image.new("RGB", (64, 64), (255, 0, 0)),
        ),
        "two views": (
            encoded(
                grey.convert("RGB"), "MPO", save_all=True, append_images=[clear.convert("RGB")]
            ),
            Image.open(io.BytesIO(encoded(grey.convert("RGB"), "JPEG"))),
        ),
    }
    data = [part for odd, twin in pairs.values() for part in (odd, encoded(twin.convert("RGB")))]
    found = scores_of(model, tmp_path / "x", *data)
    # Names sort as text ("10" before "2"), so they are put back in order.
    order = sorted(range(len(data)), key=str)
    by_index = dict(zip(order, found, strict=True))
    for place, name in enumerate(pairs):
        assert by_index[2 * place] == pytest.approx(by_index[2 * place + 1], abs=1e-4), name


def test_bad_files_are_lines_and_the_rest_goes_on(model, faces, tmp_path):
    Image.new("1", (9000, 8000)).save(faces / "huge.png")
    (faces / "empty.png").write_bytes(b"")
    (faces / "text.png").write_text("no picture")
    summary = predict(model, [faces], tmp_path / "out.jsonl", batch_size=2)
    errors = {
        Path(line["image"]).name: line["error"]
        for line in lines_of(tmp_path / "out.jsonl")
        if "error" in line
    }
    assert summary == Summary(8, 4)
    assert "at most 64,000,000 allowed" in errors.pop("huge.png")
    assert set(errors) == {"ab-broken.png", "empty.png", "text.png"}


def test_a_table_holds_the_neutral_subtracted_scores(model, faces, tmp_path):
    paths = [faces, tmp_path / "gone.png"]
    assert predict(model, paths, tmp_path / "out.csv", top_k=2) == Summary(6, 2)
    predict(model, paths, tmp_path / "out.jsonl", top_k=2)
    with (tmp_path / "out.csv").open(newline="") as stream:
        reader = csv.DictReader(stream)
        rows = list(reader)
    slugs = [d.slug for d in DIMENSIONS]
    assert reader.fieldnames == ["image", *EMOTIONS, *slugs, "categories", "error"]
    for row, line in zip(rows, lines_of(tmp_path / "out.jsonl"), strict=True):
        assert row["image"] == line["image"]
        assert row["error"] == line.get("error", "")
        wanted = line.get("neutral_subtracted", dict.fromkeys(EMOTIONS))
        wanted |= line.get("dimensions", dict.fromkeys(slugs))
        for name, value in wanted.items():
            assert row[name] == ("" if value is None else repr(value))
        assert row["categories"] == "; ".join(name for name, _ in line.get("top", ()))


def test_only_our_own_tables_are_overwritten(model, faces, tmp_path):
    out = tmp_path / "out.csv"
    for _ in range(2):
        predict(model, [faces / "a.png"], out)
    out.write_text("image,score\na.png,1\n")
    with pytest.raises(EmoNetFaceError, match="was not made by this command"):
        predict(model, [faces / "a.png"], out)


@pytest.fixture
def three_faces(monkeypatch):
    """A detector that finds a face in each third of a picture, and none in a square one."""

    def find(image, detector):
        width, height = image.size
        if width == height:
            return []
        third = width // 3
        return [FaceBox(k * third, 0, (k + 1) * third, height, 3.0 - k) for k in range(3)]

    class Fake:
        name = "fake"

    monkeypatch.setattr(prediction, "find_faces", find)
    monkeypatch.setattr(prediction, "Detector", lambda path: Fake())


def test_every_face_has_a_line_and_no_face_is_a_result(model, three_faces, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    photo = Image.new("RGB", (180, 60))
    for place in range(3):
        face = draw_face(place - 1.0, 0.0, 60, np.random.default_rng(place))
        photo.paste(face, (60 * place, 0))
    photo.save(folder / "a.png")
    Image.new("RGB", (60, 60)).save(folder / "b.png")
    (folder / "c.png").write_text("no picture")
    photo.save(folder / "d.png")
    results = []
    for size in (1, 2, 16):
        out = tmp_path / f"{size}.jsonl"
        assert predict(model, [folder], out, faces=True, batch_size=size) == Summary(8, 1, 1)
        results.append(lines_of(out))
    assert names_of(results[0]) == ["a.png"] * 3 + ["b.png", "c.png"] + ["d.png"] * 3
    for lines in results:
        assert lines[3] == {
            "image": str(folder / "b.png"),
            "face": {"n_faces": 0, "detector": "fake"},
        }
        assert list(lines[4]) == ["image", "error"]
        for index, line in enumerate(lines[:3]):
            box = [60 * index, 0, 60 * index + 60, 60]
            assert line["face"] == {
                "index": index,
                "n_faces": 3,
                "detector": "fake",
                "box": box,
                "score": 3.0 - index,
                "crop": list(crop_box((180, 60), FaceBox(*box, 0.0))),
                "margin": 0.35,
            }
        assert lines[0]["scores"] == pytest.approx(results[0][0]["scores"], abs=1e-5)
    # A face's scores are those of its crop as a picture of its own.
    photo.crop(results[0][2]["face"]["crop"]).save(tmp_path / "own.png")
    predict(model, [tmp_path / "own.png"], tmp_path / "own.jsonl")
    (own,) = lines_of(tmp_path / "own.jsonl")
    assert results[0][2]["scores"] == pytest.approx(own["scores"], abs=1e-5)


def test_faces_in_a_table(model, three_faces, tmp_path):
    Image.new("RGB", (180, 60)).save(tmp_path / "a.png")
    Image.new("RGB", (60, 60)).save(tmp_path / "b.png")
    out = tmp_path / "out.csv"
    predict(model, [tmp_path / "a.png", tmp_path / "b.png"], out, faces=True)
    with out.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["face"] for row in rows] == ["0", "1", "2", ""]
    assert [row["n_faces"] for row in rows] == ["3", "3", "3", "0"]
    box = [rows[1][key] for key in ("left", "top", "right", "bottom", "face_score")]
    assert box == ["60", "0", "120", "60", "2.0"]
    assert rows[3]["Amusement"] == rows[3]["error"] == ""


def test_real_portraits_show_one_face_each(model, published, tmp_path):
    pytest.importorskip("dlib", reason="the extra `faces` is not installed")
    out = tmp_path / "out.jsonl"
    assert predict(model, [published / "images"], out, faces=True) == Summary(2, 0)
    assert [line["face"]["n_faces"] for line in lines_of(out)] == [1, 1]


def test_without_dlib_one_line_names_what_to_install(model, faces, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "dlib", None)
    assert main(["predict", "--model", str(model), str(faces), "--faces"]) == 2
    message = capsys.readouterr().err
    assert "pip install 'emonet-face[faces]'" in message
    assert message.count("\n") == 1


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_a_call_that_was_cut_off_is_taken_up(model, faces, tmp_path, monkeypatch, suffix):
    whole, out = tmp_path / f"whole.{suffix}", tmp_path / f"out.{suffix}"
    predict(model, [faces], whole, batch_size=2)
    normalise = prediction.FastPreprocessor.normalise
    calls = []

    def twice(self, *arguments):
        calls.append(arguments)
        if len(calls) > 2:
            raise KeyboardInterrupt
        return normalise(self, *arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(prediction.FastPreprocessor, "normalise", twice)
        predict(model, [faces], out, batch_size=2)
    assert not out.exists()
    summary = predict(model, [faces], out, batch_size=2)
    assert summary == Summary(5, 1, n_resumed=2)
    assert out.read_text() == whole.read_text()
    assert not list(tmp_path.glob(".*"))
    # The next call is another one: nothing is left to take up.
    assert predict(model, [faces], out).n_resumed == 0


def test_a_changed_image_or_option_starts_over(model, faces, tmp_path, monkeypatch):
    out = tmp_path / "out.jsonl"
    paths = [tmp_path / "gone.png", tmp_path / "gone too.png", faces]

    def cut_off():
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(prediction.FastPreprocessor, "normalise", stop)
            predict(model, paths, out, batch_size=1)

    def stop(*_):
        raise KeyboardInterrupt

    cut_off()
    assert predict(model, paths, out, top_k=3).n_resumed == 0
    cut_off()
    draw_face(0.5, 0.5, 44, np.random.default_rng(9)).save(faces / "c.png")
    assert predict(model, paths, out).n_resumed == 0
    cut_off()
    assert predict(model, paths, out).n_resumed == 1


def test_few_images_wait_in_memory(model, faces, monkeypatch, tmp_path):
    """However many images there are, a few batches of them are decoded ahead."""
    folder = tmp_path / "many"
    folder.mkdir()
    data = (faces / "a.png").read_bytes()
    for index in range(120):
        (folder / f"{index:03d}.png").write_bytes(data)
    n_read, most = [0], [0]
    picture, write = prediction.Input.picture, prediction.JsonLines.line

    def read(self):
        n_read[0] += 1
        return picture(self)

    def line(self, record):
        n_read[0] -= 1
        most[0] = max(most[0], n_read[0])
        return write(self, record)

    monkeypatch.setattr(prediction.Input, "picture", read)
    monkeypatch.setattr(prediction.JsonLines, "line", line)
    predict(model, [folder], tmp_path / "out.jsonl", batch_size=8)
    threads = 16
    # Two batches in work, two pictures per thread ready, one per thread in hand.
    assert 0 < most[0] <= 2 * 8 + 2 * threads + threads


def test_reduced_precision_of_the_tower_changes_little(model, faces, tmp_path):
    found = {}
    for dtype in ("float32", "bfloat16", "float16"):
        out = tmp_path / f"{dtype}.jsonl"
        predict(model, [faces / "a.png"], out, dtype=dtype, device="cpu")
        found[dtype] = list(lines_of(out)[0]["scores"].values())
    for dtype in ("bfloat16", "float16"):
        assert found[dtype] != found["float32"]
        assert found[dtype] == pytest.approx(found["float32"], abs=0.02)


def test_devices_and_precisions_are_checked(model, faces, monkeypatch):
    with pytest.raises(EmoNetFaceError, match="device is 'tpu': must be one of auto, cpu, cuda"):
        predict(model, [faces], device="tpu")
    with pytest.raises(EmoNetFaceError, match="dtype is 'int8': must be one of float32"):
        predict(model, [faces], dtype="int8")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(EmoNetFaceError, match="finds no CUDA device here; use cpu or auto"):
        predict(model, [faces], device="cuda")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a":', r"config\.json: is not valid JSON"),
        ("[1]", r"config\.json: is not a JSON object"),
        ("{}", r"config\.json: names no model_type"),
        ('{"model_type": "gpt2"}', "is a 'gpt2', not an EmpathicInsight-Face model"),
        (None, r"no model folder \(it has no config\.json\)"),
    ],
)
def test_a_broken_config_is_named(tmp_path, faces, text, message):
    folder = tmp_path / "broken"
    folder.mkdir()
    if text is not None:
        (folder / "config.json").write_text(text)
    with pytest.raises(EmoNetFaceError, match=message):
        predict(folder, [faces])


def test_the_command_tells_by_its_exit_code(model, faces, tmp_path, capsys):
    start = ["predict", "--model", str(model)]
    assert main([*start, str(faces / "a.png"), "--out", str(tmp_path / "a.csv")]) == 0
    assert main([*start, str(faces), "--out", str(tmp_path / "b.jsonl")]) == 1
    assert "5 images, 1 unreadable" in capsys.readouterr().err
    assert main([*start, str(tmp_path / "*.gif")]) == 2
    assert "the pattern matches no image" in capsys.readouterr().err
