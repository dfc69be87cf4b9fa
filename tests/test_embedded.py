"""The real embedded model, through the command that a person would try first."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from review.pipeline.first_start import seed_tags

README = """# Flask

Flask is a lightweight WSGI web application framework. It is designed to make getting
started quick and easy, with the ability to scale up to complex applications.
"""


@pytest.mark.django_db
def test_one_file_in_three_candidates_out(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text(README)
    out = StringIO()
    call_command("propose", str(file), "--id", "5201", stdout=out, stderr=StringIO())
    answers = [json.loads(line) for line in out.getvalue().splitlines()]
    vocabulary = {(tag["id"], tag["name"]) for tag in seed_tags()}
    sets = [frozenset((tag["id"], tag["name"]) for tag in answer["tags"]) for answer in answers]
    assert {answer["id"] for answer in answers} == {"5201"}
    assert len(set(sets)) == len(sets) == 3
    assert all(1 <= len(found) <= 3 and found <= vocabulary for found in sets)
    # Not chance: the adapter is loaded, and knows a web framework when it sees one.
    assert (2, "framework") in sets[0]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("data", "sentence"),
    [(b" \n", "The document is empty."), (b"\xff\xfe", "not UTF-8")],
)
def test_a_file_without_text_is_one_sentence(tmp_path: Path, data: bytes, sentence: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(data)
    with pytest.raises(CommandError, match=sentence):
        call_command("propose", str(file))
    with pytest.raises(CommandError, match="No such file"):
        call_command("propose", str(tmp_path / "nowhere"))
