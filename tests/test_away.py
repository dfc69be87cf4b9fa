"""The database away, or held by another: 503 and "ask again", and nothing is said to be saved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection, connections
from django.test import Client

from review.models import Decision, Document, DocumentState, Membership, Project, Role, Scope
from review.pipeline.token import make

from .base import Page
from .world import make_ready

pytestmark = pytest.mark.django_db(transaction=True)

JSON = "application/json"


@contextmanager
def held() -> Iterator[None]:
    """Another process writes and does not end; here nobody waits for it as long as in earnest."""
    patient, hasty = PATIENCE[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(hasty)
    other = connections.create_connection("default")
    try:
        with other.cursor() as cursor:
            if other.vendor == "sqlite":
                cursor.execute("BEGIN IMMEDIATE")
            else:
                cursor.execute("BEGIN")
                cursor.execute("LOCK TABLE review_document, review_token IN EXCLUSIVE MODE")
            yield
            cursor.execute("ROLLBACK")
    finally:
        other.close()
        with connection.cursor() as cursor:
            cursor.execute(patient)


PATIENCE = {
    "sqlite": (
        f"PRAGMA busy_timeout = {settings.LOCK_SECONDS * 1000}",
        "PRAGMA busy_timeout = 50",
    ),
    "postgresql": (f"SET lock_timeout = '{settings.LOCK_SECONDS}s'", "SET lock_timeout = '50ms'"),
}


@contextmanager
def away() -> Iterator[None]:
    """Nobody answers at the database's address."""
    there: dict[str, Any] = {name: connection.settings_dict[name] for name in ("NAME", "PORT")}
    connection.close()
    connection.settings_dict |= {"PORT": "1"}
    if connection.vendor == "sqlite":
        connection.settings_dict["NAME"] = "/nowhere/at/all.sqlite3"
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict |= there


@pytest.fixture
def project() -> Project:
    project = Project.objects.create(name="READMEs", repeat_share=0)
    make_ready(project, 2)
    return project


@pytest.fixture
def alice(project: Project) -> Client:
    user = User.objects.create_user("alice")
    Membership.objects.create(project=project, user=user, role=Role.REVIEWER)
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


def token_of(project: Project) -> dict[str, str]:
    olga = User.objects.create_user("olga")
    Membership.objects.create(project=project, user=olga, role=Role.OWNER)
    return {"Authorization": f"Bearer {make(project, olga, 'a program', [*Scope], 1)[1]}"}


@pytest.mark.parametrize("trouble", [held, away])
@pytest.mark.parametrize("htmx", [False, True])
def test_a_pick_is_not_said_to_be_saved_and_counts_once_when_it_is_sent_again(
    alice: Client, trouble: Any, htmx: bool
) -> None:
    headers = {"HX-Request": "true"} if htmx else {}
    page = Page(alice.get("/").content.decode())
    with trouble():
        answer = alice.post(page.urls[0], page.fields, headers=headers)
    assert answer.status_code == 503
    assert int(answer["Retry-After"]) > 0
    told = answer.content.decode()
    assert "send it again" in told
    assert "data-desk" not in told, "the page's script would take it for the next document"
    assert not Decision.objects.exists()
    assert Document.objects.filter(state=DocumentState.READY).count() == 2
    for _ in range(2):
        again = alice.post(page.urls[0], page.fields, headers=headers)
        assert again.status_code in (200, 302)
    assert [str(decision.key) for decision in Decision.objects.all()] == [page.fields["key"]]


@pytest.mark.parametrize("trouble", [held, away])
def test_a_page_is_answered_with_one_that_needs_no_database(alice: Client, trouble: Any) -> None:
    with trouble():
        answer = alice.get("/")  # which would lease a document
    assert answer.status_code == 503
    assert answer["Content-Type"].startswith("text/html")
    assert int(answer["Retry-After"]) > 0
    assert "What you saved before is safe" in answer.content.decode()
    assert answer["Content-Security-Policy"]
    assert alice.get("/").status_code == 200


@pytest.mark.parametrize("trouble", [held, away])
def test_a_program_is_told_so_in_its_own_form(project: Project, trouble: Any) -> None:
    client = Client(raise_request_exception=False, headers=token_of(project))
    address = f"/api/v1/projects/{project.pk}/documents"
    body = json.dumps({"documents": [{"id": "new", "text": "# New"}]})
    with trouble():
        answer = client.post(address, body, content_type=JSON)
    assert answer.status_code == 503
    assert int(answer["Retry-After"]) > 0
    assert answer["Content-Type"] == "application/problem+json"
    assert "Ask again" in answer.json()["detail"]
    assert Document.objects.count() == 2
    assert client.post(address, body, content_type=JSON).json()["added"] == 1


def test_nobody_waits_for_ever_for_what_another_holds() -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA busy_timeout")
            assert cursor.fetchone() == (settings.LOCK_SECONDS * 1000,)
        else:
            cursor.execute("SHOW lock_timeout")
            assert cursor.fetchone() == (f"{settings.LOCK_SECONDS}s",)


def test_signing_in_while_it_is_away_is_no_wrong_password(alice: Client) -> None:
    client = Client(raise_request_exception=False)
    User.objects.create_user("bob", password="a long passphrase")
    given = {"username": "bob", "password": "a long passphrase"}
    with away():
        assert client.post("/sign-in/", given).status_code == 503
    assert client.post("/sign-in/", given).status_code == 302


def test_a_fault_of_ours_is_still_a_500(alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("review.views.desk.next_for", lambda *_: 1 / 0)
    assert alice.get("/").status_code == 500
