"""JSON lines: one object a line, with "id" and "text", and "title" and "source" if you like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import BinaryIO

from . import LONGEST, Incoming, too_long
from .row import BY_THEIR_NAMES, read_json


def read_jsonl(
    file: BinaryIO,
    name: str,
    columns: Mapping[str, str] = BY_THEIR_NAMES,
    most_bytes: int = LONGEST,
) -> Iterator[Incoming]:
    """Yield a document for every line but empty ones; a line that is none has its problem."""
    for number, line in enumerate(lines(file, most_bytes), start=1):
        where = f"{name}:{number}"
        if line is None:
            problem = too_long(most_bytes)
            yield Incoming("", "", source=where, problem=problem, line=number)
        elif line.strip():
            yield read_json(line, columns, where, number)


def lines(file: BinaryIO, most_bytes: int) -> Iterator[bytes | None]:
    """Yield each line; None for one that is too long, of which no more is ever held."""
    while line := file.readline(most_bytes + 1):
        if len(line) <= most_bytes or line.endswith(b"\n"):
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(most_bytes)
        yield None
