"""Export to ONNX: the graph against the model, what the file says of itself, what is refused.

.venv/bin/pytest tests/test_export.py
"""

from __future__ import annotations

import json
import shutil

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from toy_faces import draw_face
from toy_model import exported_model
from transformers import AutoImageProcessor, AutoModelForImageClassification, pipeline

from emonet_face.cli import main
from emonet_face.errors import EmoNetFaceError
from emonet_face.taxonomy import DIMENSIONS, EMOTIONS
from modeling_empathicinsight import export as export_module
from modeling_empathicinsight import export_graph, export_parity
from modeling_empathicinsight.backbone import fingerprint
from modeling_empathicinsight.export import export
from modeling_empathicinsight.export_parity import Pictures, compare, reference_outputs
from modeling_empathicinsight.predict_onnx import METADATA_KEY, EmpathicInsightFaceOnnx
from modeling_empathicinsight.repository import load_model

SIZE = 32


@pytest.fixture(scope="module")
def exported():
    return exported_model()


@pytest.fixture(scope="module")
def repo(exported):
    return exported.path.parent.parent


@pytest.fixture
def written_at_once(exported, monkeypatch):
    """Put the file of `exported` where a new one would be traced: for what happens around it."""
    monkeypatch.setattr(
        export_module, "write_graph", lambda *args: shutil.copyfile(exported.path, args[-1])
    )


def faces(n):
    return [
        draw_face(2 * i / n - 1, 1 - 2 * i / n, 40 + 3 * i, np.random.default_rng(i))
        for i in range(n)
    ]


@pytest.mark.parametrize("n", [1, 3, 32])
def test_the_file_gives_what_automodel_and_pipeline_give(repo, exported, n):
    images = faces(n)
    model = AutoModelForImageClassification.from_pretrained(repo, trust_remote_code=True).eval()
    processor = AutoImageProcessor.from_pretrained(repo, backend="pil")
    with torch.no_grad():
        expected = model(**processor(images=images, return_tensors="pt"))
    alone = EmpathicInsightFaceOnnx(exported.path)
    found = alone(images)
    assert {name: values.shape for name, values in found.items()} == {
        "scores": (n, 44),
        "logits": (n, 40),
        "distribution": (n, 40),
        "embedding": (n, 32),
    }
    for name in ("scores", "logits", "embedding"):
        np.testing.assert_allclose(found[name], expected[name].numpy(), atol=1e-5)
    classify = pipeline("image-classification", str(repo), trust_remote_code=True)
    for row, answers in zip(found["distribution"], classify(images, top_k=40), strict=True):
        shares = {answer["label"]: answer["score"] for answer in answers}
        np.testing.assert_allclose(row, [shares[name] for name in alone.names], atol=1e-6)


def test_pixels_are_the_stock_processors_to_the_bit(repo, exported):
    processor = AutoImageProcessor.from_pretrained(repo, backend="pil")
    alone = EmpathicInsightFaceOnnx(exported.path)
    images = [
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (h, w, 3), np.uint8))
        for i, (h, w) in enumerate([(SIZE, SIZE), (300, 200), (17, 50), (1, 9), (640, 480)])
    ]
    stock = processor(images=images, do_rescale=False, do_normalize=False, return_tensors="np")
    np.testing.assert_array_equal(
        alone.pixels(images), np.moveaxis(stock["pixel_values"], 1, -1).astype(np.uint8)
    )


def test_the_graph_refuses_what_is_not_8_bit_rows_of_rgb(exported):
    session = onnxruntime.InferenceSession(exported.path)
    (pixels,) = session.get_inputs()
    assert (pixels.name, pixels.type) == ("pixels", "tensor(uint8)")
    assert pixels.shape == ["batch", SIZE, SIZE, 3]
    right = np.zeros((1, SIZE, SIZE, 3), np.uint8)
    session.run(None, {"pixels": right})
    for wrong in (
        right.astype(np.float32),  # 0..1 or normalised: cannot be handed over at all
        np.moveaxis(right, -1, 1),  # channels first
        np.zeros((1, SIZE + 1, SIZE, 3), np.uint8),
        right[0],
    ):
        with pytest.raises(Exception, match="INVALID_ARGUMENT"):
            session.run(None, {"pixels": wrong})


