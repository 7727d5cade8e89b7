"""One file over HTTP: taken up where it broke off, checked against its published hash, or absent.

What has come so far lies in a hidden file beside its place, under a name with the hash it must
have. It becomes the file when the hash is right and is deleted when it is wrong; the hash decides,
whatever the server says of lengths and ranges.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from emonet_face.errors import EmoNetFaceError, shown
from emonet_face.outputs import check_parents
from emonet_face.progress import track_bytes

ATTEMPTS = 5
"""Connections in a row that may bring nothing new before it is given up."""

PAUSE = 1.0
"""Seconds before the second connection; twice as long before each further one."""

TIMEOUT = 30.0
"""Seconds without an answer after which a connection counts as broken."""

_BLOCK = 1 << 16
_LENGTH_DIGITS = 15
_PASSING = {408, 425, 429, 500, 502, 503, 504}
"""Answers that another try may get past."""


@dataclass(frozen=True)
class Digest:
    """A published hash of a file.

    Attributes:
        kind: "git blob" (the id git gives the content: sha1 over "blob <size>", a NUL and the
            bytes) or "sha256".
        value: in lower-case hexadecimal digits.
    """

    kind: Literal["git blob", "sha256"]
    value: str

    def of(self, path: Path) -> str:
        """The hash of this kind that a file has."""
        total = hashlib.sha256() if self.kind == "sha256" else hashlib.sha1(usedforsecurity=False)
        with path.open("rb") as stream:
            if self.kind == "git blob":
                total.update(b"blob %d\0" % os.fstat(stream.fileno()).st_size)
            while block := stream.read(1 << 20):
                total.update(block)
        return total.hexdigest()


class _BrokenOffError(Exception):
    """The connection ended before the file did, or gave no usable answer; another may do better."""


def download(
    url: str,
    out: Path,
    digest: Digest,
    *,
    at_most: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> bool:
    """Put the file behind an address at `out`, whole and with the right hash, or leave `out` alone.

    Args:
        url: http or https.
        out: where it goes; its parents are made.
        digest: the hash it must have.
        at_most: how many bytes it can have; a longer answer is cut short.
        headers: sent along, to the first server only where it redirects to another.

    Returns:
        Whether it was fetched; False where `out` already has that hash.

    Raises:
        EmoNetFaceError: `out` is another file, the server refuses or sends something else, or the
            connection keeps breaking off. What came of the right file then stays beside `out`, and
            the same call goes on from there.
    """
    if not _is_address(url):
        raise EmoNetFaceError(f"{shown(url)}: is no http or https address")
    check_parents(out)
    if out.exists():
        found = digest.of(out)
        if found == digest.value:
            return False
        raise EmoNetFaceError(
            f"{out}: exists and is another file ({digest.kind} {found}, published is"
            f" {digest.value}); remove it or give another folder"
        )
    part = out.parent / f".{out.name}.{digest.value[:12]}.part"
    transfer = _Transfer(out.name, url, part, digest, at_most, dict(headers or {}))
    try:
        found = transfer.run()
        if found != digest.value and transfer.joined:
            # The beginning from an earlier call may be to blame, or a server's idea of ranges.
            found = transfer.run(ranges=False)
        if found != digest.value:
            length = part.stat().st_size
            part.unlink()
            raise EmoNetFaceError(
                f"{url}: expected {digest.kind} {digest.value}, got {found} ({length:,} bytes);"
                " nothing was kept"
            )
        os.replace(part, out)
    finally:
        if part.exists() and not part.stat().st_size:
            part.unlink()
    return True


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        labels = (parts.hostname or "").encode("idna")  # as the connection will spell it
        port = parts.port
    except ValueError:
        return False
    plain = url.isascii() and url.isprintable() and " " not in url
    return parts.scheme in ("http", "https") and bool(labels) and port != 0 and plain


@dataclass
class _Transfer:
    name: str
    url: str
    part: Path
    digest: Digest
    at_most: int | None
    headers: dict[str, str]
    joined: bool = False
    """Whether the file was put together from more than one answer."""

    def run(self, *, ranges: bool = True) -> str:
        """Get the rest of the file, over as many connections as it takes; returns its hash.

        Without `ranges`, each connection begins at the beginning.
        """
        idle = 0
        while True:
            before = self._so_far()
            try:
                self._connect(before if ranges else 0)
                return self.digest.of(self.part)
            except _BrokenOffError as error:
                # A server may also state a length beyond the file's end: then all has come.
                found = self.digest.of(self.part) if self._so_far() else ""
                if found == self.digest.value:
                    return found
                idle = idle + 1 if self._so_far() <= before else 0
                if idle == ATTEMPTS:
                    raise EmoNetFaceError(
                        f"{self.url}: {error}, {ATTEMPTS} times in a row{self._rest()}"
                    ) from None
            time.sleep(PAUSE * 2 ** max(idle - 1, 0))

    def _rest(self) -> str:
        kept = self._so_far()
        return f"; {kept:,} bytes are kept and the same call goes on from there" if kept else ""

    def _so_far(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _connect(self, start: int) -> None:
        self.joined = self.joined or start > 0
        ranged = {"Range": f"bytes={start}-"} if start else {}
        request = urllib.request.Request(self.url, headers=self.headers | ranged)
        try:
            response = _OPENER.open(request, timeout=TIMEOUT)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416:  # what we have is no beginning of what lies there
                self.part.unlink(missing_ok=True)
                raise _BrokenOffError("the server has less than came before") from None
            answer = f"the server answers {error.code} {_said(error)}"
            if error.code in _PASSING:
                raise _BrokenOffError(answer) from None
            raise EmoNetFaceError(f"{self.url}: {answer}") from None
        except (OSError, http.client.HTTPException) as error:
            raise _BrokenOffError(_said(error)) from None
        except (ValueError, OverflowError):  # our own address was looked at: one of a redirect
            raise EmoNetFaceError(f"{self.url}: redirects to what is no address") from None
        with response:
            self._store(response, start)

    def _store(self, response: http.client.HTTPResponse, start: int) -> None:
        if start and not _continues(response, start):
            start = 0
        stated = _length(response)
        total = None if stated is None else start + stated
        got = start
        self.part.parent.mkdir(parents=True, exist_ok=True)
        with self.part.open("r+b" if start else "wb") as stream:
            stream.seek(start)
            for block in track_bytes(_blocks(response), self.name, total, start):
                stream.write(block)
                got += len(block)
                if self.at_most is not None and got > self.at_most:
                    stream.truncate(self.at_most)  # not ours; the hash will say so
                    return
        if total is not None and got < total:
            raise _BrokenOffError(f"the connection broke off at {got:,} of {total:,} bytes")


def _blocks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while True:
        try:
            block = response.read1(_BLOCK)
        except (OSError, http.client.HTTPException) as error:
            raise _BrokenOffError(_said(error)) from None
        if not block:
            return
        yield block


def _continues(response: http.client.HTTPResponse, start: int) -> bool:
    """Whether an answer goes on at `start`; a server without ranges begins anew."""
    stated = response.headers.get("Content-Range", "")
    return response.status == 206 and stated.startswith(f"bytes {start}-")


def _length(response: http.client.HTTPResponse) -> int | None:
    stated = response.headers.get("Content-Length", "")
    return int(stated) if stated.isdecimal() and len(stated) <= _LENGTH_DIGITS else None


def _said(error: Exception) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return "".join(filter(str.isprintable, str(text).splitlines()[0][:200]))


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects; a token for the first server is not shown to another."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # noqa: ANN001, ANN202
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        if following is not None and following.host != req.host:
            following.remove_header("Authorization")
        return following


_OPENER = urllib.request.build_opener(_Redirects)
