"""Documents in: what becomes of rows, by `manage.py load`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from review.models import (
    Document,
    DocumentRevision,
    DocumentState,
    Duplicate,
    Import,
    ImportProblem,
    ImportState,
    Project,
    Role,
    Tally,
)
from review.pipeline import curate
from review.pipeline.intake import Intake, take_in
from review.readers import Incoming

from .base import README, HouseTestCase

SAMPLES = Path(__file__).resolve().parent / "samples"


class IntakeTestCase(HouseTestCase):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def load(self, path: Path | str | None = None, *options: str) -> str:
        out = StringIO()
        call_command("load", str(path or self.folder), *options, stdout=out, stderr=out)
        return out.getvalue()

    def write(self, name: str, data: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    def write_rows(self, *rows: object) -> Path:
        return self.write("in.jsonl", "\n".join(map(json.dumps, rows)))

    def failed(self) -> dict[str, str]:
        rows = Document.objects.filter(state=DocumentState.FAILED)
        return dict(rows.values_list("external_id", "reason"))

    def take(self, *pairs: tuple[str, str]) -> Intake:
        return take_in(self.project, [Incoming(name, text) for name, text in pairs])


class Loading(IntakeTestCase):
    def test_a_folder_comes_in_once(self) -> None:
        self.write("a.md", README)
        self.write("sub/b.txt", "Some text.")
        self.write("c.png", b"\x89PNG")
        self.assertIn("2 added", self.load())
        self.assertIn("2 already here", self.load())
        document = Document.objects.get(external_id="a.md")
        self.assertEqual((document.title, document.text), ("Requests", README))
        self.assertEqual(document.state, DocumentState.WAITING)

    def test_what_cannot_be_tagged_is_kept_with_its_reason(self) -> None:
        self.write("empty.md", " \n")
        self.write("binary.md", b"\x7fELF\xff\xfe\x00")
        self.write("nul.md", "a\0b")
        big = "word " * 1_000_000
        self.write("big.md", big)
        self.assertIn("4 with an error", self.load())
        reasons = self.failed()
        self.assertEqual(reasons["empty.md"], "The document is empty.")
        self.assertIn("byte 5 is not UTF-8", reasons["binary.md"])
        self.assertIn("NUL", reasons["nul.md"])
        self.assertIn("5.0 MB", reasons["big.md"])
        self.assertEqual(Document.objects.get(external_id="big.md").text, big)  # nothing is lost
        self.assertIn("4 with an error", self.load())
        self.assertEqual(Document.objects.count(), 4)

    def test_good_rows_come_in_and_bad_ones_say_why(self) -> None:
        good = json.dumps({"id": 5201, "text": README, "title": "A title"})
        nameless = ["{", "[]", "[" * 100_000]
        named = ['{"id": 1}', '{"id": 2, "text": "\\ud800"}', '{"id": 3, "text": " "}']
        path = self.write("in.jsonl", "\n".join([good, "", *nameless, *named]))
        told = self.load(path)
        self.assertIn("1 added, 0 already here, 6 with an error", told)
        self.assertIn("line 3: This is not JSON", told)
        self.assertEqual(Document.objects.get(external_id="5201").title, "A title")
        self.assertEqual(set(self.failed()), {"1", "2", "3"})  # those that can be asked for
        problems = ImportProblem.objects.order_by("pk").values_list("line", "external_id", "field")
        self.assertEqual(
            list(problems),
            [(n, "", "") for n in (3, 4, 5)] + [(n, str(n - 5), "text") for n in (6, 7, 8)],
        )
        record = Import.objects.get()
        self.assertEqual((record.state, record.rows, record.failed), (ImportState.DONE, 7, 6))

    def test_the_samples_come_in(self) -> None:
        self.assertIn("3 added", self.load(SAMPLES / "articles.jsonl"))
        self.assertIn("2 added", self.load(SAMPLES / "articles.tsv"))
        self.assertIn("1 added", self.load(SAMPLES / "page.html"))

    def test_columns_are_named_on_the_command_line(self) -> None:
        path = SAMPLES / "articles.csv"
        self.load(path, "--map", "id=Nr,text=Body,title=Überschrift")
        document = Document.objects.get(external_id="5201")
        self.assertEqual(document.title, "A queue for two")
        keys = self.write("in.jsonl", '{"nr": 7, "body": "Words."}')
        self.load(keys, "--map", "id=nr,text=body")
        self.assertEqual(Document.objects.get(external_id="7").text, "Words.")
        with self.assertRaisesMessage(CommandError, "There is no column “Text”."):
            self.load(path, "--map", "text=Text")
        unknown = self.write("unknown.csv", "a,b\n1,2\n")
        with self.assertRaisesMessage(CommandError, "Say which column has the text."):
            self.load(unknown)

    def test_what_cannot_be_read_is_one_sentence(self) -> None:
        with self.assertRaisesMessage(CommandError, "cannot be read: No such file"):
            self.load(self.folder / "nowhere.md")
        with self.assertRaisesMessage(CommandError, "not a ZIP archive"):
            self.load(self.write("a.zip", b"no archive"))
        with self.assertRaisesMessage(CommandError, "not one of the public internet"):
            self.load("http://127.0.0.1:1/")
        self.assertEqual(Import.objects.get(format="zip").state, ImportState.REFUSED)

    def test_the_installed_packages_come_in_and_a_working_tree(self) -> None:
        out = StringIO()
        call_command("load", "--packages", stdout=out, stderr=out)
        self.assertGreater(Document.objects.count(), 30)
        (self.folder / "tree" / ".git").mkdir(parents=True)
        self.write("tree/README.md", "# A tree\n\nWords.")
        self.assertIn("1 added", self.load(None, "--git"))
        self.assertEqual(Document.objects.get(external_id="tree").title, "A tree")

    def test_a_batch_is_stored_as_a_whole_or_not_at_all(self) -> None:
        def rows() -> Iterator[Incoming]:
            for number in range(2500):
                yield Incoming(str(number), f"Text {number}")
            raise KeyboardInterrupt

        with self.assertRaises(KeyboardInterrupt):
            take_in(self.project, rows())
        self.assertEqual(Document.objects.count(), 2000)
        self.assertEqual(Tally.objects.of(self.project)[DocumentState.WAITING], 2000)


class ATextThatChanged(IntakeTestCase):
    def test_takes_the_place_of_one_that_nobody_has_reviewed(self) -> None:
        document = self.ready("a.md")
        self.write("a.md", "# New")
        self.assertIn("1 replaced", self.load())
        document.refresh_from_db()
        self.assertEqual((document.text, document.state), ("# New", DocumentState.WAITING))
        self.assertFalse(document.proposals.filter(current=True).exists())
        before = DocumentRevision.objects.get()
        self.assertEqual((before.text, before.waits), (README, False))

    def test_waits_for_a_curator_where_it_was_reviewed(self) -> None:
        document = self.reviewed()
        self.write("a.md", "# New")
        self.assertIn("1 wait for a curator", self.load())
        document.refresh_from_db()
        self.assertEqual((document.text, document.state), (README, DocumentState.REVIEWED))
        waiting = DocumentRevision.objects.get()
        self.assertEqual((waiting.text, waiting.waits), ("# New", True))
        self.assertIn("1 wait for a curator", self.load())
        self.assertEqual(DocumentRevision.objects.count(), 1)
        self.write("a.md", README)  # as it was
        self.assertIn("1 already here", self.load())
        self.assertFalse(DocumentRevision.objects.exists())

    def test_takes_its_place_by_itself_once_it_was_reopened(self) -> None:
        document = self.reviewed()
        self.take(("a.md", "# New"))
        carol = self.member("carol", Role.CURATOR)
        curate.reopen(Document.objects.all(), carol)
        self.assertEqual(self.take(("a.md", "# Newer")).replaced, 1)
        document.refresh_from_db()
        self.assertEqual(document.text, "# Newer")
        self.assertEqual(
            list(DocumentRevision.objects.values_list("waits", "text")), [(False, README)]
        )

    def test_leaves_a_retired_document_retired(self) -> None:
        document = self.ready("a.md")
        curate.retire(Document.objects.all())
        self.assertEqual(self.take(("a.md", "# New")).replaced, 1)
        document.refresh_from_db()
        self.assertEqual((document.text, document.state), ("# New", DocumentState.RETIRED))

    def test_that_is_none_never_takes_the_place_of_a_good_one(self) -> None:
        document = self.ready("a.md")
        self.assertEqual(self.take(("a.md", " ")).failed, 1)
        document.refresh_from_db()
        self.assertEqual((document.text, document.state), (README, DocumentState.READY))

    def test_a_document_that_failed_is_mended_by_a_good_text(self) -> None:
        self.take(("a.md", " "))
        self.assertEqual(self.take(("a.md", "# Good")).replaced, 1)
        self.assertEqual(Document.objects.get().state, DocumentState.WAITING)
        self.assertFalse(DocumentRevision.objects.filter(text="").exists())

    def reviewed(self) -> Document:
        document = self.ready("a.md")
        page = self.page()
        self.client.post(page.urls[0], page.fields)
        return document


class TheSameText(IntakeTestCase):
    def links(self) -> set[tuple[str, str]]:
        found = Duplicate.objects.values_list("document__external_id", "first__external_id")
        return set(found)

    def test_under_another_id_is_linked_to_the_first(self) -> None:
        self.assertEqual(self.take(("a", "One."), ("b", "One."), ("c", "Two.")).duplicates, 1)
        self.assertEqual(self.take(("d", "One."), ("e", "Three.")).duplicates, 1)
        self.assertEqual(self.links(), {("b", "a"), ("d", "a")})
        self.assertEqual(self.take(("d", "One.")).duplicates, 0)
        self.assertEqual(Document.objects.filter(state=DocumentState.WAITING).count(), 5)

    def test_is_linked_anew_when_one_of_them_changes(self) -> None:
        self.take(("a", "One."), ("b", "One."), ("c", "One."))
        self.take(("b", "Two."))
        self.assertEqual(self.links(), {("c", "a")})
        self.take(("b", "One."))
        self.take(("a", "Another."))
        self.assertEqual(self.links(), {("c", "b")})

    def test_the_last_of_an_id_that_came_twice_counts(self) -> None:
        intake = self.take(("a", "One."), ("a", "Two."), ("a", " "))
        self.assertEqual((intake.added, intake.unchanged, intake.failed), (1, 1, 1))
        self.assertEqual(Document.objects.get().text, "Two.")

    def test_in_another_project_is_another_matter(self) -> None:
        other = Project.objects.create(name="Another")
        self.take(("a", "One."))
        self.assertEqual(take_in(other, [Incoming("b", "One.")]).duplicates, 0)
