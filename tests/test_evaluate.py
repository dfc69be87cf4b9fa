"""`manage.py evaluate`, through the command, with a model server that is a fake; and the pages."""

from __future__ import annotations

import io
import json
import re
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import Client, override_settings
from django.utils import timezone

from review.models import (
    Decision,
    DecisionKind,
    Document,
    DocumentState,
    EvaluatedDocument,
    Evaluation,
    Project,
    Role,
    Standing,
)
from review.pipeline.evaluate import Outcome, Prices, keep
from review.pipeline.exam import Exam, side_of
from review.pipeline.intake import take_in
from review.pipeline.propose import propose
from review.readers import Incoming
from review.readers.labelled import Labelled

from .base import HouseTestCase
from .fake_model import Reply, tags

TITLE = '<script>alert("1")</script>'


def measured(project: Project | None, labels: str = "lib", **fields: Any) -> Evaluation:
    """A kept run over three documents: one right, one acceptable, one without an answer."""
    documents = [
        Labelled("one", TITLE, "…", (labels, "cli"), ("sdk",)),
        Labelled("two", "Two", "…", ("http",), ("api",)),
        Labelled("three", "Three", "…", ("game",)),
    ]
    outcomes = [
        Outcome([("lib", "cli"), ("lib", "sdk"), ("game",)], 100, 60, 10, 1.5),
        Outcome([("api",), ("lib", "game")], 100, 60, 10, 2.5, invented=2, asked_again=1),
        Outcome(error="The model declined this document.", parse_failures=3),
    ]
    fields = {"name": "A run", "seed": 0, "started_at": timezone.now(), **fields}
    run = Evaluation(project=project, **fields)
    vocabulary = [{"id": 1, "name": name} for name in ("lib", "cli", "sdk", "http", "api", "game")]
    exam = Exam(documents, vocabulary, "labels.jsonl")
    return keep(run, exam, [outcomes], Prices(1.0, 0.5, 2.0))


