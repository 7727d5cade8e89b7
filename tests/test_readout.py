"""Local image-text models: the readout equals the plain way, and both feed the benchmark.

    pytest tests/test_readout.py

The models are tiny ones of `toy_vlm.py`, made here; nothing they say means anything.
"""

from __future__ import annotations

import csv
import json
import shutil
import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_endpoint import good_reply
from PIL import Image
from toy_vlm import make_reader, make_writer

from emonet_face import EmoNetFaceError
from emonet_face.cli import main
from emonet_face.imaging import inspect_image, read_image
from emonet_face.taxonomy import EMOTIONS
from generation.annotators import local_model, readout
from generation.annotators.local_model import LocalModel, picture_of
from generation.annotators.protocols import PROTOCOLS
from generation.annotators.readout import Readout, answer_tokens
from generation.annotators.readout_questions import WORDINGS, questions

pytestmark = pytest.mark.usefixtures("one_thread")

PATCHES = 6
"""Of a side of the picture: the shared part is then short, and the tests quick."""


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    return make_reader(tmp_path_factory.mktemp("reader"), patches=PATCHES)


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    rng = np.random.default_rng(0)
    for index in range(3):
        pixels = rng.integers(0, 255, (40, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"f{index}.png")
    return folder


@pytest.fixture(scope="module")
def pictures(faces):
    return [read_image(path) for path in sorted(faces.iterdir())]


def by_hand(model, picture, question, prefill="Answer:"):
    """P(yes) and the mass of both answers, written out without our code but for the loading."""
    processor, net = model.processor, model.model
    text = f"<s>USER: <image>\n{question}\nASSISTANT:{prefill}"
    batch = processor(text=text, images=picture, add_special_tokens=False, return_tensors="pt")
    with torch.no_grad():
        p = torch.softmax(net(**batch).logits[0, -1].double(), dim=0)
    yes, no = (
        sum(p[processor.tokenizer.convert_tokens_to_ids(c)] for c in s) for s in ("yY", "nN")
    )
    return float(yes / (yes + no)), float(yes + no)


def test_the_readout_is_what_the_definition_says(reader, pictures):
    model = LocalModel(str(reader))
    line = Readout(model).label(pictures[0])
    picture = picture_of(pictures[0])
    for name in ("Amusement", "Pleasure/Ecstasy", "Jealousy & Envy"):
        found = [by_hand(model, picture, wording.format(name)) for wording in WORDINGS]
        p_yes, mass = np.mean([p for p, _ in found]), min(m for _, m in found)
        assert line["readout"]["p_yes"][name] == pytest.approx(p_yes, abs=2e-5)
        assert line["readout"]["answer_mass"][name] == pytest.approx(mass, abs=2e-5)
        assert line["scores"][name] == pytest.approx(7 * p_yes, abs=2e-4)
    assert line["readout"]["shared_prefix"] is True
    assert np.ptp(list(line["scores"].values())) > 0.01, "the questions must matter"


@pytest.mark.parametrize("batch_size", [7, 40])
def test_the_shared_prefix_changes_nothing(reader, pictures, batch_size):
    model = LocalModel(str(reader))
    reading = Readout(model, batch_size=batch_size)
    picture = picture_of(pictures[0])
    for texts in reading._texts:
        plain, shared = (read(picture, texts) for read in (reading.read_plain, reading.read_shared))
        assert np.abs(plain.yes - shared.yes).max() < 1e-3
        assert np.abs(plain.no - shared.no).max() < 1e-3
        assert np.abs(plain.p_yes - shared.p_yes).max() < 1e-5


def test_other_pictures_get_other_answers(reader, pictures):
    reading = Readout(LocalModel(str(reader)))
    one, other = (reading.label(image)["scores"] for image in pictures[:2])
    assert one != other


def test_a_cache_that_gives_other_answers_is_not_used(reader, pictures, monkeypatch):
    expected = Readout(LocalModel(str(reader))).label(pictures[0])["scores"]

    def spoilt(cache, rows, repeat=readout._repeated):
        whole = repeat(cache, rows)
        whole.layers[0].values += 1
        return whole

    monkeypatch.setattr(readout, "_repeated", spoilt)
    reading = Readout(LocalModel(str(reader)))
    line = reading.label(pictures[0])
    assert reading.shares_prefix is False
    assert line["readout"]["shared_prefix"] is False
    assert line["scores"] == pytest.approx(expected, abs=1e-4)

    def impossible(cache, rows):
        raise RuntimeError("no such cache")

    monkeypatch.setattr(readout, "_repeated", impossible)
    reading = Readout(LocalModel(str(reader)))
    assert reading.label(pictures[0])["scores"] == pytest.approx(expected, abs=1e-4)
    assert reading.largest_difference == float("inf")


def test_too_little_on_both_answers_is_no_answer(tmp_path, reader, pictures, monkeypatch):
    silent = Readout(LocalModel(str(make_reader(tmp_path / "m", answers=False, patches=PATCHES))))
    line = silent.label(pictures[0])
    assert "scores" not in line
    assert line["error"].startswith("40 of 40 categories without an answer: less than 0.5")
    # A line between the least mass and the next: that category alone has not answered.
    reading = Readout(LocalModel(str(reader)))
    mass = reading.label(pictures[0])["readout"]["answer_mass"]
    first, second, *_ = sorted(mass, key=mass.get)
    assert mass[first] < mass[second]
    monkeypatch.setattr(readout, "MIN_ANSWER_MASS", (mass[first] + mass[second]) / 2)
    line = reading.label(pictures[0])
    assert [name for name, value in line["scores"].items() if value is None] == [first]
    assert f"({first})" in line["warnings"][0]


def test_token_variants(reader):
    model = LocalModel(str(reader))
    tokens = answer_tokens(model)
    shown = {
        answer: model.processor.tokenizer.convert_ids_to_tokens(ids)
        for answer, ids in tokens.items()
    }
    # Byte by byte, " yes" and " no" begin with the same token: it tells nothing and is left out.
    assert shown == {"yes": ["Y", "y"], "no": ["N", "n"]}


def test_a_tokenizer_that_cannot_tell_them_apart(reader, monkeypatch):
    monkeypatch.setattr(readout, "ANSWERS", {"yes": (" yes",), "no": (" no", "no")})
    with pytest.raises(EmoNetFaceError, match="cannot tell 'yes' by its first token"):
        answer_tokens(LocalModel(str(reader)))


def test_questions_name_every_category_once():
    for wording in WORDINGS:
        assert all(name in q for name, q in zip(EMOTIONS, questions(wording), strict=True))
        assert "yes or no" in wording


def test_the_prefill_matters_and_may_be_empty(reader, pictures):
    model = LocalModel(str(reader))
    with_it, without = (Readout(model, prefill=p).label(pictures[0]) for p in ("Answer:", ""))
    assert with_it["scores"] != without["scores"]
    p_yes, _ = by_hand(model, picture_of(pictures[0]), WORDINGS[0].format("Anger"), prefill="")
    texts = [model.chat(WORDINGS[0].format("Anger"))]
    assert Readout(model).read_plain(picture_of(pictures[0]), texts).p_yes[0] == pytest.approx(
        p_yes, abs=1e-5
    )


def test_large_pictures_are_scaled_down():
    stream = BytesIO()
    Image.new("RGB", (3000, 1500)).save(stream, "PNG")
    small = picture_of(inspect_image(stream.getvalue(), "x"))
    assert small.width * small.height <= local_model.MAX_PIXELS
    assert small.width / small.height == pytest.approx(2, rel=0.01)


@pytest.fixture
def people(faces, tmp_path):
    path = tmp_path / "people.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["image", "annotator", "human", "annotations"])
        for n, face in enumerate(sorted(faces.iterdir())):
            for who in ("human-1", "human-2"):
                writer.writerow([face.name, who, True, {"Negative High-Energy Emotions|Anger": n}])
    return path


def benchmark(people, said, tmp_path):
    arguments = ["--resamples", "5", "--no-figures", "--out", str(tmp_path / "benchmark")]
    return main(
        ["benchmark", "--ratings", str(people), "--predictions", f"Local={said}", *arguments]
    )


def test_a_readout_goes_through_the_benchmark(reader, faces, people, tmp_path, capsys):
    out = tmp_path / "readout.jsonl"
    arguments = ["--annotator", "transformers", "--protocol", "readout", "--model", str(reader)]
    assert main(["annotate", str(faces), *arguments, "--out", str(out)]) == 0
    assert "3 of 3 images labelled" in capsys.readouterr().out
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert {line["protocol"] for line in lines} == {"readout"}
    assert all(0 <= value <= 7 for line in lines for value in line["scores"].values())
    assert benchmark(people, out, tmp_path) == 0
    size = out.stat().st_size
    assert main(["annotate", str(faces), *arguments, "--out", str(out)]) == 0
    assert out.stat().st_size == size, "what is there is not asked again"


def test_a_picture_that_cannot_be_decoded_stops_nobody(reader, faces, tmp_path):
    """A PNG whose checksums are right and whose pixels are not: named, and the others are read."""
    faces = Path(shutil.copytree(faces, tmp_path / "faces"))
    broken = min(faces.glob("*.png"))
    pixels = b"no pixels"
    chunk = b"IDAT" + pixels
    data = broken.read_bytes()
    begin = data.index(b"IDAT") - 4
    whole = struct.pack(">I", len(pixels)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    broken.write_bytes(data[:begin] + whole + data[data.index(b"IEND") - 4 :])
    out = tmp_path / "readout.jsonl"
    arguments = ["--annotator", "transformers", "--protocol", "readout", "--model", str(reader)]
    assert main(["annotate", str(faces), *arguments, "--out", str(out)]) == 1
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert ["scores" in line for line in lines] == [False, True, True]
    assert broken.name in lines[0]["error"]
    assert lines[0]["final"] is False


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_local_model_writes_by_each_protocol(protocol, faces, people, tmp_path, capsys):
    reply = good_reply(protocol, 0)
    if protocol == "zero-shot":
        reply = '{"emotions": [{"category": "Anger", "score": 6}]}'
    prompt = PROTOCOLS[protocol].prompt()
    model, out = make_writer(tmp_path / "model", reply, (prompt,)), tmp_path / "said.jsonl"
    arguments = ["--annotator", "transformers", "--protocol", protocol, "--model", str(model)]
    assert main(["annotate", str(faces), *arguments, "--out", str(out)]) == 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["raw"] for line in lines] == [reply] * 3
    if protocol == "zero-shot":
        assert all(line["scores"]["Anger"] == 6 for line in lines)
        assert all(sum(line["scores"].values()) == 6 for line in lines), "the others are 0"
    assert benchmark(people, out, tmp_path) == 0
    assert list(lines[0]["scores"]) == list(EMOTIONS)


def test_bad_models_are_one_line(tmp_path, reader):
    for model, message in [
        (str(tmp_path), "is no image-text model to load"),
        (str(tmp_path / "absent"), "is no image-text model to load"),
    ]:
        with pytest.raises(EmoNetFaceError, match=message):
            LocalModel(model)
    with pytest.raises(EmoNetFaceError, match="--dtype is 'int8'; allowed: auto"):
        LocalModel(str(reader), dtype="int8")
    with pytest.raises(EmoNetFaceError, match="--batch-size is 0"):
        Readout(LocalModel(str(reader)), batch_size=0)
