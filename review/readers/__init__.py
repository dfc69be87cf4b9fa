"""Bytes → documents. Each reader yields `Incoming`, one at a time, and knows no database."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Incoming:
    """One document on its way in.

    problem: "" or why its text could not be read, in a sentence; the text is then empty.
    markup: "markdown", or "plain" for a text that is shown as it is.
    """

    external_id: str
    text: str
    title: str = ""
    source: str = ""
    problem: str = ""
    markup: str = "markdown"


def decode(data: bytes) -> tuple[str, str]:
    """The text and "", or "" and the problem: only UTF-8 (with or without a mark) is text."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return "", f"This is not text: byte {error.start + 1} is not UTF-8."
    if "\0" in text:
        return "", f"This is not text: character {text.index(chr(0)) + 1} is a NUL."
    return text, ""


def first_heading(text: str) -> str:
    """The first Markdown heading near the top, without its marks; "" where there is none."""
    found = re.search(r"^#{1,3}[ \t]+(.+?)[ \t#]*$", text[:5000], flags=re.MULTILINE)
    if found is None:
        return ""
    plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)|<[^>]+>", r"\1", found.group(1))
    return re.sub(r"[*_`]", "", plain).strip()[:500]
