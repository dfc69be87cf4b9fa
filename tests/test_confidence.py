"""The confidence in a first candidate: what is said of it comes true on other documents."""

from __future__ import annotations

import json
import random
import uuid

import pytest
from django.contrib.auth.models import User

from review.insight.confidence import (
    FEWEST,
    Evidence,
    Fit,
    Point,
    features,
    fit,
    interval,
    keeping,
    probability,
)
from review.models import (
    Calibration,
    Candidate,
    Decision,
    DecisionKind,
    Document,
    DocumentState,
    Project,
    Proposal,
    Purpose,
    Standing,
)
from review.pipeline import calibrate
from review.pipeline.auto_accept import tell_waiting

from .base import HouseTestCase
from .fake_model import Reply, tags
from .world import make_ready

NAMES = [f"tag {number}" for number in range(8)]


def judged(draw: random.Random, whim: float = 0.02) -> tuple[list[float], bool]:
    """A document as a model and a person of known behaviour treat it.

    It is easy to some degree: in that share of its six replies the model says the true set,
    else any other. The person picks the true set where it is first, but for a whim.
    """
    truth = frozenset(draw.sample(NAMES, draw.choice([1, 2, 3])))
    ease = draw.betavariate(2, 1)
    said = [
        truth if draw.random() < ease else frozenset(draw.sample(NAMES, draw.choice([1, 2, 3])))
        for _ in range(6)
    ]
    candidates = list(dict.fromkeys(said))[:3]
    return features(Evidence(candidates, said)), candidates[0] == truth and draw.random() > whim


def learned(seed: int, count: int) -> tuple[Fit, random.Random]:
    draw = random.Random(seed)
    rows, picked = zip(*(judged(draw) for _ in range(count)), strict=True)
    return fit(rows, picked), draw


def test_a_promise_is_kept_on_other_documents() -> None:
    """Promised 0.9: on two thousand others of each of eight projects."""
    found = []
    for seed in range(8):
        made, draw = learned(seed, 300)
        point = keeping(made.curve, 0.9)
        assert point is not None
        others = [judged(draw) for _ in range(2000)]
        above = [
            picked for row, picked in others if probability(made.numbers, row) >= point.threshold
        ]
        assert len(above) > 500  # it lets something through, about as much as it said
        assert len(above) / 2000 == pytest.approx(point.documents / 300, abs=0.12)
        precision = sum(above) / len(above)
        found.append((precision >= 0.9, point.low <= precision <= point.high))
    kept, within = (sum(one) for one in zip(*found, strict=True))
    assert kept >= 7
    assert within >= 7


@pytest.mark.parametrize(("count", "method"), [(400, "platt"), (1200, "isotonic")])
def test_a_confidence_is_the_share_that_is_picked(count: int, method: str) -> None:
    made, draw = learned(3, count)
    assert made.method == method
    others = [
        (probability(made.numbers, row), picked) for row, picked in map(judged, [draw] * 2000)
    ]
    error = 0.0  # of calibration: over ten bins, by how many are in each
    for bin in range(10):
        there = [one for one in others if bin <= one[0] * 10 < bin + 1 or one[0] == 1 == bin - 8]
        told, came = (sum(one) for one in zip(*there, strict=True)) if there else (0, 0)
        error += abs(told - came) / len(others)
    assert error < 0.05
    assert sum(told for told, _ in others) == pytest.approx(sum(p for _, p in others), rel=0.05)


def test_it_is_kept_as_json_and_says_the_same() -> None:
    for count in (300, 1200):
        made, draw = learned(1, count)
        kept = json.loads(json.dumps(made.numbers))
        row = judged(draw)[0]
        assert probability(kept, row) == probability(made.numbers, row)
        assert [Point(**point) for point in json.loads(json.dumps(made.curve_as_json()))] == (
            made.curve
        )


def test_where_nearly_all_are_picked_all_are_alike() -> None:
    draw = random.Random(0)
    rows = [judged(draw)[0] for _ in range(200)]
    made = fit(rows, [True] * 198 + [False] * 2)
    assert made.method == "constant"
    assert {probability(made.numbers, row) for row in rows} == {199 / 202}
    assert [(point.documents, point.picked) for point in made.curve] == [(200, 198)]
    assert keeping(made.curve, 0.95)
    assert not keeping(made.curve, 0.98)


