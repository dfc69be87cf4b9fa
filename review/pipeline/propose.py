"""The model's turn: a waiting document becomes one with a proposal of up to three candidates.

The document's row is the job. A run takes its lease, asks the model outside of any
transaction, and writes what came of it only while the lease is still its own: a run that
was given up for dead writes nothing.
"""

from __future__ import annotations

import datetime
import hashlib
import logging
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from review import story
from review.insight.quality import distance
from review.llm.client import Endpoint
from review.llm.errors import NoAnswer, NoTurn, Refused, Unavailable
from review.llm.prompt import VERSIONS, WITH_EXAMPLES, Material, PromptTag
from review.llm.rank import Ranker, shortlist
from review.llm.sampling import PLANS, Sampling
from review.llm.suspicion import suspicions
from review.models import (
    Calibration,
    Candidate,
    CandidateTag,
    Document,
    DocumentState,
    Project,
    Proposal,
    Suspicion,
    SystemMessage,
    Tag,
    VocabularyVersion,
)
from review.models.document import FREE
from review.models.proposal import WORDS_COUNTED

from . import accept, ahead, beside, budget, calibrate, learn, ranking, render, served
from .endpoint import NoModel
from .intake import problem_of
from .queue import stored_uuid

news = logging.getLogger("tagger")

MOST_ATTEMPTS = 3  # runs that ended with the worker's death, before the document is set aside
MOST_TROUBLES = 3  # runs without a usable answer, before the document has failed
LONGEST_PAUSE = 600.0  # seconds between two tries at a server in trouble


class TryLater(Exception):
    """The document waits again, and may be read after `seconds`."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


@dataclass
class Common:
    """What documents read one after another have in common: it is looked up once for them."""

    versions: dict[int, VocabularyVersion] = field(default_factory=dict)  # by project
    tags: dict[int, dict[int, int]] = field(default_factory=dict)  # by version: number → key
    messages: dict[str, SystemMessage] = field(default_factory=dict)  # by their hash
    projects: dict[int, Project] = field(default_factory=dict)
    learned: set[int] = field(default_factory=set)  # projects whose new decisions were looked at
    capped: dict[int, bool] = field(default_factory=dict)  # by project: it has a budget
    calibrations: dict[tuple[int, str, str], Calibration | None] = field(default_factory=dict)
    rendered: dict[int, bool] = field(default_factory=dict)  # by project: enough for reviewers

    def project(self, key: int) -> Project:
        if key not in self.projects:
            self.projects[key] = Project.objects.get(pk=key)
        return self.projects[key]

    def purse(self, project: Project, endpoint: Endpoint) -> budget.Purse | None:
        """None where the project has no budget to keep to."""
        if project.pk not in self.capped:
            self.capped[project.pk] = budget.is_capped(project.pk)
        return budget.purse(project.pk, endpoint.model) if self.capped[project.pk] else None

    def enough_rendered(self, project: Project) -> bool:
        if project.pk not in self.rendered:
            self.rendered[project.pk] = ahead.enough(project)
        return self.rendered[project.pk]

    def version(self, project: Project) -> VocabularyVersion:
        if project.pk not in self.versions:
            self.versions[project.pk] = VocabularyVersion.current(project)
        return self.versions[project.pk]

    def tags_of(self, version: VocabularyVersion) -> dict[int, int]:
        if version.pk not in self.tags:
            tags = Tag.objects.filter(project=version.project_id)
            self.tags[version.pk] = dict(tags.values_list("number", "pk"))
        return self.tags[version.pk]

    def calibration(self, proposal: Proposal) -> Calibration | None:
        """What makes a confidence of it, as it was when the first of these was asked for."""
        project = proposal.document.project
        key = (project.pk, proposal.model, proposal.prompt_version)
        if key not in self.calibrations:
            self.calibrations[key] = calibrate.current(project, *key[1:])
        return self.calibrations[key]

    def message(self, system: str) -> SystemMessage:
        sha256 = hashlib.sha256(system.encode()).hexdigest()
        found = self.messages.get(sha256)
        if found is None:
            found = SystemMessage.objects.filter(sha256=sha256).defer("text").first()
            if found is None:  # not kept here: the transaction may be undone
                made = {"text": system}
                return SystemMessage.objects.get_or_create(sha256=sha256, defaults=made)[0]
            self.messages[sha256] = found
        return found

    def similar(self, document: Document) -> learn.Similar:
        """Where the document's examples come from."""
        project = document.project
        news = project.pk not in self.learned
        self.learned.add(project.pk)
        return partial(learn.similar, project, besides=document, news=news)


