"""How confident a model may be in a project is learned again as people decide.

By a task, every few minutes: see tasks.py. What is learned is one row for a model and prompt;
insight/confidence.py says how. It is learned from what the model was asked since it is asked as
it is, and counts as long as it is: another plan makes other candidates, and the same confidence
means something else (`current`).
"""

from __future__ import annotations

import datetime
import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Case, F, Value, When

from review.insight.confidence import (
    FEWEST,
    KIND,
    Evidence,
    Point,
    features,
    fit,
    probability,
)
from review.llm.local_server import MODEL_NAME
from review.llm.reply import read_reply
from review.models import (
    Calibration,
    Decision,
    DecisionKind,
    Project,
    Proposal,
    ServedModel,
    Training,
)
from review.models.decision import REVIEWS
from review.models.training import EMBEDDED_BASE

from .pair import named

MOST_READ = 5000  # reviews, the latest
# The name under which a training's base is asked.
BASE_NAME = Case(When(base=EMBEDDED_BASE, then=Value(MODEL_NAME)), default=F("base"))
AGAIN_AFTER, AGAIN_SHARE = 25, 0.1  # new documents: so many, and such a share of the last fit's

news = logging.getLogger("tagger")


class Review(NamedTuple):
    """The first review of a document: of which proposal, and whether the first set was picked."""

    decision: int
    proposal: int
    picked: bool


def fit_due() -> None:
    """Learn again wherever enough has been decided since the last time."""
    for project in Project.objects.all():
        for (model, prompt_version), reviews in reviews_by_model(project).items():
            if is_due(project, model, prompt_version, reviews):
                calibrate(project, model, prompt_version, reviews)


def is_due(project: Project, model: str, prompt_version: str, reviews: Sequence[Review]) -> bool:
    if len(reviews) < FEWEST:
        return False
    last = current(project, model, prompt_version)
    if last is None or last.numbers.get("features") != KIND:
        return True
    new = sum(review.decision > last.last_decision for review in reviews)
    return new >= max(AGAIN_AFTER, AGAIN_SHARE * last.documents)


def calibrate(
    project: Project, model: str, prompt_version: str, reviews: Sequence[Review]
) -> Calibration:
    """Learn from these, which are of this model and prompt. Stored last, as one row."""
    since = since_of(model)
    picked = {review.proposal: review.picked for review in reviews}
    rows, right = [], []
    for key, row in features_of(list(picked)):
        rows.append(row)
        right.append(picked[key])
    found = fit(rows, right)
    with transaction.atomic():
        before = Calibration.objects.filter(
            project=project, model=model, prompt_version=prompt_version
        )
        before.update(told_to=None)
        made = Calibration.objects.create(
            project=project,
            model=model,
            prompt_version=prompt_version,
            method=found.method,
            documents=len(rows),
            picked=sum(right),
            last_decision=max(review.decision for review in reviews),
            numbers={**found.numbers, "since": since and since.isoformat()},
            curve=found.curve_as_json(),
        )
    news.info("%s: the confidence of %s is learned from %d documents.", project, model, len(rows))
    return made


def reviews_by_model(project: Project) -> dict[tuple[str, str], list[Review]]:
    """By model and prompt: the first review that stands of each document, of the latest.

    One of each: two people's on one document say the same of its proposal twice. None of a
    proposal from before the model was asked as it is now, or of two models together.
    """
    since: dict[str, datetime.datetime | None] = {}
    latest = Decision.objects.standing().filter(
        document__project=project, kind__in=REVIEWS, proposal__rival_model=""
    )
    rows = latest.order_by("-pk").values_list(
        "pk",
        "document",
        "proposal",
        "proposal__model",
        "proposal__prompt_version",
        "proposal__created_at",
        "kind",
        "candidate__rank",
    )[:MOST_READ]
    found: dict[tuple[str, str], list[Review]] = defaultdict(list)
    seen = set()
    for pk, document, proposal, model, prompt_version, made_at, kind, rank in reversed(list(rows)):
        if model not in since:
            since[model] = since_of(model)
        if document not in seen and is_of_now(made_at, since[model]):
            seen.add(document)
            picked = kind == DecisionKind.PICK and rank == 1
            found[model, prompt_version].append(Review(pk, proposal, picked))
    return found


