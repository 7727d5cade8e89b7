"""The model's page: its Space folder, its HTML, and the whole of it in a real browser.

.venv/bin/pytest tests/test_space.py
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import yaml
from browser import TimeoutError, chromium, opened
from forbidden_uses import FORBIDDEN_USES
from PIL import Image, ImageDraw
from terminal_signals import hear_signals
from toy_faces import draw_face
from toy_model import make_model

from cards.render import render_card
from emonet_face.cli import main
from emonet_face.errors import EmoNetFaceError
from emonet_face.simulated import model_is_simulated
from emonet_face.taxonomy import DIMENSIONS, EMOTIONS, FAMILIES, as_json
from modeling_empathicinsight import space_staging
from modeling_empathicinsight.prediction import predict
from modeling_empathicinsight.space_staging import stage_space

ROOT = Path(__file__).resolve().parents[1]
SPACE = Path(space_staging.__file__).parent / "space"
PATIENCE = 60_000  # milliseconds, on a busy machine
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


def load(name, folder=SPACE):
    """A file of the Space as the module it is beside app.py."""
    spec = importlib.util.spec_from_file_location(f"space_{name}", folder / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


bars = load("bars")


# The folder


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    out = tmp_path_factory.mktemp("space") / "page"
    stage_space(out, "org/empathicinsight-face-small")
    return out


def test_a_space_is_complete(space):
    assert sorted(path.name for path in space.iterdir()) == [
        "README.md",
        "app.py",
        "bars.py",
        "demonstration.md",
        "face_crops.py",
        "notice.md",
        "page.css",
        "page.png",
        "predict_onnx.py",
        "requirements.txt",
        "space.json",
    ]
    said = json.loads((space / "space.json").read_text())
    assert said["taxonomy"] == json.loads(json.dumps(as_json()))
    assert said["model"] == "org/empathicinsight-face-small"
    text = (space / "README.md").read_text()
    front = yaml.safe_load(text.split("---")[1])
    assert (front["sdk"], front["app_file"]) == ("gradio", "app.py")
    assert front["models"] == ["org/empathicinsight-face-small"]
    assert len(front["short_description"]) <= 60  # the Hub cuts it off there
    assert (space / "notice.md").read_text().strip() in text
    assert "MODEL_ID" not in text
    assert "NOTICE" not in text


SIMULATED = {"stages": {"ratings": {"run": True, "annotators": ["simulated-vlm"]}}}
PEOPLE = {"stages": {"votes": {"run": True, "annotators": ["human-1", "human-2"]}}}
CONVERTED = {"made_by": "emonet-face convert"}
RECORDS = pytest.mark.parametrize(
    ("record", "simulated"),
    [(SIMULATED, True), (PEOPLE, False), (CONVERTED, False), ({}, None), (None, None)],
    ids=["simulated", "people", "converted", "empty", "none"],
)


def put_record(folder, record):
    folder.mkdir(exist_ok=True)
    if record is not None:
        (folder / "training.json").write_text(json.dumps(record))


@RECORDS
def test_a_space_and_its_card_say_that_the_model_is_of_simulated_raters(
    tmp_path, record, simulated
):
    """By the record of the model that lies beside the page, when it is staged or rendered."""
    put_record(tmp_path / "m", record)
    page = tmp_path / "page"
    stage_space(page, "org/m")
    warned = (
        "trained on simulated raters, not on ratings by people" in (page / "README.md").read_text()
    )
    assert warned == (simulated is True)
    assert json.loads((page / "space.json").read_text())["simulated"] is simulated
    for beside in (True, False):  # a folder that is not there leaves what was staged
        if not beside:
            (tmp_path / "m" / "training.json").unlink(missing_ok=True)
        front, text = render_card(page).read_text().split("---\n")[1:]
        assert ("title: EmpathicInsight-Face (demo)" in front) == warned
        assert text.startswith("# EmpathicInsight-Face (demo)\n\n> **A demonstration: ") == warned


def test_the_record_beside_the_page_outweighs_what_was_staged(tmp_path):
    put_record(tmp_path / "m", PEOPLE)
    stage_space(tmp_path / "page", "org/m")
    put_record(tmp_path / "m", SIMULATED)
    assert "> **A demonstration" in render_card(tmp_path / "page").read_text()
    (tmp_path / "m" / "training.json").write_text("[]")
    with pytest.raises(EmoNetFaceError, match=r"training\.json: is no record of a training"):
        stage_space(tmp_path / "other", "org/m")
    assert not (tmp_path / "other").exists()


@RECORDS
def test_the_page_warns_by_the_record_of_the_model_it_loads(
    tmp_path, monkeypatch, record, simulated
):
    """The uploaded file has its own copy of the rule: it must find what the core finds."""
    page = tmp_path / "page"  # not the clone: gradio writes beside a file with a component
    stage_space(page, "org/name")
    monkeypatch.syspath_prepend(str(page))
    app = load("app", page)
    put_record(tmp_path / "m", record)
    words = {
        True: (page / "demonstration.md").read_text(),
        False: "",
        None: "No record of this model says whose ratings it was trained on.",
    }
    assert app.warning(str(tmp_path / "m")) == words[simulated]
    assert model_is_simulated(tmp_path / "m") is simulated


def test_versions_are_those_the_tests_run_with():
    pinned = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    )
    wanted = dict(
        line.split("==") for line in (SPACE / "requirements.txt").read_text().splitlines()
    )
    front = yaml.safe_load((SPACE / "README.md").read_text().split("---")[1])
    wanted["gradio"] = front["sdk_version"]
    assert wanted == {name: pinned[name] for name in wanted}
    assert importlib.metadata.version("gradio") == wanted["gradio"]


def test_the_notice_forbids_what_the_cards_forbid():
    card = (ROOT / "cards" / "templates" / "use.md.j2").read_text()
    notice = (SPACE / "notice.md").read_text()
    for use in FORBIDDEN_USES:
        for text in (card, notice):
            assert use in " ".join(text.split())
    assert "artificial faces" in notice
    assert "no statement about what a person feels" in notice


def test_staging_replaces_its_own_and_nothing_else(tmp_path):
    out = tmp_path / "page"
    stage_space(out, "org/a")
    stage_space(out, "org/b")
    assert json.loads((out / "space.json").read_text())["model"] == "org/b"
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").write_text("mine")
    with pytest.raises(EmoNetFaceError, match="was not made by this command"):
        stage_space(other, "org/a")
    for wrong in ("name", "a/b/c", str(tmp_path), "a b/c", ""):
        with pytest.raises(EmoNetFaceError, match="give an id ORG/NAME"):
            stage_space(tmp_path / "new", wrong)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "page"]


def test_the_command_writes_a_space(tmp_path, capsys):
    out = tmp_path / "page"
    assert main(["page", "--model", "org/name", "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}: a Space for org/name\n"
    assert (out / "app.py").is_file()


def test_a_missing_gradio_names_the_line_that_installs_it(monkeypatch, capsys):
    monkeypatch.setattr(space_staging, "find_spec", lambda name: None)
    assert main(["page", "--model", "org/name"]) == 2
    assert "pip install 'emonet-face[space,faces]'" in capsys.readouterr().err


# The end of a page that was started

STAND_IN = """
import os, sys, time

