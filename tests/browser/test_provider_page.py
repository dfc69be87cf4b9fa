"""Signing in at another site's provider, with a browser: its policy and its cookies let it."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from review.models import Project
from tests.fake_provider import CLIENT_ID, SECRET, FakeProvider

from .looking import looking, schemes, sizes
from .test_desk_in_browser import project as project

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def provider(settings: Settings) -> Iterator[FakeProvider]:
    fake = FakeProvider()
    settings.OIDC_URL, settings.OIDC_NAME = fake.url, "the House"
    settings.OIDC_CLIENT_ID, settings.OIDC_SECRET = CLIENT_ID, SECRET
    yield fake
    fake.close()


def test_the_button_leads_there_and_back_to_the_page_that_was_asked_for(
    page: Page, live_server: LiveServer, project: Project, provider: FakeProvider
) -> None:
    assert urlsplit(live_server.url).hostname != urlsplit(provider.url).hostname  # another site
    User.objects.filter(username="alice").update(email="alice@example.org")
    page.goto(f"{live_server.url}/history")
    page.get_by_role("link", name="Sign in with the House").click()
    page.wait_for_url(f"{live_server.url}/history")
    assert provider.asked.count("/authorize") == 1


@schemes
@sizes
def test_axe_finds_nothing_on_the_door_with_a_button(
    browser: Browser,
    live_server: LiveServer,
    project: Project,
    provider: FakeProvider,
    scheme: str,
    size: tuple[int, int],
) -> None:
    with looking(browser, scheme, size) as looker:
        page = looker.page
        page.goto(f"{live_server.url}/sign-in/")
        button = page.get_by_role("link", name="Sign in with the House")
        expect(button).to_be_visible()
        looker.look("door")
        button.click()
        expect(page.get_by_role("alert")).to_contain_text("There is no account here")
        looker.look("refused")
