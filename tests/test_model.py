"""The uploaded model pair: shapes, normalisation, stacked heads, loading, the pipeline.

    .venv/bin/pytest tests/test_model.py

Towers are tiny and random: what is tested is the arithmetic around them, not their quality.
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from toy_faces import draw_face
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForImageClassification,
    SiglipVisionConfig,
    pipeline,
)

from emonet_face.errors import EmoNetFaceError
from emonet_face.taxonomy import DIMENSIONS, EMOTIONS, N_EMOTIONS
from modeling_empathicinsight import configuration_empathicinsight as configuration
from modeling_empathicinsight.backbone import fingerprint, load_backbone
from modeling_empathicinsight.configuration_empathicinsight import EmpathicInsightFaceConfig
from modeling_empathicinsight.heads_training import new_heads
from modeling_empathicinsight.modeling_empathicinsight import (
    EmpathicInsightFaceForImageClassification,
    EmpathicInsightFaceModel,
)
from modeling_empathicinsight.repository import (
    load_model,
    make_config,
    output_names,
    write_model_repo,
)
from modeling_empathicinsight.tower import make_tower

TINY = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 16,
}
NEUTRAL = [0.01 * index for index in range(44)]
SMALL = [128, 32]


@pytest.fixture(scope="module")
def tower(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("model") / "tower"
    return make_tower(out, image_size=32, patch_size=16, hidden=32, layers=1, heads=2, seed=3)


@pytest.fixture(scope="module")
def repo(tower) -> Path:
    """A complete model repo with 44 outputs and random heads."""
    backbone = load_backbone(tower)
    config = make_config(backbone, output_names(True), NEUTRAL, "made up", head_size="small")
    heads = new_heads(44, 32, SMALL, 0.1, seed=5)
    out = tower.parent / "repo"
    write_model_repo(out, config, backbone, heads, {"made_by": "test"})
    return out


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


def tiny_config(**fields) -> EmpathicInsightFaceConfig:
    fields = {"vision_config": TINY, "output_names": list(EMOTIONS)} | fields
    return EmpathicInsightFaceConfig(**fields)


# --- configuration


def test_default_tower_is_so400m_patch16_384():
    # 428,256,704 parameters: counted on the architecture of the published checkpoint.
    with torch.device("meta"):
        model = EmpathicInsightFaceModel(EmpathicInsightFaceConfig())
    assert sum(p.numel() for p in model.vision_model.parameters()) == 428_256_704


@pytest.mark.parametrize(("size", "per_head"), [("small", 151_745), ("large", 1_837_057)])
def test_parameters_per_head_are_the_published_ones(size, per_head):
    # small: 1152*128+128 + 128*32+32 + 32+1; large: 1152*1024+1024 + 1024*512+512 + 512*256+256
    # + 256+1. Both as in the released state dictionaries.
    with torch.device("meta"):
        model = EmpathicInsightFaceModel(EmpathicInsightFaceConfig(head_size=size))
    assert sum(p.numel() for p in model.heads.parameters()) == N_EMOTIONS * per_head


def test_labels_are_the_taxonomy_in_canonical_order(repo):
    config = AutoConfig.from_pretrained(repo, trust_remote_code=True)
    assert [config.id2label[i] for i in range(40)] == list(EMOTIONS)
    assert config.label2id == {name: i for i, name in enumerate(EMOTIONS)}
    assert config.output_names == [*EMOTIONS, *(d.slug for d in DIMENSIONS)]
    assert config.score_scale == [0, 7]
    assert config.dimension_scales["valence"] == [-3, 3]
    assert configuration.N_EMOTIONS == N_EMOTIONS


@pytest.mark.parametrize(
    "vision", [SiglipVisionConfig(), SiglipVisionConfig(**configuration.SO400M_PATCH16_384)]
)
def test_vision_config_survives_saving_whatever_its_defaults(vision, tmp_path):
    EmpathicInsightFaceConfig(vision_config=vision).save_pretrained(tmp_path)
    loaded = EmpathicInsightFaceConfig.from_pretrained(tmp_path).vision_config
    assert loaded.to_dict() == vision.to_dict()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"output_names": list(EMOTIONS[:39])}, "39 names"),
        ({"output_names": [*EMOTIONS[:39], EMOTIONS[0]]}, "39 of them different"),
        ({"id2label": {0: "Anger"}}, "id2label"),
        ({"num_labels": 7}, "num_labels is 7"),
        ({"neutral_means": [0.0] * 39}, "39 values for 40 outputs"),
        ({"neutral_means": [float("nan")] * 40}, "finite"),
        ({"head_size": "medium"}, "small, large"),
        ({"head_size": "large", "head_hidden_sizes": [128, 32]}, "'small'"),
        ({"dimension_scales": {"valence": [-3, 3]}}, "dimension_scales"),
        ({"vision_config": TINY | {"vision_use_head": False}}, "vision_use_head"),
    ],
)
def test_wrong_configurations_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        tiny_config(**fields)


@pytest.mark.parametrize("override", [{"num_labels": 7}, {"id2label": {0: "Anger"}}])
def test_loading_with_other_labels_is_refused(repo, override):
    with pytest.raises(ValueError, match=r"num_labels|id2label"):
        AutoModel.from_pretrained(repo, trust_remote_code=True, **override)


def test_describe_has_one_sentence_per_output(repo):
    sentences = load_model(repo)[0].describe()
    assert list(sentences) == output_names(True)
    assert "0 (absent) to 7 (very strong)" in sentences["Anger"]
    assert "-3 to 3" in sentences["valence"]
    assert "0.31 on average" in sentences["Anger"]  # NEUTRAL[31]
    assert all(text.count(".") - text.count("0.") == 1 for text in sentences.values())


# --- arithmetic


def test_stacked_heads_equal_one_mlp_per_output(pixels):
    heads = new_heads(44, 32, SMALL, 0.1, seed=0)
    vectors = torch.randn(5, 32, generator=torch.Generator().manual_seed(1))
    expected = []
    for head in range(44):
        mlp = nn.Sequential(
            nn.Linear(32, 128), nn.ReLU(), nn.Linear(128, 32), nn.ReLU(), nn.Linear(32, 1)
        )
        for own, stacked in zip(mlp[::2], heads.layers, strict=True):
            own.weight.data = stacked.weight.data[head].T
            own.bias.data = stacked.bias.data[head]
        expected.append(mlp(vectors))
    torch.testing.assert_close(heads(vectors), torch.cat(expected, dim=1), atol=1e-6, rtol=0)


def test_length_of_given_embeddings_does_not_matter(repo):
    model, _ = load_model(repo)
    vectors = torch.randn(4, 32, generator=torch.Generator().manual_seed(2))
    one, seven = model(image_embeds=vectors), model(image_embeds=7 * vectors)
    torch.testing.assert_close(one.scores, seven.scores, atol=1e-6, rtol=0)
    torch.testing.assert_close(one.embedding.norm(dim=1), torch.ones(4))


def test_scores_of_images_are_scores_of_their_embeddings(repo, pixels):
    model, _ = load_model(repo)
    output = model(pixels)
    assert output.scores.shape == (3, 44)
    assert output.embedding.shape == (3, 32)
    pooled = model.vision_model(pixel_values=pixels).pooler_output
    assert not torch.allclose(pooled.norm(dim=1), torch.ones(3))  # the tower does not normalise
    torch.testing.assert_close(model(image_embeds=pooled).scores, output.scores)


def test_logits_are_scores_less_neutral_means(repo, pixels):
    model = EmpathicInsightFaceForImageClassification.from_pretrained(repo)
    output = model(pixels)
    expected = output.scores[:, :40] - torch.tensor(NEUTRAL[:40])
    torch.testing.assert_close(output.logits, expected)
    assert model(pixels, return_dict=False)[0].shape == (3, 40)


def test_exactly_one_kind_of_input(repo, pixels):
    model, _ = load_model(repo)
    with pytest.raises(ValueError, match="either pixel_values or image_embeds"):
        model()
    with pytest.raises(ValueError, match="either pixel_values or image_embeds"):
        model(pixels, torch.zeros(3, 32))
    with pytest.raises(ValueError, match=r"\(3, 31\): must be \(batch, 32\)"):
        model(image_embeds=torch.zeros(3, 31))


def test_classification_needs_neutral_means():
    with pytest.raises(ValueError, match="neutral_means is missing"):
        EmpathicInsightFaceForImageClassification(tiny_config())
    EmpathicInsightFaceModel(tiny_config())


# --- saving and loading


def test_repo_is_complete(repo):
    assert sorted(path.name for path in repo.iterdir()) == [
        "config.json",
        "configuration_empathicinsight.py",
        "model.safetensors",
        "modeling_empathicinsight.py",
        "preprocessor_config.json",
        "training.json",
    ]
    config = json.loads((repo / "config.json").read_text())
    assert config["auto_map"] == configuration.AUTO_MAP
    assert config["model_type"] == "empathicinsight_face"


def test_round_trip_changes_nothing(repo, tmp_path, pixels):
    model = AutoModel.from_pretrained(repo, trust_remote_code=True)
    model.save_pretrained(tmp_path)
    again = AutoModel.from_pretrained(tmp_path, trust_remote_code=True)
    assert (model(pixels).scores - again(pixels).scores).abs().max() == 0
    assert json.loads((tmp_path / "config.json").read_text())["auto_map"] == configuration.AUTO_MAP


def test_loaded_weights_are_the_saved_ones_bit_by_bit(repo, tower):
    # transformers builds models on the meta device: what loading forgets would be random memory.
    model = AutoModelForImageClassification.from_pretrained(repo, trust_remote_code=True)
    saved = load_file(repo / "model.safetensors")
    state = model.state_dict()
    assert state.keys() == saved.keys()
    assert all(torch.equal(state[key], saved[key]) for key in saved)
    assert fingerprint(model.vision_model) == load_backbone(tower).sha256
    positions = model.vision_model.embeddings.position_ids
    assert positions.flatten().tolist() == [0, 1, 2, 3]


def test_new_models_have_drawn_heads():
    model = EmpathicInsightFaceModel(tiny_config())
    for layer in model.heads.layers:
        bound = layer.weight.shape[1] ** -0.5
        weight = layer.weight.detach()
        assert weight.abs().max() <= bound
        assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)


@pytest.mark.parametrize("change", ["missing", "unexpected"])
def test_incomplete_or_foreign_weights_are_refused(repo, tmp_path, change):
    weights = load_file(repo / "model.safetensors")
    if change == "missing":
        del weights["heads.layers.1.bias"]
    else:
        weights["heads.layers.9.bias"] = torch.zeros(1)
    for name in ("config.json", *configuration_files()):
        (tmp_path / name).write_bytes((repo / name).read_bytes())
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=rf"1 {change} weights.*heads\.layers\.\d\.bias"):
        AutoModel.from_pretrained(tmp_path, trust_remote_code=True)


def configuration_files() -> list[str]:
    return ["configuration_empathicinsight.py", "modeling_empathicinsight.py"]


def test_heads_stay_float32_under_bfloat16(repo, pixels):
    model = AutoModel.from_pretrained(repo, trust_remote_code=True, dtype=torch.bfloat16)
    assert model.vision_model.head.probe.dtype == torch.bfloat16
    assert {p.dtype for p in model.heads.parameters()} == {torch.float32}
    output = model(pixels.bfloat16())
    assert output.scores.dtype == output.embedding.dtype == torch.float32
    exact = load_model(repo)[0](pixels).embedding
    assert (output.embedding * exact).sum(dim=1).min() > 0.999


# --- backbones


def test_every_form_of_a_tower_gives_the_same_embedding(tower, repo, tmp_path):
    from transformers import SiglipConfig, SiglipImageProcessorPil, SiglipModel

    plain = load_backbone(tower)
    text = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    full = SiglipModel(
        SiglipConfig(
            vision_config=plain.tower.config.to_dict(),
            text_config=text | {"intermediate_size": 64, "vocab_size": 50},
        )
    )
    full.vision_model.load_state_dict(plain.tower.state_dict())
    full.save_pretrained(tmp_path)
    SiglipImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    face = [draw_face(0.5, 0.0, 40, np.random.default_rng(0))]
    expected = plain.embed(face)
    for form in (tmp_path, repo):
        backbone = load_backbone(form)
        assert backbone.sha256 == plain.sha256
        torch.testing.assert_close(backbone.embed(face), expected, atol=1e-6, rtol=0)


def test_unusable_backbones_are_named(tower, tmp_path):
    with pytest.raises(EmoNetFaceError, match="no model folder"):
        load_backbone(tmp_path)
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((tower / name).read_bytes())
    with pytest.raises(EmoNetFaceError, match="no image processor"):
        load_backbone(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(
        (tower / "preprocessor_config.json").read_text().replace("32", "64")
    )
    with pytest.raises(EmoNetFaceError, match="64 x 64 pixels, the tower takes 32 x 32"):
        load_backbone(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "siglip2"}')
    with pytest.raises(EmoNetFaceError, match="'siglip2'; a fixed-resolution"):
        load_backbone(tmp_path)
    with pytest.raises(EmoNetFaceError, match="'siglip_vision_model', not an EmpathicInsight"):
        load_model(tower)


def test_tower_weights_depend_on_the_seed_alone(tower, tmp_path):
    shape = {"image_size": 32, "patch_size": 16, "hidden": 32, "layers": 1, "heads": 2}
    torch.manual_seed(99)
    before = torch.random.get_rng_state()
    make_tower(tmp_path / "same", seed=3, **shape)
    make_tower(tmp_path / "other", seed=4, **shape)
    assert torch.equal(before, torch.random.get_rng_state())
    weights = (tower / "model.safetensors").read_bytes()
    assert (tmp_path / "same" / "model.safetensors").read_bytes() == weights
    assert (tmp_path / "other" / "model.safetensors").read_bytes() != weights
    with pytest.raises(EmoNetFaceError, match="multiple"):
        make_tower(tmp_path / "odd", image_size=33, patch_size=16)


# --- the public doors


def test_pipeline_gives_the_distribution_and_the_subtracted_scores(repo):
    face = draw_face(0.7, 0.2, 50, np.random.default_rng(1))
    classify = pipeline("image-classification", model=str(repo), trust_remote_code=True)
    got = {entry["label"]: entry["score"] for entry in classify(face, top_k=40)}
    plain = classify(face, top_k=40, function_to_apply="none")
    model, processor = load_model(repo)
    scores = model(processor(images=face, return_tensors="pt")["pixel_values"]).scores
    subtracted = (scores[0, :40] - torch.tensor(NEUTRAL[:40])).detach()
    assert sum(got.values()) == pytest.approx(1, abs=1e-5)
    for index, name in enumerate(EMOTIONS):
        assert got[name] == pytest.approx(subtracted.softmax(0)[index].item(), abs=1e-6)
    for entry in plain:
        index = EMOTIONS.index(entry["label"])
        assert entry["score"] == pytest.approx(subtracted[index].item(), abs=1e-5)


def test_uploaded_code_loads_where_our_packages_are_not(repo):
    code = textwrap.dedent(
        f"""
        import sys
        class Block:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] in ("emonet_face", "modeling_empathicinsight",
                                          "eval_metrics", "generation", "dataset_scripts", "cards"):
                    raise ImportError("blocked: " + name)
        sys.meta_path.insert(0, Block())
        import torch
        from transformers import AutoImageProcessor, AutoModel
        model = AutoModel.from_pretrained({str(repo)!r}, trust_remote_code=True)
        AutoImageProcessor.from_pretrained({str(repo)!r}, backend="pil")
        scores = model(torch.zeros(2, 3, 32, 32)).scores
        print(tuple(scores.shape), len(model.describe()))
        entry = dict(scores=[0], ratings=[2], half_widths=[3], alpha=0.05, tier="low")
        names = model.config.output_names[:40]
        model.config.calibration = dict(categories=dict.fromkeys(names, entry))
        model.config.check()
        found = model.calibrate(scores)
        print([found[key].unique().tolist() for key in ("low", "rating", "high")])
        print(sum("LOW RELIABILITY" in text for text in model.describe().values()))
        """
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["(2, 44) 44", "[[0.0], [2.0], [5.0]]", "40"]


def test_other_folders_are_not_overwritten(repo, tower, tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    backbone = load_backbone(tower)
    config = make_config(backbone, output_names(False), NEUTRAL[:40], "made up")
    heads = new_heads(40, 32, SMALL, 0.1, seed=0)
    with pytest.raises(EmoNetFaceError, match="was not made by this command"):
        write_model_repo(tmp_path, config, backbone, heads, {})
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]
