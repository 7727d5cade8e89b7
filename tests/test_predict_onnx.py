"""predict_onnx.py: the lines of `predict` from an exported file, without torch.

.venv/bin/pytest tests/test_predict_onnx.py
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import venv
from io import BytesIO
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from toy_faces import draw_face
from toy_model import exported_model

from emonet_face import imaging
from emonet_face.errors import EmoNetFaceError
from emonet_face.taxonomy import EMOTIONS
from modeling_empathicinsight import predict_onnx, prediction, prediction_inputs
from modeling_empathicinsight.export_parity import TOLERANCE
from modeling_empathicinsight.prediction import predict
from modeling_empathicinsight.repository import load_model

ROOT = Path(__file__).resolve().parents[1]
ORIENTATION = 0x0112
KEYS = ["image", "scores", "dimensions", "neutral_subtracted", "distribution", "top"]


@pytest.fixture(scope="module")
def exported():
    """A model repo with its ONNX folder, as it would be uploaded."""
    return exported_model().path.parent.parent


def encoded(image, kind="PNG", **options):
    stream = BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@functools.cache
def pictures():
    """Every kind of picture there are rules for: file name -> bytes."""
    rng = np.random.default_rng(0)
    face = draw_face(0.5, 0.5, 60, rng).resize((60, 44))
    alpha = face.copy()
    alpha.putalpha(Image.fromarray(rng.integers(0, 256, (44, 60), np.uint8)))
    turned = Image.Exif()
    turned[ORIENTATION] = 6
    palette = face.quantize(16)
    return {
        "plain.png": encoded(face),
        "photo.jpg": encoded(face, "JPEG"),
        "picture.webp": encoded(face, "WEBP"),
        "turned.jpg": encoded(face, "JPEG", exif=turned),
        "alpha.png": encoded(alpha),
        "alpha.webp": encoded(alpha, "WEBP"),
        "grey.png": encoded(face.convert("L")),
        "grey-alpha.png": encoded(alpha.convert("LA")),
        "bit.png": encoded(face.convert("1")),
        "palette.png": encoded(palette),
        "palette-clear.png": encoded(palette, transparency=3),
        "colour-clear.png": encoded(face, transparency=face.getpixel((5, 5))),
        "sixteen.png": encoded(Image.fromarray(rng.integers(0, 65536, (44, 60), np.uint16))),
        "cmyk.jpg": encoded(face.convert("CMYK"), "JPEG"),
        "two-views.jpg": encoded(face, "MPO", save_all=True, append_images=[face.rotate(180)]),
    }


@functools.cache
def broken():
    """Files that are no picture for us: file name -> bytes."""
    face = draw_face(0, 0, 60, np.random.default_rng(1))
    frames = [face, face.rotate(90)]
    return {
        "cut.png": encoded(face)[:300],
        "cut.jpg": encoded(face, "JPEG")[:500],
        "text.png": b"no picture",
        "empty.jpg": b"",
        "film.webp": encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:]),
        "bitmap.png": encoded(face, "BMP"),
        "huge.png": encoded(Image.new("1", (9000, 9000))),
        "vast.png": encoded(Image.new("1", (20000, 20000))),
    }


@pytest.mark.parametrize("name", pictures())
def test_pictures_are_decoded_as_the_core_decodes_them(name):
    data = pictures()[name]
    ours, core = predict_onnx.decode(data, name), imaging.decode(data, name)
    assert ours.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(core))


@pytest.mark.parametrize("name", broken())
def test_broken_files_are_refused_in_the_words_of_the_core(name):
    data = broken()[name]
    with pytest.raises(EmoNetFaceError) as core:
        imaging.decode(data, name)
    with pytest.raises(ValueError, match=r".") as ours:
        predict_onnx.decode(data, name)
    # A decoder's own words may hold an address in memory.
    assert str(ours.value).partition(" at 0x")[0] == str(core.value).partition(" at 0x")[0]
    assert "\n" not in str(ours.value)


def test_what_is_an_image_is_said_as_in_the_core():
    assert predict_onnx.IMAGE_SUFFIXES == imaging.IMAGE_SUFFIXES
    assert predict_onnx.MAX_PIXELS == imaging.MAX_PIXELS
    assert predict_onnx.MAX_FILE_BYTES == imaging.MAX_FILE_BYTES
    assert predict_onnx.MAX_BATCH == prediction.MAX_BATCH


def test_what_is_no_whole_regular_file_is_refused_as_predict_refuses_it(tmp_path, monkeypatch):
    face = draw_face(0, 0, 60, np.random.default_rng(1))
    files = {
        "no-end.png": encoded(face)[:-12],
        "changed.png": encoded(face)[:-1] + b"?",
        "no-end.jpg": encoded(face, "JPEG")[:-2],
        "large.png": encoded(face) + bytes(30_000),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    os.mkfifo(tmp_path / "pipe.png")  # nobody writes to it: opening it would wait for ever
    for module in (predict_onnx, prediction_inputs):
        monkeypatch.setattr(module, "MAX_FILE_BYTES", 30_000)
    paths = [*(tmp_path / name for name in files), tmp_path / "pipe.png", Path("/dev/zero")]
    for path in paths:
        with pytest.raises(EmoNetFaceError) as core:
            prediction_inputs.Input(str(path)).picture()
        with pytest.raises(ValueError, match=r".") as ours:
            predict_onnx.read_picture(path)
        assert str(ours.value) == str(core.value)
    assert str(ours.value) == "/dev/zero: is no regular file"
    with pytest.raises(ValueError, match=r"^face: is no regular file$"):
        predict_onnx.read_picture("/dev/zero", "face")


def make_folder(folder):
    (folder / "deep" / ".hidden").mkdir(parents=True)
    for name, data in {**pictures(), **broken()}.items():
        place = folder / "deep" if "alpha" in name else folder
        (place / name).write_bytes(data)
    (folder / "deep" / ".hidden" / "no.png").write_bytes(b"")
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_lines_are_those_of_predict(exported, tmp_path, capsys):
    folder = make_folder(tmp_path / "faces")
    paths = [folder / "plain.png", tmp_path / "missing.png", folder, f"{folder}/*.jpg"]
    paths = [*map(str, paths), f"{tmp_path}/none*"]
    out = tmp_path / "out.jsonl"
    predict(exported, paths, out, top_k=3)
    expected = [json.loads(line) for line in out.read_text().splitlines()]
    file = str(exported / "onnx" / "model.onnx")
    assert predict_onnx.main([file, *paths, "--top-k", "3", "--batch-size", "4"]) == 1
    said = capsys.readouterr()
    found = [json.loads(line) for line in said.out.splitlines()]
    assert said.err == f"{len(expected)} images, {len(broken()) + 2} unreadable\n"
    assert [line["image"] for line in found] == [line["image"] for line in expected]
    tolerance = TOLERANCE["fp32"]["distribution"]
    for ours, theirs in zip(found, expected, strict=True):
        if "error" in theirs:
            assert ours["error"].partition(" at 0x")[0] == theirs["error"].partition(" at 0x")[0]
            continue
        assert list(ours) == KEYS
        for key in KEYS[1:-1]:
            assert list(ours[key]) == list(theirs[key])
            gaps = [abs(ours[key][name] - theirs[key][name]) for name in ours[key]]
            assert max(gaps) < tolerance
        assert [name for name, _ in ours["top"]] == [name for name, _ in theirs["top"]]
        assert len(ours["top"]) == 3


def test_it_needs_neither_torch_nor_our_code(exported, tmp_path):
    """The uploaded copy, in a fresh process in which torch, transformers and we are not there."""
    draw_face(0, 0, 50, np.random.default_rng(0)).save(tmp_path / "a.png")
    blocked = ("torch", "transformers", "emonet_face", "modeling_empathicinsight", "onnx")
    program = (
        "import sys, runpy\n"
        f"sys.modules.update(dict.fromkeys({blocked!r}))\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    script = exported / "onnx" / "predict_onnx.py"
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, script, script.with_name("model.onnx"), "."],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == "1 images, 0 unreadable\n"
    assert done.returncode == 0
    line = json.loads(done.stdout)
    assert (line["image"], list(line["distribution"])) == ("a.png", list(EMOTIONS))


def test_faults_are_one_line_and_exit_code_2(exported, tmp_path, capsys):
    good = exported / "onnx" / "model.onnx"
    draw_face(0, 0, 50, np.random.default_rng(0)).save(tmp_path / "a.png")
    other = tmp_path / "other.onnx"
    x, y = (onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1]) for n in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Neg", ["x"], ["y"])], "g", [x], [y])
    opset = onnx.helper.make_opsetid("", 18)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8), other)
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(good.read_bytes()[:1000])
    for model, path, message in (
        (other, "a.png", "is the ONNX file of another model"),
        (damaged, "a.png", "is not an ONNX file that can be run"),
        (tmp_path / "a.png", "a.png", "is not an ONNX file that can be run"),
        (tmp_path / "none.onnx", "a.png", "no such file"),
        (good, "b.png", "no images to score"),
    ):
        assert predict_onnx.main([str(model), str(tmp_path / path)]) == 2
        said = capsys.readouterr()
        assert message in said.err
        assert said.err.count("\n") == 1
        assert said.out == ""
    with pytest.raises(SystemExit, match="2"):
        predict_onnx.main([str(good), "a.png", "--top-k", "41"])


def test_scores_that_are_not_finite_are_an_error_of_that_image(exported):
    model = predict_onnx.EmpathicInsightFaceOnnx(exported / "onnx" / "model.onnx")
    scores = np.zeros(44, np.float32)
    assert model.line("a", scores)["dimensions"]["arousal"] == 0
    scores[3] = np.nan
    assert model.line("a", scores) == {
        "image": "a",
        "error": "the model gives scores that are not finite",
    }


def test_a_model_without_dimensions_says_null(exported):
    model = predict_onnx.EmpathicInsightFaceOnnx(exported / "onnx" / "model.onnx")
    model.dimensions = []
    assert model.line("a", np.zeros(40))["dimensions"] is None


def test_calibrated_ratings_are_those_of_the_configuration(exported, tmp_path, capsys):
    """The same knots read by both; below the first and beyond the last the ends are taken."""
    file = exported / "onnx" / "model.onnx"
    model = predict_onnx.EmpathicInsightFaceOnnx(file)
    scores = np.random.default_rng(0).normal(1, 2, 44)
    with pytest.raises(ValueError, match="holds no calibration"):
        model.calibrate(scores)
    draw_face(0, 0, 50, np.random.default_rng(0)).save(tmp_path / "a.png")
    assert predict_onnx.main([str(file), str(tmp_path / "a.png"), "--calibrated"]) == 2
    assert "holds no calibration" in capsys.readouterr().err
    entry = {"scores": [0, 1, 3], "ratings": [0.5, 2, 6], "half_widths": [1, 1, 2.5]}
    entry |= {"alpha": 0.1, "tier": "low"}
    calibration = {"categories": dict.fromkeys(EMOTIONS, entry), "statement": "made up"}
    config = load_model(exported)[0].config
    config.calibration = model.metadata["calibration"] = calibration
    theirs, ours = config.calibrate(scores[None]), model.line("a", scores, calibrated=True)
    assert list(ours["calibrated"]) == list(EMOTIONS)
    for index, found in enumerate(ours["calibrated"].values()):
        assert found["tier"] == "low"
        for key in ("rating", "low", "high"):
            assert found[key] == pytest.approx(theirs[key][0, index], abs=1e-12)


@pytest.mark.slow
def test_it_runs_where_only_onnxruntime_numpy_and_pillow_are_installed(exported, tmp_path):
    """A clean environment: the same packages and versions, and nothing else."""
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    install = [python, "-m", "pip", "install", "-q", "-c", str(ROOT / "constraints.txt")]
    subprocess.run([*install, "onnxruntime", "numpy", "pillow"], check=True)
    folder = shutil.copytree(exported / "onnx", tmp_path / "onnx")
    draw_face(0, 0, 50, np.random.default_rng(0)).save(tmp_path / "a.png")
    absent = subprocess.run([python, "-c", "import torch"], capture_output=True, check=False)
    assert absent.returncode == 1
    done = subprocess.run(
        [python, str(folder / "predict_onnx.py"), str(folder / "model.onnx"), "a.png", "b.png"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert lines[1] == {"image": "b.png", "error": "no such file or folder"}
    out = tmp_path / "out.jsonl"
    predict(exported, [tmp_path / "a.png"], out)
    theirs = json.loads(out.read_text())["scores"]
    gaps = [abs(lines[0]["scores"][name] - theirs[name]) for name in EMOTIONS]
    assert max(gaps) < TOLERANCE["fp32"]["scores"]
