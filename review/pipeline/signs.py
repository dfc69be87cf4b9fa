"""The workers' signs of life, in Redis: a hint for people. What waits too long says more."""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import redis
from django.conf import settings

from .lanes import broker

WORKERS = "tagger:workers"  # a sorted set: "name queue,queue", and when it was last heard of
BETWEEN = 10.0  # seconds between two signs of one worker
GONE = 45.0  # seconds without a sign
KEPT = 3600  # seconds

_last = 0.0  # this process' sign, of `time.monotonic()`


@dataclass(frozen=True)
class Worker:
    name: str  # celery@host
    queues: tuple[str, ...]  # in the order of their names
    heard: datetime.datetime


def give(name: str, queues: Iterable[str]) -> None:
    """Say that this worker lives; at most each ten seconds. Without Redis nobody hears it."""
    global _last
    if time.monotonic() - _last < BETWEEN:
        return
    _last, now = time.monotonic(), time.time()
    try:
        with broker(settings.REDIS_URL, os.getpid()).pipeline() as pipe:
            pipe.zadd(WORKERS, {f"{name} {','.join(sorted(queues))}": now})
            pipe.zremrangebyscore(WORKERS, 0, now - KEPT)
            pipe.expire(WORKERS, KEPT)
            pipe.execute()
    except (redis.RedisError, OSError):
        pass


def workers() -> list[Worker]:
    """Those that were heard of just now. Raises RedisError."""
    since = time.time() - GONE
    client = broker(settings.REDIS_URL, os.getpid())
    # The client's types do not say that there are scores.
    found: Any = client.zrangebyscore(WORKERS, since, "+inf", withscores=True)
    alive = []
    for member, at in found:
        name, _, queues = member.decode().partition(" ")
        heard = datetime.datetime.fromtimestamp(at, datetime.UTC)
        alive.append(Worker(name, tuple(queues.split(",")), heard))
    return sorted(alive, key=lambda worker: worker.name)
