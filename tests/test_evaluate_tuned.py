"""`manage.py evaluate --tuned`: a tuned model measured, and beside what it was tuned from."""

from __future__ import annotations

import io
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import override_settings

from review.llm.local_server import ADAPTER, MODEL_NAME
from review.models import Evaluation, ServedModel, TrainingState

from .fake_model import Reply, tags
from .test_promote import RECIPE, TunedTestCase


class Tuned(TunedTestCase):
    def setUp(self) -> None:
        super().setUp()
        folder = Path(settings.VAR) / uuid.uuid4().hex
        folder.mkdir()
        self.file = folder / "labels.jsonl"
        rows = [
            {"id": str(number), "text": f"# {number}\n\nA web framework.", "best": ["framework"]}
            for number in range(4)
        ]
        self.file.write_text("\n".join(json.dumps(row) for row in rows))

    def evaluate(self, *args: Any) -> str:
        out = io.StringIO()
        call_command("evaluate", *map(str, args), stdout=out, stderr=io.StringIO())
        return out.getvalue()

    def test_it_is_asked_where_it_is_served_by_number_or_name(self) -> None:
        training = self.tuned()
        self.evaluate(self.file, "--tuned", training.pk)
        self.evaluate(self.file, "--tuned", "tuned")
        self.assertEqual({one["model"] for one in self.other.requests}, {"tuned"})
        self.assertEqual(self.model.requests, [])
        for run in Evaluation.objects.all():
            self.assertEqual((run.model, run.endpoint), ("tuned", self.other.url))
        training.refresh_from_db()
        self.assertIsNone(training.measured)

    def test_its_base_is_measured_on_the_same_documents_and_both_are_kept_with_it(self) -> None:
        training = self.tuned()
        for _ in range(4):
            self.other.say(Reply([tags("game"), tags("lib"), tags("cli")]))  # the base
        self.other.default = Reply([tags("framework"), tags("lib"), tags("cli")])
        told = self.evaluate(self.file, "--tuned", training.pk, "--base-too")
        training.refresh_from_db()
        base, tuned = training.measured_base, training.measured
        assert base is not None
        assert tuned is not None
        self.assertEqual((base.model, tuned.model), ("org/base", "tuned"))
        self.assertEqual(base.source_sha256, tuned.source_sha256)
        self.assertEqual((base.recipe, base.metrics["document_f1"]), (tuned.recipe, 0))
        self.assertIn(f"Against run {base}, on 4 documents", told)
        self.assertIn("4 better, 0 worse", told)
        asked = [one["model"] for one in self.other.requests]
        self.assertEqual(asked, ["org/base"] * 4 + ["tuned"] * 4)

    def test_without_a_file_it_is_measured_on_the_documents_of_its_project(self) -> None:
        training = self.tuned()
        with pytest.raises(CommandError, match="no document with a label"):
            self.evaluate("--tuned", training.pk)  # nothing was reviewed yet

    def test_what_cannot_be_measured_is_one_sentence(self) -> None:
        self.tuned("running", state=TrainingState.RUNNING)
        self.tuned("nowhere", base_url="")
        lost = self.tuned_here("lost")
        (Path(settings.VAR) / lost.folder / "adapter.gguf").unlink()
        for asked, sentence in [
            ("nobody", "There is no tuned model nobody."),
            ("running", "running is not trained: Training."),
            ("nowhere", "“nowhere” is served nowhere"),
            ("lost", "The adapter of lost cannot be read"),
        ]:
            with self.subTest(asked), pytest.raises(CommandError, match=sentence):
                self.evaluate(self.file, "--tuned", asked)
        for more in ([], ["--tuned", "bare"]):
            with pytest.raises(CommandError, match="Say --tuned with the number"):
                self.evaluate(self.file, "--base-too", *more)
        self.assertFalse(Evaluation.objects.exists())

    @override_settings(MODEL_DEADLINE=120)
    def test_the_embedded_server_is_started_with_its_adapter(self) -> None:
        """Also while another server is configured. The same adapter, so it answers the same."""
        training = self.tuned_here("own", ADAPTER.read_bytes())
        ServedModel.objects.create(
            base_url="embedded",
            model=MODEL_NAME,
            recipe=RECIPE,
        )
        self.evaluate(self.file, "--tuned", training.pk, "--base-too", "--limit", 1)
        training.refresh_from_db()
        base, tuned = training.measured_base, training.measured
        assert base is not None
        assert tuned is not None
        self.assertEqual((base.endpoint, base.model), ("embedded", MODEL_NAME))
        self.assertEqual((tuned.endpoint, tuned.model), ("embedded", "own"))
        self.assertEqual(tuned.recipe["plan"], "greedy-and-samples")
        firsts = [run.judged.get().candidates[0] for run in (base, tuned)]
        self.assertEqual(firsts[0], firsts[1])
        self.assertEqual((self.model.requests, self.other.requests), ([], []))
