"""Many documents that are ready to review, made quickly: for tests and benches of the queue."""

from __future__ import annotations

from django.db import transaction

from review.models import (
    Candidate,
    CandidateTag,
    Document,
    DocumentState,
    Project,
    Proposal,
    SystemMessage,
    Tag,
    VocabularyVersion,
)
from review.pipeline import render
from review.pipeline.first_start import seed_tags

SETS = ((0, 1), (0, 2), (3,))  # of the project's tags, by place: of each document's candidates
BATCH = 2000


def make_ready(project: Project, count: int, text: str = "# A document\n\nSome words.") -> None:
    """Add `count` ready documents with three candidates each, and the tags if there are none.

    Written straight into the tables, without a model: what intake and propose would leave.
    """
    if not project.tags.exists():
        Tag.objects.bulk_create(
            Tag(project=project, number=tag.pop("id"), **tag) for tag in seed_tags()
        )
    tags = list(project.tags.order_by("number")[:4])
    version = VocabularyVersion.current(project)
    system, _ = SystemMessage.objects.get_or_create(sha256="0" * 64, defaults={"text": "Tag it."})
    html = render.render(Document(text=text))
    first = project.documents.count()
    for start in range(first, first + count, BATCH):
        with transaction.atomic():
            documents = Document.objects.bulk_create(
                Document(
                    project=project,
                    external_id=str(number),
                    title=f"Document {number}",
                    text=text,
                    characters=len(text),
                    sha256=f"{number:064}",
                    html=html,
                    html_version=render.VERSION,
                    state=DocumentState.READY,
                    disagreement=(number * 7919 % 1000) / 1000,
                )
                for number in range(start, min(start + BATCH, first + count))
            )
            proposals = Proposal.objects.bulk_create(
                Proposal(
                    document=document,
                    current=True,
                    model="none",
                    vocabulary_version=version,
                    system_message=system,
                    user_message=text,
                    candidate_count=3,
                )
                for document in documents
            )
            candidates = Candidate.objects.bulk_create(
                Candidate(proposal=proposal, rank=rank, temperature=0)
                for proposal in proposals
                for rank in (1, 2, 3)
            )
            CandidateTag.objects.bulk_create(
                CandidateTag(candidate=candidate, tag=tags[place], position=position)
                for candidate in candidates
                for position, place in enumerate(SETS[candidate.rank - 1], start=1)
            )
