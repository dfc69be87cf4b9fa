"""The app: its start-up checks, and the database's patience, are hooked in here."""

from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created


class ReviewConfig(AppConfig):
    name = "review"

    def ready(self) -> None:
        from . import checks  # noqa: F401 -- it registers itself

        connection_created.connect(set_patience)


def set_patience(connection: BaseDatabaseWrapper, **more: Any) -> None:
    """For a new connection: how long a statement waits for another's lock, as on SQLite.

    Without an end to it, one forgotten transaction would hold every thread of the web server,
    and who picks would wait for an answer that never comes. So it is 503, and the pick again.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            milliseconds = str(settings.LOCK_SECONDS * 1000)
            cursor.execute("SELECT set_config('lock_timeout', %s, false)", [milliseconds])
