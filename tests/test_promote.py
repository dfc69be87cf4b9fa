"""A tuned model is put in use in a project, and back: which one its documents are asked with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from review.llm.local_server import BARE, MODEL_NAME
from review.llm.recipe import EMBEDDED
from review.models import (
    Candidate,
    Document,
    InUse,
    Project,
    Promotion,
    Proposal,
    Release,
    ServedModel,
    Training,
    TrainingState,
)
from review.models.served_model import FAILURES
from review.models.training import EMBEDDED_BASE
from review.pipeline import endpoint, served
from review.pipeline.calibrate import current
from review.pipeline.endpoint import NoModel, as_adopted, endpoints, everywhere, of_training, rival
from review.pipeline.intake import take_in
from review.pipeline.promote import (
    SERVED,
    NotPromoted,
    adapter,
    back,
    before_now,
    promote,
    stop_trying,
    try_beside,
    write_served,
)
from review.pipeline.propose import TryLater, propose
from review.readers import Incoming

from .base import HouseTestCase
from .fake_model import FakeModel, Reply
from .test_auto_accept import calibrated

EMBEDDED_URL = "http://127.0.0.1:1/v1"
embedded = override_settings(
    OPENAI_BASE_URL="", OPENAI_API_KEY="", TAGGER_MODEL="", TAGGER_EMBEDDED_URL=EMBEDDED_URL
)
RECIPE = {"prompt": "adapter-2", "plan": "greedy-and-samples", "shortlist": 0, "examples": 0}


class TunedTestCase(HouseTestCase):
    def setUp(self) -> None:
        super().setUp()
        served.forget()
        self.other = FakeModel()  # where the tuned models are served
        self.addCleanup(self.other.close)
        self.addCleanup(served.forget)
        self.addCleanup((Path(settings.VAR) / SERVED).unlink, missing_ok=True)
        self.release = Release.objects.create(project=self.project, number=1)

    def tuned(self, name: str = "tuned", **fields: Any) -> Training:
        fields = {"base": "org/base", "base_url": self.other.url, **fields}
        fields = {"state": TrainingState.READY, "release": self.release, **fields}
        return Training.objects.create(name=name, **fields)

    def tuned_here(self, name: str = "tuned", data: bytes = b"GGUF") -> Training:
        """Of the embedded model, with its adapter."""
        made = self.tuned(name, base=EMBEDDED_BASE, base_url="")
        made.adapter_sha256 = hashlib.sha256(data).hexdigest()
        made.save()
        adapter(made).parent.mkdir(parents=True, exist_ok=True)
        adapter(made).write_bytes(data)
        return made

    def now(self, verb: Callable[..., Any], *args: Any) -> Any:
        """As in a request: what is to be done on commit is done."""
        with self.captureOnCommitCallbacks(execute=True):
            return verb(self.project, *args)

    def promoted(self, training: Training | None) -> Promotion:
        made: Promotion = self.now(promote, training, self.alice, {"won": 1})
        return made

    def asked(self, external_id: str, project: Project | None = None) -> str:
        """The model that was asked about a new document."""
        project = project or self.project
        take_in(project, [Incoming(external_id, f"# {external_id}\n\nA text.")])
        document = Document.objects.get(project=project, external_id=external_id)
        propose(document.pk)
        return document.proposals.get().model


class InUseTests(TunedTestCase):
    def test_documents_are_asked_of_what_is_in_use_and_after_back_of_what_was_before(self) -> None:
        self.assertEqual(self.asked("1"), "fake")
        first, second = self.tuned("first"), self.tuned("second")
        self.promoted(first)
        self.assertEqual(self.asked("2"), "first")
        self.assertEqual(self.other.requests[0]["model"], "first")
        self.promoted(second)
        self.assertEqual(self.asked("3"), "second")
        self.assertEqual(before_now(self.project), first)
        self.now(back, self.alice)
        self.assertEqual(self.asked("4"), "first")
        self.now(back, self.alice)  # what was before that was the second
        self.assertEqual(self.asked("5"), "second")
        self.promoted(None)
        self.assertEqual(self.asked("6"), "fake")
        rows = self.project.promotions.order_by("pk")
        self.assertEqual(
            [(row.tuned and row.tuned.name) for row in rows],
            ["first", "second", "first", "second", None],
        )
        self.assertEqual((rows[0].user, rows[0].why), (self.alice, {"won": 1}))

    def test_another_project_asks_on_as_it_did(self) -> None:
        another = Project.objects.create(name="Another", repeat_share=0)
        self.project.tags.exclude(number__gt=5).update(project=another)
        self.promoted(self.tuned())
        self.assertEqual(self.asked("1"), "tuned")
        self.assertEqual(self.asked("1", another), "fake")
        self.assertEqual({one.model for one in everywhere()}, {"fake", "tuned"})
        self.assertEqual([one.model for one in endpoints()], ["fake"])

    def test_another_process_sees_it_within_a_second(self) -> None:
        tuned = self.tuned()
        self.asked("1")
        InUse.objects.create(project=self.project, tuned=tuned)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(endpoint, "LOOK", 0.0)  # a second later
            self.assertEqual(self.asked("2"), "tuned")

    def test_what_cannot_be_asked_is_refused_and_nothing_is_changed(self) -> None:
        elsewhere = Release.objects.create(project=Project.objects.create(name="B"), number=1)
        here = self.tuned_here("here")
        refused = [
            (self.tuned("a", state=TrainingState.RUNNING), "“a” is not trained: Training"),
            (self.tuned("b", release=elsewhere), "b was trained on the documents of another"),
            (self.tuned("c", base_url=""), "“c” is served nowhere: it was tuned from org/base"),
            (self.tuned("fake"), "Another model is called “fake” already"),
            (here, "not started while OPENAI_BASE_URL or OPENAI_API_KEY is set"),
        ]
        for training, sentence in refused:
            for verb in (promote, try_beside):
                more: list[dict[str, int]] = [{}] if verb is promote else []
                with self.subTest(sentence), pytest.raises(NotPromoted, match=sentence):
                    self.now(verb, training, self.alice, *more)
        with pytest.raises(NotPromoted, match="asks what the settings name already"):
            self.promoted(None)
        with pytest.raises(NotPromoted, match="cannot be tried beside itself"):
            self.now(try_beside, None, self.alice)
        with pytest.raises(NotPromoted, match="No other model was in use before"):
            self.now(back, self.alice)
        self.assertFalse(Promotion.objects.exists())
        self.assertEqual(self.asked("1"), "fake")

    @embedded
    def test_an_adapter_that_is_not_the_one_that_was_trained_is_refused(self) -> None:
        training = self.tuned_here()
        adapter(training).write_bytes(b"another")
        with pytest.raises(NotPromoted, match="its sha256 differs"):
            self.promoted(training)
        adapter(training).unlink()
        with pytest.raises(NotPromoted, match=r"cannot be read: .*No such file"):
            self.promoted(training)

    def test_a_key_of_the_settings_goes_to_no_other_address(self) -> None:
        self.assertEqual(of_training(self.tuned("a")).api_key, "")
        self.assertEqual(of_training(self.tuned("b", base_url=self.model.url)).api_key, "sk-test")

    def test_a_document_costs_as_many_statements_as_without(self) -> None:
        counts = []
        for number, training in enumerate([None, self.tuned()]):
            if training:
                self.promoted(training)
            self.asked(f"{number} warms up")
            self.asked(f"{number} learns")
            take_in(self.project, [Incoming(f"{number}", f"# {number}")])
            document = Document.objects.get(external_id=f"{number}")
            with _known_for_long(), CaptureQueriesContext(connection) as queries:
                propose(document.pk)
            counts.append(len(queries))
        self.assertEqual(counts[0], counts[1])

    def test_the_tuned_has_a_breaker_of_its_own_and_the_second_takes_over(self) -> None:
        self.promoted(self.tuned())
        self.other.default = Reply(status=500)
        for number in range(FAILURES):
            with pytest.raises(TryLater):
                self.asked(f"bad {number}")
        with pytest.raises(TryLater, match="is asked again at"):
            self.asked("waits")
        self.assertEqual(served.worth_telling(500), 0)
        self.assertIsNone(ServedModel.objects.filter(model="fake").first())
        with override_settings(SECOND_BASE_URL=self.model.url, SECOND_MODEL="spare"):
            self.assertEqual(self.asked("helped"), "spare")
        self.promoted(None)
        self.assertEqual(self.asked("well"), "fake")

    def test_while_another_projects_model_is_away_documents_go_on(self) -> None:
        another = Project.objects.create(name="Another", repeat_share=0)
        self.project.tags.exclude(number__gt=5).update(project=another)
        self.promoted(self.tuned())
        self.asked("1")
        ServedModel.objects.filter(model="tuned").update(
            failures=FAILURES, open_until=timezone.now() + timedelta(minutes=5)
        )
        served.forget()
        self.assertEqual(served.worth_telling(500), 500)
        with pytest.raises(TryLater, match="is asked again at"):
            self.asked("2")
        waiting = Document.objects.get(external_id="2")
        self.assertEqual((waiting.state, waiting.attempts, waiting.troubles), ("waiting", 0, 0))
        self.assertEqual(self.asked("2", another), "fake")


class Trial(TunedTestCase):
    def test_it_is_found_while_it_is_on_and_only_then(self) -> None:
        self.assertIsNone(served.take_rival(self.project))
        self.now(try_beside, self.tuned(), self.alice)
        taken = served.take_rival(self.project)
        assert taken is not None
        self.assertEqual((taken.model, taken.base_url), ("tuned", self.other.url))
        self.assertEqual(served.take(self.project).model, "fake")
        self.now(stop_trying)
        self.assertIsNone(served.take_rival(self.project))

    def test_what_the_settings_name_is_tried_beside_a_tuned_one(self) -> None:
        self.promoted(self.tuned())
        self.now(try_beside, None, self.alice)
        taken = served.take_rival(self.project)
        assert taken is not None
        self.assertEqual((taken.model, served.take(self.project).model), ("fake", "tuned"))
        self.promoted(None)  # it won
        self.assertIsNone(served.take_rival(self.project))
        self.assertFalse(InUse.objects.get().rival_is_base)

    def test_it_ends_when_the_rival_is_put_in_use(self) -> None:
        first, second = self.tuned("first"), self.tuned("second")
        self.promoted(first)
        self.now(try_beside, second, self.alice)
        self.promoted(second)
        self.assertIsNone(rival(self.project))
        self.now(try_beside, first, self.alice)
        self.now(back, self.alice)  # to the first, which was the rival
        self.assertIsNone(rival(self.project))

    def test_while_the_rival_is_in_trouble_there_is_none(self) -> None:
        self.now(try_beside, self.tuned(), self.alice)
        taken = served.take_rival(self.project)
        assert taken is not None
        row = served.look(taken)
        ServedModel.objects.filter(pk=row.pk).update(
            failures=FAILURES, open_until=timezone.now() + timedelta(minutes=5)
        )
        served.look(taken, afresh=True)
        self.assertIsNone(served.take_rival(self.project))
        self.assertEqual(served.take(self.project).model, "fake")

    def test_a_rival_that_is_served_no_longer_is_said_and_not_asked(self) -> None:
        training = self.tuned()
        self.now(try_beside, training, self.alice)
        Training.objects.update(base_url="")
        served.forget()
        with pytest.raises(NoModel, match="served nowhere"):
            rival(self.project)
        self.assertIsNone(served.take_rival(self.project))
        self.assertEqual(self.asked("1"), "fake")


class HowItIsAsked(TunedTestCase):
    def adopted(self, model: str, url: str, recipe: dict[str, Any] | None = None) -> None:
        fields = {"recipe": recipe or RECIPE, "adopted_at": timezone.now()}
        ServedModel.objects.update_or_create(base_url=url, model=model, defaults=fields)
        served.forget()

    def test_the_recipe_of_the_base_until_one_of_its_own_was_adopted(self) -> None:
        training = self.tuned()
        self.promoted(training)
        self.assertEqual(served.take(self.project).recipe.prompt, "full-3")
        self.adopted("org/base", self.other.url)
        self.assertEqual(served.take(self.project).recipe.prompt, "adapter-2")
        self.assertEqual(as_adopted(of_training(training)).recipe.prompt, "adapter-2")
        self.adopted("tuned", self.other.url, {**RECIPE, "prompt": "full-2"})
        self.assertEqual(served.take(self.project).recipe.prompt, "full-2")
        self.assertEqual(as_adopted(of_training(training)).recipe.prompt, "full-2")

    @embedded
    def test_the_embedded_ones_are_asked_as_the_shipped_one_is(self) -> None:
        tuned = as_adopted(of_training(self.tuned_here()))
        self.assertEqual((tuned.base_url, tuned.model), (EMBEDDED_URL, "tuned"))
        self.assertEqual((tuned.recipe, tuned.grammar), (EMBEDDED, True))
        self.adopted(MODEL_NAME, "embedded")
        self.assertEqual(as_adopted(tuned).recipe.plan, "greedy-and-samples")

    def test_what_was_learned_of_anothers_confidence_does_not_count(self) -> None:
        self.ready("1")
        proposal = Proposal.objects.get()
        calibrated(self.project, "fake", proposal.prompt_version)
        self.asked("2")
        self.assertIsNotNone(self.confidence("2"))
        self.promoted(self.tuned())
        self.asked("3")
        self.assertIsNone(self.confidence("3"))
        calibrated(self.project, "tuned", proposal.prompt_version)
        self.asked("4")
        self.assertIsNotNone(self.confidence("4"))

    def test_what_was_learned_of_it_counts_no_longer_when_its_base_is_asked_otherwise(self) -> None:
        self.tuned()
        calibrated(self.project, "tuned", "full-3")
        self.assertIsNotNone(current(self.project, "tuned", "full-3"))
        self.adopted("another", self.other.url)
        self.assertIsNotNone(current(self.project, "tuned", "full-3"))
        self.adopted("org/base", self.other.url)
        self.assertIsNone(current(self.project, "tuned", "full-3"))

    @embedded
    def test_so_with_the_embedded_one(self) -> None:
        self.tuned_here()
        calibrated(self.project, "tuned", "adapter-2")
        self.assertIsNotNone(current(self.project, "tuned", "adapter-2"))
        self.adopted(MODEL_NAME, "embedded")
        self.assertIsNone(current(self.project, "tuned", "adapter-2"))

    def confidence(self, external_id: str) -> float | None:
        first = Candidate.objects.filter(proposal__document__external_id=external_id, rank=1)
        return first.get().confidence


class WhatTheEmbeddedServerLoads(TunedTestCase):
    def listed(self) -> list[str]:
        rows = json.loads((Path(settings.VAR) / SERVED).read_text())
        assert all(Path(row["file"]).read_bytes().startswith(b"GGUF") for row in rows)
        return [row["name"] for row in rows]

    @embedded
    def test_the_adapters_that_are_in_use_or_tried(self) -> None:
        self.assertFalse(write_served(), "nothing to tell, and no file")
        first, second = self.tuned_here("first"), self.tuned_here("second")
        self.promoted(first)
        self.assertEqual(self.listed(), ["first"])
        self.now(try_beside, second, self.alice)
        self.assertEqual(self.listed(), ["first", "second"])
        self.assertFalse(write_served(), "that is known")
        self.promoted(second)
        self.assertEqual(self.listed(), ["second"])
        self.promoted(None)
        self.assertEqual(self.listed(), [])

    def test_none_that_is_served_elsewhere(self) -> None:
        self.promoted(self.tuned())
        self.assertFalse((Path(settings.VAR) / SERVED).exists())

    @embedded
    def test_no_name_that_is_taken(self) -> None:
        for name in (MODEL_NAME, BARE):
            with pytest.raises(NotPromoted, match="Another model is called"):
                self.promoted(self.tuned_here(name))


@contextmanager
def _known_for_long() -> Iterator[None]:
    """What a process knows of the rows is not looked at again meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(endpoint, "LOOK", 60.0)
        patch.setattr(served, "LOOK", 60.0)
        yield
