"""The cache: hints in Redis, which may be lost at any moment. The database is the truth."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError

LONGEST = 300  # seconds


class Hints(RedisCache):
    """Redis as a cache that is never the reason why a page fails: without it, nothing is known.

    Nothing is kept for more than five minutes: what is deleted while Redis is away (a session,
    by a sign-out) is gone then.
    """

    def get(self, key: Any, default: Any = None, version: Any = None) -> Any:
        try:
            return super().get(key, default, version)
        except RedisError:
            return default

    def set(self, key: Any, value: Any, timeout: Any = LONGEST, version: Any = None) -> None:
        shortest = min(timeout, LONGEST) if isinstance(timeout, int) else LONGEST
        with suppress(RedisError):
            super().set(key, value, shortest, version)

    def delete(self, key: Any, version: Any = None) -> bool:
        try:
            return bool(super().delete(key, version))
        except RedisError:
            return False

    def has_key(self, key: Any, version: Any = None) -> bool:
        try:
            return bool(super().has_key(key, version))
        except RedisError:
            return False
