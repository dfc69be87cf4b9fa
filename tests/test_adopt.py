"""A measured run is adopted: from then on its model is asked as in it."""

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

from review.llm.local_server import MODEL_NAME
from review.models import Evaluation, Project, Role, ServedModel
from review.pipeline import served
from review.pipeline.endpoint import ON_LOOPBACK, configured_endpoint
from review.pipeline.first_start import seed_tags
from review.pipeline.preview import active

from .base import HouseTestCase
from .fake_model import Reply, tags
from .test_evaluate import measured

RECIPE = {"prompt": "adapter-1", "plan": "greedy-and-samples", "shortlist": 12, "examples": 0}
WORDS = "prompt adapter-1, plan greedy-and-samples, the likeliest 12 tags, no examples"


class AdoptTestCase(HouseTestCase):
    def setUp(self) -> None:
        super().setUp()
        served.forget()

    def measured(self, **fields: Any) -> Evaluation:
        fields = {"endpoint": self.model.url, "model": "fake", "recipe": RECIPE, **fields}
        return measured(fields.pop("project", self.project), **fields)

    def worse(self) -> Evaluation:
        """A run like the others, but wrong about every document: clearly so, with 40 of them."""
        good, bad = self.measured(name="Good"), self.measured(name="Bad")
        for run, found in ((good, ["lib"]), (bad, ["game"])):
            run.judged.all().delete()
            run.judged.bulk_create(
                run.judged.model(
                    evaluation=run,
                    repeat=0,
                    place=place,
                    external_id=str(place),
                    best=["lib"],
                    candidates=[found],
                )
                for place in range(40)
            )
        self.evaluate("--adopt", good.pk)
        return bad

    def evaluate(self, *args: Any) -> str:
        out = io.StringIO()
        call_command("evaluate", *map(str, args), stdout=out, stderr=io.StringIO())
        return out.getvalue()

    def asked_at(self, temperature: float) -> None:
        """The next document is asked about by a request at this temperature first."""
        served.forget()  # else what was changed is seen a second later
        self.model.requests.clear()
        self.ready(uuid.uuid4().hex, f"# {uuid.uuid4()}")
        self.assertEqual(self.model.requests[0]["temperature"], temperature)

    def row(self) -> ServedModel:
        return ServedModel.objects.get(model="fake")


