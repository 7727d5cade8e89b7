"""The annotators' store: who is asked what, nothing acknowledged lost, tables as published.

.venv/bin/pytest tests/test_people_store.py
"""

from __future__ import annotations

import csv
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from people_at_work import answer_all, answer_one, reply_to, token_of
from raw_sources import RATINGS, draw, ratings_csv, sidecar

from emonet_face.cli import main
from emonet_face.errors import EmoNetFaceError
from emonet_face.released import iter_ratings, iter_votes
from emonet_face.taxonomy import EMOTIONS, INDEX, OPPOSITE
from generation.people import store as store_module
from generation.people.board import BLOCK, Answer, Board, Question
from generation.people.desk import Desk
from generation.people.exports import export
from generation.people.questions import (
    Item,
    Kind,
    Task,
    checked_annotator,
    checked_value,
    may_become,
    room,
)
from generation.people.source_images import read_source
from generation.people.store import Setup, Store, open_store
from generation.run import generate

HERE = Path(__file__).parent
FINISHED = re.compile(r"N|YN|YY[YN]")
"""Votes on the target, in the order in which people were asked, when the cascade has ended."""
BEGUN = re.compile(r"Y{0,2}")


def items(n, target="Anger"):
    return [Item(i, f"{i:05}.png", f"{i:05}", f"{i:064x}", target) for i in range(n)]


def make(path, task=Task.VOTES, n=6, **settings):
    return open_store(path, Setup(task, 0, **settings), items(n))


def votes_by_image(store):
    """Item -> ("YYN", contrast votes, everybody who voted), from the rows of the file alone."""
    board = store.board()
    for answer in store.answers():
        board.add(answer)
    found = {}
    for item in store.items:
        target, contrast = (board.answers(item.number, kind) for kind in board.kinds)
        text = "".join("NY"[answer.value] for answer in target)
        found[item.number] = text, len(contrast), [a.annotator for a in [*target, *contrast]]
    return found


# Who is asked


def cascade(answers):
    """What becomes of an image when people are asked one after the other."""
    asked = []
    for present in answers:
        asked.append(present)
        if not present or len(asked) == 3:
            break
    return asked


@pytest.mark.parametrize("bits", range(8))
def test_a_cascade_asks_as_a_plain_loop_does(bits):
    people = [bool(bits >> place & 1) for place in range(3)]
    given = []
    while room(Kind.TARGET, given, 4):
        given.append(people[len(given)])
    assert given == cascade(people)


@pytest.mark.parametrize("n", range(1, 4))
def test_a_correction_is_allowed_where_the_votes_stay_those_of_a_cascade(n):
    """Every state that can be reached, every correction: by listing what a cascade can look like.

    With somebody being asked, the votes must be all Yes and fewer than three; else they are a
    cascade, ended or waiting for its next person.
    """
    ended = {"N", "YN", "YYY", "YYN"}
    waiting = {"", "Y", "YY"}
    for code in range(2**n):
        votes = [bool(code >> place & 1) for place in range(n)]
        text = "".join("NY"[vote] for vote in votes)
        for asked in (0, 1):
            if text not in (waiting if asked else ended | waiting):
                continue
            for place in range(n):
                for new in (False, True):
                    after = text[:place] + "NY"[new] + text[place + 1 :]
                    allowed = after in (waiting if asked else ended | waiting)
                    assert may_become(Kind.TARGET, votes, place, new, asked) == allowed


PEOPLE = ("ann", "bob", "cat", "dan", "eve")
ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(PEOPLE),
        st.sampled_from(["take", "answer", "answer", "answer", "correct", "leave"]),
        st.booleans(),
        st.sampled_from([1.0, 1.0, 400.0]),  # seconds until the next action; a lease is 600
    ),
    max_size=40,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(actions=ACTIONS, both=st.booleans())
