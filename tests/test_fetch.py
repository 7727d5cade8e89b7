"""`fetch` against a server on 127.0.0.1 that lies, breaks off, forgets and refuses.

pytest tests/test_fetch.py

No published address is contacted. The published votes and taxonomy have the hashes of the address
file where the published data is at hand.
"""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import re
import subprocess
import sys
import threading
from dataclasses import dataclass, field

import pytest

from dataset_scripts import download as http_download
from dataset_scripts import fetch as fetching
from dataset_scripts.download import Digest, download
from dataset_scripts.fetch import NAMES, PUBLISHED, fetch
from emonet_face.cli import main
from emonet_face.commands.data import PublishedFile
from emonet_face.errors import EmoNetFaceError
from emonet_face.taxonomy import CATEGORIES, DIMENSIONS

CONTENT = bytes(range(256)) * 1_000  # 256,000 bytes, several blocks


def git_blob(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


DIGEST = Digest("git blob", git_blob(CONTENT))


@dataclass
class Server:
    """What the server has and how it misbehaves.

    Attributes:
        files: path -> bytes.
        breaks: bytes it sends of each answer in turn before it hangs up.
        ranges: whether it knows ranges.
        length: what it states as length, instead of the truth.
        status: codes it answers with first, in turn.
        moved: path -> address it redirects to.
        whole: whether it sends the whole file where a range was asked for, as if it were the range.
        asked: (path, value of the Range header, of Authorization) of every request.
    """

    url: str = ""
    files: dict = field(default_factory=dict)
    breaks: list = field(default_factory=list)
    ranges: bool = True
    length: int | str | None = None
    status: list = field(default_factory=list)
    moved: dict = field(default_factory=dict)
    whole: bool = False
    asked: list = field(default_factory=list)

    def answer(self, request):
        path = request.path.partition("?")[0]
        headers = request.headers
        self.asked.append((path, headers.get("Range"), headers.get("Authorization")))
        if self.status:
            request.send_error(self.status.pop(0))
        elif path in self.moved:
            request.send_response(302)
            request.send_header("Location", self.moved[path])
            request.send_header("Content-Length", "0")
            request.end_headers()
        elif path not in self.files:
            request.send_error(404)
        else:
            self._send(request, self.files[path], headers.get("Range"))

    def _send(self, request, data, wanted):
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted and self.ranges else 0
        if start and start >= len(data):
            request.send_error(416)
            return
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        length = len(data) - start if self.length is None else self.length
        request.send_header("Content-Length", str(length))
        request.end_headers()
        request.wfile.write(
            data[0 if self.whole else start :][: self.breaks.pop(0) if self.breaks else None]
        )


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(http_download, "PAUSE", 0.0)
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            state.answer(self)

        def log_message(self, *_arguments):
            pass

    class Running(http.server.ThreadingHTTPServer):
        def handle_error(self, *_arguments):
            """A client that hangs up is part of the tests."""

    with Running(("127.0.0.1", 0), Handler) as running:
        state.url = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield state
        running.shutdown()
        thread.join()


def test_a_file_comes_whole_and_a_second_call_asks_for_nothing(server, tmp_path):
    server.files["/f"] = CONTENT
    out = tmp_path / "deep" / "f.csv"
    assert download(f"{server.url}/f", out, DIGEST, at_most=len(CONTENT))
    assert out.read_bytes() == CONTENT
    assert not download(f"{server.url}/f", out, DIGEST)
    assert len(server.asked) == 1
    assert [p.name for p in out.parent.iterdir()] == ["f.csv"]


def test_a_broken_connection_is_taken_up_where_it_broke_off(server, tmp_path):
    server.files["/f"] = CONTENT
    server.breaks = [100_000, 50_000]
    assert download(f"{server.url}/f", tmp_path / "f", DIGEST)
    assert [wanted for _, wanted, _ in server.asked] == [None, "bytes=100000-", "bytes=150000-"]
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_later_call_goes_on_where_an_earlier_one_gave_up(server, tmp_path):
    server.files["/f"] = CONTENT
    server.breaks = [90_000, *[0] * http_download.ATTEMPTS]
    message = r"broke off at 90,000 of 256,000 bytes, 5 times in a row; 90,000 bytes are kept"
    with pytest.raises(EmoNetFaceError, match=message):
        download(f"{server.url}/f", tmp_path / "f", DIGEST)
    assert not (tmp_path / "f").exists()
    server.asked.clear()
    assert download(f"{server.url}/f", tmp_path / "f", DIGEST)
    assert [wanted for _, wanted, _ in server.asked] == ["bytes=90000-"]
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_a_server_without_ranges_begins_anew(server, tmp_path):
    server.files["/f"] = CONTENT
    server.ranges = False
    server.breaks = [100_000]
    assert download(f"{server.url}/f", tmp_path / "f", DIGEST)
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_wrong_hash_keeps_nothing(server, tmp_path):
    other = CONTENT[:-1] + b"?"
    server.files["/f"] = other
    with pytest.raises(EmoNetFaceError) as caught:
        download(f"{server.url}/f", tmp_path / "f", DIGEST, at_most=len(CONTENT))
    assert str(caught.value) == (
        f"{server.url}/f: expected git blob {DIGEST.value}, got {git_blob(other)}"
        " (256,000 bytes); nothing was kept"
    )
    assert not list(tmp_path.iterdir())
    assert len(server.asked) == 1


def test_a_kept_beginning_of_other_bytes_is_found_out_and_dropped(server, tmp_path):
    server.files["/f"] = CONTENT
    part = tmp_path / f".f.{DIGEST.value[:12]}.part"
    part.write_bytes(b"x" * 1_000)
    assert download(f"{server.url}/f", tmp_path / "f", DIGEST)
    assert [wanted for _, wanted, _ in server.asked] == ["bytes=1000-", None]
    part.write_bytes(b"x" * 300_000)  # more than there is: the server answers 416
    (tmp_path / "f").unlink()
    assert download(f"{server.url}/f", tmp_path / "f", DIGEST)
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_the_hash_decides_where_the_stated_length_lies(server, tmp_path):
    server.files["/f"] = CONTENT
    server.length = len(CONTENT) + 5  # all comes, then the server hangs up
    assert download(f"{server.url}/f", tmp_path / "f", DIGEST)
    (tmp_path / "f").unlink()
    server.length = len(CONTENT) - 5
    with pytest.raises(EmoNetFaceError, match=r"got [0-9a-f]{40} \(255,995 bytes\)"):
        download(f"{server.url}/f", tmp_path / "f", DIGEST)
    assert not list(tmp_path.iterdir())


def test_more_than_the_published_length_is_not_read(server, tmp_path):
    server.files["/f"] = CONTENT * 100
    with pytest.raises(EmoNetFaceError, match=r"\(1,000 bytes\); nothing was kept"):
        download(f"{server.url}/f", tmp_path / "f", DIGEST, at_most=1_000)
    assert not list(tmp_path.iterdir())


def test_a_length_of_5000_digits_counts_as_none(server, tmp_path):
    server.files["/f"] = CONTENT
    server.length = "9" * 5_000
    assert download(f"{server.url}/f", tmp_path / "f", DIGEST)
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_an_endless_answer_is_read_no_further_than_a_file_can_be(small_release, tmp_path):
    (path,) = (path for path in small_release.files if path.endswith("hq.csv"))
    small_release.files[path] = b"x" * 10_000_000
    mirror = f"{small_release.url}/mirror"
    with pytest.raises(EmoNetFaceError, match=r"\(22 bytes\); nothing was kept"):
        list(fetch(["ratings"], tmp_path, base_url=mirror))
    assert not list(tmp_path.iterdir())


def test_a_server_whose_ranges_lie_is_asked_again_without(server, tmp_path):
    server.files["/f"] = CONTENT
    server.whole = True
    server.breaks = [100_000]
    assert download(f"{server.url}/f", tmp_path / "f", DIGEST)
    assert [wanted for _, wanted, _ in server.asked] == [None, "bytes=100000-", None]
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_connection_that_brings_nothing_leaves_nothing(server, tmp_path):
    server.files["/f"] = CONTENT
    server.breaks = [0] * http_download.ATTEMPTS
    with pytest.raises(EmoNetFaceError, match=r"at 0 of 256,000 bytes, 5 times in a row$"):
        download(f"{server.url}/f", tmp_path / "f", DIGEST)
    assert not list(tmp_path.iterdir())


def test_redirects_in_a_circle_or_to_no_address_are_one_line(server, tmp_path):
    label = "a" * 70  # a host's name has parts of 63 characters at most
    for target, said in (
        ("/f", "the server answers 302 "),
        ("http://[bad", "redirects to what is no address"),
        (f"http://{label}.com/f", "redirects to what is no address"),
        ("file:///etc/passwd", "the server answers 302 "),
    ):
        server.moved = {"/f": target}
        server.asked.clear()
        with pytest.raises(EmoNetFaceError, match=f"/f: {said}") as caught:
            download(f"{server.url}/f", tmp_path / "f", DIGEST)
        assert "\n" not in str(caught.value)
        assert len(server.asked) <= 10
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "base",
    ["http://[bad", f"http://{'a' * 70}.com", ":abc", "a b", "http://a b", "http://a:b", "http://"],
)
def test_what_is_no_address_is_refused_at_once(tmp_path, capsys, base):
    assert main(["fetch", "votes", "--out", str(tmp_path), "--base-url", base]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("is no http or https address")
    assert not list(tmp_path.iterdir())


def test_a_file_where_the_folder_should_be_is_said(tmp_path, capsys):
    (tmp_path / "here").write_text("x")
    assert main(["fetch", "votes", "--out", str(tmp_path / "here" / "deep")]) == 2
    assert f"{tmp_path}/here: is a file; " in capsys.readouterr().err


def test_refusals_are_named_and_only_passing_ones_tried_again(server, tmp_path):
    with pytest.raises(EmoNetFaceError, match="/f: the server answers 404 Not Found"):
        download(f"{server.url}/f", tmp_path / "f", DIGEST)
    assert len(server.asked) == 1
    server.files["/f"] = CONTENT
    server.status = [503, 429]
    assert download(f"{server.url}/f", tmp_path / "f", DIGEST)
    (tmp_path / "f").unlink()
    server.status = [500] * 9
    with pytest.raises(EmoNetFaceError, match="answers 500 Internal Server Error, 5 times in a"):
        download(f"{server.url}/f", tmp_path / "f", DIGEST)
    assert not list(tmp_path.iterdir())


def test_nobody_there_and_no_web_address(server, tmp_path, monkeypatch):
    with pytest.raises(EmoNetFaceError, match=r"127\.0\.0\.1:9/f: .*refused, 5 times in a row$"):
        download("http://127.0.0.1:9/f", tmp_path / "f", DIGEST)
    with pytest.raises(EmoNetFaceError, match="no http or https address"):
        download("file:///etc/passwd", tmp_path / "f", DIGEST)
    assert not list(tmp_path.iterdir())


def test_another_file_in_its_place_is_never_replaced(server, tmp_path):
    server.files["/f"] = CONTENT
    (tmp_path / "f").write_bytes(b"mine")
    with pytest.raises(EmoNetFaceError, match=rf"is another file \(git blob {git_blob(b'mine')}"):
        download(f"{server.url}/f", tmp_path / "f", DIGEST)
    assert (tmp_path / "f").read_bytes() == b"mine"
    assert not server.asked


def test_a_token_is_not_shown_to_another_server(server, tmp_path):
    server.files["/f"] = CONTENT
    other = server.url.replace("127.0.0.1", "localhost")
    server.moved = {"/here": f"{server.url}/f", "/there": f"{other}/f"}
    headers = {"authorization": "Bearer secret"}
    for path in ("/here", "/there"):
        assert download(f"{server.url}{path}", tmp_path / path[1:], DIGEST, headers=headers)
    assert [token for _, _, token in server.asked] == ["Bearer secret"] * 3 + [None]


def test_git_blob_ids_are_those_of_git(tmp_path):
    # `printf 'hello\n' | git hash-object --stdin`, and the empty blob every repository knows.
    for data, blob in (
        (b"hello\n", "ce013625030ba8dba906f756967f9e9ca394464a"),
        (b"", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"),
    ):
        (tmp_path / "f").write_bytes(data)
        assert Digest("git blob", blob).of(tmp_path / "f") == blob


def test_the_published_files_have_the_hashes_and_lengths_of_the_address_file(published):
    entries = PUBLISHED["github"]["files"]
    for name, file in (("votes", "binary.csv"), ("taxonomy", "taxonomy_guide.json")):
        path = published / file
        assert Digest("git blob", "").of(path) == entries[name]["git_blob"]
        assert path.stat().st_size == entries[name]["at_most"]


def test_the_command_offers_what_the_address_file_has():
    assert tuple(name.value for name in PublishedFile) == NAMES
    assert all(re.fullmatch("[0-9a-f]{40}", e["git_blob"])
               for e in PUBLISHED["github"]["files"].values())  # fmt: skip
    entries = (*PUBLISHED["github"]["files"].values(), *PUBLISHED["hub"].values())
    assert all(10_000 < entry["at_most"] <= 200_000_000 for entry in entries)


@pytest.fixture
def small_release(server, monkeypatch):
    """The three files of the release as small ones on our server, with their true hashes."""
    entries = {}
    for name, entry in PUBLISHED["github"]["files"].items():
        data = f"the published {name}\n".encode()
        entries[name] = entry | {"git_blob": git_blob(data), "at_most": len(data)}
        revision = PUBLISHED["github"]["revision"]
        server.files[f"/mirror/LAION-AI/emonet-face/{revision}/{entry['path']}"] = data
    monkeypatch.setitem(PUBLISHED, "github", PUBLISHED["github"] | {"files": entries})
    return server


def test_the_command_fetches_from_a_mirror(small_release, tmp_path, capsys, monkeypatch):
    out = tmp_path / "published"
    mirror = f"{small_release.url}/mirror"
    assert main(["fetch", "ratings", "votes", "--out", str(out), "--base-url", mirror]) == 0
    monkeypatch.setenv("EMONET_FACE_BASE_URL", f"{mirror}/")
    assert main(["fetch", "taxonomy", "votes", "votes", "--out", str(out)]) == 0
    assert {p.name for p in out.iterdir()} == {"hq.csv", "binary.csv", "guide.json"}
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0].rpartition("/")[2] for line in lines] == [
        "hq.csv", "binary.csv", "guide.json", "binary.csv"
    ]  # fmt: skip
    assert lines[3].split(": ")[1].startswith("20 bytes already there, git blob ")
    assert main(["fetch", "ratings", "--out", str(tmp_path), "--base-url", f"{mirror}/no"]) == 2
    error = capsys.readouterr().err
    assert "404" in error
    assert error.count("\n") == 1
    assert main(["fetch", "weights", "--out", str(out)]) == 2
    with pytest.raises(EmoNetFaceError, match="unknown file 'weights'; known are ratings, votes"):
        next(fetch(["weights"], out))