def since_of(model: str) -> datetime.datetime | None:
    tuned = Training.objects.filter(name=model)
    return ServedModel.objects.asked_so_since(model, tuned.values(asked_as=BASE_NAME))


def is_of_now(made_at: datetime.datetime, since: datetime.datetime | None) -> bool:
    """Whether a proposal was made since the model is asked as it is."""
    return since is None or made_at >= since


def current(project: Project, model: str, prompt_version: str) -> Calibration | None:
    """The latest, if the model is still asked as it was then."""
    latest = Calibration.objects.latest_for(project, model, prompt_version)
    return latest if latest and is_current(latest) else None


def is_current(calibration: Calibration) -> bool:
    since = since_of(calibration.model)
    return bool(calibration.numbers.get("since") == (since and since.isoformat()))


def curve_of(calibration: Calibration) -> list[Point]:
    return [Point(**point) for point in calibration.curve]


def confidence(
    calibration: Calibration,
    proposal: Proposal,
    candidates: Sequence[Sequence[str]],
    vocabulary: Sequence[str],
) -> float | None:
    """That the first of the candidates is picked unchanged, 0 to 1. Tags by their names.

    None where an older version of Tagger has learned it, from other features.
    """
    if calibration.numbers.get("features") != KIND:
        return None
    row = features(evidence_of(proposal, candidates, vocabulary))
    return probability(calibration.numbers, row)


def features_of(proposals: Sequence[int]) -> Iterator[tuple[int, list[float]]]:
    """By a proposal's id, of those that have candidates."""
    spelled: dict[int, dict[int, str]] = {}  # by vocabulary version: names by number
    read = Proposal.objects.filter(pk__in=proposals).order_by("pk")
    for proposal in read_with_sets(read).iterator(chunk_size=500):
        version = proposal.vocabulary_version_id
        if version not in spelled:
            spelled[version] = {tag["id"]: tag["name"] for tag in proposal.vocabulary_version.tags}
        sets = sets_of(proposal, spelled[version])
        if sets:
            vocabulary = list(spelled[version].values())
            yield proposal.pk, features(evidence_of(proposal, sets, vocabulary))


def read_with_sets(proposals: Any) -> Any:
    """With all that `sets_of` and `evidence_of` read, and the vocabulary version as an id."""
    return proposals.defer("user_message").prefetch_related(
        "candidates__placed_tags__tag", "vocabulary_version"
    )


def sets_of(proposal: Proposal, names: dict[int, str]) -> list[list[str]]:
    """The candidates' sets in their order, under the names that the model was shown."""
    ranked = sorted(proposal.candidates.all(), key=lambda candidate: candidate.rank)
    return [named(candidate.tags, names) for candidate in ranked]


def evidence_of(
    proposal: Proposal, candidates: Sequence[Sequence[str]], vocabulary: Sequence[str]
) -> Evidence:
    """What the proposal's row and its replies say; the same when it is made and later."""
    first = frozenset(candidates[0])
    said = []
    logprobs: list[float] = []
    others: list[float] = []
    chances: dict[str, float] = {}
    unusable = 0
    for call in proposal.calls:
        replies = call.get("replies", [])
        chances = call.get("chances") or chances
        told = call.get("mean_logprobs") or [None] * len(replies)
        for reply, logprob in zip(replies, told, strict=False):
            tags = frozenset(read_reply(reply, vocabulary, len(vocabulary)).tags)
            if not tags:
                unusable += 1
                continue
            said.append(tags)
            if logprob is not None:
                (logprobs if tags == first else others).append(logprob)
    return Evidence(
        [frozenset(one) for one in candidates],
        said,
        unusable,
        proposal.asked_again,
        max(logprobs or others[:1], default=None),
        chances,
    )


def now_in_use(project: Project) -> Calibration | None:
    """Of the model and prompt that answered last."""
    latest = _latest(project)
    if latest is None:
        return None
    return current(project, latest.model, latest.prompt_version)


def decided_for_now(project: Project) -> int:
    """Documents that people decided on, of the model and prompt that answered last."""
    latest = _latest(project)
    if latest is None:
        return 0
    reviews = reviews_by_model(project)
    return len(reviews.get((latest.model, latest.prompt_version), []))


def _latest(project: Project) -> Proposal | None:
    answered = Proposal.objects.filter(document__project=project, current=True)
    return answered.only("model", "prompt_version").order_by("-pk").first()