def test_any_interleaving_of_people_gives_cascades(tmp_path_factory, actions, both):
    """Takers, leavers, latecomers and correctors, in any order, and then whoever is left."""
    now = 0.0
    path = tmp_path_factory.mktemp("any") / "votes.sqlite"
    with make(path, n=3, both=both) as store:
        desk = Desk(store, "notice", clock=lambda: now, timer=lambda: now)
        on_screen = {}
        for number, (name, action, present, seconds) in enumerate(actions):
            now += seconds
            token = f"{number:032x}"
            if action == "take":
                on_screen[name] = desk.begin(name, True)["question"]
            elif action == "leave":
                on_screen.pop(name, None)
            elif action == "correct" and name in on_screen:
                asked = desk.back(name)["question"]
                if asked and asked["revises"]:
                    desk.answer(name, token, asked["item"], asked["kind"], present,
                                asked["revises"])  # fmt: skip
            elif action == "answer" and on_screen.get(name):
                asked = on_screen[name]
                after = desk.answer(name, token, asked["item"], asked["kind"], present, None)
                on_screen[name] = after["question"]
            claims = Counter((c.item, c.kind) for c in store.claims(now))
            assert set(claims.values()) <= {1}, "one question on two screens"
            for text, n_contrast, voters in votes_by_image(store).values():
                assert FINISHED.fullmatch(text) or BEGUN.fullmatch(text)
                assert n_contrast <= 1
                assert both or len(set(voters)) == len(voters)
        now += 10_000
        answer_all(desk, PEOPLE)
        for text, n_contrast, _ in votes_by_image(store).values():
            assert FINISHED.fullmatch(text)
            assert n_contrast == 1


def test_sliders_give_each_image_its_raters_and_nobody_twice(tmp_path):
    with make(tmp_path / "s.sqlite", Task.SLIDERS, n=5, raters=3) as store:
        desk = Desk(store, "notice")
        answer_all(desk, PEOPLE)
        rated = [(answer.item, answer.annotator) for answer in store.answers()]
        assert len(set(rated)) == len(rated) == 15
        assert Counter(item for item, _ in rated) == dict.fromkeys(range(5), 3)
        assert desk.begin("ann", True)["question"] is None


def test_everybody_has_an_order_of_their_own_and_the_same_blocks():
    many = items(3 * BLOCK)
    board = Board(many, Task.SLIDERS, seed=1)
    orders = {name: [n for n, _ in board._order(name)] for name in ("ann", "bob")}
    assert orders["ann"] != orders["bob"]
    for start in range(0, len(many), BLOCK):
        ann, bob = (set(order[start : start + BLOCK]) for order in orders.values())
        assert ann == bob
    again = Board(many, Task.SLIDERS, seed=1)
    assert [n for n, _ in again._order("ann")] == orders["ann"]
    other = Board(many, Task.SLIDERS, seed=2)
    assert [n for n, _ in other._order("ann")] != orders["ann"]


def test_the_contrast_comes_first_a_quarter_of_the_time_and_is_the_opposite():
    """64 of 256: 250 of 1,000 are expected, and 5 standard deviations are 68."""
    board = Board(items(1000), Task.VOTES, seed=0)
    assert abs(sum(first for _, first in board._order("ann")) - 250) < 68
    assert items(1)[0].emotion(Kind.CONTRAST) == OPPOSITE["Anger"] == "Contentment"


def test_a_closed_browser_blocks_nobody_for_long(tmp_path):
    now = 0.0
    with make(tmp_path / "v.sqlite", n=1) as store:
        desk = Desk(store, "notice", lease=60, clock=lambda: now)
        first = desk.begin("ann", True)["question"]
        second = desk.begin("bob", True)["question"]
        assert {first["kind"], second["kind"]} == {"target", "contrast"}
        assert desk.begin("cat", True)["question"] is None
        now = 61.0
        assert desk.begin("cat", True)["question"] is not None
        # Who comes late is told where somebody else was asked, and kept where nobody was.
        late = [desk.answer(name, token_of(name, asked), asked["item"], asked["kind"], False, None)
                for name, asked in (("ann", first), ("bob", second))]  # fmt: skip
        assert [bool(view["notice"]) for view in late].count(True) == 1
        assert len(store.answers()) == 1


def test_an_answer_sent_twice_counts_once_and_two_windows_do_not_overwrite(tmp_path):
    with make(tmp_path / "v.sqlite", n=3) as store:
        desk = Desk(store, "notice")
        asked = desk.begin("ann", True)["question"]
        for _ in range(2):
            desk.answer("ann", "0" * 32, asked["item"], asked["kind"], True, None)
        other = desk.answer("ann", "1" * 32, asked["item"], asked["kind"], False, None)
        assert "another window" in other["notice"]
        (answer,) = store.answers()
        assert answer.value is True


