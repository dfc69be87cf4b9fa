"""The preview of a prompt in a real browser, and what the page of a document tells of it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect
from pytest_django.live_server_helper import LiveServer

from review.models import Document, Project, Role
from review.pipeline.propose import propose

from .looking import SHOTS, looking, schemes, sizes
from .test_desk_in_browser import on_desk, sign_in
from .test_desk_in_browser import project as project

pytestmark = pytest.mark.django_db(transaction=True)

LONG = "# Long\n\nChess over HTTP.\n\n" + "\n\n".join(
    f"## Part {part}\n\n" + f"Part {part}. " * 80 for part in range(9)
)


@schemes
@sizes
def test_a_curator_sees_what_is_sent_and_axe_finds_nothing(
    browser: Browser, live_server: LiveServer, project: Project, scheme: str, size: tuple[int, int]
) -> None:
    with looking(browser, scheme, size) as looker:
        page = looker.page
        sign_in(page, live_server)
        for number, text in enumerate(["A board of chess.", "A server of HTTP.", LONG], start=1):
            Document.objects.filter(external_id=str(number)).update(
                text=text, sha256=f"{number}{0:063}"
            )
        for number in (1, 2):
            page.keyboard.press("1")
            on_desk(page, f"Document {number + 1}")
        project.prompt = "full-3"
        project.save()
        project.memberships.update(role=Role.OWNER)
        third = Document.objects.filter(external_id="3")
        third.update(state="waiting", lease_token=None, lease_holder=None)
        propose(third.get().pk)

        page.goto(f"{live_server.url}/prompt?document=3")
        expect(page.locator(".examples li")).to_have_count(2)
        looker.look("prompt")
        page.get_by_text("These passages are left out too").click()
        looker.look("left-out")
        page.get_by_label("Version").select_option("seed-1")
        page.get_by_role("button", name="Show").click()
        expect(page.get_by_text("base on Document 3")).to_be_visible()
        page.goto(f"{live_server.url}/documents/3")
        page.get_by_text("What the model read").click()
        expect(page.locator(".sent pre")).to_contain_text("Document 3")
        looker.look("read")
        if SHOTS:
            page.goto(f"{live_server.url}/admin/review/project/{project.pk}/change/")
            page.screenshot(path=f"{SHOTS}/admin-{scheme}-{size[0]}.png", full_page=True)
