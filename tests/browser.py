"""A real browser for tests of pages: headless Chromium, driven by playwright, offline by itself.

Tests that need it skip with a reason where there is no Chromium on the path.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, TimeoutError, sync_playwright

__all__ = ["TimeoutError", "chromium", "opened"]

QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""Switches that keep the browser itself from asking anything of anybody."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser of the system, closed at the end."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium on the path: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(QUIET))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, url: str, **settings: object) -> Iterator[tuple[Page, list[str]]]:
    """A page in a context of its own, and the addresses of all requests it makes from now on.

    Args:
        browser: see `chromium`.
        url: to open.
        settings: of the context, e.g. `viewport`, `color_scheme`.
    """
    context = browser.new_context(**settings)
    try:
        page = context.new_page()
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.on("websocket", lambda socket: requests.append(socket.url))
        page.goto(url)
        yield page, requests
    finally:
        context.close()
