"""Config `big`: pairs in folders and archives, labels beside or in a file, faults by name.

pytest tests/test_build_big.py
"""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from raw_sources import draw, files_of, lines, read_lines, sidecar

from dataset_scripts import big
from dataset_scripts.big import build_big, rows
from dataset_scripts.rejects import Reject
from dataset_scripts.scratch import scratch
from dataset_scripts.sources import Source
from emonet_face.errors import EmoNetFaceError
from emonet_face.taxonomy import INDEX

ANGER, AWE = INDEX["Anger"], INDEX["Awe"]


def label(annotator="vlm", **scores):
    return {"annotator": annotator, "scores": scores or {"Anger": 1}}


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
    with pytest.raises(EmoNetFaceError, match="goes on behind its end at byte 1,024"):
        list(rows(archive))
    archive.write_bytes(b"no archive at all" * 100)
    with pytest.raises(EmoNetFaceError, match="not a whole tar"):
        list(rows(archive))


def test_what_follows_the_end_of_an_archive_is_an_error(tmp_path):
    source = source_of(tmp_path / "big", a=label(Anger=1), b=label(Anger=2))
    whole = pack(tmp_path / "one.tar", source).read_bytes()
    (tmp_path / "two.tar").write_bytes(whole + whole)
    # The header of the third member is zeroed: tarfile takes it for the end.
    with tarfile.open(tmp_path / "one.tar") as tar:
        third = tar.getmembers()[2].offset
    (tmp_path / "hole.tar").write_bytes(whole[:third] + bytes(512) + whole[third + 512 :])
    for name in ("two.tar", "hole.tar"):
        with pytest.raises(EmoNetFaceError, match=f"{name}: goes on behind its end"):
            list(rows(tmp_path / name))


def test_files_too_large_to_be_true_are_refused_unread(tmp_path):
    source = source_of(tmp_path / "big", a=label(Anger=1), b=label(Anger=1), c=label(Anger=1))
    os.truncate(source / "b.png", 3_000_000_000)  # sparse: no room is taken
    os.truncate(source / "c.json", 40_000_000_000)
    found = {getattr(row, "file", None) or row["image_id"]: row for row in rows(source)}
    assert set(found) == {"a", f"{source}/b.png", f"{source}/c.png"}
    assert "has 3,000,000,000 bytes; at most" in found[f"{source}/b.png"].reason
    assert "has 40,000,000,000 bytes; at most" in found[f"{source}/c.png"].reason
    labels = tmp_path / "labels.jsonl"
    labels.write_text(json.dumps({"image": "a.png", **label(Anger=2)}) + "\n")
    os.truncate(labels, 50_000_000)
    (source / "a.json").unlink()
    found = list(rows(source, labels=labels))
    (long,) = [row for row in found if getattr(row, "file", None) == str(labels)]
    assert (long.row, long.reason) == (2, "the line has 16,000,000 bytes or more")
    assert [row["image_id"] for row in found if isinstance(row, dict)] == ["a"]


def test_archives_of_other_kinds_and_linked_folders_are_said(tmp_path):
    source = source_of(tmp_path / "big", a=label(Anger=1))
    pack(source / "b.TAR", source_of(tmp_path / "b", b=label(Anger=1)))
    (source / "c.tar.gz").write_bytes(b"")
    (source / "d").symlink_to(tmp_path / "b")
    found = list(rows(source))
    assert [row["image_id"] for row in found if isinstance(row, dict)] == ["a", "b"]
    said = {row.file: row.reason for row in found if isinstance(row, Reject)}
    assert "is a .gz archive" in said[f"{source}/c.tar.gz"]
    assert "link to a folder" in said[f"{source}/d"]


