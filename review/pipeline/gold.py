"""Gold: documents whose answer a curator knows, mixed into a reviewer's queue unannounced.

Each reviewer gets each at most once, at about the project's rate (`gold_every`), on a page like
any other. What they decide on it says how often they are right (insight/gold.py), and counts for
nothing else: it is no review, changes no tags, and makes no pairs unless a release asks for them.

A turn is leased by its own row, as a repeat is (pipeline/repeat.py): several people may have the
document at once, and its own row stays as it is. Which documents of the queue get gold in their
place is drawn from who is handed them: a page that is loaded again shows the same, and looking
costs a query for those that are drawn only.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from review.models import (
    Decision,
    Document,
    DocumentState,
    Gold,
    GoldTurn,
    Project,
    Proposal,
    Standing,
    Tag,
)
from review.models.document import FREE
from review.readers.known import KnownAnswer

from .close import hold
from .refusal import Conflict, NotATagSet, check_set

MOST_ACCEPTABLE = 5  # sets beside the best one
MOST_TOLD = 20  # lines of a file that are wrong

# Done, so nobody's queue has them; who gets one before that reviews it, and is measured as well.
SHOWN_IN = [DocumentState.REVIEWED, DocumentState.DISPUTED]


class NotKept(ValueError):
    """What is wrong with a file of answers, a sentence a line; none of it is kept."""


# --- What curators say ----------------------------------------------------------------------


@transaction.atomic
def mark(
    document: Document,
    best: Sequence[Tag],
    acceptable: Iterable[Sequence[Tag]] = (),
    by: User | None = None,
) -> Gold:
    """Say what is right of the document, or something else than before; `best` empty: no tag fits.

    The same once more changes nothing. Raises NotATagSet, as a correction does.
    """
    project = document.project
    sets = [list(best)]
    for one in acceptable:
        check_set(project, one)
        if not any(set(one) == set(other) for other in sets):
            sets.append(list(one))
    if best:
        check_set(project, best)
    if len(sets) > MOST_ACCEPTABLE + 1:
        told = _("At most %(most)d sets can be acceptable beside the best.")
        raise NotATagSet(told % {"most": MOST_ACCEPTABLE})
    numbers = [[tag.number for tag in one] for one in sets]
    hold(document.pk)
    last = Gold.objects.filter(document=document, current=True).first()
    if last and not last.withdrawn and _as_sets([last.best, *last.acceptable]) == _as_sets(numbers):
        return last
    return _said(document, by, best=numbers[0], acceptable=numbers[1:])


@transaction.atomic
def withdraw(document: Document, by: User | None = None) -> Gold:
    """Hand it to nobody any more, and measure nobody by it. Raises Conflict where it is not gold.

    What was decided on it stays, and counts again once it is gold again.
    """
    hold(document.pk)
    last = live().filter(document=document).first()
    if last is None:
        raise Conflict(_("This document is not gold. Nothing was changed."))
    return _said(document, by, best=last.best, acceptable=last.acceptable, withdrawn=True)


def mark_all(project: Project, answers: Iterable[KnownAnswer]) -> int:
    """Say of many what is right, or of none; returns of how many. Raises NotKept, and as `answers`.

    All that is wrong is said at once, up to MOST_TOLD lines of it.
    """
    known, problems, count = tags_of(project), [], 0
    with transaction.atomic():
        for one in answers:
            document = (
                Document.objects.filter(project=project, external_id=one.external_id)
                .defer("text", "html")
                .first()
            )
            try:
                if document is None:
                    raise NotATagSet(_("There is no document “%(id)s”.") % {"id": one.external_id})
                document.project = project
                sets = [tags_named(known, written) for written in (one.best, *one.acceptable)]
                mark(document, sets[0], sets[1:])
                count += 1
            except NotATagSet as problem:
                problems.append(f"Line {one.line}: {problem}")
        if problems:
            more = len(problems) - MOST_TOLD
            told = problems[:MOST_TOLD] + ([f"And {more} more."] if more > 0 else [])
            raise NotKept("\n".join(told))
    return count


def tags_of(project: Project) -> dict[str, Tag]:
    """By what people write for them: the number, or the name without regard to case."""
    tags = list(project.tags.all())
    numbers = {str(tag.number): tag for tag in tags}
    return numbers | {tag.name.casefold(): tag for tag in tags}


def tags_named(known: Mapping[str, Tag], written: Sequence[str]) -> list[Tag]:
    """The tags that are written so. Raises NotATagSet for one that there is not."""
    for one in written:
        if one.casefold() not in known:
            raise NotATagSet(_("There is no tag “%(name)s”.") % {"name": one[:60]})
    return [known[one.casefold()] for one in written]


def live() -> QuerySet[Gold]:
    """Of each document that is gold now, what is known of it."""
    return Gold.objects.filter(current=True, withdrawn=False)


def _said(document: Document, by: User | None, **what: object) -> Gold:
    Gold.objects.filter(document=document, current=True).update(current=False)
    return Gold.objects.create(document=document, by=by, **what)


def _as_sets(numbers: Sequence[Sequence[int]]) -> tuple[frozenset[int], set[frozenset[int]]]:
    return frozenset(numbers[0]), {frozenset(one) for one in numbers[1:]}


# --- What reviewers are handed --------------------------------------------------------------


def instead_of(
    document: Document | None,
    project: Project,
    reviewer: User,
    beside: uuid.UUID | None = None,
) -> Document | None:
    """The gold document to show instead of the one that was leased to them; None for most.

    That one is then given back, and comes after. `beside` is the lease of what is on their page
    already. Where the queue has none there is no gold either, but for what was not decided yet.
    """
    if not project.gold_every:
        return None
    if document is None:
        turn = _still_open(project, reviewer, beside)
        return _handed(turn) if turn else None
    if not is_drawn(reviewer, document, project.gold_every):
        return None
    turn = _turn_before(document, project, reviewer, beside)
    if turn is None:
        return None
    held = Document.objects.filter(pk=document.pk, lease_token=document.lease_token)
    held.update(**FREE)
    return _handed(turn)


def is_drawn(reviewer: User, document: Document, every: int) -> bool:
    """Whether gold comes in front of the document, for this reviewer: always the same answer.

    Before one in `every` - 1 of them, so that one in `every` of what is handed out is gold.
    """
    return _drawn(f"before:{reviewer.pk}:{document.pk}") * (every - 1) < 1


def held(reviewer: User, lease: uuid.UUID) -> Document | None:
    """The gold document that they hold under this lease."""
    turn = _open_to(reviewer).filter(lease_token=lease).first()
    return _as_leased(turn) if turn is not None else None


def is_open_to(reviewer: User, document: Document) -> bool:
    """Whether the document is with them as gold just now: what stands on it is not to be told."""
    return GoldTurn.objects.filter(reviewer=reviewer, document=document, decision=None).exists()


def take(reviewer: User, proposal: Proposal, lease: uuid.UUID) -> GoldTurn | None:
    """The turn under this lease, which no other act gets then; None when there is none.

    Within the deciding transaction, which ends by `answer`.
    """
    if not proposal.current:
        return None
    turn = _open_to(reviewer).filter(lease_token=lease, document=proposal.document_id).first()
    if turn is None:
        return None
    # Of two acts at once, one finds the lease gone.
    taken = GoldTurn.objects.filter(pk=turn.pk, lease_token=lease, decision=None)
    return turn if taken.update(lease_token=None) else None


def answer(turn: GoldTurn, decision: Decision) -> None:
    GoldTurn.objects.filter(pk=turn.pk).update(decision=decision)


def give_again(decision: Decision) -> Document:
    """Their answer was taken back: the document, to be decided once more."""
    turn = GoldTurn.objects.select_related("document").get(decision=decision)
    GoldTurn.objects.filter(pk=turn.pk).update(decision=None)
    return _handed(turn)


def _turn_before(
    document: Document, project: Project, reviewer: User, beside: uuid.UUID | None
) -> GoldTurn | None:
    """Theirs that is open still, else a new one; None where they had it, or there is no gold."""
    mine = GoldTurn.objects.filter(reviewer=reviewer)
    turn = _still_open(project, reviewer, beside)
    if turn is not None:
        if not mine.filter(before=document).exists():
            mine.filter(pk=turn.pk).update(before=document)
        return turn
    if mine.filter(before=document).exists():
        return None
    found = _new_to(project, reviewer)
    if not found:
        return None
    which = found[int(_drawn(f"which:{reviewer.pk}:{document.pk}") * len(found))]
    try:
        with transaction.atomic():
            made = GoldTurn.objects.create(reviewer=reviewer, document_id=which, before=document)
    except IntegrityError:  # another page of theirs was quicker
        return None
    return GoldTurn.objects.select_related("document").get(pk=made.pk)


def _new_to(project: Project, reviewer: User) -> list[int]:
    """The documents that they can be measured by: not known to them, and they to nobody's queue.

    Not known: nothing of theirs stands on it, they were never handed it as gold, and have not said
    what is right of it themselves.
    """
    said = Gold.objects.filter(document=OuterRef("document"), by=reviewer)
    decided = Standing.objects.filter(document=OuterRef("document"), reviewer=reviewer)
    turns = GoldTurn.objects.filter(document=OuterRef("document"), reviewer=reviewer)
    shown = Proposal.objects.filter(
        document=OuterRef("document"), current=True, candidate_count__gte=1
    )
    found = live().filter(
        ~Exists(said),
        ~Exists(decided),
        ~Exists(turns),
        Exists(shown),
        document__project=project,
        document__state__in=SHOWN_IN,
    )
    return list(found.order_by("document").values_list("document", flat=True))


def _still_open(project: Project, reviewer: User, beside: uuid.UUID | None) -> GoldTurn | None:
    """One that they were handed and have not decided on, but for that under the lease `beside`."""
    shown = Proposal.objects.filter(document=OuterRef("document"), current=True)
    golds = live().filter(document=OuterRef("document"))
    turns = _open_to(reviewer).filter(
        Exists(shown),
        Exists(golds),
        document__project=project,
        document__state__in=SHOWN_IN,
    )
    if beside is not None:
        turns = turns.exclude(lease_token=beside)
    return turns.order_by("pk").first()


def _open_to(reviewer: User) -> QuerySet[GoldTurn]:
    turns = GoldTurn.objects.filter(reviewer=reviewer, decision=None)
    return turns.select_related("document").defer("document__text")


def _handed(turn: GoldTurn) -> Document:
    """Under the lease that it has, so that a page of it that is still open counts as well."""
    turn.lease_token = turn.lease_token or uuid.uuid4()
    turn.lease_started_at = timezone.now()
    GoldTurn.objects.filter(pk=turn.pk, decision=None).update(
        lease_token=turn.lease_token, lease_started_at=turn.lease_started_at
    )
    return _as_leased(turn)


def _as_leased(turn: GoldTurn) -> Document:
    """The document with the turn's lease for its own: its row knows nothing of that one."""
    document = turn.document
    document.lease_token = turn.lease_token
    document.lease_holder_id = turn.reviewer_id
    document.lease_started_at = turn.lease_started_at
    return document


def _drawn(seed: str) -> float:
    """A number from 0 to 1, always the same one for the same seed; nobody can work it out."""
    return int(salted_hmac("gold", seed).hexdigest()[:13], 16) / 16**13
