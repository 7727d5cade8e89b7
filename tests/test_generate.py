"""Generation runs: whole or resumable, the same for a seed, and never over somebody's files.

    pytest tests/test_generate.py

Most tests put a plain coloured square in the place of the renderer; the last ones use the real one.
"""

from __future__ import annotations

import doctest
import errno
import hashlib
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import read_image
from emonet_face.outputs import PARTIAL
from emonet_face.taxonomy import EMOTIONS, INDEX, OPPOSITE
from generation import image_files, latents, run_folder, work
from generation.latents import NEAR_NEUTRAL_FACTOR, RANGES, latent_intensities
from generation.prompts import parse_prompt, prompt_record
from generation.run import MANIFEST, PLAN, Redrawn, check_finished, generate, image_id_of
from generation.schematic_backend import SchematicBackend
from generation.sidecars import read_sidecar


@pytest.fixture
def drawn(monkeypatch):
    """Two-coloured squares for faces; the returned list counts the drawings."""
    calls = []

    def draw(intensities, *, ethnicity, age, gender, size, seed):
        assert len(intensities) == 40
        calls.append(seed)
        colour = hashlib.sha256(f"{intensities}{ethnicity}{age}{gender}{seed}".encode()).digest()
        image = Image.new("RGB", (size, size), tuple(colour[:3]))
        image.paste(tuple(255 - level for level in colour[:3]), (0, 0, size // 2, size // 2))
        return image

    stub = SimpleNamespace(draw=draw)
    monkeypatch.setitem(sys.modules, "generation.schematic", stub)
    return calls


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_run_folder(tmp_path, drawn):
    out = generate(5, tmp_path / "run", size=40, seed=3)
    ids = [image_id_of(3, i) for i in range(5)]
    names = [f"images/{i}.{suffix}" for i in ids for suffix in ("json", "png")]
    assert list(contents(out)) == [*names, MANIFEST]
    manifest = json.loads((out / MANIFEST).read_text())
    assert manifest["made_by"] == "emonet-face generate"
    expected = {"n": 5, "backend": "schematic", "generator": "schematic", "size": 40, "seed": 3}
    expected |= {"format": "png", "balance": [], "batch_size": 8, "recipe": {}}
    assert {key: manifest[key] for key in expected} == expected
    assert set(manifest["versions"]) == {"emonet-face", "numpy", "pillow", "zlib"}


def test_a_sidecar_tells_all_about_its_image(tmp_path, drawn):
    out = generate(2, tmp_path / "run", size=40, seed=3)
    image = out / "images" / f"{image_id_of(3, 1)}.png"
    sidecar, file, record = read_sidecar(image), read_image(image), prompt_record(1, 3)
    intensities, made = sidecar.pop("intensities"), sidecar.pop("generation")
    quality = sidecar.pop("quality")
    assert sidecar == {
        "image_id": "schematic-3-000001",
        "sha256": file.sha256,
        "width": 40,
        "height": 40,
        "generator": "schematic",
        "prompt": record.text,
        "prompted_emotion": record.emotion,
        "prompted_ethnicity": record.ethnicity,
        "prompted_age": record.age,
        "prompted_gender": record.gender,
        "seed": 3,
    }
    assert parse_prompt(sidecar["prompt"])["emotion"] == record.emotion
    assert intensities == latent_intensities(record, 3)
    assert list(intensities) == list(EMOTIONS)
    parts = ("intensity", "style", "template")
    assert {name: made[name] for name in parts} == {name: getattr(record, name) for name in parts}
    seed_of_id = int.from_bytes(hashlib.sha256(b"schematic-3-000001").digest()[:4])
    assert (made["image_seed"], made["attempt"], made["causes"]) == (seed_of_id, 0, [])
    assert set(made["versions"]) == {"numpy", "pillow", "zlib"}
    pixels = Image.open(image).tobytes()
    assert quality["pixels"] == hashlib.sha256(pixels).hexdigest()


def test_same_seed_same_bytes_and_another_seed_other_ids(tmp_path, drawn):
    first, again, other = (
        contents(generate(4, tmp_path / name, size=40, seed=seed))
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first == again
    assert not {n for n in first if n != MANIFEST} & {n for n in other if n != MANIFEST}


def test_a_finished_run_is_left_alone(tmp_path, drawn):
    out = generate(4, tmp_path / "run", size=40)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    drawn.clear()
    generate(4, out, size=40)
    assert not drawn
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == times


def test_a_damaged_run_is_repaired_and_only_there(tmp_path, drawn):
    out = generate(8, tmp_path / "run", size=40)
    whole = contents(out)
    image = [out / "images" / f"{image_id_of(0, i)}.png" for i in range(8)]
    image[0].unlink()
    image[1].with_suffix(".json").unlink()
    image[2].write_bytes(image[2].read_bytes()[:50])
    image[3].with_suffix(".json").write_text("{")
    image[4].with_suffix(".json").write_bytes(image[5].with_suffix(".json").read_bytes())
    drawn.clear()
    generate(8, out, size=40)
    assert len(drawn) == 5
    assert contents(out) == whole


def test_a_run_that_was_cut_off_is_finished(tmp_path, drawn, monkeypatch):
    whole = contents(generate(20, tmp_path / "whole", size=40))
    real, out = work.write_image, tmp_path / "run"

    def fails_at_12(image, data, sidecar):
        if image.stem.endswith("12"):
            image.with_name(f".{image.name}.{PARTIAL}").write_bytes(data[:20])
            raise KeyboardInterrupt
        real(image, data, sidecar)

    monkeypatch.setattr(work, "write_image", fails_at_12)
    with pytest.raises(KeyboardInterrupt):
        generate(20, out, size=40)
    assert not (out / MANIFEST).exists()
    assert (out / PLAN).exists()
    monkeypatch.setattr(work, "write_image", real)
    drawn.clear()
    generate(20, out, size=40)
    assert len(drawn) == 8
    assert contents(out) == whole


def test_an_image_without_sidecar_is_written_before_it(tmp_path, drawn, monkeypatch):
    """Killed between the two writes: the image is there, the sidecar that would vouch is not."""
    real, seen = image_files.write_whole, []
    monkeypatch.setattr(
        image_files, "write_whole", lambda path, data: (seen.append(path.suffix), real(path, data))
    )
    generate(2, tmp_path / "run", size=40)
    assert seen == [".png", ".json"] * 2


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": 4}, "holds a run with n 3, not 4"),
        ({"size": 41}, "holds a run with size 40, not 41"),
        ({"seed": 1}, "holds a run with seed 0, not 1"),
        ({"image_format": "webp"}, "holds a run with format 'png', not 'webp'"),
        ({"balance": ["style"]}, r"holds a run with balance \[\], not \['style'\]"),
    ],
)
def test_another_configuration_is_refused(tmp_path, drawn, finished, change, message):
    out = generate(3, tmp_path / "run", size=40)
    if not finished:
        (out / MANIFEST).rename(out / PLAN)
    before = contents(out)
    with pytest.raises(EmoNetFaceError, match=message):
        generate(**{"n": 3, "out": out, "size": 40, "seed": 0} | change)
    assert contents(out) == before


def test_a_run_whose_manifest_lacks_a_key_is_refused_with_its_name(tmp_path, drawn):
    out = generate(2, tmp_path / "run", size=40)
    plan = json.loads((out / MANIFEST).read_text())
    lacking = {key: value for key, value in plan.items() if key != "generator"}
    wrong = {"n": "2", "generator": 3, "batch_size": 0, "format": "bmp", "versions": 1}
    cases = [(plan | {key: value}, f"{key!r} is {value!r}") for key, value in wrong.items()]
    for bad, message in ((lacking, "has no 'generator'"), *cases):
        (out / MANIFEST).write_text(json.dumps(bad))
        for use in (lambda: generate(2, out, size=40), lambda: check_finished(out)):
            with pytest.raises(EmoNetFaceError, match=rf"run\.json: {message}; it is damaged"):
                use()


@pytest.mark.parametrize("name", [MANIFEST, PLAN])
def test_a_manifest_that_is_not_json_is_called_so(tmp_path, drawn, name):
    out = generate(2, tmp_path / "run", size=40)
    text = (out / MANIFEST).read_bytes()
    (out / MANIFEST).unlink()
    (out / name).write_bytes(text[:100])
    before = contents(out)
    for use in (lambda: generate(2, out, size=40), lambda: check_finished(out)):
        with pytest.raises(EmoNetFaceError, match=rf"{name}: is not JSON \(.*; it is damaged"):
            use()
    assert contents(out) == before


def test_a_folder_that_cannot_be_written_is_named_and_not_the_file_aside(
    tmp_path, drawn, monkeypatch
):
    def link(source, target):
        raise PermissionError(errno.EACCES, "Permission denied", str(source), None, str(target))

    monkeypatch.setattr(run_folder.os, "link", link)
    with pytest.raises(PermissionError) as caught:
        generate(2, tmp_path / "run", size=40)
    assert caught.value.filename == str(tmp_path / "run" / PLAN)
    assert not list(tmp_path.glob(".*"))


def test_a_backend_that_cannot_be_loaded_leaves_no_folder(tmp_path):
    class NoDevice(SchematicBackend):
        def load(self):
            raise EmoNetFaceError("device 'cuda:7' cannot be used")

    for only in (None, image_id_of(0, 1)):
        with pytest.raises(EmoNetFaceError, match="cuda:7"):
            generate(2, tmp_path / "run", backend=NoDevice(), size=40, only=only)
    assert not list(tmp_path.iterdir())
    out = generate(2, tmp_path / "run", size=40)
    assert generate(2, out, backend=NoDevice(), size=40) == out, "not loaded where nothing is due"


@pytest.mark.parametrize("change", [{"quality": {}}, {"generation": [1]}, {"generation": None}])
def test_a_sidecar_that_reports_could_not_use_is_written_again(tmp_path, drawn, change):
    out = generate(3, tmp_path / "run", size=40, report=True)
    whole = contents(out)
    sidecar = out / "images" / f"{image_id_of(0, 1)}.json"
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | change))
    (out / "quality.jsonl").unlink()
    assert generate(3, out, size=40, only=sidecar.stem).equal
    generate(3, out, size=40, report=True)
    assert contents(out) == whole


