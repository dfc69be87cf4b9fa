"""How good the proposals are, against labelled documents: docs/quality.md."""

from __future__ import annotations

import json
import random
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db.models import Q
from django.utils import timezone

from review.insight.runs import compared
from review.insight.told import difference_lines, recipe_line, run_lines
from review.llm import local_server
from review.llm.client import Endpoint
from review.llm.errors import Unavailable
from review.llm.prompt import VERSIONS, WITH_EXAMPLES
from review.llm.recipe import CONFIGURED
from review.llm.sampling import PLANS
from review.models import Evaluation, Project, ServedModel, Training
from review.models.training import EMBEDDED_BASE, TrainingState
from review.pipeline import evaluate
from review.pipeline.adopt import ClearlyWorse, NotAdopted, adopt
from review.pipeline.endpoint import (
    NoModel,
    as_adopted,
    configured_endpoint,
    embedded_endpoint,
    is_configured,
    key_of,
    of_training,
)
from review.pipeline.evaluate import Outcome, Prices
from review.pipeline.exam import Exam, fitted, labelled, reviewed, tag_list
from review.pipeline.promote import NotPromoted, check_adapter
from review.pipeline.promote import adapter as adapter_of
from review.pipeline.propose import asked_as
from review.readers import Refused
from review.readers.labelled import Labelled


