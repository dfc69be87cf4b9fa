"""Documents brought in a real browser: the upload, its question, what came of it, what changed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from review.models import Document, Import, Project, Role
from review.tasks import load_import

from .looking import looking, schemes, sizes
from .test_desk_in_browser import project as project
from .test_desk_in_browser import sign_in

pytestmark = pytest.mark.django_db(transaction=True)

SAMPLES = Path(__file__).resolve().parent.parent / "samples"


def start(page: Page, live_server: LiveServer, project: Project) -> None:
    project.memberships.update(role=Role.CURATOR)
    sign_in(page, live_server)
    page.goto(f"{live_server.url}/imports")


def upload(page: Page, path: Path) -> None:
    page.get_by_label("A file").set_input_files(path)
    page.get_by_role("button", name="Upload").click()


def wait_for_import(page: Page) -> None:
    """Until its own page is there: the list tells states too."""
    page.wait_for_url(re.compile(r"/imports/\d+$"))
    page.locator("#moving").wait_for()


def test_a_file_is_uploaded_and_its_page_follows_it(
    page: Page, live_server: LiveServer, project: Project, tmp_path: Path
) -> None:
    start(page, live_server, project)
    rows = [{"id": f"in-{n}", "text": f"Text {n}."} for n in range(3)]
    path = tmp_path / "in.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n{")
    upload(page, path)
    wait_for_import(page)
    expect(page.get_by_text("Waiting for a worker")).to_be_visible()
    load_import(Import.objects.get().pk)  # as the worker does, while the page looks
    expect(page.get_by_text("Done", exact=True)).to_be_visible()
    expect(page.get_by_role("cell", name="This is not JSON")).to_be_visible()
    assert Document.objects.filter(external_id__startswith="in-").count() == 3


def test_an_upload_that_is_refused_says_so(
    page: Page, live_server: LiveServer, project: Project, tmp_path: Path
) -> None:
    start(page, live_server, project)
    empty = tmp_path / "empty.md"
    empty.write_text("")
    upload(page, empty)
    expect(page.get_by_role("alert").get_by_text("Choose a file")).to_be_visible()
    expect(page.get_by_role("button", name="Upload")).to_be_enabled()
    upload(page, SAMPLES / "notes.rst")  # the page works on
    expect(page.get_by_role("heading", name="notes.rst")).to_be_visible()


@schemes
@sizes
def test_axe_finds_nothing_on_the_pages_of_an_import(
    browser: Browser,
    live_server: LiveServer,
    project: Project,
    tmp_path: Path,
    scheme: str,
    size: tuple[int, int],
) -> None:
    with looking(browser, scheme, size) as looker:
        page = looker.page
        start(page, live_server, project)
        upload(page, SAMPLES / "articles.csv")
        page.get_by_text("Which column is which?").wait_for()
        looker.look("asking")
        page.get_by_label("Title").select_option("Überschrift")
        page.get_by_role("button", name="Load", exact=True).click()
        page.get_by_text("Waiting for a worker").wait_for()
        table = Import.objects.get()
        Import.objects.update(state="running", bytes_done=table.bytes_total // 3, added=1)
        page.get_by_text("Loading").wait_for()
        looker.look("moving")
        Import.objects.update(state="waiting", added=0)
        page.goto(f"{live_server.url}/imports")
        reviewed = Document.objects.get(external_id="3")
        Document.objects.filter(pk=reviewed.pk).update(state="reviewed", reviews=1)
        rows: list[object] = [{"id": "a", "text": "One."}, {"id": "b", "text": "One."}, {"id": "c"}]
        rows += [{"id": "3", "text": reviewed.text.replace("a", "e") + "\n\nMore."}]
        path = tmp_path / "articles.jsonl"
        path.write_text("\n".join(map(json.dumps, rows)) + "\n{")
        upload(page, path)
        wait_for_import(page)
        for record in Import.objects.all():
            load_import(record.pk)
        page.get_by_text("Done", exact=True).wait_for()
        looker.look("done")
        page.goto(f"{live_server.url}/imports")
        looker.look("imports")
        page.goto(f"{live_server.url}/changed")
        looker.look("changed")
        page.locator("tbody a").first.click()
        page.locator(".diff").wait_for()
        looker.look("compare")
