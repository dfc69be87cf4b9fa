"""The turn of the model that is tried beside a project's own: its sets are shown among the own
one's, and nobody can tell whose is whose.

The trial costs no document anything: whatever goes wrong here, it has the own model's sets.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import replace

from django.conf import settings
from django.utils.crypto import salted_hmac

from review.llm.client import Endpoint
from review.llm.errors import NoAnswer, Refused, Unavailable
from review.llm.interleave import team_draft
from review.llm.sampling import Sampling, TagSet
from review.models import Document

from . import served
from .endpoint import key_of

news = logging.getLogger("tagger")

LEAST = 0.5  # of the deadline: with less time, not to answer says nothing against a model
# By how many sets there are; they do not say that two models were asked.
NOTES = {1: "There is only one set.", 2: "There are only two different sets.", 3: ""}


def ask_beside(
    own: Sampling, document: Document, sampling_of: Callable[[Endpoint], Sampling], left: float
) -> None:
    """Ask the rival as well, where there is one, and draft the sets to show from both.

    own: has its sets; afterwards `rival` says whom they were drafted with. left: seconds. What
    the rival costs is added to `own` in any case.
    """
    if left < LEAST * settings.MODEL_DEADLINE:
        return
    endpoint = served.take_rival(document.project)
    if endpoint is None or key_of(endpoint) == key_of(own.endpoint):
        return
    rival = sampling_of(endpoint)
    try:
        rival.three(left)
    except (Unavailable, NoAnswer, Refused) as error:
        served.went_badly(endpoint, error)
        news.info("%s: %s was not tried beside: %s", document, endpoint.model, error)
        own.calls.append({"model": endpoint.model, "problem": str(error)})
    else:
        served.went_well(endpoint)
        own.calls += [{"model": endpoint.model, **call} for call in rival.calls]
        own.rival = endpoint.model
        own.sets = team_draft(own.sets, answers_of(rival, own), coin(document, own))
        own.note = NOTES[len(own.sets)]
    own.tokens_in += rival.tokens_in
    own.tokens_cached += rival.tokens_cached
    own.tokens_out += rival.tokens_out
    own.seconds += rival.seconds
    own.unknown_tags += rival.unknown_tags
    own.asked_again += rival.asked_again


def answers_of(rival: Sampling, own: Sampling) -> list[TagSet]:
    """Its sets; those that answer other messages than the own model's are marked.

    The proposal keeps the own model's: a release must not say that the rival was sent them.
    """
    if rival.prompt.messages == own.prompt.messages:
        return rival.sets
    return [replace(one, composed=True) for one in rival.sets]


def coin(document: Document, own: Sampling) -> random.Random:
    """The same for the same document and models; it cannot be told from outside."""
    told = salted_hmac("beside", f"{document.pk}:{own.endpoint.model}:{own.rival}")
    return random.Random(told.hexdigest())  # noqa: S311 -- a fair coin; its seed is the secret
