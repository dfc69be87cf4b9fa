"""How the parts of this installation are, each in a sentence that holds no name and no address.

Picks need the database alone. Whatever else is in trouble, people go on, and documents wait.
"""

from __future__ import annotations

import datetime
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import redis
from django.conf import settings
from django.db import Error as DatabaseError
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from review.models import Document, DocumentState, Project, Proposal, Swept

from . import signs
from .endpoint import NoModel, everywhere, row_of
from .lanes import broker

QUEUE = "celery"  # that of the documents
LOOKED_AT = 500  # documents that wait, from the oldest on
STANDSTILL = datetime.timedelta(minutes=10)  # documents wait, and none is read: something is wrong
LATE = datetime.timedelta(minutes=5)  # the sweeper comes each minute
LITTLE, LEAST = 1_000_000_000, 100_000_000  # bytes free on the disk


class Condition(StrEnum):
    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"


@dataclass(frozen=True)
class Part:
    """told: how it is, and what to do. name: for programs."""

    name: str
    condition: Condition
    told: str


def parts() -> list[Part]:
    """The database first. None takes long, however many documents there are."""
    found = [database()]
    if found[0].condition == Condition.DOWN:
        return [*found, cache(), disk()]  # the others are known by the database only
    for look in (cache, models, waiting, workers, sweeper, disk):
        found.append(look())
    return found


def serves(found: list[Part]) -> bool:
    """Whether picks can be made."""
    return found[0].condition != Condition.DOWN


def overall(found: list[Part]) -> Condition:
    if not serves(found):
        return Condition.DOWN
    well = all(part.condition == Condition.OK for part in found)
    return Condition.OK if well else Condition.DEGRADED


def database() -> Part:
    try:
        Project.objects.exists()
    except (DatabaseError, OSError):
        told = _(
            "The database does not answer: nothing can be picked. Nothing that was saved is lost. "
            "Look whether it runs, and at DATABASE_URL."
        )
        return Part("database", Condition.DOWN, told)
    return Part("database", Condition.OK, _("The database answers."))


def cache() -> Part:
    try:
        broker(settings.REDIS_URL, os.getpid()).ping()
    except (redis.RedisError, OSError):
        told = _(
            "Redis does not answer: the model reads no documents. Picks go on, and what waits is "
            "kept. Start Redis; the workers go on by themselves."
        )
        return Part("redis", Condition.DOWN, told)
    return Part("redis", Condition.OK, _("Redis answers."))


def models() -> Part:
    try:
        rows = [row_of(endpoint) for endpoint in everywhere()]
    except NoModel:
        told = _(
            "No model can be asked: documents wait. Set OPENAI_BASE_URL and TAGGER_MODEL, or start "
            "everything with `make run`; the page Models says more."
        )
        return Part("model", Condition.DOWN, told)
    left_alone = sum(row is not None and row.open_until is not None for row in rows)
    if left_alone == len(rows):
        told = _(
            "No model server answers: documents wait, and picks go on. It is asked again by "
            "itself, after ten minutes at the latest. Look at it; the page Models has its last "
            "error."
        )
        return Part("model", Condition.DOWN, told)
    if left_alone:
        told = _("One model server is in trouble and left alone for a while; another is asked.")
        return Part("model", Condition.DEGRADED, told)
    if any(row is not None and row.failures for row in rows):
        told = _("A model server's last call failed. It is asked on.")
        return Part("model", Condition.DEGRADED, told)
    return Part("model", Condition.OK, _("The model servers are asked, or can be."))


def waiting() -> Part:
    """By whether they move, and not by how long the line is: a large import may take a day."""
    arrived = oldest_waiting()
    if arrived is None:
        return Part("waiting", Condition.OK, _("No document waits for the model."))
    now = timezone.now()
    told = _("The oldest document that waits for the model came %(ago)s ago.")
    told %= {"ago": in_words(now - arrived)}
    if now - arrived < STANDSTILL or since_last_proposal(now) < STANDSTILL:
        return Part("waiting", Condition.OK, told)
    told += " " + _(
        "None was read for ten minutes. Look at the model and the workers here, and at the reason "
        "on the documents' pages: a budget may be spent."
    )
    return Part("waiting", Condition.DEGRADED, told)


def oldest_waiting() -> datetime.datetime | None:
    """When the oldest came that waits for the model: of the first in the queue."""
    queue = Document.objects.filter(state=DocumentState.WAITING).order_by("pk")
    return min(queue.values_list("created_at", flat=True)[:LOOKED_AT], default=None)


def since_last_proposal(now: datetime.datetime) -> datetime.timedelta:
    latest = Proposal.objects.order_by("-created_at").values_list("created_at", flat=True).first()
    return now - latest if latest else datetime.timedelta.max


def workers() -> Part:
    try:
        alive = signs.workers()
    except (redis.RedisError, OSError):
        told = _("Whether workers run is not known while Redis is away.")
        return Part("workers", Condition.DEGRADED, told)
    if not any(QUEUE in worker.queues for worker in alive):
        told = _(
            "No worker that reads documents was heard of lately: documents wait, and picks go on. "
            "Start one (the Procfile has the line), or look at its log."
        )
        return Part("workers", Condition.DOWN, told)
    count = len(alive)
    told = ngettext("%(n)d worker runs.", "%(n)d workers run.", count) % {"n": count}
    return Part("workers", Condition.OK, told)


def sweeper() -> Part:
    at = last_sweep()
    if at is None:
        told = _("The sweeper has not run yet. It needs beat (the Procfile has the line).")
        return Part("sweeper", Condition.DEGRADED, told)
    ago = timezone.now() - at
    told = _("The sweeper last ran %(ago)s ago.") % {"ago": in_words(ago)}
    if ago > LATE:
        told += " " + _(
            "It should each minute, and puts right what was interrupted. Look whether beat, Redis "
            "and a worker run."
        )
        return Part("sweeper", Condition.DEGRADED, told)
    return Part("sweeper", Condition.OK, told)


def last_sweep() -> datetime.datetime | None:
    return Swept.objects.values_list("at", flat=True).first()


def disk() -> Part:
    free = shutil.disk_usage(settings.VAR).free
    told = _("%(free)s GB are free on the disk of var/.") % {"free": f"{free / 1e9:.1f}"}
    if free > LITTLE:
        return Part("disk", Condition.OK, told)
    told += " " + _("Make room: without any, nothing can be saved.")
    return Part("disk", Condition.DOWN if free < LEAST else Condition.DEGRADED, told)


def in_words(time: datetime.timedelta) -> str:
    """In the largest unit that it has two of: 119 minutes, then 2 hours."""
    seconds = max(0, int(time.total_seconds()))
    units: list[tuple[int, Callable[[int], str]]] = [
        (86_400, lambda n: ngettext("%(n)d day", "%(n)d days", n)),
        (3600, lambda n: ngettext("%(n)d hour", "%(n)d hours", n)),
        (60, lambda n: ngettext("%(n)d minute", "%(n)d minutes", n)),
        (1, lambda n: ngettext("%(n)d second", "%(n)d seconds", n)),
    ]
    length, words = next((u for u in units if seconds >= 2 * u[0]), units[-1])
    count = seconds // length
    return words(count) % {"n": count}
