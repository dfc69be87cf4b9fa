"""An archive → an empty install, in one transaction: all of it, or the install stays empty.

The archive is input like any other. What it says is compared with its sums, and each row with
its table; what is made of other rows (indexes, HTML) is made anew and never read from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.management.color import no_style
from django.db import DatabaseError, connection, models, transaction
from django.db.migrations.executor import MigrationExecutor

from review.models import Document, DocumentState

from . import render
from .backup_archive import BROKEN, Archive, Entry, Refused
from .backup_files import NotPut, put
from .backup_rows import NotAValue, Table, number_of, tables, value_of
from .seal import Head

TOGETHER = 500  # rows that are put in by one statement
TOLD_EACH = 10_000  # rows

# These triggers keep indexes, so they work for restored rows as for others. The rest tell of
# what happens, and nothing happens: tallies come with the archive, webhooks were told.
KEEP_INDEXES = ("review_given_", "review_words_")

Told = Callable[[str, int, int], None]  # "bytes checked" or "rows", so many, of so many


@dataclass(frozen=True)
class Restored:
    """head: of the chain, when the archive was made."""

    rows: int
    files: int
    created_at: str
    head: Head
    without_files: bool


def restore(path: Path, told: Told | None = None) -> Restored:
    """Raises Refused, and the database is as empty as it was.

    Files may be there then, or after a kill: they are of no harm, and the next time left as
    they are.
    """
    tell = told or (lambda what, done, of: None)
    with closing(Archive(path)) as archive:
        pairs = _pairs(archive, _is_older(archive))
        archive.check(lambda done, of: tell("bytes checked", done, of))
        try:
            with transaction.atomic():
                _hold(pairs)
                with _triggers_away():
                    rows = _put_rows(archive, pairs, lambda done, of: tell("rows", done, of))
                _reset_sequences(pairs)
                _put_files(archive)
        except (NotPut, *BROKEN) as error:
            raise Refused(f"Nothing was restored: {error}") from error
        except DatabaseError as error:
            raise Refused(f"Nothing was restored. The database says: {error}") from error
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")  # or its plans are for empty tables, for a while
    return Restored(
        rows, len(archive.files), archive.created_at, archive.head, archive.without_files
    )


# --- Whether it fits ----------------------------------------------------------------------


def _is_older(archive: Archive) -> bool:
    """Whether it was made by an older version. Raises Refused for a newer one."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise Refused("The database is not prepared: run `manage.py migrate` first.")
    here = {f"{app}.{name}" for app, name in executor.loader.disk_migrations}
    if newer := sorted(archive.migrations - here):
        raise Refused(
            "The archive was made by a newer version of Tagger, or another: this one does not "
            f"know {newer[0]}. Restore it with the version that made it, or a newer one."
        )
    return bool(here - archive.migrations)


def _pairs(archive: Archive, older: bool) -> list[tuple[Table, Entry]]:
    """Each table with its entry. Only what an older version had not may be missing."""
    given = {entry.name: entry for entry in archive.tables}
    ours = {table.name: table for table in tables()}
    if unknown := sorted(set(given) - set(ours)):
        raise Refused(f"The archive has tables that are not known here: {', '.join(unknown)}.")
    if not older and (missing := sorted(set(ours) - set(given))):
        raise Refused(f"The archive lacks tables: {', '.join(missing)}.")
    pairs = [(table, given[name]) for name, table in ours.items() if name in given]
    for table, entry in pairs:
        columns = set(table.columns)
        if unknown := sorted(set(entry.columns) - columns):
            told = ", ".join(unknown)
            raise Refused(
                f"The archive's {table.name} has columns that are not known here: {told}."
            )
        if len(set(entry.columns)) < len(entry.columns):
            raise Refused(f"The archive's {table.name} has a column twice.")
        if not older and (missing := sorted(columns - set(entry.columns))):
            raise Refused(f"The archive's {table.name} lacks columns: {', '.join(missing)}.")
    return pairs


def _hold(pairs: Sequence[tuple[Table, Entry]]) -> None:
    """That the tables are empty, and remain so for others. Raises Refused."""
    if connection.vendor == "postgresql":
        names = ", ".join(connection.ops.quote_name(table.name) for table in tables())
        with connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {names} IN EXCLUSIVE MODE")
    for table in tables():
        if table.model._base_manager.exists():
            raise Refused(
                f"This install is not empty: {table.name} has rows. Nothing was changed. Restore "
                "into a new database: create one, run `manage.py migrate`, and then this."
            )


# --- Rows ---------------------------------------------------------------------------------


