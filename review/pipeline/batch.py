"""A backlog through the provider's batch API: within a day, where that is half the price.

A batch is a row, and every step of it can be taken again: its documents are held and their
messages kept in one transaction; the file is written from these; a batch that the provider may
have begun is looked for before another is; an answer is stored, and its item gone, in one
transaction. A worker that dies leaves a lease that runs out, and the next goes on.
"""

from __future__ import annotations

import datetime
import logging
import random
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Avg, F, QuerySet
from django.utils import timezone

from review.llm import batch_client, client
from review.llm.batch_client import Answers, Standing
from review.llm.client import Endpoint
from review.llm.errors import NoAnswer, NotThere, Refused, TimedOut, Unavailable
from review.llm.manners import Manners
from review.llm.prompt import Prompt, estimate_tokens
from review.llm.recipe import Recipe
from review.llm.sampling import WANTED, Sampling
from review.models import (
    Batch,
    BatchItem,
    BatchState,
    Document,
    DocumentState,
    Project,
    Proposal,
    VocabularyVersion,
)
from review.models.batch import OPEN
from review.models.document import FREE, DocumentQuerySet

from . import budget, ranking, served
from .endpoint import NoModel, configured_endpoint, endpoints
from .learn import similar
from .propose import MOST_TROUBLES, Common, Run, asked_as, sample

news = logging.getLogger("tagger")

HOLD = datetime.timedelta(hours=48)  # of documents, by a batch that nobody looks after
LEASE = datetime.timedelta(minutes=15)  # of a batch: longer than a file takes, up or down
LOOK = 50.0  # seconds between two looks at the provider: a little less than the sweeper
LONGEST_PAUSE = 900.0  # seconds between two tries at a provider in trouble, or that is full
MOST_WANTED = 10_000_000  # documents, in as many batches as they need
TOGETHER = 10  # documents that are held, and whose messages are made, in one transaction
READ = 100  # items, from the database at once
RENEWED = 60.0  # seconds between two renewals of the batch's lease

ESTIMATED = 50  # documents, or past proposals, that an estimate goes by
REPLY_TOKENS = 25  # about so many for three tags as JSON
TOLD = 3  # problems of single requests that are told

ENDED = {
    "completed": BatchState.DONE,
    "expired": BatchState.EXPIRED,
    "cancelled": BatchState.CANCELLED,
    "failed": BatchState.FAILED,
}


class NoBatch(ValueError):
    """A batch cannot be begun. The message says why."""


class Lost(Exception):
    """Another worker has the batch."""


@dataclass(frozen=True)
class Estimate:
    """waiting: the documents that a batch would take now. Tokens: about so many, for each."""

    waiting: int
    tokens_in: float
    tokens_out: float


# --- Begun and called off by people -------------------------------------------------------


def start(project: Project, user: User | None, wanted: int) -> Batch:
    """Begin a batch of the documents that have waited longest. Tell a worker of it then.

    Raises NoBatch.
    """
    endpoint = asked_as(batch_endpoint(project), project)
    if not waiting(project).exists():
        raise NoBatch("No document waits for the model.")
    return _make(project, user, endpoint, max(1, wanted))


def batch_endpoint(project: Project) -> Endpoint:
    """Raises NoBatch."""
    try:
        endpoint = configured_endpoint(project)
    except NoModel as error:
        raise NoBatch(str(error)) from error
    if endpoint.grammar:
        raise NoBatch(
            "The embedded model has no batch API. Set OPENAI_BASE_URL, OPENAI_API_KEY and "
            "TAGGER_MODEL to a provider's that has one."
        )
    return endpoint


def waiting(project: Project) -> DocumentQuerySet:
    """The documents that a batch may take, oldest first."""
    now = timezone.now()
    return Document.objects.filter(project=project).due(now).unbatched(now)


