"""The queue as a whole: any order of what reviewers, curators and clocks can do."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.test import TestCase
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from review.models import (
    Candidate,
    CandidateTag,
    Decision,
    DecisionKind,
    Document,
    DocumentState,
    Project,
    Proposal,
    Purpose,
    SkipReason,
    Standing,
    SystemMessage,
    Tag,
    VocabularyVersion,
)
from review.models.decision import REVIEWS
from review.pipeline import adjudicate, close, decide, queue
from review.pipeline.decide import Page
from review.pipeline.refusal import Conflict

REVIEWERS = st.integers(0, 2)
KINDS = st.sampled_from([*REVIEWS, DecisionKind.SKIP])


@dataclass(frozen=True)
class Held:
    """A page that a reviewer has open, or has left open."""

    document: int
    page: Page


class Queue(RuleBasedStateMachine):
    """Three reviewers, four documents; what they were told is what must be there."""

    def __init__(self) -> None:
        super().__init__()
        # Every run in a transaction of its own, rolled back at its end.
        self.undone_after = transaction.atomic()
        self.undone_after.__enter__()
        self.project = Project.objects.create(name=str(uuid.uuid4()))
        self.needed = self.most_needed = 1
        self.curator = User.objects.create(username=str(uuid.uuid4()))
        self.settled: set[int] = set()  # documents
        self.tags = [
            Tag.objects.create(project=self.project, number=number, name=f"tag{number}")
            for number in range(5)
        ]
        self.reviewers = [User.objects.create(username=str(uuid.uuid4())) for _ in range(3)]
        version = VocabularyVersion.current(self.project)
        system = SystemMessage.objects.create(sha256=uuid.uuid4().hex, text="")
        for number in range(4):
            document = Document.objects.create(
                project=self.project, external_id=str(number), state=DocumentState.READY
            )
            proposal = Proposal.objects.create(
                document=document,
                current=True,
                vocabulary_version=version,
                system_message=system,
                candidate_count=3,
            )
            for rank in (1, 2, 3):
                candidate = Candidate.objects.create(proposal=proposal, rank=rank, temperature=0)
                tag = self.tags[rank]
                CandidateTag.objects.create(candidate=candidate, tag=tag, position=1)
        self.pages: dict[int, list[Held]] = {0: [], 1: [], 2: []}
        self.acknowledged: dict[uuid.UUID, int] = {}  # key → decision
        self.stands: dict[tuple[int, int], int] = {}  # (reviewer, document) → decision

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.undone_after.__exit__(None, None, None)

    # --- What can happen -----------------------------------------------------

    @initialize(needed=st.integers(1, 3))
    def begin(self, needed: int) -> None:
        self.change_the_reviews_needed(needed)

    @rule(turns=st.lists(st.tuples(REVIEWERS, KINDS), min_size=2, max_size=8))
    def work(self, turns: list[tuple[int, str]]) -> None:
        """As most of the day goes: the next document, and a decision on it."""
        for who, kind in turns:
            self.claim(who, ahead=False)
            self.act(who, 0, kind)

    @rule(who=REVIEWERS, ahead=st.booleans())
    def claim(self, who: int, ahead: bool) -> None:
        reviewer = self.reviewers[who]
        after = self.pages[who][-1].document if ahead and self.pages[who] else None
        document = queue.claim_next(self.project, reviewer, after=after)
        if document is None:
            return
        assert document.state == DocumentState.READY
        assert (who, document.pk) not in self.stands, "handed out twice to one person"
        assert document.reviews < self.needed
        assert document.lease_holder == reviewer
        assert document.lease_token is not None
        page = Page(
            reviewer, document.proposals.get(current=True), document.lease_token, uuid.uuid4()
        )
        self.pages[who].append(Held(document.pk, page))

    @rule(who=REVIEWERS, place=st.integers(0, 5), kind=KINDS)
    def act(self, who: int, place: int, kind: str) -> None:
        """With any page that was ever open: the newest, or a stale one."""
        if not self.pages[who]:
            return
        held = self.pages[who][-1 - place % len(self.pages[who])]
        before = Document.objects.get(pk=held.document)
        try:
            decision = self.do(held.page, kind)
        except Conflict:
            after = Document.objects.get(pk=held.document)
            assert (after.state, after.reviews) == (before.state, before.reviews)
            return
        if held.page.key in self.acknowledged:  # a repeated POST: the same answer, nothing new
            assert self.acknowledged[held.page.key] == decision.pk
            return
        assert before.reviews < self.needed
        assert (who, held.document) not in self.stands
        self.acknowledged[held.page.key] = decision.pk
        self.stands[who, held.document] = decision.pk

    def do(self, page: Page, kind: str) -> Decision:
        if kind == DecisionKind.PICK:
            return decide.pick(page, page.proposal.candidates.get(rank=2))
        if kind == DecisionKind.CORRECT:
            return decide.correct(page, [self.tags[0], self.tags[4]])
        if kind == DecisionKind.NONE:
            return decide.none_fits(page)
        return decide.skip(page, SkipReason.FIELD)

    @rule(who=REVIEWERS)
    def undo(self, who: int) -> None:
        key = uuid.uuid4()
        undone = decide.undo(self.reviewers[who], self.project, key)
        mine = [decision for (name, _), decision in self.stands.items() if name == who]
        if undone is None:
            assert not mine
            return
        assert undone.pk == max(mine)
        assert undone.undone_by.key == key
        del self.stands[who, undone.document_id]
        self.acknowledged[key] = undone.undone_by.pk

    @rule(place=st.integers(0, 3), back=st.booleans())
    def settle(self, place: int, back: bool) -> None:
        """A curator has the last word on a dispute, or takes it back."""
        disputed = self.project.documents.filter(state=DocumentState.DISPUTED)
        among = (not back and disputed) or self.project.documents.all()
        document = list(among.order_by("pk"))[place % len(among)]
        key = uuid.uuid4()
        try:
            if back:
                adjudicate.unsettle(self.curator, document, key)
                self.settled.discard(document.pk)
            else:
                adjudicate.settle(self.curator, document, key, [self.tags[2]])
                assert document.state == DocumentState.DISPUTED
                self.settled.add(document.pk)
        except Conflict:
            return
        self.acknowledged[key] = Decision.objects.get(key=key).pk

    @rule(who=REVIEWERS)
    def leave(self, who: int) -> None:
        if self.pages[who]:
            queue.release(self.reviewers[who], self.pages[who][-1].page.lease)

    @rule(who=REVIEWERS)
    def stay(self, who: int) -> None:
        if self.pages[who]:
            queue.renew(self.reviewers[who], self.pages[who][-1].page.lease)

    @rule()
    def time_passes(self) -> None:
        """Every lease runs out; the pages stay open."""
        Document.objects.filter(project=self.project, lease_expires_at__isnull=False).update(
            lease_expires_at=timezone.now() - timedelta(seconds=1)
        )

    @rule(needed=st.integers(1, 3))
    def change_the_reviews_needed(self, needed: int) -> None:
        self.project.reviews_needed = self.needed = needed
        self.most_needed = max(self.most_needed, needed)
        self.project.save()
        close.settle_counts(self.project)

    # --- What must be true at any time ----------------------------------------

    @invariant()
    def every_acknowledged_decision_is_there(self) -> None:
        stored = dict(
            Decision.objects.filter(document__project=self.project).values_list("key", "pk")
        )
        assert stored == self.acknowledged

    @invariant()
    def what_stands_is_what_people_were_told(self) -> None:
        rows = Standing.objects.filter(document__project=self.project, purpose=Purpose.REVIEW)
        stands = {
            (self.reviewers.index(row.reviewer), row.document_id): row.decision_id for row in rows
        }
        assert stands == self.stands

    @invariant()
    def nobody_decides_beyond_the_number_needed(self) -> None:
        for document in self.project.documents.all():
            reviews = document.standings.filter(decision__kind__in=REVIEWS).count()
            assert document.reviews == reviews <= self.most_needed
            final = document.standings.filter(purpose=Purpose.FINAL).count()
            assert final == (document.pk in self.settled)
            assert document.state == self.state_of(document, reviews)

    def state_of(self, document: Document, reviews: int) -> str:
        """What its reviews make of it, unless a curator has settled it."""
        if document.pk in self.settled:
            return DocumentState.REVIEWED
        if reviews < self.needed:
            return DocumentState.READY
        standing = Decision.objects.standing().filter(document=document, kind__in=REVIEWS)
        sets = {frozenset(tag.pk for tag in decision.tags) for decision in standing}
        return DocumentState.REVIEWED if len(sets) < 2 else DocumentState.DISPUTED


class TheQueue(TestCase):
    def test_holds_whatever_happens_in_whatever_order(self) -> None:
        run_state_machine_as_test(
            Queue,
            settings=settings(
                max_examples=40,
                stateful_step_count=30,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
