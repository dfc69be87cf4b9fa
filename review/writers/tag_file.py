"""A tag list → a file: JSON, CSV, XLSX. SKOS is in skos.py. The readers read all of it back."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

COLUMNS = (
    *("id", "name", "description", "not_for", "synonyms", "parent", "retired", "merged_into"),
)


@dataclass(frozen=True)
class ListedTag:
    """A tag as it is written. parent, merged_into: numbers."""

    number: int
    name: str
    description: str
    not_for: str
    synonyms: tuple[str, ...]
    parent: int | None
    retired: bool
    merged_into: int | None


def seed_json(tags: Iterable[ListedTag]) -> bytes:
    """Numbers and names of the active ones, as the first list was: [{"id": 77, "name": "3d"}]."""
    lines = [
        json.dumps({"id": tag.number, "name": tag.name}, ensure_ascii=False)
        for tag in tags
        if not tag.retired and tag.merged_into is None
    ]
    return ("[\n  " + ",\n  ".join(lines) + "\n]\n").encode()


def full_json(tags: Iterable[ListedTag]) -> bytes:
    """All of them, with all that is known of each."""
    rows = [
        {
            "id": tag.number,
            "name": tag.name,
            "description": tag.description,
            "not_for": tag.not_for,
            "synonyms": list(tag.synonyms),
            "parent": tag.parent,
            "retired": tag.retired,
            "merged_into": tag.merged_into,
        }
        for tag in tags
    ]
    return (json.dumps(rows, ensure_ascii=False, indent=1) + "\n").encode()


def csv_table(tags: Iterable[ListedTag]) -> bytes:
    """With a mark at the start, by which spreadsheets know UTF-8."""
    file = io.StringIO(newline="")
    rows = csv.writer(file)
    rows.writerow(COLUMNS)
    for tag in tags:
        rows.writerow([neutral(cell) if isinstance(cell, str) else cell for cell in cells(tag)])
    return file.getvalue().encode("utf-8-sig")


def xlsx(tags: Iterable[ListedTag]) -> bytes:
    """One sheet. Every text is stored as a text: nothing is a formula."""
    # Here: a second of loading, for this one format.
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell

    book = Workbook(write_only=True)
    sheet = book.create_sheet("Tags")
    sheet.freeze_panes = "A2"
    for letter, width in zip("ABCDEFGH", (8, 24, 60, 60, 40, 8, 8, 12), strict=True):
        sheet.column_dimensions[letter].width = width
    sheet.append(list(COLUMNS))
    for tag in tags:
        row = []
        for value in cells(tag):
            cell = WriteOnlyCell(sheet, value=value)
            if isinstance(value, str):
                cell.data_type = "s"
            row.append(cell)
        sheet.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def cells(tag: ListedTag) -> list[str | int | None]:
    return [
        tag.number,
        tag.name,
        tag.description,
        tag.not_for,
        "; ".join(tag.synonyms),
        tag.parent,
        "yes" if tag.retired else "",
        tag.merged_into,
    ]


def neutral(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula; readers/tag_file.py takes the mark off."""
    return f"'{cell}" if re.match(r"'*[=+\-@\t\r]", cell) else cell


Write = Callable[[Iterable[ListedTag]], bytes]
