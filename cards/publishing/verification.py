"""Everything that must hold before a staged folder may be uploaded, gathered as a list of faults.

Files, secrets, code and links are looked at here; a dataset goes through `check`; what has no fault
so far is loaded through the public loaders in a fresh process that cannot import our packages.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cards.publishing.code_rules import code_faults
from cards.publishing.file_rules import file_faults
from cards.publishing.link_rules import link_faults
from cards.publishing.secret_rules import secret_faults
from cards.publishing.staged_files import StagedRepo, placed
from emonet_face.errors import EmoNetFaceError
from emonet_face.front_matter import README, read_front_matter

_PLACEHOLDERS = ("[More Information Needed]", "{{", "TODO")


@dataclass(frozen=True)
class Fault:
    """Something that stands in the way of publishing.

    Attributes:
        repo: name of the folder.
        place: in it; "" where it is all of it.
        message: what is wrong there.
    """

    repo: str
    place: str
    message: str

    def __str__(self) -> str:
        return f"{'/'.join(filter(None, (self.repo, self.place)))}: {self.message}"


def verify(repos: Sequence[StagedRepo], token: str | None) -> list[Fault]:
    """Everything that is wrong with what is staged; nothing may be uploaded unless it is empty.

    Args:
        repos: all that is to be published.
        token: the one that is used to upload, None without one.

    Returns:
        Secrets first, then the other faults, repo by repo.
    """
    names = {repo.name for repo in repos}
    secrets = [_named(repo, secret_faults(repo, token)) for repo in repos]
    others = [_named(repo, _faults_of(repo, names)) for repo in repos]
    faults = [fault for found in (*secrets, *others) for fault in found]
    return faults + _load_faults(_without(faults, repos))


def left_for_later(repos: Sequence[StagedRepo], faults: Sequence[Fault]) -> list[str]:
    """What `verify` could not look at because of the faults it found, in words."""
    from cards.publishing.staged_loads import LOADS

    sound = _without(faults, repos)
    left = [
        f"the card of {repo.name}" if repo.kind else f"what else {repo.name} holds"
        for repo in repos
        if not repo.has_card
    ]
    left += [
        f"the rows of {repo.name}"
        for repo in repos
        if repo.kind == "dataset" and README in dict(repo.faults)
    ]
    unloaded = [repo.name for repo in repos if repo.kind in LOADS and repo not in sound]
    if unloaded:
        left.append(f"loading {', '.join(unloaded)} through the public loaders")
    return left


def _without(faults: Sequence[Fault], repos: Sequence[StagedRepo]) -> list[StagedRepo]:
    """The repos that have none of the faults."""
    faulty = {fault.repo for fault in faults}
    return [repo for repo in repos if repo.name not in faulty]


def _named(repo: StagedRepo, found: Iterable[tuple[str, str]]) -> list[Fault]:
    return [Fault(repo.name, place, message) for place, message in found]


def _faults_of(repo: StagedRepo, names: set[str]) -> Iterator[tuple[str, str]]:
    """All faults but secrets; of a file that could not be staged or used, only that."""
    yield from repo.faults
    told = {place for place, _ in repo.faults if place}
    found = list(code_faults(repo))
    if repo.kind:
        found += file_faults(repo)
    if repo.has_card:
        found += _card_faults(repo, names)
    if repo.kind == "dataset":
        found += _dataset_faults(repo)
    yield from (fault for fault in found if fault[0] not in told)


def _card_faults(repo: StagedRepo, names: set[str]) -> Iterator[tuple[str, str]]:
    try:
        front, body = read_front_matter(repo.folder)
    except EmoNetFaceError as error:
        yield placed(str(error), repo.folder)
        return
    if not front.get("license"):
        yield README, "states no license in its front matter"
    if repo.repo_type == "space" and not front.get("sdk"):
        yield README, "states no sdk in its front matter, which a Space needs"
    for placeholder in (*_PLACEHOLDERS, *(f"ORG/{name}" for name in sorted(names))):
        if placeholder in body:
            yield README, f"holds an unfilled placeholder: {placeholder}"
    yield from link_faults(repo)


def _dataset_faults(repo: StagedRepo) -> Iterator[tuple[str, str]]:
    """What `check` calls an error. It writes into the repo it looks at, so it looks at links."""
    from dataset_scripts.check import check

    beside = repo.folder.with_name(f".{repo.name}.check") / repo.name
    try:
        shutil.copytree(repo.folder, beside, copy_function=_link)
        report = check(beside)
    except EmoNetFaceError as error:
        yield placed(str(error), beside)
        return
    finally:
        shutil.rmtree(beside.parent, ignore_errors=True)
    for finding in report.findings:
        if finding.severity == "error":
            where = finding.where or finding.config
            config = "" if where.startswith(finding.config) else f"{finding.config}: "
            yield where, f"{config}{finding.message} (check: {finding.rule})"


def _link(source: str, place: str) -> None:
    try:
        os.link(source, place)
    except OSError:
        os.symlink(os.path.realpath(source), place)


def _load_faults(repos: Sequence[StagedRepo]) -> list[Fault]:
    """What the public loaders say, in a fresh process."""
    from cards.publishing import staged_loads
    from emonet_face import public_loads

    tasks = [(repo.kind, repo.name) for repo in repos if repo.kind in staged_loads.LOADS]
    if not tasks:
        return []
    with tempfile.TemporaryDirectory(prefix="emonet-face-loads-") as home:
        plan, result = Path(home, "tasks.json"), Path(home, "loaded.json")
        plan.write_text(json.dumps(tasks), encoding="utf-8")
        scripts = [staged_loads.__file__, public_loads.__file__]
        offline = {
            "HF_HOME": home,
            "HF_HUB_OFFLINE": "1",
            "HF_EVALUATE_OFFLINE": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "TRANSFORMERS_VERBOSITY": "error",
        }
        kept = {k: v for k, v in os.environ.items() if k not in ("HF_TOKEN", "HF_DATASETS_CACHE")}
        done = subprocess.run(
            [sys.executable, "-I", *scripts, str(plan), str(result)],
            cwd=repos[0].folder.parent, env=kept | offline, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        if not result.is_file():
            tail = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
            return [Fault("public loaders", "", f"the fresh process broke off ({tail[0]})")]
        found = json.loads(result.read_text(encoding="utf-8"))
    return [
        Fault(name, "", f"does not load through the public loader: {said}")
        for name, said in found.items()
        if said is not None
    ]
