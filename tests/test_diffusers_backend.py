"""Real diffusers pipelines, tiny and random: runs, records, the same image again, faults.

pytest tests/test_diffusers_backend.py
"""

from __future__ import annotations

import json
import logging
import os
from importlib.metadata import version
from types import SimpleNamespace

os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")  # read at import; prompts are cut, it says

import numpy as np
import pytest

pytest.importorskip("diffusers")
import torch
from PIL import Image
from tiny_pipelines import KINDS, OPTIONS, save

from dataset_scripts.big import build_big
from emonet_face.cli import main
from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import decode
from generation.backends import OutOfMemory
from generation.diffusers_backend import DiffusersBackend
from generation.diffusers_models import fingerprint
from generation.marking import read_mark
from generation.prompts import prompt_record
from generation.run import generate
from generation.run_folder import Run
from generation.sidecars import read_sidecar

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Kind -> folder of a saved pipeline."""
    root = tmp_path_factory.mktemp("pipelines")
    return {kind: save(kind, root / f"Tiny.{kind}") for kind in KINDS}


def backend_of(folders, kind, **settings):
    defaults = {"steps": 2, "batch_size": 2, "options": OPTIONS[kind]}
    return DiffusersBackend(str(folders[kind]), **(defaults | settings))


@pytest.fixture(scope="module")
def runs(folders, tmp_path_factory):
    """Kind -> (backend, run folder of 5 images)."""
    root = tmp_path_factory.mktemp("runs")
    made = {}
    for kind in KINDS:
        backend = backend_of(folders, kind)
        made[kind] = backend, generate(5, root / kind, backend=backend, size=64)
    return made


PIPELINES = {
    "flux": ("FluxPipeline", "FlowMatchEulerDiscreteScheduler", 3.5),
    "sd3": ("StableDiffusion3Pipeline", "FlowMatchEulerDiscreteScheduler", 7.0),
    "sdxl": ("StableDiffusionXLPipeline", "EulerDiscreteScheduler", 5.0),
}
"""Class, its scheduler here, and its own guidance."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_real_pipeline_fills_a_run(kind, runs, folders):
    _, out = runs[kind]
    pipeline, scheduler, guidance = PIPELINES[kind]
    image = out / "images" / f"tiny-{kind}-0-000003.png"
    sidecar = read_sidecar(image)
    record = prompt_record(3)
    assert (sidecar["generator"], sidecar["prompt"]) == (f"Tiny.{kind}", record.text)
    made = sidecar["generation"]
    assert made["pipeline"] == pipeline
    assert made["scheduler"] == scheduler
    assert (made["steps"], made["guidance"], made["dtype"]) == (2, guidance, "float32")
    assert made["revision"] == fingerprint(folders[kind])
    assert made["options"] == OPTIONS[kind]
    assert made["device"] == "cpu"
    assert made["versions"]["torch"] == version("torch")
    assert made["batch"] == [f"tiny-{kind}-0-00000{i}" for i in (2, 3)]
    pixels = {decode(p.read_bytes(), "").tobytes() for p in out.glob("images/*.png")}
    assert len(pixels) == 5, "prompt and seed change the picture"


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_image_again_is_the_same_file(kind, runs, folders, tmp_path):
    _, out = runs[kind]
    again = backend_of(folders, kind)  # loaded anew
    redrawn = generate(5, out, backend=again, size=64, only=f"tiny-{kind}-0-000003")
    assert redrawn.equal
    elsewhere = generate(5, tmp_path / "x", backend=again, size=64, only=f"tiny-{kind}-0-000003")
    assert elsewhere.image.read_bytes() == redrawn.image.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_alone_and_in_a_batch_a_picture_is_nearly_the_same(kind, runs, folders):
    """Why the batch is recorded: with noise of its own, an image differs by rounding at most."""
    backend, out = runs[kind]
    run = Run(out, json.loads((out / "run.json").read_text()))
    alone = backend.make([run.request(3)], 64)[0].image
    beside = decode(run.image_path(3).read_bytes(), "")
    assert np.abs(np.asarray(alone, np.int16) - np.asarray(beside, np.int16)).max() <= 1