def _put_rows(
    archive: Archive, pairs: Sequence[tuple[Table, Entry]], told: Callable[[int, int], None]
) -> int:
    done, of = 0, sum(entry.rows for _table, entry in pairs)
    numbers = {model: number_of(model) for model in (ContentType, Permission)}
    for table, entry in pairs:
        insert = _Insert(table, entry, numbers)
        try:
            for row in archive.rows(entry):
                insert.add(row)
                done += 1
                if not done % TOLD_EACH:
                    told(done, of)
            insert.flush()
            # Now, and not at the end: here it is known which table it was.
            connection.check_constraints([table.name])
        except NotAValue as error:
            where = f"Line {insert.line} of {entry.path} in the archive"
            raise Refused(f"Nothing was restored. {where}: {error}.") from error
        except (DatabaseError, ValueError, OverflowError) as error:
            if isinstance(error, Refused):
                raise
            where = f"{table.name}, near line {insert.line}"
            raise Refused(f"Nothing was restored. The database refuses {where}: {error}") from error
    told(done, of)
    return done


class _Insert:
    """Puts rows into a table, some at a time."""

    def __init__(
        self, table: Table, entry: Entry, numbers: dict[Any, Callable[[Any], int]]
    ) -> None:
        self.numbers, self.line = numbers, 0
        self.rows: list[list[Any]] = []
        by_column = {str(field.column): field for field in table.fields}
        self.given = [by_column.pop(column) for column in entry.columns]
        # Of an older version's row: what a new one would have.
        self.more = [field for field in by_column.values() if not field.has_db_default()]
        self.documents = table.model is Document
        quote = connection.ops.quote_name
        columns = [quote(str(field.column)) for field in (*self.given, *self.more)]
        marks = ", ".join(["%s"] * len(columns))
        self.sql = f"INSERT INTO {quote(table.name)} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608

    def add(self, row: Sequence[Any]) -> None:
        """Raises NotAValue."""
        self.line += 1
        values: dict[models.Field[Any, Any], Any] = {}
        for field, given in zip(self.given, row, strict=True):
            number = self.numbers.get(field.related_model)
            values[field] = number(given) if number and given else value_of(field, given)
        values |= {field: field.get_default() for field in self.more}
        if self.documents:
            _show(values)
        self.rows.append(
            [field.get_db_prep_save(value, connection) for field, value in values.items()]
        )
        if len(self.rows) == TOGETHER:
            self.flush()

    def flush(self) -> None:
        rows, self.rows = self.rows, []
        if rows:
            with connection.cursor() as cursor:
                cursor.executemany(self.sql, rows)


def _show(values: dict[models.Field[Any, Any], Any]) -> None:
    """The HTML of a document that a reviewer may be handed next; others get theirs when asked."""
    row = {field.name: (field, value) for field, value in values.items()}
    version, made = row["html_version"]
    values[version] = 0
    if made == render.VERSION and row["state"][1] == DocumentState.READY:
        document = Document(text=row["text"][1], markup=row["markup"][1])
        values[row["html"][0]], values[version] = render.render(document), render.VERSION


def _reset_sequences(pairs: Sequence[tuple[Table, Entry]]) -> None:
    found = [table.model for table, _entry in pairs]
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), found):
            cursor.execute(statement)


@contextmanager
def _triggers_away() -> Iterator[None]:
    """Within the transaction: after a kill they are where they were."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal "
                "AND tgenabled <> 'D' AND tgrelid = ANY(%s::regclass[])",
                [[table.name for table in tables()]],
            )
            quote = connection.ops.quote_name
            there = [(table, quote(name)) for table, name in cursor.fetchall() if _tells(name)]
            away = [f"ALTER TABLE {table} DISABLE TRIGGER {name}" for table, name in there]
            back = [f"ALTER TABLE {table} ENABLE TRIGGER {name}" for table, name in there]
        else:
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
            found = [(name, sql) for name, sql in cursor.fetchall() if _tells(name)]
            away = [f"DROP TRIGGER {connection.ops.quote_name(name)}" for name, _sql in found]
            back = [sql for _name, sql in found]
        for statement in away:
            cursor.execute(statement)
        yield
        for statement in back:
            cursor.execute(statement)


def _tells(trigger: str) -> bool:
    return not trigger.startswith(KEEP_INDEXES)


# --- Files --------------------------------------------------------------------------------


def _put_files(archive: Archive) -> None:
    """Before the rows that refer to them are there for others."""
    for file in archive.files:
        with archive.zip.open(file.path) as inside:
            put(file.name, inside, file.sha256)
