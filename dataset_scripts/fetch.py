"""The published files of EmoNet-Face from their own addresses, each checked against its hash.

    emonet-face fetch ratings votes --out published

Addresses, revisions and hashes are in `published_files.json`. The tables and the taxonomy come from
the released git repository, by the id git gives their content; the heads from the Hub, by the
hashes the Hub states for them. No test of this project contacts these addresses: they are taken
from the release as data, and the tests use a server of their own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from dataset_scripts.download import Digest, download
from emonet_face.errors import EmoNetFaceError
from emonet_face.ratings import resolve_output
from emonet_face.taxonomy import EMOTIONS

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

PUBLISHED: dict[str, Any] = json.loads(
    files(__package__).joinpath("published_files.json").read_text(encoding="utf-8")
)
NAMES: tuple[str, ...] = (*PUBLISHED["github"]["files"], *PUBLISHED["hub"])
_HEAD = re.compile(r"(model_.+_best)\.pth")


@dataclass(frozen=True)
class _File:
    """A file to fetch: its address, its place below the output folder, and what it must be.

    `at_most` is its length in bytes where that is published, else more than it can have.
    """

    url: str
    place: str
    digest: Digest
    at_most: int
    headers: dict[str, str] = field(default_factory=dict)


def fetch(names: Sequence[str], out: Path, *, base_url: str | None = None) -> Iterator[str]:
    """Fetch published files into a folder; what is there already and right is left as it is.

    `ratings`, `votes` and `taxonomy` become `hq.csv`, `binary.csv` and `guide.json`; the heads go
    to a subfolder named as their repo. A fetch that broke off is taken up by the same call.

    Args:
        names: of NAMES.
        out: the folder; it is made.
        base_url: in place of https://raw.githubusercontent.com, for mirrors. The Hub's address is
            huggingface_hub's: HF_ENDPOINT.

    Yields:
        One line for each file, when it is there.

    Raises:
        EmoNetFaceError: an unknown name, an address without an answer, a file that is not the
            published one, or another file in its place.
    """
    unknown = next((name for name in names if name not in NAMES), None)
    if unknown is not None:
        raise EmoNetFaceError(f"unknown file {unknown!r}; known are {', '.join(NAMES)}")
    for name in dict.fromkeys(names):
        for file in _files(name, base_url):
            path = out / file.place
            new = download(file.url, path, file.digest, at_most=file.at_most, headers=file.headers)
            what = f"{file.digest.kind} {file.digest.value} as published"
            yield f"{path}: {path.stat().st_size:,} bytes{'' if new else ' already there'}, {what}"


def _files(name: str, base_url: str | None) -> list[_File]:
    if name in PUBLISHED["hub"]:
        return _heads(**PUBLISHED["hub"][name])
    source = PUBLISHED["github"]
    entry = source["files"][name]
    base = (base_url or source["base_url"]).rstrip("/")
    url = f"{base}/{source['repo']}/{source['revision']}/{entry['path']}"
    digest = Digest("git blob", entry["git_blob"])
    return [_File(url, PurePosixPath(entry["path"]).name, digest, entry["at_most"])]


def _heads(repo: str, revision: str, at_most: int) -> list[_File]:
    """The head files of a Hub repo at the commit that a revision stands for now.

    `at_most` is for those whose length the Hub does not state.
    """
    from huggingface_hub import HfApi, hf_hub_url
    from huggingface_hub.errors import HTTPError
    from huggingface_hub.utils import build_hf_headers

    try:
        info = HfApi().model_info(repo, revision=revision, files_metadata=True)
    except (OSError, HTTPError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise EmoNetFaceError(f"{repo} on the Hub cannot be listed: {first}") from None
    heads: dict[str, RepoSibling] = {}
    for entry in info.siblings or ():
        match = _HEAD.fullmatch(PurePosixPath(entry.rfilename).name)
        if match is None:
            continue
        output = resolve_output(match[1], f"{repo}, {entry.rfilename}")
        if output in heads:
            raise EmoNetFaceError(
                f"{repo}: {heads[output].rfilename} and {entry.rfilename} are both the head of"
                f" {output!r}; one is expected"
            )
        heads[output] = entry
    missing = [emotion for emotion in EMOTIONS if emotion not in heads]
    if missing:
        raise EmoNetFaceError(
            f"{repo} at {info.sha}: no model_..._best.pth for {len(missing)} of the 40 categories,"
            f" {missing[0]!r} the first"
        )
    headers = build_hf_headers()
    return [
        _File(
            hf_hub_url(repo, entry.rfilename, revision=info.sha),
            str(PurePosixPath(PurePosixPath(repo).name, PurePosixPath(entry.rfilename).name)),
            _digest(entry, repo),
            at_most if entry.size is None else entry.size,
            headers,
        )
        for entry in heads.values()
    ]


def _digest(entry: RepoSibling, repo: str) -> Digest:
    if entry.lfs is not None:
        return Digest("sha256", entry.lfs.sha256)
    if entry.blob_id is None:
        raise EmoNetFaceError(f"{repo}: the Hub states no hash for {entry.rfilename}")
    return Digest("git blob", entry.blob_id)
