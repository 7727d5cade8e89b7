"""Several processes on one run: who makes what, what a killed one leaves, a full disk, Ray.

pytest tests/test_shared_runs.py                 # seconds
pytest tests/test_shared_runs.py -m slow         # kill -9 at 50 random moments, Ray: 2 minutes
"""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from painter import Painter, gradient

from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import read_image
from generation import finishing, image_files, work
from generation.claims import ClaimFile
from generation.ray_engine import BatchMaker
from generation.run import MANIFEST, PLAN, check_finished, generate
from generation.run_folder import CLAIMS, Run, begun
from generation.work import Work

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["generation.run", "generation.schematic", "PIL.PngImagePlugin"])
"""What the work imports: each process then starts at once."""


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def start(target, *arguments):
    process = _processes.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def paint(out, log, n=30, seconds=0.0):
    generate(n, out, backend=Painter(log, seconds=seconds), size=32)


def draw(out, n):
    generate(n, out, size=32, workers=1)


def check_run(out, n):
    """Every id exactly once, every sha256 right, nothing else in the folder."""
    run = json.loads((out / MANIFEST).read_text())
    ids = [f"{run['generator']}-0-{i:06d}" for i in range(n)]
    found = sorted(path.name for path in out.rglob("*"))
    expected = [f"{i}.{suffix}" for i in ids for suffix in ("json", "png")]
    assert found == sorted([*expected, MANIFEST, "images"])
    for image_id in ids:
        image = out / "images" / f"{image_id}.png"
        sidecar = json.loads(image.with_suffix(".json").read_text())
        assert sidecar["image_id"] == image_id
        assert sidecar["sha256"] == read_image(image).sha256
    assert not [path for path in out.parent.iterdir() if path.name.startswith(".")]


def test_two_processes_make_every_image_once(tmp_path):
    out, log = tmp_path / "run", tmp_path / "log"
    processes = [start(paint, out, log, 30, 0.05) for _ in range(2)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    lines = [line.split() for line in log.read_text().splitlines()]
    assert Counter(Counter(image_id for _, image_id in lines).values()) == {1: 30}
    assert len({pid for pid, _ in lines}) == 2, "both worked"
    check_run(out, 30)
    paint(tmp_path / "alone", tmp_path / "other.log")
    assert contents(out) == contents(tmp_path / "alone")


def test_a_claim_ends_with_its_process(tmp_path):
    ready, path = _processes.Event(), tmp_path / "claims"
    process = start(_hold, path, ready)
    assert ready.wait(20)
    with ClaimFile(path) as claims:
        assert not claims.claim(4)
        assert claims.claim(5)
        process.kill()
        process.join()
        assert claims.claim(4)
        claims.finish(4)
        assert claims.is_done(4)
        assert not claims.claim(4)
        claims.reopen(4)
        assert claims.claim(4)


def _hold(path, ready):
    with ClaimFile(path) as claims:
        assert claims.claim(4)
        ready.set()
        time.sleep(60)


def test_a_claim_file_that_says_nothing_goes_with_its_last_user(tmp_path):
    ready, path = _processes.Event(), tmp_path / "claims"
    process = start(_hold, path, ready)
    assert ready.wait(20)
    ClaimFile(path).close()
    assert path.exists(), "another process uses it"
    process.kill()
    process.join()
    ClaimFile(path).close()
    assert not path.exists()
    with ClaimFile(path) as claims:
        assert claims.claim(0)
        claims.finish(0)
    assert path.read_bytes() == b"\1"


def test_a_claim_file_that_was_replaced_is_left_to_its_users(tmp_path):
    path = tmp_path / "claims"
    old = ClaimFile(path)
    path.unlink()
    path.touch()
    old.close()
    assert path.exists()


def test_one_image_alone_is_not_written_beside_a_process_that_has_claimed_it(tmp_path):
    """`--only` waits for the claim, and then finds the picture there."""
    out, log = tmp_path / "run", tmp_path / "log"
    backend = Painter(log)
    generate(9, out, backend=backend, size=32, only="painter-0-000000")
    assert not (out / CLAIMS).exists()
    other = start(paint, out, log, 9, 1.0)
    while not (out / CLAIMS).exists():
        time.sleep(0.01)
    time.sleep(0.1)  # it has claimed the first batch and sleeps
    redrawn = generate(9, out, backend=backend, size=32, only="painter-0-000001")
    assert redrawn.equal is True, "made meanwhile by the other process"
    other.join(30)
    check_run(out, 9)


def test_quick_batches_are_written_together_and_slow_ones_at_once(tmp_path, monkeypatch):
    """Together they take less time; a process that is killed loses no more than _TOGETHER."""
    sizes, real = [], work.Maker.write

    def write(maker, batches):
        sizes.append(len(batches))
        real(maker, batches)

    monkeypatch.setattr(work.Maker, "write", write)
    whole = generate(12, tmp_path / "quick", backend=Painter(), size=32)
    assert sizes == [4]
    sizes.clear()
    monkeypatch.setattr(work, "_TOGETHER", 0.04)
    at_once = generate(12, tmp_path / "slow", backend=Painter(seconds=0.05), size=32)
    assert sizes == [1] * 4
    sizes.clear()
    thread = generate(12, tmp_path / "thread", backend=Painter(overlap=True), size=32)
    assert sizes == [1] * 4
    assert contents(whole) == contents(at_once) == contents(thread)


def test_a_process_takes_over_what_a_killed_one_had_claimed(tmp_path):
    out, log = tmp_path / "run", tmp_path / "log"
    slow = start(paint, out, log, 9, 60.0)
    while not (out / CLAIMS).exists():
        time.sleep(0.01)
    time.sleep(0.2)
    other = start(paint, out, log, 9, 0.0)
    while len(list(out.glob("images/*.json"))) < 6:
        time.sleep(0.01)
    assert not (out / MANIFEST).exists()
    slow.kill()
    other.join(20)
    assert other.exitcode == 0
    check_run(out, 9)


@pytest.mark.slow
@pytest.mark.parametrize("moment", range(50))
def test_kill_at_a_random_moment(tmp_path, moment):
    """Two processes draw; at a random moment one or both get SIGKILL; then the run is finished.

    What had been vouched for by then must not be written again.
    """
    draw_moment = random.Random(moment)
    out, n = tmp_path / "run", 24
    processes = [start(draw, out, n) for _ in range(2)]
    until = time.monotonic() + 10
    while not out.exists() and time.monotonic() < until:
        time.sleep(0.001)
    time.sleep(draw_moment.uniform(0, 0.25))
    killed = processes[: draw_moment.choice([1, 2])]
    for process in killed:
        process.kill()  # SIGKILL; nothing where it has finished already
    for process in killed:
        process.join()
    whole = {path: path.stat() for path in _vouched_for(out)}
    if len(killed) == 2:
        processes.append(start(draw, out, n))
    for process in processes:
        process.join(60)
    assert {process.exitcode for process in processes} <= {0, -signal.SIGKILL}
    assert processes[-1].exitcode == 0
    check_run(out, n)
    for path, before in whole.items():
        after = path.stat()
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns), path


