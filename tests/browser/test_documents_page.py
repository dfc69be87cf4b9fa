"""The curator's documents in a real browser, with scripts and without, wide and narrow."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from review.models import Document, Membership, Project, Role

from .looking import looking, schemes, sizes
from .test_desk_in_browser import project as project
from .test_desk_in_browser import sign_in

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def curated(project: Project) -> Project:
    """The six documents, with alice as their curator."""
    Membership.objects.filter(user=User.objects.get(username="alice")).update(role=Role.CURATOR)
    return project


def test_a_curator_ticks_the_page_and_unticks_one(
    page: Page, live_server: LiveServer, curated: Project
) -> None:
    sign_in(page, live_server)
    page.goto(f"{live_server.url}/documents?begins=1")
    expect(page.locator("caption")).to_have_text("1 document matches")
    page.goto(f"{live_server.url}/documents")
    every = page.get_by_label("All 6 on this page")
    every.check()
    rows = page.locator('input[name="document"]')
    assert all(row.is_checked() for row in rows.all())
    rows.first.uncheck()
    expect(every).not_to_be_checked()
    page.get_by_label("What to do with them").select_option("pin")
    page.get_by_role("button", name="Change").click()
    expect(page.locator(".notice")).to_contain_text("Pin: 5 documents changed.")
    assert Document.objects.filter(pinned=False).get().external_id == "6"


@schemes
@sizes
def test_the_page_works_without_scripts_fits_and_axe_finds_nothing(
    browser: Browser, live_server: LiveServer, curated: Project, scheme: str, size: tuple[int, int]
) -> None:
    Document.objects.filter(external_id="2").update(pinned=True, state="failed", reason="Said so.")
    with looking(browser, scheme, size) as looker:
        page = looker.page
        page.route("**/select.js", lambda route: route.abort())
        sign_in(page, live_server)
        page.goto(f"{live_server.url}/documents?disagreement=7")
        expect(page.locator(".errorlist")).to_be_visible()
        page.get_by_label("All 6 on this page").check()
        page.get_by_label("What to do with them").select_option("unpin")
        page.get_by_role("button", name="Change").click()
        expect(page.locator(".notice")).to_contain_text("1 document changed.")
        looker.look("documents")
