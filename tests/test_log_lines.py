"""What is logged begins no line of its own, and is not for the console of `make run`."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from review import story
from tagger_site.logs import AsJson, AsLines

from .base import HouseTestCase

ROOT = Path(__file__).resolve().parent.parent
FORGED = "2026-01-01 00:00:00,000 INFO review.story [-] pick d1 reviewer=1"
EVIL = f"5201\n{FORGED}\r\x1b[2J\u2028\u202e"
LINE = AsLines("{asctime} {levelname} {name} {message}", style="{")


class Kept(logging.StreamHandler[io.StringIO]):
    """What is logged, as it would be in a file."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__(io.StringIO())
        self.setFormatter(formatter)

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().split("\n")[:-1]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("“Größe”, 标签 and 💥 stay", "“Größe”, 标签 and 💥 stay"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b[31m\x00\x85\u2028\u202e", r"\x1b[31m\x00\x85\u2028\u202e"),
        ("\udc80", r"\udc80"),
        (r"C:\new", r"C:\new"),
    ],
)
def test_what_is_not_printed_is_spelled(text: str, kept: str) -> None:
    record = logging.LogRecord("x", logging.INFO, "x", 1, "%s", (text,), None)
    assert AsLines("{message}", style="{").format(record) == kept


def test_a_traceback_is_below_its_line_and_set_in() -> None:
    log = logging.Logger("x")
    handler = Kept(LINE)
    log.addHandler(handler)
    try:
        raise ValueError(EVIL)
    except ValueError:
        log.exception("It broke at %s", EVIL)
    first, *below = handler.lines
    assert "It broke at 5201\\n2026" in first
    assert below[0] == "    Traceback (most recent call last):"
    assert any(FORGED in line for line in below)
    assert all(line.startswith("    ") for line in below)


class AnId(HouseTestCase):
    def test_with_line_breaks_writes_no_line_of_its_own(self) -> None:
        for formatter in (LINE, AsJson()):
            with self.subTest(formatter=type(formatter).__name__):
                handler = Kept(formatter)
                story.log.addHandler(handler)
                self.addCleanup(story.log.removeHandler, handler)
                document = self.ready(f"{type(formatter).__name__}{EVIL}")
                story.log.removeHandler(handler)
                told = [line for line in handler.lines if f"d{document.pk}" in line]
                self.assertGreaterEqual(len(told), 2)  # it was read and proposed
                self.assertEqual(handler.lines, told)
                self.assertTrue(any("pick d1 reviewer=1" in line for line in told))
                if isinstance(formatter, AsJson):
                    self.assertEqual(json.loads(told[0])["id"], document.external_id)


PREPARE = """
from tagger_site import up
up.make_folders()
print(up.prepare())
"""


def test_the_first_start_tells_the_file_of_the_documents_and_not_the_console(
    tmp_path: Path,
) -> None:
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG")}
    done = subprocess.run(
        [sys.executable, "-c", PREPARE],
        cwd=ROOT,
        env=kept | {"TAGGER_VAR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1
    assert done.stdout.startswith("sign in as admin with password ")
    logged = (tmp_path / "log" / "up.log").read_text()
    assert "review.story [-] came in d1 d2 " in logged
    assert "documents added" in logged  # beside it, what `up` itself notes
