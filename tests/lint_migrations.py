"""Whether migrations can be run while the version before them serves: expand, then contract.

DATABASE_URL=postgres://… .venv/bin/python -m tests.lint_migrations

On PostgreSQL: of SQLite, which makes tables anew, the linter can tell little. Ends with 1 when a
migration since FIRST would break the version before it: a column that it needs is dropped or
renamed, or one that it does not know must be filled. What is older is not asked to pass: no
version before this had users. One of those shows that the linter is alive.
"""

from __future__ import annotations

import os
import sys

import django

FIRST = "0016"
CANARY = "0002_desk"  # it adds columns that the version before it does not fill


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tagger_site.settings")
    django.setup()
    from django.conf import settings
    from django.db import connection
    from django.db.migrations.loader import MigrationLoader
    from django_migration_linter import MigrationLinter

    if connection.vendor != "postgresql":
        print("Name a PostgreSQL server in DATABASE_URL.", file=sys.stderr)
        return 2
    disk = MigrationLoader(None).disk_migrations or {}
    before = MigrationLinter(str(settings.BASE_DIR), no_cache=True, no_output=True)
    before.lint_migration(disk["review", CANARY])
    if not before.has_errors:
        print(f"The linter finds nothing in {CANARY}, which it must refuse.", file=sys.stderr)
        return 1
    linter = MigrationLinter(str(settings.BASE_DIR), no_cache=True)
    for app, name in sorted(disk):
        if app == "review" and name >= FIRST:
            linter.lint_migration(disk[app, name])
    linter.print_summary()
    return int(linter.has_errors)


if __name__ == "__main__":
    sys.exit(main())
