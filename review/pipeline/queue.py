"""The reviewers' queue: who is handed which document next, and who holds what.

The order, in one place (`CLAIM`): what a curator pinned; then what fewest people have
decided on; then where the candidates disagree most, since there a pick says most; then what
came first. Documents whose samples all agree come last. But one claim in five first looks for
what is kept to audit the documents that are let through unseen: its samples agree, and the audit
must not wait for the end of the queue.
"""

from __future__ import annotations

import datetime
import uuid
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from review import story
from review.models import Document, DocumentState, Project
from review.models.document import FREE

# Plain SQL, because every pick waits for it: one statement takes the first free document. Of
# many at once each gets another: PostgreSQL passes over the rows that are just being taken,
# SQLite lets one write at a time. The index `document_queue` has the columns of the order.
FREE_ONE = """(
    SELECT id FROM review_document AS free
    WHERE project_id = %(project)s AND state = 'ready' AND id <> %(after)s
      AND (lease_expires_at IS NULL OR lease_expires_at <= %(now)s)
      AND NOT EXISTS (
          SELECT 1 FROM review_standing
          WHERE document_id = free.id AND reviewer_id = %(reviewer)s AND purpose <> 'gold'
      ) {which}
    LIMIT 1 {skip_locked}
)"""
IN_ORDER = "ORDER BY pinned DESC, reviews, disagreement DESC, id"
TO_AUDIT = """AND id IN (
    SELECT document_id FROM review_acceptance WHERE project_id = %(project)s AND waiting
) ORDER BY id"""
AUDITS = 5  # one claim in so many
CLAIM = """
UPDATE review_document
SET lease_token = %(token)s, lease_holder_id = %(reviewer)s,
    lease_started_at = %(now)s, lease_expires_at = %(end)s
WHERE id = {free}
RETURNING id, project_id, external_id, title, markup, source, characters, html, html_version,
          state, pinned, reviews, disagreement,
          lease_token, lease_holder_id, lease_started_at, lease_expires_at,
          EXISTS (
              SELECT 1 FROM review_document AS held
              WHERE lease_token = %(holding)s AND lease_holder_id = %(reviewer)s
                AND state = 'ready' AND lease_expires_at > %(now)s
          ) AS still_held
"""


def held_by(project: Project, reviewer: User) -> list[Document]:
    """What the reviewer holds just now, first come first: what is on the page, then the next."""
    live = project.documents.filter(
        lease_holder=reviewer, lease_expires_at__gt=timezone.now(), state=DocumentState.READY
    )
    return list(live.order_by("lease_started_at", "pk").defer("text"))


def claim_next(project: Project, reviewer: User, after: int | None = None) -> Document | None:
    """Hand the reviewer a document, leased to them; None when there is none.

    Whoever holds one already gets that one again: a page that is loaded twice leases once.
    `after` asks for the document that is to follow that one: it is prefetched.
    """
    for document in held_by(project, reviewer):
        if document.pk != after:
            return document
    return claim_beside(project, reviewer, uuid.uuid4(), after)[0]


def claim_beside(
    project: Project, reviewer: User, holding: uuid.UUID, after: int | None = None
) -> tuple[Document | None, bool]:
    """Lease one more document beside the one that the reviewer holds under the lease `holding`.

    It comes without its text. Also says whether they do hold the other still; when there is
    nothing to lease, it is not known. A document does not follow itself: it is not `after`.
    """
    now = timezone.now()
    token = uuid.uuid4()
    values = {
        "token": stored_uuid(token),
        "holding": stored_uuid(holding),
        "now": connection.ops.adapt_datetimefield_value(now),
        "end": connection.ops.adapt_datetimefield_value(now + lease_time()),
        "project": project.pk,
        "reviewer": reviewer.pk,
        "after": after or 0,
    }
    skip_locked = "FOR UPDATE SKIP LOCKED" if connection.vendor == "postgresql" else ""
    free = FREE_ONE.format(which=IN_ORDER, skip_locked=skip_locked)
    if token.int % AUDITS == 0:
        audit = FREE_ONE.format(which=TO_AUDIT, skip_locked=skip_locked)
        free = f"COALESCE({audit}, {free})"
    claimed = list(Document.objects.raw(CLAIM.format(free=free), values))
    if not claimed:
        return None, False
    story.tell("handed out", claimed[0].pk, reviewer=reviewer.pk)
    return claimed[0], bool(claimed[0].still_held)  # type: ignore[attr-defined]


def stored_uuid(value: uuid.UUID) -> Any:
    """The UUID as this database stores it: SQLite has no type for it."""
    return Document._meta.get_field("lease_token").get_db_prep_value(value, connection)


def lease_to(number: int, reviewer: User) -> bool:
    """Lease this very document, if it is free: one conditional UPDATE, of many one wins."""
    now = timezone.now()
    free = Document.objects.filter(pk=number, state=DocumentState.READY).unleased(now)
    return bool(
        free.update(
            lease_token=uuid.uuid4(),
            lease_holder=reviewer,
            lease_started_at=now,
            lease_expires_at=now + lease_time(),
        )
    )


def hold_beside(document: int, page: uuid.UUID, project: Project, reviewer: User) -> None:
    """Of what the reviewer holds beside this document keep one, and give the rest back.

    The one that is kept is what was on the page (by its lease), else the first.
    """
    others = [other for other in held_by(project, reviewer) if other.pk != document]
    others.sort(key=lambda other: other.lease_token != page)
    surplus = [other.pk for other in others[1:]]
    if surplus:
        Document.objects.filter(pk__in=surplus, lease_holder=reviewer).update(**FREE)


def renew(reviewer: User, lease: uuid.UUID) -> bool:
    """Hold the document for five more minutes: its page is open. False when it is lost."""
    held = Document.objects.filter(
        lease_token=lease, lease_holder=reviewer, state=DocumentState.READY
    )
    return bool(held.update(lease_expires_at=timezone.now() + lease_time()))


def release(reviewer: User, lease: uuid.UUID) -> None:
    """Give the document back: its page was left. The late pick of a page that comes back
    (the browser's back button) still counts while nobody else has taken it.
    """
    held = Document.objects.filter(
        lease_token=lease, lease_holder=reviewer, state=DocumentState.READY
    )
    held.update(lease_expires_at=timezone.now())


def lease_time() -> datetime.timedelta:
    return datetime.timedelta(minutes=settings.LEASE_MINUTES)
