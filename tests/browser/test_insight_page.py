"""The page of insight in a real browser: axe finds nothing, and the pictures are drawn."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page
from pytest_django.live_server_helper import LiveServer

from review.models import (
    Candidate,
    Decision,
    DecisionKind,
    Membership,
    Project,
    Proposal,
    Purpose,
    Repeat,
    Role,
    Standing,
)
from tests.world import make_ready

from .test_axe import TAGS
from .test_desk_in_browser import PASSWORD

pytestmark = pytest.mark.django_db(transaction=True)

PICTURES = 5
COUNT = 130
LONG = "an-organisation/a-model-with-a-rather-long-name-12b-instruct"


@pytest.fixture
def decided() -> Project:
    """Decisions of two people, for each of the figures."""
    project = Project.objects.create(name="READMEs")
    people = []
    for name in ("alice", "王小明"):
        people.append(User.objects.create_user(name, password=PASSWORD))
        Membership.objects.create(project=project, user=people[-1], role=Role.OWNER)
    make_ready(project, COUNT)
    Proposal.objects.update(model="small", prompt_version="5", tokens_in=900, tokens_out=60)
    for place, proposal in enumerate(Proposal.objects.order_by("pk")):
        if place % 3 == 0:
            Proposal.objects.filter(pk=proposal.pk).update(model=LONG)
        person = people[place % 5 == 0]
        rank = 1 if place % 4 < place // 40 + 1 else 2
        first = decide(proposal, person, rank, Purpose.REVIEW)
        if place % 6 == 0:
            second = decide(proposal, person, 1, Purpose.REPEAT)
            Repeat.objects.create(
                reviewer=person, first=first, second=second, due_at=first.created_at
            )
    return project


def decide(proposal: Proposal, person: User, rank: int, purpose: Purpose) -> Decision:
    decision = Decision.objects.create(
        document_id=proposal.document_id,
        reviewer=person,
        kind=DecisionKind.PICK,
        proposal=proposal,
        candidate=Candidate.objects.get(proposal=proposal, rank=rank),
        shown=proposal.order_for(person.pk),
        milliseconds=1,
        key=uuid.uuid4(),
    )
    Standing.objects.create(
        document_id=proposal.document_id, reviewer=person, decision=decision, purpose=purpose
    )
    return decision


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 800), (360, 740)], ids=["desktop", "phone"])
def test_axe_finds_nothing_and_the_pictures_are_there(
    browser: Browser, live_server: LiveServer, decided: Project, scheme: str, size: tuple[int, int]
) -> None:
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,  # type: ignore[arg-type]
        bypass_csp=True,  # axe is put into the page
    )
    page = context.new_page()
    page.goto(f"{live_server.url}/sign-in/?next=/insight")
    page.fill("input[name=username]", "alice")
    page.fill("input[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{live_server.url}/insight")
    page.wait_for_load_state()
    drawn = page.eval_on_selector_all(
        "main img", "all => all.map(one => [one.naturalWidth, one.currentSrc])"
    )
    assert len(drawn) == PICTURES
    for width, source in drawn:
        assert width > 100
        assert source.endswith("?dark=1") == (scheme == "dark")
    beside = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert not page.evaluate(beside)
    if folder := os.environ.get("TAGGER_SHOTS"):
        page.screenshot(path=Path(folder) / f"insight-{scheme}-{size[0]}.png", full_page=True)
    results = Axe().run(page, options={"runOnly": TAGS})
    assert [violation["id"] for violation in results.response["violations"]] == []
    page.goto(f"{live_server.url}/insight/position.svg")  # opened alone
    assert page.locator("svg").count() == 1
    context.close()


def test_the_policy_refuses_nothing(page: Page, live_server: LiveServer, decided: Project) -> None:
    """`page` fails on what it refuses; neither on the page, nor where a picture is opened alone."""
    page.goto(f"{live_server.url}/sign-in/?next=/insight")
    page.fill("input[name=username]", "alice")
    page.fill("input[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{live_server.url}/insight")
    page.wait_for_load_state()
    page.goto(f"{live_server.url}/insight/position.svg")
    fill = "getComputedStyle(document.querySelector('#axes_1 text, text')).fill"
    assert page.evaluate(fill) == "rgb(31, 35, 39)"  # the ink, not the default black