def _vouched_for(out):
    for image in (out / "images").glob("[!.]*.png"):
        try:
            sidecar = json.loads(image.with_suffix(".json").read_text())
            if sidecar["sha256"] == hashlib.sha256(image.read_bytes()).hexdigest():
                yield image
        except FileNotFoundError:
            continue


@pytest.mark.parametrize("name", ["run.json", "images"])
def test_killed_in_the_last_steps(tmp_path, name, monkeypatch):
    """The claim file outlives the manifest, or the finished images have no manifest yet."""
    out, log = tmp_path / "run", tmp_path / "log"
    paint(out, log, 6)
    whole = contents(out)
    if name == "images":
        (out / MANIFEST).rename(out / PLAN)
        with pytest.raises(EmoNetFaceError, match=r"not finished \(6 of 6 images\)"):
            check_finished(out)
    (out / CLAIMS).write_bytes(b"\1\1")
    paint(out, log, 6)
    assert contents(out) == whole
    assert len(log.read_text().splitlines()) == 6


def test_an_image_that_is_lost_before_the_end_is_made_again(tmp_path, monkeypatch):
    """All batches are marked as done, but the disk did not keep one of the images."""
    out, log = tmp_path / "run", tmp_path / "log"
    real = finishing._verified

    def verified(run, claims):
        if log.read_text().count("\n") == 9:
            run.image_path(4).write_bytes(b"")
        return real(run, claims)

    monkeypatch.setattr(finishing, "_verified", verified)
    paint(out, log, 9)
    check_run(out, 9)
    assert (
        Counter(line.split()[1] for line in log.read_text().splitlines())["painter-0-000004"] == 2
    )


