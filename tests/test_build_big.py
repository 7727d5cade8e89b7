"""Config `big`: pairs in folders and archives, labels beside or in a file, faults by name.

pytest tests/test_build_big.py
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from raw_sources import draw, files_of, lines, read_lines, sidecar

from dataset_scripts.big import build_big, rows
from dataset_scripts.rejects import Reject
from emonet_face.errors import EmoNetFaceError
from emonet_face.taxonomy import INDEX

ANGER, AWE = INDEX["Anger"], INDEX["Awe"]


def label(annotator="vlm", **scores):
    return {"annotator": annotator, "scores": scores}


def source_of(folder, **records):
    """A folder of faces NAME.png with the given records NAME.json."""
    for shade, (name, record) in enumerate(records.items()):
        draw(folder / f"{name}.png", shade=shade)
        sidecar(folder / f"{name}.json", **record)
    return folder


def pack(archive, folder, *, names=None):
    """The files of a folder in a plain tar, records before images unless `names` says otherwise."""
    contents = files_of(folder)
    with tarfile.open(archive, "w") as tar:
        for name in names or sorted(contents, key=lambda n: (not n.endswith(".json"), n)):
            info = tarfile.TarInfo(name)
            info.size = len(contents[name])
            tar.addfile(info, io.BytesIO(contents[name]))
    return archive


def test_a_folder_of_pairs(tmp_path):
    source = source_of(
        tmp_path / "big",
        b={
            **label(**{"Anger": 7, "model_awe_best": 0.5}),
            "dimensions": {"valence": -2, "Extra Dimensions|Arousal": 6},
            "prompt": "a face",
            "generator": "someone",
            "prompted_emotion": "anger",
            "prompted_age": 40,
        },
        a={
            "annotations": [
                label("one", Anger=1, Awe=2),
                {**label("two", Anger=4), "dimensions": {"valence": 1}},
                {**label("three", Anger=7), "dimensions": {"valence": 2}},
            ]
        },
    )
    a, b = rows(source)
    assert (a["image_id"], b["image_id"]) == ("a", "b")
    assert [entry["annotator"] for entry in a["ratings"]] == ["one", "two", "three"]
    assert (a["median_scores"][ANGER], a["median_scores"][AWE]) == (4, 2)
    assert a["ratings"][1]["scores"].count(None) == 39
    assert a["dimensions"] == {
        "arousal": None,
        "valence": 1.5,
        "dominance": None,
        "emotional_vulnerability": None,
    }
    assert b["ratings"][0]["scores"][AWE] == 0.5
    assert b["median_scores"].count(None) == 38
    assert (b["dimensions"]["arousal"], b["dimensions"]["valence"]) == (6, -2)
    assert (b["generator"], b["prompted_emotion"], b["prompted_age"]) == ("someone", ANGER, 40)


def test_archives_give_the_rows_of_the_folder(tmp_path):
    records = {name: label(Anger=i % 8) for i, name in enumerate(("b", "a-b", "a", "sub/c"))}
    source = source_of(tmp_path / "big", **records)
    plain = list(rows(source))
    assert [row["image_id"] for row in plain] == ["a-b", "a", "b", "c"]
    (tmp_path / "shards").mkdir()
    archive = pack(tmp_path / "shards" / "one.tar", source)
    assert list(rows(archive)) == plain
    assert list(rows(tmp_path / "shards")) == plain
    # Folders come first, archives after them.
    source_of(tmp_path / "shards", z=label())
    assert next(rows(tmp_path / "shards"))["image_id"] == "z"


def test_one_stem_twice_is_an_error(tmp_path):
    source = source_of(tmp_path / "big", a=label())
    pack(source / "x.tar", source)
    with pytest.raises(
        EmoNetFaceError, match=r"x.tar:a.png and .*big/a.png have the same stem 'a'"
    ):
        list(rows(source))
    two = source_of(tmp_path / "two", a=label())
    draw(two / "a.jpg")
    with pytest.raises(EmoNetFaceError, match="same stem 'a'"):
        list(rows(two))
    with pytest.raises(EmoNetFaceError, match="same stem 'a'"):
        list(rows(pack(tmp_path / "two.tar", two)))


def test_archive_members_with_bad_names_are_rejected(tmp_path):
    source = source_of(tmp_path / "big", a=label())
    archive = pack(tmp_path / "a.tar", source)
    with tarfile.open(archive, "a") as tar:
        for name in ("../out.png", "/abs.png", "in/../../out.json"):
            tar.addfile(tarfile.TarInfo(name))
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        tar.addfile(tarfile.TarInfo("._hidden.png"))
        tar.addfile(tarfile.TarInfo("notes.txt"))
        tar.addfile(tarfile.TarInfo("orphan.json"))
    found = list(rows(archive))
    assert [row["image_id"] for row in found if isinstance(row, dict)] == ["a"]
    rejects = [
        (row.file.rpartition(":")[2], row.reason) for row in found if isinstance(row, Reject)
    ]
    assert rejects == [
        ("../out.png", "the name leads out of the archive"),
        ("/abs.png", "the name leads out of the archive"),
        ("in/../../out.json", "the name leads out of the archive"),
        ("link.png", "is no plain file"),
        ("orphan.json", "no image beside this record"),
    ]


def test_damaged_archives_are_errors_wherever_they_are_cut(tmp_path):
    archive = pack(tmp_path / "a.tar", source_of(tmp_path / "big", a=label(), b=label()))
    whole = archive.read_bytes()
    end = whole.rstrip(b"\0")
    for cut in (0, 100, 512, 700, 1024, 2048, len(end)):
        archive.write_bytes(whole[:cut])
        with pytest.raises(EmoNetFaceError, match=r"a\.tar"):
            list(rows(archive))
    broken = bytearray(whole)
    broken[1024:1030] = b"######"  # in the second header
    archive.write_bytes(broken)
    with pytest.raises(EmoNetFaceError, match="damaged or cut off at byte 1,024"):
        list(rows(archive))
    archive.write_bytes(b"no archive at all" * 100)
    with pytest.raises(EmoNetFaceError, match="not a whole tar"):
        list(rows(archive))


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (label(Joy=1), "unknown category 'Joy'"),
        (label(Anger=8), "0..7"),
        (label(Anger="3"), "must be a number"),
        (label(Anger=True), "must be a number"),
        ({"scores": {"Anger": 1}}, "'annotator' is None"),
        ({"annotator": "vlm"}, "'scores' is None"),
        ({"annotator": "vlm", "scores": [1]}, "must be an object"),
        ({**label(), "dimensions": {"valence": 4}}, "-3..3"),
        ({**label(), "dimensions": {"valense": 1}}, "unknown dimension 'valense'"),
        ({**label(**{"valence": 1}), "dimensions": {"valence": 1}}, "give one"),
        ({**label(), "lables": 1}, "unknown key 'lables'"),
        ({**label(), "annotations": []}, "beside 'annotations'"),
        ({"annotations": []}, "has no labels"),
        ({"annotations": {}}, "not a list"),
        ({"annotations": [label(), {**label("b"), "note": 1}]}, "entry 2 of 'annotations'"),
        ({"annotations": [label(), label()]}, "'vlm' labelled the image twice"),
        ({"prompt": "a face"}, "has no labels; give --labels"),
    ],
)
def test_bad_records_reject_their_image(tmp_path, record, message):
    (reject,) = rows(source_of(tmp_path / "big", a=record))
    assert isinstance(reject, Reject)
    assert message in reject.reason
    assert reject.file.endswith("a.png")
    assert reject.record == record


def test_missing_partners_and_unreadable_files_are_rejected(tmp_path):
    source = source_of(tmp_path / "big", broken=label(), good=label(), text=label(), twice=label())
    (source / "broken.png").write_bytes((source / "good.png").read_bytes()[:30])
    (source / "text.json").write_text("{")
    (source / "twice.json").write_text('{"annotator": "a", "annotator": "b"}')
    draw(source / "lonely.png")
    sidecar(source / "orphan.json", **label())
    sidecar(source / "run.json", made_by="emonet-face generate")
    report = build_big(source, tmp_path / "repo")
    assert (report.rows, report.n_rejected) == ({"big": 1}, 5)
    reasons = {
        reject["file"].rpartition("/")[2]: reject["reason"] for reject in read_lines(report.rejects)
    }
    assert set(reasons) == {"broken.png", "lonely.png", "orphan.json", "text.png", "twice.png"}
    assert "the image" in reasons["broken.png"]
    assert reasons["lonely.png"] == "no lonely.json beside it"
    assert "is not JSON" in reasons["text.png"]
    assert "the key 'annotator' twice" in reasons["twice.png"]


def test_a_run_folder_with_a_labels_file(tmp_path):
    run = source_of(
        tmp_path / "run" / "images",
        a={"image_id": "a", "prompted_emotion": "Awe", "seed": 1, "intensities": {"Awe": 1.0}},
        b={"image_id": "b"},
        c={},
    ).parent
    sidecar(run / "run.json", made_by="emonet-face generate")
    more = {"protocol": "multi-shot", "simulated": True, "raw": "..."}
    labels = lines(
        tmp_path / "labels.jsonl",
        {"image": "b.png", **label("vlm", Anger=2), **more},
        {"image": "a.png", **label("vlm", Awe=7), **more, "dimensions": {"arousal": 7}},
        {"image": "a.png", **label("other", Awe=6), **more, "dimensions": None},
        {"image": "b.png", **label("other", Joy=6), **more},
        {"image": "c.png", "error": "timed out"},
        {"image": "gone.png", **label("vlm")},
        {"pictures": 1},
    )
    counts = Counter()
    found = list(rows(run, labels=labels, counts=counts))
    a, b = (row for row in found if isinstance(row, dict))
    assert [entry["annotator"] for entry in a["ratings"]] == ["vlm", "other"]
    assert (a["median_scores"][AWE], a["prompted_emotion"]) == (6.5, AWE)
    assert a["dimensions"]["arousal"] == 7
    assert (len(b["ratings"]), b["dimensions"]) == (1, None)
    assert counts["images labelled by vlm"] == 2
    rejects = {row.row or row.file.rpartition("/")[2]: row.reason for row in found
               if isinstance(row, Reject)}  # fmt: skip
    assert set(rejects) == {4, 5, 6, 7, "c.png"}
    assert "unknown category 'Joy'" in rejects[4]
    assert "failed: 'timed out'" in rejects[5]
    assert "no image 'gone'" in rejects[6]
    assert "'image' is None" in rejects[7]
    assert "no label in" in rejects["c.png"]


def test_faults_of_the_source_as_a_whole(tmp_path):
    with pytest.raises(EmoNetFaceError, match="neither a folder nor a"):
        list(rows(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(EmoNetFaceError, match="holds no row"):
        build_big(tmp_path / "empty", tmp_path / "repo")
    (tmp_path / "labels.jsonl").touch()
    source = source_of(tmp_path / "big", a=label())
    with pytest.raises(EmoNetFaceError, match=r"labels\.jsonl: is empty"):
        build_big(source, tmp_path / "repo", labels=tmp_path / "labels.jsonl")
    with pytest.raises(EmoNetFaceError, match=r"a\.png: unknown category 'Joy'.*strict"):
        build_big(source_of(source, a=label(Joy=1)), tmp_path / "repo", strict=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["big", "empty", "labels.jsonl"]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    """1,500 noise pictures of 270 kB against 300; the difference would be 320 MB. Some 20 s."""
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    code = (
        "import resource, sys, pathlib; from dataset_scripts import build_big;"
        "build_big(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]));"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    peak = {}
    for n in (300, 1_500):
        source = tmp_path / f"source-{n}"
        source.mkdir()
        for i in range(n):
            os.link(tmp_path / "noise.png", source / f"{i}.png")
            sidecar(source / f"{i}.json", **label(Anger=1))
        command = [sys.executable, "-c", code, str(source), str(tmp_path / f"repo-{n}")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peak[n] = float(done.stdout)
    assert sum(f.stat().st_size for f in (tmp_path / "repo-1500").rglob("*.parquet")) > 400e6
    assert peak[1_500] - peak[300] < 60