def propose(document_id: int, common: Common | None = None) -> Proposal | None:
    """Ask the model about a waiting document, and store what came of it.

    Returns None, having called nothing, when the document is not waiting: it is gone, done,
    or being read by another worker. Raises TryLater when the server could not answer, or is not
    asked just now.
    """
    try:
        served.check()
    except served.Paused as paused:
        put_off(document_id, str(paused), paused.seconds)
        raise TryLater(str(paused), paused.seconds) from paused
    except NoModel:
        pass  # the document is told below
    token = uuid.uuid4()
    common = common or Common()
    document = claim(document_id, token, common)
    if document is None:
        return None
    run = Run(document, token, common.version(document.project), common)
    try:
        endpoint = served.take(document.project)
    except NoModel as error:
        raise run.later(str(error), LONGEST_PAUSE) from error
    except served.Paused as paused:
        raise run.later(str(paused), pause(0, paused.seconds), asked=False) from paused
    sampling = run.sampling(endpoint)
    deadline = time.monotonic() + settings.MODEL_DEADLINE
    try:
        sampling.three(settings.MODEL_DEADLINE)
    except (Unavailable, NoAnswer, Refused) as error:
        served.went_badly(endpoint, error)
        if isinstance(error, Unavailable):
            seconds = pause(document.troubles, error.retry_after)
            asked = not isinstance(error, NoTurn)
            raise run.later(str(error), seconds, asked=asked) from error
        if isinstance(error, Refused):
            return run.store(sampling, str(error))
        if document.troubles + 1 < MOST_TROUBLES:
            raise run.later(str(error), pause(document.troubles), sampling) from error
        return run.store(sampling, f"{error} It was tried {MOST_TROUBLES} times.")
    served.went_well(endpoint)
    beside.ask_beside(sampling, document, run.sampling, deadline - time.monotonic())
    return run.store(sampling)


def asked_as(endpoint: Endpoint, project: Project) -> Endpoint:
    """The endpoint with the prompt that the project has chosen.

    Not the embedded one: its adapter was trained for its own prompt. And not with a version that
    there is no longer.
    """
    if endpoint.grammar or project.prompt not in VERSIONS:
        return endpoint
    return replace(endpoint, recipe=replace(endpoint.recipe, prompt=project.prompt))


def sample(
    endpoint: Endpoint,
    guidelines: str,
    tags: list[dict[str, Any]],
    max_tags: int,
    title: str,
    text: str,
    similar: learn.Similar | None = None,
    ranker: Callable[[], Ranker] | None = None,
) -> Sampling:
    """A sampling that is ready to be asked for its `three`; asks nothing and saves nothing.

    `tags` as in a vocabulary version: each has at least an "id" and a "name". similar: where
    the examples come from, and ranker: what ranks the tags, if the recipe wants them.
    """
    recipe = endpoint.recipe
    ranked = {}
    if ranker and (recipe.shortlist or PLANS[recipe.plan].weigh):
        ranked = ranker().scores(title, text)
    if ranked and recipe.shortlist:
        listed = set(shortlist(ranked, recipe.shortlist))
        tags = [tag for tag in tags if tag["name"] in listed]
    shown = [
        PromptTag(tag["name"], tag.get("description", ""), tag.get("not_for", ""), tag["id"])
        for tag in tags
    ]
    count = recipe.examples if recipe.prompt in WITH_EXAMPLES else 0
    examples = similar(title, text, count) if similar and count else []
    material = Material(guidelines, shown, max_tags, title, text, examples)
    prompt = VERSIONS[recipe.prompt](material)
    return Sampling(endpoint, prompt, [tag.name for tag in shown], max_tags, ranked=ranked)


def doubt_of(sampling: Sampling) -> float:
    """How unsure the model is, 0 to 1: what it says of itself, else how much the sets differ."""
    if sampling.doubt is not None:
        return sampling.doubt
    return distance([found.tags for found in sampling.sets])


def pause(troubles: int, asked_for: float | None = None) -> float:
    """Seconds before the next try: what the server asked for, else 10, 20, 40, … up to 600.

    With jitter, so that documents that failed together do not come back together.
    """
    if asked_for is not None:
        return asked_for + random.uniform(0, 1)  # noqa: S311 -- spreads the load, no secret
    backoff = min(LONGEST_PAUSE, 10 * 2.0 ** min(troubles, 10))
    return backoff * random.uniform(0.75, 1.25)  # noqa: S311 -- as above


