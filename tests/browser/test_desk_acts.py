"""What a reviewer does beside picking, and the next document that is there already."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, Request, expect
from pytest_django.live_server_helper import LiveServer

from review.models import Decision, DecisionKind, Document, Project, SkipReason, Tag
from review.pipeline.intake import take_in
from review.pipeline.propose import propose
from review.readers import Incoming

from .test_desk_in_browser import on_desk, project, sign_in

__all__ = ["project"]  # the fixture
pytestmark = pytest.mark.django_db(transaction=True)


def prefetched(page: Page) -> None:
    """Wait until the document after the one shown is held as well, and its page has arrived."""
    wait_until(lambda: Document.objects.exclude(lease_holder=None).count() == 2)
    page.wait_for_load_state("networkidle")


def wait_until(true: Callable[[], bool], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def last(kind: DecisionKind) -> Decision:
    decision = Decision.objects.latest("pk")
    assert decision.kind == kind
    return decision


def names(decision: Decision) -> list[str]:
    return [tag.name for tag in decision.tags]


# --- E ---------------------------------------------------------------------------


def test_a_set_of_ones_own_starts_from_the_first_candidate(
    page: Page, live_server: LiveServer, project: Project
) -> None:
    sign_in(page, live_server)
    first = page.locator(".pick").first.locator(".tag").all_inner_texts()
    page.keyboard.press("e")
    combobox = page.get_by_role("combobox")
    expect(combobox).to_be_focused()
    expect(page.locator(".chips .tag")).to_have_count(len(first))
    for _ in first:
        page.keyboard.press("Backspace")
    page.keyboard.type("secur")
    expect(page.get_by_role("option").first).to_contain_text("security")
    page.keyboard.press("Enter")
    page.keyboard.type("game")
    page.keyboard.press("Enter")
    expect(page.locator(".chips .tag")).to_have_count(2)
    page.keyboard.press("Enter")
    on_desk(page, "Document 2")
    assert names(last(DecisionKind.CORRECT)) == ["security", "game"]


def test_the_focused_candidate_is_where_a_correction_starts(
    page: Page, live_server: LiveServer, project: Project
) -> None:
    sign_in(page, live_server)
    third = page.locator(".pick").nth(2)
    wanted = third.locator(".tag").all_inner_texts()
    third.focus()
    page.keyboard.press("e")
    expect(page.locator(".chips .tag")).to_have_count(len(wanted))
    chips = [text.rstrip("×").strip() for text in page.locator(".chips .tag").all_inner_texts()]
    assert chips == wanted
    page.keyboard.press("Escape")
    expect(third).to_be_focused()
    expect(page.get_by_role("combobox")).to_be_hidden()
    assert Decision.objects.count() == 0


def test_the_type_ahead_finds_by_number_and_by_synonym_and_by_arrows(
    page: Page, live_server: LiveServer, project: Project
) -> None:
    Tag.objects.filter(name="security").update(synonyms=["infosec"], description="Keeps out.")
    number = Tag.objects.get(name="security").number
    sign_in(page, live_server)
    page.keyboard.press("e")
    combobox = page.get_by_role("combobox")
    for typed in ("infos", str(number)):
        combobox.fill(typed)
        chosen = page.locator("[role=option][aria-selected=true]")
        expect(chosen).to_contain_text("security")
        expect(chosen).to_contain_text("Keeps out.")
    combobox.fill("a")
    page.keyboard.press("ArrowDown")
    second = page.get_by_role("option").nth(1)
    expect(second).to_have_attribute("aria-selected", "true")
    expect(combobox).to_have_attribute("aria-activedescendant", "option-1")
    combobox.fill("no such tag")
    expect(page.locator(".hint")).to_contain_text("No tag")


def test_no_more_tags_than_fit_and_keys_do_not_act_while_typing(
    page: Page, live_server: LiveServer, project: Project
) -> None:
    sign_in(page, live_server)
    page.keyboard.press("e")
    expect(page.locator(".chips .tag").first).to_be_visible()
    while page.locator(".chips .tag").count() < 3:
        before = page.locator(".chips .tag").count()
        page.keyboard.type("ai" if before == 2 else "game")
        page.keyboard.press("Enter")
        expect(page.locator(".chips .tag")).to_have_count(before + 1)
    expect(page.locator(".hint")).to_contain_text("as many tags as fit")
    page.keyboard.type("1n")
    expect(page.get_by_role("option")).to_have_count(0)
    expect(page.locator("#title")).to_have_text("Document 1")
    page.get_by_role("combobox").fill("")
    page.keyboard.press("Control+Enter")
    on_desk(page, "Document 2")
    assert len(names(last(DecisionKind.CORRECT))) == 3


def test_a_set_that_the_server_refuses_stays_on_screen(
    page: Page, live_server: LiveServer, project: Project
) -> None:
    sign_in(page, live_server)
    page.keyboard.press("e")
    expect(page.locator(".chips .tag").first).to_be_visible()
    Tag.objects.filter(name="game").update(retired_at="2026-01-01T00:00Z")
    page.keyboard.press("Backspace")
    page.keyboard.type("game")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not in the vocabulary any more")
    expect(page.locator(".chips .tag", has_text="game")).to_be_visible()
    assert Decision.objects.count() == 0


# --- N, S, U ----------------------------------------------------------------------


def test_none_fits_is_one_press(page: Page, live_server: LiveServer, project: Project) -> None:
    sign_in(page, live_server)
    page.keyboard.press("n")
    on_desk(page, "Document 2")
    last(DecisionKind.NONE)


def test_a_skip_asks_for_its_reason(page: Page, live_server: LiveServer, project: Project) -> None:
    sign_in(page, live_server)
    page.keyboard.press("s")
    expect(page.get_by_role("button", name="Not my field")).to_be_focused()
    page.keyboard.press("3")  # a reason now, and not the third candidate
    on_desk(page, "Document 2")
    assert last(DecisionKind.SKIP).skip_reason == SkipReason.LANGUAGE
    page.keyboard.press("s")
    page.locator("#skip[open]").wait_for()
    page.keyboard.press("5")
    expect(page.locator("#why")).to_be_focused()
    page.keyboard.type("12 pages of logs")
    page.keyboard.press("Enter")
    on_desk(page, "Document 3")
    decision = last(DecisionKind.SKIP)
    assert (decision.skip_reason, decision.note) == (SkipReason.OTHER, "12 pages of logs")
    page.keyboard.press("s")
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    on_desk(page, "Document 4")
    last(DecisionKind.PICK)


def test_two_are_undone_after_the_next_page_has_come(
    page: Page, live_server: LiveServer, project: Project
) -> None:
    sign_in(page, live_server)
    page.keyboard.press("2")
    on_desk(page, "Document 2")
    prefetched(page)
    page.keyboard.press("n")
    on_desk(page, "Document 3")
    page.keyboard.press("u")
    on_desk(page, "Document 2")
    expect(page.locator("#said")).to_contain_text("Taken back: None fits")
    page.keyboard.press("u")
    on_desk(page, "Document 1")
    expect(page.locator("#said")).to_contain_text("Taken back:")
    expect(page.locator(".former [data-key='2']")).to_be_visible()
    assert Decision.objects.standing().count() == 0
    page.keyboard.press("u")
    expect(page.locator(".notice")).to_contain_text("nothing to take back")
    page.wait_for_timeout(300)
    page.keyboard.press("1")
    wait_until(lambda: Decision.objects.standing().count() == 1)


# --- The next document --------------------------------------------------------------


def test_the_next_document_is_already_there(
    page: Page, live_server: LiveServer, project: Project
) -> None:
    """One press, one answer that is put nowhere, and the next document is painted."""
    text = "Some words. " * 200
    more = [Incoming(str(n), f"# D {n}\n\n{text}", title=f"Document {n}") for n in range(7, 13)]
    take_in(project, more)
    for document in Document.objects.filter(state="waiting"):
        propose(document.pk)
    sign_in(page, live_server)
    page.evaluate("""() => {
        window.took = [];
        addEventListener("keydown", () => { window.began = performance.now(); }, true);
        document.addEventListener("desk:arrived", () => requestAnimationFrame(() =>
            took.push(performance.now() - began)));
    }""")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for number in range(2, 12):
        prefetched(page)
        asked.clear()
        with page.expect_response("**/choose") as answer:
            page.keyboard.press("1")
        on_desk(page, f"Document {number}")
        # What is painted was here before: htmx is told to put nothing in place.
        assert answer.value.headers["hx-reswap"] == "none"
        documents = [url for url in asked if url.endswith("/choose") or "/next" in url]
        assert documents == [answer.value.url]
        expect(page.locator("#progress")).to_contain_text(f"{number - 1} today")
        expect(page.locator("#title")).to_be_focused()
        assert page.title().startswith(f"Document {number} ")
    took = page.evaluate("took")
    assert len(took) == 10
    print(f"\nkey to paint: median {statistics.median(took):.0f} ms, worst {max(took):.0f} ms")
    assert Decision.objects.count() == 10


def test_a_prefetched_document_that_is_lost_is_not_shown(
    page: Page, live_server: LiveServer, project: Project
) -> None:
    sign_in(page, live_server)
    prefetched(page)
    Document.objects.filter(external_id="2").update(lease_token=None, state="reviewed")
    page.keyboard.press("1")
    on_desk(page, "Document 3")
    assert Decision.objects.count() == 1


# --- Reading -----------------------------------------------------------------------


def test_guidelines_and_search_are_a_key_away(
    page: Page, live_server: LiveServer, project: Project
) -> None:
    Project.objects.update(guidelines="Prefer the specific tag.")
    sign_in(page, live_server)
    page.keyboard.press("g")
    expect(page.get_by_text("Prefer the specific tag.")).to_be_visible()
    page.keyboard.press("g")
    expect(page.get_by_text("Prefer the specific tag.")).to_be_hidden()
    page.keyboard.press("/")
    page.keyboard.type("words")
    expect(page.locator("#find output")).to_have_text("1 / 200")
    page.keyboard.press("Enter")
    expect(page.locator("#find output")).to_have_text("2 / 200")
    page.keyboard.press("Escape")
    expect(page.locator("#find")).to_be_hidden()
    page.keyboard.press("1")
    on_desk(page, "Document 2")


def test_looking_back_and_coming_back(
    page: Page, live_server: LiveServer, project: Project
) -> None:
    sign_in(page, live_server)
    page.keyboard.press("1")
    on_desk(page, "Document 2")
    page.keyboard.press("u")
    on_desk(page, "Document 1")
    page.keyboard.press("n")
    expect(page.locator("#title")).to_have_text("Document 2")
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("heading", name="Looking back")).to_be_visible()
    expect(page.locator(".past li")).to_have_count(2)
    expect(page.locator(".past li.gone")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator(".candidates")).to_be_visible()


# --- Leases --------------------------------------------------------------------------


def test_an_open_page_renews_and_a_left_one_gives_back(
    page: Page, live_server: LiveServer, project: Project
) -> None:
    page.clock.install()
    sign_in(page, live_server)
    sent: list[Request] = []
    page.on("request", lambda request: sent.append(request))
    answered: list[Request] = []
    page.on("requestfinished", lambda request: answered.append(request))
    prefetched(page)
    page.clock.run_for(125_000)
    wait_until(lambda: page.evaluate("1") == 1 and any("renew" in r.url for r in sent))
    renewals = [r.post_data or "" for r in sent if "renew" in r.url]
    assert renewals[-1].count('name="lease"') == 2
    # Only then: a renewal still under way could be served after the page has given back.
    wait_until(lambda: page.evaluate("1") == 1 and set(sent) <= set(answered))
    page.goto("about:blank")
    wait_until(lambda: not any(held.lease_expires_at for held in live()))


def live() -> list[Document]:
    from django.utils import timezone

    return list(Document.objects.filter(lease_expires_at__gt=timezone.now()))


def test_a_lost_lease_is_said_calmly(page: Page, live_server: LiveServer, project: Project) -> None:
    page.clock.install()
    sign_in(page, live_server)
    prefetched(page)
    Document.objects.filter(external_id="1").update(lease_token=None)
    page.clock.run_for(125_000)
    expect(page.locator("#hold")).to_contain_text("no longer")
    expect(page.locator("#title")).to_have_text("Document 1")


# --- Keys ------------------------------------------------------------------------------


def test_keys_can_be_changed_and_turned_off(
    page: Page, live_server: LiveServer, project: Project
) -> None:
    sign_in(page, live_server)
    page.keyboard.press("?")
    page.get_by_label("None fits").focus()
    page.keyboard.press("x")
    expect(page.get_by_label("None fits")).to_have_value("X")
    page.get_by_label("Skip, with a reason").focus()
    page.keyboard.press("Delete")
    page.keyboard.press("Escape")
    expect(page.locator("[data-key='n'] kbd")).to_have_text("X")
    for key in ("n", "s"):
        page.keyboard.press(key)
    expect(page.locator("#skip[open]")).to_have_count(0)
    page.keyboard.press("x")
    on_desk(page, "Document 2")
    page.reload()
    on_desk(page, "Document 2")
    page.keyboard.press("?")
    page.get_by_label("Single keys act").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    page.keyboard.press("x")
    page.wait_for_timeout(300)
    assert Decision.objects.count() == 1


# --- Without ---------------------------------------------------------------------------


def test_all_acts_work_without_javascript(
    browser: Browser, live_server: LiveServer, project: Project
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, live_server, scripts=False)
    page.locator("#correct summary").click()
    page.locator("input[name=tags]").first.fill(str(Tag.objects.get(name="game").number))
    page.get_by_role("button", name="Save these tags").click()
    expect(page.locator("#title")).to_have_text("Document 2")
    assert names(last(DecisionKind.CORRECT)) == ["game"]
    page.get_by_role("button", name="None fits").click()
    expect(page.locator("#title")).to_have_text("Document 3")
    page.locator("#skip summary").click()
    page.get_by_role("button", name="Unreadable").click()
    expect(page.locator("#title")).to_have_text("Document 4")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#title")).to_have_text("Document 3")
    context.close()


def test_a_phone_reaches_every_act_with_the_thumb(
    browser: Browser, live_server: LiveServer, project: Project
) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 740}, has_touch=True)
    page = context.new_page()
    sign_in(page, live_server)
    for name in ("e", "n", "s", "u"):
        box = page.locator(f".acts [data-key='{name}']").bounding_box()
        assert box
        assert box["height"] >= 44
        assert box["y"] + box["height"] <= 740
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360
    page.tap("#skip summary")
    page.get_by_role("button", name="A duplicate").tap()
    on_desk(page, "Document 2")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    context.close()