def test_the_file_is_whole_and_says_what_it_is(repo, exported):
    assert exported.path == repo / "onnx" / "model.onnx"
    assert sorted(path.name for path in exported.path.parent.iterdir()) == [
        "model.onnx",
        "model.parity.json",
        "predict_onnx.py",
    ]
    data = exported.path.read_bytes()
    assert str(repo.parent).encode() not in data
    assert b"site-packages" not in data
    onnx.checker.check_model(str(exported.path), full_check=True)
    said = onnx.load(exported.path)
    assert [(entry.domain, entry.version) for entry in said.opset_import] == [("", 18)]
    model, _ = load_model(repo)
    metadata = json.loads({p.key: p.value for p in said.metadata_props}[METADATA_KEY])
    assert metadata["output_names"] == [*EMOTIONS, *(d.slug for d in DIMENSIONS)]
    assert metadata["neutral_means"] == model.config.neutral_means
    assert metadata["score_scale"] == [0, 7]
    assert (metadata["image_size"], metadata["resample_name"]) == (SIZE, "bicubic")
    assert metadata["sha256"] == fingerprint(model)
    assert metadata["dtype"] == "fp32"
    assert list(metadata["outputs"]) == [output.name for output in said.graph.output]


def test_the_parity_report_stands_beside_and_holds_what_was_measured(exported):
    report = json.loads((exported.path.parent / "model.parity.json").read_text())
    assert report["made_by"] == "emonet-face export"
    assert (report["n_pictures"], report["batch_sizes"]) == (32, [1, 3, 32])
    assert report["pictures"].startswith("drawn")
    assert [d["output"] for d in report["differences"]] == [
        "scores",
        "logits",
        "distribution",
        "embedding",
    ]
    for difference in report["differences"]:
        assert 0 < difference["mean"] < difference["largest"] < difference["tolerance"]
        assert difference["largest"] < 1e-4  # float32 noise: the tolerance is not used up
    assert report["same_top"] == 1


def test_the_drawn_pictures_are_always_the_same_and_no_two_alike():
    first, second = Pictures.of(None), Pictures.of(None)
    assert first == second
    assert len(set(first.data)) == 32


def test_differences_are_found_where_there_are_any(repo, exported):
    """Known answer: .25 added to one score of the fourth picture.

    That picture is in the batch of 32 only, so of the 44 * (1 + 3 + 32) compared scores one is off.
    """
    model, processor = load_model(repo)
    samples = Pictures.of(None)
    reference = reference_outputs(model, processor, samples)
    reference["scores"][3, 7] += 0.25
    with pytest.raises(EmoNetFaceError, match=r"fp32: scores .* up to 0\.25; at most 0\.001"):
        compare(exported.path, "fp32", reference, samples)
    reference["scores"][3, 7] = np.nan
    with pytest.raises(EmoNetFaceError, match="up to inf"):
        compare(exported.path, "fp32", reference, samples)


def test_a_file_that_is_not_the_model_is_not_kept(repo, tmp_path, written_at_once, monkeypatch):
    tight = dict.fromkeys(export_graph.OUTPUTS, 0.0)
    monkeypatch.setitem(export_parity.TOLERANCE, "fp16", tight)
    with pytest.raises(EmoNetFaceError, match="so the file was removed"):
        export(repo, tmp_path / "out" / "m.onnx", dtypes=("fp32", "fp16"))
    assert not list((tmp_path / "out").iterdir())  # not even the fp32 file, which was right


def test_only_our_own_files_are_replaced(repo, tmp_path, written_at_once, capsys):
    out = tmp_path / "m.onnx"
    arguments = ["export", "--model", str(repo), "--out", str(out)]
    assert main(arguments) == 0
    assert "fp32 against the model, drawn noise" in capsys.readouterr().out
    assert main(arguments) == 0
    for name in ("m.onnx", "m.parity.json", "predict_onnx.py"):
        kept = (tmp_path / name).read_bytes()
        (tmp_path / name).write_text("something else\n")
        assert main(arguments) == 2
        assert (tmp_path / name).read_text() == "something else\n"
        (tmp_path / name).write_bytes(kept)
    assert "exists and was not made by this command" in capsys.readouterr().err


