"""Files that are written over several calls: what is kept, and when it counts.

.venv/bin/pytest tests/test_resumable_file.py
"""

from __future__ import annotations

import os

import pytest

from emonet_face.errors import EmoNetFaceError
from emonet_face.resumable_file import resumable_file


class Stop(Exception):
    pass


def ours(_):
    return True


def cut_off(out, plan, kept="one\n", lost="tw"):
    """A call that ended after `kept`, in the middle of the next line."""
    with pytest.raises(Stop), resumable_file(out, ours, plan) as file:
        file.write(kept)
        file.keep({"n": 1})
        file.write(lost)
        raise Stop


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_finished_file_stands_alone(tmp_path):
    out = tmp_path / "deep" / "out.txt"
    with resumable_file(out, ours, {}) as file:
        assert file.state == {}
        file.write("one\n")
        assert not out.exists()
    assert out.read_text() == "one\n"
    assert names(out.parent) == ["out.txt"]


def test_an_equal_call_goes_on_behind_what_was_kept(tmp_path):
    out = tmp_path / "out.txt"
    cut_off(out, {"a": (1, 2)})  # a tuple comes back as a list, and still is the same plan
    assert names(tmp_path) == [".out.txt.unfinished", ".out.txt.unfinished.json"]
    with resumable_file(out, ours, {"a": (1, 2)}) as file:
        assert file.state == {"n": 1}
        file.write("two\n")
    assert out.read_text() == "one\ntwo\n"
    assert names(tmp_path) == ["out.txt"]


def test_another_plan_starts_over_and_forgets_the_first(tmp_path):
    out = tmp_path / "out.txt"
    cut_off(out, {"a": 1})
    cut_off(out, {"a": 2}, kept="other, and longer\n")
    with resumable_file(out, ours, {"a": 1}) as file:
        assert file.state == {}
    assert out.read_text() == ""


def test_a_call_cut_off_before_it_kept_anything_leaves_nothing(tmp_path):
    with pytest.raises(Stop), resumable_file(tmp_path / "out.txt", ours, {}) as file:
        file.write("one")
        raise Stop
    assert names(tmp_path) == []


def test_a_file_shorter_than_its_record_is_not_believed(tmp_path):
    out = tmp_path / "out.txt"
    cut_off(out, {}, kept="one\n", lost="")
    (tmp_path / ".out.txt.unfinished").write_text("on")
    with resumable_file(out, ours, {}) as file:
        assert file.state == {}


def test_a_damaged_record_starts_over(tmp_path):
    for text in ("{", "[]", '{"plan": 3}'):
        out = tmp_path / "out.txt"
        cut_off(out, {})
        (tmp_path / ".out.txt.unfinished.json").write_text(text)
        with resumable_file(out, ours, {}) as file:
            assert file.state == {}
            file.write("new\n")
        assert out.read_text() == "new\n"


def test_what_is_not_ours_is_left_alone(tmp_path):
    out = tmp_path / "out.txt"
    out.write_text("theirs")
    with (
        pytest.raises(EmoNetFaceError, match="was not made by this command"),
        resumable_file(out, lambda _: False, {}),
    ):
        pass
    with pytest.raises(EmoNetFaceError, match="is a folder"), resumable_file(tmp_path, ours, {}):
        pass
    assert names(tmp_path) == ["out.txt"]


def test_two_at_once_are_refused(tmp_path):
    out = tmp_path / "out.txt"
    with resumable_file(out, ours, {}) as file:
        file.write("first\n")
        with (
            pytest.raises(EmoNetFaceError, match="being written by another process"),
            resumable_file(out, ours, {}),
        ):
            pass
    assert out.read_text() == "first\n"


def test_names_that_are_not_utf8_can_be_written(tmp_path):
    with resumable_file(tmp_path / "out.txt", ours, {}) as file:
        file.write("f\udce9.png ü\n")
    assert (tmp_path / "out.txt").read_text(encoding="utf-8") == "f\\udce9.png ü\n"


def test_links_are_followed_and_devices_left_alone(tmp_path):
    (tmp_path / "there").mkdir()
    link = tmp_path / "out.txt"
    link.symlink_to(tmp_path / "there" / "real.txt")
    cut_off(link, {})
    with resumable_file(link, ours, {}) as file:
        file.write("two\n")
    assert link.is_symlink()
    assert link.read_text() == "one\ntwo\n"
    assert names(tmp_path / "there") == ["real.txt"]
    os.mkfifo(tmp_path / "pipe")
    with (
        pytest.raises(EmoNetFaceError, match="is no regular file"),
        resumable_file(tmp_path / "pipe", ours, {}),
    ):
        pass
    assert (tmp_path / "pipe").is_fifo()
