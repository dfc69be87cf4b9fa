"""Celery, configured from Django's settings (names starting with CELERY_)."""

import os
from typing import Any

from celery import Celery, Task
from django.db import close_old_connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tagger_site.settings")


class HouseTask(Task):  # type: ignore[misc]
    """A task that finds its thread's connection to the database, where that is still good.

    Celery would close it before and after each task, which costs more than the rest of one: so
    its settings keep it from that (CELERY_DB_REUSE_MAX).
    """

    def before_start(self, *args: Any, **kwargs: Any) -> None:
        close_old_connections()


app = Celery("tagger", task_cls=HouseTask)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
