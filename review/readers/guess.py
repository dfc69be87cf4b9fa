"""Which reader is for a file, and that reader's documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import PurePosixPath
from typing import BinaryIO

from . import LONGEST, Incoming, too_long
from .csv_table import read_table
from .json_array import read_json_array
from .jsonl import read_jsonl
from .markdown_folder import ENDINGS, read_text
from .row import BY_THEIR_NAMES
from .zip_archive import read_zip


class Format(StrEnum):
    JSONL = "jsonl"
    JSON = "json"
    TABLE = "table"
    ZIP = "zip"
    TEXT = "text"


BY_ENDING = {
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".json": Format.JSON,
    ".csv": Format.TABLE,
    ".tsv": Format.TABLE,
    ".tab": Format.TABLE,
    ".zip": Format.ZIP,
    **dict.fromkeys(ENDINGS, Format.TEXT),
}


def guess(name: str, head: bytes) -> Format:
    """By its first bytes where they say it for sure, else by its name, else by its looks."""
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return Format.ZIP
    named = BY_ENDING.get(PurePosixPath(name).suffix.lower())
    if named is not None:
        return named
    plain = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if plain.startswith(b"{"):
        return Format.JSONL
    return Format.JSON if plain.startswith(b"[") else Format.TEXT


def read(
    kind: Format,
    file: BinaryIO,
    name: str,
    columns: Mapping[str, str] | None = None,
    most_bytes: int = LONGEST,
) -> Iterator[Incoming]:
    """Yield the documents of a file; `columns` as in row.py. Raises Refused, see there."""
    columns = columns or BY_THEIR_NAMES
    if kind == Format.JSONL:
        yield from read_jsonl(file, name, columns, most_bytes)
    elif kind == Format.JSON:
        yield from read_json_array(file, name, columns, most_bytes)
    elif kind == Format.TABLE:
        yield from read_table(file, name, columns, most_bytes)
    elif kind == Format.ZIP:
        yield from read_zip(file, name, most_bytes)
    else:
        data = file.read(most_bytes + 1)
        if len(data) > most_bytes:
            yield Incoming(name, "", source=name, problem=too_long(most_bytes))
        else:
            yield read_text(data, name)
