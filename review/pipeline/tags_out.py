"""The tags that people gave: the final set of a document, from its decisions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from django.db.models import QuerySet

from review.models import Decision, Document, DocumentState, Project, Tag
from review.models.decision import REVIEWS


def final_tags(document: Document) -> list[Tag]:
    """The tags of a reviewed document in their order; empty while it is not reviewed."""
    if document.state != DocumentState.REVIEWED:
        return []
    return _settle(list(_decisions().filter(document=document)))


def tagged(project: Project) -> Iterator[tuple[Document, list[Tag]]]:
    """Yield the reviewed documents with their final tags, in the order of arrival.

    The documents come without their texts. Memory does not grow with their number.
    """
    decisions = _decisions().filter(
        document__project=project, document__state=DocumentState.REVIEWED
    )
    ordered = decisions.select_related("document").defer("document__text")
    by_document = ordered.order_by("document_id", "pk").iterator(chunk_size=500)
    for document, group in groupby(by_document, key=lambda decision: decision.document):
        yield document, _settle(list(group))


def _decisions() -> QuerySet[Decision]:
    """The decisions that stand and say something of the tags, with their sets."""
    return (
        Decision.objects.standing()
        .filter(kind__in=REVIEWS)
        .prefetch_related("candidate__placed_tags__tag", "placed_tags__tag")
        .order_by("pk")
    )


def _settle(decisions: list[Decision]) -> list[Tag]:
    """The set that most reviewers chose; of equally many, the one chosen first.

    "None fits" is a vote for the empty set.
    """
    sets = [decision.tags for decision in decisions]
    votes = [sum(set(mine) == set(other) for other in sets) for mine in sets]
    return sets[votes.index(max(votes))] if sets else []
