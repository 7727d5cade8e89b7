"""The model's benchmarks: they compare equals, count right, and run where there is no GPU.

.venv/bin/pytest tests/test_bench_model.py
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import torch

from modeling_empathicinsight.configuration_empathicinsight import EmpathicInsightFaceConfig

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


def script(name: str):
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def cpu():
    return script("bench_model")


@pytest.fixture(scope="module")
def gpu():
    return script("bench_model_gpu")


def test_both_sides_of_the_heads_are_the_same_regressors(cpu):
    modules = cpu.published_heads("small")
    x = torch.randn(3, 1152)
    with torch.inference_mode():
        torch.testing.assert_close(
            cpu.stacked(modules, "small")(x), cpu.loop(modules, x), atol=1e-5, rtol=0
        )
    # By arithmetic: 1152 * 128 + 128, 128 * 32 + 32, 32 + 1.
    assert sum(p.numel() for p in modules[0].parameters()) == 151_745


def test_both_sides_of_loading_give_the_same_heads(cpu, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cpu, "HIDDEN_SIZES", {"small": [128, 32]})
    cpu.bench_loading(tmp_path, 1)
    assert "loading, small" in capsys.readouterr().out
    assert len(list(tmp_path.glob("*.pth"))) == 40


def test_preprocessing_is_compared_on_one_picture(cpu, capsys):
    cpu.bench_preprocessing(1, side=256, size=64)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert all("grey levels" in line for line in lines[1::2])


def test_turns_are_taken_after_an_unmeasured_one(cpu):
    taken = []
    seconds = cpu.turns({"a": lambda: taken.append("a"), "b": lambda: taken.append("b")}, 2)
    assert taken == ["a", "b"] * 3
    assert set(seconds) == {"a", "b"}


def test_the_work_of_the_published_tower_by_formula(gpu):
    """Per token and layer 2 (4 * 1152^2 + 2 * 1152 * 4304), and 4 * 576 * 1152 for attention; 576
    tokens, 27 layers; patches, pooling and heads are a hundredth of it."""
    by_hand = 27 * 576 * (2 * (4 * 1152**2 + 2 * 1152 * 4304) + 4 * 576 * 1152)
    assert by_hand < gpu.operations(EmpathicInsightFaceConfig()) < 1.01 * by_hand
    assert by_hand == pytest.approx(0.51e12, rel=0.02)


def test_the_formula_agrees_with_torchs_counter(gpu):
    bench = gpu.Bench("cpu", 1)
    with torch.inference_mode():
        model = gpu.build(bench, "tiny")
        gpu.counted(bench, model, torch.randn(1, 3, 32, 32).bfloat16())
    formula, counter = bench.results.values()
    assert formula == pytest.approx(counter, rel=0.01)


def test_the_gpu_script_runs_small_on_a_cpu(gpu, tmp_path):
    out = tmp_path / "result.json"
    command = ["--device", "cpu", "--tower", "tiny", "--batches", "2", "1", "--side", "64"]
    assert gpu.main([*command, "--no-compile", "--out", str(out)]) == 0
    results = json.loads(out.read_text())
    assert not [key for key in results if "failed" in key]
    for key in (
        "measured peak, TFLOP/s",
        "batch 2, as it is, images/s",
        "batch 1, as it is, share of peak",
        "decoding alone, 64 px, batch 2, images/s",
        "decoding and the model, 64 px, batch 2, images/s",
    ):
        assert results[key] > 0
    assert results["pixels, ours and Pillow's, grey levels"] <= 1.001


def test_a_part_that_fails_is_told_and_the_rest_runs(gpu, capsys):
    bench = gpu.Bench("cpu", 1)
    with bench.part("one"):
        raise RuntimeError("no such kernel")
    assert bench.results == {"one, failed": "RuntimeError: no such kernel"}
    assert "no such kernel" in capsys.readouterr().out


def test_without_a_gpu_one_line_says_so(gpu, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main([]) == 3
    assert capsys.readouterr().out.count("\n") == 1
