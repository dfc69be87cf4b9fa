"""How often each tag was proposed, picked, and corrected in or out; counted by the sweeper.

Proposals and decisions are only ever added, so only what came since the last time is read. A
decision that was taken back is counted back when its undo comes. What is less than a minute old
waits: another transaction may still add a row with a lower id.
"""

from __future__ import annotations

import datetime
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import Count, Max, QuerySet
from django.utils import timezone

from review.models import CandidateTag, Counted, Decision, DecisionKind, Proposal, TagUse
from review.models.decision import MACHINE

AT_ONCE = 5_000  # proposals, and decisions
STEPS = 20  # at most, each time: a hundred thousand in one go
SETTLES = datetime.timedelta(seconds=60)
OWN_SET = (DecisionKind.CORRECT, DecisionKind.SETTLE)


@dataclass
class Uses:
    """By a tag's id, since the last count."""

    proposed: Counter[int] = field(default_factory=Counter)
    picked: Counter[int] = field(default_factory=Counter)
    corrected_in: Counter[int] = field(default_factory=Counter)
    corrected_out: Counter[int] = field(default_factory=Counter)
    last: dict[int, datetime.datetime] = field(default_factory=dict)


def count_uses() -> None:
    """Add what is new to the counts."""
    for _step in range(STEPS):
        if not _count_some():
            break


def counted() -> Counted:
    """How far the counts go."""
    return Counted.objects.filter(pk=1).first() or Counted(pk=1)


def _count_some() -> bool:
    """One step; whether there may be more."""
    mark, _created = Counted.objects.get_or_create(pk=1)
    now = timezone.now()
    proposals = _new(Proposal.objects.filter(pk__gt=mark.proposal, created_at__lt=now - SETTLES))
    decisions = _new(Decision.objects.filter(pk__gt=mark.decision, created_at__lt=now - SETTLES))
    uses = Uses()
    if proposals:
        placed = CandidateTag.objects.filter(
            candidate__proposal__gt=mark.proposal, candidate__proposal__lte=proposals[-1]
        )
        of_each = (
            placed.order_by()
            .values_list("tag")
            .annotate(Count("candidate__proposal", distinct=True))
        )
        uses.proposed.update(dict(of_each))
    if decisions:
        _add_decisions(uses, mark.decision, decisions[-1])
    with transaction.atomic():
        # Of two that count at once, one finds the mark moved, and adds nothing.
        mine = Counted.objects.filter(pk=1, proposal=mark.proposal, decision=mark.decision)
        moved = mine.update(
            proposal=proposals[-1] if proposals else mark.proposal,
            decision=decisions[-1] if decisions else mark.decision,
            at=now,
        )
        if moved:
            _add(uses)
    return bool(moved) and AT_ONCE in (len(proposals), len(decisions))


def _new(rows: QuerySet[Any]) -> list[int]:
    return list(rows.order_by("pk").values_list("pk", flat=True)[:AT_ONCE])


def _add_decisions(uses: Uses, after: int, last: int) -> None:
    window = Decision.objects.filter(pk__gt=after, pk__lte=last)
    picks = window.by_people().filter(kind=DecisionKind.PICK).order_by()
    tag = "candidate__placed_tags__tag"
    for key, count, when in picks.values_list(tag).annotate(Count("pk"), Max("created_at")):
        uses.picked[key] += count
        uses.last[key] = when
    people = window.exclude(undoes__reviewer__username=MACHINE)
    undone = people.filter(undoes__kind=DecisionKind.PICK).order_by()
    for key, count in undone.values_list(f"undoes__{tag}").annotate(Count("pk")):
        uses.picked[key] -= count
    _add_corrections(uses, window.filter(kind__in=OWN_SET), 1)
    taken_back = window.filter(undoes__kind__in=OWN_SET)
    _add_corrections(uses, Decision.objects.filter(pk__in=taken_back.values("undoes")), -1)


def _add_corrections(uses: Uses, decisions: QuerySet[Decision], sign: int) -> None:
    shown: dict[int | None, set[int]] = defaultdict(set)
    placed = CandidateTag.objects.filter(candidate__proposal__in=decisions.values("proposal"))
    for proposal, shown_tag in placed.values_list("candidate__proposal", "tag"):
        shown[proposal].add(shown_tag)
    given: dict[int, set[int]] = defaultdict(set)
    about = {}
    rows = decisions.values_list("pk", "proposal", "created_at", "placed_tags__tag")
    for pk, proposal, when, tag in rows:
        about[pk] = proposal
        if tag is not None:
            given[pk].add(tag)
            if sign > 0:
                uses.last[tag] = max(when, uses.last.get(tag, when))
    for pk, proposal in about.items():
        for tag in given[pk] - shown[proposal]:
            uses.corrected_in[tag] += sign
        for tag in shown[proposal] - given[pk]:
            uses.corrected_out[tag] += sign


def _add(uses: Uses) -> None:
    tags = {*uses.proposed, *uses.picked, *uses.corrected_in, *uses.corrected_out, *uses.last}
    TagUse.objects.bulk_create([TagUse(tag_id=tag) for tag in tags], ignore_conflicts=True)
    for use in TagUse.objects.filter(tag__in=tags):
        use.proposed += uses.proposed[use.tag_id]
        use.picked += uses.picked[use.tag_id]
        use.corrected_in += uses.corrected_in[use.tag_id]
        use.corrected_out += uses.corrected_out[use.tag_id]
        latest = [when for when in (use.last_used_at, uses.last.get(use.tag_id)) if when]
        use.last_used_at = max(latest, default=None)
        use.save()
