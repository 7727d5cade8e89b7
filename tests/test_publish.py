"""`publish` against a small Hub over real HTTP, with the faults that real ones have.

    pytest tests/test_publish.py

Whatever goes wrong, main of a repo is as it was or entirely as staged, nothing unfinished is
public, one line says what happened, and the same command finishes the work.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from hub_server import Fault
from toy_hub import DATASET, METRIC, MODEL, ORG, TOKEN, connected, make_products

from cards.publishing.hub_access import connect, one_line
from cards.publishing.plan import make_plan
from cards.publishing.publish import VERSION, publish
from cards.publishing.staging import staged
from cards.publishing.upload import upload_repo
from emonet_face import EmoNetFaceError
from emonet_face.cli import main

REPOS = {("dataset", f"{ORG}/{DATASET}"), ("model", f"{ORG}/{MODEL}"), ("space", f"{ORG}/{METRIC}")}
DATASET_REPO, MODEL_REPO = ("dataset", f"{ORG}/{DATASET}"), ("model", f"{ORG}/{MODEL}")
WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def products(tmp_path_factory):
    return make_products(tmp_path_factory.mktemp("products"))


@pytest.fixture
def folder(products, tmp_path, monkeypatch):
    """The products, free to be spoilt; faults in them and their cards are other files' matter."""
    monkeypatch.setattr("cards.publishing.staging.render_anew", lambda repo, org: ())
    monkeypatch.setattr("cards.publishing.publish.verify", lambda repos, token: [])
    return shutil.copytree(products, tmp_path / "hub")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with connected(tmp_path / "server", monkeypatch) as hub:
        yield hub


def _contents(folder):
    return {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}


def _is_published(hub, repo, folder, revision="main"):
    """Exactly the files of a folder, with their bytes."""
    wanted = _contents(folder)
    return set(hub.store.files(*repo, revision)) == set(wanted) and all(
        hub.store.read(*repo, name, revision) == path.read_bytes() for name, path in wanted.items()
    )


def _commits(hub, repo):
    return [commit.title for commit in hub.store.repos[repo].history("main")]


def _everything_is_published(hub, folder):
    for repo in REPOS:
        assert _is_published(hub, repo, folder / repo[1].partition("/")[2])
        found = hub.store.repos[repo]
        assert not found.private
        assert found.tags == {VERSION: found.heads["main"]}
        assert _commits(hub, repo) == [f"EmoNet-Face {VERSION}", "initial commit"]
    (collection,) = hub.store.collections.values()
    assert {(item["type"], item["id"]) for item in collection["items"]} == REPOS
    assert not collection["private"]


def _nothing_is_visible(hub):
    """No repo that strangers see, no commit beyond the empty first one, no tag, no collection."""
    for repo, found in hub.store.repos.items():
        assert found.private
        assert _commits(hub, repo) == ["initial commit"]
        assert not found.tags
    assert not hub.store.collections


def _error(*arguments, **options):
    """The one line of a failure; it never holds the token."""
    with pytest.raises(EmoNetFaceError) as raised:
        publish(*arguments, **options)
    text = str(raised.value)
    assert "\n" not in text
    assert TOKEN not in text
    return text


def test_a_dry_run_needs_no_token_and_sends_nothing(folder, hub, monkeypatch, capsys):
    monkeypatch.delenv("HF_TOKEN")
    assert main(["publish", str(folder), "--org", ORG]) == 0
    shown = capsys.readouterr().out
    assert "nothing was sent" in shown
    for name in (DATASET, MODEL, METRIC):
        assert name in shown
    assert hub.log
    assert not hub.writes()


def test_a_dry_run_without_a_hub_says_so_and_shows_the_plan(folder, hub, monkeypatch, capsys):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert publish(folder, ORG) == 0
    shown = capsys.readouterr().out
    reason = "The Hub cannot be reached (HF_HUB_OFFLINE is set); everything is shown as new."
    assert reason in shown.splitlines()
    assert DATASET in shown


