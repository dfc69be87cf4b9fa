"""Backups: every row of every table comes back, on the other database too; or nothing does."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import uuid
import zipfile
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, connections, models, transaction
from django.test import Client
from pytest_django import Settings

from review.models import (
    Decision,
    Delivery,
    Document,
    DocumentState,
    Import,
    Membership,
    Project,
    Proposal,
    Release,
    Role,
    Tally,
    Training,
    TrainingState,
    Webhook,
)
from review.pipeline import backup as taking
from review.pipeline import release, seal
from review.pipeline.backup_rows import LEFT_OUT, tables

from .base import Page
from .reviewers import Reviewers
from .test_worker import ROOT, database_url
from .world import make_ready

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "a long passphrase"
ODD = "ä “x” \\ '%s' 漢字 \u2028\r\n\t🙂"
# What the filling of a table by kinds of columns would get wrong.
FILLED: dict[str, dict[str, Any]] = {"review_inuse": {"rival": None}}


# --- A house in which every table has rows --------------------------------------------------


@pytest.fixture
def house(settings: Settings, tmp_path: Path) -> Project:
    settings.VAR = tmp_path / "var"
    project = Project.objects.create(name="READMEs", repeat_share=0, guidelines=ODD)
    make_ready(project, 8, f"# A document\n\n{ODD}")
    people = [User.objects.create_user(name, password=PASSWORD) for name in ("alice", "bob")]
    for user in people:
        Membership.objects.create(project=project, user=user, role=Role.OWNER)
    Webhook.objects.create(
        project=project, url="http://127.0.0.1:9/", events=["document.reviewed"], secret="whsec_"
    )
    for user in people:
        client = Client()
        client.force_login(user)
        for act in ("choose", "correct", "choose"):
            decide(client, act)
        client.post("/undo", {"key": str(uuid.uuid4())})
    seal.seal()
    made = release.order(project, release.Filters(), ["trl", "sft"])
    release.make(made.pk)
    adapter = b"GGUF" * 999
    trained = Training.objects.create(
        release=made,
        name="tuned",
        state=TrainingState.READY,
        adapter_sha256=hashlib.sha256(adapter).hexdigest(),
    )
    written(settings.VAR / trained.folder / "adapter.gguf", adapter)
    Import.objects.create(project=project, name="a.jsonl", format="jsonl", upload="0a1b")
    written(settings.VAR / "uploads" / "0a1b", b'{"id": "1", "text": "a"}\n')
    for table in tables():
        if not table.model._base_manager.exists():
            table.model._base_manager.create(**filling(table.model))
    assert Delivery.objects.exists()
    assert Decision.objects.filter(undoes__isnull=False).exists()
    assert Release.objects.get().files
    return project


def decide(client: Client, act: str) -> Decision:
    page = Page(client.get("/").content.decode())
    proposal = Proposal.objects.get(document__lease_token=page.fields["lease"])
    if act == "choose":
        answer = client.post(page.urls[0], page.fields)
    else:
        fields = {**page.fields, "tags": ["25", "1"], "note": ODD}
        answer = client.post(f"/proposals/{proposal.pk}/correct", fields)
    assert answer.status_code < 400
    return Decision.objects.get(key=page.fields["key"])


def written(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def filling(model: type[models.Model]) -> dict[str, Any]:
    """A value for each column, an odd one where it may be."""
    found: dict[str, Any] = {}
    for field in model._meta.concrete_fields:
        related = field.related_model
        kind = field.get_internal_type()
        if isinstance(related, type):
            found[field.name] = related._base_manager.order_by("pk").first()
        elif field.primary_key and "Auto" in kind:
            continue
        elif field.choices:
            found[field.name] = field.choices[-1][0]
        elif kind in ("CharField", "TextField"):
            found[field.name] = ODD[: field.max_length]
        elif kind == "JSONField":
            found[field.name] = {"long name": [1, 0.1, None, True, ODD], "b": {}, "a": "1"}
        else:
            found[field.name] = {
                "DateTimeField": datetime.datetime(2026, 1, 2, 3, 4, 5, 6, datetime.UTC),
                "DateField": datetime.date(2026, 2, 28),
                "UUIDField": uuid.UUID(int=10**30),
                "FloatField": 0.1 + 0.2,
                "BooleanField": True,
                "GenericIPAddressField": "2001:db8::1",
            }.get(kind, 7)
    return found | FILLED.get(model._meta.db_table, {})


def emptied() -> None:
    """As after `migrate`: the tests' own emptying leaves what its triggers write."""
    call_command("flush", interactive=False, verbosity=0)
    Tally.objects.all().delete()


