"""What `publish` looks at before anything is sent: staging and the faults of each product.

pytest tests/test_publish_checks.py
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest
from toy_hub import DATASET, METRIC, MODEL, ORG, make_products

from cards.publishing import staging
from cards.publishing.link_rules import link_faults
from cards.publishing.own_text import render_anew
from cards.publishing.staged_files import StagedFile, StagedRepo
from cards.publishing.staging import SMALL_BYTES, staged
from cards.publishing.verification import left_for_later, verify
from cards.render import render_card
from emonet_face import EmoNetFaceError
from emonet_face.cli import main

WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def products(tmp_path_factory):
    """With the cards as they are staged: rendered for the organisation."""
    hub = make_products(tmp_path_factory.mktemp("products"))
    for repo in hub.iterdir():
        render_card(repo, ORG)
    return hub


@pytest.fixture
def folder(products, tmp_path, monkeypatch):
    monkeypatch.setattr(staging, "render_anew", lambda repo, org: ())
    return shutil.copytree(products, tmp_path / "hub")


@pytest.fixture
def without_loads(monkeypatch):
    monkeypatch.setattr("cards.publishing.verification._load_faults", lambda repos: [])


@pytest.fixture
def without_check(monkeypatch):
    """`check` reads every row and picture: left out where the fault is not in the data."""
    monkeypatch.setattr("cards.publishing.verification._dataset_faults", lambda repo: [])


def _faults(folder, token=None):
    with staged(folder, ORG) as repos:
        return [str(fault) for fault in verify(repos, token)]


def test_large_files_are_not_copied_and_small_ones_are(folder):
    with staged(folder, ORG) as repos:
        for repo in repos:
            for file in repo.files:
                source = folder / repo.name / file.name
                assert file.path.samefile(source) == (file.size > SMALL_BYTES)
                assert file.path.read_bytes() == source.read_bytes()
        assert [repo.kind for repo in repos] == ["dataset", "model", "metric"]
        assert any(file.size > SMALL_BYTES for repo in repos for file in repo.files)
    assert [p.name for p in folder.parent.iterdir()] == ["hub"]


def test_without_hard_links_the_files_themselves_are_read(folder, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr(os, "link", refuse)
    with staged(folder, ORG) as repos:
        (weights,) = [f for repo in repos for f in repo.files if f.name == WEIGHTS]
        assert weights.path.is_symlink()
        assert weights.path.samefile(folder / MODEL / WEIGHTS)
    assert (folder / MODEL / WEIGHTS).exists()


def test_what_lies_beside_the_folders_is_named_and_left_out(
    folder, without_loads, without_check, capsys
):
    (folder / f"{DATASET}.rejects-hq.jsonl").write_text("{}\n")
    assert main(["publish", str(folder), "--org", ORG]) == 0
    assert f"left out: {DATASET}.rejects-hq.jsonl" in capsys.readouterr().out


def test_links_and_devices_are_refused(folder, without_loads, without_check):
    (folder / MODEL / "weights").symlink_to("/etc/passwd")
    os.mkfifo(folder / MODEL / "pipe")
    (folder / "other").symlink_to(folder / MODEL)
    assert _faults(folder) == [
        f"{MODEL}/pipe: is no regular file and cannot be published",
        f"{MODEL}/weights: is a symbolic link; put the file itself there",
        "other: is a symbolic link; publish uploads real folders only",
    ]


def test_what_may_not_be_read_is_a_fault(folder, monkeypatch, without_loads, without_check):
    def refuse(original, place):
        if original.name == "ranks.py":
            raise PermissionError(errno.EACCES, "Permission denied", f"{original}")
        shutil.copyfile(original, place)

    monkeypatch.setattr(staging, "_put", refuse)
    assert _faults(folder) == [f"{METRIC}/ranks.py: cannot be read (Permission denied)"]


def test_a_broken_card_or_config_does_not_hide_what_else_is_wrong(
    folder, monkeypatch, without_loads
):
    monkeypatch.setattr(staging, "render_anew", render_anew)
    for name in (MODEL, DATASET):
        (folder / name / "notes.docx").write_text("x")
        (folder / name / "README.md").write_text("---\n- a\n---\n# T\n")
    (folder / MODEL / "config.json").write_text("{")
    with staged(folder, ORG) as repos:
        faults = verify(repos, None)
        left = left_for_later(repos, faults)
    assert [str(fault).partition(" (")[0] for fault in faults] == [
        f"{DATASET}/README.md: the front matter is a list, not a mapping",
        f"{DATASET}/notes.docx: is no part of a dataset",
        f"{MODEL}/README.md: the front matter is a list, not a mapping",
        f"{MODEL}/config.json: is no JSON",
        f"{MODEL}/notes.docx: is no part of a model",
    ]
    assert left == [
        f"the card of {DATASET}",
        f"the card of {MODEL}",
        f"the rows of {DATASET}",
        f"loading {DATASET}, {MODEL} through the public loaders",
    ]


def test_folders_that_are_nothing_to_publish(tmp_path):
    with pytest.raises(EmoNetFaceError, match="no such folder"), staged(tmp_path / "no", ORG):
        pass
    with pytest.raises(EmoNetFaceError, match="holds no folders"), staged(tmp_path, ORG):
        pass
    (tmp_path / "x").mkdir()
    (fault,) = _faults(tmp_path)
    assert fault.startswith("x: is no product folder: neither a dataset")


def test_a_product_given_in_place_of_its_folder(folder):
    with pytest.raises(EmoNetFaceError, match="is a product itself"), staged(folder / MODEL, ORG):
        pass


@pytest.mark.parametrize("name", ["my model", "a--b", "a..b", "-a", "a.", "x" * 97, "a.git", "ä"])
def test_names_that_the_hub_refuses(name, folder, without_loads, without_check):
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    (folder / MODEL).rename(folder / name)
    (fault,) = _faults(folder)
    assert fault.startswith(f"{name}: {name!r} is no name on the Hub")
    if name not in ("-a", "ä"):  # those the client lets pass, and the Hub does not
        with pytest.raises(HFValidationError):
            validate_repo_id(f"{ORG}/{name}")
    assert main(["card", str(folder / DATASET), "--org", name]) == 2


def _append(path, text):
    path.write_text(path.read_text() + text)


SPOILT = {
    "stray": lambda hub: (hub / DATASET / "notes.docx").write_text("x"),
    "pickled weights": lambda hub: (hub / MODEL / "model.pth").write_text("x"),
    "compiled": lambda hub: _write(hub / METRIC / "__pycache__" / "a.cpython-311.pyc", "x"),
    "hidden": lambda hub: (hub / MODEL / ".env").write_text("x"),
    "hidden folder": lambda hub: _write(hub / METRIC / ".git" / "config.txt", "x"),
    "empty": lambda hub: (hub / MODEL / "preprocessor_config.json").write_text(""),
    "no card": lambda hub: (hub / MODEL / "README.md").unlink(),
    "no python": lambda hub: _append(hub / METRIC / "ranks.py", "\ndef f(:\n"),
    "no sibling": lambda hub: (hub / METRIC / "kappas.py").unlink(),
    "no json": lambda hub: (hub / MODEL / "training.json").write_text("{"),
    "file link": lambda hub: _append(hub / MODEL / "README.md", "\n[see](missing/file.md)\n"),
    "picture": lambda hub: _append(hub / MODEL / "README.md", '\n<img src="none.png">\n'),
    "heading": lambda hub: _append(hub / METRIC / "README.md", "\n[up](#no-such-heading)\n"),
    "placeholder": lambda hub: _append(hub / MODEL / "README.md", "\n[More Information Needed]\n"),
    "organisation": lambda hub: _append(hub / MODEL / "README.md", f"\n`ORG/{MODEL}`\n"),
    "license": lambda hub: (hub / MODEL / "README.md").write_text("---\ntags: []\n---\n# T\n"),
}
SAYS = {
    "stray": f"{DATASET}/notes.docx: is no part of a dataset",
    "pickled weights": f"{MODEL}/model.pth: is no part of a model",
    "compiled": f"{METRIC}/__pycache__/a.cpython-311.pyc: is no part of a metric",
    "hidden": f"{MODEL}/.env: is a hidden file",
    "hidden folder": f"{METRIC}/.git/config.txt: lies in a hidden folder",
    "empty": f"{MODEL}/preprocessor_config.json: is empty",
    "no card": f"{MODEL}/README.md: is missing",
    "no python": f"{METRIC}/ranks.py: is no Python",
    "no sibling": f"{METRIC}/kappas.py: is missing; imported by agreement.py, calibration.py, ",
    "no json": f"{MODEL}/training.json: is no JSON",
    "file link": f"{MODEL}/README.md: links to missing/file.md, which is not in the repo",
    "picture": f"{MODEL}/README.md: links to none.png",
    "heading": f"{METRIC}/README.md: links to #no-such-heading, a heading",
    "placeholder": f"{MODEL}/README.md: holds an unfilled placeholder",
    "organisation": f"{MODEL}/README.md: holds an unfilled placeholder: ORG/{MODEL}",
    "license": f"{MODEL}/README.md: states no license",
}


def _write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("name", SPOILT)
def test_each_fault_is_named_with_its_place(name, folder, without_loads, without_check):
    SPOILT[name](folder)
    found = _faults(folder)
    assert any(SAYS[name] in fault for fault in found), found


def test_what_check_calls_an_error_is_a_fault(folder, without_loads):
    (folder / DATASET / "hq" / "test-00000-of-00001.parquet").write_bytes(b"PAR")
    assert any("(check: unreadable_shard)" in fault for fault in _faults(folder))


def test_what_train_leaves_in_a_model_repo_is_published(folder, without_loads, without_check):
    for name in ("curves.csv", "curves.png", "validation.csv"):
        _write(folder / MODEL / "training" / name, "x")
    assert _faults(folder) == []
    _write(folder / MODEL / "people.csv", "x")
    (fault,) = _faults(folder)
    assert fault.startswith(f"{MODEL}/people.csv: is no part of a model")


def test_sound_products_have_no_faults_and_check_leaves_nothing_in_them(folder, without_loads):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert _faults(folder) == []
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_all_faults_of_all_folders_are_found_in_one_run(folder, monkeypatch, capsys):
    """Secrets first; what the faults hide is named, what they do not hide is loaded."""
    (shard,) = (folder / DATASET / "hq").glob("*.parquet")
    shard.write_bytes(shard.read_bytes()[:500])
    (folder / "aside").mkdir()
    (folder / "aside" / ".env").write_text(f"HF_TOKEN={SECRETS['a Hugging Face token']}\n")
    (folder / MODEL / ".env").write_text(f"KEY={SECRETS['an AWS key']}\n")
    _append(folder / MODEL / "modeling_empathicinsight.py", "\ndef f(:\n")
    monkeypatch.setattr(staging, "render_anew", render_anew)
    loaded = []
    monkeypatch.setattr(
        "cards.publishing.verification._load_faults",
        lambda repos: loaded.extend(repo.name for repo in repos) or [],
    )
    assert main(["publish", str(folder), "--org", ORG]) == 1
    lines = capsys.readouterr().out.splitlines()[1:]
    wanted = [
        f"  {MODEL}/.env:1: holds an AWS key",
        "  aside/.env:1: holds a Hugging Face token",
        f"  {DATASET}/hq/{shard.name}: cannot be read",
        f"  {DATASET}/README.md: hq: description is",
        f"  {MODEL}/modeling_empathicinsight.py: is no Python",
        f"  {MODEL}/.env: is a hidden file",
        "  aside: is no product folder",
        f"Not looked at before these are gone: the card of {DATASET}; what else aside holds;"
        f" loading {DATASET}, {MODEL} through the public loaders",
        "7 faults: nothing is uploaded",
    ]
    assert len(lines) == len(wanted), lines
    assert all(map(str.startswith, lines, wanted)), lines
    assert loaded == [METRIC]


@pytest.mark.slow
def test_a_sound_folder_is_loaded_beside_one_with_faults(folder, without_check, monkeypatch):
    monkeypatch.setattr("cards.publishing.staged_loads.LOADS", {"metric": None})
    (folder / MODEL / "notes.docx").write_text("x")
    script = folder / METRIC / f"{METRIC}.py"
    _append(script, "\nimport emonet_face\n")
    stray, metric = _faults(folder)
    assert stray.startswith(f"{MODEL}/notes.docx")
    assert metric.startswith(f"{METRIC}: does not load through the public loader")


SECRETS = {
    "a Hugging Face token": "hf_" + "aBcDeFgHiJ" * 3 + "KlMn",
    "an API key": "sk-proj-" + "Ab1" * 12,
    "an AWS key": "AKIA" + "ABCDEFGH" * 2,
    "an AWS secret": "aws_secret_access_key = " + "aB3/" * 10,
    "a GitHub token": "ghp_" + "a1B2" * 9,
    "a Google key": "AIza" + "abcde" * 7,
    "a Slack token": "xoxb-123456789012",
    "a private key": "-----BEGIN OPENSSH PRIVATE KEY-----",
    "a password in an address": "https://me:pass@host.example",
}


@pytest.mark.parametrize("what", SECRETS)
def test_secrets_are_found_by_their_form_and_not_repeated(
    what, folder, without_loads, without_check
):
    _append(folder / MODEL / "README.md", f"\nfirst\n{SECRETS[what]}\n")
    (fault,) = _faults(folder)
    line = (folder / MODEL / "README.md").read_text().count("\n")
    assert fault.startswith(f"{MODEL}/README.md:{line}: holds {what} (")
    assert SECRETS[what][:8] not in fault or what == "a private key"


def test_the_token_in_use_is_a_secret_whatever_its_form(folder, without_loads, without_check):
    _append(folder / METRIC / "requirements.txt", "\n# plainword-token\n")
    (fault,) = _faults(folder, token="plainword-token")
    assert "the token that you upload with" in fault
    assert "plainword-token" not in fault


def _said(folder, monkeypatch):
    """repo -> what is said of the text that its folder has."""
    monkeypatch.setattr(staging, "render_anew", render_anew)
    with staged(folder, ORG) as repos:
        cards = {repo.name: (repo.folder / "README.md").read_text() for repo in repos}
        return {repo.name: list(repo.replaced) for repo in repos}, cards


@pytest.mark.parametrize("org", [None, ORG])
def test_of_a_card_as_it_was_rendered_nothing_is_lost(org, folder, monkeypatch):
    for repo in folder.iterdir():
        render_card(repo, org)
    assert _said(folder, monkeypatch)[0] == {DATASET: [], MODEL: [], METRIC: []}


@pytest.mark.parametrize("org", [None, ORG])
def test_own_text_that_is_not_published_is_counted(org, folder, monkeypatch):
    """An added paragraph, a changed value, a heading taken out."""
    for repo in folder.iterdir():
        render_card(repo, org)
    _append(folder / DATASET / "README.md", "\n## Ours\n\nOne line.\nAnother.\n")
    card = folder / MODEL / "README.md"
    card.write_text(card.read_text().replace("license: ", "license: my-", 1))
    _append(folder / DATASET / "eval.yaml", "# ours\n")
    card = folder / METRIC / "README.md"
    lines = card.read_text().splitlines(keepends=True)
    place = next(i for i, line in enumerate(lines) if line.startswith("## "))
    card.write_text("".join(lines[:place] + lines[place + 1 :]))
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    said, cards = _said(folder, monkeypatch)
    assert said == {
        DATASET: [
            f"{DATASET}/eval.yaml is rendered anew; 1 line of the folder's own is not published",
            f"{DATASET}/README.md is rendered anew; 3 lines of the folder's own are not published",
        ],
        MODEL: [f"{MODEL}/README.md is rendered anew; 1 line of the folder's own is not published"],
        METRIC: [
            f"{METRIC}/README.md is rendered anew; 1 line that the folder's lacks is published",
        ],
    }
    assert "One line." not in cards[DATASET]
    assert {path: path.read_bytes() for path in before} == before


def test_the_plan_says_what_own_text_is_not_published(
    folder, monkeypatch, without_loads, without_check, capsys
):
    _append(folder / MODEL / "README.md", "\nOurs.\n")
    monkeypatch.setattr(staging, "render_anew", render_anew)
    assert main(["publish", str(folder), "--org", ORG]) == 0
    shown = capsys.readouterr().out
    line = f"  {MODEL}/README.md is rendered anew; 1 line of the folder's own is not published\n"
    assert shown.count("is rendered anew") == shown.count(line) == 1


def test_links_that_lead_somewhere(tmp_path):
    """Files, folders, headings and other sites; code shows links that are none."""
    (tmp_path / "README.md").write_text(
        "---\nlicense: mit\n---\n# Title & more: `x`\n[a](hq/a.parquet) [b](hq) ![c](./card.png)\n"
        "[d](#title--more-x) [e](https://example.org/x) `[f](none)`\n```\n[g](none)\n# No\n```\n"
        '[h]: LICENSE\n[i](<with space.md> "title") [j](#no)\n',
        encoding="utf-8",
    )
    files = [
        StagedFile(name, Path(name), 1, (), "")
        for name in ("README.md", "hq/a.parquet", "card.png", "LICENSE")
    ]
    repo = StagedRepo("x", "dataset", tmp_path, tuple(files))
    assert [message for _, message in link_faults(repo)] == [
        "links to with space.md, which is not in the repo",
        "links to #no, a heading that it does not have",
    ]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_products_that_do_not_load_in_a_fresh_process(folder):
    """Weights that lack a tensor, a metric that needs our core, rows that are not there."""
    from safetensors.numpy import load_file, save_file

    assert _faults(folder) == []
    tensors = load_file(folder / MODEL / WEIGHTS)
    tensors.pop(sorted(tensors)[0])
    save_file(tensors, folder / MODEL / WEIGHTS, metadata={"format": "pt"})
    script = folder / METRIC / f"{METRIC}.py"
    script.write_text(
        script.read_text().replace("import evaluate\n", "import evaluate\nimport emonet_face\n", 1)
    )
    model, metric = _faults(folder)
    assert model.startswith(f"{MODEL}: does not load through the public loader")
    assert metric.startswith(f"{METRIC}: does not load through the public loader")
    assert "emonet_face" in metric