def test_durations_are_measured_by_the_server_and_not_guessed(tmp_path):
    now = 5.0
    with make(tmp_path / "v.sqlite", n=3) as store:
        desk = Desk(store, "notice", timer=lambda: now)
        asked = desk.begin("ann", True)["question"]
        now = 7.25
        desk.answer("ann", "0" * 32, asked["item"], asked["kind"], True, None)
        asked = desk.current("ann")["question"]
        restarted = Desk(store, "notice")
        restarted.answer("ann", "1" * 32, asked["item"], asked["kind"], True, None)
        assert [answer.seconds for answer in store.answers()] == [2.25, None]


def test_corrections_keep_what_was_said_before(tmp_path):
    with make(tmp_path / "s.sqlite", Task.SLIDERS, n=2, raters=1) as store:
        desk = Desk(store, "notice")
        asked = desk.begin("ann", True)["question"]
        first, second = [0] * 40, [7] + [0] * 39
        desk.answer("ann", "0" * 32, asked["item"], "rating", first, None)
        again = desk.back("ann")["question"]
        assert (again["item"], again["value"]) == (asked["item"], first)
        after = desk.answer("ann", "1" * 32, again["item"], "rating", second, again["revises"])
        assert after["question"]["revises"] is None
        assert [(a.value, a.revises) for a in store.answers()] == [
            (tuple(first), None),
            (tuple(second), 1),
        ]
        assert export(store.path, tmp_path / "hq.csv")["corrected"] == 1
        (row,) = iter_ratings(tmp_path / "hq.csv")
        assert row.scores.scores[0] == 7
        with pytest.raises(sqlite3.IntegrityError, match="never changed"):
            store._sql.execute("UPDATE answers SET value = '0'")
        with pytest.raises(sqlite3.IntegrityError, match="never deleted"):
            store._sql.execute("DELETE FROM answers")


def test_a_yes_that_somebody_was_asked_because_of_stands(tmp_path):
    with make(tmp_path / "v.sqlite", n=1) as store:
        desk = Desk(store, "notice")
        for name in PEOPLE:
            asked = desk.begin(name, True)["question"]
            if asked and asked["kind"] == "target":
                break
        desk.answer(name, "0" * 32, 0, "target", True, None)
        mine = desk.back(name)["question"]
        others = [n for n in PEOPLE if n != name]
        while (view := desk.begin(others.pop(), True)["question"]) is None or (
            view["kind"] != "target"
        ):
            pass
        said = desk.answer(name, "1" * 32, 0, "target", False, mine["revises"])
        assert said["notice"].startswith("This Yes stands")
        assert [answer.value for answer in store.answers()] == [True]


# What comes from outside


@pytest.mark.parametrize(
    "name",
    ["", " ", "=1+1", "+a", "-a", "@a", "a b", "a,b", 'a"b', "a\n", "ä", "1a", "a" * 33, "a\x00",
     "simulated-human-1", "Simulated-x", None, 7, ["a"], "<b>"],
)  # fmt: skip
def test_names_that_could_do_harm_are_refused(name):
    if name == "a\n":
        assert checked_annotator(name) == "a"  # outer blanks are no part of a name
        return
    with pytest.raises(EmoNetFaceError) as error:
        checked_annotator(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["a", "wren-12", "A.b_c-9", "x" * 32, " human-1 "])
def test_good_names_pass(name):
    assert checked_annotator(name) == name.strip()


def test_letter_case_makes_no_other_person_and_a_list_lets_nobody_else_in(tmp_path):
    with make(tmp_path / "v.sqlite") as store:
        desk = Desk(store, "notice", allowed=["ann"])
        desk.begin("ann", True)
        for name, agreed, said in (
            ("bob", True, "not on the list"),
            ("ann", False, "agree to it"),
            ("ann", "yes", "agree to it"),
        ):
            with pytest.raises(EmoNetFaceError, match=said):
                desk.begin(name, agreed)
        with pytest.raises(EmoNetFaceError, match="'Ann': somebody is called 'ann' already"):
            Desk(store, "notice").begin("Ann", True)
        with pytest.raises(EmoNetFaceError, match="'eve' has not joined"):
            desk.current("eve")


@pytest.mark.parametrize(
    ("kind", "value"),
    [(Kind.RATING, value) for value in ([], [0] * 39, [0] * 41, [8] + [0] * 39, [-1] + [0] * 39,
     [0.5] + [0] * 39, [True] + [0] * 39, ["1"] + [0] * 39, [None] * 40, {}, "0" * 40, None,
     [float("nan")] + [0] * 39, [10**400] + [0] * 39)]
    + [(Kind.TARGET, value) for value in (None, 0, 1, "true", [True])],
)  # fmt: skip
def test_answers_that_are_none_are_refused(kind, value):
    with pytest.raises(EmoNetFaceError) as error:
        checked_value(kind, value)
    assert "\n" not in str(error.value)
    assert checked_value(Kind.RATING, [3.0] + [0] * 39)[0] == 3


