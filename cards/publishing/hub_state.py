"""What a repo on the Hub holds now, and whether a file there is the one that is staged here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cards.publishing.staged_files import StagedFile
from emonet_face.errors import EmoNetFaceError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

MAIN = "main"
SERVERS_OWN = (".gitattributes",)
"""What creating a repo puts there; it stays unless the folder has its own."""


@dataclass(frozen=True)
class RemoteFile:
    """A file on the Hub: its size and its hash.

    Attributes:
        size: bytes.
        sha256: of large files only, else None.
        git_id: the id git gives the content of a file that is not large.
    """

    size: int
    sha256: str | None
    git_id: str

    def equals(self, file: StagedFile) -> bool:
        """Whether the content is that of a staged file, by its hash."""
        if self.size != file.size:
            return False
        return self.git_id == file.git_id() if self.sha256 is None else self.sha256 == file.sha256


@dataclass(frozen=True)
class RemoteRepo:
    """A repo on the Hub at one commit.

    Attributes:
        head: the commit.
        private: whether only its owners see it.
        files: path -> file.
        tags: name -> commit.
    """

    head: str
    private: bool
    files: Mapping[str, RemoteFile]
    tags: Mapping[str, str]

    def differs_from(self, files: Sequence[StagedFile]) -> str:
        """One word on the first file that is not as staged; "" where all are."""
        names = {file.name for file in files}
        for file in files:
            if file.name not in self.files:
                return f"{file.name} is missing"
            if not self.files[file.name].equals(file):
                return f"{file.name} is another"
        extra = sorted(self.files.keys() - names - set(SERVERS_OWN))
        return f"{extra[0]} is there too" if extra else ""


def read_repo(api: HfApi, repo_type: str, repo_id: str, revision: str = MAIN) -> RemoteRepo | None:
    """What a repo holds; None where there is none, or none that we may see."""
    from huggingface_hub import RepoFile
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        info = api.repo_info(repo_id, repo_type=repo_type, revision=revision)
    except RepositoryNotFoundError:
        return None
    if info.sha is None:
        raise EmoNetFaceError(f"{repo_id}: the Hub names no commit for {revision}")
    tree = api.list_repo_tree(repo_id, repo_type=repo_type, revision=info.sha, recursive=True)
    files = {
        item.path: RemoteFile(item.size, item.lfs.sha256 if item.lfs else None, item.blob_id)
        for item in tree
        if isinstance(item, RepoFile)
    }
    refs = api.list_repo_refs(repo_id, repo_type=repo_type)
    tags = {tag.name: tag.target_commit for tag in refs.tags}
    return RemoteRepo(info.sha, bool(info.private), files, tags)
