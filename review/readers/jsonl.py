"""JSON lines: one object a line, with "id" and "text", and "title" and "source" if you like."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import BinaryIO

from . import Incoming, decode, first_heading


def read_jsonl(lines: BinaryIO, name: str) -> Iterator[Incoming]:
    """Yield a document for every line but empty ones.

    A line that cannot be read yields a document with a problem, under the id
    `name:line`, so that it is seen and counted and the rest goes on.
    """
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield read_line(line, f"{name}:{number}")


def read_line(line: bytes, where: str) -> Incoming:
    text, problem = decode(line)
    if problem:
        return Incoming(where, "", source=where, problem=problem)
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        return Incoming(where, "", source=where, problem=f"This line is not JSON: {error}.")
    if not isinstance(row, dict) or not isinstance(row.get("text"), str) or "id" not in row:
        problem = 'This line is not an object with an "id" and a "text".'
        return Incoming(where, "", source=where, problem=problem)
    body = row["text"]
    external_id = str(row["id"])
    for value in (body, external_id, str(row.get("title", "")), str(row.get("source", ""))):
        if "\0" in value or not storable(value):
            problem = "The text holds a NUL or half a character (a lone surrogate)."
            return Incoming(where, "", source=where, problem=problem)
    title = str(row.get("title") or first_heading(body))
    return Incoming(external_id, body, title=title, source=str(row.get("source") or where))


def storable(value: str) -> bool:
    """False for a lone surrogate, which JSON can write and no database can keep."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