class TheCommand(AdoptTestCase):
    def test_the_model_is_asked_as_in_the_run_and_by_default_again(self) -> None:
        run = self.measured()
        self.asked_at(0.9)
        told = self.evaluate("--adopt", run.pk)
        self.assertIn(f"fake at {self.model.url} is asked as in run {run.pk}: {WORDS}.", told)
        self.assertEqual(self.row().adopted_from, run)
        self.assertIsNotNone(self.row().adopted_at)
        self.assertNotEqual(self.row().manners, {})  # what was known of it stays known
        self.asked_at(0)
        held = json.dumps(self.model.requests[0]["response_format"])
        offered = [tag["name"] for tag in seed_tags() if f'"{tag["name"]}"' in held]
        self.assertEqual(len(offered), 12)
        self.assertEqual(active(self.project), "adapter-1")
        self.evaluate("--adopt", "none", "--model", "fake")
        self.assertEqual((self.row().recipe, self.row().adopted_from), (None, None))
        self.asked_at(0.9)

    def test_what_a_worker_knows_of_the_row_is_a_second_old_at_most(self) -> None:
        self.ready("1")
        self.evaluate("--adopt", self.measured().pk)
        for known in served._known.values():
            known.looked_at -= served.LOOK
        self.assertEqual(served.take().recipe.prompt, "adapter-1")

    def test_a_model_that_was_never_asked_for_a_proposal_may_be_told_first(self) -> None:
        self.evaluate("--adopt", self.measured().pk)
        self.asked_at(0)
        self.assertEqual(ServedModel.objects.count(), 1)

    def test_only_the_model_that_was_measured_is_asked_so(self) -> None:
        self.evaluate("--adopt", self.measured(model="another").pk)
        self.evaluate("--adopt", self.measured(endpoint="https://elsewhere.example/v1").pk)
        self.asked_at(0.9)

    def test_the_prompt_that_the_project_has_chosen_goes_first(self) -> None:
        self.project.prompt = "full-3"
        self.project.save()
        self.evaluate("--adopt", self.measured().pk)
        document = self.ready()
        self.assertEqual(document.proposals.get().prompt_version, "full-3")
        self.assertEqual(self.model.requests[0]["temperature"], 0)  # the rest is the run's

    def test_evaluate_measures_what_was_adopted_unless_it_is_told_another_way(self) -> None:
        self.evaluate("--adopt", self.measured().pk)
        file = Path(settings.VAR) / f"{uuid.uuid4().hex}.jsonl"
        file.write_text(json.dumps({"text": "One", "best": ["lib"]}))
        self.evaluate(file, "--shortlist", 15)
        recipe = Evaluation.objects.latest("pk").recipe
        self.assertEqual(recipe, {**RECIPE, "shortlist": 15})
        self.evaluate(file, "--model", "another")
        self.assertEqual(Evaluation.objects.latest("pk").recipe["prompt"], "full-3")

    def test_a_run_that_was_clearly_better_is_not_given_up_by_accident(self) -> None:
        bad = self.worse()
        with pytest.raises(CommandError, match=r"clearly worse .* -1\.000 .* Say --anyway"):
            self.evaluate("--adopt", bad.pk)
        self.assertEqual(self.row().adopted_from, Evaluation.objects.get(name="Good"))
        self.evaluate("--adopt", bad.pk, "--anyway")
        self.assertEqual(self.row().adopted_from, bad)
        self.evaluate("--adopt", bad.pk)  # again: not worse than itself

    def test_one_that_may_be_as_good_is_adopted(self) -> None:
        first, second = self.measured(), self.measured(recipe={**RECIPE, "shortlist": 0})
        second.judged.filter(external_id="one").update(candidates=[["lib"]])
        self.evaluate("--adopt", first.pk)
        self.assertIn("all tags", self.evaluate("--adopt", second.pk))

    def test_what_cannot_be_adopted_is_refused_in_a_sentence(self) -> None:
        own = {"endpoint": ON_LOOPBACK, "model": MODEL_NAME}
        for problem, number in (
            ("asked no model", self.measured(model="", endpoint="", recipe={}).pk),
            ("does not have", self.measured(recipe={**RECIPE, "prompt": "gone-1"}).pk),
            ("does not have", self.measured(recipe={**RECIPE, "plan": "gone"}).pk),
            ("does not have", self.measured(recipe={**RECIPE, "another": 1}).pk),
            ("adapter was trained for it", self.measured(**own).pk),
            ("no run 999999", 999999),
            ("number of a run", "best"),
        ):
            with self.subTest(problem=problem), pytest.raises(CommandError, match=problem):
                self.evaluate("--adopt", number)
        self.assertFalse(ServedModel.objects.exists())

    def test_back_to_the_default_it_must_be_clear_which(self) -> None:
        with pytest.raises(CommandError, match="of which model"):
            self.evaluate("--adopt", "none")
        with pytest.raises(CommandError, match="No recipe was adopted"):
            self.evaluate("--adopt", "none", "--model", "fake")
        for place in (self.model.url, "https://elsewhere.example/v1"):
            self.evaluate("--adopt", self.measured(endpoint=place).pk)
        with pytest.raises(CommandError, match="Say which, with --base-url"):
            self.evaluate("--adopt", "none", "--model", "fake")
        self.evaluate("--adopt", "none", "--model", "fake", "--base-url", self.model.url)
        kept = ServedModel.objects.get(recipe__isnull=False)
        self.assertEqual(kept.base_url, "https://elsewhere.example/v1")

    def test_a_recipe_of_a_version_that_is_gone_is_passed_over(self) -> None:
        self.evaluate("--adopt", self.measured().pk)
        ServedModel.objects.update(recipe={**RECIPE, "prompt": "gone-1"})
        self.asked_at(0.9)

    def test_the_recipe_outlives_its_run(self) -> None:
        run = self.measured()
        self.evaluate("--adopt", run.pk)
        run.delete()
        self.assertIsNone(self.row().adopted_from)
        self.asked_at(0)

    @override_settings(OPENAI_BASE_URL="", OPENAI_API_KEY="")
    def test_the_embedded_model_is_the_same_at_each_address(self) -> None:
        file = Path(settings.VAR) / f"{uuid.uuid4().hex}.jsonl"
        file.write_text(json.dumps({"text": "One", "best": ["lib"]}))
        self.model.default = Reply([tags("lib")] * 3)
        with override_settings(TAGGER_EMBEDDED_URL=self.model.url):
            self.evaluate(file, "--plan", "greedy-and-samples")
        run = Evaluation.objects.get()
        self.assertEqual((run.endpoint, run.model), (ON_LOOPBACK, MODEL_NAME))
        self.evaluate("--adopt", run.pk)
        with override_settings(TAGGER_EMBEDDED_URL="http://127.0.0.1:9/v1"):
            self.assertEqual(configured_endpoint().recipe.plan, "greedy-and-samples")
            self.assertEqual(served.take().recipe.plan, "greedy-and-samples")