def test_the_pipeline_itself_gives_these_pixels(runs, folders):
    """Called by hand with what the sidecar says."""
    from diffusers import DiffusionPipeline

    _, out = runs["sdxl"]
    image = out / "images" / "tiny-sdxl-0-000004.png"
    sidecar = read_sidecar(image)
    made = sidecar["generation"]
    assert made["batch"] == [image.stem], "the last batch has one"
    pipeline = DiffusionPipeline.from_pretrained(folders["sdxl"], dtype=torch.float32)
    expected = pipeline(
        sidecar["prompt"],
        num_inference_steps=made["steps"],
        guidance_scale=made["guidance"],
        height=64,
        width=64,
        generator=torch.Generator().manual_seed(made["image_seed"]),
    ).images[0]
    assert np.array_equal(np.asarray(expected), np.asarray(Image.open(image)))


def test_a_file_says_that_a_trained_model_made_it(runs):
    _, out = runs["flux"]
    image = out / "images" / "tiny-flux-0-000001.png"
    mark = read_mark(image.read_bytes())
    assert mark.source_type == "trainedAlgorithmicMedia"
    sidecar = read_sidecar(image)
    for key in ("image_id", "prompt", "generator", "seed"):
        assert mark.record[key] == sidecar[key]
    for key in ("image_seed", "model", "revision", "scheduler", "steps", "guidance"):
        assert mark.record[key] == sidecar["generation"][key]
    assert not set(mark.record) & {"device", "versions", "batch", "causes"}


def test_a_run_that_lost_an_image_is_finished_with_the_same_bytes(runs, folders):
    _, out = runs["sdxl"]
    before = {p.name: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    (out / "images" / "tiny-sdxl-0-000001.png").unlink()
    generate(5, out, backend=backend_of(folders, "sdxl"), size=64)
    assert {p.name: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


def test_a_prompt_that_is_cut_is_recorded_and_goes_into_a_dataset(runs, folders, tmp_path):
    """The tiny tokenizers take a token a letter: CLIP reads 77, T5 here 48, and says which cut."""
    _, out = runs["sd3"]
    images = sorted(out.glob("images/*.png"))
    for image in images:
        sidecar = read_sidecar(image)
        assert len(sidecar["prompt"]) > 77
        assert set(sidecar["generation"]["prompt_cut_by"]) >= {"tokenizer", "tokenizer_2"}
    backend = backend_of(folders, "sd3")
    backend.load()
    cut_by = backend._readers.cut_by
    assert cut_by("short") == []
    assert cut_by("x" * 60) == ["tokenizer_3"]
    assert cut_by("x" * 100) == ["tokenizer", "tokenizer_2", "tokenizer_3"]
    labels = tmp_path / "labels.jsonl"
    lines = [{"image": p.name, "annotator": "a", "scores": {"Awe": 1}} for p in images]
    labels.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    report = build_big(out, tmp_path / "emonet-face", labels=labels)
    assert (report.rows, report.n_rejected) == ({"big": 5}, 0)


def test_cut_prompts_are_counted_once_a_run_and_not_told_at_each_call(folders, tmp_path, capsys):
    told = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())
    logger = logging.getLogger("diffusers")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    try:
        backend = backend_of(folders, "flux", batch_size=1, steps=1)
        capsys.readouterr()
        generate(3, tmp_path / "run", backend=backend, size=64)
        printed = capsys.readouterr().err
        logging.getLogger(type(backend._pipeline).__module__).warning("something else")
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    assert told == ["something else"]
    said = "3 of 3 prompts are longer than a text encoder of the model reads"
    assert printed.count(said) == 1
    generate(3, tmp_path / "run", backend=backend, size=64)
    assert capsys.readouterr().err == "", "nothing was made"


def test_a_device_that_is_not_there_leaves_no_folder(folders, tmp_path, capsys):
    arguments = ["generate", "--n", "2", "--backend", "diffusers", "--model", str(folders["flux"])]
    device = f"cuda:{torch.cuda.device_count()}"
    assert main([*arguments, "--device", device, "--out", str(tmp_path / "run")]) == 2
    assert f"device {device!r} cannot be used" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_another_scheduler(folders, tmp_path):
    backend = backend_of(folders, "sdxl", scheduler="DPMSolverMultistepScheduler")
    out = generate(1, tmp_path / "run", backend=backend, size=64)
    made = read_sidecar(out / "images" / "tiny-sdxl-0-000000.png")["generation"]
    assert made["scheduler"] == "DPMSolverMultistepScheduler"
    assert type(backend._pipeline.scheduler).__name__ == "DPMSolverMultistepScheduler"


def test_every_part_has_the_dtype_that_was_asked_for(folders):
    """Without a dtype, parts saved in another one would come back mixed."""
    backend = backend_of(folders, "flux", dtype="bfloat16")
    backend.load()
    parts = [part for part in backend._pipeline.components.values() if hasattr(part, "dtype")]
    assert {part.dtype for part in parts} == {torch.bfloat16}
    assert backend.recipe()["dtype"] == "bfloat16"


def test_a_changed_model_is_not_mixed_into_a_run(folders, tmp_path):
    folder = save("flux", tmp_path / "model")
    backend = DiffusersBackend(str(folder), steps=1, options=OPTIONS["flux"])
    out = generate(1, tmp_path / "run", backend=backend, size=64)
    (folder / "scheduler" / "scheduler_config.json").write_text("{}")
    changed = DiffusersBackend(str(folder), steps=1, options=OPTIONS["flux"])
    with pytest.raises(EmoNetFaceError, match="holds a run with recipe"):
        generate(1, out, backend=changed, size=64)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"options": {"sharpness": 3}}, "takes no option 'sharpness'; allowed: .*negative_prompt"),
        ({"options": {"height": 3}}, "takes no option 'height'"),
        ({"dtype": "int4"}, "unknown dtype 'int4'; allowed: auto, float32, bfloat16, float16"),
        ({"steps": 0}, "steps is 0: must be 1 or more"),
        ({"device": "gpu"}, "unknown device 'gpu'; allowed: auto, cpu, cuda"),
        ({"revision": "main"}, "is a folder, which has no revision 'main'"),
    ],
)
def test_bad_settings_are_named_before_anything_is_loaded(folders, settings, message):
    with pytest.raises(EmoNetFaceError, match=message):
        backend_of(folders, "sdxl", **settings)