def test_where_batches_matter_the_whole_batch_is_made_and_the_lost_image_written(tmp_path):
    out, log = tmp_path / "run", tmp_path / "log"
    backend = Painter(log, batch_matters=True)
    generate(9, out, backend=backend, size=32)
    whole = contents(out)
    kept = {path: path.stat().st_mtime_ns for path in out.glob("images/*.png")}
    lost = out / "images" / "painter-0-000004.png"
    lost.unlink()
    log.write_text("")
    generate(9, out, backend=backend, size=32)
    asked = [line.split()[1] for line in log.read_text().splitlines()]
    assert asked == [f"painter-0-00000{i}" for i in (3, 4, 5)]
    assert contents(out) == whole
    assert {p: p.stat().st_mtime_ns for p in kept if p != lost} == {
        p: time for p, time in kept.items() if p != lost
    }
    log.write_text("")
    assert generate(9, out, backend=backend, size=32, only="painter-0-000004").equal
    assert [line.split()[1] for line in log.read_text().splitlines()] == asked


@pytest.mark.parametrize("at", [0, 7])
def test_a_full_disk(tmp_path, monkeypatch, at):
    """Nothing half-written stays, and the same call goes on where there is room again."""
    out, log = tmp_path / "run", tmp_path / "log"
    real, calls = image_files.os.replace, iter(range(1000))

    def replace(source, target):
        if next(calls) == at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(image_files.os, "replace", replace)
        with pytest.raises(OSError, match="No space left"):
            paint(out, log, 9)
    assert not [path for path in out.rglob(".*") if "partial" in path.name]
    assert not (out / MANIFEST).exists()
    paint(out, log, 9)
    check_run(out, 9)


def test_a_full_disk_is_named_with_the_file_that_did_not_fit(tmp_path, monkeypatch):
    """The system names a file where it opens or renames one, and none where it writes."""
    real = image_files.os.write

    def write(file, data):
        if len(data) < 3:  # there was room for all but the end
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(file, data[: len(data) - 2])

    monkeypatch.setattr(image_files.os, "write", write)
    with pytest.raises(OSError, match="No space left") as caught:
        paint(tmp_path / "run", tmp_path / "log", 2)
    assert caught.value.filename == str(tmp_path / "run" / "images" / "painter-0-000000.png")


def test_processes_that_start_together_agree_who_makes_the_folder(tmp_path):
    for attempt in range(5):
        out = tmp_path / str(attempt) / "run"
        processes = [start(paint, out, tmp_path / f"{attempt}.log", 3) for _ in range(4)]
        for process in processes:
            process.join(30)
        assert [process.exitcode for process in processes] == [0] * 4
        check_run(out, 3)


def test_a_manifest_that_is_renamed_while_it_is_looked_for_is_found(tmp_path, monkeypatch):
    out = tmp_path / "run"
    paint(out, tmp_path / "log", 3)
    (out / MANIFEST).rename(out / PLAN)
    real = Path.read_bytes

    def read_bytes(path):
        try:
            return real(path)
        finally:
            if path.name == MANIFEST and (out / PLAN).exists():
                (out / PLAN).rename(out / MANIFEST)  # another process completes the run just now

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    assert begun(out)[0] == MANIFEST


class Broken(Painter):
    """Fails always, as a driver that has crashed does."""

    def make(self, requests, size):
        super().make(requests, size)
        raise RuntimeError("device-side assert triggered")


def test_what_always_fails_is_given_up(tmp_path):
    out, log = tmp_path / "run", tmp_path / "log"
    with pytest.raises(EmoNetFaceError, match="5 batches in a row gave no picture"):
        generate(60, out, backend=Broken(log), size=32, retries=0)
    asked = {line.split()[1] for line in log.read_text().splitlines()}
    assert len(asked) == work.MOST_FAILURES * 3
    failures = sorted(out.glob("failures/*.jsonl"))
    assert len(failures) == 15
    record = json.loads(failures[0].read_text())
    assert record["image_id"] == "painter-0-000000"
    assert record["causes"][-1] == "RuntimeError in a batch of 1: device-side assert triggered"
    generate(60, out, backend=Painter(log), size=32)  # the next call tries again
    check_run(out, 60)


def test_batches_that_lack_one_picture_each_are_not_given_up(tmp_path):
    def paint(request, n):
        if request.record.index % 3 == 0:
            raise RuntimeError("bad luck")
        return gradient(request, 32)

    out, n = tmp_path / "run", 3 * (work.MOST_FAILURES + 2)
    with pytest.raises(EmoNetFaceError, match=f"{n // 3} of {n} images could not be made"):
        generate(n, out, backend=Painter(paint=paint), size=32, retries=0)
    assert len(list(out.glob("images/*.png"))) == n * 2 // 3


