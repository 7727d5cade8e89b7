"""The uploaded model in use: towers, precision, compiling, sharded files, bad input.

    .venv/bin/pytest tests/test_model_robustness.py

Towers are tiny and random; what must hold is that numbers stay equal and faults are named.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from toy_faces import draw_face
from toy_heads import write_heads
from transformers import (
    AutoModel,
    AutoModelForImageClassification,
    Siglip2ImageProcessorPil,
    Siglip2VisionConfig,
    Siglip2VisionModel,
    SiglipVisionConfig,
    pipeline,
)

from emonet_face.errors import EmoNetFaceError
from emonet_face.taxonomy import DIMENSIONS, EMOTIONS
from modeling_empathicinsight.configuration_empathicinsight import EmpathicInsightFaceConfig
from modeling_empathicinsight.conversion import convert
from modeling_empathicinsight.modeling_empathicinsight import (
    EmpathicInsightFaceForImageClassification,
    EmpathicInsightFaceModel,
)
from modeling_empathicinsight.repository import load_model
from modeling_empathicinsight.tower import make_tower

TINY = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "patch_size": 16,
}
NAFLEX = TINY | {"model_type": "siglip2_vision_model", "num_patches": 16}
OUTPUTS = [*EMOTIONS, *(d.slug for d in DIMENSIONS)]


@pytest.fixture(scope="module")
def repo(tmp_path_factory) -> Path:
    """44 Small heads, converted."""
    folder = tmp_path_factory.mktemp("robustness")
    make_tower(folder / "tower", image_size=32, patch_size=16, hidden=32, layers=2, heads=2)
    write_heads(folder / "heads")
    convert(folder / "heads", folder / "tower", folder / "repo")
    return folder / "repo"


@pytest.fixture(scope="module")
def model(repo):
    return AutoModel.from_pretrained(repo, trust_remote_code=True).eval()


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


def load(repo, **options):
    return AutoModel.from_pretrained(repo, trust_remote_code=True, **options).eval()


# --- sizes and towers


@pytest.mark.parametrize("head_size", ["small", "large"])
@pytest.mark.parametrize("n_outputs", [40, 44])
@pytest.mark.parametrize("tower", [{"image_size": 32}, {"image_size": 48, "num_channels": 1}, {}])
def test_every_size_on_any_tower(head_size, n_outputs, tower, tmp_path):
    vision = SiglipVisionConfig(**TINY | tower)
    config = EmpathicInsightFaceConfig(
        vision_config=vision,
        head_size=head_size,
        output_names=OUTPUTS[:n_outputs],
        neutral_means=[0.5] * n_outputs,
    )
    EmpathicInsightFaceForImageClassification(config).save_pretrained(tmp_path)
    loaded = AutoModelForImageClassification.from_pretrained(tmp_path, trust_remote_code=True)
    size, channels = vision.image_size, vision.num_channels
    with torch.inference_mode():
        output = loaded.eval()(torch.zeros(2, channels, size, size))
    assert output.scores.shape == (2, n_outputs)
    assert output.logits.shape == (2, 40)
    assert output.embedding.shape == (2, 32)


def test_other_kinds_of_tower_are_refused():
    with pytest.raises(ValueError, match="vision_config is a 'clip_vision_model': must be one of"):
        EmpathicInsightFaceConfig(vision_config={"model_type": "clip_vision_model"})
    with pytest.raises(ValueError, match="vision_config is a 'list'"):
        EmpathicInsightFaceConfig(vision_config=[1])


# --- NaFlex towers


@pytest.fixture(scope="module")
def naflex(tmp_path_factory) -> Path:
    config = EmpathicInsightFaceConfig(
        vision_config=NAFLEX, output_names=list(EMOTIONS), neutral_means=[0.1] * 40
    )
    out = tmp_path_factory.mktemp("naflex") / "repo"
    with torch.random.fork_rng():
        torch.manual_seed(2)
        EmpathicInsightFaceForImageClassification(config).save_pretrained(out)
    Siglip2ImageProcessorPil(max_num_patches=16).save_pretrained(out)
    return out


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_naflex_towers_load_and_agree_with_the_tower_itself(naflex, attention):
    model = load(naflex, attn_implementation=attention)
    assert isinstance(model.config.vision_config, Siglip2VisionConfig)
    assert isinstance(model.vision_model, Siglip2VisionModel)
    faces = [draw_face(0.3, 0.0, size, np.random.default_rng(size)) for size in (40, 64)]
    faces[1] = faces[1].resize((80, 30))
    inputs = Siglip2ImageProcessorPil.from_pretrained(naflex)(images=faces, return_tensors="pt")
    with torch.inference_mode():
        output = model(**inputs)
        pooled = model.vision_model(**inputs).pooler_output
        torch.testing.assert_close(output.scores, model(image_embeds=pooled).scores)
        assert model(**{key: value[:0] for key, value in inputs.items()}).scores.shape == (0, 40)


def test_naflex_towers_work_in_the_pipeline_whatever_the_shape(naflex):
    classify = pipeline("image-classification", model=str(naflex), trust_remote_code=True)
    faces = [
        draw_face(0.3, 0.0, 40, np.random.default_rng(0)).resize(s) for s in ((40, 60), (90, 30))
    ]
    one = [classify(face, top_k=40) for face in faces]
    both = classify(faces, top_k=40, batch_size=2)
    for alone, together in zip(one, both, strict=True):
        assert len(alone) == 40
        assert {e["label"]: e["score"] for e in alone} == pytest.approx(
            {e["label"]: e["score"] for e in together}, abs=1e-6
        )


def test_naflex_inputs_are_checked_and_the_commands_refuse(naflex):
    model = load(naflex)
    with pytest.raises(ValueError, match=r"\(2, 3, 32, 32\): must be \(batch, patches, 768\)"):
        model(torch.zeros(2, 3, 32, 32))
    with pytest.raises(ValueError, match="pixel_attention_mask is missing"):
        model(torch.zeros(2, 16, 768))
    with pytest.raises(EmoNetFaceError, match="has a NaFlex tower"):
        load_model(naflex)


# --- precision, attention, compiling, devices


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_attention_implementations_agree(repo, model, pixels, attention):
    other = load(repo, attn_implementation=attention)
    assert other.vision_model.config._attn_implementation == attention
    with torch.inference_mode():
        torch.testing.assert_close(other(pixels).scores, model(pixels).scores, atol=1e-6, rtol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_keeps_the_heads_in_float32(repo, model, pixels, dtype, tmp_path):
    half = load(repo, dtype=dtype)
    assert half.vision_model.embeddings.patch_embedding.weight.dtype == dtype
    assert all(
        torch.equal(a, b)
        for a, b in zip(half.heads.parameters(), model.heads.parameters(), strict=True)
    )
    with torch.inference_mode():
        output = half(pixels)  # float32 pixels are cast by the tower
        exact = model(pixels)
    assert output.scores.dtype == output.embedding.dtype == torch.float32
    assert (output.embedding * exact.embedding).sum(dim=1).min() > 0.999
    torch.testing.assert_close(output.scores, exact.scores, atol=0.02, rtol=0)
    half.save_pretrained(tmp_path)  # saved as it is: a half tower, float32 heads
    again = load(tmp_path)
    with torch.inference_mode():
        torch.testing.assert_close(again(pixels).scores, output.scores, atol=0, rtol=0)


def test_autocast_leaves_the_heads_in_float32(model, pixels):
    with torch.inference_mode():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = model(pixels)
        exact = model(image_embeds=output.embedding)
    assert output.scores.dtype == torch.float32
    assert not torch.equal(output.embedding, model(pixels).embedding)  # it did reach the tower
    torch.testing.assert_close(output.scores, exact.scores, atol=1e-6, rtol=0)


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_compiles_in_one_graph_with_equal_numbers(model, pixels, backend):
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend=backend)
    with torch.inference_mode():
        torch.testing.assert_close(compiled(pixels).scores, model(pixels).scores, atol=1e-6, rtol=0)
        # Inside a graph no value is looked at: an image that is not finite stays alone with it.
        pixels[1, 0, 0, 0] = torch.nan
        scores = compiled(pixels).scores
        assert scores[1].isnan().all()
        torch.testing.assert_close(scores[[0, 2]], model(pixels[[0, 2]]).scores, atol=1e-6, rtol=0)


def test_can_be_built_and_run_on_the_meta_device():
    with torch.device("meta"):
        model = EmpathicInsightFaceModel(EmpathicInsightFaceConfig(output_names=OUTPUTS))
        output = model(torch.zeros(2, 3, 384, 384))
    assert (output.scores.shape, output.embedding.shape) == ((2, 44), (2, 1152))


def test_loading_starts_on_the_meta_device_and_leaves_nothing_there(repo):
    for name, tensor in [*load(repo).named_parameters(), *load(repo).named_buffers()]:
        assert not tensor.is_meta, name


def test_scores_have_gradients_to_the_heads_and_the_tower(repo, pixels):
    model = load(repo)
    model(pixels).scores.sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name


# --- files


@pytest.fixture
def shards(model, repo, tmp_path) -> Path:
    model.save_pretrained(tmp_path, max_shard_size="200KB")
    shutil.copy(repo / "preprocessor_config.json", tmp_path)
    return tmp_path


def test_sharded_weights_are_the_same(shards, model, pixels):
    assert len(list(shards.glob("model-*-of-*.safetensors"))) > 2
    with torch.inference_mode():
        assert torch.equal(load(shards)(pixels).scores, model(pixels).scores)
        assert torch.equal(load_model(shards)[0](pixels).scores, model(pixels).scores)


def test_a_missing_or_broken_shard_is_named(shards):
    shard = sorted(shards.glob("model-00002-of-*.safetensors"))[0]
    data = shard.read_bytes()
    shard.unlink()
    with pytest.raises(OSError, match=shard.name):
        load(shards)
    with pytest.raises(EmoNetFaceError, match=f"the weights cannot be loaded.*{shard.name}"):
        load_model(shards)
    shard.write_bytes(data[: len(data) // 2])
    with pytest.raises(EmoNetFaceError, match="the weights cannot be loaded"):
        load_model(shards)


@pytest.mark.parametrize("ignore", [False, True])
def test_a_config_with_another_number_of_labels_is_refused(repo, tmp_path, ignore):
    shutil.copytree(repo, tmp_path, dirs_exist_ok=True)
    config = json.loads((repo / "config.json").read_text())
    config |= {"output_names": OUTPUTS[:40], "neutral_means": [0.0] * 40, "dimension_scales": {}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    message = r"has the shape \(44, 128\) in the file, but by config.json it is \(40, 128\)"
    with pytest.raises(ValueError, match=message):
        load(tmp_path, ignore_mismatched_sizes=ignore)  # never at random, even where asked for
    with pytest.raises(EmoNetFaceError, match=message):
        load_model(tmp_path)


# --- inputs


WRONG_TYPES = {
    "neutral_means": [["a"] * 44, [[1]] * 44, [None] * 44, 3],
    "output_names": [5, [[1]] * 44],
    "id2label": [["Anger"], {"x": "Anger"}, {"0": 1}],
    "label2id": [["Anger"], {"Anger": "x"}],
    "score_scale": ["ab", [1], None, [7, 0], [0, float("inf")]],
    "dimension_scales": [5, {"valence": [0]}, {"valence": ["a", "b"]}],
    "head_hidden_sizes": ["ab", [], [0, 0], [128.5]],
    "head_dropout": [5, "a", None],
}


@pytest.mark.parametrize(("field", "value"), [(k, v) for k in WRONG_TYPES for v in WRONG_TYPES[k]])
def test_config_fields_of_another_type_are_named(model, field, value):
    fields = {"vision_config": TINY, "output_names": OUTPUTS}
    with pytest.raises(ValueError, match=f"^{field} is .*: must be "):
        EmpathicInsightFaceConfig(**fields | {field: value})
    config = EmpathicInsightFaceConfig(**fields)  # and where it is set afterwards
    vars(config)[field] = value
    with pytest.raises(ValueError, match=f"^{field} is .*: must be "):
        EmpathicInsightFaceModel(config)


def changed(repo: Path, out: Path, change) -> Path:
    """A copy of a model repo with another config.json."""
    shutil.copytree(repo, out)
    fields = json.loads((out / "config.json").read_text())
    change(fields)
    (out / "config.json").write_text(json.dumps(fields))
    return out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(neutral_means=3), "neutral_means is 3: must be a list of numbers"),
        (lambda c: c["vision_config"].update(patch_size="a"), "vision_config cannot be used"),
        (lambda c: c["vision_config"].update(hidden_size=-1), "cannot be loaded"),
    ],
)
def test_the_commands_name_an_unusable_config_in_one_line(repo, tmp_path, change, message):
    folder = changed(repo, tmp_path / "changed", change)
    with pytest.raises(EmoNetFaceError, match=message) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


def test_the_commands_refuse_outputs_in_another_order(repo, tmp_path):
    def swap(fields):
        names = fields["output_names"]
        names[0], names[31] = names[31], names[0]
        fields["id2label"] = {str(i): name for i, name in enumerate(names[:40])}
        fields["label2id"] = {name: i for i, name in enumerate(names[:40])}

    folder = changed(repo, tmp_path / "swapped", swap)
    assert load(folder).config.output_names[0] == EMOTIONS[31]  # which names them, so it may
    with pytest.raises(EmoNetFaceError, match=rf"output_names\[0\] is '{EMOTIONS[31]}', but"):
        load_model(folder)


def test_no_image_gives_no_row(model, repo):
    classifier = AutoModelForImageClassification.from_pretrained(repo, trust_remote_code=True)
    output = classifier(torch.zeros(0, 3, 32, 32))
    assert (output.logits.shape, output.scores.shape) == ((0, 40), (0, 44))
    assert (output.embedding.shape, output.embedding.dtype) == ((0, 32), torch.float32)
    assert model(image_embeds=torch.zeros(0, 32)).scores.shape == (0, 44)


@pytest.mark.parametrize(
    "given",
    [[0.5, 0.5], Image.new("RGB", (32, 32)), np.zeros((1, 3, 32, 32), np.float32)],
    ids=["list", "picture", "array"],
)
def test_what_is_no_tensor_is_named(model, given):
    kind = type(given).__name__
    for call in (model, model.embed):
        with pytest.raises(ValueError, match=f"^pixel_values is a {kind}: give the tensor that "):
            call(given)
    with pytest.raises(ValueError, match=f"^image_embeds is a {kind}: give the tensor that "):
        model(image_embeds=given)


@pytest.mark.parametrize(
    "shape", [(2, 3, 48, 48), (2, 3, 32, 31), (2, 1, 32, 32), (3, 32, 32), (2, 32, 32, 3)]
)
def test_wrong_sizes_are_named(model, shape):
    message = f"{shape}: must be (batch, 3, 32, 32), as the image processor".replace("(", r"\(")
    with pytest.raises(ValueError, match=message.replace(")", r"\)")):
        model(torch.zeros(shape))


def test_keywords_that_would_be_passed_over_are_refused(model, pixels):
    for keyword in ("labels", "pixel_value"):
        with pytest.raises(ValueError, match=f"^'{keyword}' is no argument of the model"):
            model(pixels, **{keyword: torch.zeros(3)})
    assert isinstance(model(pixels, output_hidden_states=True, return_dict=False), tuple)


def test_other_sizes_can_be_asked_for(model):
    output = model(torch.zeros(2, 3, 48, 64), interpolate_pos_encoding=True)
    assert output.scores.shape == (2, 44)
    with pytest.raises(ValueError, match=r"must be \(batch, 3, height, width\)"):
        model(torch.zeros(2, 1, 48, 64), interpolate_pos_encoding=True)


def test_unnormalised_bytes_are_refused(model):
    with pytest.raises(ValueError, match=r"torch.uint8: must be floats, normalised"):
        model(torch.zeros(2, 3, 32, 32, dtype=torch.uint8))


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_values_that_are_not_finite_are_named(model, pixels, bad):
    pixels[2, 1, 5, 5] = bad
    with pytest.raises(ValueError, match=r"pixel_values\[2\] holds values that are not finite"):
        model(pixels)
    embeds = torch.ones(4, 32)
    embeds[1:3, 0] = bad
    with pytest.raises(ValueError, match=r"image_embeds\[1\] .* not finite \(2 of 4 do\)"):
        model(image_embeds=embeds)
