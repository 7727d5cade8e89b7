"""Download what was uploaded and compare it, byte for byte by its hash; nothing is stored."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from cards.publishing.hub_access import is_passing, one_line
from cards.publishing.hub_state import read_repo
from cards.publishing.plan import RepoPlan
from cards.publishing.staged_files import StagedFile
from emonet_face.errors import EmoNetFaceError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

ATTEMPTS = 4
THREADS = 4
_BLOCK = 1 << 20


def read_back(api: HfApi, plan: RepoPlan, commit: str, sent: Collection[StagedFile]) -> None:
    """Compare a commit with what is staged: all hashes that the Hub states, and the bytes sent.

    Args:
        api: client of the Hub.
        plan: the repo.
        commit: which state of it.
        sent: the files whose bytes are downloaded.

    Raises:
        EmoNetFaceError: something is missing, is another, or is there too.
    """
    with one_line(api, f"reading back {plan.address}"):
        there = read_repo(api, plan.staged.repo_type, plan.repo_id, commit)
        wrong = "it is not there" if there is None else there.differs_from(plan.staged.files)
        if wrong:
            raise EmoNetFaceError(f"{plan.address} is not what was staged: {wrong}")
        with ThreadPoolExecutor(THREADS) as threads:
            digests = threads.map(lambda file: _digest(api, plan, commit, file), sent)
            for file, digest in zip(sent, digests, strict=True):
                if digest != file.sha256:
                    raise EmoNetFaceError(
                        f"{plan.address}: {file.name} came back with sha256 {digest}, and was"
                        f" {file.sha256}"
                    )


def _digest(api: HfApi, plan: RepoPlan, commit: str, file: StagedFile) -> str:
    """The sha256 of what the Hub serves; a broken download goes on where it stopped."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    url = hf_hub_url(
        plan.repo_id,
        file.name,
        repo_type=plan.staged.repo_type,
        revision=commit,
        endpoint=api.endpoint,
    )
    total, got = hashlib.sha256(), 0
    for attempt in range(ATTEMPTS):
        headers = build_hf_headers(token=api.token) | {"Accept-Encoding": "identity"}
        if got:
            headers["Range"] = f"bytes={got}-"
        try:
            with get_session().stream("GET", url, headers=headers, timeout=60) as answer:
                hf_raise_for_status(answer)
                if got and answer.status_code != 206:
                    total, got = hashlib.sha256(), 0
                for block in answer.iter_raw(_BLOCK):
                    total.update(block)
                    got += len(block)
            return total.hexdigest()
        except Exception as error:
            if not is_passing(error) or attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("the last attempt returns or raises")
