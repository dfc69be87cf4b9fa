"""The page of the model in use in a real browser: axe finds nothing, and its buttons do as told."""

from __future__ import annotations

import uuid

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from review.models import (
    Candidate,
    Decision,
    DecisionKind,
    InUse,
    Project,
    Proposal,
    Role,
    Standing,
)
from review.models.proposal import Giver
from review.pipeline import promote, served
from review.pipeline.intake import take_in
from review.readers import Incoming
from tests.fake_model import FakeModel
from tests.test_in_use import TUNED, trained
from tests.world import make_ready

from .looking import looking, schemes, sizes
from .test_desk_in_browser import project as project
from .test_desk_in_browser import sign_in

pytestmark = pytest.mark.django_db(transaction=True)

LONG = "organisation/a-model-with-a-rather-long-name-instruct-2026-11-tuned-on-release-12"
WINNERS = (Giver.RIVAL, Giver.RIVAL, Giver.OWN, Giver.RIVAL)


@pytest.fixture
def owned(project: Project) -> Project:
    project.memberships.update(role=Role.OWNER)
    take_in(project, [Incoming("another", "# Another")])  # make_ready goes on from 7
    served.forget()
    return project


def picked(project: Project, count: int, rival: str) -> None:
    """Picks between the model of the settings and this one, three of four the rival's."""
    first = project.documents.count()
    make_ready(project, count)
    alice = User.objects.get(username="alice")
    documents = project.documents.order_by("pk")[first:]
    proposals = Proposal.objects.filter(document__in=list(documents))
    proposals.update(model="fake", rival_model=rival, prompt_version="full-3")
    for place, proposal in enumerate(proposals.order_by("pk")):
        version = "full-2" if place % 5 == 0 else "full-3"
        Proposal.objects.filter(pk=proposal.pk).update(prompt_version=version)
        givers = (Giver.OWN, Giver.RIVAL, Giver.BOTH)
        for rank, giver in enumerate(givers, start=1):
            Candidate.objects.filter(proposal=proposal, rank=rank).update(giver=giver)
        wins = Giver.BOTH if place % 9 == 8 else WINNERS[place % len(WINNERS)]
        decision = Decision.objects.create(
            document_id=proposal.document_id,
            reviewer=alice,
            kind=DecisionKind.PICK,
            proposal=proposal,
            candidate=Candidate.objects.get(proposal=proposal, giver=wins),
            shown=proposal.order_for(place),
            milliseconds=1,
            key=uuid.uuid4(),
        )
        Standing.objects.create(document_id=proposal.document_id, reviewer=alice, decision=decision)


@schemes
@sizes
def test_axe_finds_nothing(
    browser: Browser,
    live_server: LiveServer,
    owned: Project,
    model: FakeModel,
    scheme: str,
    size: tuple[int, int],
) -> None:
    alice = User.objects.get(username="alice")
    with looking(browser, scheme, size) as looker:
        page = looker.page
        sign_in(page, live_server)
        page.goto(f"{live_server.url}/in-use")
        expect(page.get_by_text("There is no other model to try")).to_be_visible()
        looker.look("in-use-nothing")
        tuned = trained(owned, model.url, LONG)
        page.goto(f"{live_server.url}/in-use")
        page.get_by_text("Put another in use without a trial").click()
        looker.look("in-use-no-trial")
        promote.try_beside(owned, tuned, alice)
        picked(owned, 12, LONG)
        page.goto(f"{live_server.url}/in-use")
        page.locator("summary").filter(has_text="in use …").click()
        expect(page.get_by_text("It cannot be said yet")).to_be_visible()
        looker.look("in-use-trial")
        picked(owned, 60, LONG)
        page.goto(f"{live_server.url}/in-use")
        expect(page.get_by_role("button", name="in use", exact=False)).to_be_visible()
        drawn = "all => all.map(one => [one.naturalWidth, one.currentSrc])"
        page.wait_for_load_state()
        ((width, source),) = page.eval_on_selector_all("main img", drawn)
        assert width > 100
        assert source.endswith("?dark=1") == (scheme == "dark")
        looker.look("in-use-won")
        page.get_by_role("button", name="in use", exact=False).click()
        expect(page.get_by_text("UTC, by alice.")).to_be_visible()
        page.locator("summary").filter(has_text="Go back to").click()
        looker.look("in-use-promoted")


def test_by_keyboard_a_trial_is_begun_won_and_gone_back_from(
    page: Page, live_server: LiveServer, owned: Project, model: FakeModel
) -> None:
    tuned = trained(owned, model.url, TUNED)
    sign_in(page, live_server)
    page.goto(f"{live_server.url}/in-use")
    page.get_by_role("button", name="Try it beside").press("Enter")
    expect(page.get_by_role("button", name="Stop the trial")).to_be_visible()
    assert InUse.objects.get().rival == tuned
    page.locator("summary").filter(has_text="in use …").press("Enter")
    page.get_by_role("button", name="all the same").press("Enter")
    expect(page.locator("#asked ~ .model").first).to_have_text(TUNED)
    page.locator("summary").filter(has_text="Go back to").press("Enter")
    page.get_by_role("button", name="Go back to fake").press("Enter")
    expect(page.locator("#asked ~ .model").first).to_have_text("fake")
    assert InUse.objects.get().tuned is None