class Command(BaseCommand):
    help = (
        "Measure proposals against labelled documents: JSON lines with text, best and, if you "
        "like, acceptable, id and title. Prints the measures, keeps them for the page Quality, "
        "and compares them with an earlier run. See docs/quality.md."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("file", type=Path, nargs="?", help="Else a project's reviewed documents, by --project.")
        add("--project", help="Its tags and guidelines; its curators see the run.")
        add("--split", choices=["test", "train", "all"], default="test", help="Without a file.")
        add(
            "--tags",
            type=Path,
            metavar="FILE",
            help="A tag list; else the project's or the seed's.",
        )
        add("--limit", type=int, metavar="N", help="Only the first N documents.")
        add("--baseline", choices=["names", "tfidf", "seed-prompt"])
        add(
            "--train",
            type=Path,
            metavar="FILE",
            help="What tfidf learns from; else cross-validated.",
        )
        add("--model", help="Its name at the server.")
        add("--base-url", help="The server's address, with its /v1.")
        add("--adapter", metavar="FILE", help="For the embedded model; “none” for the bare one.")
        add(
            "--tuned",
            metavar="ID",
            help="A tuned model, by its number or name; “shipped” for the embedded model as it "
            "comes, “bare” for it without an adapter. Without a file: on the documents of the "
            "project that it was trained for.",
        )
        add(
            "--base-too",
            action="store_true",
            help="Measure what it was tuned from as well, compare, and keep both with it.",
        )
        add("--prompt", choices=sorted(VERSIONS))
        add("--plan", choices=sorted(PLANS))
        add("--shortlist", type=int, metavar="N", help="Tags that the model is offered; 0 for all.")
        add("--examples", type=int, metavar="N", help="Similar documents that it is shown.")
        add(
            "--examples-from",
            type=Path,
            metavar="FILE",
            help="Labelled documents, as if people had picked their best tags: examples for the "
            "others. Without a file to measure with: the project's reviewed documents.",
        )
        add(
            "--picks",
            type=numbers,
            metavar="N,N,…",
            help="The learning curve: a run after each of so many picks, e.g. 0,25,50,100.",
        )
        add("--parallel", type=int, default=1, metavar="N", help="Documents at a time.")
        add("--repeat", type=int, default=1, metavar="N", help="Passes, to average the seeds.")
        add("--seed", type=int, default=0, help="Of the baselines' folds.")
        add("--name", help="What the tables call this run.")
        add("--against", type=int, metavar="RUN", help="Compare with this earlier run.")
        add("--show", type=int, metavar="RUN", help="An earlier run again; measures nothing.")
        for what in ("in", "cached", "out"):
            add(f"--cost-{what}", type=float, metavar="PRICE", help="Of a million tokens.")
        add("--json", action="store_true", help="Print JSON.")
        add(
            "--adopt",
            metavar="RUN",
            help="From now on ask the run's model as in that run; measures nothing. “none”, with "
            "--model: as by default.",
        )
        add("--anyway", action="store_true", help="Adopt a run that is clearly worse.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["adopt"]:
            self.adopt(options)
            return
        against = self.run_of(options["against"])
        try:
            if options["picks"] and not options["show"]:
                self.curve(options)
                return
            if options["base_too"]:
                against, run = self.beside_its_base(options)
            else:
                run = self.run_of(options["show"]) or self.measure(options)
        except (NoModel, local_server.MissingWheel, Unavailable, Refused) as error:
            raise CommandError(str(error)) from error
        except (OSError, RuntimeError) as error:
            raise CommandError(f"This cannot be measured: {error}") from error
        difference = compared(against, run) if against else None
        if against and difference is None:
            self.stderr.write(f"Run {against.pk} has none of these documents with these labels.")
        if options["json"]:
            told = {"run": run.pk, "name": run.name, "metrics": run.metrics}
            if difference:
                told["against"] = [asdict(one) for one in difference.differences]
            self.stdout.write(json.dumps(told, ensure_ascii=False, indent=1))
            return
        self.stdout.write("\n".join(run_lines(run)))
        if against and difference:
            out = f"; {difference.left_out} are not in both" if difference.left_out else ""
            self.stdout.write(f"\nAgainst run {against}, on {difference.documents} documents{out}:")
            self.stdout.write("\n".join(difference_lines(difference.differences)))
            moved = f"{len(difference.better)} better, {len(difference.worse)} worse"
            self.stdout.write(f"F1 of the first, by document: {moved}. * excludes 0.")

    def run_of(self, number: int | None) -> Evaluation | None:
        if number is None:
            return None
        run = Evaluation.objects.filter(pk=number).first()
        if run is None:
            raise CommandError(f"There is no run {number}.")
        return run

    def adopt(self, options: dict[str, Any]) -> None:
        if options["adopt"] == "none":
            self.to_default(options)
            return
        try:
            run = self.run_of(int(options["adopt"]))
        except ValueError as error:
            raise CommandError("Say --adopt with the number of a run, or “none”.") from error
        assert run is not None  # noqa: S101 -- for mypy
        try:
            row = adopt(run, anyway=options["anyway"])
        except ClearlyWorse as error:
            raise CommandError(f"{error} Say --anyway to adopt it all the same.") from error
        except NotAdopted as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{row} is asked as in run {run.pk}: {recipe_line(run.recipe)}.")
        self.stdout.write("A project that has chosen a prompt keeps to that.")

    def to_default(self, options: dict[str, Any]) -> None:
        if not options["model"]:
            raise CommandError("Say of which model: --model NAME.")
        rows = ServedModel.objects.filter(model=options["model"], recipe__isnull=False)
        if options["base_url"]:
            rows = rows.filter(base_url=options["base_url"])
        found = list(rows)
        if not found:
            raise CommandError("No recipe was adopted for this model.")
        if len(found) > 1:
            places = ", ".join(row.base_url for row in found)
            raise CommandError(f"It is at {places}. Say which, with --base-url.")
        rows.to_default()
        self.stdout.write(f"{found[0]} is asked as by default.")

    def curve(self, options: dict[str, Any]) -> None:
        """A run after each number of picks; each beside the first of them."""
        runs = [(count, self.measure(options, count)) for count in options["picks"]]
        if options["json"]:
            rows = [{"picks": count, "run": run.pk, **run.metrics} for count, run in runs]
            self.stdout.write(json.dumps(rows, ensure_ascii=False, indent=1))
            return
        self.stdout.write("picks   run  F1 first  F1 of three  pickable  tokens in  difference")
        for count, run in runs:
            found = compared(runs[0][1], run) if run != runs[0][1] else None
            f1 = [one for one in found.differences if one.name == "document_f1"] if found else []
            told = "".join(f"{one.value:+.3f} ({one.low:+.3f} … {one.high:+.3f})" for one in f1)
            first, three, pickable, tokens = (
                run.metrics[name]
                for name in ("document_f1", "best_of_three_f1", "pickable", "tokens_in")
            )
            line = f"{count:5} {run.pk:5} {first:9.3f} {three:12.3f} {pickable:9.3f} {tokens:10.0f}"
            self.stdout.write(f"{line}  {told}".rstrip())

    def beside_its_base(self, options: dict[str, Any]) -> tuple[Evaluation, Evaluation]:
        """The runs of a tuned model's base and of itself, which are kept with it."""
        training = training_of(options)
        if training is None:
            raise CommandError("Say --tuned with the number or name of a tuned model.")
        base = self.measure({**options, "as_base": True, "name": None})
        tuned = self.measure(options)
        Training.objects.filter(pk=training.pk).update(measured_base=base, measured=tuned)
        return base, tuned

    def measure(self, options: dict[str, Any], count: int | None = None) -> Evaluation:
        """count: how many picks there are; None for all."""
        project = project_named(options["project"])
        if project is None and options["file"] is None and (tuned := training_of(options)):
            project = tuned.release.project
        exam = self.exam(project, options)
        baseline = options["baseline"] or ""
        asked = Evaluation(
            project=project, baseline=baseline, seed=options["seed"], started_at=timezone.now()
        )
        asked.name = options["name"] or baseline
        if baseline == "names":
            passes = [evaluate.by_names(exam)]
        elif baseline == "tfidf":
            training, asked.training = self.training(project, exam, options)
            passes = [
                evaluate.by_tfidf(exam, training, options["seed"] + place)
                for place in range(options["repeat"])
            ]
        else:
            with the_endpoint(options) as endpoint:
                if project and options["prompt"] is None:
                    endpoint = asked_as(endpoint, project)
                recipe = endpoint.recipe
                picks, asked.training = self.picks(project, exam, options, count)
                if picks and recipe.prompt not in WITH_EXAMPLES:
                    self.stderr.write(f"The prompt {recipe.prompt} shows no examples.")
                asked.endpoint, asked.model = key_of(endpoint)
                asked.recipe = asdict(recipe)
                asked.name = options["name"] or f"{endpoint.model}, {recipe.prompt}, {recipe.plan}"
                passes = [
                    evaluate.ask(endpoint, exam, options["parallel"], self.progress(place), picks)
                    for place in range(options["repeat"])
                ]
        prices = [options[f"cost_{what}"] for what in ("in", "cached", "out")]
        prices[1] = prices[0] if prices[1] is None else prices[1]
        return evaluate.keep(asked, exam, passes, Prices(*(price or 0 for price in prices)))

    def exam(self, project: Project | None, options: dict[str, Any]) -> Exam:
        file: Path | None = options["file"]
        tags = tag_list(options["tags"], project)
        if file:
            documents, source = labelled(file), file.name
        elif project:
            documents = reviewed(project, options["split"])
            source = f"{project}: {options['split']}"
        else:
            raise CommandError("Say what to measure with: a labelled file, or --project NAME.")
        known = self.known(documents, tags)[: options["limit"]]
        if not known:
            raise CommandError("There is no document with a label of the tag list.")
        if project is None:
            return Exam(known, tags, source)
        return Exam(known, tags, source, project.guidelines, project.max_tags)

    def picks(
        self, project: Project | None, exam: Exam, options: dict[str, Any], count: int | None
    ) -> tuple[list[Labelled], str]:
        """What stands for the picks of people, and its name. Fewer are a part of more."""
        file: Path | None = options["examples_from"]
        if file:
            found, source = labelled(file), file.name
        elif project and not options["file"] and options["split"] == "test":
            found, source = reviewed(project, "train"), f"{project}: train"
        elif count:
            raise CommandError("Say where the picks are from: --examples-from FILE.")
        else:
            return [], ""
        found = self.known(found, exam.tags)
        if count is None:
            return found, source
        if count > len(found):
            raise CommandError(f"{source} has only {len(found)} labelled documents.")
        random.Random(options["seed"]).shuffle(found)  # noqa: S311 -- a fair order, no secret
        return found[:count], f"{source}: {count}"

    def training(
        self, project: Project | None, exam: Exam, options: dict[str, Any]
    ) -> tuple[list[Labelled], str]:
        """What a baseline learns from, and its name: never a text that it is asked about."""
        if options["train"]:
            found, source = labelled(options["train"]), options["train"].name
        elif project and not options["file"] and options["split"] == "test":
            found, source = reviewed(project, "train"), f"{project}: train"
        else:
            return [], "cross-validated"
        asked = {it.text for it in exam.documents}
        known = [it for it in self.known(found, exam.tags) if it.text not in asked]
        if not known:
            raise CommandError(f"{source} has no other labelled documents to learn from.")
        return known, source

    def known(self, documents: list[Labelled], tags: list[dict[str, Any]]) -> list[Labelled]:
        """The documents with the labels that are in the tag list; the others are told of."""
        found, unknown = fitted(documents, tags)
        if unknown:
            names = ", ".join(f"{name} ({count})" for name, count in unknown.most_common(10))
            self.stderr.write(f"Labels that are not in the tag list: {names}.")
        if len(found) < len(documents):
            count = len(documents) - len(found)
            self.stderr.write(f"{count} documents without a best tag in it are left out.")
        return found

    def progress(self, place: int) -> evaluate.Told:
        def told(done: int, of: int, outcome: Outcome) -> None:
            tags = outcome.error or " | ".join(", ".join(one) for one in outcome.candidates)
            self.stderr.write(f"{place + 1}: {done}/{of} {outcome.seconds:.1f} s  {tags[:200]}")

        return told


@contextmanager
def the_endpoint(options: dict[str, Any]) -> Iterator[Endpoint]:
    """The model to ask, in the way that is asked for; the embedded one is started if need be."""
    server, training = None, training_of(options)
    try:
        if training and (training.base_url or training.base != EMBEDDED_BASE):
            endpoint = of_training(training)
        elif options["base_url"]:
            url, key = options["base_url"], settings.OPENAI_API_KEY
            endpoint = Endpoint(url, key, options["model"] or settings.TAGGER_MODEL, CONFIGURED)
        elif (
            options["adapter"]
            or options["tuned"]
            or not (is_configured() or settings.TAGGER_EMBEDDED_URL)
        ):
            name, adapter = asked_for(options, training)
            server = local_server.start(others={name: adapter})
            endpoint = embedded_endpoint(server.base_url)
            if name != endpoint.model:
                # Another model, also where it is asked in the same way.
                endpoint = replace(endpoint, model=name, tuned_from=endpoint.model)
        else:
            endpoint = configured_endpoint()
        if options.get("as_base"):
            endpoint = replace(endpoint, model=endpoint.tuned_from, tuned_from="")
        if options["baseline"] == "seed-prompt":
            options["prompt"] = "seed-1-short" if endpoint.grammar else "seed-1"
        if options["model"]:
            endpoint = replace(endpoint, model=options["model"])
        endpoint = as_adopted(endpoint)
        fields = ("prompt", "plan", "shortlist", "examples")
        changes = {name: options[name] for name in fields if options[name] is not None}
        yield replace(endpoint, recipe=replace(endpoint.recipe, **changes))
    finally:
        if server:
            server.stop()


def asked_for(options: dict[str, Any], training: Training | None) -> tuple[str, Path | None]:
    """Which embedded model: its name, and its adapter."""
    if training:
        return training.name, adapter_of(training)
    if options["tuned"] == "bare":
        return local_server.BARE, None
    adapter = Path(options["adapter"] or local_server.ADAPTER)
    if options["tuned"] or adapter.resolve() == local_server.ADAPTER.resolve():
        return local_server.MODEL_NAME, local_server.ADAPTER
    name = f"{local_server.MODEL_NAME}, adapter {adapter.name}"
    return name, None if adapter.name == "none" else adapter


def training_of(options: dict[str, Any]) -> Training | None:
    """The tuned model that is asked for, where it is one that was trained here."""
    asked: str | None = options["tuned"]
    if asked is None or asked in ("shipped", "bare"):
        return None
    known = Q(name=asked) | Q(pk=int(asked)) if asked.isdecimal() else Q(name=asked)
    found = Training.objects.select_related("release__project").filter(known).first()
    if found is None:
        raise CommandError(f"There is no tuned model {asked}.")
    if found.state != TrainingState.READY:
        raise CommandError(f"{found} is not trained: {found.get_state_display()}.")
    if not found.base_url and found.base == EMBEDDED_BASE:
        try:
            check_adapter(found)
        except NotPromoted as error:
            raise CommandError(str(error)) from error
    return found


def numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def project_named(name: str | None) -> Project | None:
    if name is None:
        return None
    project = Project.objects.filter(name=name).first()
    if project is None:
        raise CommandError("There is no project of this name.")
    return project