class TheCommand(HouseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(settings.VAR) / uuid.uuid4().hex
        self.folder.mkdir()
        self.file = self.write(
            {"id": "1", "text": "# One\n\nA lib.", "best": ["lib", "cli"], "acceptable": ["http"]},
            {"id": "2", "text": "# Two\n\nA framework.", "best": [" Framework "]},
        )

    def write(self, *rows: dict[str, Any], name: str = "labels.jsonl") -> Path:
        file = self.folder / name
        file.write_text("\n".join(json.dumps(row) for row in rows))
        return file

    def evaluate(self, *args: Any, **options: Any) -> str:
        out, self.err = io.StringIO(), io.StringIO()
        call_command("evaluate", *map(str, args), stdout=out, stderr=self.err, **options)
        return out.getvalue()

    def told(self, *args: Any, **options: Any) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.evaluate(*args, "--json", **options))
        return found

    def test_it_asks_as_propose_does_measures_and_keeps(self) -> None:
        told = self.told(self.file)
        run = Evaluation.objects.get()
        # The fake's three: lib, cli | lib, http | framework.
        self.assertEqual(told["run"], run.pk)
        self.assertEqual(told["metrics"], run.metrics)
        self.assertEqual(run.metrics["document_f1"], 0.5)
        self.assertEqual(run.metrics["best_of_three_f1"], 1)
        self.assertEqual(run.metrics["pickable"], 1)
        self.assertEqual(run.metrics["tokens_in"], 100)
        self.assertEqual(run.metrics["tokens_cached"], 60)
        self.assertEqual(run.metrics["coverage"], 2 / 90)
        self.assertEqual((run.model, run.endpoint), ("fake", self.model.url))
        self.assertEqual(run.recipe["prompt"], "full-3")
        self.assertEqual((run.source, run.documents, run.repeats), ("labels.jsonl", 2, 1))
        self.assertIsNone(run.project)
        judged = run.judged.get(external_id="2")
        self.assertEqual((judged.title, judged.best), ("Two", ["framework"]))
        self.assertEqual(judged.candidates, [["lib", "cli"], ["lib", "http"], ["framework"]])
        self.assertIn("2/2", self.err.getvalue())
        take_in(self.project, [Incoming("1", "# One\n\nA lib.", title="One")])
        document = Document.objects.get(project=self.project, external_id="1")
        propose(document.pk)
        proposed = document.proposals.get().messages[1]["content"]
        self.assertEqual(self.model.requests[0]["messages"][1]["content"], proposed)

    def test_how_it_is_asked_can_be_chosen(self) -> None:
        recipe = ("--prompt", "adapter-1", "--plan", "greedy-and-samples", "--shortlist", 0)
        self.evaluate(self.file, "--model", "another", "--limit", 1, *recipe)
        self.assertEqual(self.model.requests[0]["model"], "another")
        self.assertEqual(self.model.requests[0]["temperature"], 0)
        run = Evaluation.objects.get()
        self.assertEqual((run.documents, run.model), (1, "another"))
        self.assertEqual(run.recipe["plan"], "greedy-and-samples")
        self.assertIn("adapter-1", run.name)

    def test_the_seeds_prompt_is_sent_word_for_word(self) -> None:
        answer = '{"id": "5201", "tags": [{"id": 33, "name": "lib"}]}'
        self.model.default = Reply([answer] * 3)
        run = self.told(self.file, "--baseline", "seed-prompt", "--limit", 1)
        messages = self.model.requests[0]["messages"]
        self.assertEqual([message["role"] for message in messages], ["user"])
        said = messages[0]["content"]
        self.assertTrue(said.startswith("base on One\n# One\n\nA lib.\n"))
        self.assertIn(
            '", Assign "at most 3 tags" to the expected json: {"id":"5201","tags":[]} "only from '
            'the tags list I provide: [{"id":77,"name":"3d"},{"id":89,"name":"agent"},',
            said,
        )
        self.assertTrue(said.endswith('{"id":87,"name":"yaml"}]" returns me the "expected json"'))
        self.assertEqual(EvaluatedDocument.objects.get().candidates, [["lib"]])
        self.assertEqual(run["name"], "fake, seed-1, samples")

    @override_settings(OPENAI_BASE_URL="", OPENAI_API_KEY="")
    def test_the_embedded_model_is_asked_with_less_of_the_document(self) -> None:
        long = self.write({"text": "A word. " * 3000, "best": ["lib"]})
        with override_settings(TAGGER_EMBEDDED_URL=self.model.url):
            self.evaluate(long, "--baseline", "seed-prompt")
        self.assertEqual(Evaluation.objects.get().recipe["prompt"], "seed-1-short")
        self.assertLess(len(self.model.requests[0]["messages"][0]["content"]), 9000)

    def test_passes_are_averaged_and_kept_apart(self) -> None:
        right, wrong = Reply([tags("framework")] * 3), Reply([tags("lib")] * 3)
        self.file = self.write({"id": "2", "text": "Two", "best": ["framework"]})
        self.model.say(right, right, right, wrong, wrong, wrong)  # one set: asked again twice
        told = self.told(self.file, "--repeat", 2)
        self.assertEqual(told["metrics"]["document_f1"], 0.5)
        self.assertEqual(told["metrics"]["asked_again"], 2)
        kept = EvaluatedDocument.objects.values_list("repeat", "candidates")
        self.assertEqual(list(kept), [(0, [["framework"]]), (1, [["lib"]])])

    def test_several_documents_at_a_time(self) -> None:
        rows = [{"id": str(n), "text": f"Text {n}", "best": ["lib"]} for n in range(12)]
        self.evaluate(self.write(*rows), "--parallel", 4)
        ids = EvaluatedDocument.objects.values_list("external_id", flat=True)
        self.assertEqual(list(ids), [str(n) for n in range(12)])
        self.assertEqual(len(self.model.requests), 12)

    def test_junk_counts_as_no_answer_after_three_tries_as_when_proposing(self) -> None:
        junk = Reply(["no idea"] * 3)
        self.model.say(*[junk] * 6)
        told = self.told(self.file, "--limit", 1)["metrics"]
        self.assertEqual(told["failed"], 1)
        self.assertEqual(told["parse_failures"], 3 * (3 + 2))
        self.assertEqual(told["document_f1"], 0)
        self.assertIn("no usable answer", EvaluatedDocument.objects.get().error)

    def test_a_second_try_may_do_and_both_are_paid_for(self) -> None:
        junk = Reply(["no idea"] * 3)
        self.model.say(junk, junk)
        told = self.told(self.file, "--limit", 1)["metrics"]
        self.assertEqual((told["failed"], told["tokens_in"]), (0, 300))

    def test_invented_tags_are_counted(self) -> None:
        self.model.default = Reply([tags("pwned", "lib"), tags("cli"), tags("http")])
        told = self.told(self.file)["metrics"]
        self.assertEqual((told["invented"], told["parse_failures"]), (2, 0))

    def test_a_refusal_is_a_document_without_an_answer(self) -> None:
        self.model.say(Reply(refusal="I would rather not."))
        told = self.told(self.file)["metrics"]
        self.assertEqual(told["failed"], 1)
        self.assertIn("rather not", EvaluatedDocument.objects.get(external_id="1").error)

    def test_a_server_in_trouble_ends_the_run_and_keeps_nothing(self) -> None:
        self.model.default = Reply(status=401)
        with pytest.raises(CommandError, match="refused the key"):
            self.evaluate(self.file)
        self.assertFalse(Evaluation.objects.exists())

    def test_what_it_costs(self) -> None:
        prices = ("--cost-in", 2, "--cost-cached", 0.5, "--cost-out", 10)
        told = self.told(self.file, *prices)["metrics"]
        self.assertAlmostEqual(told["cost"], (40 * 2 + 60 * 0.5 + 10 * 10) / 1e6)

    def test_two_runs_are_compared(self) -> None:
        self.model.default = Reply([tags("game"), tags("3d"), tags("ai")])
        before = self.told(self.file)["run"]
        self.model.default = Reply([tags("lib", "cli"), tags("lib"), tags("cli")])
        text = self.evaluate(self.file, "--against", before)
        self.assertIn(f"Against run {before}: fake, full-3, samples, on 2 documents", text)
        self.assertRegex(text, r"F1 of the first +0\.000 +0\.500 +\+0\.500 +\+0\.000 to \+1\.000")
        self.assertIn("1 better, 0 worse", text)
        run = Evaluation.objects.latest("pk")
        asked = len(self.model.requests)
        self.assertEqual(self.evaluate("--show", run.pk, "--against", before), text)
        self.assertEqual(len(self.model.requests), asked)
        told = self.told("--show", run.pk, "--against", before)
        self.assertEqual(told["against"][0]["second"], 0.5)

    def test_runs_over_other_labels_are_not_compared(self) -> None:
        before = self.told(self.file, "--baseline", "names")["run"]
        other = self.write({"id": "1", "text": "One", "best": ["game"]})
        self.evaluate(other, "--baseline", "names", "--against", before)
        self.assertIn("none of these documents", self.err.getvalue())
        with pytest.raises(CommandError, match="no run 999999"):
            self.evaluate(self.file, "--against", 999999)

    def test_names_counted(self) -> None:
        told = self.told(self.file, "--baseline", "names")
        self.assertEqual(self.model.requests, [])
        self.assertEqual(EvaluatedDocument.objects.get(external_id="2").candidates, [["framework"]])
        self.assertEqual((told["name"], told["metrics"]["hit"]), ("names", 1))

    def test_tfidf_learns_from_a_file_but_from_no_text_that_it_is_asked(self) -> None:
        words = {"game": "player sprite level", "http": "request header proxy"}
        rows = [
            {"id": f"{tag}{n}", "text": f"{text} {n}", "best": [tag]}
            for n in range(6)
            for tag, text in words.items()
        ]
        told = self.told(self.write(*rows), "--baseline", "tfidf")
        self.assertEqual(told["metrics"]["precision_at_1"], 1)
        train = self.write(*rows, name="train.jsonl")
        asked = self.write({"text": "a sprite", "best": ["http"]}, {"text": "9", "best": ["cli"]})
        self.evaluate(asked, "--baseline", "tfidf", "--train", train)
        run = Evaluation.objects.latest("pk")
        self.assertEqual(run.training, "train.jsonl")
        self.assertEqual(run.judged.all()[0].candidates[0][0], "game")
        with pytest.raises(CommandError, match="no other labelled documents"):
            self.evaluate(asked, "--baseline", "tfidf", "--train", asked)

    def test_another_tag_list(self) -> None:
        file = self.folder / "tags.json"
        renamed = {
            "id": 33,
            "name": "library",
            "synonyms": ["lib"],
            "description": "Code for code.",
        }
        file.write_text(json.dumps([renamed, {"id": 4, "name": "cli "}]))
        self.model.default = Reply([tags("library"), tags("cli"), tags("library", "cli")])
        told = self.told(self.file, "--tags", file)
        self.assertEqual(told["metrics"]["document_f1"], 2 / 3)
        run = Evaluation.objects.get()
        self.assertEqual(run.judged.get().best, ["library", "cli"])
        self.assertEqual(run.vocabulary, ["cli", "library"])
        self.assertIn("Code for code.", self.model.requests[0]["messages"][0]["content"])
        self.assertIn("not in the tag list: http (1), Framework (1)", self.err.getvalue())
        self.assertIn("1 documents without a best tag", self.err.getvalue())

    def test_a_file_that_is_no_labelled_file(self) -> None:
        for line, problem in (
            ("{", "not|Expecting"),
            ("[]", "not a JSON object"),
            ('{"best": ["lib"]}', "“text” is missing"),
            ('{"text": "One"}', "“best” has no tags"),
            ('{"text": "One", "best": "lib"}', "not a list"),
            ('{"text": "One", "best": ["nothing of ours"]}', "no document"),
            ('{"id": 1, "text": "A", "best": ["lib"]}\n' * 2, "Line 2: The id “1”"),
            ("", "no document"),
        ):
            with self.subTest(line=line):
                self.file.write_text(line)
                with pytest.raises(CommandError, match=problem):
                    self.evaluate(self.file)
        with pytest.raises(CommandError, match="cannot be measured"):
            self.evaluate(self.folder / "none.jsonl")
        with pytest.raises(CommandError, match="Say what to measure"):
            self.evaluate()
        with pytest.raises(CommandError, match="no project of this name"):
            self.evaluate("--project", "Nowhere")

    def reviewed(self, number: int, rank: int) -> Document:
        """A document of the project, whose candidate of this rank alice picked."""
        document = self.ready(str(number), f"# Text {number}")
        proposal = document.proposals.get()
        decision = Decision.objects.create(
            document=document,
            reviewer=self.alice,
            kind=DecisionKind.PICK,
            proposal=proposal,
            candidate=proposal.candidates.get(rank=rank),
            milliseconds=1,
            key=uuid.uuid4(),
        )
        Standing.objects.create(document=document, reviewer=self.alice, decision=decision)
        Document.objects.filter(pk=document.pk).update(state=DocumentState.REVIEWED, reviews=1)
        return document

    def test_a_projects_decisions_are_labels_split_by_their_texts(self) -> None:
        documents = [self.reviewed(number, 1 + number % 3) for number in range(20)]
        self.ready("open")
        tests = [one.external_id for one in documents if side_of(one.sha256) == "test"]
        self.assertTrue(0 < len(tests) < len(documents))
        self.evaluate("--project", self.project.name, "--baseline", "names")
        run = Evaluation.objects.get()
        self.assertEqual((run.project, run.source), (self.project, "READMEs: test"))
        self.assertEqual([one.external_id for one in run.judged.all()], tests)
        first = run.judged.all()[0]
        self.assertEqual(
            first.best, [["lib", "cli"], ["lib", "http"], ["framework"]][int(tests[0]) % 3]
        )
        self.evaluate("--project", self.project.name, "--split", "train", "--baseline", "names")
        train = Evaluation.objects.latest("pk").judged.values_list("external_id", flat=True)
        self.assertEqual(sorted([*train, *tests]), sorted(one.external_id for one in documents))
        # What it learns from are the others.
        self.evaluate("--project", self.project.name, "--baseline", "tfidf")
        self.assertEqual(Evaluation.objects.latest("pk").training, "READMEs: train")

    def test_a_file_may_be_measured_with_a_projects_tags(self) -> None:
        self.project.guidelines = "Prefer what it is."
        self.project.save()
        self.project.tags.filter(name="cli").update(description="Run in a terminal.")
        self.evaluate(self.file, "--project", self.project.name)
        system = self.model.requests[0]["messages"][0]["content"]
        self.assertIn("Prefer what it is.", system)
        self.assertIn("Run in a terminal.", system)
        self.assertEqual(Evaluation.objects.get().project, self.project)


