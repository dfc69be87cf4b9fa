"""No model is there for long → candidates by counting words, marked as such, so that people go on.

They are for the meantime: as soon as a server is back, the model is asked about each document
that nobody has reviewed since. Off, unless TAGGER_FALLBACK_AFTER says after how many minutes.
"""

from __future__ import annotations

import datetime
import logging
import time
import uuid

from django.conf import settings
from django.utils import timezone

from review.llm.client import Endpoint
from review.llm.prompt import Prompt
from review.llm.rank import three_sets
from review.llm.recipe import Recipe
from review.llm.sampling import Sampling, TagSet
from review.models import Document, DocumentState, Proposal
from review.models.document import DocumentQuerySet
from review.models.proposal import WORDS_COUNTED

from . import ranking, served
from .endpoint import NoModel, everywhere
from .propose import LONGEST_PAUSE, Common, Run, ask_again, claim

AT_ONCE = 500  # documents: each takes some hundredths of a second
NOTE = (
    "No model could be asked, so these tags come from counting words. Unless this document is "
    "reviewed before, the model is asked when it is back."
)

news = logging.getLogger("tagger")


def stand_in() -> None:
    """Give waiting documents candidates while no model is there; ask it again when it is.

    Called each minute. While a server's breaker is half open, one document is left to find out
    whether it is back.
    """
    now = timezone.now()
    patience = datetime.timedelta(minutes=settings.FALLBACK_AFTER)
    waiting = Document.objects.filter(state=DocumentState.WAITING).unbatched(now)
    try:
        rows = [served.look(endpoint, afresh=True) for endpoint in everywhere()]
    except NoModel:  # who knows since when: what has waited that long is helped
        if patience:
            _instead(waiting.filter(created_at__lte=now - patience))
        return
    downs = [since for row in rows if (since := row.down_since()) is not None]
    if len(downs) < len(rows):
        if asked := ask_again(_helped(AT_ONCE), ready=True):
            news.info("A model is there again: it is asked about %d documents.", asked)
        return
    if not patience or now - max(downs) < patience:
        return
    if any(row.pause(now) == 0 for row in rows):
        trying = waiting.order_by("pk").first()
        if trying is None and ask_again(_helped(1), ready=True):
            trying = waiting.order_by("pk").first()
        if trying is not None:
            waiting.filter(pk=trying.pk).update(not_before=None)
            waiting = waiting.exclude(pk=trying.pk)
    _instead(waiting)


def _helped(most: int) -> DocumentQuerySet:
    """Documents with candidates by counting words that nobody has reviewed or holds."""
    ready = Document.objects.filter(state=DocumentState.READY, reviews=0)
    helped = ready.unleased(timezone.now()).filter(
        proposals__in=Proposal.objects.filter(current=True, model=WORDS_COUNTED)
    )
    return Document.objects.filter(pk__in=list(helped.values_list("pk", flat=True)[:most]))


def _instead(waiting: DocumentQuerySet) -> None:
    """What has such candidates is shown with them again; what has none at all gets some.

    What has a model's candidates, and is to be read once more, waits on.
    """
    had = waiting.filter(proposals__current=True, proposals__model=WORDS_COUNTED)
    again = {"state": DocumentState.READY, "reason": "", "troubles": 0, "not_before": None}
    Document.objects.filter(
        pk__in=list(had.values_list("pk", flat=True)), state=DocumentState.WAITING
    ).update(**again)
    new = waiting.exclude(proposals__in=Proposal.objects.filter(current=True)).order_by("pk")
    common, helped = Common(), 0
    for key in list(new.values_list("pk", flat=True)[:AT_ONCE]):
        helped += by_words(key, common) is not None
    if helped:
        news.info("No model is there: %d documents got tags by counting words.", helped)


def by_words(document_id: int, common: Common) -> Proposal | None:
    """Store candidates by the ranker alone; None where the document does not wait any more."""
    began = time.monotonic()
    token = uuid.uuid4()
    document = claim(document_id, token, common)
    if document is None:
        return None
    project = document.project
    run = Run(document, token, common.version(project), common)
    ranked = ranking.ranker(project, run.version).scores(document.title, document.text)
    # No model: an endpoint without an address, and nothing that was sent.
    nobody = Endpoint("", "", WORDS_COUNTED, Recipe(prompt="words-1", plan="none"))
    sampling = Sampling(
        nobody, Prompt("", "", cut=False), list(ranked), project.max_tags, ranked=ranked, note=NOTE
    )
    sampling.sets = [
        TagSet(tags, raw="", temperature=0, seed=0) for tags in three_sets(ranked, project.max_tags)
    ]
    if not sampling.sets:
        run.later("The project has no tags to choose from.", LONGEST_PAUSE)
        return None
    first = sampling.sets[0].tags
    sampling.doubt = 1 - sum(ranked[name] for name in first) / len(first)
    sampling.seconds = time.monotonic() - began
    return run.store(sampling)