def test_a_foreign_folder_is_refused(tmp_path, drawn):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "run.json").write_text('{"made_by": "somebody"}')
    (tmp_path / "file").write_text("x")
    for name, message in (("mine", "was not made by this command"), ("file", "is not a folder")):
        with pytest.raises(EmoNetFaceError, match=message):
            generate(2, tmp_path / name)
    assert contents(tmp_path) == {"mine/run.json": b'{"made_by": "somebody"}', "file": b"x"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, r"number of images is 0: must lie in 1\.\.100000000"),
        ({"n": 10**12}, "number of images is 1000000000000"),
        ({"n": -3}, "number of images is -3"),
        ({"backend": "dalle"}, "unknown backend 'dalle'; allowed: schematic"),
        ({"size": 8}, r"size is 8 pixels: must lie in 32\.\.2048"),
        ({"seed": -1}, "seed is -1: must be 0 or more"),
        ({"image_format": "gif"}, "unknown format 'gif'; allowed: png, jpeg, webp"),
        ({"balance": ["age"]}, "no factor 'age' to balance; allowed: intensity, style, template"),
        ({"balance": ["style", "style"]}, "names a factor twice"),
        ({"actors": 2}, "engine local has no actors"),
        ({"engine": "ray", "workers": 2}, "engine ray has no workers"),
        ({"engine": "spark"}, "unknown engine 'spark'; allowed: local, ray"),
        ({"backend": SchematicBackend(0)}, "batch size is 0: must be 1 or more"),
        ({"only": "schematic-0-000002"}, "ids go from schematic-0-000000 to schematic-0-000001"),
        ({"only": "schematic-1-000000"}, "is not an image of this run"),
    ],
)
def test_bad_arguments_write_nothing(tmp_path, drawn, arguments, message):
    with pytest.raises(EmoNetFaceError, match=message):
        generate(**{"n": 2, "out": tmp_path / "run"} | arguments)
    assert not list(tmp_path.iterdir())


