"""What owners see of the models, how good they are, and what is left to them."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Browser, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from review.llm.manners import Manners
from review.models import Batch, BatchState, Project, Proposal, Role, ServedModel, VocabularyVersion
from review.pipeline import auto_accept, served
from review.pipeline.adopt import adopt
from tests.test_auto_accept import calibrated
from tests.test_evaluate import measured

from .looking import looking, schemes, sizes
from .test_desk_in_browser import project as project
from .test_desk_in_browser import sign_in

pytestmark = pytest.mark.django_db(transaction=True)

RECIPE = {"prompt": "full-3", "plan": "greedy-and-samples", "shortlist": 12, "examples": 3}
LONG = "organisation/a-model-with-a-rather-long-name-instruct-2026-11-Q4_K_M"


@pytest.fixture
def owned(project: Project) -> Project:
    project.memberships.update(role=Role.OWNER)
    return project


@schemes
@sizes
def test_axe_finds_nothing_on_the_pages_of_quality(
    browser: Browser, live_server: LiveServer, owned: Project, scheme: str, size: tuple[int, int]
) -> None:
    asked: dict[str, Any] = {
        "endpoint": "https://models.example/v1",
        "model": LONG,
        "recipe": RECIPE,
    }
    names = measured(owned, name="Names counted", baseline="names")
    first = measured(owned, name="The model as it was", **asked)
    second = measured(owned, name="The model with examples and a long name", **asked)
    adopt(first)
    with looking(browser, scheme, size) as looker:
        page = looker.page
        sign_in(page, live_server)
        page.goto(f"{live_server.url}/quality")
        expect(page.get_by_role("link", name="Names counted")).to_be_visible()
        looker.look("quality")
        page.goto(f"{live_server.url}/quality/{second.pk}")
        expect(page.get_by_role("button", name="Ask it as in this run")).to_be_visible()
        looker.look("run")
        page.goto(f"{live_server.url}/quality/{first.pk}?against={names.pk}&missed=1")
        expect(page.locator("#compared")).to_be_visible()
        looker.look("compared")
        page.goto(f"{live_server.url}/quality/{names.pk}")
        looker.look("baseline")


@schemes
@sizes
def test_axe_finds_nothing_on_the_page_of_models(
    browser: Browser,
    live_server: LiveServer,
    owned: Project,
    settings: Settings,
    scheme: str,
    size: tuple[int, int],
) -> None:
    settings.SECOND_BASE_URL = "https://a-second-server.models.example:8443/openai/v1"
    settings.SECOND_MODEL = LONG
    adopted = measured(
        owned, name="Adopted", endpoint=settings.OPENAI_BASE_URL, model="fake", recipe=RECIPE
    )
    adopt(adopted)
    now = timezone.now()
    ServedModel.objects.update_or_create(
        base_url=settings.SECOND_BASE_URL,
        model=LONG,
        defaults={
            "manners": Manners(thinks=True, tokens=32000).as_json(),
            "failures": 5,
            "openings": 1,
            "open_until": now + datetime.timedelta(minutes=10),
            "last_error": f"The model server at {settings.SECOND_BASE_URL} is in trouble (503).",
            "last_error_at": now,
        },
    )
    served.forget()
    with looking(browser, scheme, size) as looker:
        page = looker.page
        sign_in(page, live_server)
        page.goto(f"{live_server.url}/models")
        expect(page.get_by_text("Not asked just now.")).to_be_visible()
        expect(page.get_by_role("button", name="Back to the default")).to_be_visible()
        looker.look("models")


@schemes
@sizes
def test_axe_finds_nothing_on_the_page_of_auto_accept(
    browser: Browser, live_server: LiveServer, owned: Project, scheme: str, size: tuple[int, int]
) -> None:
    with looking(browser, scheme, size) as looker:
        page = looker.page
        sign_in(page, live_server)
        page.goto(f"{live_server.url}/auto-accept")
        expect(page.get_by_text("It is not known yet")).to_be_visible()
        looker.look("unknown")
        seen = owned.documents.first()
        assert seen
        proposal = seen.proposals.get()
        calibrated(owned, proposal.model, proposal.prompt_version)
        page.goto(f"{live_server.url}/auto-accept")
        expect(page.locator("figure.curve")).to_be_visible()
        page.get_by_text("The same in numbers").click()
        looker.look("off")
        auto = auto_accept.switch_on(owned, 0.9, User.objects.get(username="alice"))
        page.goto(f"{live_server.url}/auto-accept")
        expect(page.get_by_role("heading", name="It is on")).to_be_visible()
        looker.look("on")
        auto_accept.switch_off(auto)
        page.goto(f"{live_server.url}/auto-accept")
        expect(page.get_by_text("Switched off by hand")).to_be_visible()
        looker.look("switched-off")


@schemes
@sizes
def test_axe_finds_nothing_on_the_page_of_spending(
    browser: Browser, live_server: LiveServer, owned: Project, scheme: str, size: tuple[int, int]
) -> None:
    with looking(browser, scheme, size) as looker:
        page = looker.page
        sign_in(page, live_server)
        page.goto(f"{live_server.url}/spending")
        expect(page.get_by_text("There is no cap.")).to_be_visible()
        looker.look("uncapped")
        asked = Proposal.objects.filter(document__project=owned)
        asked.update(model=LONG, tokens_in=1_234_567, tokens_cached=1_000_000, tokens_out=890)
        page.get_by_role("textbox", name="Model").fill(LONG)
        page.get_by_label("A million tokens in").fill("2.5")
        page.get_by_label("A million tokens out").fill("10")
        page.get_by_role("button", name="Keep the price").click()
        expect(page.get_by_role("status")).to_contain_text("is kept, for all projects")
        page.get_by_label("Tokens a day").fill("20000000")
        page.get_by_label("Money in all").fill("250")
        page.get_by_role("button", name="Set the caps").click()
        expect(page.get_by_role("status")).to_contain_text("The caps are kept")
        expect(page.get_by_role("progressbar", name="Tokens today (UTC)")).to_be_visible()
        looker.look("spending")
        page.get_by_label("Tokens a day").fill("0")
        page.get_by_label("Tokens a day").evaluate("it => it.form.noValidate = true")
        page.get_by_role("button", name="Set the caps").click()
        expect(page.get_by_text("greater than or equal to 1")).to_be_visible()
        looker.look("a-slip")


@schemes
@sizes
def test_axe_finds_nothing_on_the_page_of_batches(
    browser: Browser, live_server: LiveServer, owned: Project, scheme: str, size: tuple[int, int]
) -> None:
    with looking(browser, scheme, size) as looker:
        page = looker.page
        sign_in(page, live_server)
        owned.documents.filter(external_id="6").update(state="waiting")
        page.goto(f"{live_server.url}/batches")
        expect(page.get_by_role("button", name="Begin a batch")).to_be_visible()
        looker.look("begin")
        fields: dict[str, Any] = {
            "project": owned,
            "base_url": "https://models.example/v1",
            "model": LONG,
            "vocabulary_version": VocabularyVersion.current(owned),
            "max_tags": 3,
            "wanted": 20_000,
            "documents": 20_000,
            "requests": 60_000,
            "held_until": timezone.now(),
            "look_at": timezone.now(),
        }
        counts = {"stored": 19_000, "again": 400, "left": 500, "dropped": 60, "failed": 40}
        Batch.objects.create(
            state=BatchState.EXPIRED,
            error="The provider ended the batch before all was answered.",
            tokens_in=40_000_000,
            tokens_cached=20_000_000,
            tokens_out=900_000,
            **fields,
            **counts,
        )
        Batch.objects.create(
            state=BatchState.SENT, provider_state="in_progress", requests_done=31_000, **fields
        )
        page.goto(f"{live_server.url}/batches")
        expect(page.get_by_role("progressbar")).to_be_visible()
        looker.look("batches")