class ThePages(HouseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.carol = self.member("carol", Role.CURATOR)
        self.client.force_login(self.carol)

    def html(self, path: str) -> str:
        answer = self.client.get(path)
        self.assertEqual(answer.status_code, 200)
        return answer.content.decode()

    def words(self, path: str) -> str:
        return " ".join(re.sub(r"<[^>]*>", " ", self.html(path)).split())

    def test_without_runs_the_page_says_so(self) -> None:
        self.assertIn("Nothing has been measured yet", self.html("/quality"))

    def test_the_runs_are_listed_the_latest_first(self) -> None:
        measured(self.project, name="The first")
        measured(None, name="The second")
        words = self.words("/quality")
        self.assertLess(words.index("The second"), words.index("The first"))
        self.assertIn("3 documents of labels.jsonl", words)
        self.assertIn("0.33", words)  # F1 of the first
        self.assertIn("67 %", words)  # pickable

    def test_a_run_of_another_project_is_not_there(self) -> None:
        other = Project.objects.create(name="Another")
        run = measured(other, name="Theirs")
        self.assertNotIn("Theirs", self.html("/quality"))
        self.assertEqual(self.client.get(f"/quality/{run.pk}").status_code, 404)
        ours = measured(self.project)
        against = self.client.get(f"/quality/{ours.pk}?against={run.pk}")
        self.assertEqual(against.status_code, 404)

    def test_a_run_shows_each_document_with_its_tags_marked_in_words(self) -> None:
        run = measured(self.project)
        html, words = self.html(f"/quality/{run.pk}"), self.words(f"/quality/{run.pk}")
        self.assertNotIn(TITLE, html)
        self.assertIn("&lt;script&gt;", html)
        self.assertIn("✓ lib (right) ✓ cli (right)", words)
        self.assertIn("✓ lib (right) ○ sdk (acceptable)", words)
        self.assertIn("✗ game (wrong)", words)
        self.assertIn("The model declined this document.", words)
        self.assertIn("Parse failures 3.0", words)
        self.assertIn("game 1 0 — 0.00", words)  # support, given, precision, recall
        missed = self.words(f"/quality/{run.pk}?missed=1")
        self.assertIn("Three", missed)
        self.assertNotIn("Two Best", missed)

    def test_two_runs_are_compared(self) -> None:
        before = measured(self.project, name="Before")
        now = measured(self.project, name="Now")
        judged = now.judged.get(external_id="two")
        judged.candidates = [["http"]]
        judged.save()
        self.assertIn("Before", self.html(f"/quality/{now.pk}"))
        words = self.words(f"/quality/{now.pk}?against={before.pk}")
        self.assertIn(f"Against run {before.pk}: Before", words)
        self.assertIn("Over the 3 documents that both have", words)
        self.assertIn("Got better 1 Two", words)
        self.assertIn("F1 0.00 → 1.00", words)
        self.assertNotIn("Got worse", words)
        self.assertRegex(words, r"F1 of the first 0\.333 0\.667 \+0\.333 0\.000 … \+1\.000 —")
        self.assertEqual(self.client.get(f"/quality/{now.pk}?against=junk").status_code, 200)
        self.assertEqual(self.client.get(f"/quality/{now.pk}?against=999999").status_code, 404)

    def test_runs_with_other_labels_have_nothing_to_compare(self) -> None:
        before = measured(self.project, "game")
        before.judged.filter(best__isnull=False).update(external_id="elsewhere")
        now = measured(self.project)
        words = self.words(f"/quality/{now.pk}?against={before.pk}")
        self.assertIn("no document in common", words)

    def test_the_menu_leads_there_for_curators_alone(self) -> None:
        self.assertIn('href="/quality"', self.html("/"))
        client = Client()
        client.force_login(self.alice)
        self.assertNotIn('href="/quality"', client.get("/").content.decode())

    def test_a_page_reads_no_more_queries_with_more_documents(self) -> None:
        few = measured(self.project)
        many = measured(self.project)
        EvaluatedDocument.objects.bulk_create(
            EvaluatedDocument(
                evaluation=many, repeat=0, place=place, external_id=str(place), best=["lib"]
            )
            for place in range(3, 60)
        )
        with self.assertNumQueries(8):
            self.client.get(f"/quality/{few.pk}")
        with self.assertNumQueries(8):
            self.client.get(f"/quality/{many.pk}")
        self.assertIn("Page 1 of 3", self.words(f"/quality/{many.pk}"))
