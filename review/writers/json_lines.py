"""A file of JSON lines on its way out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from .lesson import Lesson

HELD = 1 << 20  # characters


class LinesFile:
    def __init__(self, path: Path, rows_of: Callable[[Lesson], Iterable[str]]) -> None:
        self.path, self.rows = path, 0
        self._rows_of = rows_of
        self._held: list[str] = []
        self._characters = 0
        self._hash = hashlib.sha256()
        self._file = path.open("wb")

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def add(self, lesson: Lesson) -> None:
        for row in self._rows_of(lesson):
            self._held += (row, "\n")
            self._characters += len(row)
            self.rows += 1
        if self._characters >= HELD:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._file.close()

    def _flush(self) -> None:
        data = "".join(self._held).encode()
        self._held, self._characters = [], 0
        self._hash.update(data)
        self._file.write(data)
