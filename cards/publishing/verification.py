"""Everything that must hold before a staged folder may be uploaded, gathered as a list of faults.

Files, secrets and links are looked at here; a dataset goes through `check`; dataset, model and
metric are loaded through the public loaders in a fresh process that cannot import our packages.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cards.publishing.file_rules import file_faults
from cards.publishing.link_rules import link_faults
from cards.publishing.secret_rules import secret_faults
from cards.publishing.staging import StagedRepo
from emonet_face.errors import EmoNetFaceError
from emonet_face.front_matter import read_front_matter

_PLACEHOLDERS = ("[More Information Needed]", "{{", "TODO")


@dataclass(frozen=True)
class Fault:
    """Something that stands in the way of publishing: where, and what is wrong there."""

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


def verify(repos: Sequence[StagedRepo], token: str | None) -> list[Fault]:
    """Everything that is wrong with what is staged; nothing may be uploaded unless it is empty.

    Args:
        repos: all that is to be published.
        token: the one that is used to upload, None without one.
    """
    faults = []
    for repo in repos:
        found = [
            *file_faults(repo),
            *secret_faults(repo, token),
            *_card_faults(repo, {repo.name for repo in repos}),
            *_code_faults(repo),
        ]
        if repo.kind == "dataset":
            found += _dataset_faults(repo)
        faults += [Fault(f"{repo.name}/{where}", message) for where, message in found]
    return faults + ([] if faults else _load_faults(repos))


def _card_faults(repo: StagedRepo, names: set[str]) -> Iterator[tuple[str, str]]:
    try:
        front, body = read_front_matter(repo.folder)
    except EmoNetFaceError as error:
        yield "README.md", str(error).partition(": ")[2]
        return
    if not front.get("license"):
        yield "README.md", "states no license in its front matter"
    if repo.repo_type == "space" and not front.get("sdk"):
        yield "README.md", "states no sdk in its front matter, which a Space needs"
    for placeholder in (*_PLACEHOLDERS, *(f"ORG/{name}" for name in sorted(names))):
        if placeholder in body:
            yield "README.md", f"holds an unfilled placeholder: {placeholder}"
    yield from link_faults(repo)


def _code_faults(repo: StagedRepo) -> Iterator[tuple[str, str]]:
    for file in repo.files:
        if file.path.suffix == ".py":
            try:
                ast.parse(file.path.read_bytes())
            except (SyntaxError, ValueError) as error:
                yield file.name, f"is no Python ({error})"


def _dataset_faults(repo: StagedRepo) -> Iterator[tuple[str, str]]:
    """What `check` calls an error. It writes into the repo it looks at, so it looks at links."""
    from dataset_scripts.check import check

    beside = repo.folder.with_name(f".{repo.name}.check") / repo.name
    try:
        shutil.copytree(repo.folder, beside, copy_function=_link)
        report = check(beside)
    except EmoNetFaceError as error:
        yield "", str(error).replace(f"{beside}", repo.name)
        return
    finally:
        shutil.rmtree(beside.parent, ignore_errors=True)
    for finding in report.findings:
        if finding.severity == "error":
            where = " ".join(filter(None, (finding.config, finding.where)))
            yield where, f"{finding.message} (check: {finding.rule})"


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
            return [Fault("public loaders", f"the fresh process broke off ({tail[0]})")]
        found = json.loads(result.read_text(encoding="utf-8"))
    return [
        Fault(name, f"does not load through the public loader: {said}")
        for name, said in found.items()
        if said is not None
    ]
