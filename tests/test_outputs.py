"""Outputs are whole or absent, and never replace what is not ours: pytest tests/test_outputs.py"""

from __future__ import annotations

import os

import pytest
from kill_moments import finishes, without_exchange

from emonet_face import EmoNetFaceError, outputs
from emonet_face.outputs import (
    first_line_has,
    made_by,
    new_file,
    new_folder,
    remove_stale,
    write_json,
)


def _ours(folder):
    return made_by(folder, "results.json") == "us"


def _fill(out, text="new"):
    with new_folder(out, _ours) as folder:
        (folder / "a.txt").write_text(text)
        write_json(folder / "results.json", {"made_by": "us"})


def test_a_folder_appears_whole_and_is_replaced_by_the_next_run(tmp_path):
    out = tmp_path / "x" / "out"
    _fill(out, "one")
    (out / "stale.txt").write_text("left by the first run")
    _fill(out, "two")
    assert sorted(p.name for p in out.iterdir()) == ["a.txt", "results.json"]
    assert (out / "a.txt").read_text() == "two"
    assert [p.name for p in out.parent.iterdir()] == ["out"]


def test_a_failure_leaves_the_old_folder_and_nothing_else(tmp_path):
    out = tmp_path / "out"
    _fill(out, "old")
    with pytest.raises(RuntimeError), new_folder(out, _ours) as folder:
        (folder / "a.txt").write_text("half")
        raise RuntimeError
    assert (out / "a.txt").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_foreign_folder_or_file_is_refused_untouched(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(EmoNetFaceError, match="was not made by this command"):
        _fill(out)
    assert [p.name for p in out.iterdir()] == ["thesis.txt"]
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(EmoNetFaceError, match="is not a folder"):
        _fill(file)
    assert file.read_text() == "mine"


def test_an_empty_folder_may_be_filled(tmp_path):
    (tmp_path / "out").mkdir()
    _fill(tmp_path / "out")
    assert (tmp_path / "out" / "a.txt").read_text() == "new"


def test_what_a_dead_process_left_aside_is_removed(tmp_path):
    dead = 2**22 + 1  # above the largest process id of Linux
    stale = tmp_path / f".out.partial-{dead}"
    stale.mkdir()
    alive = tmp_path / f".out.partial-{os.getppid()}"
    alive.mkdir()
    _fill(tmp_path / "out")
    assert not stale.exists()
    assert alive.exists()


def test_names_of_another_machine_are_its_own(tmp_path, monkeypatch):
    """A process of the same number lives there or not: from here nobody can tell."""
    dead = 2**22 + 1
    here = outputs.own_name(tmp_path / "out")
    assert here.name.startswith(".out.partial-")
    assert here.name.endswith(f"-{os.getpid()}")
    stale = here.with_name(here.name.replace(str(os.getpid()), str(dead)))
    monkeypatch.setattr(outputs, "_host", lambda: "another.machine")
    there = outputs.own_name(tmp_path / "out")
    assert there != here
    theirs = there.with_name(there.name.replace(str(os.getpid()), str(dead)))
    monkeypatch.undo()
    for folder in (stale, theirs, there):
        folder.mkdir()
    _fill(tmp_path / "out")
    assert not stale.exists()
    assert theirs.exists()
    assert there.exists()


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_folder_is_old_or_new_whenever_the_process_is_killed(tmp_path, can_exchange):
    """At every moment between two changes of files, the ones between two renames included."""
    seen = set()
    for moment in range(1, 100):
        out = tmp_path / str(moment) / "out"
        _fill(out, "old")
        work = (_fill, out, "new") if can_exchange else (without_exchange, _fill, out, "new")
        finished = finishes(out.parent, moment, *work)
        if can_exchange:
            assert out.exists()
        remove_stale(out.parent)  # what the next command begins with
        text = (out / "a.txt").read_text()
        assert text == "new" if finished else text in ("old", "new")
        assert sorted(p.name for p in out.iterdir()) == ["a.txt", "results.json"]
        assert [p.name for p in out.parent.iterdir()] == ["out"]
        seen.add(text)
        if finished:
            break
    assert finished
    assert moment > 6
    assert seen == {"old", "new"}


def test_a_folder_that_was_put_aside_comes_back_before_it_is_replaced(tmp_path):
    dead = 2**22 + 1
    for name in ("out", "out[1]"):
        _fill(tmp_path / name, "old")
        (tmp_path / name).rename(tmp_path / f".{name}.replaced-{dead}")
        with pytest.raises(RuntimeError), new_folder(tmp_path / name, _ours):
            raise RuntimeError
        assert (tmp_path / name / "a.txt").read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "out[1]"]


def test_files_are_replaced_whole_only_where_ours(tmp_path):
    out = tmp_path / "f.csv"
    with new_file(out, first_line_has("a,b")) as aside:
        aside.write_text("a,b\n1,2\n")
    with pytest.raises(RuntimeError), new_file(out, first_line_has("a,b")) as aside:
        aside.write_text("half")
        raise RuntimeError
    assert out.read_text() == "a,b\n1,2\n"
    with (
        pytest.raises(EmoNetFaceError, match="was not made by"),
        new_file(out, first_line_has("x,y")),
    ):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["f.csv"]


def test_json_with_nan_is_refused(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"value": float("nan")})
    assert not list(tmp_path.iterdir())


def test_devices_and_pipes_are_refused_and_stay_what_they_are(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    link = tmp_path / "link"
    link.symlink_to(os.devnull)
    for out in (pipe, link):
        with (
            pytest.raises(EmoNetFaceError, match="is no regular file"),
            new_file(out, lambda _: True),
        ):
            pass
    assert pipe.is_fifo()
    assert link.is_symlink()


def test_a_link_to_a_file_stays_and_what_it_leads_to_is_written(tmp_path):
    (tmp_path / "there").mkdir()
    for name in ("old.txt", "none-yet.txt"):
        link = tmp_path / name
        link.symlink_to(tmp_path / "there" / name)
        for text in ("one", "two"):
            with new_file(link, lambda _: True) as aside:
                aside.write_text(text)
        assert link.is_symlink()
        assert (tmp_path / "there" / name).read_text() == "two"
    assert sorted(p.name for p in (tmp_path / "there").iterdir()) == ["none-yet.txt", "old.txt"]