def ask_again(documents: QuerySet[Document], *, ready: bool = False) -> int:
    """Let the model read the failed ones of these once more; returns how many.

    With `ready` also those that wait for a reviewer, have no review yet, and are in nobody's
    hands. Their candidates stay until the new ones are there. What has reviews, and all that is
    reviewed or disputed, stays as it is: reopen it first. Those set aside at the door for their
    text (none, too long) would only fail again: they stay too.
    """
    failed = documents.filter(state=DocumentState.FAILED).defer("title")
    mendable = [document.pk for document in failed.iterator() if not problem_of(document.text)]
    again = {"state": DocumentState.WAITING, "attempts": 0, "troubles": 0, "not_before": None}
    again |= {"reason": "", **FREE}
    asked = Document.objects.filter(pk__in=mendable, state=DocumentState.FAILED).update(**again)
    if ready:
        unseen = Document.objects.filter(
            pk__in=documents.values("pk"), state=DocumentState.READY, reviews=0
        )
        asked += unseen.unleased(timezone.now()).update(**again)
    return asked


def put_off(document_id: int, reason: str, seconds: float) -> None:
    """Let a waiting document wait on, with the reason: nothing was tried with it."""
    not_before = timezone.now() + datetime.timedelta(seconds=pause(0, seconds))
    waiting = Document.objects.filter(pk=document_id, state=DocumentState.WAITING)
    waiting.unbatched(timezone.now()).update(reason=reason, not_before=not_before)


# Plain SQL, because every document waits for it. As `DocumentQuerySet.unbatched`.
CLAIM = """
UPDATE review_document
SET state = 'proposing', attempts = attempts + 1, lease_token = %(token)s,
    lease_holder_id = NULL, lease_started_at = %(now)s, lease_expires_at = %(end)s
WHERE id = %(document)s AND state = 'waiting' AND attempts < %(most)s
  AND (lease_token IS NULL OR not_before <= %(now)s)
RETURNING {columns},
    EXISTS (
        SELECT 1 FROM review_proposal WHERE document_id = review_document.id AND current
    ) AS had_proposal
"""


def claim(document_id: int, token: uuid.UUID, common: Common) -> Document | None:
    """Take a waiting document's lease for a run; None where it does not wait, or no longer.

    It comes without its HTML. `had_proposal`: nobody gives it a current one while the lease holds.
    """
    now = timezone.now()
    # Past the hard time limit of the task: a live run is never taken for a dead one.
    end = now + datetime.timedelta(seconds=settings.CELERY_TASK_TIME_LIMIT + 30)
    values = {
        "document": document_id,
        "most": MOST_ATTEMPTS,
        "token": stored_uuid(token),
        "now": connection.ops.adapt_datetimefield_value(now),
        "end": connection.ops.adapt_datetimefield_value(end),
    }
    columns = ", ".join({one.attname for one in Document._meta.concrete_fields} - {"html"})
    claimed = list(Document.objects.raw(CLAIM.format(columns=columns), values))
    if not claimed:
        return None
    document = claimed[0]
    story.tell("reading", document.pk, id=document.external_id, attempt=document.attempts)
    document.project = common.project(document.project_id)
    return document