@pytest.mark.parametrize(
    ("token", "item", "kind"),
    [("", 0, "target"), ("x" * 32, 0, "target"), (None, 0, "target"), ("0" * 32, 6, "target"),
     ("0" * 32, -1, "target"), ("0" * 32, True, "target"), ("0" * 32, "0", "target"),
     ("0" * 32, 0, "rating"), ("0" * 32, 0, None), ("0" * 32, 0, [])],
)  # fmt: skip
def test_requests_that_no_page_sends_are_refused(tmp_path, token, item, kind):
    with make(tmp_path / "v.sqlite") as store:
        desk = Desk(store, "notice")
        desk.begin("ann", True)
        with pytest.raises(EmoNetFaceError):
            desk.answer("ann", token, item, kind, True, None)
        assert store.answers() == []


# The file


def test_an_answer_is_on_the_disk_before_it_is_acknowledged(tmp_path):
    with make(tmp_path / "v.sqlite") as store:
        asked = {name: store._sql.execute(f"PRAGMA {name}").fetchone()[0]
                 for name in ("journal_mode", "synchronous", "foreign_keys")}  # fmt: skip
    assert asked == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}  # 2: FULL


def test_another_project_is_never_mixed_in(tmp_path):
    path = tmp_path / "v.sqlite"
    make(path).close()
    make(path).close()
    other = [*items(5), Item(5, "00005.png", "00005", "f" * 64, "Anger")]
    for setup, images, said in (
        (Setup(Task.SLIDERS, 0), items(6), "task <Task.VOTES: 'votes'> there"),
        (Setup(Task.VOTES, 1), items(6), "seed 0 there, 1 here"),
        (Setup(Task.VOTES, 0, raters=2), items(6), "raters 4 there, 2 here"),
        (Setup(Task.VOTES, 0, both=True), items(6), "both False there"),
        (Setup(Task.VOTES, 0), items(7), "number of images 6 there, 7 here"),
        (Setup(Task.VOTES, 0), items(6, "Fear"), "prompted emotion of '00000.png': 'Anger' there"),
        (Setup(Task.VOTES, 0), other, "bytes of '00005.png'"),
    ):
        with pytest.raises(EmoNetFaceError, match="is a store of another project") as error:
            open_store(path, setup, images)
        assert said.split()[0] in str(error.value)
        assert "\n" not in str(error.value)


def test_a_file_that_is_no_store_is_named_and_left_alone(tmp_path):
    sheet = tmp_path / "hq.csv"
    sheet.write_text("image,annotator\n" * 100)
    other = tmp_path / "other.sqlite"
    sql = sqlite3.connect(other)
    sql.execute("CREATE TABLE mine (a)")
    sql.commit()
    sql.close()
    newer = tmp_path / "newer.sqlite"
    make(newer).close()
    sql = sqlite3.connect(newer)
    sql.execute(f"PRAGMA user_version = {store_module.FORMAT + 1}")
    sql.close()
    before = {path: path.read_bytes() for path in (sheet, other, newer)}
    for path, said in (
        (sheet, "cannot be used as a store"),
        (other, "is not a store of answers"),
        (newer, "has format 2; this version knows 1"),
        (tmp_path, "no such store"),
        (tmp_path / "absent.sqlite", "no such store"),
    ):
        with pytest.raises(EmoNetFaceError, match=said):
            Store(path)
    for path, data in before.items():
        with pytest.raises(EmoNetFaceError):
            make(path)
        assert path.read_bytes() == data
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(p.name for p in before)


def test_a_damaged_store_is_one_line(tmp_path):
    path, bare = tmp_path / "s.sqlite", tmp_path / "bare.sqlite"
    with make(path, Task.SLIDERS, n=3) as store:
        answer_all(Desk(store, "notice"), ["ann", "bob"])
    sql = sqlite3.connect(path)
    (page,) = sql.execute("SELECT rootpage FROM sqlite_master WHERE name = 'answers'").fetchone()
    (size,) = sql.execute("PRAGMA page_size").fetchone()
    sql.close()
    data = bytearray(path.read_bytes())
    data[size * (page - 1) : size * page] = b"\xaa" * size
    path.write_bytes(data)
    sql = sqlite3.connect(bare)
    sql.execute(f"PRAGMA application_id = {store_module.APPLICATION_ID}")
    sql.execute(f"PRAGMA user_version = {store_module.FORMAT}")
    sql.close()
    for damaged in (path, bare):
        with pytest.raises(EmoNetFaceError, match="cannot be used as a store"):
            export(damaged, tmp_path / "hq.csv")
    assert not (tmp_path / "hq.csv").exists()


