"""A file with a tag list → its rows: JSON, CSV, XLSX, and SKOS as Turtle or RDF/XML.

Like all readers it knows no database. What of a row cannot be used is its problem; a file that
cannot be read as a whole, or is not to be trusted, is Refused.
"""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterable

from . import Refused, decode
from .csv_table import DELIMITERS
from .row import DECODER, NotARow, depth
from .skos import read_rdf_xml, read_turtle
from .tag_row import TagRow, field_of, read_row
from .zip_archive import BROKEN, Careful, refusal

LARGEST = 5_000_000  # bytes of a file
MOST_UNPACKED = 20_000_000  # bytes of an XLSX
MOST_ROWS = 10_000
MOST_COLUMNS = 100
ENDINGS = (".json", ".csv", ".tsv", ".xlsx", ".ttl", ".rdf", ".xml")


def read_tags(data: bytes, name: str) -> list[TagRow]:
    """The rows of a file, by the ending of its name. Raises Refused, with one sentence."""
    ending = next((one for one in ENDINGS if name.lower().endswith(one)), "")
    if not ending:
        raise Refused(f"The name ends in none of these: {', '.join(ENDINGS)}.")
    if len(data) > LARGEST:
        raise Refused(f"The file has more than {LARGEST / 1e6:g} MB.")
    rows = list(READERS[ending](data))
    if len(rows) > MOST_ROWS:
        raise Refused(f"The file has more than {MOST_ROWS} tags.")
    if not rows:
        raise Refused("The file has no tags.")
    return rows


def read_json(data: bytes) -> Iterable[TagRow]:
    """`[{"id": 77, "name": "3d"}, …]`, or an object with that list under "tags"."""
    try:
        found = DECODER.decode(text_of(data).strip())
        if depth(found) > 5:
            raise Refused("This is not a tag list: too much is in one another.")
    except json.JSONDecodeError as error:
        raise Refused(f"This is not JSON: {error.msg} at line {error.lineno}.") from error
    except (NotARow, RecursionError) as error:
        raise Refused(f"This is not a tag list: {error}") from error
    if isinstance(found, dict):
        found = found.get("tags")
    if not isinstance(found, list):
        raise Refused('This is not a list of tags: [{"id": 77, "name": "3d"}, …].')
    return [
        read_row(entry, row)
        if isinstance(entry, dict)
        else TagRow(row, problem="This is not a JSON object.")
        for row, entry in enumerate(found, start=1)
    ]


def read_csv(data: bytes) -> Iterable[TagRow]:
    """A table whose first line names the columns; synonyms with semicolons between them."""
    text = text_of(data)
    first = text.lstrip("\r\n").partition("\n")[0]
    delimiter = max(DELIMITERS, key=first.count)
    csv.field_size_limit(LARGEST)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        table = [(lines.line_num, [unquoted(cell) for cell in cells]) for cells in lines]
    except csv.Error as error:
        raise Refused(f"Line {lines.line_num} cannot be read: {error}.") from error
    return read_table([(row, list(cells)) for row, cells in table])


def read_xlsx(data: bytes) -> Iterable[TagRow]:
    """The first sheet, as a table. Formulas count as the values that were stored with them."""
    # Here: a second of loading, for this one format.
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    file = io.BytesIO(data)
    try:
        members = zipfile.ZipFile(Careful(file)).infolist()
    except (*BROKEN, OSError, ValueError, OverflowError) as error:
        raise Refused("This is not an XLSX file, or it is broken.") from error
    if sum(member.file_size for member in members) > MOST_UNPACKED:
        raise Refused("The XLSX file is too large when it is unpacked.")
    if reason := refusal(members, len(data)):
        raise Refused(f"The XLSX file was not unpacked: {reason}")
    try:
        book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # what the file says of its size is not believed
        table: list[tuple[int, list[object]]] = []
        for row, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
            if row > MOST_ROWS + 1:
                raise Refused(f"The sheet has more than {MOST_ROWS} rows.")
            table.append((row, list(cells[:MOST_COLUMNS])))
    except Refused:
        raise
    except (InvalidFileException, Exception) as error:  # openpyxl raises whatever comes
        raise Refused(f"The XLSX file cannot be read: {type(error).__name__}.") from error
    return read_table(table)


def read_table(table: list[tuple[int, list[object]]]) -> list[TagRow]:
    """Rows with their places; the first that is not empty names the columns."""
    filled = [(row, cells) for row, cells in table if any(cell not in (None, "") for cell in cells)]
    if not filled:
        raise Refused("The table is empty.")
    header = ["" if cell is None else str(cell) for cell in filled[0][1][:MOST_COLUMNS]]
    fields = [field_of(column) for column in header]
    for needed, called in (("number", "id"), ("name", "name")):
        if needed not in fields:
            raise Refused(f"The first line names no column “{called}”.")
    known = [field for field in fields if field]
    if len(set(known)) < len(known):
        raise Refused("Two columns say the same.")
    return [read_row(dict(zip(header, cells, strict=False)), row) for row, cells in filled[1:]]


def unquoted(cell: str) -> str:
    """A cell as it was before writers/tag_file.py marked it as no formula."""
    return cell[1:] if re.match(r"'+[=+\-@\t\r]", cell) else cell


def text_of(data: bytes) -> str:
    text, problem = decode(data)
    if problem:
        raise Refused(problem)
    return text


READERS: dict[str, Callable[[bytes], Iterable[TagRow]]] = {
    ".json": read_json,
    ".csv": read_csv,
    ".tsv": read_csv,
    ".xlsx": read_xlsx,
    ".ttl": lambda data: read_turtle(text_of(data)),
    ".rdf": read_rdf_xml,
    ".xml": read_rdf_xml,
}