@dataclass(frozen=True)
class Run:
    """One worker's turn with one document; `token` is its claim to it."""

    document: Document
    token: uuid.UUID
    version: VocabularyVersion
    common: Common

    def sampling(self, endpoint: Endpoint) -> Sampling:
        """As the project has its documents asked about, within what it may spend."""
        document, project = self.document, self.document.project
        endpoint = asked_as(endpoint, project)
        sampling = sample(
            endpoint,
            project.guidelines,
            self.version.tags,
            project.max_tags,
            document.title,
            document.text,
            self.common.similar(document),
            partial(ranking.ranker, project, self.version),
        )
        if purse := self.common.purse(project, endpoint):
            sampling.pay = purse.call
        return sampling

    def later(
        self, reason: str, seconds: float, sampling: Sampling | None = None, asked: bool = True
    ) -> TryLater:
        """Put the document back to wait, with the reason; what the model did say is kept."""
        with transaction.atomic():
            ours = self._end(
                state=DocumentState.WAITING,
                reason=reason,
                troubles=F("troubles") + int(asked),
                not_before=timezone.now() + datetime.timedelta(seconds=seconds),
            )
            if ours and sampling is not None:
                self._proposal(sampling, error=reason).save()
        if ours:
            story.tell("waits again", self.document.pk, seconds=round(seconds), reason=reason)
        else:
            story.tell("too late", self.document.pk)
        return TryLater(reason, seconds)

    def store(self, sampling: Sampling, error: str = "") -> Proposal | None:
        """Write the run down, and the document's new state; None when the lease was lost."""
        document = self.document
        shown: dict[str, Any] = {}
        if not self.common.enough_rendered(document.project):  # so that no reviewer waits for it
            shown = {"html": render.render(document), "html_version": render.VERSION}
        names = [tag["name"] for tag in self.version.tags]
        found = suspicions(f"{document.title}\n{document.text}", names)
        with transaction.atomic():
            ours = self._end(
                **shown,
                state=DocumentState.FAILED if error else DocumentState.READY,
                reason=error,
                disagreement=0 if error else doubt_of(sampling),
                troubles=0,
                not_before=None,
            )
            if not ours:
                story.tell("too late", document.pk)
                return None
            if getattr(document, "had_proposal", True):
                document.proposals.filter(current=True).update(current=False)
                Suspicion.objects.filter(document=document).delete()
            if found:
                told = [asdict(each) for each in found]
                Suspicion.objects.update_or_create(document=document, defaults={"found": told})
            proposal = self._proposal(sampling, error)
            proposal.current = not error
            proposal.save()
            if not error:
                confidence = self._save_candidates(proposal, sampling)
                if proposal.model != WORDS_COUNTED and not found:  # else a person is to look
                    accept.consider(proposal, confidence)
        figures = {"candidates": proposal.candidate_count, "seconds": round(sampling.seconds, 2)}
        story.tell("failed" if error else "proposed", document.pk, proposal=proposal.pk, **figures)
        if error:
            news.info("%s: no tags. %s", document, error)
        else:
            sets = " ".join(f"[{', '.join(found.tags)}]" for found in sampling.sets)
            count = ("one candidate", "two candidates", "three candidates")[len(sampling.sets) - 1]
            news.info("%s: %s: %s (%.1f s)", document, count, sets, sampling.seconds)
        return proposal

    def _end(self, **changes: Any) -> bool:
        """Give the lease back together with the changes, if it is still this run's."""
        # Waiting: what a batch holds (pipeline/batch.py).
        held = Document.objects.filter(
            pk=self.document.pk,
            state__in=[DocumentState.PROPOSING, DocumentState.WAITING],
            lease_token=self.token,
        )
        return bool(
            held.update(
                attempts=0,
                **FREE,
                **changes,
            )
        )

    def _proposal(self, sampling: Sampling, error: str) -> Proposal:
        return Proposal(
            document=self.document,
            endpoint=sampling.endpoint.base_url,
            model=sampling.endpoint.model,
            rival_model=sampling.rival,
            prompt_version=sampling.endpoint.recipe.prompt,
            vocabulary_version=self.version,
            system_message=self.common.message(sampling.prompt.system),
            user_message=sampling.prompt.user,
            document_cut=sampling.prompt.cut,
            calls=sampling.calls,
            tokens_in=sampling.tokens_in,
            tokens_cached=sampling.tokens_cached,
            tokens_out=sampling.tokens_out,
            seconds=sampling.seconds,
            unknown_tags=sampling.unknown_tags,
            asked_again=sampling.asked_again,
            candidate_count=0 if error else len(sampling.sets),
            note=sampling.note,
            error=error,
        )

    def _save_candidates(self, proposal: Proposal, sampling: Sampling) -> float | None:
        """Returns the confidence of the first."""
        # By number, from the version: a tag may have been renamed or retired since the model
        # was shown it, and the rows say what it answered.
        numbers = {tag["name"]: tag["id"] for tag in self.version.tags}
        tags = self.common.tags_of(self.version)
        sets = [found.tags for found in sampling.sets]
        # Two models' sets together are nothing that a confidence was learned from.
        confidence = (
            None
            if sampling.rival
            else accept.judge(self.common.calibration(proposal), proposal, sets, list(numbers))
        )
        candidates = Candidate.objects.bulk_create(
            Candidate(
                proposal=proposal,
                rank=rank,
                raw_reply=found.raw,
                temperature=found.temperature,
                seed=found.seed,
                composed=found.composed,
                giver=found.giver,
                confidence=confidence if rank == 1 else None,
            )
            for rank, found in enumerate(sampling.sets, start=1)
        )
        CandidateTag.objects.bulk_create(
            CandidateTag(candidate=candidate, tag_id=tags[numbers[name]], position=position)
            for candidate, found in zip(candidates, sampling.sets, strict=True)
            for position, name in enumerate(found.tags, start=1)
        )
        return confidence
