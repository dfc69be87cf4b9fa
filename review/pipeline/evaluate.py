"""Labelled documents → how good the proposals for them are: measured, and kept.

The model is asked by the same `sample(…)` and `three(…)` as in `propose`; nothing else is made
of its answers. What is measured and how is in insight/quality.py.
"""

from __future__ import annotations

import dataclasses
import subprocess
import time
import tomllib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from review.insight import baselines
from review.insight.quality import Tags, averaged
from review.insight.runs import passes
from review.llm.client import Endpoint
from review.llm.errors import NoAnswer, Refused, Unavailable
from review.llm.rank import Ranker
from review.llm.reply import read_reply
from review.llm.sampling import Sampling
from review.models import EvaluatedDocument, Evaluation
from review.readers.labelled import Labelled

from .exam import Exam
from .file_picks import FilePicks
from .learn import Similar
from .propose import MOST_TROUBLES, sample

PATIENCE = 5  # tries of one document while the server is in trouble
LONGEST_WAIT = 60.0  # seconds between two of them; if it needs longer, somebody must mend it

Told = Callable[[int, int, "Outcome"], None]  # how many of how many are done, and the last one


@dataclass(frozen=True)
class Prices:
    """Of a million tokens, in any currency."""

    tokens_in: float = 0
    cached: float = 0
    tokens_out: float = 0


@dataclass
class Outcome:
    """What came of one document: its candidates, and what they cost."""

    candidates: list[Tags] = field(default_factory=list)
    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_out: int = 0
    seconds: float = 0
    asked_again: int = 0
    invented: int = 0
    parse_failures: int = 0
    error: str = ""

    def add(self, sampling: Sampling) -> None:
        """A run that may have failed: its calls count all the same."""
        self.candidates = [found.tags for found in sampling.sets]
        self.tokens_in += sampling.tokens_in
        self.tokens_cached += sampling.tokens_cached
        self.tokens_out += sampling.tokens_out
        self.seconds += sampling.seconds
        self.asked_again += sampling.asked_again
        self.invented += sampling.unknown_tags
        replies = [reply for call in sampling.calls for reply in call.get("replies", [])]
        for reply in replies:
            reading = read_reply(reply, sampling.vocabulary, sampling.max_tags)
            self.parse_failures += not reading.tags and not reading.unknown


# --- Asking -----------------------------------------------------------------------------


def ask(
    endpoint: Endpoint, exam: Exam, parallel: int, told: Told, picks: Sequence[Labelled] = ()
) -> list[Outcome]:
    """One pass of a model over the documents, `parallel` at a time.

    picks: labelled documents that stand for what people have picked: the like ones among them are
    the examples; for a document that is itself one of them, the others.

    A document that fails counts as one without an answer. Raises Unavailable where the server
    stays in trouble: that says nothing of the model.
    """
    outcomes = []
    picked = FilePicks(exam.tags, picks)
    with ThreadPoolExecutor(parallel) as threads:
        asked = [
            threads.submit(
                _asked, endpoint, exam, it, picked.similar(it), partial(picked.ranker, it)
            )
            for it in exam.documents
        ]
        try:
            for done, one in enumerate(asked, start=1):
                outcomes.append(one.result())
                told(done, len(asked), outcomes[-1])
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    return outcomes


def _asked(
    endpoint: Endpoint,
    exam: Exam,
    document: Labelled,
    similar: Similar,
    ranker: Callable[[], Ranker],
) -> Outcome:
    """As `propose` asks, with as many tries."""
    outcome = Outcome()
    troubles = failures = 0
    while True:
        sampling = sample(
            endpoint,
            exam.guidelines,
            exam.tags,
            exam.max_tags,
            document.title,
            document.text,
            similar,
            ranker,
        )
        try:
            sampling.three(settings.MODEL_DEADLINE)
        except Unavailable as error:
            troubles += 1
            wait = error.retry_after or 2.0**troubles
            if troubles == PATIENCE or wait > LONGEST_WAIT:
                raise
            time.sleep(wait)
            continue
        except (NoAnswer, Refused) as error:
            outcome.add(sampling)
            outcome.error = str(error)
            failures += 1
            if failures == MOST_TROUBLES or isinstance(error, Refused):
                outcome.candidates = []
                return outcome
            continue
        outcome.add(sampling)
        outcome.error = ""
        return outcome


def by_names(exam: Exam) -> list[Outcome]:
    """The baseline that counts the tags' names."""
    proposals = baselines.names([it.text for it in exam.documents], exam.names, exam.max_tags)
    return [Outcome(list(candidates)) for candidates in proposals]


def by_tfidf(exam: Exam, training: Sequence[Labelled], seed: int) -> list[Outcome]:
    """The baseline that learns; without training documents it is cross-validated."""
    learned = [it.text for it in training], [it.best for it in training]
    proposals = baselines.tfidf(
        [it.text for it in exam.documents],
        [it.best for it in exam.documents],
        learned if training else None,
        seed,
        exam.max_tags,
    )
    return [Outcome(list(candidates)) for candidates in proposals]


# --- Keeping ----------------------------------------------------------------------------


def keep(
    asked: Evaluation, exam: Exam, outcomes: Sequence[Sequence[Outcome]], prices: Prices
) -> Evaluation:
    """Store a run with its passes; `asked` says the rest of what was asked."""
    rows = [
        EvaluatedDocument(
            evaluation=asked,
            repeat=repeat,
            place=place,
            external_id=document.external_id,
            title=document.title[:500],
            best=list(document.best),
            acceptable=list(document.acceptable),
            **dataclasses.asdict(outcome),
        )
        for repeat, one in enumerate(outcomes)
        for place, (document, outcome) in enumerate(zip(exam.documents, one, strict=True))
    ]
    asked.source, asked.source_sha256 = exam.source, exam.sha256
    asked.documents, asked.repeats = len(exam.documents), len(outcomes)
    asked.vocabulary, asked.max_tags = exam.names, exam.max_tags
    asked.version = software()
    asked.finished_at = timezone.now()
    asked.metrics = {
        **averaged(passes(rows), len(exam.tags)),
        **costs([one for outcome in outcomes for one in outcome], len(outcomes), prices),
    }
    with transaction.atomic():
        asked.save(force_insert=True)
        EvaluatedDocument.objects.bulk_create(rows, batch_size=500)
    return asked


def costs(outcomes: Sequence[Outcome], repeats: int, prices: Prices) -> dict[str, float]:
    """What it cost: faults as a count for a pass, the rest as a mean for a document."""
    found: dict[str, float] = {
        "failed": sum(not one.candidates for one in outcomes) / repeats,
        "parse_failures": sum(one.parse_failures for one in outcomes) / repeats,
        "invented": sum(one.invented for one in outcomes) / repeats,
        "asked_again": sum(one.asked_again for one in outcomes) / repeats,
    }
    for name in ("tokens_in", "tokens_cached", "tokens_out", "seconds"):
        found[name] = sum(getattr(one, name) for one in outcomes) / len(outcomes)
    found["cost"] = (
        (found["tokens_in"] - found["tokens_cached"]) * prices.tokens_in
        + found["tokens_cached"] * prices.cached
        + found["tokens_out"] * prices.tokens_out
    ) / 1e6
    return found


def software() -> str:
    """Tagger's version, and the commit where it runs from a working tree."""
    with open(settings.BASE_DIR / "pyproject.toml", "rb") as file:
        version: str = tomllib.load(file)["project"]["version"]
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    return f"{version} {described.stdout.strip()}".strip()
