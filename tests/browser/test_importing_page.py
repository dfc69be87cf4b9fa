"""Documents brought in a real browser: the upload, its question, what came of it, what changed."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from review.models import Document, Import, Project, Role
from review.tasks import load_import

from .test_axe import TAGS
from .test_desk_in_browser import project as project
from .test_desk_in_browser import sign_in

pytestmark = pytest.mark.django_db(transaction=True)

SAMPLES = Path(__file__).resolve().parent.parent / "samples"
SHOTS = os.environ.get("TAGGER_SHOTS")  # a folder, for people to look at


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


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 800), (360, 740)], ids=["desktop", "phone"])
def test_axe_finds_nothing_on_the_pages_of_an_import(
    browser: Browser,
    live_server: LiveServer,
    project: Project,
    tmp_path: Path,
    scheme: str,
    size: tuple[int, int],
) -> None:
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,  # type: ignore[arg-type]
        reduced_motion="reduce",
        bypass_csp=True,  # axe is put into the page
    )
    page = context.new_page()
    found: dict[str, list[str]] = {}

    def look(view: str) -> None:
        page.wait_for_load_state()  # with its styles
        results = Axe().run(page, options={"runOnly": TAGS})
        found[view] = [violation["id"] for violation in results.response["violations"]]
        wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
        assert not wide, view
        if SHOTS:
            page.screenshot(path=f"{SHOTS}/{view}-{scheme}-{size[0]}.png", full_page=True)

    start(page, live_server, project)
    upload(page, SAMPLES / "articles.csv")
    page.get_by_text("Which column is which?").wait_for()
    look("asking")
    page.get_by_label("Title").select_option("Überschrift")
    page.get_by_role("button", name="Load", exact=True).click()
    page.get_by_text("Waiting for a worker").wait_for()
    table = Import.objects.get()
    Import.objects.update(state="running", bytes_done=table.bytes_total // 3, added=1)
    page.get_by_text("Loading").wait_for()
    look("moving")
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
    look("done")
    page.goto(f"{live_server.url}/imports")
    look("imports")
    page.goto(f"{live_server.url}/changed")
    look("changed")
    page.locator("tbody a").first.click()
    page.locator(".diff").wait_for()
    look("compare")
    context.close()
    assert found == {view: [] for view in found}
