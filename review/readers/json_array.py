"""JSON: a list of objects (or one object, or several after one another), with "id" and "text"."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from . import LONGEST, Incoming, too_long
from .row import BY_THEIR_NAMES, read_json

CHUNK = 1 << 18

IN_TEXT = re.compile(rb'["\\]')
IN_OBJECT = re.compile(rb'["{}\[\]]')
IN_SCALAR = re.compile(rb'[\s,"{}\[\]]')
BETWEEN = re.compile(rb"[^\s,]")


def read_json_array(
    file: BinaryIO,
    name: str,
    columns: Mapping[str, str] = BY_THEIR_NAMES,
    most_bytes: int = LONGEST,
) -> Iterator[Incoming]:
    """Yield a document for every object of the list; what is none has its problem.

    The objects are cut apart by their brackets and quotes, and each is read by itself: so a bad
    one does not hide the others, and only one is held at a time.
    """
    for line, value in Cutter(most_bytes).values(file):
        where = f"{name}:{line}"
        if value is None:
            yield Incoming("", "", source=where, problem=too_long(most_bytes), line=line)
        else:
            yield read_json(value, columns, where, line)


class Cutter:
    """Cuts JSON into the values of its outermost list."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.outermost = 0  # 1 within the list
        self.begun = False
        self.depth = 0
        self.in_value = self.in_text = self.escaped = False
        self.value = bytearray()
        self.too_long = False
        self.line = 1  # of the place in the file
        self.from_line = 1  # of the value

    def values(self, file: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
        """Yield (line, value); None for one that is too long, of which no more is ever held."""
        first = True
        while chunk := file.read(CHUNK):
            if first:
                chunk = chunk.removeprefix(b"\xef\xbb\xbf")
                first = False
            yield from self.cut(chunk)
        if self.in_value:
            yield self.end()

    def cut(self, chunk: bytes) -> Iterator[tuple[int, bytes | None]]:
        place = start = 0  # where the scan is, and where what it is in begins
        while place < len(chunk):
            if self.in_value:
                place, ends = self.within(chunk, place)
            else:
                start, place, ends = self.between(chunk, place)
            if ends:
                self.keep(chunk[start:place])
                yield self.end()
                start = place
        if self.in_value:
            self.keep(chunk[start:])

    def between(self, chunk: bytes, place: int) -> tuple[int, int, bool]:
        """To the first byte of the next value: where it begins, where to go on, and if it ends."""
        found = BETWEEN.search(chunk, place)
        if found is None:
            self.line += chunk.count(b"\n", place)
            return len(chunk), len(chunk), False
        self.line += chunk.count(b"\n", place, found.start())
        byte = found[0]
        if byte == b"[" and not self.begun:
            self.outermost = self.depth = 1
        elif byte == b"]" and self.outermost:
            self.outermost = self.depth = 0
        else:
            self.in_value = True
            self.from_line = self.line
            self.in_text = byte == b'"'
            self.depth += byte in b"[{"
        self.begun = True
        return found.start(), found.end(), byte in b"]}" and self.in_value

    def within(self, chunk: bytes, place: int) -> tuple[int, bool]:
        """To the next byte that matters: where to go on, and whether the value ends there."""
        if self.escaped:
            self.escaped = False
            return place + 1, False
        nested = self.depth > self.outermost
        pattern = IN_TEXT if self.in_text else IN_OBJECT if nested else IN_SCALAR
        found = pattern.search(chunk, place)
        if found is None:
            return len(chunk), False
        byte = found[0]
        if self.in_text:
            self.escaped = byte == b"\\"
            self.in_text = self.escaped
            return found.end(), not self.in_text and not nested
        if not nested:
            return found.start(), True
        self.in_text = byte == b'"'
        self.depth += (byte in b"[{") - (byte in b"]}")
        return found.end(), self.depth == self.outermost

    def keep(self, part: bytes) -> None:
        self.line += part.count(b"\n")
        self.too_long = self.too_long or len(self.value) + len(part) > self.most_bytes
        if self.too_long:
            self.value.clear()
        else:
            self.value += part

    def end(self) -> tuple[int, bytes | None]:
        value = None if self.too_long else bytes(self.value)
        self.value.clear()
        self.too_long = self.in_value = self.in_text = self.escaped = False
        self.depth = self.outermost
        return self.from_line, value
