"""Links of a card that lead nowhere: to files that are not in the repo, to headings it lacks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from posixpath import normpath
from urllib.parse import unquote, urlsplit

from cards.publishing.staged_files import StagedRepo
from emonet_face.front_matter import README, read_front_matter

_FENCED = re.compile(r"^(```|~~~).*?^\1[^\n]*$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`[^`\n]+`")
_MARKDOWN = re.compile(r"\]\(\s*(?:<([^>\n]+)>|([^)\s>]+))(?:\s+\"[^\"]*\")?\s*\)")
_REFERENCE = re.compile(r"^\s{0,3}\[[^\]]+\]:\s*<?([^\s>]+)", re.MULTILINE)
_HTML = re.compile(r"""\b(?:href|src)\s*=\s*["']([^"']+)["']""", re.IGNORECASE)
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)


def link_faults(repo: StagedRepo) -> Iterator[tuple[str, str]]:
    """("README.md", what is wrong) for every link within a repo that leads nowhere."""
    body = read_front_matter(repo.folder)[1]
    names = {file.name for file in repo.files}
    folders = {name[:place] for name in names for place in _slashes(name)}
    headings = {_anchor(heading) for heading in _HEADING.findall(_FENCED.sub("", body))}
    for link in dict.fromkeys(_links(_FENCED.sub("", body))):
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        if not parts.path:
            if parts.fragment and unquote(parts.fragment).lower() not in headings:
                yield README, f"links to #{parts.fragment}, a heading that it does not have"
        elif normpath(unquote(parts.path)).rstrip("/") not in names | folders:
            yield README, f"links to {parts.path}, which is not in the repo"


def _links(text: str) -> Iterator[str]:
    text = _CODE.sub("", text)
    for pattern in (_MARKDOWN, _REFERENCE, _HTML):
        for match in pattern.finditer(text):
            yield unescape(next(filter(None, match.groups())))


def _slashes(name: str) -> Iterator[int]:
    return (place for place, letter in enumerate(name) if letter == "/")


def _anchor(heading: str) -> str:
    """The name by which a heading is linked to: lower case, spaces as hyphens, no punctuation."""
    plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
