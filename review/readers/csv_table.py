"""Tables: CSV (with commas, semicolons or bars) and TSV. The first line names the columns."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from . import LONGEST, Incoming, Refused, decode, too_long
from .jsonl import lines
from .row import FIELDS, NotARow, read_row

DELIMITERS = ",;\t|"
MOST_COLUMNS = 1000

# What people call their columns, the likeliest first, in lower case and without spaces.
NAMES = {
    "id": ["id", "externalid", "documentid", "docid", "uuid", "uid", "key", "nr", "no", "number"],
    "text": ["text", "body", "content", "document", "readme", "description", "abstract", "message"],
    "title": ["title", "name", "subject", "heading", "headline", "label"],
    "source": ["source", "url", "link", "href", "origin", "path", "file"],
}


@dataclass(frozen=True)
class Table:
    """The beginning of a table: what its columns are called, and the first rows."""

    delimiter: str
    header: list[str]
    rows: list[list[str]]


def guess_columns(header: list[str]) -> dict[str, str]:
    """Which column is which field, by their names; a field that none is for is left out."""
    plain = {"".join(c for c in name.lower() if c.isalnum()): name for name in reversed(header)}
    found: dict[str, str] = {}
    for field in FIELDS:
        for name in NAMES[field]:
            if name in plain and plain[name] not in found.values():
                found[field] = plain[name]
                break
    return found


def look_at(file: BinaryIO, rows: int = 5, most_bytes: int = LONGEST) -> Table:
    """The header and the first rows. Raises Refused where there is no header."""
    records = Records(file, most_bytes)
    found = [row for _, row in zip(range(rows), records, strict=False) if isinstance(row, list)]
    return Table(records.delimiter, records.header, found)


def read_table(
    file: BinaryIO, name: str, columns: Mapping[str, str], most_bytes: int = LONGEST
) -> Iterator[Incoming]:
    """Yield a document for every row but empty ones. Raises Refused without a header."""
    records = Records(file, most_bytes)
    width = len(records.header)
    for row in records:
        where = f"{name}:{records.line}"
        if isinstance(row, NotARow):
            yield Incoming("", "", source=where, problem=str(row), line=records.line)
        elif len(row) > width:
            problem = f"The row has {len(row)} columns, and the header has {width}."
            yield Incoming("", "", source=where, problem=problem, line=records.line)
        elif any(row):
            values = dict(zip(records.header, row, strict=False))
            yield read_row(values, columns, where, records.line)


class Records:
    """Iterates over the rows below the header; a row that cannot be read is a NotARow."""

    def __init__(self, file: BinaryIO, most_bytes: int) -> None:
        self.texts = Texts(file, most_bytes)
        self.line = 1  # where the row begins
        try:
            first = self.texts.peek()
        except NotARow as error:
            raise Refused(str(error)) from error
        if not first.strip():
            raise Refused("The file is empty: its first line names the columns.")
        self.delimiter = max(DELIMITERS, key=first.count)
        csv.field_size_limit(most_bytes)
        self.reader = csv.reader(self.texts, delimiter=self.delimiter)
        header = self.record()
        if isinstance(header, NotARow) or header is None:
            raise Refused("The first line does not name columns.")
        self.header = [name.strip() for name in header]
        if len(header) > MOST_COLUMNS:
            raise Refused(f"The table has {len(header)} columns; {MOST_COLUMNS} are allowed.")
        named = [name for name in self.header if name]
        if len(set(named)) < len(named):
            raise Refused("Two columns have the same name.")

    def __iter__(self) -> Iterator[list[str] | NotARow]:
        while (row := self.record()) is not None:
            yield row

    def record(self) -> list[str] | NotARow | None:
        self.line = self.texts.read + 1
        self.texts.size = 0
        try:
            return next(self.reader, None)
        except csv.Error as error:
            return NotARow(f"This row cannot be read: {error}.")
        except NotARow as error:
            return error


class Texts:
    """The lines as texts, for the csv module. Raises NotARow at one that is none, and goes on."""

    def __init__(self, file: BinaryIO, most_bytes: int) -> None:
        self.lines = lines(file, most_bytes)
        self.most_bytes = most_bytes
        self.read = 0  # lines
        self.size = 0  # characters of the row so far: it may have many lines
        self.peeked: str | None = None

    def peek(self) -> str:
        self.peeked = next(self, "")
        self.read = 0
        return self.peeked

    def __iter__(self) -> Texts:
        return self

    def __next__(self) -> str:
        if self.peeked is not None:
            text, self.peeked = self.peeked, None
            self.read = 1
            return text
        line = next(self.lines)
        self.read += 1
        if line is not None and line.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise NotARow("This is UTF-16. Save the file as UTF-8 and bring it again.")
        text, problem = decode(line) if line is not None else ("", too_long(self.most_bytes))
        self.size += len(text)
        if problem or self.size > self.most_bytes:
            raise NotARow(problem or too_long(self.most_bytes))
        return text
