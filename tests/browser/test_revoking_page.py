"""The page on which an owner says whose decisions count."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, expect
from pytest_django.live_server_helper import LiveServer

from review.models import Project, Role
from review.pipeline import revoke
from tests.test_confidence import make_reviewed

from .looking import looking, schemes, sizes
from .test_desk_in_browser import project as project
from .test_desk_in_browser import sign_in

pytestmark = pytest.mark.django_db(transaction=True)

WHY = "An-account-without-spaces-in-its-reason-" * 5 + "and then some words that end a line."


@schemes
@sizes
def test_axe_finds_nothing_on_it_and_a_click_revokes(
    browser: Browser,
    live_server: LiveServer,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
    size: tuple[int, int],
) -> None:
    monkeypatch.setattr(revoke, "AT_FIRST", 60.0)  # on a slow machine too
    project.memberships.update(role=Role.OWNER)
    for document in project.documents.all():  # make_reviewed numbers its own
        document.external_id = f"before {document.pk}"
        document.save(update_fields=["external_id"])
    people = [User.objects.create(username=name) for name in ("mallory" * 15, "zoe")]
    for person in people:
        make_reviewed(project, person, 3, 0)
    revoke.revoke(project, people[0], WHY)
    with looking(browser, scheme, size) as looker:
        page = looker.page
        sign_in(page, live_server)
        page.goto(f"{live_server.url}/people")
        page.get_by_role("link", name="Whose decisions count").click()
        expect(page.get_by_role("heading", name="zoe")).to_be_visible()
        looker.look("revoking")
        page.get_by_role("region", name="zoe").get_by_label("Why").fill("Picked without reading")
        page.get_by_role("button", name="Revoke the decisions of zoe").click()
        expect(page.get_by_role("status")).to_contain_text("counts no more: 3 documents")
        looker.look("revoked")
