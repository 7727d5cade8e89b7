"""The results file: appended to by many, killed at any moment, nothing lost, nothing twice.

pytest tests/test_results_file.py
"""

from __future__ import annotations

import json
import multiprocessing
import threading
from pathlib import Path

import pytest
from kill_moments import finishes

from emonet_face import EmoNetFaceError
from generation.annotators.results_file import ResultsFile, payload_key

PLAN = {"annotator": "a", "protocol": "p", "sampling": {"seed": 0}}
IMAGES = [f"f{n}.png" for n in range(6)]


def key_of(image):
    return payload_key(PLAN, image, "0" * 64)


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def label_all(path, asked, images=IMAGES, unanswered=()):
    """One call: every image that is not done is asked about, which `asked` keeps count of."""
    results = ResultsFile(Path(path), PLAN)
    try:
        for image in images:
            key = key_of(image)
            if results.done(key, image) or not results.claim(key, image):
                continue
            if asked is not None:
                with open(asked, "a") as stream:
                    stream.write(f"{image}\n")
            final = image not in unanswered
            results.append(key, {"image": image, "said": image, "final": final, "cost": 0.5})
    finally:
        results.close()


def test_lines_hold_plan_and_key(tmp_path):
    label_all(tmp_path / "o.jsonl", None)
    lines = lines_of(tmp_path / "o.jsonl")
    assert [line["image"] for line in lines] == IMAGES
    assert lines[0] == {
        "image": "f0.png", **PLAN, "said": "f0.png", "final": True, "cost": 0.5,
        "key": key_of("f0.png"),
    }  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["o.jsonl"]
    results = ResultsFile(tmp_path / "o.jsonl", PLAN)
    assert results.cost == 3.0
    results.close()


def test_keys_differ_with_everything_that_is_sent():
    other = {**PLAN, "sampling": {"seed": 1}}
    keys = {
        payload_key(PLAN, "a.png", "0"),
        payload_key(PLAN, "b.png", "0"),
        payload_key(PLAN, "a.png", "1"),
        payload_key(other, "a.png", "0"),
    }
    assert len(keys) == 4
    assert payload_key(dict(reversed(PLAN.items())), "a.png", "0") in keys


def test_an_answer_takes_the_place_of_none(tmp_path):
    path = tmp_path / "o.jsonl"
    label_all(path, None, unanswered=("f2.png", "f4.png"))
    assert [line["final"] for line in lines_of(path)] == [True, True, False, True, False, True]
    label_all(path, None, unanswered=("f4.png",))
    label_all(path, None)
    lines = lines_of(path)
    assert sorted(line["image"] for line in lines) == IMAGES
    assert all(line["final"] for line in lines)


def work(folder):
    """What is killed: two images are unanswered at first, so that lines are also replaced."""
    path, asked = f"{folder}/o.jsonl", f"{folder}-asked"
    label_all(path, asked, unanswered=("f1.png",))
    label_all(path, asked)


def test_killed_at_any_moment_nothing_is_lost_or_repeated(tmp_path):
    moment, finished = 0, False
    while not finished:
        moment += 1
        folder = tmp_path / f"m{moment}"
        folder.mkdir()
        finished = finishes(folder, moment, work, str(folder))
        path, asked = folder / "o.jsonl", Path(f"{folder}-asked")
        kept = {line["image"]: line for line in lines_of(path)} if path.exists() else {}
        label_all(path, asked)
        lines = lines_of(path)
        assert sorted(line["image"] for line in lines) == IMAGES
        assert all(line["final"] for line in lines)
        for line in lines:
            before = kept.get(line["image"])
            assert before in (None, line) or not before["final"], "what was kept is as it was"
        times = asked.read_text().splitlines()
        # f1 is asked twice by design; besides, only what was being written can be asked again.
        assert len(times) <= len(IMAGES) + 2
        assert not [p for p in folder.iterdir() if p.name.startswith(".")]
    assert moment > 10


@pytest.mark.parametrize("torn", [b'{"image": "f9', b"x" * 200_000, b"\x00\xff"])
def test_a_torn_line_is_cut_off(tmp_path, torn):
    path = tmp_path / "o.jsonl"
    label_all(path, None, images=IMAGES[:3])
    with path.open("ab") as stream:
        stream.write(torn)
    label_all(path, None)
    assert [line["image"] for line in lines_of(path)] == IMAGES


def test_a_line_that_is_damaged_is_named(tmp_path):
    path = tmp_path / "o.jsonl"
    label_all(path, None)
    text = path.read_text().splitlines()
    text[2] = text[2][:-9]
    path.write_text("\n".join(text) + "\n")
    with pytest.raises(EmoNetFaceError, match=r"o\.jsonl, line 3: is not JSON"):
        ResultsFile(path, PLAN)
    assert not list(tmp_path.glob(".*"))
    with pytest.raises(EmoNetFaceError, match="is a folder"):
        ResultsFile(tmp_path, PLAN)


@pytest.mark.parametrize("text", ["a note of mine", '{"note": 1}\nand no line end'])
def test_no_byte_of_a_foreign_file_is_cut_off(tmp_path, text):
    path = tmp_path / "o.jsonl"
    path.write_text(text)
    with pytest.raises(EmoNetFaceError, match=r"o\.jsonl.*: exists and was not made by"):
        ResultsFile(path, PLAN)
    assert path.read_text() == text


@pytest.mark.parametrize(
    "change", [{"image": 5}, {"cost": "free"}, {"key": 7}, {"scores": 3}, {"final": "no"}]
)
def test_a_value_that_no_line_can_have_is_named(tmp_path, change):
    path = tmp_path / "o.jsonl"
    label_all(path, None)
    lines = lines_of(path)
    lines[2] |= change
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    ((key, value),) = change.items()
    with pytest.raises(EmoNetFaceError, match=rf"line 3: {key!r} is {value!r}; remove the line"):
        ResultsFile(path, PLAN)


def test_many_processes_take_each_image_once(tmp_path):
    images = [f"i{n}.png" for n in range(150)]
    path, asked = tmp_path / "o.jsonl", tmp_path / "asked"
    start = multiprocessing.get_context("forkserver").Process
    processes = [start(target=label_all, args=(path, asked, images)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert sorted(asked.read_text().split()) == sorted(images)
    assert sorted(line["image"] for line in lines_of(path)) == sorted(images)
    assert not list(tmp_path.glob(".*")), "the last user removes the lock file"


def test_many_threads_take_each_image_once(tmp_path):
    results = ResultsFile(tmp_path / "o.jsonl", PLAN)
    taken = []

    def take():
        for n in range(100):
            image = f"i{n}.png"
            if results.claim(key_of(image), image):
                taken.append(image)
                results.append(key_of(image), {"image": image})

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken)) == 100
    assert [line["image"] for line in results.lines()] == sorted(taken)
    results.close()


def test_what_another_process_is_at_cannot_be_taken(tmp_path):
    path = tmp_path / "o.jsonl"
    context = multiprocessing.get_context("forkserver")
    holds, go_on = context.Event(), context.Event()
    process = context.Process(target=hold, args=(path, holds, go_on))
    process.start()
    assert holds.wait(60)
    results = ResultsFile(path, PLAN)
    assert not results.claim(key_of("f0.png"), "f0.png")
    process.kill()  # the system gives its images back
    process.join()
    assert results.claim(key_of("f0.png"), "f0.png")
    results.release(key_of("f0.png"))
    results.close()


def hold(path, holds, go_on):
    results = ResultsFile(path, PLAN)
    assert results.claim(key_of("f0.png"), "f0.png")
    holds.set()
    go_on.wait()