def assert_empty() -> None:
    for table in tables():
        assert not table.model._base_manager.exists(), table.name


# --- Another install -------------------------------------------------------------------------


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite database after `migrate`, to be copied."""
    path = tmp_path_factory.mktemp("prepared") / "db.sqlite3"
    manage("migrate", url=f"sqlite:///{path}", var=path.parent)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA journal_mode=DELETE")
    return path


def manage(*args: object, url: str, var: Path) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *map(str, args)],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url, "TAGGER_VAR": str(var)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def command(*args: object) -> str:
    out = StringIO()
    call_command(*map(str, args), stdout=out, stderr=StringIO())
    return out.getvalue()


Rows = dict[str, list[str]]


def all_rows(cursor: Any, names: list[str]) -> Rows:
    """Of every table, read without Tagger, in a form that is the same on both databases."""

    def run(sql: str) -> tuple[list[str], list[Any]]:
        result = cursor.execute(sql)
        rows = (result or cursor).fetchall()
        return [column[0] for column in (result or cursor).description], rows

    kinds = {
        pk: name for pk, *name in run("SELECT id, app_label, model FROM django_content_type")[1]
    }
    rights = {
        pk: (kinds[kind], code)
        for pk, kind, code in run("SELECT id, content_type_id, codename FROM auth_permission")[1]
    }
    own: dict[str, dict[Any, Any]] = {"content_type_id": kinds, "permission_id": rights}
    found = {}
    for name in names:
        columns, rows = run(f"SELECT * FROM {name}")
        told = [
            {
                column: own[column].get(value) if column in own else plain(value)
                for column, value in zip(columns, row, strict=True)
            }
            for row in rows
        ]
        if name == "review_document":
            for one in told:
                if one["state"] != DocumentState.READY:  # made again when it is looked at
                    del one["html"], one["html_version"]
        found[name] = sorted(repr(sorted(one.items())) for one in told)
    return found


def plain(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        if value.tzinfo:
            value = value.astimezone(datetime.UTC).replace(tzinfo=None)
        return str(value)
    if isinstance(value, uuid.UUID):
        return value.hex
    if isinstance(value, bool | float):
        return float(value)
    if isinstance(value, int):
        return float(value) if value < 2**53 else value
    if isinstance(value, str) and value[:1] in ("[", "{", '"'):
        try:
            return repr(json.dumps(json.loads(value), sort_keys=True))
        except ValueError:
            return value
    return value if value is None or isinstance(value, str) else str(value)


def names_of_tables() -> list[str]:
    """All but those that every install has for itself."""
    away = {model._meta.db_table for model in LEFT_OUT} | {"django_migrations", "review_words"}
    return sorted(set(connection.introspection.table_names()) - away)


def rows_here() -> Rows:
    with connection.cursor() as cursor:
        return all_rows(cursor, names_of_tables())


def rows_in(path: Path) -> Rows:
    with sqlite3.connect(path) as db:
        return all_rows(db.cursor(), names_of_tables())


def files_under(var: Path) -> dict[str, bytes]:
    folders = ("releases", "trainings", "uploads")
    found = [path for folder in folders for path in (var / folder).rglob("*") if path.is_file()]
    return {path.relative_to(var).as_posix(): path.read_bytes() for path in found}


# --- There and back --------------------------------------------------------------------------


def test_every_row_of_every_table_comes_back_from_another_install(
    house: Project, settings: Settings, tmp_path: Path, prepared: Path
) -> None:
    before, files = rows_here(), files_under(settings.VAR)
    assert [name for name, rows in before.items() if not rows] == []
    assert {Path(name).name for name in files} >= {"adapter.gguf", "manifest.json", "0a1b"}
    tally, made = Tally.objects.of(house), triggers()

    out = command("backup", tmp_path / "first.zip")
    assert f"{len(files)} files" in out
    assert stat.S_IMODE((tmp_path / "first.zip").stat().st_mode) == 0o600

    there, var = tmp_path / "there.sqlite3", tmp_path / "there"
    shutil.copy(prepared, there)
    told = manage("restore", tmp_path / "first.zip", url=f"sqlite:///{there}", var=var)
    assert f"verify --head {seal.head().position}:{seal.head().sha256}" in told
    assert rows_in(there) == before
    assert files_under(var) == files
    manage("backup", tmp_path / "second.zip", url=f"sqlite:///{there}", var=var)

    emptied()
    settings.VAR = tmp_path / "back"
    command("restore", tmp_path / "second.zip")
    assert rows_here() == before
    assert files_under(settings.VAR) == files
    assert Tally.objects.of(house) == tally
    assert triggers() == made
    assert not Session.objects.exists()
    assert "Nothing is wrong" in command(*told.rpartition("manage.py ")[2].split())
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM review_words")
            assert cursor.fetchone() == (Document.objects.count(),)

    at_work()
    with pytest.raises(IntegrityError), transaction.atomic():
        Decision.objects.update(note="changed")


def at_work() -> None:
    """Somebody signs in and picks; all that the triggers do is done once."""
    reviewed = Tally.objects.of(Project.objects.get(name="READMEs"))[DocumentState.REVIEWED]
    deliveries, last = Delivery.objects.count(), Decision.objects.latest("pk").pk
    client = Client()
    entered = client.post("/sign-in/", {"username": "alice", "password": PASSWORD}, follow=True)
    assert entered.status_code == 200
    decision = decide(client, "choose")
    assert decision.pk > last
    assert decision.reviewer.username == "alice"
    after = Tally.objects.of(Project.objects.get(name="READMEs"))
    assert after[DocumentState.REVIEWED] == reviewed + 1
    assert Delivery.objects.count() == deliveries + 1


def test_files_can_be_left_out_and_what_is_gone_is_told(
    house: Project, settings: Settings, tmp_path: Path
) -> None:
    (settings.VAR / "uploads" / "0a1b").unlink()
    errors = StringIO()
    call_command("backup", str(tmp_path / "with.zip"), stdout=StringIO(), stderr=errors)
    assert "Not on this machine, and so not in it: uploads/0a1b" in errors.getvalue()
    command("backup", tmp_path / "without.zip", "--without-files")
    before = rows_here()
    emptied()
    settings.VAR = tmp_path / "back"
    assert "without the files of releases" in command("restore", tmp_path / "without.zip")
    assert rows_here() == before
    assert files_under(settings.VAR) == {}


def test_a_backup_is_one_moment_and_nobody_waits_for_it(
    house: Project, tmp_path: Path, settings: Settings
) -> None:
    """Two people review all that is left, from the first row that is read to the second."""
    make_ready(house, 20)
    before = rows_here()
    reviewers = [User.objects.get(username=name) for name in ("alice", "bob")]
    working = Reviewers(house, reviewers)
    picked: list[str] = []

    def meanwhile(_rows: int) -> None:
        if not picked:
            working.begin()
            picked.extend(key for told in working.told() for key in told.keys)

    each, taking.TOLD_EACH = taking.TOLD_EACH, 1
    try:
        taking.backup(tmp_path / "all.zip", told=meanwhile)
    finally:
        taking.TOLD_EACH = each
    assert len(picked) > 15
    assert set(picked) <= {str(key) for key in Decision.objects.values_list("key", flat=True)}
    emptied()
    settings.VAR = tmp_path / "back"
    command("restore", tmp_path / "all.zip")
    assert rows_here() == before


# --- What goes wrong -------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
import django
django.setup()
from review.pipeline import backup, restore
def die(*told):
    what, rows = told[:2] if len(told) > 1 else ("rows", told[0])
    if what == "rows" and rows >= 250:
        os.kill(os.getpid(), signal.SIGKILL)
backup.TOLD_EACH = restore.TOLD_EACH = 50
{verb}.{verb}(Path(sys.argv[1]), told=die)
"""


