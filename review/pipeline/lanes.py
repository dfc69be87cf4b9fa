"""All workers' calls to one endpoint together: Redis tells them how many they may be.

It holds hints only. While it is away each process goes on with what it knew, and by what the
server answers it.
"""

from __future__ import annotations

import os
import socket
import time
from functools import cache

import redis
from django.conf import settings

from review.llm.lane import FIRST, Lane

KEPT = 600  # seconds
LEAST = 5.0  # seconds that a process counts as one of those who ask, after it was heard of


@cache
def broker(url: str, process: int) -> redis.Redis:
    """One pool of connections for each process."""
    return redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=0.5)


def me() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def share(lane: Lane, name: str, before: float | None, start: float | None) -> float:
    """Tell the others how the limit has changed since it was `before`, and take theirs over.

    Changes add up, so that none is lost between two who tell theirs at once. `start` is where
    they begin when nobody knows. Returns the limit as it is now, for the next `before`.
    """
    limit, askers = f"tagger:calls:{name}", f"tagger:askers:{name}"
    now = time.time()
    # Busy with long calls, it is not heard of for as long as they take.
    until = now + max(LEAST, 3 * lane.seconds)
    change = lane.limit - before if before is not None else 0.0
    try:
        with broker(settings.REDIS_URL, os.getpid()).pipeline() as pipe:
            pipe.zadd(askers, {me(): until})
            pipe.zremrangebyscore(askers, 0, now)
            pipe.zcard(askers)
            pipe.expire(askers, KEPT)
            pipe.set(limit, start or FIRST, nx=True)
            pipe.incrbyfloat(limit, change)
            pipe.expire(limit, KEPT)
            said = pipe.execute()
            together = float(said[5])
            within = min(max(together, 1.0), float(lane.ceiling))
            if within != together:
                pipe.set(limit, within, ex=KEPT)
                pipe.execute()
    except (redis.RedisError, OSError):
        if before is None:
            lane.limit = min(start or lane.limit, lane.ceiling)
        return lane.limit
    lane.limit, lane.sharers = within, max(1, int(said[2]))
    return within
