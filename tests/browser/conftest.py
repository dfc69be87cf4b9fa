"""A real browser: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator

import pytest
from django.core.signals import request_finished, request_started
from playwright.sync_api import Browser, Page, sync_playwright
from pytest_django.live_server_helper import LiveServer

from tests.conftest import needed

# A fresh browser of its own that talks to nobody but the test's server.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Ended with its file: Playwright keeps a loop running in this thread, and the tests of
    another file may want one of their own."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    path = needed("A Chromium browser", found)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(autouse=True)
def nothing_under_way(live_server: LiveServer) -> Iterator[None]:
    """The test ends when its last request has: a page that closes gives its lease back.

    Else the tables are emptied under that request: on PostgreSQL, a deadlock.
    """
    under_way = 0
    counting = threading.Lock()

    def began(**_: object) -> None:
        nonlocal under_way
        with counting:
            under_way += 1

    def ended(**_: object) -> None:
        nonlocal under_way
        with counting:
            under_way -= 1

    request_started.connect(began)
    request_finished.connect(ended)
    yield
    time.sleep(0.05)  # what the page said as it closed has arrived
    deadline = time.monotonic() + 5
    while under_way > 0 and time.monotonic() < deadline:
        time.sleep(0.02)
    request_started.disconnect(began)
    request_finished.disconnect(ended)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page in a profile of its own; a script error on it fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "console",
        lambda message: errors.append(message.text) if "Content Security" in message.text else None,
    )
    yield page
    context.close()
    assert errors == []
