"""Celery's door to the verbs. A task takes an id; run twice, it does its work once."""

from __future__ import annotations

import logging
from typing import Any

import redis
from celery import Task, shared_task
from django.conf import settings
from django.utils import timezone
from kombu.exceptions import OperationalError

from review.models import Import
from review.pipeline import importing, propose, sweep, tag_use, webhook

log = logging.getLogger(__name__)

QUEUE = "celery"
QUEUED_AT_ONCE = 500  # hints in the broker; the rest of a backlog waits in the database

LONGEST_IMPORT = 12 * 3600  # seconds; a worker is busy with it all that time

WEBHOOKS = 20.0  # seconds of a worker for webhooks; then a document has its turn

LONGEST_COUNTDOWN = 750  # seconds; well below the broker's visibility_timeout


@shared_task(bind=True, max_retries=5)
def propose_tags(self: Task[Any, Any], document_id: int) -> None:
    """Ask the model about one document. Tried again while the server cannot answer.

    After the last retry, and over a pause longer than the broker may hold a message, the
    document waits in the database, and the sweeper finds it when it is due.
    """
    try:
        propose.propose(document_id)
    except propose.TryLater as later:
        log.warning("Document %s waits %.0f s: %s", document_id, later.seconds, later)
        if self.request.retries < self.max_retries and later.seconds <= LONGEST_COUNTDOWN:
            raise self.retry(exc=later, countdown=later.seconds) from later
    fill_queue()


@shared_task(name="review.tasks.sweep")
def sweep_up() -> None:
    sweep.take_back()
    sweep.settle()
    sweep.tally()
    tag_use.count_uses()
    webhook.forget()
    importing.forget_leftovers()
    fill_queue()
    tell_importers()


@shared_task
def send_webhooks() -> None:
    """Send what is due; what is not done in time is done by the next one."""
    webhook.announce_vocabularies()
    webhook.send_due(WEBHOOKS)


@shared_task(time_limit=LONGEST_IMPORT, soft_time_limit=LONGEST_IMPORT)
def load_import(import_id: int) -> None:
    """Load a file that was uploaded. Its lease, not the broker, says whether a worker has it."""
    importing.load(import_id)
    fill_queue()


def tell_importers() -> None:
    """Tell the workers of imports that wait. Told twice, the second goes away."""
    try:
        for import_id in Import.objects.due(timezone.now()).values_list("pk", flat=True)[:50]:
            load_import.apply_async([import_id], queue="imports")
    except (redis.RedisError, OperationalError) as error:
        log.warning("The broker cannot be reached; the sweeper will tell the workers: %s", error)


def fill_queue() -> None:
    """Tell the workers of documents that wait, once the broker holds no more such hints.

    A document may be told of twice; the second worker finds it taken and calls nobody.
    A broker that is down is no reason to fail: the sweeper asks again within a minute.
    """
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=5) as broker:
            if broker.llen(QUEUE):
                return
        for document_id in sweep.due(QUEUED_AT_ONCE):
            propose_tags.delay(document_id)
    except (redis.RedisError, OperationalError) as error:
        log.warning("The broker cannot be reached; the sweeper will tell the workers: %s", error)