def test_pictures_of_a_folder_are_used_when_given(repo, tmp_path, written_at_once):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index, face in enumerate(faces(31)):
        face.save(folder / f"{index}.png")
    with pytest.raises(EmoNetFaceError, match="holds 31 images; the parity report needs 32"):
        export(repo, tmp_path / "m.onnx", images=folder)
    faces(1)[0].save(folder / "last.webp")
    (done,) = export(repo, tmp_path / "m.onnx", images=folder)
    assert done.parity.pictures == "the first 32 images of a given folder"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"opset": 17}, r"opset is 17, must lie in 18\.\.23"),
        ({"dtypes": ("int8",)}, "must be of fp32, fp16"),
        ({"dtypes": ()}, "dtypes are none"),
        ({"out": "folder"}, r"must end in \.onnx"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_loaded(tmp_path, options, message):
    if "out" in options:
        options = options | {"out": tmp_path / options["out"]}
    with pytest.raises(EmoNetFaceError, match=message):
        export(tmp_path, **options)


def test_a_model_that_cannot_be_told_in_one_file_is_refused(repo, tmp_path, monkeypatch):
    out = tmp_path / "m.onnx"
    with pytest.raises(EmoNetFaceError, match="no model folder"):
        export(tmp_path / "nothing", out)
    with pytest.raises(EmoNetFaceError, match="is no folder to write into; give --out"):
        export("org/name")
    copy = shutil.copytree(repo, tmp_path / "copy", ignore=shutil.ignore_patterns("onnx"))
    for file, change, message in (
        ("config.json", {"neutral_means": None}, "no neutral_means"),
        ("preprocessor_config.json", {"do_normalize": False}, "do_normalize False; must be True"),
        ("preprocessor_config.json", {"do_pad": True}, "do_pad True; must be False"),
    ):
        before = (copy / file).read_text()
        (copy / file).write_text(json.dumps(json.loads(before) | change))
        with pytest.raises(EmoNetFaceError, match=message):
            export(copy, out)
        (copy / file).write_text(before)
    monkeypatch.setattr(export_module, "MAX_BYTES", 1000)
    with pytest.raises(EmoNetFaceError, match=r"GB of weights; one ONNX file holds at most .*fp16"):
        export(repo, out)
    assert not out.exists()


def test_a_missing_extra_names_the_line_that_installs_it(repo, monkeypatch):
    monkeypatch.setattr(export_module, "find_spec", lambda name: None)
    with pytest.raises(EmoNetFaceError, match=r"pip install 'emonet-face\[export\]'"):
        export(repo)


@pytest.mark.slow
def test_half_precision_keeps_the_heads_whole(repo, tmp_path):
    """The tower's weights are 16 bits wide, the heads' 32; scores move by under a hundredth."""
    (done,) = export(repo, dtypes=("fp16",))
    assert done.path.name == "model_fp16.onnx"
    widths = {w.name: w.data_type for w in onnx.load(done.path).graph.initializer}
    kinds = onnx.TensorProto
    tower = [kind for name, kind in widths.items() if "vision_model" in name and "bias" in name]
    heads = [kind for name, kind in widths.items() if "heads" in name]
    assert set(tower) == {kinds.FLOAT16}
    assert set(heads) == {kinds.FLOAT}
    largest = {d.output: d.largest for d in done.parity.differences}
    assert largest["scores"] < 0.01
    assert largest["embedding"] < 0.001


@pytest.mark.slow
def test_the_newest_opset_works_and_the_same_model_gives_the_same_bytes(repo, exported, tmp_path):
    (again,) = export(repo, tmp_path / "again.onnx")
    assert again.path.read_bytes() == exported.path.read_bytes()
    (newest,) = export(repo, tmp_path / "newest.onnx", opset=export_module.OPSETS[-1])
    assert [entry.version for entry in onnx.load(newest.path).opset_import] == [23]
