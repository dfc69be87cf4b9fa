"""Tags as CSV, for spreadsheets (RFC 4180, UTF-8)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator

COLUMNS = ["id", "title", "tag_ids", "tag_1", "tag_2", "tag_3", "agreement", "reviewed_at"]
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # what a spreadsheet would compute
MOST_TAGS = 3


def csv_lines(
    rows: Iterable[tuple[str, str, list[tuple[int, str]], float | None, str]],
) -> Iterator[str]:
    """Yield the header, then a line for each row, with their line ends.

    A row is the document's id and title, its tags as (number, name), its agreement, and when it
    was reviewed. `tag_ids` are the numbers with spaces between them.
    """
    yield _line(COLUMNS)
    for external_id, title, tags, agreement, at in rows:
        names = [name for _number, name in tags] + [""] * (MOST_TAGS - len(tags))
        share = "" if agreement is None else f"{agreement:.2f}"
        numbers = " ".join(str(number) for number, _name in tags)
        yield _line([external_id, title, numbers, *names, share, at])


def neutral(cell: str) -> str:
    """The cell as text: one that a spreadsheet would take for a formula begins with a quote."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def _line(cells: Iterable[str]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow([neutral(cell) for cell in cells])
    return out.getvalue()
