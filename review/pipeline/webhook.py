"""Webhooks: an event becomes deliveries, each is sent until somebody has heard it, or for a day.

The triggers of the database make the deliveries of a document, in the transaction that
reviews or fails it; those of the tag list are made here, when it is not the one that was last
announced, and those of a release, in the transaction that makes it ready. Signed as Standard
Webhooks says: https://www.standardwebhooks.com
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import json
import logging
import secrets
import time
from collections.abc import Sequence

from django.db import transaction
from django.utils import timezone

from review import guarded
from review.models import (
    Attempt,
    Delivery,
    DeliveryState,
    Event,
    Off,
    Project,
    Release,
    VocabularyVersion,
    Webhook,
)
from review.models.webhook import LONGEST_ANSWER

from .tags_out import final_tags

news = logging.getLogger("tagger")

# After each attempt that failed: 10 seconds, then 1, 5 and 30 minutes, then hours; a day in all.
WAITS = [
    datetime.timedelta(seconds=seconds)
    for seconds in (10, 60, 300, 1800, 7200, 14400, 28800, 32400)
]
OTHERS_WAIT = datetime.timedelta(minutes=1)  # those of the same webhook, after one that failed
OFF_AFTER = datetime.timedelta(days=3)  # in which nothing came through
KEPT = datetime.timedelta(days=30)  # deliveries that have ended
LEASE = datetime.timedelta(minutes=1)  # of the one that sends; longer than a call can take
LONGEST_CALL = 10.0  # seconds
MOST_BYTES = 100_000  # of an answer
GONE = 410


def register(project: Project, url: str, events: Sequence[Event]) -> Webhook:
    """A webhook with a secret of its own. What has happened before is not announced."""
    return Webhook.objects.create(
        project=project,
        url=url,
        events=[str(event) for event in events],
        secret="whsec_" + base64.b64encode(secrets.token_bytes(32)).decode(),
        vocabulary=VocabularyVersion.current(project).sha256,
    )


def switch_off(webhook: Webhook, reason: Off) -> None:
    """No deliveries are made from now on, and those that wait are given up."""
    on = Webhook.objects.filter(pk=webhook.pk, switched_off_at=None)
    if on.update(switched_off_at=timezone.now(), off_reason=reason):
        webhook.deliveries.filter(state=DeliveryState.PENDING).update(state=DeliveryState.FAILED)


def switch_on(webhook: Webhook) -> None:
    """What has happened meanwhile is not announced; what was given up can be replayed."""
    Webhook.objects.filter(pk=webhook.pk).update(
        switched_off_at=None,
        off_reason="",
        failing_since=None,
        vocabulary=VocabularyVersion.current(webhook.project).sha256,
    )


def test(webhook: Webhook) -> Attempt | None:
    """Send one now that says nothing but that it is a test."""
    # Not due for the worker while it is being sent here.
    return send(_deliver(webhook, Event.TEST, timezone.now() + LEASE))


def replay(delivery: Delivery) -> Attempt | None:
    """Send it once more now: the same id and body, so that nobody takes it for another event."""
    Delivery.objects.filter(pk=delivery.pk).update(
        state=DeliveryState.PENDING, attempts=0, next_at=timezone.now() + LEASE
    )
    delivery.refresh_from_db()
    return send(delivery)


def replay_failed(webhook: Webhook) -> int:
    """Let all that were given up be sent again, by the worker; returns how many."""
    failed = webhook.deliveries.filter(state=DeliveryState.FAILED)
    return failed.update(state=DeliveryState.PENDING, attempts=0, next_at=timezone.now())


def announce_vocabularies() -> None:
    """Make a delivery for each webhook whose tag list is not the one that it was last told of.

    The list is compared, not its changes: however it came about, and however many there were.
    """
    on = Webhook.objects.filter(switched_off_at=None).select_related("project")
    for webhook in on:
        if Event.VOCABULARY not in webhook.events:
            continue
        now = VocabularyVersion.current(webhook.project).sha256
        with transaction.atomic():
            # Of two at once, one finds it announced.
            told = Webhook.objects.filter(pk=webhook.pk, vocabulary=webhook.vocabulary)
            if now != webhook.vocabulary and told.update(vocabulary=now):
                _deliver(webhook, Event.VOCABULARY, timezone.now())


def announce_release(release: Release) -> None:
    """Call it in the transaction in which the release becomes ready: that happens once.

    The body is written at once, since a release never changes, and may be deleted.
    """
    for webhook in Webhook.objects.filter(project=release.project_id, switched_off_at=None):
        if Event.RELEASE in webhook.events:
            delivery = _deliver(webhook, Event.RELEASE, timezone.now())
            delivery.body = body_of(delivery, release)
            delivery.save(update_fields=["body"])


def send_due(seconds: float) -> int:
    """Send what is due, for about so many seconds; returns how many calls were made.

    After one that fails the others of its webhook wait for a minute: an address that does not
    answer costs the worker ten seconds a minute, however much waits for it.
    """
    end = time.monotonic() + seconds
    calls = 0
    while time.monotonic() < end:
        due = Delivery.objects.filter(
            state=DeliveryState.PENDING,
            next_at__lte=timezone.now(),
            webhook__switched_off_at=None,
        )
        delivery = due.order_by("next_at", "pk").first()
        if delivery is None:
            break
        attempt = send(delivery)
        if attempt is None:
            continue
        calls += 1
        if not heard(attempt):
            others = Delivery.objects.filter(
                webhook=delivery.webhook_id,
                state=DeliveryState.PENDING,
                next_at__lt=timezone.now() + OTHERS_WAIT,
            )
            others.exclude(pk=delivery.pk).update(next_at=timezone.now() + OTHERS_WAIT)
    return calls


def send(delivery: Delivery) -> Attempt | None:
    """One attempt, and what came of it. None where another worker is at it, or it has no object.

    Whoever sends holds it for a minute: after a worker's death it is sent again, and so an
    event may come twice, with the same id.
    """
    now = timezone.now()
    free = Delivery.objects.filter(
        pk=delivery.pk, state=DeliveryState.PENDING, attempts=delivery.attempts
    )
    if not free.update(attempts=delivery.attempts + 1, next_at=now + LEASE):
        return None
    delivery.attempts += 1
    webhook = delivery.webhook
    if not delivery.body:
        delivery.body = body_of(delivery)
        if not delivery.body:
            delivery.delete()
            return None
        Delivery.objects.filter(pk=delivery.pk).update(body=delivery.body)
    attempt = _call(webhook, delivery)
    _write_down(webhook, delivery, attempt)
    return attempt


def body_of(delivery: Delivery, release: Release | None = None) -> str:
    """What is sent: JSON. "" where the document is not so any more: there is nothing to tell."""
    project, document = delivery.webhook.project, delivery.document
    data: dict[str, object] = {"project": {"id": project.pk, "name": project.name}}
    if document is not None:
        if delivery.event != f"document.{document.state}":
            return ""  # a dispute, or an undo, in the same breath
        data["document"] = {
            "id": document.external_id,
            "title": document.title,
            "state": document.state,
            "reason": document.reason,
            "tags": [{"id": tag.number, "name": tag.name} for tag in final_tags(document)],
        }
    if delivery.event == Event.VOCABULARY:
        version = VocabularyVersion.current(project)
        data["vocabulary"] = {"sha256": version.sha256, "tags": len(version.tags)}
    if release is not None:
        names = ("pairs", "decisions", "documents")
        data["release"] = {
            "number": release.number,
            "note": release.note,
            "formats": release.formats,
            **{name: release.counts[name] for name in names},
            "manifest_sha256": release.manifest_sha256,
        }
    event = {
        "type": delivery.event,
        "timestamp": delivery.created_at.isoformat(),
        "data": data,
    }
    return json.dumps(event, ensure_ascii=False)


def signed(webhook: Webhook, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of a call: the receiver computes the same over "id.timestamp.body"."""
    key = base64.b64decode(webhook.secret.removeprefix("whsec_"))
    words = f"{message_id}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.digest(key, words, hashlib.sha256)).decode()
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }


