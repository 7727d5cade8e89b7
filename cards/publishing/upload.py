"""One repo onto the Hub, so that its main is either as it was or entirely as staged.

Large files go first: they belong to no commit yet, and the Hub keeps them, so a run that broke off
sends only what is missing. One commit on main then names all of it. Where that is more than one
commit takes, the commits go to a pull request that an equal run finds again, and one merge brings
them to main.
"""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cards.publishing.hub_access import is_passing, one_line
from cards.publishing.hub_state import MAIN, RemoteRepo, read_repo
from cards.publishing.plan import RepoPlan
from cards.publishing.staged_files import StagedFile
from cards.publishing.staging import SMALL_BYTES
from emonet_face.errors import EmoNetFaceError
from emonet_face.front_matter import read_front_matter

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

COMMIT_FILES = 1_000
"""Files that one commit takes; a larger change goes through a pull request."""

ATTEMPTS = 4
PAUSE = 1.0
"""Tries of a commit, and seconds before the second; twice as long before each further one."""

THREADS = 4


def upload_repo(api: HfApi, plan: RepoPlan, *, commit_files: int = COMMIT_FILES) -> str:
    """Bring main of a repo to what is staged; the repo is created, private, where it is new.

    Returns:
        The commit that holds it.

    Raises:
        EmoNetFaceError: the Hub refuses or cannot be reached, a staged file is gone or changed, or
            somebody else has committed since the plan. Main is then as it was.
    """
    with one_line(api, f"uploading {plan.address}"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        remote = plan.remote or _create(api, plan)
        if plan.is_complete:
            return remote.head
        if len(plan.new) + len(plan.changed) + len(plan.removed) <= commit_files:
            return _commit_changes(api, plan, remote, MAIN, plan.staged.files)
        return _through_pull_request(api, plan, remote, commit_files)


def _create(api: HfApi, plan: RepoPlan) -> RemoteRepo:
    kind = plan.staged.repo_type
    sdk = read_front_matter(plan.staged.folder)[0].get("sdk") if kind == "space" else None
    api.create_repo(plan.repo_id, repo_type=kind, private=True, space_sdk=sdk)
    created = read_repo(api, kind, plan.repo_id)
    if created is None:
        raise EmoNetFaceError("the Hub created it and cannot find it; run the command again")
    return created


def _commit_changes(
    api: HfApi, plan: RepoPlan, remote: RemoteRepo, revision: str, wanted: Sequence[StagedFile]
) -> str:
    """One commit that brings `wanted` and takes away what is not staged at all."""
    there = remote.files
    to_send = [f for f in wanted if f.name not in there or not there[f.name].equals(f)]
    additions = [_addition(file) for file in to_send]
    repo: dict[str, Any] = {"repo_id": plan.repo_id, "repo_type": plan.staged.repo_type}
    try:
        api.preupload_lfs_files(
            additions=additions, revision=revision, num_threads=THREADS, free_memory=False, **repo
        )
    finally:  # a file that has changed explains whatever the Hub said of it
        for file in plan.staged.files:
            file.check()
    operations = [*additions, *_deletions(plan, remote)]
    return _commit(api, plan, operations, revision, remote.head, to_send)


def _addition(file: StagedFile) -> CommitOperationAdd:
    from huggingface_hub import CommitOperationAdd

    file.check()
    if file.size <= SMALL_BYTES:
        return CommitOperationAdd(file.name, file.read())
    addition = CommitOperationAdd(file.name, str(file.path))
    addition.upload_info.sha256 = bytes.fromhex(file.sha256)  # known: it is not read once more
    return addition


def _deletions(plan: RepoPlan, remote: RemoteRepo) -> list[CommitOperationDelete]:
    from huggingface_hub import CommitOperationDelete

    return [CommitOperationDelete(name) for name in plan.removed if name in remote.files]


def _commit(
    api: HfApi,
    plan: RepoPlan,
    operations: list[Any],
    revision: str,
    parent: str,
    sent: Sequence[StagedFile],
) -> str:
    """Commit once, however often the answer is lost: the repo says whether it has happened."""
    pause = PAUSE
    for attempt in range(ATTEMPTS):
        try:
            done = api.create_commit(
                plan.repo_id,
                operations,
                repo_type=plan.staged.repo_type,
                revision=revision,
                parent_commit=parent,
                commit_message=f"EmoNet-Face {plan.version}",
                num_threads=THREADS,
            )
            return done.oid
        except Exception as error:
            moved = _status(error) == 412
            if not moved and (not is_passing(error) or attempt == ATTEMPTS - 1):
                raise
            now = read_repo(api, plan.staged.repo_type, plan.repo_id, revision)
            if now is not None and now.head != parent:
                if all(f.name in now.files and now.files[f.name].equals(f) for f in sent):
                    return now.head
                raise EmoNetFaceError(
                    "somebody else has committed since the plan was made; run the command again"
                    " to see what it would change now"
                ) from None
        time.sleep(pause)
        pause *= 2
    raise AssertionError("the last attempt returns or raises")


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    return None if response is None else response.status_code


def _through_pull_request(api: HfApi, plan: RepoPlan, remote: RemoteRepo, commit_files: int) -> str:
    """Many commits on a pull request, then one merge; an equal run goes on where this one ends."""
    repo: dict[str, Any] = {"repo_id": plan.repo_id, "repo_type": plan.staged.repo_type}
    title = f"EmoNet-Face {plan.version}, {_digest(plan, remote)}"
    num = next(
        (
            found.num
            for found in api.get_repo_discussions(discussion_type="pull_request", **repo)
            if found.title == title and found.status in ("draft", "open")
        ),
        None,
    )
    if num is None:
        num = api.create_pull_request(title=title, **repo).num
    head = f"refs/pr/{num}"
    files = plan.staged.files
    for start in range(0, len(files), commit_files):
        state = _read(api, plan, head)
        wanted = files[start : start + commit_files]
        if any(f.name not in state.files or not state.files[f.name].equals(f) for f in wanted):
            _commit_changes(api, plan, state, head, wanted)
    state = _read(api, plan, head)
    if left := _deletions(plan, state):
        _commit(api, plan, left, head, state.head, ())
    if wrong := _read(api, plan, head).differs_from(files):
        raise EmoNetFaceError(f"pull request {num} is not what is staged: {wrong}")
    api.change_discussion_status(discussion_num=num, new_status="open", **repo)
    api.merge_pull_request(discussion_num=num, **repo)
    return _read(api, plan, MAIN).head


def _read(api: HfApi, plan: RepoPlan, revision: str) -> RemoteRepo:
    found = read_repo(api, plan.staged.repo_type, plan.repo_id, revision)
    if found is None:
        raise EmoNetFaceError("the repo has gone")
    return found


def _digest(plan: RepoPlan, remote: RemoteRepo) -> str:
    """Which change this is: what is staged, and on which commit it goes."""
    named = "".join(f"{file.sha256} {file.name}\n" for file in plan.staged.files)
    return hashlib.sha256((remote.head + named).encode()).hexdigest()[:12]
