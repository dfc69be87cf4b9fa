"""A labelled file → documents with the tags that a careful editor would give: JSON lines.

Each line is an object with "text" and "best" (a list of tag names), and if you like "acceptable",
"id" and "title".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from . import Refused
from .jsonl import lines
from .row import BY_THEIR_NAMES, DECODER, NotARow, read_row

LONGEST = 20_000_000  # bytes of a line


@dataclass(frozen=True)
class Labelled:
    """A document, and its tags by their names: `acceptable` are those that are no error beside."""

    external_id: str
    title: str
    text: str
    best: tuple[str, ...]
    acceptable: tuple[str, ...] = ()


def read_labelled(file: BinaryIO) -> Iterator[Labelled]:
    """Yield a document a line. Raises Refused at a line that is none: labels must be right."""
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


def _read(line: str, number: int) -> Labelled:
    row = DECODER.decode(line)
    if not isinstance(row, dict):
        raise NotARow("This is not a JSON object.")
    columns = {**BY_THEIR_NAMES, "id": "id" if "id" in row else "", "source": ""}
    document = read_row(row, columns, "", number)
    if document.problem:
        raise NotARow(document.problem)
    best, acceptable = _names(row, "best"), _names(row, "acceptable")
    if not best:
        raise NotARow("“best” has no tags.")
    return Labelled(document.external_id, document.title, document.text, best, acceptable)


def _names(row: dict[str, object], field: str) -> tuple[str, ...]:
    """The tags, stripped, each once."""
    value = row.get(field, [])
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise NotARow(f"“{field}” is not a list of tag names.")
    return tuple(dict.fromkeys(name.strip() for name in value if name.strip()))