def test_a_scheduler_that_does_not_go_with_the_pipeline(folders):
    backend = backend_of(folders, "flux", scheduler="DDIMScheduler")
    with pytest.raises(EmoNetFaceError, match=r"no scheduler 'DDIMScheduler' goes with .* FlowM"):
        backend.load()


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (None, "is no diffusers pipeline: it has no model_index.json"),
        ({"_class_name": "MyPipeline"}, "its pipeline class 'MyPipeline' is not one of diffusers"),
        ({"_class_name": "StableDiffusionImg2ImgPipeline"}, "is no text-to-image pipeline"),
        ({"_class_name": "DanceDiffusionPipeline"}, "is no text-to-image pipeline"),
    ],
)
def test_folders_that_hold_something_else(tmp_path, index, message):
    if index is not None:
        (tmp_path / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(EmoNetFaceError, match=message):
        DiffusersBackend(str(tmp_path))


def test_an_unknown_model_is_one_line(tmp_path, capsys):
    out = tmp_path / "run"
    arguments = ["generate", "--n", "2", "--backend", "diffusers", "--out", str(out)]
    assert main([*arguments, "--model", "nobody/no-such-model"]) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert "'nobody/no-such-model': neither a folder nor a model" in printed
    assert main(arguments) == 2
    assert "needs --model" in capsys.readouterr().err
    assert main(["generate", "--n", "2", "--steps", "3", "--out", str(out)]) == 2
    assert "the schematic backend has no --steps" in capsys.readouterr().err
    assert not out.exists()


def test_pickled_weights_are_refused(folders, tmp_path):
    folder = save("flux", tmp_path / "model")
    weights = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    weights.unlink()
    torch.save({}, weights.with_name("diffusion_pytorch_model.bin"))
    with pytest.raises(EmoNetFaceError, match="cannot be loaded"):
        DiffusersBackend(str(folder)).load()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device")
def test_a_device_that_is_not_there(folders):
    with pytest.raises(EmoNetFaceError, match="device 'cuda:7' cannot be used"):
        backend_of(folders, "flux", device="cuda:7").load()


def test_settings_that_are_no_json(folders, tmp_path):
    backend = backend_of(folders, "flux", guidance=float("nan"))
    with pytest.raises(EmoNetFaceError, match="settings cannot be kept as JSON"):
        generate(1, tmp_path / "run", backend=backend, size=64)
    options = {"sigmas": (1.0, 0.5), **OPTIONS["flux"]}
    for _ in range(2):  # a tuple comes back from the manifest as a list
        generate(1, tmp_path / "run", backend=backend_of(folders, "flux", options=options), size=64)


def test_a_size_that_the_model_cannot_make(folders, tmp_path):
    backend = backend_of(folders, "flux", steps=1)
    with pytest.raises(EmoNetFaceError, match=r"makes \d+ x \d+ pixels where 66 x 66 are asked"):
        generate(1, tmp_path / "run", backend=backend, size=66)


@pytest.fixture
def loaded(folders):
    """A backend whose pipeline is replaced by a function of its arguments."""
    backend = backend_of(folders, "flux")
    backend._pipeline = lambda **given: None
    return backend


def requests_of(loaded, n):
    run = Run(None, {"seed": 0, "generator": "g", "balance": [], "n": n, "batch_size": n})
    return [run.request(i) for i in range(n)]


def test_values_that_are_no_numbers(loaded):
    values = np.full((2, 32, 32, 3), 0.5, np.float32)
    values[1, 3, 3, 0] = np.nan
    loaded._pipeline = lambda **given: SimpleNamespace(images=values)
    fine, broken = loaded.make(requests_of(loaded, 2), 32)
    assert fine.fault is None
    assert (broken.image, broken.fault) == (None, "pixel values that are no numbers")


def test_the_safety_filters_verdict(loaded):
    values = np.zeros((2, 32, 32, 3), np.float32)
    values[0, :16] = 1
    loaded._pipeline = lambda **given: SimpleNamespace(
        images=values, nsfw_content_detected=[False, True]
    )
    fine, replaced = loaded.make(requests_of(loaded, 2), 32)
    assert (fine.fault, fine.flagged) == (None, False)
    assert (replaced.fault, replaced.flagged) == ("replaced by the pipeline's safety filter", True)
    assert replaced.image is not None


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 99 bytes"),
        MemoryError(),
    ],
)
def test_memory_that_runs_out(loaded, error):
    def pipeline(**given):
        raise error

    loaded._pipeline = pipeline
    with pytest.raises(OutOfMemory):
        loaded.make(requests_of(loaded, 2), 32)


