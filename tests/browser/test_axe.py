"""What axe-core finds on the pages: nothing, in light and dark, on a desktop and a phone."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser
from pytest_django.live_server_helper import LiveServer

from review.models import Document, DocumentState, Note, Project, Role
from review.models.document import FREE

from .looking import TAGS as TAGS
from .looking import looking, schemes, sizes
from .test_desk_in_browser import project as project
from .test_desk_in_browser import sign_in

pytestmark = pytest.mark.django_db(transaction=True)

# What curators and owners see.
CURATED = ["/documents", "/disputes", "/disputes/3", "/agreement", "/notes", "/people", "/password"]


@schemes
@sizes
def test_axe_finds_nothing(
    browser: Browser, live_server: LiveServer, project: Project, scheme: str, size: tuple[int, int]
) -> None:
    with looking(browser, scheme, size) as looker:
        page = looker.page
        page.goto(live_server.url)
        looker.look("sign in")
        sign_in(page, live_server)
        looker.look("desk")
        page.keyboard.press("e")
        page.locator("#correct[open]").wait_for()
        looker.look("correct")
        page.keyboard.press("Escape")
        page.keyboard.press("s")
        page.locator("#skip[open]").wait_for()
        looker.look("skip")
        page.keyboard.press("Escape")
        if page.get_by_role("button", name="Keys").is_visible():  # a phone has none
            page.keyboard.press("?")
            page.locator("dialog[open]").wait_for()
            looker.look("keys")
        page.goto(f"{live_server.url}/history")
        looker.look("history")
        page.goto(f"{live_server.url}/documents/2")
        looker.look("document")
        dispute = f"/disputes/{make_curator(project)}"
        for path in CURATED:
            page.goto(f"{live_server.url}{path}".replace("/disputes/3", dispute))
            looker.look(path)
    assert len(looker.found) == (7 if size[0] > 860 else 6) + len(CURATED)


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