SLUGS = [c.slug for c in CATEGORIES] + [d.slug for d in DIMENSIONS]
COMMIT = "c" * 40
REPO = "laion/Empathic-Insight-Face-Small"


def put_heads(server, *, slugs=SLUGS, folder="", without_lfs=("anger",)):
    """A Hub repo with head files; those of `without_lfs` are known by their git blob id alone."""
    siblings = [{"rfilename": "README.md", "size": 1, "blobId": "0" * 40}]
    for slug in slugs:
        name = f"{folder}model_{slug}_best.pth"
        data = f"weights of {slug}".encode()
        entry = {"rfilename": name, "size": len(data), "blobId": git_blob(data)}
        if slug not in without_lfs:
            digest = hashlib.sha256(data).hexdigest()
            entry |= {"blobId": "1" * 40, "lfs": {"sha256": digest, "size": len(data),
                                                  "pointerSize": 130}}  # fmt: skip
        siblings.append(entry)
        escaped = name.replace("&", "%26")
        for path in {name, escaped}:
            server.files[f"/{REPO}/resolve/{COMMIT}/{path}"] = data
    info = {"id": REPO, "sha": COMMIT, "siblings": siblings}
    server.files[f"/api/models/{REPO}/revision/main"] = json.dumps(info).encode()


