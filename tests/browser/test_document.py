"""A document in a real browser: nothing is fetched for it, its fold opens, a note is sent."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from review.models import Decision, Document, Membership, Note, Project, Role
from review.pipeline.intake import take_in
from review.pipeline.propose import propose
from review.readers import Incoming

from .looking import looking, schemes
from .test_desk_in_browser import on_desk, sign_in
from .test_desk_in_browser import project as project

pytestmark = pytest.mark.django_db(transaction=True)

IMAGES = """# Images

[![build](https://ci.example/b.svg)](https://ci.example/) ![far](https://far.example/a.png)
<img src="https://far.example/b.png" alt="html"> <picture><source srcset="https://far.example/c">
<img src="//far.example/d.png" alt="no scheme"></picture> ![data](data:image/png;base64,iVBORw0K)
<video poster="https://far.example/e.png" src="https://far.example/f.mp4"></video>
<svg><image href="https://far.example/g.png"/></svg> <link rel=stylesheet href=//far.example/h>
<table background="https://far.example/i.png"><tr><td>cell</td></tr></table>
"""


def first(project: Project, title: str, text: str) -> None:
    """Make this the document that the desk shows first."""
    take_in(project, [Incoming("first", text, title=title)])
    document = Document.objects.get(external_id="first")
    propose(document.pk)
    Document.objects.filter(pk=document.pk).update(pinned=True)


def test_no_image_is_asked_for(page: Page, live_server: LiveServer, project: Project) -> None:
    first(project, "Document 1", IMAGES)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    sign_in(page, live_server)
    doc = page.locator(".doc")
    for name in ("build", "far", "html", "no scheme", "data"):
        expect(doc.locator(".remote-image", has_text=name)).to_be_visible()
    assert doc.locator("a", has_text="far").get_attribute("href") == "https://far.example/a.png"
    assert doc.locator("a", has_text="build").get_attribute("href") == "https://ci.example/"
    assert doc.locator("a a, img").count() == 0
    page.goto(f"{live_server.url}/documents/first")
    page.goto(f"{live_server.url}/raw/first")
    expect(page.locator("pre")).to_contain_text("https://far.example/a.png")
    assert all(url.startswith(live_server.url) for url in asked)


def long_text() -> str:
    parts = [f"## Part {number}\n\n" + "Some words. " * 40 for number in range(30)]
    return "\n\n".join([*parts, "The needle is here."])


def test_a_search_opens_the_fold(page: Page, live_server: LiveServer, project: Project) -> None:
    first(project, "Document 1", long_text())
    sign_in(page, live_server)
    expect(page.locator(".fold")).to_be_visible()
    assert not page.get_by_text("The needle").is_visible()
    page.keyboard.press("/")
    page.keyboard.type("the needle")
    expect(page.get_by_text("The needle")).to_be_in_viewport()


def test_the_fold_opens_by_keyboard_without_a_script(
    browser: Browser, live_server: LiveServer, project: Project
) -> None:
    first(project, "Document 1", long_text())
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, live_server, scripts=False)
    page.locator(".fold summary").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("The needle")).to_be_visible()
    context.close()


def test_a_note_is_sent_and_the_desk_stays(
    page: Page, live_server: LiveServer, project: Project
) -> None:
    sign_in(page, live_server)
    page.evaluate("window.stayed = true")
    page.keyboard.press("w")
    expect(page.locator("#note-text")).to_be_focused()
    page.keyboard.type("1 tag is missing")  # a digit that is typed picks nothing
    page.keyboard.press("Enter")
    expect(page.locator(".told")).to_have_text("Sent to the curator.")
    note = Note.objects.get()
    assert note.document
    assert (note.text, note.document.external_id) == ("1 tag is missing", "1")
    assert Decision.objects.count() == 0
    page.keyboard.press("1")
    on_desk(page, "Document 2")
    expect(page.locator(".told")).to_be_empty()
    assert Decision.objects.count() == 1
    page.keyboard.press("w")  # on a document that was prefetched
    page.keyboard.type("And another")
    page.keyboard.press("Enter")
    expect(page.locator(".told")).to_have_text("Sent to the curator.")
    assert [note.document.external_id for note in Note.objects.order_by("pk") if note.document] == [
        "1",
        "2",
    ]
    assert page.evaluate("window.stayed")


def test_a_note_that_could_not_be_sent_is_still_there(
    page: Page, live_server: LiveServer, project: Project
) -> None:
    sign_in(page, live_server)
    page.keyboard.press("w")
    page.keyboard.type("A tag is missing")
    page.context.set_offline(True)
    page.keyboard.press("Enter")
    expect(page.locator("#note .trouble")).to_contain_text("Not sent")
    assert page.locator("#note-text").input_value() == "A tag is missing"
    page.context.set_offline(False)
    page.keyboard.press("Enter")
    expect(page.locator(".told")).to_have_text("Sent to the curator.")
    assert Note.objects.count() == 1


def test_escape_closes_the_note_and_its_key_can_be_another(
    page: Page, live_server: LiveServer, project: Project
) -> None:
    sign_in(page, live_server)
    page.keyboard.press("?")
    page.locator(".key[data-for='w']").focus()
    page.keyboard.press("m")
    page.keyboard.press("Escape")
    page.keyboard.press("w")
    expect(page.locator("#note")).not_to_have_attribute("open", "")
    page.keyboard.press("m")
    expect(page.locator("#note")).to_have_attribute("open", "")
    page.keyboard.press("Escape")
    expect(page.locator("#note")).not_to_have_attribute("open", "")


def test_the_documents_page_takes_notes_too(
    page: Page, live_server: LiveServer, project: Project
) -> None:
    sign_in(page, live_server)
    page.goto(f"{live_server.url}/documents/2")
    page.keyboard.press("w")
    page.keyboard.type("A duplicate")
    page.keyboard.press("Enter")
    expect(page.locator(".told")).to_have_text("Sent to the curator.")
    assert Note.objects.get().text == "A duplicate"


@schemes
def test_axe_finds_nothing_here_either(
    browser: Browser, live_server: LiveServer, project: Project, scheme: str
) -> None:
    project.prompt = "full-2"  # which reads the beginning: a mark shows how far
    project.save()
    first(project, "Document 1", IMAGES + long_text())
    Membership.objects.update(role=Role.CURATOR)
    with looking(browser, scheme) as looker:
        page = looker.page
        sign_in(page, live_server)
        expect(page.locator(".read-to")).to_be_attached()
        page.locator(".fold summary").click()
        looker.look("unfolded")
        page.keyboard.press("w")
        looker.look("note")
        page.keyboard.type("A tag is missing")
        page.keyboard.press("Enter")
        expect(page.locator(".told")).not_to_be_empty()
        for path in ("notes", "notes?done=1", "raw/first"):
            page.goto(f"{live_server.url}/{path}")
            looker.look(path)
