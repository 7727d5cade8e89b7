"""What `publish` would do: file by file against what the Hub holds, repo by repo."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from cards.publishing.hub_access import one_line
from cards.publishing.hub_state import SERVERS_OWN, RemoteRepo, read_repo
from cards.publishing.staged_files import StagedFile, StagedRepo
from emonet_face.errors import EmoNetFaceError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

SHOWN_FILES = 8
"""Files of a repo that are named one by one for each state."""


@dataclass(frozen=True)
class RepoPlan:
    """One repo, here and on the Hub.

    Attributes:
        staged: what is here.
        org: organisation it goes to.
        remote: what is there; None where the repo is new.
        private: whether the repo is to stay private when it is new.
        version: tag of what is published, e.g. "v0.1.0".
    """

    staged: StagedRepo
    org: str
    remote: RemoteRepo | None
    private: bool
    version: str

    @property
    def repo_id(self) -> str:
        return f"{self.org}/{self.staged.name}"

    @property
    def address(self) -> str:
        """Below the Hub's own address, e.g. "datasets/ORG/NAME"."""
        return address(self.staged, self.org)

    @cached_property
    def new(self) -> list[StagedFile]:
        """Files that are not there yet."""
        there = self.remote.files if self.remote else {}
        return [file for file in self.staged.files if file.name not in there]

    @cached_property
    def changed(self) -> list[StagedFile]:
        """Files that are there with other content."""
        there = self.remote.files if self.remote else {}
        shared = (file for file in self.staged.files if file.name in there)
        return [file for file in shared if not there[file.name].equals(file)]

    @cached_property
    def removed(self) -> list[str]:
        """Files that are there and not here; what the server itself put there is not counted."""
        here = {file.name for file in self.staged.files}
        there = self.remote.files if self.remote else {}
        return sorted(there.keys() - here - set(SERVERS_OWN))

    @property
    def is_complete(self) -> bool:
        """Whether main holds exactly what is staged."""
        return self.remote is not None and not (self.new or self.changed or self.removed)

    @property
    def replaces(self) -> bool:
        """Whether something that others may use would change."""
        there = self.remote.files.keys() - set(SERVERS_OWN) if self.remote else set()
        return bool(there) and not self.is_complete

    @property
    def opens(self) -> bool:
        """Whether the repo becomes public: it is new, or an earlier run did not finish it.

        A repo is created private and tagged last. One that has a tag and is private was meant to
        be, and stays so.
        """
        unfinished = self.remote is None or (self.remote.private and not self.remote.tags)
        return unfinished and not self.private

    @property
    def tag_moves(self) -> bool:
        """Whether the version stands on another commit than the one to be published."""
        tags = self.remote.tags if self.remote else {}
        return self.version in tags and not (self.is_complete and self.is_tagged)

    @property
    def is_tagged(self) -> bool:
        """Whether the version stands on what main holds."""
        return self.remote is not None and self.remote.tags.get(self.version) == self.remote.head

    @property
    def is_published(self) -> bool:
        """Whether a finished run has published what main holds now, tag and all."""
        return self.remote is not None and self.remote.head in self.remote.tags.values()

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return self.is_complete and self.is_tagged and not self.opens

    def row(self) -> tuple[object, ...]:
        """Under `PLAN_COLUMNS`."""
        new, changed = self.new, self.changed
        return (
            self.address,
            self.staged.kind,
            len(self.staged.files),
            size_text(self.staged.size),
            len(new),
            len(changed),
            len(self.staged.files) - len(new) - len(changed),
            len(self.removed),
            size_text(sum(file.size for file in (*new, *changed))),
        )

    def steps(self) -> list[str]:
        """What will be done, in plain words."""
        if self.is_done:
            return ["nothing: it is published as it is here"]
        steps = []
        if self.remote is None:
            steps.append("create it, private until all is verified")
        if not self.is_complete:
            n = len(self.new) + len(self.changed) + len(self.removed)
            steps.append(f"one commit of {n} {'file' if n == 1 else 'files'}")
        steps.append("read it back and compare")
        if self.opens:
            steps.append("make it public")
        elif self.remote is None or self.remote.private:
            steps.append("leave it private")
        if self.tag_moves:
            steps.append(f"move the tag {self.version}")
        elif not self.is_tagged:
            steps.append(f"tag {self.version}")
        return steps

    def differences(self) -> Iterator[str]:
        """The files that would not stay as they are, a line each; many are counted."""
        names = {
            "new": [file.name for file in self.new],
            "changed": [file.name for file in self.changed],
            "removed": self.removed,
        }
        for state, found in names.items():
            for name in found[:SHOWN_FILES]:
                yield f"{state:>7}  {name}{self._sizes(name)}"
            if len(found) > SHOWN_FILES:
                yield f"{state:>7}  ... and {len(found) - SHOWN_FILES:,} more"

    def _sizes(self, name: str) -> str:
        here = next((f.size for f in self.staged.files if f.name == name), None)
        there = self.remote.files[name].size if self.remote and name in self.remote.files else None
        sizes = [size_text(size) for size in (there, here) if size is not None]
        return f" ({' -> '.join(sizes)})"


def address(repo: StagedRepo, org: str) -> str:
    """Where a repo stands below the Hub's own address."""
    prefix = "" if repo.repo_type == "model" else f"{repo.repo_type}s/"
    return f"{prefix}{org}/{repo.name}"


PLAN_COLUMNS = (
    "repo", "kind", "files", "size", "new", "changed", "same", "removed", "to send"
)  # fmt: skip


def make_plan(
    api: HfApi, repos: Sequence[StagedRepo], org: str, *, private: bool, version: str
) -> list[RepoPlan]:
    """Compare what is staged with what the Hub holds.

    Raises:
        EmoNetFaceError: the Hub cannot be asked.
    """
    plans = []
    for repo in repos:
        repo_id = f"{org}/{repo.name}"
        with one_line(api, f"reading {address(repo, org)}"):
            remote = read_repo(api, repo.repo_type, repo_id)
        plans.append(RepoPlan(repo, org, remote, private, version))
    return plans


def check_permitted(plans: Sequence[RepoPlan], *, update: bool) -> None:
    """Raise EmoNetFaceError where something published would change without `update`."""
    replaced = [plan for plan in plans if plan.replaces]
    if replaced and not update:
        named = ", ".join(
            f"{plan.address} ({len(plan.new)} new, {len(plan.changed)} changed,"
            f" {len(plan.removed)} removed)"
            for plan in replaced
        )
        raise EmoNetFaceError(
            f"published already with other content: {named}; --update replaces it by one commit"
        )


def size_text(size: int) -> str:
    """Bytes as people read them.

    >>> size_text(999), size_text(12_345), size_text(2_400_000_000)
    ('999 B', '12.3 kB', '2.4 GB')
    """
    value, units = float(size), ["B", "kB", "MB", "GB", "TB"]
    while value >= 999.95 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.0f} B" if units[0] == "B" else f"{value:.1f} {units[0]}"