def test_only_compares_with_what_is_there(tmp_path, drawn):
    out = generate(3, tmp_path / "run", size=40)
    image_id = image_id_of(0, 1)
    image = out / "images" / f"{image_id}.png"
    assert generate(3, out, size=40, only=image_id) == Redrawn(image, True)
    image.write_bytes(b"other")
    redrawn = generate(3, out, size=40, only=image_id)
    assert redrawn == Redrawn(image, False)
    assert "OTHER bytes" in str(redrawn)
    assert image.read_bytes() == b"other"
    picture = Image.open(out / "images" / f"{image_id_of(0, 2)}.png")
    first = picture.getpixel((0, 0))
    Image.new("RGB", (40, 40), (first[0] ^ 7, *first[1:])).save(image)
    again = generate(3, out, size=40, only=image_id)
    levels = zip(again_levels(out, image_id), Image.open(image).getpixel((0, 0)), strict=True)
    assert again.difference == max(abs(one - other) for one, other in levels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch": 3}, "'batch' is 3: must be ids of this run"),
        ({"batch": ["schematic-0-000000"]}, "'batch' is .*: must be ids of this run, this image's"),
        ({"attempt": "x"}, "'attempt' is 'x': must be 0 or more"),
        ({"attempt": -1}, "'attempt' is -1: must be 0 or more"),
    ],
)
def test_only_believes_no_sidecar_that_was_changed_by_hand(tmp_path, drawn, change, message):
    out = generate(2, tmp_path / "run", size=40)
    sidecar = out / "images" / f"{image_id_of(0, 1)}.json"
    record = json.loads(sidecar.read_text())
    sidecar.write_text(json.dumps(record | {"generation": record["generation"] | change}))
    with pytest.raises(EmoNetFaceError, match=rf"000001\.json: {message}.*remove the sidecar"):
        generate(2, out, size=40, only=image_id_of(0, 1))


