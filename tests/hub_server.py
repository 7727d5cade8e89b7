"""A small Hub over real HTTP, for the real and unmodified clients.

    python tests/hub_server.py --root /tmp/hub --token hf_local=me,my-org    # prints its address

It speaks what huggingface_hub, datasets, transformers and evaluate ask of a Hub: repos, preupload,
large files, commits, trees, files by revision, tags (hub_routes.py), pull requests and collections
(hub_community.py). Clients need HF_ENDPOINT and HF_HUB_DISABLE_XET=1. A `Fault` makes it fail on
purpose.
"""

from __future__ import annotations

import argparse
import json
import re
import socket
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

sys.path.insert(0, str(Path(__file__).parent))

import hub_community
import hub_routes
from hub_store import Refused, Store, User

BLOCK = 1 << 20
ROUTES = [*hub_routes.ROUTES, *hub_community.ROUTES]


@dataclass
class Fault:
    """What goes wrong with requests whose "METHOD /path" a pattern is found in.

    Attributes:
        pattern: a regular expression.
        kind: an HTTP status; "drop": the connection breaks after `after` bytes of the body;
            "lost": all is done, and the connection breaks before the answer; "": only `then`.
        times: how many requests fail.
        after: see "drop".
        skip: how many matching requests are served first.
        then: called when it strikes.
    """

    pattern: str
    kind: int | str
    times: int = 1
    after: int = 0
    skip: int = 0
    then: object = None


class Hub:
    """What stands behind a server: `store`, `log` of "METHOD /path", `faults`, its address."""

    def __init__(self, root):
        self.store = Store(root)
        self.log = []
        self.faults = []
        self.url = ""

    def add_user(self, token, name, role="write", **orgs):
        """`orgs`: organisation -> what its member may do there, e.g. "write"."""
        self.store.users[token] = User(name, role, orgs)

    def writes(self):
        """The requests so far that change something, which a run without changes must not make."""
        asks = ("/api/validate-yaml", "/paths-info/")
        changing = (line for line in self.log if not line.startswith(("GET ", "HEAD ")))
        return [line for line in changing if not any(ask in line for ask in asks)]

    def fault_for(self, line):
        with self.store.lock:
            for fault in self.faults:
                if fault.times and re.search(fault.pattern, line):
                    if fault.skip:
                        fault.skip -= 1
                        continue
                    fault.times -= 1
                    if fault.then is not None:
                        fault.then()
                    return fault.kind, fault.after
        return None, 0


class Handler(BaseHTTPRequestHandler):
    """One connection: bodies, answers, faults; what is asked for is looked up in ROUTES."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else every answer waits 40 ms
    rbufsize = 1 << 18

    def log_message(self, *_):
        """Quiet: `Hub.log` has it."""

    def _handle(self):
        parts = urlsplit(self.path)
        self.query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        line = f"{self.command} {unquote(parts.path)}"
        self.server.hub.log.append(line)
        self.chunked = "chunked" in self.headers.get("Transfer-Encoding", "")
        self.left = int(self.headers.get("Content-Length", 0))
        self.fault, after = self.server.hub.fault_for(line)
        if self.fault == "drop":
            self._break_off(after)
            return
        try:
            if isinstance(self.fault, int):
                raise Refused(self.fault, "Internal Error - We're working hard to fix this")
            self._route(parts.path)
        except Refused as refused:
            headers = {"X-Error-Message": refused.message, **refused.headers}
            if refused.code:
                headers["X-Error-Code"] = refused.code
            self.answer({"error": refused.message, **refused.more}, refused.status, headers)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = _handle

    def _route(self, path):
        for pattern, action in ROUTES:
            match = re.fullmatch(pattern, f"{self.command} {path}")
            if match:
                names = {k: v and unquote(v) for k, v in match.groupdict().items()}
                action(self, self.server.hub.store, **names)
                return
        raise Refused(404, "Sorry, we can't find the page you are looking for.")

    @property
    def user(self):
        """Whose token came along; None without one."""
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in self.server.hub.store.users:
            raise Refused(401, "Invalid credentials in Authorization header")
        return self.server.hub.store.users.get(token)

    def blocks(self):
        """The body in blocks, as they come; with a length or in chunks."""
        if self.chunked:
            while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
                yield from self._read(size)
                self.rfile.readline()
            self.rfile.readline()
            self.chunked = False
        else:
            left, self.left = self.left, 0
            yield from self._read(left)

    def _read(self, left):
        while left:
            block = self.rfile.read(min(left, BLOCK))
            if not block:
                raise ConnectionResetError
            left -= len(block)
            yield block

    def body(self):
        """The whole body; JSON is decoded."""
        data = b"".join(self.blocks())
        is_json = self.headers.get("Content-Type", "").startswith("application/json")
        return json.loads(data) if is_json else data

    def answer(self, value, status=200, headers=None):
        """Answer with JSON."""
        data = json.dumps(value).encode()
        self.head(status, {"Content-Type": "application/json", **(headers or {})}, len(data))
        if self.command != "HEAD":
            self.wfile.write(data)

    def head(self, status, headers, length):
        """The beginning of an answer; what is left of the question is read first."""
        for _ in self.blocks():
            pass
        if self.fault == "lost":
            self._break_off(0)
            raise ConnectionAbortedError
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def _break_off(self, after):
        got, after = 0, after if self.chunked else min(after, self.left)
        while got < after and (block := self.rfile.read1(after - got)):
            got += len(block)
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def serve(root, port=0):
    """Run a Hub in threads of this process for the length of a block."""
    server = _Server(("127.0.0.1", port), Handler)
    server.hub = Hub(root)
    server.hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def main(argv=None):
    """See the head of the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", required=True, help="where objects are kept")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument(
        "--token", action="append", default=[], metavar="TOKEN=USER[,ORG...]", help="who may write"
    )
    arguments = parser.parse_args(argv)
    with serve(arguments.root, arguments.port) as hub:
        for item in arguments.token:
            token, _, names = item.partition("=")
            name, *orgs = names.split(",")
            hub.add_user(token, name, **dict.fromkeys(orgs, "write"))
        print(hub.url, flush=True)
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main()
