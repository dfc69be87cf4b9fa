"""Candidates as a page shows them: in the reviewer's order, their differences marked."""

from __future__ import annotations

import json
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import connection
from django.utils.translation import gettext_lazy as _

from review.models import Document, Proposal, Suspicion, Tag

Told = tuple[str, str]  # a sentence, and the words of the document
Said = tuple[int, str, str, str, bool]  # of a tag: number, name, description, not_for, retired

# Plain SQL, because every pick waits for it.
CANDIDATES = """
SELECT proposal.id, proposal.note, proposal.candidate_count, proposal.document_cut,
       proposal.prompt_version,
       CASE WHEN proposal.document_cut AND candidate.rank = 1 AND placed.position = 1
            THEN proposal.user_message ELSE '' END,
       suspicion.found,
       candidate.id, candidate.rank, tag.merged_into_id,
       tag.number, tag.name, tag.description, tag.not_for, tag.retired_at IS NOT NULL
FROM review_proposal AS proposal
JOIN review_candidate AS candidate ON candidate.proposal_id = proposal.id
JOIN review_candidatetag AS placed ON placed.candidate_id = candidate.id
JOIN review_tag AS tag ON tag.id = placed.tag_id
LEFT JOIN review_suspicion AS suspicion ON suspicion.document_id = proposal.document_id
WHERE proposal.document_id = %s AND proposal.current
ORDER BY candidate.rank, placed.position
"""


# What the rules of review/llm/suspicion.py have found.
SAYS = {
    "orders": _("It gives orders about instructions:"),
    "address": _("It addresses a model:"),
    "answer": _("It says what to answer:"),
    "roles": _("It pretends to be a part of the conversation:"),
    "hidden": _("It holds text that a reader does not see:"),
    "coded": _("It says in code:"),
    "list": _("It lists tags as this project has them:"),
}


@dataclass(frozen=True)
class ShownTag:
    number: int
    name: str
    description: str
    not_for: str
    common: bool  # in every candidate of the page: nothing to choose between
    retired: bool = False  # still to be picked, but no longer to be given


@dataclass(frozen=True)
class ShownCandidate:
    id: int
    key: str  # the key that picks it: its place on the page
    tags: list[ShownTag]


def shown_candidates(
    document: Document, reviewer: User
) -> tuple[Proposal, list[ShownCandidate], list[Told]]:
    """The document's current proposal, and its candidates as this reviewer sees them, in order.

    A tag that was merged since is shown as the one that it became; of sets that have become
    equal by it the best-ranked one is shown. (Pairs of such sets teach nothing: pipeline/pair.)
    The proposal has its id, its note, its number of candidates, and, if the model read only a
    part of the document, what it was sent. Third, what of the document speaks to the model.
    Raises Proposal.DoesNotExist when there is no proposal.
    """
    with connection.cursor() as cursor:
        cursor.execute(CANDIDATES, [document.pk])
        rows = cursor.fetchall()
    if not rows:
        raise Proposal.DoesNotExist(f"Document {document.pk} has no current proposal.")
    number, note, count, cut, version, message, found = rows[0][:7]
    proposal = Proposal(
        id=number,
        document_id=document.pk,
        note=note,
        candidate_count=count,
        document_cut=cut,
        prompt_version=version,
        user_message=message,
    )
    ids: dict[int, int] = {}  # by rank
    sets: dict[int, list[Said]] = {}  # by rank
    merged = {row[9] for row in rows} - {None}
    became = what_became(merged) if merged else {}
    for candidate, rank, into, *tag in (row[7:] for row in rows):
        ids[rank] = candidate
        placed = sets.setdefault(rank, [])
        said = became[into] if into else (*tag[:4], bool(tag[4]))
        if said not in placed:
            placed.append(said)
    if merged:
        sets = without_equals(sets)
    common = set.intersection(*map(set, sets.values())) if len(sets) > 1 else set()
    order = proposal.order_for(reviewer.pk, again=document.again)
    candidates = [
        ShownCandidate(ids[rank], str(place), [shown_tag(tag, tag in common) for tag in sets[rank]])
        for place, rank in enumerate(filter(sets.__contains__, order), start=1)
    ]
    return proposal, candidates, told(json.loads(found)) if found else []


def told(found: list[dict[str, str]]) -> list[Told]:
    """What a Suspicion found, in the reader's language."""
    return [(str(SAYS[each["rule"]]), each["quote"]) for each in found if each["rule"] in SAYS]


def suspicion_of(document: Document) -> list[Told]:
    suspicion = Suspicion.objects.filter(document=document).first()
    return told(suspicion.found) if suspicion else []


def shown_tag(said: Said, common: bool) -> ShownTag:
    return ShownTag(*said[:4], common=common, retired=said[4])


def what_became(merged: set[int]) -> dict[int, Said]:
    """By the ids of tags that others were merged into: what stands at the end of the chain."""
    ends = Tag.objects.filter(pk__in=merged).ends()
    tags = Tag.objects.in_bulk({ends.get(pk, pk) for pk in merged})
    found = {pk: tags[ends.get(pk, pk)] for pk in merged}
    return {
        pk: (tag.number, tag.name, tag.description, tag.not_for, tag.retired_at is not None)
        for pk, tag in found.items()
    }


def without_equals(sets: dict[int, list[Said]]) -> dict[int, list[Said]]:
    """Of sets with the same tags, the one with the best rank."""
    first: dict[frozenset[Said], int] = {}
    for rank in sorted(sets):
        first.setdefault(frozenset(sets[rank]), rank)
    return {rank: sets[rank] for rank in first.values()}
