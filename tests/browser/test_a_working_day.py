"""A stretch of a reviewer's day, by keyboard alone: twenty documents, and what comes between."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django import Settings

from review.models import Decision, Document, Membership, Project
from review.models.decision import REVIEWS
from review.pipeline import decide, queue
from tests.test_worker import ROOT, database_url
from tests.world import make_ready

from .test_desk_in_browser import PASSWORD, on_desk

pytestmark = pytest.mark.django_db(transaction=True)

DOCUMENTS = 20


class Server:
    """The web server as `make run` starts it: it can be stopped, and started on the same port."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {**os.environ, "DATABASE_URL": database_url()}
        command = [sys.executable, "manage.py", "collectstatic", "--no-input", "-v0"]
        subprocess.run(command, cwd=ROOT, env=self.environment, check=True)

    def start(self) -> None:
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", "tagger_site.wsgi"),
                *(f"--bind=127.0.0.1:{self.port}", "--worker-class=gthread", "--threads=4"),
                *("--log-level=warning", "--no-control-socket"),
            ],
            cwd=ROOT,
            env=self.environment,
        )
        deadline = time.monotonic() + 20
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/sign-in/").close()
                return
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def project(settings: Settings) -> Project:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]  # the server's
    project = Project.objects.create(name="READMEs", repeat_share=0)
    make_ready(project, DOCUMENTS)
    for name in ("alice", "bob"):
        user = User.objects.create_user(name, password=PASSWORD)
        Membership.objects.create(project=project, user=user)
    Document.objects.update(disagreement=0)  # in order of arrival
    return project


def title(number: int) -> str:
    return f"Document {number}"


def test_twenty_documents_by_keyboard_alone(page: Page, server: Server, project: Project) -> None:
    press = page.keyboard.press
    page.goto(server.url)
    expect(page.locator("input[name=username]")).to_be_focused()
    page.keyboard.type("alice")
    press("Tab")
    page.keyboard.type(PASSWORD)
    press("Enter")
    for number, key in enumerate("1231"):  # documents 0 to 3
        on_desk(page, title(number))
        press(key)

    on_desk(page, title(4))  # correct one
    press("e")
    expect(page.get_by_role("combobox")).to_be_focused()
    while page.locator(".chips .tag").count():
        press("Backspace")
    page.keyboard.type("secur")
    expect(page.get_by_role("option").first).to_contain_text("security")
    press("Enter")
    press("Enter")

    on_desk(page, title(5))  # skip one: unreadable
    press("s")
    page.locator("#skip[open]").wait_for()
    press("2")

    on_desk(page, title(6))  # undo two: the skip, then the correction
    press("u")
    on_desk(page, title(5))
    press("u")
    on_desk(page, title(4))
    expect(page.locator("[data-undone]")).to_contain_text("security")
    press("2")
    on_desk(page, title(5))  # and forward again, in the old order
    press("3")
    on_desk(page, title(6))
    press("n")  # none fits

    on_desk(page, title(7))  # look back, and come back to the same document
    press("ArrowLeft")
    page.wait_for_url("**/history")
    expect(page.locator("main")).to_contain_text(title(5))
    press("ArrowRight")
    on_desk(page, title(7))
    press("1")

    on_desk(page, title(8))  # the lease is lost: somebody else has decided meanwhile
    page.wait_for_load_state("networkidle")
    bob_decides(project, title(8))
    press("1")
    on_desk(page, title(9))
    expect(page.locator(".notice")).to_contain_text("finished by someone else")
    assert page.locator(".notice").is_visible()
    press("2")

    on_desk(page, title(10))  # the lease has run out, and nobody took it: it still counts
    Document.objects.filter(title=title(10)).update(
        lease_expires_at=timezone.now() - timedelta(minutes=1)
    )
    press("1")

    on_desk(page, title(11))  # the server goes, and comes back
    page.wait_for_load_state("networkidle")
    server.stop()
    press("3")
    expect(page.locator("#trouble")).to_contain_text("could not be reached")
    on_desk(page, title(11))  # nothing is lost: the choice can be made again
    server.start()
    press("3")

    on_desk(page, title(12))  # skip one for good, in words
    press("s")
    page.locator("#skip[open]").wait_for()
    press("5")
    expect(page.locator("#why")).to_be_focused()
    page.keyboard.type("Half of it is missing")
    press("Enter")

    for number in range(13, DOCUMENTS):
        on_desk(page, title(number))
        press("1")
    expect(page.locator("#title")).to_have_text("All done.")

    alice = User.objects.get(username="alice")
    mine = Decision.objects.standing().filter(reviewer=alice)
    kinds = {decision.document.title: decision.kind for decision in mine}
    assert kinds == {
        **{title(number): "pick" for number in range(DOCUMENTS) if number != 8},
        title(6): "none",
        title(12): "skip",
    }
    assert Decision.objects.filter(reviewer=alice, kind="undo").count() == 2
    assert Decision.objects.get(kind="skip", standing__isnull=False).note == "Half of it is missing"
    for document in project.documents.exclude(title=title(12)):
        assert (document.state, document.reviews) == ("reviewed", 1)
        assert document.standings.filter(decision__kind__in=REVIEWS).count() == 1
    expect(page.locator("#progress")).to_contain_text(f"{DOCUMENTS - 1} of {DOCUMENTS} done")


def bob_decides(project: Project, wanted: str) -> None:
    """What happens when a page idles beyond its lease, and another reviewer comes."""
    bob = User.objects.get(username="bob")
    lost = Document.objects.filter(title=wanted)
    lost.update(lease_expires_at=timezone.now() - timedelta(minutes=1), pinned=True)
    document = queue.claim_next(project, bob)
    assert document is not None
    assert document.title == wanted
    proposal = document.proposals.get(current=True)
    assert document.lease_token is not None
    page = decide.Page(bob, proposal, document.lease_token, uuid.uuid4())
    decide.pick(page, proposal.candidates.get(rank=1))
