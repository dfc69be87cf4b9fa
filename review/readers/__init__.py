"""Bytes → documents. Each reader yields `Incoming`, one at a time, and knows no database.

No input makes a reader raise, but a file that cannot be read at all (OSError), or an archive that
is refused as a whole (Refused). What cannot become a document is yielded with its problem.
Each holds one row at a time: memory does not grow with the input.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LONGEST = 8_000_000  # bytes of a row or a file that are read; a longer one is a problem


@dataclass(frozen=True)
class Incoming:
    """One document on its way in, or why there is none.

    external_id: "" only where a problem hides it.
    problem: "" or why its text could not be read, in a sentence; the text is then empty.
    markup: "markdown", or "plain" for a text that is shown as it is.
    line: where its row begins, from 1; 0 where there are no lines.
    field: what of the row the problem is about: id, title, text or source; "" for all of it.
    """

    external_id: str
    text: str
    title: str = ""
    source: str = ""
    problem: str = ""
    markup: str = "markdown"
    line: int = 0
    field: str = ""


class Refused(Exception):
    """Nothing of this input is read; the one sentence says why."""


def decode(data: bytes) -> tuple[str, str]:
    """The text and "", or "" and the problem: only UTF-8 (with or without a mark) is text."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return "", f"This is not text: byte {error.start + 1} is not UTF-8."
    if "\0" in text:
        return "", f"This is not text: character {text.index(chr(0)) + 1} is a NUL."
    return text, ""


def too_long(most_bytes: int) -> str:
    return f"This has more than {most_bytes / 1e6:g} MB: it was not read."


def first_heading(text: str) -> str:
    """The first Markdown heading near the top, without its marks; "" where there is none."""
    found = re.search(r"^#{1,3}[ \t]+(.+?)[ \t#]*$", text[:5000], flags=re.MULTILINE)
    if found is None:
        return ""
    plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)|<[^>]+>", r"\1", found.group(1))
    return re.sub(r"[*_`]", "", plain).strip()[:500]
