"""What a change of the tag list touches: counts and samples, looked up within bounds.

Up to MOST documents of each kind are counted. Of the decisions the latest LATELY are looked at,
and what was passed over in them. So a preview costs about the same in a small project and in one
with a million documents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db.models import Avg, Exists, F, OuterRef, Q
from django.db.models.expressions import RawSQL

from review.models import (
    CandidateTag,
    Decision,
    DecisionKind,
    DecisionTag,
    Document,
    DocumentState,
    Project,
    Proposal,
    Purpose,
    TagUse,
    Tally,
)
from review.models.document import DocumentQuerySet

from .pair import pairs_of, with_what_pairs_need

MOST = 10_000  # documents
LATELY = 20_000  # decisions
MOST_PAIRED = 1_000  # decisions whose pairs are worked out
SAMPLE = 5
AVERAGED = 500  # proposals


@dataclass
class Found:
    """`more`: there are more than counted. `lately`: only so many were looked at; 0 for all."""

    count: int = 0
    more: bool = False
    samples: list[Document] = field(default_factory=list)
    lately: int = 0


@dataclass
class Touched:
    """What has any of some tags.

    final: reviewed documents that have one of them. open_ones: documents that are ready, with
    one of them in a set that reviewers are shown. decisions: that stand and gave one of them.
    pairs: preference pairs with one of them on a side. tokens: what asking the model about one
    document takes, from the proposals of late.
    """

    final: Found = field(default_factory=Found)
    open_ones: Found = field(default_factory=Found)
    decisions: Found = field(default_factory=Found)
    pairs: Found = field(default_factory=Found)
    tokens: int = 0
    final_keys: list[int] = field(default_factory=list)
    open_keys: list[int] = field(default_factory=list)

    @property
    def all_tokens(self) -> int:
        """What asking again about the open ones takes."""
        return self.tokens * self.open_ones.count


def touched(project: Project, numbers: Sequence[int]) -> Touched:
    """By the tags with these numbers; nothing by none."""
    tags = list(project.tags.filter(number__in=numbers).values_list("pk", flat=True))
    if not tags:
        return Touched()
    final_keys = list(_final(project, tags).values_list("pk", flat=True)[: MOST + 1])
    open_keys = list(_open(project, tags).values_list("pk", flat=True)[: MOST + 1])
    decisions, pairs = _decisions(project, tags)
    return Touched(
        final=_found(final_keys),
        open_ones=_found(open_keys),
        decisions=decisions,
        pairs=pairs,
        tokens=mean_tokens(project),
        final_keys=final_keys[:MOST],
        open_keys=open_keys[:MOST],
    )


def mean_tokens(project: Project) -> int:
    """Tokens in and out of a proposal, of the latest that ended in candidates."""
    lately = Proposal.objects.filter(document__project=project, current=True).order_by("-pk")
    mean = (
        Proposal.objects.filter(pk__in=list(lately.values_list("pk", flat=True)[:AVERAGED]))
        .aggregate(mean=Avg(F("tokens_in") + F("tokens_out")))
        .get("mean")
    )
    return round(mean or 0)


def _final(project: Project, tags: list[int]) -> DocumentQuerySet:
    """Reviewed documents, by the table that triggers keep: see migration 0004."""
    marks = ", ".join(["%s"] * len(tags))
    given = RawSQL(f"SELECT document_id FROM review_given WHERE tag_id IN ({marks})", tags)  # noqa: S608, S611
    reviewed: DocumentQuerySet = project.documents.filter(state=DocumentState.REVIEWED)
    return reviewed.filter(pk__in=given).order_by()


def _open(project: Project, tags: list[int]) -> DocumentQuerySet:
    """Documents that are ready, with a tag in their candidates: from the side that is shorter."""
    ready: DocumentQuerySet = project.documents.filter(state=DocumentState.READY).order_by()
    used = sum(TagUse.objects.filter(tag__in=tags).values_list("proposed", flat=True))
    placed = CandidateTag.objects.filter(tag__in=tags, candidate__proposal__current=True)
    if used < Tally.objects.of(project)[DocumentState.READY]:
        return ready.filter(pk__in=placed.values("candidate__proposal__document"))
    return ready.filter(Exists(placed.filter(candidate__proposal__document=OuterRef("pk"))))


def _decisions(project: Project, tags: list[int]) -> tuple[Found, Found]:
    """Decisions that gave one of the tags; and pairs, of those that were shown one."""
    standing = Decision.objects.filter(
        document__project=project, standing__purpose__in=[Purpose.REVIEW, Purpose.FINAL]
    ).order_by("-pk")
    lately = list(standing.values_list("pk", flat=True)[: LATELY + 1])
    if not lately:
        return Found(), Found()
    more = len(lately) > LATELY
    window = standing.filter(pk__gte=lately[:LATELY][-1])
    given = Exists(DecisionTag.objects.filter(decision=OuterRef("pk"), tag__in=tags))
    in_pick = Exists(CandidateTag.objects.filter(candidate=OuterRef("candidate"), tag__in=tags))
    shown = Exists(
        CandidateTag.objects.filter(candidate__proposal=OuterRef("proposal"), tag__in=tags)
    )
    gave = list(window.filter(Q(given) | Q(in_pick)).values_list("document", flat=True))
    makes_pairs = window.filter(
        Q(given) | Q(shown),
        kind__in=[DecisionKind.PICK, DecisionKind.CORRECT, DecisionKind.SETTLE],
    )
    wanted = set(tags)
    paired: list[int] = []
    keys = list(makes_pairs.values_list("pk", flat=True)[: MOST_PAIRED + 1])
    read = Decision.objects.filter(pk__in=keys[:MOST_PAIRED]).order_by("-pk")
    for decision in with_what_pairs_need(read).iterator(chunk_size=500):
        for pair in pairs_of(decision, {}):
            if wanted & {tag.pk for tag in (*pair.chosen_tags, *pair.rejected_tags)}:
                paired.append(decision.document_id)
    return (
        Found(len(gave), False, _samples(gave), LATELY if more else 0),
        Found(len(paired), len(keys) > MOST_PAIRED, _samples(paired), LATELY if more else 0),
    )


def _found(keys: list[int]) -> Found:
    return Found(min(len(keys), MOST), len(keys) > MOST, _samples(keys))


def _samples(keys: list[int]) -> list[Document]:
    first = list(dict.fromkeys(keys))[:SAMPLE]
    documents = Document.objects.only("external_id", "title").in_bulk(first)
    return [documents[key] for key in first if key in documents]
