"""What a reviewer does, done in a real browser."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from review.models import Decision, Document, DocumentState, Membership, Project, Role, Tag
from review.pipeline.first_start import seed_tags
from review.pipeline.intake import take_in
from review.pipeline.propose import propose
from review.readers import Incoming
from tests.fake_model import FakeModel

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "a long passphrase"
HOSTILE = (
    "# A hostile document\n\n<script>document.title='pwned'</script>"
    "<img src='https://tracker.example/p.png' onerror=\"document.title='pwned'\">\n\n"
    "[click](javascript:document.title='pwned')\n"
)


@pytest.fixture
def project(model: FakeModel) -> Project:
    """Six documents that are ready, the last one hostile, and a reviewer."""
    project = Project.objects.create(name="READMEs")
    Tag.objects.bulk_create(
        Tag(project=project, number=tag.pop("id"), **tag) for tag in seed_tags()
    )
    user = User.objects.create_user("alice", password=PASSWORD)
    Membership.objects.create(project=project, user=user, role=Role.REVIEWER)
    texts = [f"# Document {number}\n\n" + "Some words. " * 200 for number in range(1, 6)]
    take_in(
        project,
        (
            Incoming(str(number), text, title=f"Document {number}")
            for number, text in enumerate([*texts, HOSTILE], start=1)
        ),
    )
    for document in Document.objects.all():
        propose(document.pk)
    return project


def on_desk(page: Page, title: str) -> None:
    """Wait until the document is there and may be picked on.

    For a fifth of a second the desk takes no pick: a double press is not two.
    """
    expect(page.locator("#title")).to_have_text(title)
    page.locator("#desk[data-open]").wait_for(state="attached")


def sign_in(page: Page, live_server: LiveServer, scripts: bool = True) -> None:
    page.goto(live_server.url)
    page.fill("input[name=username]", "alice")
    page.fill("input[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{live_server.url}/")
    page.wait_for_load_state("load")
    if scripts:
        on_desk(page, "Document 1")


def test_a_reviewer_works_by_keyboard_alone(
    page: Page, live_server: LiveServer, project: Project
) -> None:
    sign_in(page, live_server)
    page.evaluate("window.stayed = true")
    for number, key in enumerate(["1", "2", "3"], start=2):
        shown = page.locator(f"button[data-key='{key}'] .tag").all_inner_texts()
        page.keyboard.press(key)
        on_desk(page, f"Document {number}")
        decision = Decision.objects.latest("pk")
        assert decision.candidate
        assert {tag.name for tag in decision.candidate.tags} == {name.strip() for name in shown}
        assert decision.shown[int(key) - 1] == decision.candidate.rank
    assert page.evaluate("window.stayed")  # the next document came without loading a page
    assert Decision.objects.count() == 3


def test_a_click_picks_as_well(page: Page, live_server: LiveServer, project: Project) -> None:
    sign_in(page, live_server)
    page.click("button[data-key='2']")
    on_desk(page, "Document 2")
    assert Decision.objects.count() == 1


def test_a_double_press_picks_once(page: Page, live_server: LiveServer, project: Project) -> None:
    sign_in(page, live_server)
    page.dblclick("button[data-key='1']")
    on_desk(page, "Document 2")
    page.wait_for_timeout(300)
    assert Decision.objects.count() == 1


def test_a_conflict_is_said_and_the_desk_goes_on(
    page: Page, live_server: LiveServer, project: Project
) -> None:
    sign_in(page, live_server)
    Document.objects.filter(external_id="1").update(state=DocumentState.REVIEWED)
    page.keyboard.press("1")
    expect(page.locator(".notice")).to_contain_text("finished by someone else")
    on_desk(page, "Document 2")
    assert Decision.objects.count() == 0


def test_a_server_that_is_gone_loses_no_choice(
    page: Page, live_server: LiveServer, project: Project
) -> None:
    sign_in(page, live_server)
    page.context.set_offline(True)
    page.keyboard.press("1")
    expect(page.get_by_role("alert")).to_contain_text("Not saved")
    page.context.set_offline(False)
    page.keyboard.press("1")
    on_desk(page, "Document 2")
    assert Decision.objects.count() == 1


def test_without_javascript_the_same_forms_work(
    browser: Browser, live_server: LiveServer, project: Project
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, live_server, scripts=False)
    page.click("button[data-key='1']")
    expect(page.locator("#title")).to_have_text("Document 2")
    assert Decision.objects.count() == 1
    context.close()


def test_a_phone_shows_the_sets_and_does_not_scroll_sideways(
    browser: Browser, live_server: LiveServer, project: Project
) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 740}, has_touch=True)
    page = context.new_page()
    sign_in(page, live_server)
    page.wait_for_load_state()  # with its styles
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 360
    for key in "123":
        box = page.locator(f"button[data-key='{key}']").bounding_box()
        assert box
        assert box["height"] >= 44
        assert box["y"] + box["height"] <= 740  # all three are within the thumb's reach
    page.tap("button[data-key='3']")
    on_desk(page, "Document 2")
    context.close()


def test_a_hostile_document_runs_nothing_and_calls_nobody(
    page: Page, live_server: LiveServer, project: Project
) -> None:
    sign_in(page, live_server)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for number in range(1, 6):
        on_desk(page, f"Document {number}")
        page.keyboard.press("1")
    expect(page.locator(".doc")).to_contain_text("A hostile document")
    page.get_by_text("click", exact=False).first.wait_for()
    assert "pwned" not in page.title()
    assert all(url.startswith(live_server.url) for url in asked)


def test_the_empty_queue_says_so(page: Page, live_server: LiveServer, project: Project) -> None:
    Document.objects.exclude(external_id="1").delete()
    sign_in(page, live_server)
    page.keyboard.press("1")
    expect(page.locator("#desk .candidates")).to_have_count(0)
    expect(page.locator("#desk")).to_contain_text("reviewed")