def test_the_repo_must_not_lie_in_its_source(tmp_path):
    source = source_of(tmp_path / "big", a=label(Anger=1))
    with pytest.raises(EmoNetFaceError, match="lies inside the source"):
        build_big(source, source / "repo")
    assert sorted(files_of(source)) == ["a.json", "a.png"]


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
        ({"annotator": "vlm", "scores": {}}, "'scores' has no value for any category"),
        (label(Anger=None), "'scores' has no value for any category"),
        ({"annotations": [label("m"), label(" m ")]}, "'m' labelled the image twice"),
        (label("m\0"), "'annotator' is 'm\\x00': holds a control character"),
        (label("x" * 2_000), "'annotator' has 2,000 characters; at most 1,000"),
        (label(**{"Joy" * 10_000: 1}), "unknown category 'JoyJoy"),
        ({**label(), "dimensions": {"valence": 4}}, "-3..3"),
        ({**label(), "dimensions": {"valense": 1}}, "unknown dimension 'valense'"),
        ({**label(Anger=1, valence=1), "dimensions": {"valence": 1}}, "give one"),
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


def test_links_to_nothing_and_unfinished_runs_are_said(tmp_path):
    source = source_of(tmp_path / "big", a=label())
    (source / "b.png").symlink_to("nowhere.png")
    os.mkfifo(source / "c.json")
    (source / "d.png").symlink_to("a.png")
    sidecar(source / "d.json", **label())
    found = {getattr(row, "file", None) or row["image_id"]: row for row in rows(source)}
    assert set(found) == {f"{source}/b.png", f"{source}/c.json", "a", "d"}
    assert "link to nothing" in found[f"{source}/b.png"].reason
    sidecar(source / ".plan.json", made_by="emonet-face generate")
    with pytest.raises(EmoNetFaceError, match="is an unfinished run"):
        list(rows(source))


def test_names_that_are_no_unicode_are_rejected_and_nothing_else(tmp_path):
    source = source_of(tmp_path / "big", a=label())
    odd = os.fsdecode(b"b\xff.png")
    (source / odd).write_bytes((source / "a.png").read_bytes())
    sidecar(source / os.fsdecode(b"b\xff.json"), **label())
    report = build_big(source, tmp_path / "repo")
    assert (report.rows, report.n_rejected) == ({"big": 1}, 1)
    assert "is not valid Unicode" in read_lines(report.rejects)[0]["reason"]


def test_the_fingerprint_changes_with_any_file_and_with_nothing_else(tmp_path):
    source = source_of(tmp_path / "big", **{"a": label(), "sub/b": label()})
    pack(source / "x.tar", source_of(tmp_path / "c", c=label()))

    def fingerprint():
        with scratch() as table:
            found = Source(source, table)
            assert found.n_images == 3
            return found.fingerprint

    first = fingerprint()
    (source / "notes.txt").write_text("not part of it")
    assert fingerprint() == first
    seen = {first}
    for name in ("a.png", "sub/b.json", "x.tar"):
        data = (source / name).read_bytes()
        before = (source / name).stat()
        (source / name).write_bytes(data)
        os.utime(source / name, ns=(before.st_atime_ns, before.st_mtime_ns))  # only ctime tells
        seen.add(fingerprint())
    assert len(seen) == 4


def test_no_room_for_the_list_of_names_is_one_line(tmp_path):
    source = source_of(tmp_path / "big", **{f"face-{i:03d}": label() for i in range(60)})
    with (
        pytest.raises(EmoNetFaceError, match=r"needs room on disk \(.*full\).*SQLITE_TMPDIR"),
        scratch() as table,
    ):
        table.execute("PRAGMA max_page_count = 8")
        Source(source, table)


class Stop(BaseException):
    """Stands for Ctrl-C."""


@pytest.fixture
def six(tmp_path):
    """Six images, the fourth without a good label."""
    records = {name: label(Anger=1) for name in "abcdef"}
    return source_of(tmp_path / "six", **records | {"d": label(Joy=1)})


ONE_IMAGE = 2_000
"""A shard size that any two of the six exceed: each counts some 1.2 kB."""


def stop_at(monkeypatch, image=None):
    """Stop the build at an image; returns the list of images it looks at."""
    seen = []
    inspect = big.inspect_image
    stop = None if image is None else image.read_bytes()

    def inspecting(data, where):
        seen.append(data)
        if data == stop:
            raise Stop
        return inspect(data, where)

    monkeypatch.setattr(big, "inspect_image", inspecting)
    return seen