def again_levels(out, image_id):
    """The colour that the stub draws for an image."""
    image = generate(3, out.parent / "elsewhere", size=40, only=image_id).image
    return Image.open(image).getpixel((0, 0))


def test_only_makes_one_image_where_there_is_none(tmp_path, drawn):
    whole = generate(3, tmp_path / "whole", size=40)
    image_id = image_id_of(0, 1)
    redrawn = generate(3, tmp_path / "one", size=40, only=image_id)
    assert redrawn.equal is None
    files = [f"images/{image_id}.json", f"images/{image_id}.png"]
    one = contents(tmp_path / "one")
    assert sorted(one) == sorted([PLAN, *files])
    assert {name: one[name] for name in files} == {n: contents(whole)[n] for n in files}
    generate(3, tmp_path / "one", size=40)
    assert contents(tmp_path / "one") == contents(whole)


@pytest.fixture(scope="module")
def latent():
    """(1000, 40) intensities of the first 1,000 prompts, and the prompts."""
    records = [prompt_record(n, 2) for n in range(1000)]
    return np.array([[*latent_intensities(r, 2).values()] for r in records]), records


def test_latents_lead_with_the_prompted_emotion(latent):
    values, records = latent
    assert values.min() == 0
    assert values.max() <= 1
    assert [EMOTIONS[i] for i in values.argmax(axis=1)] == [r.emotion for r in records]
    for row, record in zip(values, records, strict=True):
        assert row[INDEX[OPPOSITE[record.emotion]]] == 0
        low, high = RANGES[record.intensity]
        peak = row.max()
        neutral = NEAR_NEUTRAL_FACTOR * low - 1e-4 <= peak <= NEAR_NEUTRAL_FACTOR * high + 1e-4
        assert low - 1e-4 <= peak <= high + 1e-4 or neutral


def test_how_much_a_face_shows(latent):
    values, _ = latent
    # One prompted category and 3 to 8 companions: 6.5; standard error .05 over 1,000.
    assert 6.3 <= (values > 0).sum(axis=1).mean() <= 6.7
    # Near-neutral share .08; standard error .009.
    assert 0.05 <= (values.max(axis=1) < 0.2).mean() <= 0.11


def test_real_faces_with_workers_equal_those_without(tmp_path):
    one = generate(6, tmp_path / "one", size=48, workers=1)
    two = generate(6, tmp_path / "two", size=48, workers=2)
    assert contents(one) == contents(two)
    assert read_image(one / "images" / "schematic-0-000000.png").width == 48
    assert generate(6, one, size=48, only="schematic-0-000004").equal is True


def test_docstring_examples():
    for module in (latents, run_folder):
        results = doctest.testmod(module)
        assert results.attempted
        assert not results.failed