def estimate(project: Project) -> Estimate:
    """What the waiting documents would take; by past proposals, else by their texts.

    Raises NoBatch.
    """
    endpoint = asked_as(batch_endpoint(project), project)
    found = waiting(project)
    past = Proposal.objects.filter(
        document__project=project,
        model=endpoint.model,
        prompt_version=endpoint.recipe.prompt,
        tokens_in__gt=0,
    ).order_by("-pk")[:ESTIMATED]
    means = past.aggregate(Avg("tokens_in"), Avg("tokens_out"))
    if means["tokens_in__avg"]:
        return Estimate(found.count(), means["tokens_in__avg"], means["tokens_out__avg"])
    version = VocabularyVersion.current(project)
    sizes = []
    for document in found.defer("html")[:ESTIMATED]:
        prompt = _sampling(endpoint, project, version, document).prompt
        sizes.append(estimate_tokens(prompt.system) + estimate_tokens(prompt.user))
    known = served.look(endpoint).manners
    times = 1 if Manners.from_json(known).several else WANTED
    mean = sum(sizes) / len(sizes) if sizes else 0.0
    return Estimate(found.count(), mean * times, float(WANTED * REPLY_TOKENS))


def cancel(batch: Batch) -> bool:
    """Have it called off: what is answered by then is kept. Tell a worker of it then."""
    going = Batch.objects.filter(pk=batch.pk, state__in=OPEN, cancel_asked=False)
    return bool(going.update(cancel_asked=True, look_at=timezone.now()))


def _make(project: Project, user: User | None, endpoint: Endpoint, wanted: int) -> Batch:
    now = timezone.now()
    return Batch.objects.create(
        project=project,
        user=user,
        base_url=endpoint.base_url,
        model=endpoint.model,
        recipe=asdict(endpoint.recipe),
        vocabulary_version=VocabularyVersion.current(project),
        max_tags=project.max_tags,
        wanted=wanted,
        held_until=now + HOLD,
        look_at=now,
    )


# --- A worker's part ----------------------------------------------------------------------


def work(batch_id: int) -> None:
    """Take the batch as far as it goes now. Run twice at once, one goes away."""
    batch = _claim(batch_id)
    if batch is None:
        return
    turn = Turn(batch)
    try:
        turn.go()
    except Lost:
        news.info("%s: another worker has it.", batch)
    except (Unavailable, NoAnswer, Refused, NoModel) as error:
        news.info("%s: %s", batch, error)
        turn.rest(turn.pause(error), error=str(error), troubles=F("troubles") + 1)
    else:
        turn.rest(LOOK)


def _claim(batch_id: int) -> Batch | None:
    now, token = timezone.now(), uuid.uuid4()
    due = Batch.objects.filter(pk=batch_id).due(now)
    if not due.update(lease_token=token, lease_expires_at=now + LEASE):
        return None
    return Batch.objects.select_related("project", "vocabulary_version").get(pk=batch_id)


