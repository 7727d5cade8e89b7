"""What the tests' Hub keeps: repos with commits, branches and tags, objects on disk, collections.

Nothing here knows of HTTP. A commit is a whole tree, so a reader never sees half of one; an object
belongs to a repo before any commit names it, which is what makes uploads resumable.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from pathlib import Path

import yaml

LFS_SUFFIXES = (".parquet", ".safetensors", ".onnx", ".bin", ".png", ".jpg", ".arrow")
LFS_BYTES = 10 * 1024 * 1024
GITATTRIBUTES = "".join(f"*{s} filter=lfs diff=lfs merge=lfs -text\n" for s in LFS_SUFFIXES)
MAIN = "main"
REQUIRED_SDKS = ("gradio", "docker", "static")


class Refused(Exception):
    """An answer other than 200: its status, what it says, its X-Error-Code, headers, more keys."""

    def __init__(self, status, message, code=None, headers=None, **more):
        super().__init__(message)
        self.status, self.message, self.code = status, message, code
        self.headers, self.more = headers or {}, more


@dataclass(frozen=True)
class Entry:
    """A file of a commit: `oid` is the git id of a regular file, the sha256 of a large one."""

    oid: str
    size: int
    lfs: bool


@dataclass
class Commit:
    oid: str
    parent: str | None
    title: str
    tree: dict[str, Entry]


@dataclass
class Repo:
    """One repo: heads, tags and pull requests are names of commits."""

    type: str
    id: str
    private: bool
    sdk: str | None = None
    commits: dict[str, Commit] = field(default_factory=dict)
    heads: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    discussions: dict[int, dict] = field(default_factory=dict)
    large: set[str] = field(default_factory=set)

    def commit(self, head, title, tree):
        parent = self.heads.get(head)
        text = f"{self.type} {self.id} {parent} {title} {sorted(tree.items())}"
        oid = hashlib.sha1(text.encode()).hexdigest()
        self.commits[oid] = Commit(oid, parent, title, dict(tree))
        self.heads[head] = oid
        return oid

    def find(self, revision):
        """The commit a branch, tag, pull request or id stands for."""
        oid = self.heads.get(revision) or self.tags.get(revision) or revision
        if oid not in self.commits:
            raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return self.commits[oid]

    def history(self, revision):
        commit = self.find(revision)
        while commit is not None:
            yield commit
            commit = self.commits.get(commit.parent)


@dataclass
class User:
    """Who a token belongs to: `role` is "read" or "write", `orgs` those it may write to."""

    name: str
    role: str = "write"
    orgs: dict[str, str] = field(default_factory=dict)

    def can_write(self, namespace):
        return self.role == "write" and (
            namespace == self.name or self.orgs.get(namespace) in ("admin", "write", "contributor")
        )

    def can_read(self, namespace):
        return namespace == self.name or namespace in self.orgs


class Store:
    """All the state. `lock` is held while something changes."""

    def __init__(self, root):
        self.root = Path(root)
        self.root.mkdir(parents=True, exist_ok=True)
        self.lock = threading.RLock()
        self.users: dict[str, User] = {}
        self.repos: dict[tuple[str, str], Repo] = {}
        self.collections: dict[str, dict] = {}

    # Objects

    def path(self, oid):
        return self.root / oid[:2] / oid

    def put_bytes(self, data):
        oid = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
        path = self.path(oid)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return Entry(oid, len(data), lfs=False)

    def read(self, repo_type, repo_id, path, revision=MAIN):
        """The bytes of a file, for tests."""
        return self.path(self.repos[repo_type, repo_id].find(revision).tree[path].oid).read_bytes()

    def files(self, repo_type, repo_id, revision=MAIN):
        """The files people see, for tests: path -> entry; without what creating a repo makes."""
        tree = self.repos[repo_type, repo_id].find(revision).tree
        return {path: entry for path, entry in tree.items() if path != ".gitattributes"}

    # Repos

    def create(self, user, repo_type, repo_id, private, sdk=None):
        namespace = repo_id.partition("/")[0]
        if not user.can_write(namespace):
            message = (
                f"You don't have the rights to create a {repo_type} under the namespace \""
                f'{namespace}"'
            )
            raise Refused(403, message)
        if repo_type == "space" and sdk not in REQUIRED_SDKS:
            raise Refused(400, "a Space needs an sdk")
        if (repo_type, repo_id) in self.repos:
            raise Refused(409, "You already created this repo", url=repo_id)
        repo = Repo(repo_type, repo_id, private, sdk)
        repo.commit(
            MAIN, "initial commit", {".gitattributes": self.put_bytes(GITATTRIBUTES.encode())}
        )
        self.repos[repo_type, repo_id] = repo
        return repo

    def repo(self, repo_type, repo_id, user, *, write=False):
        """A repo as somebody may use it; one they may not see does not exist for them."""
        namespace = repo_id.partition("/")[0]
        repo = self.repos.get((repo_type, repo_id))
        hidden = repo is None or (
            repo.private and not (user is not None and user.can_read(namespace))
        )
        if hidden and user is None:
            raise Refused(401, "Invalid username or password.", "RepoNotFound")
        if hidden:
            raise Refused(404, "Repository not found", "RepoNotFound")
        if write and (user is None or not user.can_write(namespace)):
            raise Refused(403, "you need write access to this repo")
        return repo

    def mode(self, path, sample, size):
        large = size >= LFS_BYTES or path.endswith(LFS_SUFFIXES) or b"\0" in sample
        return "lfs" if large and size else "regular"

    def apply(self, repo, head, header, operations):
        """One commit from the lines of a commit request: all of it or nothing."""
        if head not in repo.heads:
            raise Refused(404, f"Invalid rev id: {head}", "RevisionNotFound")
        parent = header.get("parentCommit")
        if parent is not None and parent != repo.heads[head]:
            message = "A commit has happened since. Please refresh and try again."
            raise Refused(412, message)
        tree = dict(repo.find(head).tree)
        for key, value in operations:
            path = value["path"]
            if key == "file":
                tree[path] = self.put_bytes(value["content"])
            elif key == "lfsFile":
                if value["oid"] not in repo.large:
                    raise Refused(400, f"LFS pointer pointed to a file that does not exist: {path}")
                size = self.path(value["oid"]).stat().st_size
                tree[path] = Entry(value["oid"], size, lfs=True)
            elif key == "deletedFile":
                if tree.pop(path, None) is None:
                    message = f"A file with this name doesn't exist: {path}"
                    raise Refused(404, message, "EntryNotFound")
            else:
                raise Refused(400, f"unknown operation {key}")
        readme = tree.get("README.md")
        if readme is not None:
            text = self.path(readme.oid).read_text(encoding="utf-8")
            if faults := front_matter_faults(text):
                raise Refused(400, faults[0])
        return repo.commit(head, header["summary"], tree)


def front_matter_of(text):
    """The front matter of a card; {} where it has none or a broken one."""
    return {} if front_matter_faults(text) else _front_matter(text)


def _front_matter(text):
    return yaml.safe_load(text.split("\n---", 1)[0][4:]) if text.startswith("---\n") else {}


def front_matter_faults(text):
    """What the validator says of a card, by the rules that its users meet most."""
    try:
        front = _front_matter(text)
    except yaml.YAMLError as error:
        return [f"YAML Metadata Error: {str(error).splitlines()[0]}"]
    if not isinstance(front, dict):
        return ['"metadata" must be a mapping']
    faults = []
    if not isinstance(front.get("license", ""), str):
        faults.append('"license" must be a string')
    if not all(isinstance(tag, str) for tag in front.get("tags", [])):
        faults.append('"tags" must be strings')
    if len(front.get("short_description", "")) > 60:
        faults.append('"short_description" must be no longer than 60 characters')
    return faults