def killed(verb: str, path: Path, var: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED.replace("{verb}", verb), str(path)],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": database_url(), "TAGGER_VAR": str(var)},
        timeout=300,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL


def test_who_is_killed_leaves_no_archive_and_an_empty_install(
    house: Project, settings: Settings, tmp_path: Path
) -> None:
    before, path = rows_here(), tmp_path / "all.zip"
    killed("backup", path, settings.VAR)
    assert not path.exists()
    command("backup", path)
    emptied()
    connections.close_all()
    killed("restore", path, tmp_path / "back")
    assert_empty()
    settings.VAR = tmp_path / "back"
    command("restore", path)
    assert rows_here() == before
    at_work()


def test_nothing_is_written_over(house: Project, settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "all.zip"
    command("backup", path)
    before, size = rows_here(), path.stat().st_size
    with pytest.raises(CommandError, match="is there already"):
        command("backup", path)
    with pytest.raises(CommandError, match="was not written"):
        command("backup", tmp_path / "no such folder" / "all.zip")
    with pytest.raises(CommandError, match="This install is not empty: auth_user has rows"):
        command("restore", path)
    assert (rows_here(), path.stat().st_size) == (before, size)
    assert list(tmp_path.glob("*.part")) == []

    emptied()
    (adapter,) = settings.VAR.glob("trainings/*/adapter.gguf")
    adapter.write_bytes(b"another")
    with pytest.raises(CommandError, match="is there already, and is another"):
        command("restore", path)
    assert_empty()
    assert adapter.read_bytes() == b"another"


class Changed:
    """An archive that somebody has changed, with its sums put right."""

    def __init__(self, path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            self.entries = {name: archive.read(name) for name in archive.namelist()}
        self.manifest = json.loads(self.entries.pop("manifest.json"))
        self.attributes: dict[str, int] = {}

    def table(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(one for one in self.manifest["tables"] if one["name"] == name)
        return found

    def change(self, table: str, column: str, value: object) -> None:
        """In its first row."""
        lines = self.entries[f"tables/{table}.jsonl"].splitlines()
        row = json.loads(lines[0])
        row[self.table(table)["columns"].index(column)] = value
        lines[0] = json.dumps(row).encode()
        self.entries[f"tables/{table}.jsonl"] = b"\n".join(lines) + b"\n"

    def drop(self, table: str, column: str) -> None:
        at = self.table(table)["columns"].index(column)
        self.table(table)["columns"].pop(at)
        rows = [json.loads(one) for one in self.entries[f"tables/{table}.jsonl"].splitlines()]
        lines = [json.dumps(row[:at] + row[at + 1 :]).encode() + b"\n" for row in rows]
        self.entries[f"tables/{table}.jsonl"] = b"".join(lines)

    def without(self, table: str) -> None:
        self.manifest["tables"].remove(self.table(table))
        del self.entries[f"tables/{table}.jsonl"]

    def file(self, name: str) -> object:
        """One more, of this name."""
        self.manifest["files"].append({"name": name})
        self.entries[f"files/{name}"] = b"x"
        return name

    def save(self, path: Path, sums: bool = True) -> Path:
        if sums:
            for kind, before, after in (("tables", "tables/", ".jsonl"), ("files", "files/", "")):
                for one in self.manifest[kind]:
                    data = self.entries.get(before + one["name"] + after, b"")
                    one |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in self.entries.items():
                info = zipfile.ZipInfo(name)
                info.external_attr = self.attributes.get(name, 0)
                archive.writestr(info, data)
            archive.writestr("manifest.json", json.dumps(self.manifest))
        return path


OUT = "trainings/../../../there.txt"
WRONG: dict[str, tuple[Callable[[Changed], object], str]] = {
    "a newer format": (lambda it: it.manifest.update(format=2), "format 2"),
    "a newer version": (
        lambda it: it.manifest["migrations"].append("review.9999_more"),
        "does not know review.9999_more",
    ),
    "a table nobody knows": (
        lambda it: (
            it.manifest["tables"].append({"name": "pg_user", "columns": [], "rows": 0}),
            it.entries.update({"tables/pg_user.jsonl": b""}),
        ),
        "not known here: pg_user",
    ),
    "a column nobody knows": (
        lambda it: it.table("review_tag")["columns"].append("colour"),
        "review_tag has columns that are not known here: colour",
    ),
    "a table that is not there": (lambda it: it.without("review_link"), "tables: review_link"),
    "a column that is not there": (
        lambda it: it.drop("review_tag", "name"),
        "review_tag lacks columns: name",
    ),
    "too few rows": (
        lambda it: it.table("review_tag").update(rows=10**6),
        "the manifest says 1000000",
    ),
    "no number": (lambda it: it.change("review_document", "characters", "7"), "characters"),
    "true as a number": (lambda it: it.change("review_document", "reviews", True), "reviews"),
    "no moment": (lambda it: it.change("review_document", "created_at", "soon"), "created_at"),
    "a moment without a zone": (
        lambda it: it.change("review_document", "created_at", "2026-01-01T00:00:00"),
        "no time zone",
    ),
    "no state": (lambda it: it.change("review_document", "state", "lost"), "cannot be 'lost'"),
    "too long": (lambda it: it.change("review_document", "title", "x" * 501), "longer than 500"),
    "empty": (lambda it: it.change("review_document", "sha256", None), "“sha256” is empty"),
    "refers to nothing": (
        lambda it: it.change("review_document", "project_id", 4711),
        "The database refuses review_document",
    ),
    "a name for its kind that is none": (
        lambda it: it.change("django_admin_log", "content_type_id", [7]),
        "names no row",
    ),
    "a number that is taken": (
        lambda it: it.change("review_tag", "number", 2),
        "The database refuses review_tag",
    ),
    "less than none": (
        lambda it: it.change("review_document", "characters", -1),
        "The database refuses review_document",
    ),
    "a file outside": (lambda it: it.file(OUT), "is no name for one of our files"),
    "a file from the root": (lambda it: it.file("/etc/passwd"), "is no name for one of our"),
    "a file of ours": (lambda it: it.file("secret_key"), "is no name for one of our files"),
    "a link": (
        lambda it: (
            it.file("releases/1/link"),
            it.attributes.update({"files/releases/1/link": (stat.S_IFLNK | 0o777) << 16}),
        ),
        "is no plain file",
    ),
    "a file that is not in the manifest": (
        lambda it: it.entries.update({"files/releases/1/more": b""}),
        "name different files: files/releases/1/more",
    ),
    "a manifest that is none": (lambda it: it.manifest.update(tables=7), "manifest is damaged"),
}


@pytest.fixture
def refuses(house: Project, settings: Settings, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Restores into an empty install, and says what has to be wrong; it is empty afterwards."""
    command("backup", tmp_path / "all.zip")
    emptied()
    settings.VAR = tmp_path / "back"
    made = triggers()

    def refused(path: Path, why: str) -> None:
        with pytest.raises(CommandError) as found:
            command("restore", path)
        assert why in str(found.value), why
        assert_empty()
        assert triggers() == made

    yield refused
    assert files_under(settings.VAR) == {}
    assert not (tmp_path / "there.txt").exists()


def triggers() -> list[tuple[str, ...]]:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT tgname, tgenabled::text FROM pg_trigger WHERE NOT tgisinternal")
        else:
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        return sorted(cursor.fetchall())


def test_an_archive_that_is_wrong_is_refused_and_it_is_said_what_is(
    refuses: Callable[..., None], tmp_path: Path
) -> None:
    for name, (change, why) in WRONG.items():
        changed = Changed(tmp_path / "all.zip")
        change(changed)
        sums = name not in ("a manifest that is none",)
        refuses(changed.save(tmp_path / "changed.zip", sums), why)


def test_an_archive_that_is_damaged_is_refused(
    refuses: Callable[..., None], tmp_path: Path
) -> None:
    whole, path = (tmp_path / "all.zip").read_bytes(), tmp_path / "damaged.zip"
    for data in (whole[:-1000], whole[: len(whole) // 2], b"", b"PK", b"no archive"):
        path.write_bytes(data)
        refuses(path, "is no archive of Tagger, or is cut off")
    refuses(tmp_path / "none.zip", "There is no ")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        places = {one.filename: one.header_offset + 90 for one in archive.infolist()}
    for name in ("tables/review_tag.jsonl", "tables/review_document.jsonl"):
        at = places[name]
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        refuses(path, f"{name} in the archive is")
    changed = Changed(tmp_path / "all.zip")
    changed.change("review_decision", "milliseconds", 1)
    refuses(changed.save(path, sums=False), "review_decision.jsonl in the archive is not what")


def test_the_next_version_restores_an_archive_of_this_one(
    house: Project, settings: Settings, tmp_path: Path
) -> None:
    """Its new tables are empty then, and its new columns are as in a new row."""
    command("backup", tmp_path / "all.zip")
    older = Changed(tmp_path / "all.zip")
    older.manifest["migrations"].remove("review.0019_suspicion")
    older.without("review_suspicion")
    older.drop("review_candidate", "composed")
    older.drop("review_project", "prompt")
    emptied()
    settings.VAR = tmp_path / "back"
    command("restore", older.save(tmp_path / "older.zip"))
    assert Project.objects.get(name="READMEs").prompt == ""
    at_work()


def test_html_comes_from_no_archive(house: Project, settings: Settings, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    Document.objects.update(html=evil)
    command("backup", tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert evil.encode() not in archive.read("tables/review_document.jsonl")
    emptied()
    settings.VAR = tmp_path / "back"
    command("restore", tmp_path / "all.zip")
    assert not Document.objects.filter(html__contains="<script").exists()
    assert Document.objects.filter(state="ready", html__contains="<h").exists()


def test_rights_are_found_by_their_names(
    house: Project, settings: Settings, tmp_path: Path
) -> None:
    """Another install has other numbers for them; what it has not is made."""
    alice = User.objects.get(username="alice")
    right = Permission.objects.get(codename="add_tag")
    alice.user_permissions.set([right])
    right.codename = "of_an_app_that_is_gone"
    right.save()
    command("backup", tmp_path / "all.zip")
    emptied()
    Permission.objects.filter(codename="of_an_app_that_is_gone").delete()
    settings.VAR = tmp_path / "back"
    command("restore", tmp_path / "all.zip")
    alice = User.objects.get(username="alice")
    assert alice.get_user_permissions() == {"review.of_an_app_that_is_gone"}