def test_a_promise_that_none_keeps_has_no_threshold() -> None:
    draw = random.Random(0)
    rows = [judged(draw)[0] for _ in range(300)]
    made = fit(rows, [draw.random() < 0.5 for _ in rows])  # nothing to do with the features
    assert keeping(made.curve, 0.9) is None


def test_the_interval_is_clopper_and_pearsons() -> None:
    assert interval(0, 0) == (0.0, 1.0)
    assert interval(8, 10) == pytest.approx((0.4439, 0.9748), abs=1e-4)  # R: binom.test(8, 10)
    assert interval(10, 10) == pytest.approx((0.6915, 1.0), abs=1e-4)


def test_more_agreement_is_another_feature() -> None:
    a, b = frozenset({"a"}), frozenset({"a", "b"})
    sure, unsure = Evidence([a, b], [a, a, a, b]), Evidence([a, b], [a, b, b, b])
    assert features(sure)[0] == 0.75
    assert features(unsure)[0] == 0.25
    assert features(Evidence([a], [a], logprob=-0.5))[-5:-3] == [-0.5, 0.0]
    assert features(Evidence([a], [a]))[-5:] == [0.0, 1.0, 0.0, 0.0, 0.0]
    likely = Evidence([b], [a], chances={"a": 0.9, "b": 0.8, "c": 0.5})
    assert features(likely)[-3:] == pytest.approx([0.9 * 0.8 * 0.5, 0.8, 0.5])


PICKED_OF_UNSURE = 0.3


class Learning(HouseTestCase):
    """A project whose people pick the first candidate where the model agreed with itself."""

    def learned(self, sure: int, unsure: int, person: User | None = None) -> None:
        make_reviewed(self.project, person or self.alice, sure, unsure)

    def calibration(self) -> Calibration:
        calibrate.fit_due()
        return Calibration.objects.get(told_to__isnull=False)

    def test_too_few_documents_teach_nothing(self) -> None:
        self.learned(FEWEST - 1, 0)
        calibrate.fit_due()
        self.assertFalse(Calibration.objects.exists())
        self.assertIsNone(self.ready().proposals.get().candidates.get(rank=1).confidence)

    def test_it_is_learned_once_and_again_after_enough_new_ones(self) -> None:
        self.learned(80, 60)
        first = self.calibration()
        self.assertEqual((first.documents, first.method), (140, "platt"))
        calibrate.fit_due()
        self.assertEqual(Calibration.objects.count(), 1)
        self.learned(24, 0)
        calibrate.fit_due()
        self.assertEqual(Calibration.objects.count(), 1)
        self.learned(1, 0)
        second = self.calibration()
        self.assertEqual(second.documents, 165)
        first.refresh_from_db()
        self.assertIsNone(first.told_to)

    def test_what_was_taken_back_or_repeated_does_not_count(self) -> None:
        self.learned(60, 60)
        Standing.objects.filter(pk__in=Standing.objects.values("pk")[:10]).update(
            purpose=Purpose.REPEAT
        )
        Standing.objects.filter(
            pk__in=Standing.objects.filter(purpose=Purpose.REVIEW).values("pk")[:5]
        ).delete()
        self.assertEqual(self.calibration().documents, 105)

    def test_two_peoples_reviews_of_a_document_are_one(self) -> None:
        self.learned(60, 60)
        for standing in Standing.objects.select_related("decision"):
            proposal = standing.decision.proposal
            assert proposal
            pick(self.bob, proposal, 2)
        made = self.calibration()
        self.assertEqual(made.documents, 120)
        self.assertEqual(made.picked, 60 + round(60 * PICKED_OF_UNSURE))

    def test_what_was_learned_from_other_features_is_learned_anew(self) -> None:
        self.learned(80, 60)
        old = self.calibration()
        Calibration.objects.update(numbers={**old.numbers, "features": 0})
        self.assertIsNone(self.ready().proposals.get().candidates.get(rank=1).confidence)
        self.assertGreater(self.calibration().pk, old.pk)

    def test_another_model_learns_by_itself(self) -> None:
        self.learned(80, 60)
        self.calibration()
        Proposal.objects.update(model="another")
        self.assertIsNone(
            Calibration.objects.latest_for(self.project, "another", "tagger-1"), "not its own"
        )
        self.assertIsNone(self.ready("new").proposals.get().candidates.get(rank=1).confidence)

    def test_a_new_proposal_is_told_its_confidence(self) -> None:
        self.learned(80, 60)
        self.name_calibration_as_fake()
        self.model.say(Reply([tags("lib", "cli"), tags("cli", "lib"), tags("lib", "cli")]))
        sure = self.ready("sure").proposals.get()
        self.model.say(Reply([tags("lib", "cli"), tags("http"), tags("framework")]))
        unsure = self.ready("unsure").proposals.get()
        told = [proposal.candidates.get(rank=1).confidence or 0.0 for proposal in (sure, unsure)]
        self.assertGreater(told[0], told[1] + 0.2)
        others = Candidate.objects.filter(proposal__in=[sure, unsure], rank__gt=1)
        self.assertFalse(others.filter(confidence__isnull=False).exists())

    def test_what_waited_already_is_told_by_the_sweeper(self) -> None:
        self.learned(80, 60)
        make_ready(self.project, 5)
        waiting = Document.objects.filter(state=DocumentState.READY)
        made = self.calibration()
        tell_waiting(10)
        made.refresh_from_db()
        self.assertIsNone(made.told_to)
        told = Candidate.objects.filter(proposal__document__in=waiting, rank=1)
        self.assertEqual(told.count(), 5)
        self.assertFalse(told.filter(confidence=None).exists())

    def name_calibration_as_fake(self) -> None:
        made = self.calibration()
        proposal = self.ready("to see its names").proposals.get()
        made.model, made.prompt_version = proposal.model, proposal.prompt_version
        made.save()