def test_what_the_pipeline_refuses_is_not_tried_again(loaded):
    def pipeline(**given):
        raise ValueError("`max_sequence_length` cannot be greater than 512\nmore")

    loaded._pipeline = pipeline
    with pytest.raises(EmoNetFaceError, match=r"cannot be greater than 512$"):
        loaded.make(requests_of(loaded, 1), 32)


def test_every_prompt_has_a_generator_and_a_negative_prompt_of_its_own(folders):
    backend = backend_of(folders, "sdxl", options={"negative_prompt": "blurred"})
    given = {}

    def pipeline(**arguments):
        given.update(arguments)
        return SimpleNamespace(images=np.random.default_rng(0).random((3, 32, 32, 3)))

    backend._pipeline = pipeline
    requests = requests_of(backend, 3)
    backend.make(requests, 32)
    assert given["negative_prompt"] == ["blurred"] * 3
    assert given["prompt"] == [request.record.text for request in requests]
    seeds = [generator.initial_seed() for generator in given["generator"]]
    assert seeds == [request.seed for request in requests]
    assert {generator.device.type for generator in given["generator"]} == {"cpu"}


def test_the_command_runs_a_pipeline(folders, tmp_path, capsys):
    out = tmp_path / "run"
    arguments = ["generate", "--n", "3", "--backend", "diffusers", "--steps", "1", "--size", "64"]
    arguments += ["--model", str(folders["flux"]), "--option", "max_sequence_length=48"]
    assert main([*arguments, "--no-report", "--batch-size", "3", "--out", str(out)]) == 0
    assert len(list(out.glob("images/*.png"))) == 3
    only = ["--only", "tiny-flux-0-000002"]
    capsys.readouterr()
    assert main([*arguments, "--batch-size", "3", *only, "--out", str(out)]) == 0
    assert "made again: the same bytes" in capsys.readouterr().out
