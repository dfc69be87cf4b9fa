"""Gold: a curator says what is right of a document, and sees who did not know it."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, expect
from pytest_django.live_server_helper import LiveServer

from review.models import Gold, GoldTurn, Membership, Project, Proposal, Purpose, Role
from review.pipeline import gold
from tests.test_confidence import make_reviewed

from .looking import looking, schemes, sizes
from .test_desk_in_browser import project as project
from .test_desk_in_browser import sign_in
from .test_insight_page import decide

pytestmark = pytest.mark.django_db(transaction=True)

LONG = "a-name-without-spaces-" * 8


@schemes
@sizes
def test_axe_finds_nothing_and_a_curator_says_what_is_right(
    browser: Browser,
    live_server: LiveServer,
    project: Project,
    scheme: str,
    size: tuple[int, int],
) -> None:
    project.memberships.update(role=Role.OWNER)
    for document in project.documents.all():  # make_reviewed numbers its own
        document.external_id = f"before {document.pk}"
        document.save(update_fields=["external_id"])
    zoe = User.objects.create(username="zoe")
    mallory = User.objects.create(username="mallory" * 15)
    Membership.objects.create(project=project, user=mallory, role=Role.REVIEWER)
    make_reviewed(project, zoe, 4, 0)
    reviewed = list(project.documents.filter(state="reviewed").order_by("pk"))
    reviewed[1].title = LONG
    reviewed[1].save(update_fields=["title"])
    tags = list(project.tags.order_by("number")[:4])
    for place, document in enumerate(reviewed[1:]):
        gold.mark(document, tags[3:], [tags[:2], tags[1:3]])
        proposal = Proposal.objects.get(document=document, current=True)
        decision = decide(proposal, mallory, 1 + place % 3, Purpose.GOLD)
        GoldTurn.objects.create(reviewer=mallory, document=document, decision=decision)
    with looking(browser, scheme, size) as looker:
        page = looker.page
        sign_in(page, live_server)
        page.goto(f"{live_server.url}/gold")
        expect(page.get_by_role("heading", name="3 gold documents")).to_be_visible()
        looker.look("gold")
        page.goto(f"{live_server.url}/documents/{reviewed[0].external_id}")
        looker.look("gold-look")
        page.get_by_role("link", name="Use as gold").click()
        expect(page.get_by_label("Right tag 1")).to_be_visible()
        looker.look("gold-form")
        page.get_by_label("Right tag 1").fill("no such tag")
        page.get_by_role("button", name="Use as gold").click()
        expect(page.get_by_role("alert")).to_contain_text("There is no tag")
        looker.look("gold-refused")
        page.get_by_label("Right tag 1").fill(tags[0].name)
        page.get_by_label("Right tag 2").fill(str(tags[2].number))
        page.get_by_text("Sets that are no error either").click()
        page.get_by_label("Acceptable set 1, tag 1").fill(tags[3].name)
        page.get_by_role("button", name="Use as gold").click()
        expect(page.get_by_role("status")).to_contain_text("It is gold")
        looker.look("gold-kept")
        page.get_by_role("button", name="Withdraw").click()
        expect(page.get_by_role("status")).to_contain_text("no more")
        looker.look("gold-withdrawn")
    said = Gold.objects.filter(document=reviewed[0]).order_by("pk")
    assert [one.withdrawn for one in said] == [False, True]
    assert said[0].best == [tags[0].number, tags[2].number]
    assert said[0].acceptable == [[tags[3].number]]
