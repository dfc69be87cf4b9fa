"""The pages of trainings in a real browser: axe finds nothing, the picture is drawn."""

from __future__ import annotations

import datetime

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from review.models import (
    Membership,
    Project,
    Release,
    ReleaseState,
    Role,
    Training,
    TrainingState,
)

from .looking import looking, schemes, sizes
from .test_desk_in_browser import PASSWORD

pytestmark = pytest.mark.django_db(transaction=True)

SFT = [
    {"phase": "sft", "step": step, "steps": 40, "loss": 1.6 / (1 + step / 12)}
    for step in range(1, 41)
]
DPO = [
    {
        "phase": "dpo",
        "step": step,
        "steps": 80,
        "loss": 1.2 - step / 160,
        "margin": step / 50,
        "accuracy": min(1, 0.5 + step / 120),
    }
    for step in range(1, 53)
]


@pytest.fixture
def training() -> Training:
    project = Project.objects.create(name="READMEs")
    olga = User.objects.create_user("olga", password=PASSWORD)
    Membership.objects.create(project=project, user=olga, role=Role.OWNER)
    files = [{"name": f"{name}/train.jsonl", "rows": 212} for name in ("trl", "sft")]
    release = Release.objects.create(
        project=project, number=3, state=ReleaseState.READY, formats=["trl", "sft"], files=files
    )
    failed = {"state": TrainingState.FAILED, "reason": "There is no GPU here to train it on."}
    base = "an-organisation/a-model-with-a-rather-long-name-12b-instruct"
    options = {"epochs": 2, "cpu": False}
    Training.objects.create(release=release, name="a-model-r3-t1", base=base, **failed)
    return Training.objects.create(
        release=release,
        name="smollm2-135m-r3-t2",
        start="shipped",
        options=options,
        asked_by=olga,
        state=TrainingState.RUNNING,
        progress=[*SFT, *DPO],
        seconds_left=512,
        lease_expires_at=timezone.now() + datetime.timedelta(hours=1),
        figures={
            "documents": 106,
            "pairs": 212,
            "too_long": 3,
            "seconds": 911.0,
            "peak_memory_mb": 2140,
            "accuracy": 0.93,
        },
    )


def sign_in(page: Page, live_server: LiveServer, path: str) -> None:
    page.goto(f"{live_server.url}/sign-in/?next={path}")
    page.fill("input[name=username]", "olga")
    page.fill("input[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{live_server.url}{path}")
    page.wait_for_load_state()


@schemes
@sizes
def test_axe_finds_nothing_and_the_picture_is_there(
    browser: Browser,
    live_server: LiveServer,
    training: Training,
    scheme: str,
    size: tuple[int, int],
) -> None:
    with looking(browser, scheme, size) as looker:
        page = looker.page
        sign_in(page, live_server, "/trainings?release=3")
        assert page.locator("select[name=release]").input_value() == "3"
        page.locator("details summary").last.click()
        looker.look("/trainings")
        page.goto(f"{live_server.url}/trainings/{training.pk}")
        page.wait_for_load_state()
        width, source = page.locator("main img").evaluate(
            "one => [one.naturalWidth, one.currentSrc]"
        )
        assert width > 100
        assert ("dark=1" in source) == (scheme == "dark")
        for fold in page.locator("main details summary").all():
            fold.click()
        looker.look("/trainings/one")


def test_the_page_moves_by_itself_and_stops_where_it_is_told(
    page: Page, live_server: LiveServer, training: Training
) -> None:
    """`page` fails on what the policy refuses."""
    sign_in(page, live_server, f"/trainings/{training.pk}")
    expect(page.locator("#moving")).to_contain_text("step 52 of 80")
    further = {**DPO[-1], "step": 60}
    Training.objects.update(progress=[*SFT, *DPO, further])
    expect(page.locator("#moving")).to_contain_text("step 60 of 80", timeout=60_000)
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#moving")).to_contain_text("stops after its step", timeout=60_000)
    training.refresh_from_db()
    assert training.stop_asked
    Training.objects.filter(pk=training.pk).update(state=TrainingState.STOPPED)
    expect(page.get_by_role("button", name="Go on")).to_be_visible(timeout=60_000)
