"""A training from the command line: ordered and done here and now, in the Python with torch."""

from __future__ import annotations

import signal
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from review.models import Project, Release, Training, TrainingState
from review.models.training import EMBEDDED_BASE
from review.pipeline import train
from review.tasks import tell_trainers
from review.training.course import TrlCourse

# Their defaults are the course's, which differ between the two ways to train.
OPTIONS: dict[str, tuple[type, str]] = {
    "sft_epochs": (float, "On the chosen answers, before DPO; 0 leaves that out."),
    "epochs": (float, "Of DPO."),
    "rate": (float, "The highest of the learning rate, of DPO."),
    "sft_rate": (float, "The same on the chosen answers, for a Hugging Face model."),
    "beta": (float, "Greater: it stays closer to what it was."),
    "sft_weight": (float, "Of the chosen answers' loss in DPO."),
    "rank": (int, "Of a new adapter."),
    "pack": (int, "Prompts that make up a step, of the embedded model."),
    "batch": (int, "Pairs at a time, of a Hugging Face model."),
    "gather": (int, "So many times a batch make up a step."),
    "max_length": (int, "Tokens of a prompt with its answer, of a Hugging Face model."),
    "seed": (int, "Of all that is chance."),
}
ELSEWHERE = "Qwen/Qwen2.5-7B-Instruct"  # for --commands, where no other is named


