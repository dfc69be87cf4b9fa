"""A file of known answers → for each document the right tags, for gold: JSON lines.

Each line is an object with "external_id" (or "id"), "best" (a list of tags, by name or number; []
where no tag fits), and if you like "acceptable", a list of such lists.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from . import Refused
from .jsonl import lines
from .row import DECODER, NotARow

LONGEST = 1_000_000  # bytes of a line


@dataclass(frozen=True)
class KnownAnswer:
    """Tags as they are written: names, or numbers as text."""

    line: int
    external_id: str
    best: tuple[str, ...]
    acceptable: tuple[tuple[str, ...], ...] = ()


def read_known(file: BinaryIO) -> Iterator[KnownAnswer]:
    """Yield an answer a line. Raises Refused at a line that is none: answers must be right."""
    ids: set[str] = set()
    for number, line in enumerate(lines(file, LONGEST), start=1):
        if line is not None and not line.strip():
            continue
        try:
            if line is None:
                raise NotARow("It is too long.")
            found = _read(line.decode("utf-8-sig"), number)
            if found.external_id in ids:
                raise NotARow(f"The id “{found.external_id[:60]}” was there before.")
        except (ValueError, RecursionError) as error:  # NotARow, not JSON, not UTF-8
            raise Refused(f"Line {number}: {error}") from error
        ids.add(found.external_id)
        yield found


def _read(text: str, line: int) -> KnownAnswer:
    row = DECODER.decode(text)
    if not isinstance(row, dict):
        raise NotARow("This is not a JSON object.")
    external_id = row.get("external_id", row.get("id"))
    if not isinstance(external_id, str | int) or isinstance(external_id, bool):
        raise NotARow("“external_id” is missing, or is no text.")
    if "best" not in row:
        raise NotARow("“best” is missing.")
    others = row.get("acceptable", [])
    if not isinstance(others, list):
        raise NotARow("“acceptable” is not a list of lists of tags.")
    acceptable = tuple(_tags(one, "acceptable") for one in others)
    return KnownAnswer(line, str(external_id), _tags(row["best"], "best"), acceptable)


def _tags(value: object, field: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise NotARow(f"“{field}” is not a list of tags." if field == "best" else _OF_LISTS)
    for tag in value:
        if not isinstance(tag, str | int) or isinstance(tag, bool):
            raise NotARow(f"“{field}” has something that is no tag's name or number.")
    return tuple(str(tag).strip() for tag in value)


_OF_LISTS = "“acceptable” is not a list of lists of tags."