def work(path, *names):
    return subprocess.Popen(
        [sys.executable, str(HERE / "people_at_work.py"), str(path), *names],
        stdout=subprocess.PIPE, text=True, cwd=HERE.parent,
        env=os.environ | {"PYTHONPATH": str(HERE.parent)},
    )  # fmt: skip


def test_a_process_killed_at_any_moment_loses_nothing_acknowledged(tmp_path):
    """SIGKILL 0 to 30 ms after the n-th answer was acknowledged, for many n; the next one goes on.

    In the end the file holds the answers of an unharmed run: they depend on the question alone.
    """
    path = tmp_path / "s.sqlite"
    make(path, Task.SLIDERS, n=400, raters=2).close()
    rng = random.Random(0)
    acknowledged = set()
    for moment in range(12):
        process = work(path, "ann", "bob")
        for _ in range(rng.randrange(1, 20)):
            acknowledged.add(process.stdout.readline().strip())
        time.sleep(rng.random() * 0.03)
        process.send_signal(signal.SIGKILL)
        acknowledged |= {line.strip() for line in process.stdout if len(line) == 65}
        process.wait()
        with Store(path) as store:
            kept = {row[0] for row in store._sql.execute("SELECT token FROM answers")}
            assert acknowledged <= kept, f"lost at moment {moment}"
            assert store._sql.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(acknowledged) > 60
    with Store(path) as store:
        for answer in store.answers():
            asked = {"item": answer.item, "kind": answer.kind}
            assert list(answer.value) == reply_to(answer.annotator, asked)


def test_a_write_ahead_log_cut_off_anywhere_keeps_all_that_was_acknowledged_before(tmp_path):
    """As after a power cut: the log's first bytes are on the disk, the rest is not.

    Its length after each acknowledged answer is noted; a log at least that long holds the answer.
    """
    path = tmp_path / "v.sqlite"
    lengths = []
    wal = path.with_name("v.sqlite-wal")
    with make(path, n=8) as store:
        desk = Desk(store, "notice")
        while answer_one(desk, "ann"):
            lengths.append(wal.stat().st_size)
        data, log = path.read_bytes(), wal.read_bytes()
    assert len(lengths) == 8
    for cut in sorted({0, *range(31, len(log), 997), *lengths, *(n - 1 for n in lengths)}):
        folder = tmp_path / f"cut-{cut}"
        folder.mkdir()
        (folder / "v.sqlite").write_bytes(data)
        (folder / "v.sqlite-wal").write_bytes(log[:cut])
        with Store(folder / "v.sqlite") as store:
            n = len(store.answers())
            assert n >= sum(length <= cut for length in lengths)
            assert [a.id for a in store.answers()] == list(range(1, n + 1))
        shutil.rmtree(folder)


@pytest.mark.parametrize("task", Task)
def test_two_processes_at_once_ask_nobody_too_many(tmp_path, task):
    path = tmp_path / "x.sqlite"
    make(path, task, n=25, raters=3).close()
    both = [work(path, "ann", "bob", "cat"), work(path, "dan", "eve", "fay")]
    tokens = [token for process in both for token in process.communicate(timeout=100)[0].split()]
    assert [process.returncode for process in both] == [0, 0]
    with Store(path) as store:
        answers = store.answers()
        assert len(tokens) == len(set(tokens)) == len(answers)
        assert len({(a.item, a.kind, a.annotator) for a in answers}) == len(answers)
        if task == Task.SLIDERS:
            assert Counter(a.item for a in answers) == dict.fromkeys(range(25), 3)
        else:
            # Who stopped when nothing was open may have left cascades that waited for a claim.
            desk = Desk(store, "notice")
            answer_all(desk, (*PEOPLE, "fay"))
            for text, n_contrast, voters in votes_by_image(store).values():
                assert FINISHED.fullmatch(text)
                assert n_contrast == 1
                assert len(set(voters)) == len(voters)


