"""Celery, configured from Django's settings (names starting with CELERY_)."""

import os
from typing import Any

from celery import Celery, Task
from celery.signals import before_task_publish, heartbeat_sent
from django.db import close_old_connections

from review import story

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tagger_site.settings")


class HouseTask(Task):  # type: ignore[misc]
    """A task that finds its thread's connection to the database, where that is still good.

    Celery would close it before and after each task, which costs more than the rest of one: so
    its settings keep it from that (CELERY_DB_REUSE_MAX).
    """

    def before_start(self, task_id: str, *args: Any, **kwargs: Any) -> None:
        # Of the request that the task came of; beat's come of none.
        story.request_id.set(self.request.get("request_id") or task_id)
        close_old_connections()


app = Celery("tagger", task_cls=HouseTask)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@before_task_publish.connect  # type: ignore[untyped-decorator]
def name_request(headers: dict[str, Any], **more: Any) -> None:
    headers["request_id"] = story.request_id.get()


@heartbeat_sent.connect  # type: ignore[untyped-decorator]
def give_sign(sender: Any, **more: Any) -> None:
    from review.pipeline import signs  # here: Django is not set up when this file is read

    signs.give(sender.eventer.hostname, app.amqp.queues.consume_from)