def main():
    print(os.getpid(), flush=True)
    time.sleep(99)

if __name__ == "__main__":
    sys.exit(main())
"""
START = """
import sys
from pathlib import Path
from modeling_empathicinsight import space_staging
space_staging.HERE = Path(sys.argv[1])
sys.exit(space_staging.serve("org/m", 7860))
"""


def has_ended(pid):
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    return False


@pytest.mark.parametrize(
    "signals", ["SIGTERM", "SIGINT", "SIGHUP", "SIGHUP SIGTERM SIGTERM SIGINT", "SIGKILL"]
)
def test_nothing_of_a_page_outlives_its_command(tmp_path, signals):
    """Neither the process that serves nor, unless there was no time for it, the folder."""
    for name in space_staging.SHARED:
        shutil.copy(SPACE.parent / name, tmp_path)
    (shutil.copytree(SPACE, tmp_path / "space") / "app.py").write_text(STAND_IN)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    command = subprocess.Popen(
        [sys.executable, "-c", START, str(tmp_path)],
        stdout=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(temporary)},
        preexec_fn=hear_signals,
    )  # fmt: skip
    with command:
        serves = int(command.stdout.readline())
        assert len(list(temporary.iterdir())) == 1
        for name in signals.split():
            command.send_signal(signal.Signals[name])
        code = command.wait(timeout=30)
    assert has_ended(serves)
    if signals == "SIGKILL":
        assert code == -signal.SIGKILL
    else:
        assert (code, list(temporary.iterdir())) == (0, [])


@pytest.mark.slow
def test_a_page_says_one_line_and_leaves_nothing(tmp_path):
    model, temporary = make_model(tmp_path / "m"), tmp_path / "tmp"
    temporary.mkdir()
    picture = tmp_path / "face.png"
    draw_face(0.5, 0.5, 60, np.random.default_rng(0)).save(picture)
    with (
        started(model, TMPDIR=str(temporary)) as (server, address),
        chromium() as browser,
        opened(browser, address, viewport=DESKTOP) as (page, _),
    ):
        drop(page, picture)
        shown(page)
        assert [path.name for path in temporary.rglob("face.png")] == ["face.png"]
        server.terminate()
        said = server.communicate(timeout=60)[0]
    lines = [line for line in said.splitlines() if line and "Loading weights" not in line]
    assert (server.returncode, lines) == (0, [f"The page: {address}  (Ctrl-C stops it)"])
    assert list(temporary.iterdir()) == []


# The HTML


def scores(**changes):
    """Shares that fall from Amusement on: the eight largest are the first eight."""
    weights = np.arange(40, 0, -1.0)
    share = dict(zip(EMOTIONS, (weights / weights.sum()).tolist(), strict=True))
    settings = {
        "families": {family: list(names) for family, names in FAMILIES.items()},
        "share": share,
        "above_neutral": dict.fromkeys(EMOTIONS, -1.5),
        "neutral_source": "made up",
    }
    return bars.Scores(**(settings | changes))


def rows_of(html):
    """Categories of the two tables of categories, in order."""
    heads = re.findall(r'<th scope="row">(.*?)</th>', html)
    return [re.sub(r"<wbr>|<span.*", "", head).strip() for head in heads]


def test_the_eight_largest_shares_come_first_grouped_by_family():
    html = bars.render(scores(), "All of it.")
    names = rows_of(html)
    top, whole = names[:8], names[8:]
    assert set(top) == set(EMOTIONS[:8])
    family_of = {name: family for family, names in FAMILIES.items() for name in names}
    families = [family_of[name] for name in top]
    # Amusement leads, so its family does; nobody of another family stands between.
    assert families == sorted(families, key=families.index)
    assert top[0] == "Amusement"
    assert whole == [name.replace("&", "&amp;") for names in FAMILIES.values() for name in names]
    # 40 / (40 * 41 / 2) = 4.9 %: the largest share has the whole width, the eighth 33 / 40 of it.
    assert "4.9%" in html
    assert 'style="width:100.0%"' in html
    assert 'style="width:82.5%"' in html
    assert "an even split would give each 2.5%" in html
    assert "\N{MINUS SIGN}1.50" in html
    nearly = bars.render(scores(above_neutral=dict.fromkeys(EMOTIONS, -0.001)), "")
    assert "\N{MINUS SIGN}0.00" not in nearly
    assert "All of it." in html


def test_shares_too_small_to_print_are_not_printed_as_nothing():
    tiny = dict.fromkeys(EMOTIONS, 1e-5) | {"Awe": 1 - 39e-5}
    html = bars.render(scores(share=tiny), "")
    assert "under 0.1%" in html
    assert not re.search(r"\b0\.0%<", html)


def test_intervals_and_weak_categories_are_shown_where_the_model_has_them():
    bare = bars.render(scores(), "")
    assert "interval" not in bare
    assert "hardly agree" not in bare
    ratings = dict.fromkeys(EMOTIONS, (2.04, 0.5, 4.25))
    html = bars.render(
        scores(ratings=ratings, rating_note="Nine in ten.", weak=frozenset({"Amusement"})), ""
    )
    assert html.count("2.0 [0.5, 4.2]") == 8 + 2 * 40  # in the whole table for either width
    assert html.count("raters hardly agree") == 2
    assert "Nine in ten." in html


def test_dimensions_stand_on_their_scales():
    """Valence 0 is the middle of -3..3; arousal 9 lies beyond 7 and is drawn at the end."""
    html = bars.render(
        scores(
            dimensions={"valence": 0.0, "arousal": 9.0}, dimension_notes=as_json()["dimensions"]
        ),
        "",
    )
    assert 'style="left:50.0%"' in html
    assert 'style="left:100.0%"' in html
    assert "9.00" in html
    assert "+0.00" in html
    assert "Dominance" not in html
    assert "Dimensions" not in bars.render(scores(), "")


def test_texts_from_outside_are_escaped():
    assert "<b>" not in bars.problem("<b>x</b>.png: cannot\nbe decoded")
    assert "cannot be decoded" in bars.problem("x: cannot\nbe decoded")
    assert "<i>bold" not in bars.render(scores(neutral_source="<i>bold"), "<i>bold")


def luminance(colour):
    values = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize(
    ("selector", "ground"), [(":root", "#ffffff"), (".dark", "#0b0f19")], ids=["light", "dark"]
)
def test_the_families_colours_can_be_told_from_the_ground(selector, ground):
    """Web accessibility guidelines 2.2, 1.4.11: 3 to 1 for parts that carry meaning."""
    css = (SPACE / "page.css").read_text()
    block = css[css.index(f"{selector} {{") :].partition("}")[0]
    colours = re.findall(r"--family-\d: (#\w{6});", block)
    assert len(set(colours)) == len(FAMILIES)
    for colour in colours:
        light, dark = sorted([luminance(colour), luminance(ground)], reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3


# The browser


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = make_model(tmp_path_factory.mktemp("shown") / "tiny-model")
    put_record(folder, SIMULATED)
    return folder


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@contextmanager
def started(model, **environment):
    """The command, and the address at which it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "emonet_face.cli", "page", "--model", str(model)]
    server = subprocess.Popen(
        [*command, "--port", str(port)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | environment,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(address, timeout=1).close()
                break
            except OSError:
                if server.poll() is not None:
                    pytest.fail(f"the page ended: {server.stdout.read()}")
                time.sleep(0.25)
        yield server, address
    finally:
        server.terminate()
        server.wait(timeout=20)


@pytest.fixture(scope="module")
def url(browser, model):
    """The address of a running page; the browser first, for without it nothing is started."""
    with started(model) as (_, address):
        yield address


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Pictures to drop: one good, one that hangs over (EXIF), one broken."""
    folder = tmp_path_factory.mktemp("pictures")
    face = draw_face(0.5, 0.5, 60, np.random.default_rng(0))
    face.save(folder / "face.png")
    wide = Image.new("RGB", (90, 60), "white")
    ImageDraw.Draw(wide).ellipse((5, 5, 30, 30), fill="red")
    turned = Image.Exif()
    turned[0x0112] = 6
    wide.save(folder / "turned.jpg", exif=turned)
    (folder / "broken.png").write_bytes((folder / "face.png").read_bytes()[:200])
    return folder


def drop(page, path):
    page.set_input_files("#picture input[type=file]", path, timeout=PATIENCE)


def shown(page, selector="#result .bars"):
    return page.wait_for_selector(selector, timeout=PATIENCE)


def test_a_picture_is_dropped_and_its_distribution_shown(browser, url, model, files, tmp_path):
    with opened(browser, url, viewport=DESKTOP) as (page, requests):
        above = shown(page, "#demonstration")
        assert "trained on simulated raters, not on ratings by people" in above.text_content()
        notice = shown(page, "#notice")
        assert above.bounding_box()["y"] < notice.bounding_box()["y"]
        assert "no statement about what a person feels" in notice.text_content()
        box = notice.bounding_box()
        assert box["y"] + box["height"] < DESKTOP["height"] / 2  # in sight without scrolling
        assert "as soon as there is a picture" in shown(page, "#result .waiting").text_content()
        for name in ("face.png", "turned.jpg"):
            drop(page, files / name)
            shown(page)
            out = tmp_path / f"{name}.jsonl"
            predict(model, [files / name], out, top_k=8)
            line = json.loads(out.read_text())
            rows = page.locator("#result .top tbody tr:not(.family)")
            page.wait_for_function(
                "text => document.querySelector('#result').textContent.includes(text)",
                arg=f"{line['top'][0][1]:.1%}",
                timeout=PATIENCE,
            )
            found = [row.split("\t") for row in rows.all_inner_texts()]
            assert {row[0].strip(): row[-1] for row in found} == {
                name: f"{share:.1%}" for name, share in line["top"]
            }
            page.click("#picture [aria-label='Remove Image'], #picture [aria-label='Clear']")
            shown(page, "#result .waiting")
        drop(page, files / "face.png")
        page.click("#result summary", timeout=PATIENCE)
        cells = page.locator("#result .whole tbody tr:not(.family) th")
        assert sorted(text.strip() for text in cells.all_inner_texts()) == sorted(EMOTIONS)
        assert page.locator("#result .family").count() >= 7
        for dimension in DIMENSIONS:
            assert page.locator("#result .dimensions th", has_text=dimension.name).count() == 1
    outside = [u for u in requests if not u.startswith((url, "data:", "blob:"))]
    assert outside == []
    assert len(requests) > 10


def test_a_broken_file_is_said_in_one_line_and_the_next_one_works(browser, url, files):
    with opened(browser, url, viewport=DESKTOP) as (page, _):
        shown(page, "#result .waiting")
        drop(page, files / "broken.png")
        text = shown(page, "#result [role=alert]").inner_text()
        assert re.fullmatch(r"broken\.png: cannot be decoded \(.*\)", text)
        assert str(files) not in page.content()
        page.click("#picture [aria-label='Remove Image'], #picture [aria-label='Clear']")
        drop(page, files / "face.png")
        shown(page)


@pytest.mark.slow
def test_a_picture_without_a_face_says_so_when_asked_to_crop(browser, url, files):
    pytest.importorskip("dlib")
    with opened(browser, url, viewport=DESKTOP) as (page, _):
        shown(page, "#result .waiting")
        page.get_by_label("Find the face and crop to it first").check()
        drop(page, files / "turned.jpg")
        text = shown(page, "#result [role=alert]").inner_text()
        assert text == "turned.jpg: no face was found; without the crop it is scored whole"
        page.get_by_label("Find the face and crop to it first").uncheck()
        shown(page)


def test_nothing_lies_over_the_picture(browser, url, files):
    with opened(browser, url, viewport=DESKTOP) as (page, _):
        drop(page, files / "face.png")
        shown(page)
        image = page.locator("#picture img").bounding_box()
        label = page.get_by_text("Picture of one face: PNG, JPEG or WebP").bounding_box()
        assert label["y"] + label["height"] <= page.locator("#picture").bounding_box()["y"]
        covering = page.evaluate(
            """box => [0.02, 0.5, 0.9].map(place => document.elementFromPoint(
                box.x + place * box.width, box.y + 3)).filter(e => e.tagName !== 'IMG')
                .map(e => e.outerHTML.slice(0, 120))""",
            image,
        )
        assert covering == []


def press_enter_to_choose(page, button):
    """The dialogue that Enter opens. gradio puts the button there before it listens to keys."""
    for _ in range(10):
        try:
            with page.expect_file_chooser(timeout=3000) as chooser:
                button.press("Enter")
            return chooser.value
        except TimeoutError:
            continue
    pytest.fail("Enter opens no file dialogue")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_works_from_the_keyboard(browser, url, files, scheme):
    with opened(browser, url, viewport=PHONE, color_scheme=scheme) as (page, _):
        notice = shown(page, "#notice").bounding_box()
        assert notice["y"] + notice["height"] < PHONE["height"]
        assert page.title() == "EmpathicInsight-Face"
        assert page.locator("html").get_attribute("lang") == "en"
        assert page.locator("h1").count() == 1
        shown(page, "#result .waiting")
        upload = page.get_by_label("Drop an image file here to upload")
        for _ in range(5):  # nothing but a few buttons stands before it
            if upload.evaluate("e => e === document.activeElement"):
                break
            page.keyboard.press("Tab")
        assert upload.evaluate("e => e === document.activeElement")
        press_enter_to_choose(page, upload).set_files(files / "face.png")
        shown(page)
        page.locator("#result summary").focus()
        page.keyboard.press("Enter")
        assert page.locator("#result details").get_attribute("open") is not None
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        unnamed = page.evaluate(
            """() => [...document.querySelectorAll('main button, main input, main img')].filter(
                e => e.offsetParent && !e.closest('[aria-hidden=true]')
                  && !(e.getAttribute('aria-label') || e.getAttribute('alt')
                       || e.textContent.trim() || (e.labels && e.labels.length))
            ).map(e => e.outerHTML.slice(0, 120))"""
        )
        assert unnamed == []
        for table in page.locator("#result table").all():
            assert table.locator("caption").count() == 1


def test_a_folder_without_a_model_is_told_before_anything_is_started(tmp_path, capsys):
    assert main(["page", "--model", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said == f"emonet-face: {tmp_path}: no model folder (it has no config.json)\n"


@pytest.mark.slow
def test_a_model_that_cannot_be_used_ends_in_one_line(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    done = subprocess.run(
        [sys.executable, "-m", "emonet_face.cli", "page", "--model", str(tmp_path), "--port", "9"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"app: {tmp_path}: ")
    assert "Traceback" not in done.stderr