@pytest.fixture
def hub(server, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, server.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    return server


def test_heads_come_at_one_commit_with_the_hashes_of_the_hub(hub, tmp_path):
    put_heads(hub)
    done = list(fetch(["heads-small"], tmp_path))
    folder = tmp_path / "Empathic-Insight-Face-Small"
    assert sorted(p.name for p in folder.iterdir()) == sorted(f"model_{s}_best.pth" for s in SLUGS)
    assert (folder / "model_jealousy_&_envy_best.pth").read_bytes() == b"weights of jealousy_&_envy"
    assert len(done) == 44
    kinds = {line.split("/")[-1].split(":")[0]: " sha256 " in line for line in done}
    assert [name for name, sha256 in kinds.items() if not sha256] == ["model_anger_best.pth"]
    before = len(hub.asked)
    assert all("already there" in line for line in fetch(["heads-small"], tmp_path))
    assert len(hub.asked) == before + 1  # the listing


def test_a_head_with_another_hash_is_not_kept(hub, tmp_path):
    put_heads(hub, folder="heads/")
    hub.files[f"/{REPO}/resolve/{COMMIT}/heads/model_awe_best.pth"] = b"something else!"
    with pytest.raises(EmoNetFaceError, match=r"model_awe_best\.pth: expected sha256"):
        list(fetch(["heads-small"], tmp_path))
    names = {p.name for p in (tmp_path / "Empathic-Insight-Face-Small").iterdir()}
    assert "model_awe_best.pth" not in names
    assert "model_amusement_best.pth" in names
    assert not [name for name in names if name.startswith(".")]


def test_a_repo_without_the_heads_is_refused_before_anything_is_fetched(hub, tmp_path):
    put_heads(hub, slugs=SLUGS[1:])
    with pytest.raises(EmoNetFaceError, match=r"for 1 of the 40 categories, 'Amusement' the first"):
        list(fetch(["heads-small"], tmp_path))
    put_heads(hub, slugs=[*SLUGS, "joy"])
    with pytest.raises(EmoNetFaceError, match=r"model_joy_best\.pth: unknown category"):
        list(fetch(["heads-small"], tmp_path))
    hub.files.clear()
    with pytest.raises(EmoNetFaceError, match=r"cannot be listed: .*404 Not Found"):
        list(fetch(["heads-small"], tmp_path))
    assert not list(tmp_path.iterdir())


def test_offline_is_said_in_one_line(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(EmoNetFaceError, match=r"cannot be listed: Cannot reach .*offline mode"):
        list(fetch(["heads-large"], tmp_path))


def test_the_program_finds_the_hub_by_its_environment(server, tmp_path):
    put_heads(server)
    environment = os.environ | {"HF_ENDPOINT": server.url, "HF_HUB_OFFLINE": "0"}
    command = [sys.executable, "-m", "emonet_face.cli", "fetch", "heads-small", "--out"]
    done = subprocess.run(
        [*command, str(tmp_path)], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 44


def test_addresses_come_from_the_file_alone():
    assert fetching._files("votes", None)[0].url == (
        "https://raw.githubusercontent.com/LAION-AI/emonet-face/"
        "a788945dd78253a9a5ef8f36e72743c6d975d473/data/binary.csv"
    )