def test_an_error_ends_all_workers_with_one_line(tmp_path):
    """The others must not wait for the batch that the failing process has claimed."""
    out = tmp_path / "run"
    (out / "images" / "schematic-0-000000.json").mkdir(parents=True)
    generate(20, tmp_path / "other", size=32, workers=1)
    (tmp_path / "other" / MANIFEST).rename(out / PLAN)
    command = [sys.executable, "-m", "emonet_face.cli", "generate", "--n", "20", "--size", "32"]
    command += ["--workers", "2", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "schematic-0-000000.json.partial: Is a directory" in done.stderr
    (out / "images" / "schematic-0-000000.json").rmdir()
    generate(20, out, size=32, workers=1)
    assert contents(out) == contents(generate(20, tmp_path / "new", size=32, workers=1))


def test_workers_end_with_the_process_that_started_them(tmp_path):
    """Else they would go on for hours, and write into the next run that is made in this place."""
    command = [sys.executable, "-m", "emonet_face.cli", "generate", "--n", "100000", "--no-report"]
    command += ["--size", "128", "--workers", "3", "--out", str(tmp_path / "run")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    claims = tmp_path / "run" / CLAIMS
    deadline = time.monotonic() + 60
    while not claims.exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(2.0)  # by now they are drawing
    process.kill()
    process.communicate(timeout=20)  # ends when the last of them has closed the pipe


def test_an_actor_gives_up_as_a_process_does(tmp_path):
    """Its answers say so: an error would reach the caller as the frames of a traceback."""
    out, log = tmp_path / "run", tmp_path / "log"
    with pytest.raises(EmoNetFaceError, match="gave no picture"):
        generate(60, out, backend=Broken(log), size=32, retries=0)
    log.write_text("")
    actor = BatchMaker(Work(Run(out, begun(out)[1]), Broken(log), 0, None))
    answers = actor({"id": np.arange(work.MOST_FAILURES)})
    assert answers["failed"].tolist() == [3, 3, 3, 3, 0]
    assert answers["end"].tolist()[:4] == [""] * 4
    assert "5 batches in a row gave no picture" in answers["end"][4]
    with ClaimFile(out / CLAIMS) as claims:
        assert claims.claim(0), "given back"


@pytest.mark.parametrize("where", ["load", "make"])
def test_what_an_actor_cannot_do_is_its_answer(tmp_path, where):
    class Unable(Painter):
        pass

    def fail(*_):
        raise EmoNetFaceError("no such device") if where == "load" else OSError(28, "disk full")

    setattr(Unable, where, fail)
    out = tmp_path / "run"
    generate(6, out, backend=Painter(), size=32)
    (out / "images" / "painter-0-000001.png").unlink()
    actor = BatchMaker(Work(Run(out, begun(out)[1]), Unable(), 0, None))
    answers = actor({"id": np.array([1, 0])})
    said = {"load": "no such device", "make": "[Errno 28] disk full"}[where]
    assert answers["end"].tolist() == ["", said]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Broken", "NotLoadable", "Dying"])
def test_ray_ends_with_one_line(tmp_path, kind):
    """What always fails, what cannot be loaded, and an actor whose process ends."""
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    ray.cloudpickle.register_pickle_by_value(sys.modules["painter"])
    backend = {"Broken": Broken, "NotLoadable": NotLoadable, "Dying": Dying}[kind]()
    expected = {
        "Broken": "5 batches in a row gave no picture",
        "NotLoadable": "no such model",
        "Dying": "an actor of the Ray cluster failed",
    }
    try:
        with pytest.raises(EmoNetFaceError, match=expected[kind]) as failed:
            generate(90, tmp_path / "run", backend=backend, size=32, retries=0, engine="ray")
    finally:
        ray.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
        ray.cloudpickle.unregister_pickle_by_value(sys.modules["painter"])
        ray.shutdown()
    assert "\n" not in str(failed.value)
    assert "Traceback" not in str(failed.value)


class NotLoadable(Painter):
    """Whose model is not to be had."""

    def load(self):
        raise EmoNetFaceError("no such model")


class Dying(Painter):
    """Takes its process with it, as a driver can."""

    def make(self, requests, size):
        os._exit(1)


@pytest.mark.slow
def test_ray_gives_the_same_run(tmp_path):
    """On a local cluster of two cores: the same files as one process, also where Ray comes late."""
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        draw(tmp_path / "alone", 40)
        generate(40, tmp_path / "ray", size=32, engine="ray", actors=2)
        assert contents(tmp_path / "ray") == contents(tmp_path / "alone")
        lost = tmp_path / "ray" / "images" / "schematic-0-000011.json"
        lost.unlink()
        generate(40, tmp_path / "ray", size=32, engine="ray")
        assert contents(tmp_path / "ray") == contents(tmp_path / "alone")
    finally:
        ray.shutdown()
