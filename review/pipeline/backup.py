"""All that Tagger knows, in one archive, as it was at one moment, while people go on working.

A ZIP: `manifest.json`, a file of JSON lines for each table, and the files that rows refer to.
Nothing is there under its name until all of it is on the disk. docs/backup.md has the format.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from django.db import connection, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from . import seal
from .backup_files import PIECE, files_in, leads_out, name_of, wanted
from .backup_rows import Table, tables
from .card import software_version
from .on_disk import keep

FORMAT = 1
MANIFEST = "manifest.json"
TOLD_EACH = 10_000  # rows
LEVEL = 3  # of packing: more costs much time for little

Told = Callable[[int], None]  # rows so far


class NotWritten(ValueError):
    """There is no archive; the sentence says why."""


@dataclass
class Written:
    """What is in it. missing: what rows refer to, and is not on this machine."""

    rows: int = 0
    files: int = 0
    bytes: int = 0
    missing: list[str] = field(default_factory=list)


def backup(path: Path, *, files: bool = True, told: Told | None = None) -> Written:
    """Write the archive. Raises NotWritten; there is no file of this name then."""
    if path.exists():
        raise NotWritten(f"{path} is there already, and stays as it is. Give another name.")
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    written = Written()
    try:
        # It holds hashes of passwords and the secrets of webhooks: for its owner's eyes only.
        with os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            packed = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL)
            with snapshot(), packed as archive:
                _fill(archive, written, files, told or (lambda rows: None))
        keep(part)
        written.bytes = part.stat().st_size
        if path.exists():
            raise NotWritten(f"{path} has come to be there meanwhile, and stays as it is.")
        part.replace(path)
        keep(path.parent)
    except OSError as error:
        raise NotWritten(f"The archive was not written: {error}.") from error
    finally:
        part.unlink(missing_ok=True)
    return written


@contextmanager
def snapshot() -> Iterator[None]:
    """All that is read meanwhile is as it was at one moment, and nobody waits for it."""
    mode = getattr(connection, "transaction_mode", None)
    if connection.vendor == "sqlite":
        # Ours begin as writers (settings.py): this one would keep all picks waiting.
        setattr(connection, "transaction_mode", "DEFERRED")  # noqa: B010 -- only SQLite has it
    try:
        with transaction.atomic():
            if connection.vendor == "postgresql":
                with connection.cursor() as cursor:
                    cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield
    finally:
        if connection.vendor == "sqlite":
            setattr(connection, "transaction_mode", mode)  # noqa: B010


def _fill(archive: zipfile.ZipFile, written: Written, files: bool, told: Told) -> None:
    migrations = sorted(MigrationRecorder(connection).applied_migrations())
    manifest = {
        "format": FORMAT,
        "software": {"name": "Tagger", "version": software_version()},
        "created_at": timezone.now().isoformat(),
        "database": connection.vendor,
        "migrations": [f"{app}.{name}" for app, name in migrations],
        "head": seal.head().as_dict(),
        "tables": [_table(archive, table, written, told) for table in tables()],
        "files": list(_files(archive, written)) if files else [],
        "without_files": not files,
        "missing": written.missing,
    }
    told(written.rows)
    with archive.open(MANIFEST, "w") as entry:
        entry.write(json.dumps(manifest, ensure_ascii=False, indent=1).encode())


def _table(archive: zipfile.ZipFile, table: Table, written: Written, told: Told) -> dict[str, Any]:
    before = written.rows
    with archive.open(entry_of(table.name), "w", force_zip64=True) as entry:
        out = _Summed(entry)
        for line in table.lines():
            out.write(line)
            written.rows += 1
            if not written.rows % TOLD_EACH:
                told(written.rows)
    rows = written.rows - before
    return {"name": table.name, "columns": table.columns, "rows": rows, **out.sums()}


def _files(archive: zipfile.ZipFile, written: Written) -> Iterator[dict[str, Any]]:
    """Releases and models never change once their rows say that they are there."""
    for place in wanted():
        found = files_in(place)
        if not found:
            written.missing.append(name_of(place))
        for path in found:
            name = name_of(path)
            if leads_out(name):  # `restore` would not take it
                written.missing.append(name)
                continue
            try:
                source = path.open("rb")
            except FileNotFoundError:  # it was deleted since the rows were read
                written.missing.append(name)
                continue
            with source, archive.open(f"files/{name}", "w", force_zip64=True) as entry:
                out = _Summed(entry)
                while piece := source.read(PIECE):
                    out.write(piece)
            written.files += 1
            yield {"name": name, **out.sums()}


def entry_of(table: str) -> str:
    return f"tables/{table}.jsonl"


class _Summed:
    """Counts and hashes what goes through."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.bytes, self.sha256 = file, 0, hashlib.sha256()

    def write(self, data: bytes) -> None:
        self.file.write(data)
        self.bytes += len(data)
        self.sha256.update(data)

    def sums(self) -> dict[str, Any]:
        return {"bytes": self.bytes, "sha256": self.sha256.hexdigest()}