def heard(attempt: Attempt) -> bool:
    return attempt.status is not None and 200 <= attempt.status < 300


def forget() -> None:
    """Delete deliveries that ended long ago, with their attempts."""
    ended = Delivery.objects.exclude(state=DeliveryState.PENDING)
    ended.filter(created_at__lt=timezone.now() - KEPT).delete()


def _deliver(webhook: Webhook, event: Event, next_at: datetime.datetime) -> Delivery:
    return Delivery.objects.create(webhook=webhook, event=event, next_at=next_at)


def _call(webhook: Webhook, delivery: Delivery) -> Attempt:
    attempt = Attempt(delivery=delivery, started_at=timezone.now())
    body = delivery.body.encode()
    headers = signed(webhook, f"msg_{delivery.pk}", int(time.time()), body)
    started = time.monotonic()
    try:
        answer = guarded.fetch(
            "POST",
            webhook.url,
            headers=headers,
            body=body,
            most_bytes=MOST_BYTES,
            seconds=LONGEST_CALL,
        )
        attempt.status = answer.status
        said = answer.body[: LONGEST_ANSWER * 4].decode(errors="replace")
        attempt.answer = said.replace("\0", "�")[:LONGEST_ANSWER]
    except guarded.Refusal as refusal:
        attempt.problem = str(refusal)[:500]
    attempt.milliseconds = int((time.monotonic() - started) * 1000)
    return attempt


@transaction.atomic
def _write_down(webhook: Webhook, delivery: Delivery, attempt: Attempt) -> None:
    now = timezone.now()
    ours = Delivery.objects.filter(pk=delivery.pk, attempts=delivery.attempts)
    if heard(attempt):
        changes: dict[str, object] = {"state": DeliveryState.DELIVERED}
    elif delivery.attempts > len(WAITS) or delivery.event == Event.TEST:
        changes = {"state": DeliveryState.FAILED}
    else:
        changes = {"next_at": now + WAITS[delivery.attempts - 1]}
    if not ours.update(**changes):
        return  # removed with its webhook, or replayed by hand
    attempt.save()
    if heard(attempt):
        Webhook.objects.filter(pk=webhook.pk).update(failing_since=None)
        return
    if delivery.event == Event.TEST:
        return
    Webhook.objects.filter(pk=webhook.pk, failing_since=None).update(failing_since=now)
    webhook.refresh_from_db()
    if attempt.status == GONE:
        switch_off(webhook, Off.GONE)
    elif webhook.failing_since is not None and webhook.failing_since < now - OFF_AFTER:
        switch_off(webhook, Off.SILENT)
        news.info("The webhook %s was switched off: nothing came through for 3 days.", webhook)