def test_a_build_that_was_cut_off_goes_on_behind_its_last_shard(six, tmp_path, monkeypatch):
    whole = build_big(six, tmp_path / "whole" / "repo", shard_bytes=ONE_IMAGE)
    expected = files_of(tmp_path / "whole")
    shards = sorted((tmp_path / "whole" / "repo" / "big").iterdir())
    assert len(shards) == 5
    with monkeypatch.context() as patch:
        stop_at(patch, six / "f.png")
        with pytest.raises(Stop):
            build_big(six, tmp_path / "cut" / "repo", shard_bytes=ONE_IMAGE)
    (hidden,) = (tmp_path / "cut").iterdir()
    assert hidden.name == ".repo.unfinished-big"
    with monkeypatch.context() as patch:
        seen = stop_at(patch)
        report = build_big(six, tmp_path / "cut" / "repo", shard_bytes=ONE_IMAGE)
    kept = report.counts.pop("shards kept from the build that was cut off")
    # Before f came, nobody knew whether e was the last of its shard: a, b and c are kept.
    assert (kept, len(seen)) == (3, 3)
    assert files_of(tmp_path / "cut") == expected
    assert whole.counts == report.counts | {"shards kept from the build that was cut off": 0}
    assert (whole.rows, whole.reasons) == (report.rows, report.reasons)
    assert sorted(p.name for p in (tmp_path / "cut").iterdir()) == [
        "repo", "repo.rejects-big.jsonl"
    ]  # fmt: skip


