"""The page itself, in gradio: until Ctrl-C, for everybody who can reach its address.

    emonet-face annotate-page faces --task sliders --store people.sqlite

It loads nothing from anywhere but its own server, and serves no file but the pictures of its
source, by their sha256.
"""

from __future__ import annotations

import errno
import os
import socket
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emonet_face.errors import EmoNetFaceError
from generation.people.desk import Desk
from generation.people.form import PAGE, TITLE, notice, page_html
from generation.people.questions import Task, checked_annotator
from generation.people.source_images import SourceImages, read_source
from generation.people.store import Setup, Store, open_store, sqlite_faults

if TYPE_CHECKING:
    from fastapi import FastAPI

_MEDIA = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp"}


def serve(
    source: str,
    store: Path,
    setup: Setup,
    *,
    config: str = "hq",
    prompts: Path | None = None,
    annotators: Sequence[str] = (),
    lease: float = 600.0,
    host: str = "127.0.0.1",
    port: int = 7861,
    say: Callable[[str], object] = print,
) -> None:
    """Read the source, open its store, and serve the page until it is stopped.

    Args:
        source: see `read_source`.
        store: the file of the answers; made where there is none, gone on with where there is.
        setup: the task and its settings.
        config, prompts: see `read_source`.
        annotators: names that may join; none: any good name.
        lease: seconds for which a picture that was handed out waits for that person.
        host, port: where to listen; "0.0.0.0" lets everybody in who can reach this machine.
        say: is told which images are left out and why, and where the page is.

    Raises:
        EmoNetFaceError: gradio is not installed; a bad source, store, name or setting; or the port
            is taken.
    """
    _check_gradio()
    for name in annotators:
        checked_annotator(name)
    with _listening(host, port) as listener:
        images = read_source(
            source, setup.task, config=config, prompts=prompts, known=_digests(store)
        )
        for reason in images.left_out:
            say(f"left out: {reason}")
        with open_store(store, setup, images.items) as opened:
            with sqlite_faults(store):
                welcome = _welcome(opened, images, annotators, host, port)
            desk = Desk(
                opened, notice(setup.task, images.generated), allowed=annotators, lease=lease
            )
            app = application(desk, images, setup.task)
            listener.listen()  # who comes from here on is answered
            for line in welcome:
                say(line)
            with suppress(KeyboardInterrupt):
                _run(app, listener)


def _check_gradio() -> None:
    if find_spec("gradio") is None:
        raise EmoNetFaceError("the page needs gradio: pip install 'emonet-face[annotate]'")


def _listening(host: str, port: int) -> socket.socket:
    """A bound socket: whoever has the port keeps it, and nobody can take it meanwhile."""
    if not host:  # the system would take it for every address of this machine
        raise EmoNetFaceError("--host is empty; allowed: an IPv4 address or a name of this machine")
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise EmoNetFaceError(f"port {port} is taken; give another --port") from None
        raise EmoNetFaceError(f"{host}:{port}: cannot listen there ({error.strerror})") from None
    return listener


def _digests(store: Path) -> set[str]:
    """The images that a store knows, which were decoded when it was made."""
    try:
        with Store(store) as known:
            return {item.sha256 for item in known.items}
    except EmoNetFaceError:
        return set()  # there is none yet; whatever else is wrong is told when it is opened


def _welcome(
    store: Store, images: SourceImages, annotators: Sequence[str], host: str, port: int
) -> list[str]:
    n_answers = len(store.answers())
    lines = [
        f"{store.path}: {store.setup.task} on {len(images.items)} images, {n_answers} answers so"
        f" far by {len(store.annotators())} people"
    ]
    if store.setup.task == Task.VOTES and not store.setup.both and 0 < len(annotators) < 4:
        lines.append(
            f"{len(annotators)} annotators cannot finish an image that three find the emotion in:"
            " the contrast takes a fourth (or --both-questions)"
        )
    if not images.generated:
        n, first = len(images.unknown), images.unknown[0]
        lines.append(
            f"{n} of {len(images.items)} images are not known to be generated, the first is"
            f" {first}: you answer for where they come from, and the page says so"
        )
    if host not in ("127.0.0.1", "localhost"):
        lines.append("Whoever can reach this address can join, under any name that is allowed")
    shown = "127.0.0.1" if host == "0.0.0.0" else host
    lines.append(f"The page: http://{shown}:{port}/  (Ctrl-C stops it; the same call goes on)")
    return lines


def application(desk: Desk, images: SourceImages, task: Task) -> FastAPI:
    """The page as a web application: gradio's, and the pictures beside it.

    Args:
        desk: takes the answers.
        images: the pictures that may be shown.
        task: sliders or votes.
    """
    # Read by gradio when it is imported: no usage statistics, no question for newer versions.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    import gradio as gr
    from fastapi import FastAPI, Response

    app = FastAPI(title=TITLE, docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/picture/{sha256}")
    def picture(sha256: str) -> Response:
        data = images.bytes_of(sha256)
        if data is None:
            return Response(status_code=404)
        media = next((kind for start, kind in _MEDIA.items() if data.startswith(start)), None)
        headers = {"Cache-Control": "private, max-age=86400", "X-Content-Type-Options": "nosniff"}
        return Response(data, media_type=media, headers=headers)

    with gr.Blocks(title=TITLE, analytics_enabled=False) as blocks:
        gr.HTML(
            page_html(task, images.generated),
            js_on_load=(PAGE / "page.js").read_text(encoding="utf-8"),
            apply_default_css=False,
            server_functions=_calls(desk),
            elem_id="people",
        )
    theme = gr.themes.Base(
        primary_hue="indigo", neutral_hue="slate", font=["system-ui", "sans-serif"]
    )
    return gr.mount_gradio_app(
        app, blocks, path="/", theme=theme, css_paths=PAGE / "page.css", footer_links=[],
        ssr_mode=False,
    )  # fmt: skip


def _calls(desk: Desk) -> list[Callable[[dict[str, Any]], dict[str, Any]]]:
    """What the page can call, each with one JSON object."""

    def begin(said: dict[str, Any]) -> dict[str, Any]:
        return _answered(desk.begin, said, "name", "agreed")

    def current(said: dict[str, Any]) -> dict[str, Any]:
        return _answered(desk.current, said, "name")

    def answer(said: dict[str, Any]) -> dict[str, Any]:
        return _answered(desk.answer, said, "name", "token", "item", "kind", "value", "revises")

    def back(said: dict[str, Any]) -> dict[str, Any]:
        return _answered(desk.back, said, "name", "before")

    return [begin, current, answer, back]


def _answered(call: Callable[..., dict[str, Any]], said: object, *keys: str) -> dict[str, Any]:
    """A reply for the page: "view", or "problem" (final), or "later" (it tries again)."""
    if not isinstance(said, dict):
        return {"problem": "a request is one object"}
    try:
        return {"view": call(*(said.get(key) for key in keys))}
    except EmoNetFaceError as error:
        return {"problem": str(error)}
    except sqlite3.Error as error:
        return {"later": str(error)}


def _run(app: FastAPI, listener: socket.socket) -> None:
    import uvicorn

    settings = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    uvicorn.Server(settings).run(sockets=[listener])
