"""Looking at pages: what axe-core finds on each, and whether one is wider than its window."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

SHOTS = os.environ.get("TAGGER_SHOTS")  # a folder, for people to look at
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
DESKTOP, PHONE = (1280, 800), (360, 740)

schemes = pytest.mark.parametrize("scheme", ["light", "dark"])
sizes = pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])


@dataclass
class Looker:
    """A page in a context of its own, and what was found on each of its views."""

    page: Page
    scheme: str
    found: dict[str, list[str]] = field(default_factory=dict)
    wide: list[str] = field(default_factory=list)  # those that scroll sideways

    def look(self, view: str) -> None:
        self.page.wait_for_load_state()  # with its styles
        results = Axe().run(self.page, options={"runOnly": TAGS})
        self.found[view] = [violation["id"] for violation in results.response["violations"]]
        if self.page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            self.wide.append(view)
        if SHOTS and self.page.viewport_size:
            name = f"{view.strip('/').replace('/', '-')}-{self.scheme}"
            path = f"{SHOTS}/{name}-{self.page.viewport_size['width']}.png"
            self.page.screenshot(path=path, full_page=True)


@contextmanager
def looking(browser: Browser, scheme: str, size: tuple[int, int] = DESKTOP) -> Iterator[Looker]:
    """At its end, nothing was found on any view, and each was as wide as its window."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,  # type: ignore[arg-type]
        reduced_motion="reduce",
        bypass_csp=True,  # axe is put into the page
    )
    looker = Looker(context.new_page(), scheme)
    try:
        yield looker
    finally:
        context.close()
    assert looker.found
    assert looker.found == {view: [] for view in looker.found}
    assert looker.wide == []
