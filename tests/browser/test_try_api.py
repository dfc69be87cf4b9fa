"""The page to try the API on: its scripts run under our policy, and a call of it is answered."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from review.models import Membership, Project, Role, Scope
from review.pipeline.token import make

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_call_is_tried_on_the_page(page: Page, live_server: LiveServer) -> None:
    project = Project.objects.create(name="READMEs to tag")
    user = User.objects.create_user("olga")
    Membership.objects.create(project=project, user=user, role=Role.OWNER)
    token = make(project, user, "to try", [Scope.READ], 1)[1]
    response = page.goto(f"{live_server.url}/api/v1/docs")
    assert response
    assert "unsafe" not in response.headers["content-security-policy"]
    page.locator(".auth-wrapper > .authorize").click()
    page.locator(".modal-ux input").fill(token)
    page.locator(".modal-ux button.authorize").click()
    page.locator(".modal-ux button.btn-done").click()
    page.locator("#operations-projects-projects .opblock-summary-control").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    answer = page.locator(".live-responses-table .response")
    expect(answer).to_contain_text("READMEs to tag")
    expect(page.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
