"""Tokens: made and shown once, found again by their hash, revoked, and held to a rate."""

from __future__ import annotations

import datetime
import functools
import hashlib
import logging
import secrets
import time
from collections.abc import Sequence

import redis
from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import F, Q
from django.utils import timezone

from review.models import Membership, Project, Role, Scope, Token

log = logging.getLogger(__name__)

BEGINNING = "tagger_"  # so that a scanner of repositories can tell what leaked
BYTES = 32  # 256 bits of chance
SHOWN = len(BEGINNING) + 6  # characters that are kept, to tell tokens apart
LONGEST_DAYS = 3650
NOTED = datetime.timedelta(minutes=1)  # the last use is written down no oftener
WINDOW = 60  # seconds that a rate is counted over
WRONG_RATE = 30  # tokens that do not work, from one address in a window


def make(
    project: Project, user: User, name: str, scopes: Sequence[Scope], days: int
) -> tuple[Token, str]:
    """A token for `days`, and what its program is to send: that is kept nowhere."""
    text = BEGINNING + secrets.token_urlsafe(BYTES)
    token = Token.objects.create(
        project=project,
        user=user,
        name=name,
        scopes=[str(scope) for scope in scopes],
        prefix=text[:SHOWN],
        sha256=_hash(text),
        expires_at=timezone.now() + datetime.timedelta(days=days),
    )
    return token, text


def revoke(token: Token) -> None:
    """For good; who revoked it first stays first."""
    Token.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now())


def find(text: str) -> tuple[Token, Role] | None:
    """The token that works under this text, and its user's role in its project."""
    now = timezone.now()
    tokens = Token.objects.select_related("project", "user")
    token = tokens.filter(sha256=_hash(text), user__is_active=True).first()
    if token is None or not token.works(now):
        return None
    membership = Membership.objects.filter(project=token.project, user=token.user).first()
    if membership is None:
        return None
    if token.last_used_at is None or token.last_used_at < now - NOTED:
        used = Q(last_used_at=None) | Q(last_used_at__lt=now - NOTED)
        Token.objects.filter(used, pk=token.pk).update(last_used_at=now)
    return token, Role(membership.role)


def wait(token: Token) -> int:
    """Count this call; the seconds until the next one is allowed, 0 where this one is.

    Calls are counted in Redis, in windows of a minute by the clock. Without Redis there is no
    limit: the calls are wanted, the limit only keeps one program from crowding out the rest.
    """
    if not settings.API_RATE:
        return 0
    return _wait(f"rate:{token.pk}", settings.API_RATE)


def wait_after_wrong(address: str) -> int:
    """Count a token that does not work; the seconds that its sender is to wait, 0 for none yet.

    Who holds one that works is never held back by this: others may share the address, and 256
    bits are not guessed however quickly somebody tries. It keeps the log and the database quiet.
    """
    seconds = _wait(f"wrong:{address}", WRONG_RATE)
    if seconds:
        log.warning("Many tokens from %s do not work; it is told to wait %d s.", address, seconds)
    return seconds


def _wait(what: str, most: int) -> int:
    """Count one more; the seconds to the next window where there were more than so many."""
    now = int(time.time())
    key = f"tagger:{what}:{now // WINDOW}"
    try:
        counting = _counters().pipeline()
        counting.incr(key)
        counting.expire(key, 2 * WINDOW)
        calls = int(counting.execute()[0])
    except redis.RedisError as error:
        log.warning("Calls of the API are not limited: Redis cannot be reached: %s", error)
        return 0
    return 0 if calls <= most else WINDOW - now % WINDOW


def tokens_of(project: Project) -> Sequence[Token]:
    """Those that work and those that do not any more, the newest first."""
    ended = F("revoked_at").asc(nulls_first=True)
    return list(project.tokens.select_related("user").order_by(ended, "-pk"))


@functools.cache
def _counters() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=0.5, socket_connect_timeout=0.5)


def _hash(text: str) -> str:
    # Not a password: 256 bits of chance cannot be guessed, so a quick hash is enough.
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()
