"""Releases in a real browser: ordered, followed until they are ready, downloaded, looked at."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from review.models import Membership, Project, Proposal, Purpose, Release, ReleaseState, Role
from review.pipeline import release
from review.pipeline.release import FORMATS, Filters
from review.tasks import make_release

from .looking import looking, schemes, sizes
from .test_desk_in_browser import PASSWORD, sign_in
from .test_desk_in_browser import project as project
from .test_insight_page import decide

pytestmark = pytest.mark.django_db(transaction=True)

LONG = "an-organisation/a-model-with-a-rather-long-name-12b-instruct"


@pytest.fixture
def picked(project: Project, settings: Settings, tmp_path: Path) -> Project:
    """Three people's picks, who agree and disagree; alice is a curator."""
    settings.VAR = tmp_path
    project.memberships.update(role=Role.CURATOR)
    people = list(User.objects.all())
    for name in ("bob", "王小明"):
        people.append(User.objects.create_user(name, password=PASSWORD))
        Membership.objects.create(project=project, user=people[-1], role=Role.REVIEWER)
    for place, proposal in enumerate(Proposal.objects.order_by("pk")):
        if place > 2:
            Proposal.objects.filter(pk=proposal.pk).update(model=LONG)
        for person in people[: 1 + place % 3]:
            decide(proposal, person, 1 if person.pk % 2 else 2, Purpose.REVIEW)
    return project


def made(project: Project, *formats: str, **filters: bool) -> Release:
    ordered = release.order(
        project,
        Filters(**filters),  # type: ignore[arg-type]
        formats or list(FORMATS),
        note="All that was decided until the end of November, for the next model",
    )
    make_release(ordered.pk)
    ordered.refresh_from_db()
    assert ordered.state == ReleaseState.READY, ordered.reason
    return ordered


def test_one_is_ordered_followed_and_downloaded(
    page: Page, live_server: LiveServer, picked: Project, tmp_path: Path
) -> None:
    sign_in(page, live_server, scripts=False)  # all is decided
    page.goto(f"{live_server.url}/releases")
    page.get_by_label("What it is for").fill("The first")
    page.get_by_text("Which decisions").click()
    page.get_by_label("At most one pair a decision").check()
    page.get_by_label("From", exact=True).fill("2100-01-02")
    page.get_by_label("To, with this day").fill("2100-01-01")
    page.get_by_role("button", name="Order", exact=True).click()
    expect(page.get_by_text("The end must be after the start.")).to_be_visible()
    beside = page.locator(".field", has=page.get_by_label("To, with this day"))
    expect(beside.get_by_text("The end must be after the start.")).to_be_visible()
    assert page.get_by_label("To, with this day").get_attribute("aria-invalid") == "true"
    page.get_by_label("From", exact=True).fill("")
    page.get_by_role("button", name="Order", exact=True).click()
    page.wait_for_url(f"{live_server.url}/releases/1")
    expect(page.get_by_text("As they would be written now")).to_be_visible()
    expect(page.get_by_role("progressbar")).to_be_visible()
    ordered = Release.objects.get()
    assert (ordered.note, ordered.filters["one_pair"]) == ("The first", True)
    make_release(ordered.pk)  # as the worker does, while the page looks
    expect(page.get_by_text("Ready", exact=True)).to_be_visible(timeout=60_000)
    expect(page.get_by_text("As they are in")).to_be_visible()
    page.get_by_text("The prompt, as the model was sent it").first.click()
    expect(page.get_by_text("Answer with JSON only").first).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as ZIP").click()
    assert download.value.suggested_filename == "release-1.zip"
    download.value.save_as(tmp_path / "fetched.zip")
    with zipfile.ZipFile(tmp_path / "fetched.zip") as packed:
        assert packed.testzip() is None
    page.reload()
    expect(page.get_by_text("First downloaded on")).to_be_visible()
    expect(page.get_by_text("Delete this release")).to_have_count(0)


def test_one_that_nobody_has_is_deleted_after_a_second_word(
    page: Page, live_server: LiveServer, picked: Project
) -> None:
    kept = made(picked, "trl")
    sign_in(page, live_server, scripts=False)  # all is decided
    page.goto(f"{live_server.url}/releases/{kept.number}")
    button = page.get_by_role("button", name="Delete it for good")
    expect(button).to_be_hidden()
    page.get_by_text("Delete this release").click()
    button.click()
    expect(page.get_by_text("Release 1 was deleted.")).to_be_visible()
    assert not Release.objects.exists()


@schemes
@sizes
def test_axe_finds_nothing_on_the_pages_of_releases(
    browser: Browser, live_server: LiveServer, picked: Project, scheme: str, size: tuple[int, int]
) -> None:
    with looking(browser, scheme, size) as looker:
        page = looker.page
        sign_in(page, live_server, scripts=False)  # all is decided
        page.goto(f"{live_server.url}/releases")
        expect(page.get_by_text("There is no release yet.")).to_be_visible()
        page.get_by_text("Which decisions").click()
        looker.look("releases-empty")
        page.get_by_label("Least agreement, 0 to 1").fill("0.5")
        page.get_by_label("From", exact=True).fill("2100-01-02")
        page.get_by_label("To, with this day").fill("2100-01-01")
        page.get_by_role("button", name="Order", exact=True).click()
        expect(page.get_by_text("The end must be after the start.")).to_be_visible()
        looker.look("releases-refused")
        first = made(picked)
        second = made(picked, "trl", one_pair=True, on_policy=True)
        failed = release.order(picked, Filters(models=("another",)), ["trl"], note="Too narrow")
        make_release(failed.pk)
        moving = release.order(picked, Filters(), ["trl"])
        page.goto(f"{live_server.url}/releases/{moving.number}")
        expect(page.get_by_text("Waiting to be made")).to_be_visible()
        looker.look("release-waiting")
        Release.objects.filter(pk=moving.pk).update(
            state=ReleaseState.MAKING, decisions_wanted=120_000, decisions_done=45_000
        )
        expect(page.get_by_text("45,000 of 120,000 decisions read")).to_be_visible(timeout=60_000)
        looker.look("release-making")
        page.goto(f"{live_server.url}/releases")
        expect(page.get_by_role("progressbar")).to_be_visible()
        looker.look("releases")
        page.goto(f"{live_server.url}/releases/{failed.number}")
        expect(page.get_by_role("button", name="Order again")).to_be_visible()
        looker.look("release-failed")
        page.goto(f"{live_server.url}/releases/{second.number}?against={first.number}")
        expect(page.get_by_text("One pair a decision").last).to_be_visible()
        page.get_by_text("The prompt, as the model was sent it").first.click()
        page.get_by_text("Delete this release").click()
        looker.look("release-ready")
        page.goto(f"{live_server.url}/releases/{first.number}")
        expect(page.get_by_text("llama-factory/dataset_info.json")).to_be_visible()
        looker.look("release-all-formats")
