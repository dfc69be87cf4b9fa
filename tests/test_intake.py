"""Documents in: by the readers, and by `manage.py load`."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from review.models import Document, DocumentState
from review.readers.installed_packages import read_installed_packages

from .base import README, HouseTestCase


class Loading(HouseTestCase):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def load(self, path: Path | None = None) -> str:
        out = StringIO()
        call_command("load", str(path or self.folder), stdout=out)
        return out.getvalue()

    def write(self, name: str, data: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    def failed(self) -> dict[str, str]:
        rows = Document.objects.filter(state=DocumentState.FAILED)
        return dict(rows.values_list("external_id", "reason"))

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
        self.assertIn("4 set aside", self.load())
        reasons = self.failed()
        self.assertEqual(reasons["empty.md"], "The document is empty.")
        self.assertIn("byte 5 is not UTF-8", reasons["binary.md"])
        self.assertIn("NUL", reasons["nul.md"])
        self.assertIn("5.0 MB", reasons["big.md"])
        self.assertEqual(Document.objects.get(external_id="big.md").text, big)  # nothing is lost

    def test_json_lines_good_ones_come_in_and_bad_ones_say_why(self) -> None:
        good = json.dumps({"id": 5201, "text": README, "title": "A title"})
        bad = ["{", "[]", '{"id": 1}', '{"id": 2, "text": "\\ud800"}', "[" * 100_000]
        path = self.write("in.jsonl", "\n".join([good, "", *bad]))
        self.load(path)
        self.assertEqual(Document.objects.get(external_id="5201").title, "A title")
        self.assertEqual(len(self.failed()), len(bad))
        self.assertIn("not JSON", self.failed()["in.jsonl:3"])

    def test_a_new_text_replaces_one_that_nobody_has_decided_on(self) -> None:
        document = self.ready("a.md")
        self.write("a.md", "# New")
        self.assertIn("1 replaced", self.load())
        document.refresh_from_db()
        self.assertEqual((document.text, document.state), ("# New", DocumentState.WAITING))
        self.assertFalse(document.proposals.filter(current=True).exists())

    def test_a_reviewed_document_is_left_as_it_was(self) -> None:
        self.ready("a.md")
        page = self.page()
        self.client.post(page.urls[0], page.fields)
        self.write("a.md", "# New")
        self.assertIn("1 left as they were", self.load())
        self.assertEqual(Document.objects.get().text, README)

    def test_a_path_that_is_not_there_is_one_sentence(self) -> None:
        with self.assertRaisesMessage(CommandError, "cannot be read: No such file"):
            self.load(self.folder / "nowhere.md")


def test_the_installed_packages_have_readmes_enough() -> None:
    found = list(read_installed_packages())
    assert len(found) >= 30
    assert len({incoming.external_id for incoming in found}) == len(found)
    assert all(len(incoming.text) >= 200 for incoming in found)