class Command(BaseCommand):
    help = (
        "Train a model on the part “train” of a release: first on what people chose, then by DPO. "
        "What was stopped goes on with --run. Needs what `make train-deps` installs: "
        "docs/training.md."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("release", nargs="?", type=int, help="Its number.")
        add("--project", default="", help="By its name; else the first one.")
        add("--base", default=EMBEDDED_BASE, help="“embedded”, or a Hugging Face name or folder.")
        add(
            "--start",
            metavar="ADAPTER",
            help="To go on from: “shipped” (the usual for the embedded model), “none”, or the "
            "name of an earlier training.",
        )
        for name, (kind, told) in OPTIONS.items():
            add(f"--{name.replace('_', '-')}", type=kind, help=told)
        add("--cpu", action="store_true", help="Without a GPU, for a Hugging Face model: slow.")
        add("--threads", type=int, default=0, help="Else as many as there are cores.")
        add("--only-order", action="store_true", help="For a worker that trains: see the page.")
        add(
            "--commands",
            action="store_true",
            help="Train nothing: print what trains --base with TRL on the release's files.",
        )
        out = Path(settings.VAR) / "trained"
        add("--out", type=Path, default=out, metavar="FOLDER", help="For --commands.")
        add("--run", type=int, metavar="ID", help="Begin, or go on with, one that was ordered.")
        add("--if-due", action="store_true", help="Of a worker: --run leaves a stopped one alone.")
        add("--stop", type=int, metavar="ID", help="After its step; --run goes on with it.")
        add("--list", action="store_true", help="What there is.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["list"]:
            self.list()
        elif options["stop"]:
            if not train.stop(self.training(options["stop"])):
                raise CommandError("It is over already.")
        elif options["run"]:
            asked = self.training(options["run"])
            if not options["if_due"]:
                train.resume(asked)
            try:
                train.check_trainer(asked.base, train.course_of(asked.base, asked.options))
            except train.NoTrainer as error:
                if options["if_due"]:
                    train.give_up(asked.pk, str(error))
                raise CommandError(str(error)) from error
            self.run(asked, options["threads"])
        elif options["release"] is None:
            raise CommandError("Name a release by its number: `manage.py train 3`.")
        elif options["commands"]:
            self.stdout.write(self.commands(options))
        elif options["only_order"]:
            ordered = self.ordered(options)
            tell_trainers()
            self.stdout.write(f"{ordered.pk}  {ordered.name}")
        else:
            self.run(self.ordered(options), options["threads"])

    def training(self, pk: int) -> Training:
        found = Training.objects.select_related("release").filter(pk=pk).first()
        if found is None:
            raise CommandError(f"There is no training {pk}: --list shows what there is.")
        return found

    def release(self, options: dict[str, Any]) -> Release:
        found = Project.objects.order_by("pk")
        name = options["project"]
        project = (found.filter(name=name) if name else found).first()
        if project is None:
            raise CommandError("There is no project of this name." if name else "No project yet.")
        release = project.releases.filter(number=options["release"]).first()
        if release is None:
            raise CommandError(f"{project} has no release {options['release']}.")
        return release

    def course(self, base: str, options: dict[str, Any]) -> train.AnyCourse:
        given = {name: options[name] for name in OPTIONS if options[name] is not None}
        if options["cpu"]:
            given["cpu"] = True
        return train.course_of(base, given)

    def ordered(self, options: dict[str, Any]) -> Training:
        release, base = self.release(options), options["base"]
        try:
            course = self.course(base, options)
            if not options["only_order"]:
                train.check_trainer(base, course)
            given = {"base": base, "start": options["start"]}
            return train.order(release, vars(course), **given)
        except (train.NotOptions, train.NoTrainer) as error:
            raise CommandError(str(error)) from error

    def commands(self, options: dict[str, Any]) -> str:
        release, base = self.release(options), options["base"]
        base = ELSEWHERE if base == EMBEDDED_BASE else base
        start = options["start"] or ""
        try:
            course = self.course(base, options)
            if problem := train.unfit(release, base, course):
                raise CommandError(problem)
            if start not in ("", train.NONE, *train.starts(release, base)):
                raise CommandError(f"There is no adapter “{start}” of this model.")
        except train.NotOptions as error:
            raise CommandError(str(error)) from error
        assert isinstance(course, TrlCourse)  # noqa: S101 - for mypy: it is not the embedded one
        start = "" if start == train.NONE else start
        return train.commands(release, base, start, course, options["out"])

    def run(self, asked: Training, threads: int) -> None:
        self.stderr.write(f"Training {asked.pk}: {asked.name}")
        try:
            with leaving() as leave:
                train.run(asked.pk, self.progress, leave=leave, threads=threads)
        except train.NoTrainer as error:
            raise CommandError(str(error)) from error
        asked.refresh_from_db()
        if asked.state == TrainingState.READY:
            self.stdout.write(str(train.folder_of(asked)))
        elif asked.state == TrainingState.FAILED:
            raise CommandError(asked.reason)
        elif asked.state == TrainingState.RUNNING:
            raise CommandError("Another trainer has it.")
        else:
            self.stderr.write(f"Stopped; it goes on with: manage.py train --run {asked.pk}")

    def progress(self, entry: train.Entry, left: float | None) -> None:
        step, steps = entry["step"], entry["steps"]
        if not (step in (1, steps) or step % 10 == 0):
            return
        told = f"{entry['phase']} {step}/{steps}"
        if "loss" in entry:
            told += f"  loss {entry['loss']:.3f}"
        if "margin" in entry:
            told += f"  margin {entry['margin']:+.3f}  accuracy {entry['accuracy']:.0%}"
        self.stderr.write(told + (f"  {left:.0f} s left" if left is not None else ""))

    def list(self) -> None:
        for one in Training.objects.select_related("release__project").order_by("pk"):
            of = f"{one.release.project}, release {one.release.number}"
            self.stdout.write(f"{one.pk}  {one.name}  {one.state}  {of}  {one.reason}".rstrip())


@contextmanager
def leaving() -> Iterator[Any]:
    """What a signal asks for: a person stops it, a worker that is shut down lets it wait.

    After the step; Ctrl-C again does not wait for that.
    """
    asked: list[TrainingState] = []

    def note(signum: int, frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(TrainingState.STOPPED if signum == signal.SIGINT else TrainingState.WAITING)

    before = {one: signal.signal(one, note) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked[0] if asked else None
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
