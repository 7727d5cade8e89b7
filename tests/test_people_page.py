"""The annotators' page: its HTML, its command, and the whole of it in a real browser.

.venv/bin/pytest tests/test_people_page.py [-m "slow or not slow"]
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest
from browser import chromium, opened
from forbidden_uses import FORBIDDEN_USES
from raw_sources import draw, sidecar
from terminal_signals import hear_signals

from emonet_face.cli import main
from emonet_face.released import iter_ratings, iter_votes
from emonet_face.taxonomy import EMOTIONS, FAMILIES, INDEX, OPPOSITE
from generation.people import server as server_module
from generation.people.form import PAGE, notice, page_html
from generation.people.questions import Task
from generation.people.store import Setup, Store
from generation.run import generate

PATIENCE = 60_000  # milliseconds, on a busy machine
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


@pytest.fixture
def faces(tmp_path):
    folder = tmp_path / "faces"
    for number, target in enumerate(("Anger", "Elation", "Awe", "Pain", "Doubt")):
        draw(folder / f"face-{number}.png", (256, 256), shade=50 * number)
        sidecar(folder / f"face-{number}.json", prompted_emotion=target)
    return folder


# The HTML


def test_each_family_and_slider_is_there_once_and_named():
    html = page_html(Task.SLIDERS, generated=True)
    assert re.findall(r'data-index="(\d+)"', html) == [
        str(INDEX[name]) for names in FAMILIES.values() for name in names
    ]
    for index in range(40):
        assert html.count(f'<label for="slider-{index}">') == 1
        assert html.count(f'<small id="slider-{index}-words">') == 1
    assert html.count('<details class="family') == len(FAMILIES)
    assert page_html(Task.VOTES, generated=True).count('type="range"') == 0


@pytest.mark.parametrize("task", Task)
def test_the_notice_says_what_is_kept_and_what_answers_may_not_be_used_for(task):
    for generated in (True, False):
        text = " ".join(notice(task, generated).split())
        assert " ".join(page_html(task, generated).split()).count(text) == 2  # before, and in help
        for said in (
            "Do not use your real name",
            "pauses included",
            "may not be used for",
            *FORBIDDEN_USES,
        ):
            assert said in text


NOBODY = "Nobody in the pictures exists, and an answer says nothing about any real person."
CONSENT = "Faces of real people must not be labelled here without their consent"


@pytest.mark.parametrize("task", Task)
def test_the_notice_says_that_nobody_exists_only_where_all_pictures_are_known_as_generated(task):
    for generated in (True, False):
        text = " ".join(notice(task, generated).split())
        assert (NOBODY in text, "Every face here was made by" in text) == (generated, generated)
        assert (CONSENT in text, "Whoever runs this page answers" in text) == (not generated,) * 2


def test_the_page_asks_nothing_of_other_servers():
    for path in PAGE.iterdir():
        assert not re.search(r"https?://|@import|//cdn", path.read_text(encoding="utf-8"))


def luminance(colour):
    values = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return sum(a * b for a, b in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


@pytest.mark.parametrize(
    ("selector", "ground"), [(":root", "#ffffff"), (".dark", "#0b0f19")], ids=["light", "dark"]
)
def test_texts_in_the_families_colours_can_be_read(selector, ground):
    """Web accessibility guidelines 2.2, 1.4.3: 4.5 to 1 for text."""
    css = (PAGE / "page.css").read_text()
    block = css[css.index(f"{selector} {{") :].partition("}")[0]
    colours = re.findall(r"--people-(?:\d|quiet): (#\w{6});", block)
    assert len(colours) == len(FAMILIES) + 1
    for colour in colours:
        light, dark = sorted([luminance(colour), luminance(ground)], reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5


# The command


def test_bad_calls_end_in_one_line_before_anything_is_served(faces, tmp_path, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    store = tmp_path / "s.sqlite"
    other = tmp_path / "notes.txt"
    other.write_text("mine\n" * 999)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for arguments, said in (
            ([faces, "--task", "sliders", "--store", store, "--port", port], f"port {port} is tak"),
            ([empty, "--task", "sliders", "--store", store], "holds no images"),
            ([faces, "--task", "sliders", "--store", other], "cannot be used as a store"),
            ([faces, "--task", "sliders", "--store", store, "--annotator", "=1"], "cannot be an a"),
            ([faces, "--task", "rank", "--store", store], "'rank' is not one of"),
            ([faces, "--task", "votes", "--store", store, "--host", "no.such.host.invalid"],
             "cannot listen there"),
            ([faces, "--task", "sliders", "--store", store, "--host", ""], "--host is empty"),
        ):  # fmt: skip
            extra = [] if "--port" in arguments else ["--port", free_port()]
            assert main(["annotate-page", *map(str, arguments), *extra]) == 2
            (line,) = capsys.readouterr().err.splitlines()
            assert said in line
    assert not store.exists()
    assert other.read_text() == "mine\n" * 999


def test_a_missing_gradio_names_the_line_that_installs_it(faces, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert (
        main(["annotate-page", str(faces), "--task", "votes", "--store", str(tmp_path / "s")]) == 2
    )
    assert "pip install 'emonet-face[annotate]'" in capsys.readouterr().err


def test_a_served_page_says_what_is_known_of_its_own_pictures(faces, tmp_path, monkeypatch):
    from fastapi.testclient import TestClient

    pages = []
    monkeypatch.setattr(
        server_module, "_run", lambda app, _: pages.append(TestClient(app).get("/").text)
    )
    run = generate(2, tmp_path / "run", size=48)
    for source, generated in ((run, True), (faces, False)):
        said = []
        store = tmp_path / f"{source.name}.sqlite"
        setup = Setup(Task.SLIDERS, 0)
        server_module.serve(str(source), store, setup, port=int(free_port()), say=said.append)
        html = " ".join(pages.pop().replace("\\n", " ").split())
        assert (NOBODY in html, CONSENT in html) == (generated, not generated)
        warned = [line for line in said if "are not known to be generated" in line]
        assert bool(warned) is not generated
    assert warned[0].startswith("5 of 5 images are not known to be generated, the first is face-0.")


# The browser


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


class Served:
    """The command in a process of its own, which can be killed and started again.

    It runs in the folder that holds the source: gradio is to serve nothing from there either.
    """

    def __init__(self, source, *arguments):
        self.folder = source.parent
        self.port = free_port()
        self.command = [sys.executable, "-m", "emonet_face.cli", "annotate-page"]
        self.command += [*map(str, (source, *arguments)), "--port", self.port]
        self.url = f"http://127.0.0.1:{self.port}/"
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            cwd=self.folder, env=os.environ | {"PYTHONUNBUFFERED": "1"}, preexec_fn=hear_signals,
        )  # fmt: skip
        self.said = []
        while not self.said or not self.said[-1].startswith("The page: "):
            line = self.process.stdout.readline()
            assert line, f"the page ended: {self.said}"
            self.said.append(line.strip())
        for _ in range(240):
            try:
                return urllib.request.urlopen(self.url, timeout=5).close()
            except OSError:
                time.sleep(0.25)
        pytest.fail("the page does not answer")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextmanager
def served(*arguments):
    page = Served(*arguments)
    try:
        yield page
    finally:
        page.kill()


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


def join(page, name):
    page.wait_for_selector("#name", timeout=PATIENCE)
    page.get_by_label("A made-up name").fill(name)
    page.get_by_label("I have read this").check()
    page.get_by_role("button", name="Begin").click()
    wait_for_picture(page)


def wait_for_picture(page, number=None):
    page.wait_for_function(
        """number => { const image = document.querySelector('.people .work:not([hidden]) img');
        return image && image.naturalWidth && !image.classList.contains('loading')
            && !document.querySelector('.people[aria-busy]')
            && (number === null || image.alt.startsWith(`Picture ${number}:`)) }""",
        arg=number,
        timeout=PATIENCE,
    )


def wait_for_end(page):
    page.wait_for_selector(".people .done:not([hidden])", timeout=PATIENCE)


def shown_picture(page):
    """The sha256 in the address of the picture on the screen."""
    return page.locator(".people figure img").get_attribute("src").rpartition("/")[2].split("?")[0]


def set_by_keys(page, scores):
    """Category -> rating, set by moving to the slider and typing the digit."""
    for name, value in scores.items():
        page.get_by_role("slider", name=name, exact=True).focus()
        page.keyboard.press(str(value))


@pytest.mark.slow
def test_two_people_at_once_a_kill_in_the_middle_and_the_table_is_what_was_clicked(
    browser, faces, tmp_path
):
    """Sliders, two raters an image: both rate all five; the server is killed while one answers."""
    store, sheet = tmp_path / "s.sqlite", tmp_path / "hq.csv"
    given = {}  # (name, sha256) -> {category: rating}
    with (
        served(faces, "--task", "sliders", "--store", store, "--raters", "2") as server,
        opened(browser, server.url, viewport=DESKTOP) as (ann, requests),
        opened(browser, server.url, viewport=DESKTOP) as (bob, _),
    ):
        join(ann, "ann")
        join(bob, "bob")
        for number in range(1, 6):
            for name, page in (("ann", ann), ("bob", bob)):
                wait_for_picture(page, number)
                scores = {"Amusement": number, "Pain": 7, "Longing": 8 - number}
                if name == "bob":
                    scores = {"Jealousy & Envy": number}
                set_by_keys(page, scores)
                given[name, shown_picture(page)] = scores
            if number == 3:
                server.kill()
                ann.keyboard.press("Enter")
                ann.wait_for_function(
                    "document.querySelector('.work > .problem').textContent.includes('Nothing is l"
                    "ost')", timeout=PATIENCE)  # fmt: skip
                server.start()
                bob.reload()  # a draft outlives a reload, and who works here is known
                wait_for_picture(bob, number)
                assert bob.get_by_role("slider", name="Jealousy & Envy").input_value() == "3"
                bob.keyboard.press("Enter")
                continue
            ann.keyboard.press("Enter")
            bob.get_by_role("button", name="Next").click()
        wait_for_end(ann)
        wait_for_end(bob)
        ann.get_by_text("All pictures are finished").wait_for(timeout=PATIENCE)
        # Back to the last answer, with keys and mouse, and a correction.
        bob.get_by_role("button", name="Back to my last answer").click()
        wait_for_picture(bob, 5)
        last = shown_picture(bob)
        assert bob.get_by_role("slider", name="Jealousy & Envy").input_value() == "5"
        set_by_keys(bob, {"Jealousy & Envy": 0, "Awe": 2})
        given["bob", last] = {"Awe": 2}
        bob.keyboard.press("Enter")
        wait_for_end(bob)
        outside = [u for u in requests if not u.startswith((server.url, "data:", "blob:"))]
        assert outside == []
        # The page may run while its answers are written out.
        assert main(["annotate-export", str(store), "--out", str(sheet)]) == 0
    with Store(store) as kept:
        digest = {item.image: item.sha256 for item in kept.items}
        answers = kept.answers()
    rows = list(iter_ratings(sheet))
    found = {
        (row.annotator, digest[row.image]): {
            name: score for name, score in zip(EMOTIONS, row.scores.scores, strict=True) if score
        }
        for row in rows
    }
    assert len(rows) == 10
    assert found == given
    assert len(answers) == 11
    timed = [answer.seconds for answer in answers if answer.revises is None]
    # Two questions were handed out by a server that did not live to see the answer.
    assert sum(seconds is None for seconds in timed) in (1, 2)
    assert all(seconds > 0 for seconds in timed if seconds is not None)
    repo = tmp_path / "repo"
    assert main(["build", "hq", "--ratings", str(sheet), "--images", str(faces), "--out",
                 str(repo), "--strict"]) == 0  # fmt: skip


@pytest.mark.slow
def test_votes_by_key_click_and_finger_make_the_cascade(browser, faces, tmp_path):
    """Two people with both questions: each vote goes to the page and to a list; both must agree."""
    store, sheet = tmp_path / "v.sqlite", tmp_path / "binary.csv"
    given = {}
    with (
        served(faces, "--task", "votes", "--store", store, "--both-questions", "--annotator",
               "ann", "--annotator", "bob") as server,
        opened(browser, server.url, viewport=DESKTOP) as (ann, _),
        opened(browser, server.url, viewport=PHONE, has_touch=True) as (bob, _),
    ):  # fmt: skip
        assert any("cannot finish" in line for line in server.said) is False
        join(ann, "ann")
        join(bob, "bob")
        for number in range(1, 31):
            for name, page in (("ann", ann), ("bob", bob)):
                if page.locator(".done:not([hidden])").count():
                    continue
                wait_for_picture(page, number)
                emotion = page.locator(".emotion").inner_text().removesuffix("?")
                say_yes = name == "ann" and emotion in ("Anger", "Elation", "Contempt")
                given[shown_picture(page), name, emotion] = say_yes
                if name == "bob":
                    page.get_by_role("button", name="No").tap()
                elif number % 2:
                    page.keyboard.press("y" if say_yes else "n")
                else:
                    page.get_by_role("button", name="Yes" if say_yes else "No").click()
                page.wait_for_function(
                    """number => !document.querySelector('.people[aria-busy]') && (
                        document.querySelector('.done:not([hidden])') || document.querySelector(
                        '.people figure img').alt.startsWith(`Picture ${number}:`))""",
                    arg=number + 1, timeout=PATIENCE)  # fmt: skip
        wait_for_end(ann)
        # bob takes his last No back, and again: a corrected vote is the same person's one vote.
        wait_for_end(bob)
        bob.get_by_role("button", name="Back to my last answer").click()
        wait_for_picture(bob)
        assert bob.locator(".vote.no").get_attribute("aria-pressed") == "true"
        bob.keyboard.press("Escape")
        wait_for_end(bob)
        assert main(["annotate-export", str(store), "--out", str(sheet), "--unfinished"]) == 0
    with Store(store) as kept:
        digest = {item.image_id: item.sha256 for item in kept.items}
        targets = {item.image_id: item.target for item in kept.items}
    votes = list(iter_votes(sheet))
    assert {(digest[v.image_id], v.annotator, v.emotion): v.present for v in votes} == given
    for image_id, target in targets.items():
        on_target = [v.present for v in votes if (v.image_id, v.emotion) == (image_id, target)]
        assert on_target in ([False], [True, False])
        assert sum((v.image_id, v.emotion) == (image_id, OPPOSITE[target]) for v in votes) == 1


@pytest.mark.slow
def test_keys_help_phone_and_screen_readers(browser, faces, tmp_path):
    with served(faces, "--task", "sliders", "--store", tmp_path / "s.sqlite") as server:
        with opened(browser, server.url, viewport=DESKTOP) as (page, _):
            page.wait_for_selector("#name", timeout=PATIENCE)
            page.get_by_label("A made-up name").fill("=cmd")
            page.get_by_role("button", name="Begin").click()
            page.get_by_text("'=cmd' cannot be an annotator's name").wait_for()
            page.get_by_label("A made-up name").fill("ann")
            page.get_by_role("button", name="Begin").click()
            page.get_by_text("please read the notice and agree to it first").wait_for()
            join(page, "ann")
            # All of it is on the screen at once, without scrolling.
            size = page.evaluate("[document.documentElement.scrollHeight, innerHeight]")
            assert size[0] <= size[1]
            focused = "document.activeElement.getAttribute('aria-labelledby') || document"
            focused += ".querySelector(`label[for='${document.activeElement.id}']`).textContent"
            assert page.evaluate(focused) == "Amusement"
            page.keyboard.press("Tab")
            assert page.evaluate(focused) == "Elation"
            page.keyboard.press("ArrowRight")
            page.keyboard.press("ArrowRight")
            page.keyboard.press("9")  # no such rating
            assert page.evaluate("document.activeElement.value") == "2"
            assert page.evaluate("document.activeElement.ariaValueText") == "2 of 7"
            for family in [*FAMILIES.values()][1:]:
                page.keyboard.press("PageDown")
                assert page.evaluate(focused) == family[0]
            page.keyboard.press("PageUp")
            assert page.evaluate(focused) == FAMILIES["Physical and Exhaustive States"][0]
            assert "physical pain" in page.locator("figcaption").inner_text()
            page.keyboard.press("?")
            assert page.get_by_role("dialog").is_visible()
            page.keyboard.press("Enter")  # on the focused summary of the help: sends no answer
            page.keyboard.press("?")
            assert not page.get_by_role("dialog").is_visible()
            page.get_by_role("slider", name="Elation").focus()
            page.keyboard.press("0")
            page.keyboard.press("Enter")
            page.get_by_text("No slider is set").wait_for()
            assert page.locator(".how-far").inner_text().startswith("0 answered by you")
            page.keyboard.press("Enter")
            wait_for_picture(page, 2)
            page.keyboard.press("b")
            wait_for_picture(page, 1)
            page.keyboard.press("Escape")
            wait_for_picture(page, 2)
            unnamed = page.evaluate(
                """() => [...document.querySelectorAll('main button, main input, main img')].filter(
                    e => e.offsetParent && !(e.getAttribute('aria-label') || e.getAttribute('alt')
                      || e.textContent.trim() || (e.labels && e.labels.length))
                ).map(e => e.outerHTML.slice(0, 120))"""
            )
            assert unnamed == []
            assert page.locator("html").get_attribute("lang") == "en"
        with opened(browser, server.url, viewport=PHONE) as (page, _):
            join(page, "bob")
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
            page.locator("summary", has_text="Longing & Lust").click()
            page.get_by_role("slider", name="Infatuation").scroll_into_view_if_needed()
            page.evaluate("window.scrollTo(0, document.documentElement.scrollHeight)")
            box = page.locator(".people figure img").bounding_box()
            assert box["y"] >= -1, "the picture stays in sight"
            assert page.get_by_role("button", name="Next").bounding_box()["y"] < PHONE["height"]


@pytest.mark.slow
def test_nothing_but_the_pictures_of_the_source_is_served(faces, tmp_path):
    draw(tmp_path / "secret.png", shade=9)
    store = tmp_path / "s.sqlite"
    (faces / "face-4.png").write_bytes(b"no picture")
    with served(faces, "--task", "sliders", "--store", store) as server:
        assert any(line.startswith("left out: ") and "face-4.png" in line for line in server.said)
        with Store(store) as kept:
            item = kept.items[0]
        with urllib.request.urlopen(f"{server.url}picture/{item.sha256}") as reply:
            assert reply.read() == (faces / item.image).read_bytes()
            assert reply.headers["Content-Type"] == "image/png"
        for path in (
            "picture/../../secret.png",
            "picture/%2e%2e%2fsecret.png",
            f"picture/{faces / item.image}",
            f"picture/{item.image}",
            f"gradio_api/file={store}",
            f"gradio_api/file={faces / item.image}",
            f"gradio_api/file={tmp_path / 'secret.png'}",
        ):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(server.url + path)
            assert refused.value.code in (400, 403, 404)
        server.process.send_signal(signal.SIGINT)  # Ctrl-C
        assert server.process.wait(timeout=60) == 0
        assert server.process.stdout.read() == ""