class Turn:
    """One worker's turn with a batch, under the lease that it holds."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.common = Common()
        self.renewed_at = time.monotonic()
        self.short = False  # the project's budget reached for no more documents

    def go(self) -> None:
        batch = self.batch
        if batch.cancel_asked and batch.state != BatchState.SENT and not batch.sending_at:
            self.close(BatchState.CANCELLED, batch.error)
            return
        try:
            endpoint = endpoint_of(batch)
        except NoModel as error:
            if not batch.cancel_asked:
                raise
            self.close(BatchState.CANCELLED, f"The provider was not told. {error}")
            return
        if batch.state == BatchState.GATHERING:
            self.gather(endpoint)
        if batch.state == BatchState.READY:
            self.send(endpoint)
        if batch.state == BatchState.SENT:
            self.look(endpoint)

    # --- Put together

    def gather(self, endpoint: Endpoint) -> None:
        batch = self.batch
        if not batch.manners:
            row = served.look(endpoint)
            if not row.manners:
                try:
                    served.probe(endpoint)
                except TimedOut:
                    raise
                except (NoAnswer, Refused) as error:
                    self.close(BatchState.FAILED, str(error))
                    return
            known = client.manners_of(endpoint.base_url, endpoint.model)
            self.note(manners=known.as_json())
        full, last = False, 0
        while batch.documents < batch.wanted and not full:
            self.renew(now=True)
            if batch.cancel_asked:
                self.close(BatchState.CANCELLED)
                return
            found = waiting(batch.project).filter(pk__gt=last).values_list("pk", flat=True)
            keys = list(found[: min(TOGETHER, batch.wanted - batch.documents)])
            if not keys:
                break
            full, last = self._take_up(endpoint, keys), keys[-1]
        with transaction.atomic():
            if full and not self.short and batch.documents < batch.wanted:
                rest = batch.wanted - batch.documents
                _make(batch.project, batch.user, endpoint, rest)
            self.note(state=BatchState.READY)
        if not batch.documents and self.short:
            self.close(BatchState.FAILED, str(budget.over(batch.project_id, budget.today())))
        elif not batch.documents:
            self.close(BatchState.DONE, "No document waited any more.")

    @transaction.atomic
    def _take_up(self, endpoint: Endpoint, keys: list[int]) -> bool:
        """Hold these documents, with their messages; True when the file can take no more."""
        batch = self.batch
        manners = Manners.from_json(batch.manners)
        now = timezone.now()
        free = Document.objects.filter(pk__in=keys).due(now).unbatched(now)
        free.update(
            lease_token=batch.token,
            not_before=batch.held_until,
            reason=f"It is in batch {batch.pk}: the answer comes within a day or so.",
        )
        purse = self.common.purse(batch.project, endpoint)
        items: list[BatchItem] = []
        over: list[int] = []
        names = ("documents", "requests", "bytes", "tokens_held", "money_held")
        counts = {name: getattr(batch, name) for name in names}
        held = Document.objects.filter(pk__in=keys, lease_token=batch.token).defer("html")
        for document in held.order_by("pk"):
            sampling = _sampling(endpoint, batch.project, batch.vocabulary_version, document)
            whole = sampling.vocabulary == self._names()
            item = BatchItem(
                batch=batch,
                document=document,
                system_message=self.common.message(sampling.prompt.system),
                user_message=sampling.prompt.user,
                document_cut=sampling.prompt.cut,
                names=[] if whole else list(sampling.vocabulary),
                seed=random.SystemRandom().randrange(2**31 - 100),
            )
            asked = batch_client.requests(sampling, manners, item.seed)
            # The number of an item is not known yet; room for it is left.
            size = sum(len(batch_client.line(sampling, one, "9" * 20)) for one in asked)
            if (
                over
                or counts["requests"] + len(asked) > batch_client.MOST_REQUESTS
                or counts["bytes"] + size > batch_client.MOST_BYTES
            ):
                over.append(document.pk)
                continue
            if purse:
                said = sum(one.n * int(one.parameters[manners.limit]) for one in asked)
                if not purse.hold(size, said):
                    self.short = True
                    over.append(document.pk)
                    continue
                counts["tokens_held"] += size + said
                counts["money_held"] += purse.cost(size, 0, said)
            items.append(item)
            counts["documents"] += 1
            counts["requests"] += len(asked)
            counts["bytes"] += size
        BatchItem.objects.bulk_create(items)
        Document.objects.filter(pk__in=over).update(not_before=None, reason="", **FREE)
        self.note(**counts)
        return bool(over)

    # --- Sent

    def send(self, endpoint: Endpoint) -> None:
        batch = self.batch
        try:
            if batch.sending_at:
                # Whoever asked for it last did not live to hear the answer.
                since = batch.sending_at.timestamp()
                try:
                    begun = batch_client.find(endpoint, batch.input_file, since)
                except NotThere:
                    begun = None  # it keeps no list: no way to know
                if begun is not None:
                    self.begun(begun)
                    return
            if not batch.input_file:
                with tempfile.TemporaryFile() as file:
                    for text in self.lines(endpoint):
                        file.write(text)
                    file.seek(0)
                    self.renew(now=True)
                    if batch.cancel_asked:
                        self.close(BatchState.CANCELLED)
                        return
                    name = f"tagger-{batch.token}.jsonl"
                    uploaded = batch_client.upload(endpoint, name, file)
                self.note(input_file=uploaded)
            self.renew(now=True)
            if batch.cancel_asked:
                self.close(BatchState.CANCELLED)
                return
            self.note(sending_at=timezone.now())
            self.begun(batch_client.create(endpoint, batch.input_file))
        except TimedOut:
            raise
        except NoAnswer as error:  # it was refused: nothing was begun
            self.close(BatchState.FAILED, str(error))

    def begun(self, standing: Standing) -> None:
        self.note(
            state=BatchState.SENT,
            provider_id=standing.id,
            provider_state=standing.status,
            sent_at=timezone.now(),
            error="",
            troubles=0,
        )
        news.info("%s: %d documents are with the provider.", self.batch, self.batch.documents)

    def lines(self, endpoint: Endpoint) -> Iterator[bytes]:
        """The file of requests: the same whenever it is written."""
        manners = Manners.from_json(self.batch.manners)
        for item in self.items():
            self.renew()
            sampling = self.sampling(endpoint, item)
            for number, one in enumerate(batch_client.requests(sampling, manners, item.seed)):
                yield batch_client.line(sampling, one, f"{item.pk}-{number}")

    def items(self) -> Iterator[BatchItem]:
        """Those left, a few at a time: each may be gone when the next is asked for."""
        last = 0
        while True:
            found = self.batch.items.filter(pk__gt=last).select_related("system_message")
            some = list(found.order_by("pk")[:READ])
            if not some:
                return
            last = some[-1].pk  # before it is gone
            yield from some

    def sampling(self, endpoint: Endpoint, item: BatchItem) -> Sampling:
        """As it was when the item was made."""
        prompt = Prompt(item.system_message.text, item.user_message, item.document_cut)
        return Sampling(endpoint, prompt, item.names or self._names(), self.batch.max_tags)

    def _names(self) -> list[str]:
        return [tag["name"] for tag in self.batch.vocabulary_version.tags]

    # --- Looked after

    def look(self, endpoint: Endpoint) -> None:
        batch = self.batch
        if batch.held_until - timezone.now() < HOLD / 2:
            until = timezone.now() + HOLD
            self.held().update(not_before=until)
            self.note(held_until=until)
        try:
            standing = batch_client.look(endpoint, batch.provider_id)
            if batch.cancel_asked and not standing.over and standing.status != "cancelling":
                with suppress(NoAnswer):  # it is over just now
                    standing = batch_client.cancel(endpoint, batch.provider_id)
            self.note(
                provider_state=standing.status[:50],
                requests_done=standing.done,
                requests_failed=standing.failed,
                error=standing.problem,
                troubles=0,
            )
            if not standing.over:
                return
            if standing.status == "failed" and standing.code == batch_client.FULL:
                self.note(state=BatchState.READY, input_file="", provider_id="", sending_at=None)
                raise Unavailable(standing.problem, LONGEST_PAUSE)
            problems = self.take_in(endpoint, standing)
        except NotThere as error:
            self.close(BatchState.FAILED, str(error))
            return
        told = " ".join(filter(None, [standing.problem, *problems]))
        self.close(ENDED[standing.status], told)
        for name in (batch.input_file, standing.output_file, standing.error_file):
            if name:  # the documents' texts have no business there any more
                with suppress(Unavailable, NoAnswer):
                    batch_client.remove(endpoint, name)

    def take_in(self, endpoint: Endpoint, standing: Standing) -> list[str]:
        """Store what was answered; returns some of the problems of what was not."""
        problems: dict[str, None] = {}
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            files = []
            for name, file in ((standing.output_file, output), (standing.error_file, errors)):
                if name:
                    self.renew(now=True)
                    files.append(batch_client.download(endpoint, name, file))
            for item in self.items():
                self.renew()
                for problem in self.take(endpoint, item, files):
                    if len(problems) < TOLD:
                        problems[problem] = None
        return list(problems)

    def take(self, endpoint: Endpoint, item: BatchItem, files: list[Answers]) -> list[str]:
        """Store what was answered about one document; what was said instead of an answer.

        Read as a live answer is, with as many tries. One without any answer is left.
        """
        batch = self.batch
        sampling = self.sampling(endpoint, item)
        asked = batch_client.requests(sampling, Manners.from_json(batch.manners), item.seed)
        problems, declined, answered = [], "", False
        for number, one in enumerate(asked):
            found = (file.line(f"{item.pk}-{number}") for file in files)
            said = next(filter(None, found), None)
            if said is None:
                continue
            answered |= said.body is not None
            try:
                answer = batch_client.answer(said, one)
            except Refused as error:
                declined = str(error)
            except NoAnswer as error:
                problems.append(str(error))
            else:
                sampling.take([answer], one.n, one.temperature, one.seed)
        for call in sampling.calls:
            call["batch"] = batch.provider_id
        if not answered:
            return problems
        with transaction.atomic():
            kind = self.settle(item, sampling, declined, problems)
            item.delete()
            self.add(
                **{kind: 1},
                tokens_in=sampling.tokens_in,
                tokens_cached=sampling.tokens_cached,
                tokens_out=sampling.tokens_out,
            )
        return []

    def settle(
        self, item: BatchItem, sampling: Sampling, declined: str, problems: list[str]
    ) -> str:
        """What becomes of the document, by the name of its count."""
        ours = Document.objects.filter(
            pk=item.document_id, state=DocumentState.WAITING, lease_token=self.batch.token
        )
        document = ours.select_related("project").defer("html").first()
        if document is None:
            return "dropped"
        run = Run(document, self.batch.token, self.batch.vocabulary_version, self.common)
        if sampling.sets:
            if len(sampling.sets) < WANTED:
                count = "one set" if len(sampling.sets) == 1 else "two different sets"
                sampling.note = f"The model gave only {count}, asked once, in a batch."
            return "stored" if run.store(sampling) else "dropped"
        reason = declined or f"The model gave no usable answer. {sampling.problem}".strip()
        if not declined and problems:
            reason = problems[0]
        if not declined and document.troubles + 1 < MOST_TROUBLES:
            run.later(reason, 0, sampling)
            return "again"
        return "failed" if run.store(sampling, reason) else "dropped"

    # --- Ended

    def close(self, state: BatchState, error: str = "") -> None:
        """End it; the documents that are still held wait again, for the workers."""
        batch = self.batch
        with transaction.atomic():
            left = self.held().update(
                not_before=None,
                reason=f"It was not answered in batch {batch.pk}. {error}".strip(),
                **FREE,
            )
            rest = batch.items.count()
            batch.items.all().delete()
            self.add(left=left, dropped=max(0, rest - left))
            if batch.tokens_held:
                budget.settle(batch)
            self.note(state=state, error=error, ended_at=timezone.now())
        news.info(
            "%s: %s. %d with candidates, %d not answered. %s",
            *(batch, BatchState(state).label, batch.stored, batch.left, error),
        )

    def held(self) -> QuerySet[Document]:
        """The documents that are still the batch's."""
        return Document.objects.filter(
            pk__in=self.batch.items.values("document"),
            state=DocumentState.WAITING,
            lease_token=self.batch.token,
        )

    # --- The batch's row, while the lease is ours

    def note(self, **changes: object) -> None:
        """Raises Lost."""
        if not self._mine().update(**changes):
            raise Lost
        for name, value in changes.items():
            setattr(self.batch, name, value)

    def add(self, **counts: int) -> None:
        """Raises Lost."""
        self.note(**{name: getattr(self.batch, name) + more for name, more in counts.items()})

    def renew(self, now: bool = False) -> None:
        """Also hears whether it was called off meanwhile. Raises Lost."""
        if now or time.monotonic() - self.renewed_at > RENEWED:
            self.renewed_at = time.monotonic()
            self.note(lease_expires_at=timezone.now() + LEASE)
            self.batch.refresh_from_db(fields=["cancel_asked"])

    def rest(self, seconds: float, **changes: object) -> None:
        """Give the lease back until the next look."""
        look_at = timezone.now() + datetime.timedelta(seconds=seconds)
        self._mine().update(lease_token=None, lease_expires_at=None, look_at=look_at, **changes)

    def pause(self, error: Exception) -> float:
        asked_for = error.retry_after if isinstance(error, Unavailable) else None
        backoff = LOOK * 2.0 ** min(self.batch.troubles, 10)
        return min(LONGEST_PAUSE, asked_for or backoff)

    def _mine(self) -> QuerySet[Batch]:
        return Batch.objects.filter(pk=self.batch.pk, lease_token=self.batch.lease_token)


def endpoint_of(batch: Batch) -> Endpoint:
    """The batch's own endpoint, with the key that the settings have for it. Raises NoModel."""
    for endpoint in [*endpoints(batch.project), *endpoints()]:
        if endpoint.base_url == batch.base_url and not endpoint.grammar:
            recipe = Recipe(**batch.recipe)
            return replace(endpoint, model=batch.model, recipe=recipe)
    raise NoModel(
        f"The batch is at {batch.base_url}, which the settings no longer name: its key is not "
        "known. Set OPENAI_BASE_URL back until it has ended."
    )


def _sampling(
    endpoint: Endpoint, project: Project, version: VocabularyVersion, document: Document
) -> Sampling:
    return sample(
        endpoint,
        project.guidelines,
        version.tags,
        project.max_tags,
        document.title,
        document.text,
        partial(similar, project, besides=document),
        partial(ranking.ranker, project, version),
    )
