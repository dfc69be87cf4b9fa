"""An archive that somebody brings: judged as a whole before any of it is used."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from .backup import FORMAT, MANIFEST, entry_of
from .backup_files import PIECE, leads_out
from .seal import Head

LONGEST_MANIFEST = 100_000_000  # bytes
LONGEST_LINE = 500_000_000  # bytes: of a row
TOLD_EACH = 100_000_000  # bytes
BROKEN = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError),
    *(NotImplementedError, RuntimeError, OverflowError),
)

Told = Callable[[int, int], None]  # bytes looked at, of so many


class Refused(ValueError):
    """Nothing of the archive was restored; the sentence says why."""


@dataclass(frozen=True)
class Entry:
    """A table or a file, as the manifest has it. columns, rows: of a table."""

    name: str
    path: str
    bytes: int
    sha256: str
    columns: tuple[str, ...] = ()
    rows: int = 0


class Archive:
    """Its manifest has been read, and fits what is in it. Raises Refused."""

    def __init__(self, path: Path) -> None:
        try:
            self.zip = zipfile.ZipFile(path)
        except FileNotFoundError as error:
            raise Refused(f"There is no {path}.") from error
        except BROKEN as error:
            raise Refused(f"{path} is no archive of Tagger, or is cut off: {error}.") from error
        try:
            self._look()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self.zip.close()

    def _look(self) -> None:
        there = self.zip.infolist()
        names = {info.filename for info in there}
        if len(names) < len(there):
            raise Refused("Two files in the archive have the same name.")
        for info in there:
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG) or info.is_dir():
                raise Refused(f"“{info.filename}” in the archive is no plain file.")
        if MANIFEST not in names:
            raise Refused("This is no archive of Tagger: it has no manifest.json.")
        self.manifest = self._manifest()
        try:
            self.migrations = {str(name) for name in self.manifest["migrations"]}
            self.created_at = str(self.manifest["created_at"])
            self.without_files = bool(self.manifest["without_files"])
            head = self.manifest["head"]
            self.head = Head(int(head["position"]), str(head["sha256"]))
            self.tables = [_table(found) for found in self.manifest["tables"]]
            self.files = [_file(found) for found in self.manifest["files"]]
        except (KeyError, TypeError, ValueError) as error:
            raise Refused(f"The archive's manifest is damaged: {error!r}.") from error
        for file in self.files:
            if leads_out(file.name):
                raise Refused(f"“{file.name}” in the archive is no name for one of our files.")
        entries = self.entries()
        told = {entry.path for entry in entries} | {MANIFEST}
        if len(told) <= len(entries) or told != names:
            odd = ", ".join(sorted(told ^ names)[:5]) or "twice the same"
            raise Refused(f"The archive and its manifest name different files: {odd}.")

    def _manifest(self) -> dict[str, Any]:
        try:
            with self.zip.open(MANIFEST) as entry:
                text = entry.read(LONGEST_MANIFEST + 1)
            manifest = json.loads(text) if len(text) <= LONGEST_MANIFEST else None
        except (*BROKEN, ValueError, RecursionError) as error:
            raise Refused(f"The archive's manifest is damaged: {error}.") from error
        number = manifest.get("format") if isinstance(manifest, dict) else None
        if type(number) is not int or not isinstance(manifest, dict):
            raise Refused("The archive's manifest is not one of Tagger's.")
        if number != FORMAT:
            raise Refused(
                f"The archive has format {number}; this version of Tagger reads {FORMAT}. "
                "Restore it with the version that made it."
            )
        return manifest

    def entries(self) -> list[Entry]:
        return [*self.tables, *self.files]

    def check(self, told: Told) -> None:
        """That every table and file is what the manifest says. Raises Refused at the first not."""
        done, said, of = 0, 0, sum(entry.bytes for entry in self.entries())
        for entry in self.entries():
            summed, size = hashlib.sha256(), 0
            try:
                with self.zip.open(entry.path) as inside:
                    while piece := inside.read(PIECE):
                        summed.update(piece)
                        size += len(piece)
            except BROKEN as error:
                raise Refused(f"{entry.path} in the archive is damaged: {error}.") from error
            if (size, summed.hexdigest()) != (entry.bytes, entry.sha256):
                raise Refused(f"{entry.path} in the archive is not what the manifest says.")
            done += size
            if done - said > TOLD_EACH or done == of:
                told(done, of)
                said = done

    def rows(self, table: Entry) -> Iterator[list[Any]]:
        """Yield each row of a table, as many as the manifest says. Raises Refused."""
        number = 0
        with self.zip.open(table.path) as inside:
            lines = io.BufferedReader(cast("io.RawIOBase", inside), PIECE)
            while line := lines.readline(LONGEST_LINE + 1):
                number += 1
                where = f"Line {number} of {table.path} in the archive"
                try:
                    row = json.loads(line) if len(line) <= LONGEST_LINE else None
                except (ValueError, RecursionError) as error:
                    raise Refused(f"{where} is no JSON.") from error
                if not isinstance(row, list) or len(row) != len(table.columns):
                    raise Refused(f"{where} is no row of its {len(table.columns)} columns.")
                yield row
        if number != table.rows:
            raise Refused(f"{table.path} has {number} rows; the manifest says {table.rows}.")


def _table(found: dict[str, Any]) -> Entry:
    columns = tuple(str(column) for column in found["columns"])
    name, sums = str(found["name"]), (int(found["bytes"]), str(found["sha256"]))
    return Entry(name, entry_of(name), *sums, columns, int(found["rows"]))


def _file(found: dict[str, Any]) -> Entry:
    name = str(found["name"])
    return Entry(name, f"files/{name}", int(found["bytes"]), str(found["sha256"]))
