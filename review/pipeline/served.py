"""Which endpoint is asked, and what is known of it: kept in its row, for all workers.

A process looks at a row once a second, and writes to it only what is news.
"""

from __future__ import annotations

import datetime
import hashlib
import logging
import threading
import time
from dataclasses import dataclass, replace

from django.conf import settings
from django.utils import timezone

from review.llm import client
from review.llm.client import Endpoint
from review.llm.errors import NoAnswer, NoTurn, Refused, TimedOut, TooMany, Unavailable
from review.llm.local_server import SLOTS
from review.llm.manners import Manners
from review.models import Project, ServedModel

from . import endpoint as models_to_ask
from .endpoint import NoModel, base_row_of, endpoints, everywhere, key_of, recipe_of, rival
from .lanes import share

news = logging.getLogger("tagger")

LOOK = 1.0  # seconds between two looks at a row
NOTE = 10.0  # seconds between two notes of the calls at once
ALONE = 1.5  # calls at once: fewer there cannot be


class Paused(Exception):
    """No endpoint may be asked before `seconds` have passed. The message says why."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


@dataclass
class Known:
    """What this process knows of one endpoint. Moments are of `time.monotonic()`."""

    row: ServedModel
    base: ServedModel | None = None  # of a tuned model: the row of its base
    looked_at: float = 0.0
    limit: float | None = None  # calls at once, when they were last shared
    shared_at: float = 0.0
    noted_at: float = 0.0


_known: dict[tuple[str, str], Known] = {}
_looking = threading.Lock()
_sharing = threading.Lock()


def forget() -> None:
    """Know nothing, as at the start."""
    _known.clear()
    models_to_ask.forget()
    client.forget()


def worth_telling(most: int) -> int:
    """How many documents the workers may be told of now: `most`; or one, to see whether a server
    is back; or none."""
    try:
        rows = [look(endpoint) for endpoint in everywhere()]
    except NoModel:
        return most  # so that the documents say so
    if any(row.open_until is None for row in rows):
        return most
    now = timezone.now()
    return 1 if any(row.pause(now) == 0 for row in rows) else 0


def check(project: Project | None = None) -> None:
    """Raise Paused while nobody may be asked, by the project or else by any; and NoModel."""
    now = timezone.now()
    rows = [look(endpoint) for endpoint in (endpoints(project) if project else everywhere())]
    first = min(rows, key=lambda row: row.pause(now))
    if seconds := first.pause(now):
        again = now + datetime.timedelta(seconds=seconds)
        raise Paused(f"{first.last_error} It is asked again at {again:%H:%M:%S} UTC.", seconds)


def take(project: Project | None = None) -> Endpoint:
    """The first endpoint of the project's that may be asked, by its recipe; a half open one by one
    caller.

    Raises as `check`.
    """
    for endpoint in endpoints(project):
        if taken := _take(endpoint):
            return taken
    check(project)
    raise Paused("Another document finds out whether the model server is back.", LOOK)


def take_rival(project: Project) -> Endpoint | None:
    """The model that is tried beside the project's, by its recipe; None where there is none, or it
    cannot be asked just now: people go on without it."""
    try:
        endpoint = rival(project)
    except NoModel:
        return None
    return _take(endpoint) if endpoint else None


def _take(endpoint: Endpoint) -> Endpoint | None:
    now = timezone.now()
    row = look(endpoint)
    endpoint = replace(endpoint, recipe=recipe_of(endpoint, row, _known[key_of(endpoint)].base))
    if row.open_until is None:
        share_lane(endpoint)
        return endpoint
    patience = settings.MODEL_DEADLINE + 30
    won = row.pause(now) == 0 and ServedModel.objects.probe(row.pk, now, patience)
    look(endpoint, afresh=True)
    return endpoint if won else None


def went_well(endpoint: Endpoint) -> None:
    """It answered, whatever the answer was worth: note that, and what it has turned out to be."""
    row = look(endpoint)
    manners = client.manners_of(endpoint.base_url, endpoint.model).as_json()
    changes = {}
    if manners != row.manners:
        changes = {"manners": manners, "probed_at": row.probed_at or timezone.now()}
        ServedModel.objects.filter(pk=row.pk).update(**changes)
    if row.failures or row.open_until:
        if ServedModel.objects.answered(row.pk) and row.open_until:
            news.info("The model server answers again: %s.", row)
        changes["failures"] = 0
    if changes:
        look(endpoint, afresh=True)


def went_badly(endpoint: Endpoint, error: Unavailable | NoAnswer | Refused) -> None:
    """Count it, where it is the server's failure and not the document's."""
    if isinstance(error, NoTurn):
        return
    if not isinstance(error, (Unavailable, TimedOut)):
        went_well(endpoint)
        return
    row = look(endpoint)
    lane = client.lane_of(endpoint.base_url, endpoint.model)
    if isinstance(error, TooMany) and lane.limit > ALONE and row.open_until is None:
        return  # fewer calls at once are the answer to that
    pause = error.retry_after if isinstance(error, Unavailable) else None
    if ServedModel.objects.failed(row.pk, str(error), timezone.now(), pause):
        news.info("The model server is left alone for a while: %s", error)
    look(endpoint, afresh=True)


def look(endpoint: Endpoint, afresh: bool = False) -> ServedModel:
    """Its row, at most a second old, and the manners that go with it."""
    known = _known.get(key_of(endpoint))
    if known and not afresh and time.monotonic() - known.looked_at < LOOK:
        return known.row
    if not _looking.acquire(blocking=known is None or afresh):
        assert known is not None  # noqa: S101 -- for mypy
        return known.row  # another thread looks just now
    try:
        address, model = key_of(endpoint)
        row, _ = ServedModel.objects.get_or_create(base_url=address, model=model)
        known = _known.setdefault((address, model), Known(row))
        _bring_manners(endpoint, known.row, row)
        known.row, known.base = row, base_row_of(endpoint)
        known.looked_at = time.monotonic()
        return row
    finally:
        _looking.release()


def _bring_manners(endpoint: Endpoint, before: ServedModel, row: ServedModel) -> None:
    mine = client.manners_of(endpoint.base_url, endpoint.model)
    kept = Manners.from_json(row.manners)
    if before.probed_at and row.probed_at != before.probed_at:
        mine.replace(kept)  # found out from the beginning, by another process
    else:
        mine.take_over(kept)


def ceiling(endpoint: Endpoint) -> int:
    """The most calls at once, by all processes."""
    return SLOTS if endpoint.grammar else int(settings.CALLS_AT_ONCE)


def share_lane(endpoint: Endpoint) -> None:
    """Once a second: how many calls at once all processes make, and may make."""
    known = _known[key_of(endpoint)]
    now = time.monotonic()
    if now - known.shared_at < LOOK or not _sharing.acquire(blocking=False):
        return
    try:
        lane = client.lane_of(endpoint.base_url, endpoint.model)
        lane.ceiling = ceiling(endpoint)
        row = known.row
        name = hashlib.sha256(str(row).encode()).hexdigest()[:16]
        known.limit = share(lane, name, known.limit, row.calls_at_once)
        known.shared_at = now
        off = abs(known.limit - (row.calls_at_once or 0)) > 0.2 * known.limit
        if off and now - known.noted_at > NOTE:
            known.noted_at = now
            ServedModel.objects.filter(pk=row.pk).update(calls_at_once=round(known.limit, 1))
    finally:
        _sharing.release()


# --- Found out on purpose -----------------------------------------------------------------

PROBE = [
    {"role": "system", "content": 'Choose one or two of these tags: cat, dog, bird. Answer with '
     'JSON like {"tags": ["...", "..."]}'},
    {"role": "user", "content": "<document>\nMy kitten purrs.\n</document>"},
]  # fmt: skip


def probe(endpoint: Endpoint) -> ServedModel:
    """Ask it something small in every way that is known, and keep what it honours.

    Raises Unavailable, NoAnswer, Refused.
    """
    row = look(endpoint)
    mine = client.manners_of(endpoint.base_url, endpoint.model)
    mine.replace(Manners())
    client.ask(
        endpoint,
        PROBE,
        ["bird", "cat", "dog"],
        2,
        n=3,
        temperature=0.9,
        seed=1,
        max_tokens=1000,
        deadline=time.monotonic() + settings.MODEL_DEADLINE,
    )
    now = timezone.now()
    ServedModel.objects.filter(pk=row.pk).update(manners=mine.as_json(), probed_at=now)
    ServedModel.objects.answered(row.pk)
    return look(endpoint, afresh=True)