def test_why_the_hub_cannot_be_reached_is_said_in_words(folder, hub, monkeypatch, capsys):
    """A name that nothing resolves: the client's error begins with its number."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://no-hub.invalid")
    assert publish(folder, ORG) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "cannot be reached" in line]
    assert re.fullmatch(
        r"The Hub cannot be reached \([A-Z][\w ]+\); everything is shown as new\.", line
    )


def test_upload_then_a_second_run_that_sends_nothing(folder, hub, tmp_path, capfd):
    assert publish(folder, ORG, upload=True) == 0
    _everything_is_published(hub, folder)
    before = hub.writes()
    assert publish(folder, ORG, upload=True) == 0
    assert hub.writes() == before
    assert publish(folder, ORG) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["hub", "server"]
    assert TOKEN not in "".join(capfd.readouterr())
    home = [*tmp_path.rglob("*"), *folder.parent.glob("**/.*")]
    assert not [p for p in home if p.is_file() and TOKEN.encode() in p.read_bytes()]


def test_the_card_names_the_repo_as_strangers_call_it(products, hub, monkeypatch):
    monkeypatch.setattr("cards.publishing.publish.verify", lambda repos, token: [])
    publish(products, ORG, upload=True)
    card = hub.store.read(*DATASET_REPO, "README.md").decode()
    assert f'load_dataset("{ORG}/{DATASET}"' in card
    assert f"{ORG}/{DATASET}" not in (products / DATASET / "README.md").read_text()


def _named(fault):
    return f"{fault.kind} x{fault.times}: {fault.pattern}" if isinstance(fault, Fault) else ""


@pytest.mark.parametrize(
    "fault",
    [
        Fault(r"PUT /lfs/", 500, times=2),
        Fault(r"PUT /lfs/model", "drop", after=300_000, times=2),
        Fault(r"PUT /lfs/dataset", "lost"),
        Fault(r"POST .*/objects/batch", 503),
        Fault(r"POST .*/preupload/", 500),
        Fault(r"POST /api/datasets.*/commit/", 500),
        Fault(r"POST /api/datasets.*/commit/", "drop"),
        Fault(r"POST /api/datasets.*/commit/", "lost"),
        Fault(r"POST /api/models.*/commit/", "lost", times=1),
        Fault(r"GET /datasets/.*/resolve/", "drop", times=1),
    ],
    ids=_named,
)
def test_a_passing_fault_is_got_over_in_the_same_run(fault, folder, hub):
    hub.faults.append(fault)
    assert publish(folder, ORG, upload=True) == 0
    assert fault.times == 0
    _everything_is_published(hub, folder)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault(r"PUT /lfs/dataset", 500, times=99, skip=1), "answers 500"),
        (Fault(r"PUT /lfs/dataset", "drop", times=99, after=9_000, skip=1), "uploading datasets/"),
        (Fault(r"POST /api/repos/create", 500), "answers 500"),
        (Fault(r"POST /api/datasets.*/commit/", 500, times=99), "answers 500"),
        (Fault(r"POST /api/datasets.*/commit/", "drop", times=99, after=50), "uploading datasets/"),
    ],
    ids=_named,
)
def test_a_lasting_fault_leaves_nothing_half_and_the_same_call_goes_on(fault, says, folder, hub):
    hub.faults.append(fault)
    assert says in _error(folder, ORG, upload=True)
    _nothing_is_visible(hub)
    hub.faults.clear()
    large = hub.store.repos[DATASET_REPO].large.copy() if hub.store.repos else set()
    hub.log.clear()
    assert publish(folder, ORG, upload=True) == 0
    _everything_is_published(hub, folder)
    assert not [line for line in hub.log if line.startswith("PUT /lfs") and line[-64:] in large]


def test_a_fault_at_the_second_repo_leaves_the_first_one_private(folder, hub):
    hub.faults.append(Fault(r"POST /api/models.*/commit/", 500, times=99))
    assert "answers 500" in _error(folder, ORG, upload=True)
    assert _is_published(hub, DATASET_REPO, folder / DATASET)
    assert all(repo.private and not repo.tags for repo in hub.store.repos.values())
    hub.faults.clear()
    assert publish(folder, ORG, upload=True) == 0
    _everything_is_published(hub, folder)


@pytest.mark.parametrize("pattern", [r"/settings", r"/tag/", r"POST /api/collections"])
def test_what_comes_after_the_upload_is_caught_up_on(pattern, folder, hub):
    hub.faults.append(Fault(pattern, 500, skip=1))
    assert "answers 500" in _error(folder, ORG, upload=True)
    assert publish(folder, ORG, upload=True) == 0
    _everything_is_published(hub, folder)


def test_other_content_is_replaced_only_with_update_and_the_difference_is_shown(
    folder, hub, capsys
):
    publish(folder, ORG, upload=True)
    first = hub.store.repos[MODEL_REPO].heads["main"]
    (folder / MODEL / "training.json").unlink()
    (folder / MODEL / "notes.md").write_text("new\n")
    weights = folder / MODEL / WEIGHTS
    weights.write_bytes(weights.read_bytes() + b"\0")
    before = hub.writes()
    capsys.readouterr()
    text = _error(folder, ORG, upload=True)
    assert f"{ORG}/{MODEL} (1 new, 1 changed, 1 removed)" in text
    assert "--update" in text
    shown = capsys.readouterr().out
    for line in ("new  notes.md", f"changed  {WEIGHTS}", "removed  training.json"):
        assert line in shown
    assert hub.writes() == before
    assert publish(folder, ORG, upload=True, update=True) == 0
    assert _is_published(hub, MODEL_REPO, folder / MODEL)
    assert len(_commits(hub, MODEL_REPO)) == 3
    assert len(_commits(hub, DATASET_REPO)) == 2
    now = hub.store.repos[MODEL_REPO]
    assert now.tags == {VERSION: now.heads["main"]}
    assert now.heads["main"] != first


def test_a_repo_of_somebody_else_s_making_is_not_replaced_either(folder, hub):
    repo = hub.store.create(hub.store.users[TOKEN], *DATASET_REPO, private=False)
    repo.commit("main", "by hand", {"data.csv": hub.store.put_bytes(b"1,2\n")})
    assert "1 removed" in _error(folder, ORG, upload=True)
    assert set(hub.store.files(*DATASET_REPO)) == {"data.csv"}


def test_a_commit_by_somebody_else_after_the_plan_is_not_overwritten(folder, hub):
    def meanwhile():
        hub.store.repos[DATASET_REPO].commit("main", "theirs", {"a": hub.store.put_bytes(b"a")})

    hub.faults.append(Fault(r"POST /api/datasets.*/commit/", "", then=meanwhile))
    assert "somebody else has committed" in _error(folder, ORG, upload=True)
    assert set(hub.store.files(*DATASET_REPO)) == {"a"}


def test_names_that_are_not_ours(folder, hub):
    text = _error(folder, "nasa", upload=True)
    assert text == f"nasa is not yours: this token belongs to somebody, {ORG}"
    hub.store.users[TOKEN].orgs["reading"] = "read"
    assert "may not write to reading" in _error(folder, "reading", upload=True)
    assert "no name on the Hub" in _error(folder, "a/b", upload=True)
    assert not hub.store.repos


def test_the_hub_has_the_last_word_on_rights(folder, hub):
    """A fine-grained token does not say what it may do: the first writing request is refused."""
    hub.store.users[TOKEN].role = "fineGrained"
    text = _error(folder, ORG, upload=True)
    assert "answers 403" in text
    assert "rights to create" in text
    assert not hub.store.repos


def test_no_token_a_wrong_one_and_one_that_may_only_read(folder, hub, monkeypatch):
    hub.store.users[TOKEN].role = "read"
    assert "may only read" in _error(folder, ORG, upload=True)
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert "401" in _error(folder, ORG, upload=True)
    monkeypatch.delenv("HF_TOKEN")
    assert _error(folder, ORG, upload=True).startswith("no token: --upload needs one")
    assert not hub.writes()


def test_a_file_that_is_written_into_during_the_upload(folder, hub):
    def write():
        with (folder / MODEL / WEIGHTS).open("r+b") as stream:
            stream.seek(1_000_000)
            stream.write(b"other weights")

    hub.faults.append(Fault(r"PUT /lfs/model", "", then=write))
    text = _error(folder, ORG, upload=True)
    assert f"{WEIGHTS}: was changed during the upload" in text
    assert "nothing was committed" in text
    assert _commits(hub, MODEL_REPO) == ["initial commit"]
    assert publish(folder, ORG, upload=True) == 0
    _everything_is_published(hub, folder)


def test_a_file_that_is_replaced_during_the_upload_goes_as_it_was_staged(folder, hub):
    weights = folder / MODEL / WEIGHTS
    was = weights.read_bytes()

    def replace():
        other = weights.with_suffix(".new")
        other.write_bytes(b"other weights")
        os.replace(other, weights)

    hub.faults.append(Fault(r"PUT /lfs/model", "", then=replace))
    assert publish(folder, ORG, upload=True) == 0
    assert hub.store.read(*MODEL_REPO, WEIGHTS) == was


def test_a_staging_folder_that_is_cleared_away(folder, hub):
    def clear():
        for path in folder.parent.glob(".hub.partial-*"):
            shutil.rmtree(path)

    hub.faults.append(Fault(r"PUT /lfs/dataset", "", then=clear))
    text = _error(folder, ORG, upload=True)
    assert "the staging folder was cleared away" in text
    _nothing_is_visible(hub)


def test_what_a_killed_run_left_is_removed_and_the_work_finished(folder, hub, tmp_path):
    """A run is killed while large files are on their way; its folder and its files are found."""
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[3]);"
        "import cards.publishing.publish as p, cards.publishing.upload as u;"
        "import cards.publishing.staging as s;"
        "p.verify = s.render_anew = lambda *_: ();"
        "u._commit = lambda *_: os.kill(os.getpid(), 9);"
        "p.publish(p.Path(sys.argv[1]), sys.argv[2], upload=True)"
    )
    settings = {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}
    killed = subprocess.run(
        [sys.executable, "-c", code, str(folder), ORG, os.getcwd()],
        env=os.environ | settings, check=False, capture_output=True,
    )  # fmt: skip
    assert killed.returncode == -9
    assert list(tmp_path.glob(".hub.partial-*"))
    _nothing_is_visible(hub)
    hub.log.clear()
    assert publish(folder, ORG, upload=True) == 0
    _everything_is_published(hub, folder)
    assert not [line for line in hub.log if line.startswith("PUT /lfs/dataset")]
    assert not list(tmp_path.glob(".hub.partial-*"))


def test_private_repos_stay_private_and_unfinished_ones_become_public(folder, hub):
    publish(folder, ORG, upload=True, private=True)
    assert all(repo.private and repo.tags for repo in hub.store.repos.values())
    assert all(c["private"] for c in hub.store.collections.values())
    before = hub.writes()
    publish(folder, ORG, upload=True)  # they were finished as private ones: left as they are
    assert hub.writes() == before


def test_damage_on_the_way_is_found_before_anything_is_public(folder, hub):
    """What comes back is compared, not only what the Hub says of it; by a later run as well."""

    def damage():
        entry = hub.store.files(*MODEL_REPO)[WEIGHTS]
        path = hub.store.path(entry.oid)
        path.write_bytes(bytes(path.stat().st_size))

    def unfinished():
        return all(repo.private and not repo.tags for repo in hub.store.repos.values())

    hub.faults.append(Fault(r"GET .*/resolve/.*safetensors", "", then=damage))
    text = _error(folder, ORG, upload=True)
    assert f"{WEIGHTS} came back with sha256" in text
    assert unfinished()
    assert f"{WEIGHTS} came back with sha256" in _error(folder, ORG, upload=True)
    assert unfinished()
    stored = hub.store.path(hub.store.files(*MODEL_REPO)[WEIGHTS].oid)
    stored.write_bytes((folder / MODEL / WEIGHTS).read_bytes())
    publish(folder, ORG, upload=True)
    _everything_is_published(hub, folder)


def test_a_large_change_goes_through_a_pull_request_that_is_found_again(folder, hub):
    def run():
        api = connect()
        with staged(folder, ORG) as repos:
            (plan,) = make_plan(
                api, [r for r in repos if r.name == METRIC], ORG, private=False, version=VERSION
            )
            return upload_repo(api, plan, commit_files=4)

    repo = ("space", f"{ORG}/{METRIC}")
    hub.faults.append(Fault(r"POST .*/commit/refs/pr/1", 500, skip=2, times=99))
    with pytest.raises(EmoNetFaceError, match="answers 500"):
        run()
    _nothing_is_visible(hub)
    assert len(hub.store.files(*repo, "refs/pr/1")) == 8
    hub.faults.clear()
    hub.log.clear()
    run()
    assert _is_published(hub, repo, folder / METRIC)
    assert len(_commits(hub, repo)) == 2  # one merge, on the first commit
    assert sum("/commit/" in line for line in hub.log) == 2  # 14 files by fours, 8 were there
    assert list(hub.store.repos[repo].discussions) == [1]


def test_a_card_that_the_hub_refuses(folder, hub):
    hub.faults.append(Fault(r"POST /api/validate-yaml", 400))
    text = _error(folder, ORG, upload=True)
    assert "README.md" in text
    _nothing_is_visible(hub)


def test_no_hub_there(folder, hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    text = _error(folder, ORG, upload=True)
    assert "asking http://127.0.0.1:9 whose token this is" in text


def test_a_network_that_answers_with_a_page_of_its_own(folder, monkeypatch):
    """The sign-in page of a hotel, say: 200, and HTML."""

    class Portal(BaseHTTPRequestHandler):
        def do_GET(self):
            page = b"<html>Sign in</html>"
            self.send_response(200)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Portal)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        assert "is no Hub: its answer is no JSON" in _error(folder, ORG, upload=True)
    finally:
        server.shutdown()
        server.server_close()


def test_a_token_in_an_answer_is_not_shown(hub):
    with pytest.raises(EmoNetFaceError) as raised, one_line(connect(), "asking"):
        raise RuntimeError(f"the server says: {TOKEN}")
    assert TOKEN not in str(raised.value)
    assert "***" in str(raised.value)


def test_a_space_goes_last(folder, hub):
    from modeling_empathicinsight.space_staging import stage_space

    stage_space(folder / "a-page", f"{ORG}/{MODEL}")
    assert publish(folder, ORG, upload=True) == 0
    created = [line for line in hub.log if re.search("POST .*/commit/", line)]
    assert "a-page" in created[-1]
    assert hub.store.repos["space", f"{ORG}/a-page"].sdk == "gradio"
