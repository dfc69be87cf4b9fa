"""A model server may say anything at all: a document goes on, or waits, and nothing breaks."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from django.utils import timezone

from review.models import Budget, Document, DocumentState, Price, Proposal
from review.pipeline import served
from review.pipeline.budget import Caps, cap
from review.pipeline.propose import TryLater, propose

from .base import HouseTestCase
from .fake_model import Reply, tags


def body(usage: object = None, logprob: object = -0.5, **message: object) -> bytes:
    """Of an answer in three sets; as Python writes it, which also has NaN and Infinity."""
    choices = [
        {
            "finish_reason": "stop",
            "message": {"content": tags(name), **message},
            "logprobs": {"content": [{"token": "x", "logprob": logprob}]},
        }
        for name in ("lib", "cli", "http")
    ]
    return json.dumps({"choices": choices, "usage": usage}).encode()


class Figures(HouseTestCase):
    def setUp(self) -> None:
        super().setUp()
        served.forget()

    def proposal(self, answer: bytes) -> Proposal:
        self.model.say(Reply(body=answer))
        document = self.ready()
        self.assertEqual(document.state, DocumentState.READY, document.reason)
        return document.proposals.get()

    def test_tokens_are_no_fewer_than_none_and_no_more_than_a_row_holds(self) -> None:
        for said, kept in ((-5, 0), (10**30, 100_000_000), (True, 1), ("12", 12), (None, 0)):
            with self.subTest(said=said):
                usage = {"prompt_tokens": said, "completion_tokens": said}
                proposal = self.proposal(body(usage))
                self.assertEqual((proposal.tokens_in, proposal.tokens_out), (kept, kept))
                proposal.document.delete()

    def test_nobody_earns_money_by_calls(self) -> None:
        Price.objects.create(model="fake", tokens_in=2.0, cached=0.5, tokens_out=8.0)
        cap(self.project, Caps(tokens_a_day=10**6))
        details = {"cached_tokens": 10**6}
        self.proposal(
            body({"prompt_tokens": 10, "completion_tokens": -500, "prompt_tokens_details": details})
        )
        budget = Budget.objects.get()
        self.assertEqual((budget.all_tokens, budget.all_money), (10, 5))

    def test_likelihoods_that_are_no_numbers_are_left_out(self) -> None:
        for said in (float("nan"), float("inf"), float("-inf")):
            with self.subTest(said=said):
                proposal = self.proposal(body(logprob=said))
                self.assertEqual(proposal.calls[0]["mean_logprobs"], [None] * 3)
                proposal.document.delete()


class Words(HouseTestCase):
    def setUp(self) -> None:
        super().setUp()
        served.forget()

    def waits(self, *replies: Reply) -> Document:
        document = self.document()
        self.model.say(*replies)
        with pytest.raises(TryLater):
            propose(document.pk)
        document.refresh_from_db()
        self.assertEqual(document.state, DocumentState.WAITING)
        return document

    def test_what_cannot_be_read_is_no_answer(self) -> None:
        unreadable: list[Any] = [
            b"[" * 100_000,
            b'{"choices": [' + b'{"message": ' * 5000,
            body({"prompt_tokens": float("inf")}),
            body({"prompt_tokens": "many"}),
            body(logprob=10**400),
            b"\xff\xfe{}",
            b'{"choices": "abc"}',
            b'{"choices": {"a": 1}}',
        ]
        for answer in unreadable:
            with self.subTest(answer=answer[:40]):
                document = self.waits(*[Reply(body=answer)] * 3)
                self.assertIn("answer", document.reason)
                document.delete()
                self.model.next.clear()

    def test_a_refusal_with_characters_that_no_database_keeps(self) -> None:
        self.model.say(Reply(body=body(refusal="No\0 \ud800!")))
        document = self.document()
        propose(document.pk)
        document.refresh_from_db()
        self.assertEqual(document.state, DocumentState.FAILED)
        self.assertIn("declined this document: No ?!", document.reason)

    def test_an_error_with_characters_that_no_database_keeps(self) -> None:
        document = self.waits(*[Reply(status=400, body=b"no\0pe")] * 9)
        self.assertIn("nope", document.reason)

    def test_a_filter_that_says_so_in_its_code_alone_has_refused_the_document(self) -> None:
        said = {"error": {"code": "content_filter", "message": "It triggered our policy."}}
        self.model.say(Reply(status=400, body=json.dumps(said).encode()))
        document = self.document()
        propose(document.pk)
        document.refresh_from_db()
        self.assertEqual(document.state, DocumentState.FAILED)
        self.assertIn("content filter", document.reason)
        self.assertEqual(len(self.model.requests), 1)

    def test_a_parameter_is_given_up_that_a_complaint_in_another_form_names(self) -> None:
        self.model.say(Reply(status=422, body=b'{"detail": "seed is not known here"}'))
        self.ready()
        self.assertNotIn("seed", self.model.requests[1])
        self.assertIn("logprobs", self.model.requests[1])

    def test_who_asks_for_a_pause_of_years_gets_a_day(self) -> None:
        far = "Fri, 31 Dec 9999 23:59:59 GMT"
        for asked in ("1e12", "inf", "99999999999999999999", far):
            with self.subTest(asked=asked):
                document = self.waits(Reply(status=429, headers={"Retry-After": asked}))
                assert document.not_before
                self.assertLess(document.not_before, timezone.now() + datetime.timedelta(days=1.1))
                document.delete()
                served.forget()

    def test_a_pause_that_makes_no_sense_is_none(self) -> None:
        for asked in ("soon", "nan", "-5", "Mon, 99 Foo"):
            with self.subTest(asked=asked):
                document = self.waits(Reply(status=503, headers={"Retry-After": asked}))
                assert document.not_before
                soon = timezone.now() + datetime.timedelta(minutes=1)
                self.assertLess(document.not_before, soon)
                document.delete()
                served.forget()
