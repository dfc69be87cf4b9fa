"""The page that says how the parts are."""

from __future__ import annotations

import datetime

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, expect
from pytest_django.live_server_helper import LiveServer

from review.models import Project, Role, ServedModel
from review.pipeline import served, signs
from review.tasks import sweep_up

from .looking import looking, schemes, sizes
from .test_desk_in_browser import project as project
from .test_desk_in_browser import sign_in

pytestmark = pytest.mark.django_db(transaction=True)


@schemes
@sizes
def test_axe_finds_nothing_on_the_page_of_the_status(
    browser: Browser, live_server: LiveServer, project: Project, scheme: str, size: tuple[int, int]
) -> None:
    project.memberships.update(role=Role.OWNER)
    with looking(browser, scheme, size) as looker:
        page = looker.page
        sign_in(page, live_server)
        page.goto(f"{live_server.url}/status")
        expect(page.get_by_text("The sweeper has not run yet.")).to_be_visible()
        soon = timezone.now() + datetime.timedelta(minutes=5)
        ServedModel.objects.update(failures=5, openings=1, open_until=soon)
        served.forget()
        looker.look("status-in-trouble")
        signs._last = 0
        signs.give("celery@a-machine-with-a-rather-long-name.example.org", ["celery", "webhooks"])
        sweep_up()
        # It looks again by itself, each ten seconds.
        expect(page.get_by_text("The sweeper last ran")).to_be_visible(timeout=60_000)
        expect(page.get_by_text("No model server answers")).to_be_visible()
        expect(page.get_by_role("cell", name="celery, webhooks")).to_be_visible()
        looker.look("status")
