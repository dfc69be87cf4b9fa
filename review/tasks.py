"""Celery's door to the verbs. A task takes an id; run twice, it does its work once."""

from __future__ import annotations

import logging
import os
import time
from typing import Any

import redis
from celery import Task, shared_task
from django.conf import settings
from django.utils import timezone
from kombu.exceptions import OperationalError

from review.models import Batch, Import, Release, Training
from review.pipeline import (
    ahead,
    auto_accept,
    batch,
    budget,
    calibrate,
    importing,
    lanes,
    propose,
    release,
    revoke,
    seal,
    served,
    stand_in,
    sweep,
    tag_use,
    trainer,
    webhook,
)

log = logging.getLogger(__name__)

QUEUE = "celery"
TRAINING = "training"  # the queue of the workers that train; those of `make run` see no other
QUEUED_AT_ONCE = 500  # hints in the broker; the rest of a backlog waits in the database
TOGETHER, TOGETHER_SECONDS = 5, 20.0  # documents of one task; when it begins no other
FILLING, FILLING_SECONDS = "tagger:filling", 10  # of Redis: somebody tells of documents just now

LONGEST_IMPORT = 12 * 3600  # seconds; a worker is busy with it all that time
LONGEST_BATCH = 12 * 3600  # seconds; taking in 50,000 answers takes the most of it
LONGEST_TRAINING = 14 * 86_400  # seconds
LONGEST_RELEASE = 12 * 3600  # seconds; a million pairs take some minutes

WEBHOOKS = 20.0  # seconds of a worker for webhooks; then a document has its turn

SEALING, REVOKING, RENDERING = 20.0, 15.0, 10.0  # seconds of the sweeper

CONFIDENCES = 10.0  # seconds of the sweeper for documents that wait to be told theirs

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


@shared_task
def propose_several(document_ids: list[int]) -> None:
    """The same for some documents in turn: a task and a look at the queue for each cost too much.

    Those that are not reached in time wait in the database, for whoever is told of them next.
    """
    began, common = time.monotonic(), propose.Common()
    for document_id in document_ids:
        try:
            propose.propose(document_id, common)
        except propose.TryLater as later:
            log.warning("Document %s waits %.0f s: %s", document_id, later.seconds, later)
            if later.seconds <= LONGEST_COUNTDOWN:
                propose_tags.apply_async([document_id], countdown=later.seconds)
        if time.monotonic() - began > TOGETHER_SECONDS:
            break
    fill_queue()


@shared_task(name="review.tasks.sweep")
def sweep_up() -> None:
    sweep.take_back()
    sweep.settle()
    sweep.tally()
    tag_use.count_uses()
    webhook.forget()
    importing.forget_leftovers()
    auto_accept.check()
    auto_accept.send_some_back()
    auto_accept.tell_waiting(CONFIDENCES)
    stand_in.stand_in()
    budget.look_again()
    fill_queue()
    tell_importers()
    tell_batches()
    tell_releases()
    tell_trainers()
    revoke.go_on(REVOKING)
    seal.seal(whole=False, seconds=SEALING)
    ahead.keep_ahead(RENDERING)
    sweep.note()


@shared_task
def learn_confidence() -> None:
    """Wherever enough has been decided since the last time."""
    calibrate.fit_due()


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


@shared_task(time_limit=LONGEST_BATCH, soft_time_limit=LONGEST_BATCH)
def work_batch(batch_id: int) -> None:
    """Take a batch as far as it goes now. Its lease says whether a worker has it."""
    batch.work(batch_id)
    fill_queue()


@shared_task(time_limit=LONGEST_RELEASE, soft_time_limit=LONGEST_RELEASE)
def make_release(release_id: int) -> None:
    """Make what was ordered. Its lease says whether a worker has it."""
    release.make(release_id)


def tell_releases() -> None:
    """Tell the workers of releases that wait. Told twice, the second goes away."""
    try:
        for release_id in Release.objects.due(timezone.now()).values_list("pk", flat=True)[:50]:
            make_release.apply_async([release_id], queue="imports")
    except (redis.RedisError, OperationalError) as error:
        log.warning("The broker cannot be reached; the sweeper will tell the workers: %s", error)


@shared_task(
    name="review.tasks.train", time_limit=LONGEST_TRAINING, soft_time_limit=LONGEST_TRAINING
)
def run_trainer(training_id: int) -> None:
    """Train, in a process of its own. Its lease says whether a worker has it."""
    from celery.worker import state  # here: of the worker alone, not of the web

    if trainer.work(training_id, lambda: state.should_stop is not None):
        tell_trainers()


def tell_trainers() -> None:
    """Tell the workers that train, of those that wait. Where there is none, one hint waits."""
    try:
        if not lanes.broker(settings.REDIS_URL, os.getpid()).llen(TRAINING):
            due = Training.objects.due(timezone.now()).values_list("pk", flat=True).first()
            if due is not None:
                run_trainer.apply_async([due], queue=TRAINING)
    except (redis.RedisError, OperationalError) as error:
        log.warning("The broker cannot be reached; the sweeper will tell the workers: %s", error)


def tell_batches() -> None:
    """Tell the workers of the provider's batches that are to be looked after."""
    try:
        for batch_id in Batch.objects.due(timezone.now()).values_list("pk", flat=True)[:50]:
            work_batch.apply_async([batch_id], queue="imports")
    except (redis.RedisError, OperationalError) as error:
        log.warning("The broker cannot be reached; the sweeper will tell the workers: %s", error)


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
    A broker that is down is no reason to fail: the sweeper asks again within a minute. While
    no model server may be asked, nobody is told.
    """
    try:
        broker = lanes.broker(settings.REDIS_URL, os.getpid())
        if broker.llen(QUEUE):
            return
        # One of many threads that find it empty at once.
        if not broker.set(FILLING, 1, nx=True, ex=FILLING_SECONDS):
            return
        try:
            due = sweep.due(served.worth_telling(QUEUED_AT_ONCE))
            # Few are shared out one by one; of many, nobody is without work for long.
            together = TOGETHER if len(due) == QUEUED_AT_ONCE else 1
            for start in range(0, len(due), together):
                propose_several.delay(due[start : start + together])
        finally:
            broker.delete(FILLING)
    except (redis.RedisError, OperationalError) as error:
        log.warning("The broker cannot be reached; the sweeper will tell the workers: %s", error)
