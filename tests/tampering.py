"""What only somebody with the database's password can do: change what is kept.

For the tests that find it out, for those whose past has to be older than it is, and for the
emptying of the database between tests, which on SQLite deletes row by row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction

KEPT = re.compile("^review_[a-z]+_kept_(update|delete)$")


@contextmanager
def tampering() -> Iterator[None]:
    """The triggers that keep rows are away meanwhile, and back at the end."""
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # none may be waiting now
            cursor.execute(
                "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal"
            )
            there = [(table, name) for table, name in cursor.fetchall() if KEPT.match(name)]
            away = [f"ALTER TABLE {table} DISABLE TRIGGER {name}" for table, name in there]
            back = [f"ALTER TABLE {table} ENABLE TRIGGER {name}" for table, name in there]
        else:
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
            kept = [(name, sql) for name, sql in cursor.fetchall() if KEPT.match(name)]
            away, back = [f"DROP TRIGGER {name}" for name, _ in kept], [sql for _, sql in kept]
        for statement in away:
            cursor.execute(statement)
        yield
        if connection.vendor == "postgresql":
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for statement in back:
            cursor.execute(statement)
        if connection.vendor == "postgresql":
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def let_tests_be_emptied() -> None:
    """Between tests Django empties the tables; on SQLite it deletes their rows for that.

    Twice: triggers count the documents that go, in a table that may have been emptied before.
    """
    if connection.vendor != "sqlite":
        return
    operations = type(connection.ops)
    empty = operations.execute_sql_flush

    def execute_sql_flush(self: Any, sql_list: Iterable[str]) -> None:
        with tampering():
            statements = list(sql_list)
            empty(self, statements + statements)

    operations.execute_sql_flush = execute_sql_flush  # type: ignore[method-assign]
