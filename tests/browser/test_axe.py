"""What axe-core finds on the pages: nothing, in light and dark, on a desktop and a phone."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from playwright.sync_api import Browser
from pytest_django.live_server_helper import LiveServer

from review.models import Document, DocumentState, Note, Project, Role
from review.models.document import FREE

from .test_desk_in_browser import project as project
from .test_desk_in_browser import sign_in

pytestmark = pytest.mark.django_db(transaction=True)

# What curators and owners see.
CURATED = ["/documents", "/disputes", "/disputes/3", "/agreement", "/notes", "/people", "/password"]
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 800), (360, 740)], ids=["desktop", "phone"])
def test_axe_finds_nothing(
    browser: Browser, live_server: LiveServer, project: Project, scheme: str, size: tuple[int, int]
) -> None:
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,  # type: ignore[arg-type]
        reduced_motion="reduce",
        bypass_csp=True,  # axe is put into the page
    )
    page = context.new_page()
    axe = Axe()
    found: dict[str, list[str]] = {}

    def look(view: str) -> None:
        page.wait_for_load_state()  # with its styles
        results = axe.run(page, options={"runOnly": TAGS})
        found[view] = [violation["id"] for violation in results.response["violations"]]

    page.goto(live_server.url)
    look("sign in")
    sign_in(page, live_server)
    look("desk")
    page.keyboard.press("e")
    page.locator("#correct[open]").wait_for()
    look("correct")
    page.keyboard.press("Escape")
    page.keyboard.press("s")
    page.locator("#skip[open]").wait_for()
    look("skip")
    page.keyboard.press("Escape")
    if page.get_by_role("button", name="Keys").is_visible():  # a phone has none
        page.keyboard.press("?")
        page.locator("dialog[open]").wait_for()
        look("keys")
    page.goto(f"{live_server.url}/history")
    look("history")
    page.goto(f"{live_server.url}/documents/2")
    look("document")
    dispute = f"/disputes/{make_curator(project)}"
    for path in CURATED:
        page.goto(f"{live_server.url}{path}".replace("/disputes/3", dispute))
        look(path)
    context.close()
    assert found == {view: [] for view in found}
    assert len(found) == (7 if size[0] > 860 else 6) + len(CURATED)


def make_curator(project: Project) -> int:
    """Alice owns the project now; there is a note on a tag, and a dispute: its document's key."""
    alice = User.objects.get(username="alice")
    project.memberships.update(role=Role.OWNER)
    disputed = project.documents.get(external_id="3")
    Document.objects.filter(pk=disputed.pk).update(state=DocumentState.DISPUTED, **FREE)
    Note.objects.create(
        project=project, document=disputed, tag=project.tags.first(), author=alice, text="Why?"
    )
    return disputed.pk