class ThePages(AdoptTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.client.force_login(self.member("olga", Role.OWNER))

    def words(self, path: str, client: Client | None = None) -> str:
        html = (client or self.client).get(path).content.decode()
        return " ".join(re.sub(r"<[^>]*>", " ", html).split())

    def test_an_owner_adopts_a_run_and_goes_back(self) -> None:
        run = self.measured(name="Well done")
        words = self.words(f"/quality/{run.pk}")
        self.assertIn("fake is asked by: prompt full-3, plan samples, all tags", words)
        self.assertIn(f"After this, by: {WORDS}. For all projects", words)
        answer = self.client.post(f"/quality/{run.pk}/adopt")
        self.assertRedirects(answer, f"/quality/{run.pk}#adopt", fetch_redirect_response=False)
        words = self.words(f"/quality/{run.pk}")
        self.assertIn(f"it is asked as in this run: {WORDS}", words)
        self.assertNotIn("Ask it as in this run", words)
        self.asked_at(0)
        words = self.words("/models")
        self.assertIn(WORDS, words)
        self.assertIn(f"from run {run.pk}, Well done", words)
        self.client.post(f"/models/{self.row().pk}/default")
        words = self.words("/models")
        self.assertIn("fake is asked as by default.", words)
        self.assertIn("no measured run was adopted", words)
        self.assertNotIn("Back to the default", words)
        self.asked_at(0.9)

    def test_a_clearly_worse_run_is_asked_for_twice(self) -> None:
        bad = self.worse()
        page = self.client.post(f"/quality/{bad.pk}/adopt", follow=True).content.decode()
        self.assertIn("is clearly worse than run", page)
        self.assertIn("Ask it as in this run all the same", page)
        self.assertIn('name="anyway" value="1"', page)
        self.assertNotEqual(self.row().adopted_from, bad)
        self.client.post(f"/quality/{bad.pk}/adopt", {"anyway": "1"})
        self.assertEqual(self.row().adopted_from, bad)

    def test_what_cannot_be_adopted_has_no_button_and_says_why(self) -> None:
        run = self.measured(endpoint=ON_LOOPBACK, model=MODEL_NAME)
        words = self.words(f"/quality/{run.pk}")
        self.assertIn("its adapter was trained for it", words)
        self.assertNotIn("Ask it as in this run", words)
        page = self.client.post(f"/quality/{run.pk}/adopt", follow=True).content.decode()
        self.assertIn('role="alert">The embedded model', page)
        self.assertFalse(ServedModel.objects.exists())
        names = measured(self.project, baseline="names")
        self.assertNotIn("How its model is asked", self.words(f"/quality/{names.pk}"))

    def test_curators_see_no_button(self) -> None:
        run = self.measured()
        client = Client()
        client.force_login(self.member("carol", Role.CURATOR))
        self.assertNotIn("How its model is asked", self.words(f"/quality/{run.pk}", client))

    def test_the_models_page_names_no_run_of_another_project(self) -> None:
        run = self.measured(project=Project.objects.create(name="Another"), name="Secret")
        self.evaluate("--adopt", run.pk)
        words = self.words("/models")
        self.assertIn(f"from run {run.pk} of another project", words)
        self.assertNotIn("Secret", words)

    def test_the_models_page_says_what_the_project_has_chosen(self) -> None:
        self.project.prompt = "full-3"
        self.project.save()
        self.assertIn("This project has chosen the prompt full-3.", self.words("/models"))