def test_a_killed_process_is_followed_by_another(tmp_path):
    """SIGKILL from outside, wherever the build is once three shards are finished."""
    rng = np.random.default_rng(0)
    source = tmp_path / "source"
    source.mkdir()
    for i in range(60):
        pixels = rng.integers(0, 256, (200, 200, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(source / f"{i:02d}.png")
        sidecar(source / f"{i:02d}.json", **label(Anger=i % 8))
    out = tmp_path / "cut" / "repo"
    code = (
        "import sys, pathlib; from dataset_scripts import build_big;"
        "build_big(*map(pathlib.Path, sys.argv[1:]), shard_bytes=250_000)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(source), str(out)]) as process:
        state = out.parent / ".repo.unfinished-big" / "00002" / "shard.json"
        while process.poll() is None and not state.exists():
            time.sleep(0.001)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert not out.exists()
    report = build_big(source, out, shard_bytes=250_000)
    assert report.counts["shards kept from the build that was cut off"] >= 3
    build_big(source, tmp_path / "whole" / "repo", shard_bytes=250_000)
    assert files_of(tmp_path / "cut") == files_of(tmp_path / "whole")


@pytest.mark.parametrize("change", ["source", "strictness", "shard size", "damage", "no plan"])
def test_what_was_kept_is_used_for_the_same_build_alone(six, tmp_path, monkeypatch, change):
    out = tmp_path / "out" / "repo"
    with monkeypatch.context() as patch:
        stop_at(patch, six / "f.png")
        with pytest.raises(Stop):
            build_big(six, out, shard_bytes=ONE_IMAGE)
    hidden = out.parent / ".repo.unfinished-big"
    options = {"shard_bytes": ONE_IMAGE}
    n_kept = 0
    if change == "source":
        sidecar(six / "a.json", **label(Anger=2))
    elif change == "strictness":
        sidecar(six / "d.json", **label(Anger=1))
        options["strict"] = True
    elif change == "shard size":
        options["shard_bytes"] += 1
    elif change == "damage":
        with next(hidden.glob("00001/big/*.parquet")).open("r+b") as shard:
            shard.write(b"0000")
        n_kept = 1
    else:
        (hidden / "plan.json").write_text("{")
    report = build_big(six, out, **options)
    assert report.counts["shards kept from the build that was cut off"] == n_kept
    build_big(six, tmp_path / "fresh" / "repo", **options)
    assert files_of(out) == files_of(tmp_path / "fresh" / "repo")
    assert not hidden.exists()


def test_two_builds_of_one_config_do_not_meet(six, tmp_path, monkeypatch):
    out = tmp_path / "out" / "repo"
    inspect = big.inspect_image

    def nested(data, where):
        monkeypatch.setattr(big, "inspect_image", inspect)
        with pytest.raises(EmoNetFaceError, match=r"repo: big is being built by another process"):
            build_big(six, out)
        return inspect(data, where)

    monkeypatch.setattr(big, "inspect_image", nested)
    assert build_big(six, out).rows == {"big": 5}


def test_a_source_that_turns_out_to_be_bad_leaves_nothing(six, tmp_path):
    with pytest.raises(EmoNetFaceError, match=r"d\.png: unknown category 'Joy'.*strict"):
        build_big(six, tmp_path / "out" / "repo", strict=True, shard_bytes=ONE_IMAGE)
    assert not list((tmp_path / "out").iterdir())


def test_rejects_of_the_labels_file_are_said_once_however_often_it_is_cut_off(
    six, tmp_path, monkeypatch
):
    for path in six.glob("*.json"):
        path.unlink()
    entries = [{"image": f"{name}.png", **label("vlm", Anger=1)} for name in "fbadce"]
    bad = [{"image": 1}, {"image": "b.png", **label(Joy=1)}, {"image": "gone.png", **label()}]
    labels = lines(tmp_path / "labels.jsonl", *bad, *entries)
    options = {"labels": labels, "shard_bytes": ONE_IMAGE}
    build_big(six, tmp_path / "whole" / "repo", **options)
    for name in "bcf":
        with monkeypatch.context() as patch:
            stop_at(patch, six / f"{name}.png")
            with pytest.raises(Stop):
                build_big(six, tmp_path / "cut" / "repo", **options)
    build_big(six, tmp_path / "cut" / "repo", **options)
    assert files_of(tmp_path / "cut") == files_of(tmp_path / "whole")
    rejected = read_lines(tmp_path / "cut" / "repo.rejects-big.jsonl")
    assert [reject["row"] for reject in rejected] == [1, 2, 3]


def peak_memory(code, *arguments):
    """MB of a process with this code; not from `resource`, which counts what its parent had too."""
    code += "print(pathlib.Path('/proc/self/status').read_text())"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(re.search(r"VmHWM:\s*(\d+) kB", done.stdout)[1]) / 1000


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_names(tmp_path):
    """100,000 pairs of empty files against 10,000: the list of names lies on disk. Some 40 s."""
    code = (
        "import sys, pathlib\n"
        "from dataset_scripts.scratch import scratch\n"
        "from dataset_scripts.sources import Source\n"
        "with scratch() as table:\n"
        "    assert sum(1 for _ in Source(pathlib.Path(sys.argv[1]), table).items()) > 9_999\n"
    )
    peak = {}
    for n in (10_000, 100_000):
        source = tmp_path / f"source-{n}"
        source.mkdir()
        for i in range(n):
            (source / f"a-face-with-quite-a-long-name-{i}.png").touch()
            (source / f"a-face-with-quite-a-long-name-{i}.json").touch()
        peak[n] = peak_memory(code, source)
    assert peak[100_000] - peak[10_000] < 10, peak


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    """1,500 noise pictures of 270 kB against 300; the difference would be 320 MB. Some 20 s."""
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    code = (
        "import sys, pathlib; from dataset_scripts import build_big\n"
        "build_big(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))\n"
    )
    peak = {}
    for n in (300, 1_500):
        source = tmp_path / f"source-{n}"
        source.mkdir()
        for i in range(n):
            os.link(tmp_path / "noise.png", source / f"{i}.png")
            sidecar(source / f"{i}.json", **label(Anger=1))
        peak[n] = peak_memory(code, source, tmp_path / f"repo-{n}")
    assert sum(f.stat().st_size for f in (tmp_path / "repo-1500").rglob("*.parquet")) > 400e6
    assert peak[1_500] - peak[300] < 60, peak
