"""The tag list in a real browser: from an empty one to a change that is reverted."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from review.models import Document, DocumentState, Membership, Project, Role, VocabularyChange
from review.pipeline.first_start import SEED
from review.pipeline.intake import take_in
from review.pipeline.propose import propose
from review.readers import Incoming
from tests.fake_model import FakeModel, Reply, tags

from .looking import looking, schemes, sizes
from .test_desk_in_browser import PASSWORD

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def empty(model: FakeModel) -> Project:
    """A project without a tag, and its curator."""
    project = Project.objects.create(name="READMEs", repeat_share=0)
    user = User.objects.create_user("alice", password=PASSWORD)
    Membership.objects.create(project=project, user=user, role=Role.CURATOR)
    return project


def enter(page: Page, live_server: LiveServer) -> None:
    """Sign in, on the way to the admin."""
    page.goto(f"{live_server.url}/admin/")
    page.fill("input[name=username]", "alice")
    page.fill("input[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{live_server.url}/admin/review/tag/")


def import_seed(page: Page, live_server: LiveServer) -> None:
    page.get_by_role("link", name="Import and export").click()
    page.set_input_files("#file", SEED / "vocabulary.json")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator(".change")).to_have_count(90)
    page.get_by_role("button", name="Do it").click()
    expect(page.locator("caption")).to_contain_text("90 tags")


def ready(project: Project, number: int) -> Document:
    take_in(project, [Incoming(str(number), "Words.", title=f"Document {number}")])
    document = Document.objects.get(external_id=str(number))
    propose(document.pk)
    return document


def confirm(page: Page) -> None:
    expect(page.get_by_text("Nothing is saved yet")).to_be_visible()
    page.get_by_role("button", name="Do it").click()
    expect(page.locator(".notice[role=status]")).to_be_visible()


def test_a_curator_walks_through_the_list(
    page: Page, live_server: LiveServer, empty: Project, model: FakeModel
) -> None:
    enter(page, live_server)
    expect(page.get_by_text("There are no such tags.")).to_be_visible()
    import_seed(page, live_server)
    touched = [ready(empty, number) for number in (1, 2)]
    model.default = Reply([tags("blog"), tags("chat"), tags("blog", "chat")])
    untouched = ready(empty, 3)

    # Rename: the number stays.
    page.get_by_role("link", name="cli", exact=True).click()
    page.get_by_label("Name", exact=True).fill("shell command")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator(".change del")).to_have_text("cli")
    confirm(page)
    assert empty.tags.get(name="shell command").number == 4

    # Merge: the preview says what is touched; the model is asked again about that only.
    page.get_by_role("link", name="shell command", exact=True).click()
    page.get_by_role("link", name="Merge into another …").click()
    page.get_by_label("Into").select_option(label="terminal")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator(".found b")).to_have_text(["0", "2", "0", "0"])
    expect(page.locator(".found").nth(1)).to_contain_text("Document 1")
    assert not Document.objects.filter(state=DocumentState.WAITING).exists()
    page.get_by_label(re.compile("Ask the model again about the 2 documents")).check()
    confirm(page)
    waiting = Document.objects.filter(state=DocumentState.WAITING)
    assert list(waiting.order_by("pk")) == touched
    assert untouched not in waiting
    model.default = Reply([tags("terminal"), tags("lib"), tags("lib", "terminal")])
    for document in touched:
        propose(document.pk)
    assert "shell command" not in model.requests[-1]["messages"][0]["content"]

    # Retire two of the list, ticked there; without asking again.
    page.get_by_label("bitcoin", exact=True).check()
    page.get_by_label("blockchain", exact=True).check()
    page.get_by_role("button", name="Retire …").click()
    confirm(page)
    expect(page.locator("caption")).to_contain_text("87 tags")

    # Describe one, in the list itself.
    page.get_by_label("Description of blog").fill("Posts by date.")
    page.get_by_role("button", name="Save the texts …").click()
    confirm(page)
    expect(page.get_by_label("Description of blog")).to_have_value("Posts by date.")

    # Revert the retirement, from the history.
    page.get_by_role("link", name="History").click()
    expect(page.locator(".act-head h2")).to_have_text(
        ["Described", "Retired", "Merged", "Renamed", "Imported"]
    )
    page.get_by_role("link", name="Revert …").nth(1).click()
    confirm(page)
    expect(page.locator("caption")).to_contain_text("89 tags")
    assert VocabularyChange.objects.count() == 6

    # The versions side by side.
    page.get_by_role("link", name="Versions").click()
    expect(page.locator(".compared")).to_contain_text("bitcoin")


def test_a_file_with_bad_rows_waits_to_be_told(
    page: Page, live_server: LiveServer, empty: Project
) -> None:
    enter(page, live_server)
    page.get_by_role("link", name="Import and export").click()
    table = b"id,name\n1,one\n1,two\n,three\n"
    page.set_input_files("#file", {"name": "tags.csv", "mimeType": "text/csv", "buffer": table})
    page.get_by_role("button", name="Preview").click()
    expect(page.locator(".bad tbody tr")).to_have_count(2)
    page.get_by_role("button", name="Look at the good rows …").click()
    confirm(page)
    assert list(empty.tags.values_list("name", flat=True)) == ["one"]


@schemes
@sizes
def test_axe_finds_nothing_in_the_tag_list(
    browser: Browser, live_server: LiveServer, empty: Project, scheme: str, size: tuple[int, int]
) -> None:
    with looking(browser, scheme, size) as looker:
        page = looker.page
        enter(page, live_server)
        import_seed(page, live_server)
        ready(empty, 1)
        # So tall that the bar at the bottom lies on nothing: axe takes what it covers for small.
        page.set_viewport_size({"width": size[0], "height": 20_000})
        looker.look("list")
        page.set_viewport_size({"width": size[0], "height": size[1]})
        tag = empty.tags.get(name="cli").pk
        of = f"admin/review/tag/of/{empty.pk}"
        for path in (
            "admin/review/tag/add/",
            f"admin/review/tag/{tag}/change/",
            f"admin/review/tag/act/merge/?tag={tag}",
            f"admin/review/tag/act/split/?tag={tag}",
            f"admin/review/tag/act/retire/?tag={tag}",
            f"{of}/import/",
            f"{of}/history/",
            f"{of}/versions/",
            f"{of}/suggestions/",
        ):
            page.goto(f"{live_server.url}/{path}")
            looker.look(path)
