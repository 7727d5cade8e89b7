"""What a complete run says of itself, and that it goes on to labels and a dataset unchanged.

pytest tests/test_run_reports.py
"""

from __future__ import annotations

import csv
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageFilter

from dataset_scripts.big import build_big
from dataset_scripts.check import check
from emonet_face.errors import EmoNetFaceError
from emonet_face.perceptual_hash import perceptual_hashes, reduce
from emonet_face.taxonomy import EMOTIONS
from generation import quality
from generation.annotate import annotate
from generation.balance import COLUMNS, LEVELS, PAIRS, Balance
from generation.prompts import FREE_FACTORS
from generation.quality import Alike, measure, read_quality, select
from generation.reports import REPORTS
from generation.run import generate
from generation.run_folder import Run
from generation.run_sheet import SHOWN, run_sheet
from generation.sidecars import read_sidecar

N = 48


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("reports") / "run"
    return generate(N, out, size=48, report=True, balance=FREE_FACTORS)


def rows_of(run):
    with (run / "balance.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_reports_are_the_same_for_the_same_run_and_made_later_as_well(run, tmp_path):
    other = generate(N, tmp_path / "run", size=48, balance=FREE_FACTORS)
    assert not [name for name in REPORTS if (other / name).exists()]
    generate(N, other, size=48, balance=FREE_FACTORS, report=True)
    for name in REPORTS:
        assert (other / name).read_bytes() == (run / name).read_bytes(), name


def test_no_report_is_taken_for_a_face(run):
    suffixes = {path.suffix for path in run.iterdir() if path.is_file()}
    assert suffixes == {".csv", ".pdf", ".jsonl", ".json"}


def test_the_balance_table_counts_the_sidecars(run):
    rows = rows_of(run)
    assert tuple(rows[0]) == COLUMNS
    sidecars = [read_sidecar(path) for path in sorted(run.glob("images/*.png"))]
    counted = {(row["factor"], row["value"]): int(row["images"]) for row in rows}
    assert len(counted) == sum(map(len, LEVELS.values())) + 2 * len(PAIRS)
    for emotion in EMOTIONS:
        n = sum(sidecar["prompted_emotion"] == emotion for sidecar in sidecars)
        assert counted["emotion", emotion] == n
    for style in LEVELS["style"]:
        n = sum(sidecar["generation"]["style"] == style for sidecar in sidecars)
        assert counted["style", style] == n == N / 3
    # 48 on 40 values: 1 or 2; 48 on 14: 3 or 4; on 7: 6 or 7; on 3: 16.
    for factor, low, high in (("emotion", 1, 2), ("ethnicity", 3, 4), ("age", 6, 7)):
        values = [n for (name, _), n in counted.items() if name == factor]
        assert (min(values), max(values)) == (low, high)
    pair = [(s["prompted_gender"], s["generation"]["intensity"]) for s in sidecars]
    cells = [pair.count((g, i)) for g in LEVELS["gender"] for i in LEVELS["intensity"]]
    assert counted["gender x intensity", "fewest"] == min(cells)
    assert counted["gender x intensity", "most"] == max(cells)


def test_a_value_that_no_image_has_counts_as_none():
    balance = Balance()
    made = {"intensity": "mild", "style": LEVELS["style"][0], "template": "showing"}
    prompted = {"emotion": "Awe", "ethnicity": "White", "age": 20, "gender": "man"}
    balance.add({f"prompted_{k}": v for k, v in prompted.items()} | {"generation": made})
    assert balance.spread("gender") == (0, 1)
    assert balance.spread("age", "gender") == (0, 1)


def test_quality_has_a_row_an_image_in_order(run):
    rows = list(read_quality(run))
    assert [row["image_id"] for row in rows] == [f"schematic-0-{i:06d}" for i in range(N)]
    assert all(row["duplicate_of"] is row["near_duplicate_of"] is None for row in rows)
    assert all(row["sharpness"] > 0 for row in rows)


def measure_one(image, find_faces=None):
    (numbers,) = measure([image], find_faces)
    return numbers


def noise(seed, side=48):
    levels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return Image.fromarray(levels)


def test_sharpness_is_the_variance_of_the_laplacian():
    picture = noise(0)
    grey = np.asarray(picture.convert("L"), float)
    # By the definition, one pixel at a time.
    values = [
        grey[y - 1, x] + grey[y + 1, x] + grey[y, x - 1] + grey[y, x + 1] - 4 * grey[y, x]
        for y in range(1, 47)
        for x in range(1, 47)
    ]
    assert measure_one(picture)["sharpness"] == pytest.approx(np.var(values), abs=0.01)
    soft = picture.filter(ImageFilter.GaussianBlur(1))
    assert measure_one(soft)["sharpness"] < measure_one(picture)["sharpness"] / 4
    assert measure_one(Image.new("RGB", (48, 48), (9, 9, 9)))["sharpness"] == 0


def test_a_bit_says_whether_a_coefficient_lies_above_their_median():
    """By the definition: a cosine transform written out, and numpy's median."""
    pictures = [noise(seed, 64) for seed in range(3)]
    hashes = perceptual_hashes(np.stack([reduce(picture) for picture in pictures]))
    cosines = np.cos(np.pi / 64 * np.outer(np.arange(16), np.arange(64) + 0.5))
    for picture, words in zip(pictures, hashes, strict=True):
        spectrum = cosines @ reduce(picture).astype(float) @ cosines.T
        for part, word in ((spectrum[:8, :8], words[:1]), (spectrum, words[1:])):
            above = part.ravel() > np.median(part.ravel()[1:])
            assert np.array_equal(np.unpackbits(word.view(np.uint8)), above)
        assert measure_one(picture)["perceptual_hash"] == words.tobytes().hex()


def test_faces_are_counted_and_the_largest_measured():
    def finder(*boxes):
        names = ("left", "top", "right", "bottom")
        return lambda image: [
            SimpleNamespace(**dict(zip(names, box, strict=True))) for box in boxes
        ]

    two = measure_one(noise(1), finder((4, 8, 28, 44), (0, 0, 5, 5)))
    assert (two["faces"], two["face_share"]) == (2, 0.75)  # 36 of 48 pixels
    none = measure_one(noise(1), finder())
    assert (none["faces"], none["face_share"]) == (0, 0)
    assert "faces" not in measure_one(noise(1))


def test_alike_pictures_are_found_once_each():
    one, other = noise(1, 96), noise(2, 96)
    jpeg = one.resize((64, 64)).resize((96, 96))
    flat = Image.new("RGB", (96, 96), (5, 5, 5))
    flat_too = Image.new("RGB", (96, 96), (6, 6, 6))
    alike = Alike()
    for picture in (one, other, one, jpeg, flat, other, flat_too, one):
        alike.add(measure_one(picture))
    exact, near = alike.found()
    assert exact == {2: 0, 5: 1, 7: 0}
    assert near == {3: 0, 7: 3}
    assert Alike().found() == ({}, {})


def test_thresholds_are_the_users_and_nothing_is_removed(run, capsys):
    rows = [
        {"image_id": "a", "sharpness": 9.0, "faces": 1, "face_share": 0.5, "flagged": None},
        {"image_id": "b", "sharpness": 1.0, "faces": 2, "face_share": 0.1, "flagged": True},
    ]
    rows = [row | {"duplicate_of": None, "near_duplicate_of": None} for row in rows]
    rows[1]["near_duplicate_of"] = "a"
    assert dict(select(iter(rows))) == {"a": None, "b": None}
    for settings, reason in (
        ({"least_sharpness": 2}, "sharpness"),
        ({"least_face_share": 0.2}, "face_share"),
        ({"faces": 1}, "faces"),
        ({"duplicates": False}, "near_duplicate_of"),
        ({"flagged": False}, "flagged"),
    ):
        assert dict(select(iter(rows), **settings)) == {"a": None, "b": reason}
    assert quality.main([str(run), "--least-sharpness", "1e9"]) == 0
    assert f"0 pass; sharpness: {N}" in capsys.readouterr().err
    assert len(list(run.glob("images/*.png"))) == N
    assert quality.main([str(run), "--faces", "1"]) == 2
    assert "'faces' was not measured" in capsys.readouterr().err
    with pytest.raises(EmoNetFaceError, match=r"quality.jsonl: cannot be read"):
        list(read_quality(run / "images"))


def test_the_sheet_shows_the_first_faces_of_each_category(run):
    plan = json.loads((run / "run.json").read_text())
    sheet = run_sheet(Run(run, plan), face=48)
    # 48 prompts: 8 categories have two faces, 32 have one; the places of the others are outlines.
    picture = Image.open(run / "images" / "schematic-0-000000.png").convert("RGB")
    emotion = Run(run, plan).record(0).emotion
    place = EMOTIONS.index(emotion)
    x = 10 + place % 5 * (SHOWN * 50 + 10)
    y = 40 + place // 5 * 78 + 16
    assert np.array_equal(np.asarray(sheet.crop((x, y, x + 48, y + 48))), np.asarray(picture))


def test_a_run_becomes_labels_and_a_dataset_unchanged(run, tmp_path, monkeypatch):
    """Reports and all: annotate, build big, check and load_dataset read the run as it is."""
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    labels, repo = tmp_path / "big.jsonl", tmp_path / "hub" / "emonet-face"
    assert annotate(run, labels)["images"] == N
    report = build_big(run, repo, labels=labels)
    assert (report.rows, report.n_rejected) == ({"big": N}, 0)
    assert not [finding for finding in check(repo).findings if finding.severity != "info"]
    monkeypatch.chdir(repo.parent)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    from datasets import load_dataset

    rows = load_dataset("emonet-face", "big", split="train", cache_dir=str(tmp_path / "cache"))
    assert len(rows) == N
    for row in rows.select(range(0, N, 7)):
        sidecar = read_sidecar(run / "images" / f"{row['image_id']}.png")
        for key in ("sha256", "width", "height", "generator", "prompt"):
            assert row[key] == sidecar[key]
        for key in ("ethnicity", "age", "gender"):
            assert row[f"prompted_{key}"] == sidecar[f"prompted_{key}"]
        assert EMOTIONS[row["prompted_emotion"]] == sidecar["prompted_emotion"]
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_every_report_is_named_in_the_docs():
    from generation import reports

    assert set(re.findall(r"RUN/([\w.]+\w)", reports.__doc__)) == set(REPORTS)