def test_a_full_disk_refuses_the_answer_and_the_next_one_is_kept(tmp_path, monkeypatch):
    with make(tmp_path / "v.sqlite") as store:
        desk = Desk(store, "notice")
        asked = desk.begin("ann", True)["question"]

        def full(*_):
            raise sqlite3.OperationalError("database or disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(Store, "claim", full)  # after the answer was added, before the commit
            with pytest.raises(sqlite3.OperationalError):
                desk.answer("ann", "0" * 32, asked["item"], asked["kind"], True, None)
        assert store.answers() == []
        view = desk.answer("ann", "0" * 32, asked["item"], asked["kind"], True, None)
        assert view["progress"]["answered"] == len(store.answers()) == 1


# Sources


@pytest.fixture
def faces(tmp_path):
    """Twelve images of a folder, prompted for four emotions, one of them in a subfolder."""
    folder = tmp_path / "faces"
    targets = ("Anger", "Elation", "Hopelessness", "Awe")
    for number in range(12):
        name = folder / ("more" if number == 11 else ".") / f"face-{number:02}"
        draw(name.with_suffix(".png"), shade=number)
        sidecar(name.with_suffix(".json"), prompted_emotion=targets[number % 4])
    return folder


def test_images_that_cannot_be_shown_are_named_and_left_out(faces):
    whole = read_source(str(faces), Task.VOTES)
    assert (len(whole.items), whole.left_out) == (12, [])
    assert whole.items[2].target == "Helplessness"  # by the alias
    path = faces / "face-03.png"
    data = path.read_bytes()
    path.write_bytes(data[:-20])
    (faces / "face-04.png").write_bytes(b"GIF89a" + bytes(50))
    damaged = read_source(str(faces), Task.VOTES)
    assert [item.number for item in damaged.items] == list(range(10))
    assert [Path(line.split(":")[0]).name for line in damaged.left_out] == [
        "face-03.png",
        "face-04.png",
    ]
    assert damaged.bytes_of(whole.items[0].sha256) == (faces / "face-00.png").read_bytes()
    assert damaged.bytes_of(whole.items[3].sha256) is None
    (faces / "face-00.png").write_bytes(data)  # changed while the page runs
    assert damaged.bytes_of(whole.items[0].sha256) is None
    assert damaged.bytes_of("../../etc/passwd") is None


def test_pictures_are_known_as_generated_by_their_mark_or_by_their_row_alone(faces, tmp_path):
    """A sidecar with an emotion may lie beside any photograph: it says nothing of the picture."""
    run = generate(6, tmp_path / "run", size=48)
    found = read_source(str(run), Task.SLIDERS)
    assert (found.generated, found.unknown) == (True, [])
    draw(run / "images" / "added.png")
    found = read_source(str(run), Task.SLIDERS)
    again = read_source(str(run), Task.SLIDERS, known={item.sha256 for item in found.items})
    assert [(f.generated, f.unknown) for f in (found, again)] == [(False, ["added.png"])] * 2
    assert len(read_source(str(faces), Task.VOTES).unknown) == 12


@pytest.mark.parametrize("generator", ["org/some-model", None])
def test_a_row_of_a_dataset_repo_names_the_generator_of_its_picture(tmp_path, generator):
    for name in "ab":
        draw(tmp_path / "faces" / f"{name}.png", shade=ord(name))
        record = {"prompted_emotion": "Anger", "prompt": "a face", "generator": generator}
        sidecar(tmp_path / "faces" / f"{name}.json", **{k: v for k, v in record.items() if v})
    ratings = ratings_csv(tmp_path / "hq.csv", *RATINGS)
    repo = tmp_path / "repo"
    assert main(["build", "hq", "--ratings", str(ratings), "--images", str(tmp_path / "faces"),
                 "--out", str(repo)]) == 0  # fmt: skip
    found = read_source(str(repo), Task.SLIDERS)
    assert found.unknown == ([] if generator else ["a.png", "b.png"])


def test_bad_sources_are_one_line(faces, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    for source, task, prompts, said in (
        (empty, "sliders", None, "holds no images"),
        (tmp_path / "absent", "sliders", None, "no such folder"),
        (faces, "votes", '{"image_id": "face-00", "prompted_emotion": "Angr"}', "nearest: 'Anger'"),
        (faces, "votes", '{"image_id": "face-00", "prompted_emotion": "Anger"}', "and 10 more"),
        (faces, "votes", '{"prompted_emotion": "Anger"}', "has no 'image_id'"),
        (faces, "votes", "[1]", "is a list, not an object"),
        (faces, "votes", "{", "is not JSON text"),
        (faces, "votes", '{"image_id": "..", "prompted_emotion": "Anger"}', "line 1: '..'"),
    ):
        lines = tmp_path / "prompts.jsonl"
        lines.write_text(prompts or "")
        with pytest.raises(EmoNetFaceError) as error:
            read_source(str(source), Task(task), prompts=lines if prompts else None)
        assert said in str(error.value)
        assert "\n" not in str(error.value)
    sidecar(faces / "face-05.json", image_id="face-06", prompted_emotion="Awe")
    with pytest.raises(EmoNetFaceError, match="is about 'face-06', not 'face-05'"):
        read_source(str(faces), Task.VOTES)


# Tables


def everybody(path, faces, task, **settings):
    source = read_source(str(faces), task)
    with open_store(path, Setup(task, 0, **settings), source.items) as store:
        desk = Desk(store, "notice")
        answer_all(desk, PEOPLE)


def test_ratings_go_through_build_and_benchmark(faces, tmp_path, capsys):
    store, sheet = tmp_path / "s.sqlite", tmp_path / "hq.csv"
    everybody(store, faces, Task.SLIDERS, raters=4)
    assert main(["annotate-export", str(store), "--out", str(sheet)]) == 0
    assert capsys.readouterr().out.startswith(f"{sheet}: 48 ratings by 5 people on 12 images")
    for row in iter_ratings(sheet):
        number = int(row.image_id[-2:])
        asked = {"item": number, "kind": "rating"}
        assert row.scores.scores == reply_to(row.annotator, asked)
        assert (row.human, row.image) == (True, f"face-{number:02}.png")
    repo = tmp_path / "repo"
    assert main(["build", "hq", "--ratings", str(sheet), "--images", str(faces),
                 "--out", str(repo), "--strict"]) == 0  # fmt: skip
    main(["check", str(repo)])
    assert not [finding for finding in findings(repo) if finding["severity"] == "error"]
    out = tmp_path / "benchmark"
    assert main(["benchmark", "--ratings", str(sheet), "--out", str(out), "--protocol",
                 "corrected", "--resamples", "20", "--no-figures"]) == 0  # fmt: skip
    with (out / "tables" / "weighted_kappa_corrected.csv").open() as stream:
        assert {row["annotator"] for row in csv.DictReader(stream)} == set(PEOPLE)


def findings(repo):
    return json.loads((repo / "check.json").read_text())["findings"]


def test_votes_go_through_build_check_and_votes(faces, tmp_path, capsys):
    store, sheet = tmp_path / "v.sqlite", tmp_path / "binary.csv"
    everybody(store, faces, Task.VOTES)
    assert main(["annotate-export", str(store), "--out", str(sheet)]) == 0
    rows = list(iter_votes(sheet))
    assert len(rows) == len({(v.image_id, v.annotator) for v in rows})
    repo = tmp_path / "repo"
    assert main(["build", "binary", "--votes", str(sheet), "--images", str(faces),
                 "--out", str(repo), "--strict"]) == 0  # fmt: skip
    main(["check", str(repo)])
    rules = {finding["rule"] for finding in findings(repo)}
    assert not [rule for rule in rules if rule.startswith(("cascade", "votes"))]
    assert not [f for f in findings(repo) if f["severity"] == "error"]
    assert main(["votes", "--votes", str(sheet), "--out", str(tmp_path / "agreement")]) == 0


def test_json_lines_bring_durations_to_the_annotator_report(faces, tmp_path, capsys):
    store, lines = tmp_path / "s.sqlite", tmp_path / "people.jsonl"
    everybody(store, faces, Task.SLIDERS, raters=2)
    assert main(["annotate-export", str(store), "--out", str(lines)]) == 0
    first = json.loads(lines.read_text().splitlines()[0])
    assert first["simulated"] is False
    assert first["seconds"] >= 0
    assert list(first["scores"]) == list(EMOTIONS)
    out = tmp_path / "report"
    assert main(["annotate-report", str(lines), "--out", str(out), "--resamples", "0"]) == 0
    with (out / "annotators.csv").open() as stream:
        rows = {row["annotator"]: row for row in csv.DictReader(stream)}
    assert set(rows) == set(PEOPLE)
    assert all(float(row["seconds"]) >= 0 for row in rows.values())


def test_unfinished_cascades_are_left_out_and_counted(tmp_path, capsys):
    path, sheet = tmp_path / "v.sqlite", tmp_path / "binary.csv"
    with make(path, n=3) as store:
        with store.transaction():
            for name in PEOPLE:
                store.join(name, "", "")
        for number, (item, kind, name, value) in enumerate(
            [
                (0, Kind.TARGET, "ann", False),  # image 0: ended, with its contrast
                (0, Kind.CONTRAST, "bob", False),
                (1, Kind.TARGET, "ann", True),  # image 1: two Yes wait for a third person
                (1, Kind.TARGET, "bob", True),
                (1, Kind.CONTRAST, "cat", False),
                (2, Kind.TARGET, "ann", True),  # image 2: ended, but no contrast
                (2, Kind.TARGET, "bob", False),
            ]
        ):
            store.append(f"{number:032}", Answer(0, item, kind, name, value))
    assert main(["annotate-export", str(path), "--out", str(sheet)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].endswith("2 votes by 2 people on 1 images (0 corrections)")
    assert said[1] == "5 votes on unfinished images are left out: --unfinished"
    assert said[2] == "2 images still wait for answers"
    assert [v.image_id for v in iter_votes(sheet)] == ["00000"] * 2
    assert export(path, sheet, unfinished=True)["rows"] == 7
    # Without bob the contrast of image 0 and the second votes are missing.
    with pytest.raises(EmoNetFaceError, match="nothing to write"):
        export(path, sheet, without=["bob"])
    assert export(path, sheet, unfinished=True, without=["bob"])["rows"] == 4
    with pytest.raises(EmoNetFaceError, match="nobody called 'zoe' has joined"):
        export(path, sheet, without=["zoe"])


def test_an_export_replaces_an_earlier_one_and_nothing_else(tmp_path):
    path, sheet = tmp_path / "s.sqlite", tmp_path / "hq.csv"
    with make(path, Task.SLIDERS, n=3) as store:
        desk = Desk(store, "notice")
        answer_one(desk, "ann")
        for suffix in (".csv", ".jsonl"):
            export(path, sheet.with_suffix(suffix))
        answer_one(desk, "bob")
        for suffix in (".csv", ".jsonl"):
            assert export(path, sheet.with_suffix(suffix))["rows"] == 2
    lines = sheet.with_suffix(".jsonl")
    for other in ('{"image": "a.png", "annotator": "ann", "scores": [1, 2]}\n', "[" * 100_000):
        lines.write_text(other)
        with pytest.raises(EmoNetFaceError, match="was not made by this command"):
            export(path, lines)
        assert lines.read_text() == other
    text = sheet.read_text()
    for other in (text.replace("ann", "human-1"), text.replace(": 0", ": 1", 1), "mine\n"):
        sheet.write_text(other)
        with pytest.raises(EmoNetFaceError, match="was not made by this command"):
            export(path, sheet)
        assert sheet.read_text() == other
    with pytest.raises(EmoNetFaceError, match=r"answers are written to .csv or .jsonl"):
        export(path, tmp_path / "hq.parquet")
    empty = tmp_path / "empty.sqlite"
    make(empty).close()
    with pytest.raises(EmoNetFaceError, match="nothing to write: 0 answers, 6 of 6 images"):
        export(empty, tmp_path / "new.csv")


def test_categories_are_in_canonical_order_in_the_file(tmp_path):
    """A person sets Anger to 7 and nothing else; the table says so under its published key."""
    path = tmp_path / "s.sqlite"
    with make(path, Task.SLIDERS, n=1) as store:
        desk = Desk(store, "notice")
        desk.begin("ann", True)
        value = [0] * 40
        value[INDEX["Anger"]] = 7
        desk.answer("ann", "0" * 32, 0, "rating", value, None)
    export(path, tmp_path / "hq.csv")
    assert "'Negative High-Energy Emotions|Anger': 7," in (tmp_path / "hq.csv").read_text()


def test_a_question_on_one_screen_is_not_open_to_others():
    board = Board(items(1), Task.VOTES, seed=0)
    claim = Question("ann", 0, Kind.TARGET)
    assert board.is_open(claim, [claim])
    assert not board.is_open(Question("bob", 0, Kind.TARGET), [claim])
    assert board.is_open(Question("bob", 0, Kind.CONTRAST), [claim])
    board.add(Answer(1, 0, Kind.TARGET, "ann", True))
    assert not board.is_open(Question("ann", 0, Kind.CONTRAST), [])
    assert not board.is_open(Question("ann", 0, Kind.TARGET), [])