def make_reviewed(project: Project, person: User, sure: int, unsure: int) -> None:
    """Documents that a person has reviewed: of those that the model was sure of they picked the
    first candidate, of the others so only in PICKED_OF_UNSURE.
    """
    first = project.documents.count()
    make_ready(project, sure + unsure)
    fresh = map(str, range(first, first + sure + unsure))
    proposals = list(
        Proposal.objects.filter(document__external_id__in=fresh)
        .order_by("pk")
        .prefetch_related("candidates__placed_tags__tag")
    )
    decisions = []
    for place, proposal in enumerate(proposals):
        ranked = sorted(proposal.candidates.all(), key=lambda candidate: candidate.rank)
        names = [[tag.name for tag in candidate.tags] for candidate in ranked]
        said = [names[0]] * 6 if place < sure else names
        proposal.calls = [{"replies": [tags(*one) for one in said]}]
        rank = 1 if place < sure or place - sure < round(unsure * PICKED_OF_UNSURE) else 2
        decisions.append(decided(person, proposal, ranked[rank - 1]))
    Proposal.objects.bulk_update(proposals, ["calls"])
    Decision.objects.bulk_create(decisions)
    Standing.objects.bulk_create(
        Standing(document_id=one.document_id, reviewer=person, decision=one) for one in decisions
    )
    Document.objects.filter(pk__in=[one.document_id for one in decisions]).update(
        state=DocumentState.REVIEWED, reviews=1
    )


def decided(person: User, proposal: Proposal, candidate: Candidate) -> Decision:
    return Decision(
        document_id=proposal.document_id,
        reviewer=person,
        kind=DecisionKind.PICK,
        proposal=proposal,
        candidate=candidate,
        milliseconds=1,
        key=uuid.uuid4(),
    )


def pick(person: User, proposal: Proposal, rank: int) -> None:
    decision = decided(person, proposal, proposal.candidates.get(rank=rank))
    decision.save()
    Standing.objects.create(document=proposal.document, reviewer=person, decision=decision)
