"""Heads whose first weights lie interleaved in memory: the same numbers, files and gradients.

.venv/bin/pytest tests/test_heads_layout.py
"""

from __future__ import annotations

import copy

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from modeling_empathicinsight.configuration_empathicinsight import EmpathicInsightFaceConfig
from modeling_empathicinsight.modeling_empathicinsight import (
    EmpathicInsightFaceModel,
    EmpathicInsightHeads,
)

TOWER = {
    "hidden_size": 36,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 16,
}


def heads_of(width: int, hidden: list[int], seed: int = 0) -> EmpathicInsightHeads:
    heads = EmpathicInsightHeads(44, width, hidden, 0.1).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in heads.layers:
            layer.reset_parameters(generator)
    return heads


def is_interleaved(heads: EmpathicInsightHeads) -> bool:
    return heads.layers[0].weight.transpose(0, 1).is_contiguous()


@pytest.mark.parametrize("width", [36, 38, 37], ids=["4 parts", "2 parts", "1 part"])
@pytest.mark.parametrize("n", [0, 1, 2, 33])
def test_scores_are_the_same_in_both_layouts(width, n):
    plain = heads_of(width, [16, 8])
    other = copy.deepcopy(plain)
    other.layers[0].interleave_()
    assert is_interleaved(other)
    assert not is_interleaved(plain)
    assert other.layers[0].weight.shape == plain.layers[0].weight.shape
    assert torch.equal(other.layers[0].weight, plain.layers[0].weight)
    x = F.normalize(torch.randn(n, width, generator=torch.Generator().manual_seed(1)), dim=-1)
    torch.testing.assert_close(other(x), plain(x), atol=1e-6, rtol=0)
    assert other(x).shape == (n, 44)


def test_one_image_takes_the_short_way_and_several_do_not(monkeypatch):
    heads = heads_of(36, [16, 8])
    heads.layers[0].interleave_()
    first = type(heads.layers[0])
    taken = []
    short = first.of_one
    monkeypatch.setattr(first, "of_one", lambda *a: taken.append(1) or short(*a))
    heads(torch.randn(2, 36))
    assert not taken
    heads(torch.randn(1, 36))
    assert taken == [1]


def test_wide_heads_stay_as_they_are():
    heads = heads_of(12, [512, 8])
    heads.layers[0].interleave_()
    assert not is_interleaved(heads)
    assert heads.layers[0].of_one(torch.randn(1, 12)) is None


def test_gradients_are_the_same():
    plain = heads_of(36, [16, 8])
    other = copy.deepcopy(plain)
    other.layers[0].interleave_()
    x = torch.randn(1, 36)
    for heads in (plain, other):
        heads(x).square().sum().backward()
    for a, b in zip(plain.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_a_loaded_model_is_interleaved_and_its_file_is_not(tmp_path):
    config = EmpathicInsightFaceConfig(vision_config=TOWER)
    model = EmpathicInsightFaceModel(config).eval()
    model.save_pretrained(tmp_path / "one")
    loaded = EmpathicInsightFaceModel.from_pretrained(tmp_path / "one").eval()
    assert is_interleaved(loaded.heads)
    x = torch.randn(1, 36)
    scores = loaded(image_embeds=x).scores
    torch.testing.assert_close(scores, model(image_embeds=x).scores, atol=1e-6, rtol=0)
    loaded.save_pretrained(tmp_path / "two")
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_moving_and_casting_keep_the_layout():
    heads = heads_of(36, [16, 8])
    heads.layers[0].interleave_()
    assert is_interleaved(copy.deepcopy(heads))
    assert is_interleaved(copy.deepcopy(heads).double())
    half = copy.deepcopy(heads).bfloat16()
    assert is_interleaved(half)
    x = torch.randn(1, 36)
    torch.testing.assert_close(half(x).float(), heads(x), atol=0.02, rtol=0)


def test_an_exported_graph_takes_any_batch():
    heads = heads_of(36, [16, 8])
    heads.layers[0].interleave_()
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(heads, (torch.randn(3, 36),), dynamic_shapes=({0: batch},))
    for n in (1, 5):
        x = torch.randn(n, 36)
        torch.testing.assert_close(program.module()(x), heads(x), atol=1e-6, rtol=0)
