"""Train the embedded model's adapter on picks: docs/training.md."""

from __future__ import annotations

import json
import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from review.llm.local_server import MissingWheel, free_cores
from review.readers import Refused
from review.readers.preferences import Question, read_preferences
from review.training.course import NotACourse, TrlCourse
from review.training.trl_lines import lines, shell

from .train_adapter import ADAPTER_HELP, adapter

if TYPE_CHECKING:
    from review.training import preferences

COURSE = ("sft_epochs", "epochs", "rate", "rank", "pack", "beta", "sft_weight", "seed")


class Command(BaseCommand):
    help = (
        "Train an adapter for the embedded model on preference pairs, as `export_preferences` "
        "prints them: first on the chosen answers, then by DPO. What was stopped goes on when it "
        "is called again. Needs what `make train-deps` installs: docs/training.md."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("file", type=Path, metavar="FILE.jsonl")
        add("--from", type=adapter, dest="start", metavar="ADAPTER", help=ADAPTER_HELP)
        add("--out", type=Path, default=Path(settings.VAR) / "preferred", metavar="FOLDER")
        add("--sft-epochs", type=float, default=1, help="On the chosen answers, before DPO.")
        add("--epochs", type=float, default=2, help="Of DPO.")
        add("--rate", type=float, default=3e-4, help="The highest of the learning rate.")
        add("--beta", type=float, default=0.1, help="Greater: it stays closer to what it was.")
        add("--sft-weight", type=float, default=1, help="Of the chosen answers' loss in DPO.")
        add("--rank", type=int, default=16, help="Of a new adapter; the most of --from's.")
        add("--pack", type=int, default=4, help="Prompts that make up a step.")
        add("--seed", type=int, default=0)
        add("--threads", type=int, default=free_cores())
        add("--save-every", type=int, default=25, metavar="STEPS", help="What a stop may lose.")
        add(
            "--commands",
            action="store_true",
            help="Train nothing here: write the data into --out, and print what trains a model "
            "on it with TRL on a machine with a GPU.",
        )
        add("--model", default="Qwen/Qwen2.5-7B-Instruct", help="Which one, for --commands.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with options["file"].open("rb") as file:
                questions = read_preferences(file)
        except (Refused, OSError) as error:
            raise CommandError(f"{options['file']}: {error}") from error
        if not questions:
            raise CommandError(f"{options['file']}: there is no pair in it.")
        pairs = sum(len(one.pairs) for one in questions)
        self.stderr.write(f"{pairs} pairs, of {len(questions)} prompts.")
        if options["commands"]:
            try:
                self.stdout.write(commands(questions, options))
            except NotACourse as error:
                raise CommandError(str(error)) from error
        else:
            self.stdout.write(str(self.trained(questions, options)))

    def trained(self, questions: list[Question], options: dict[str, Any]) -> Path:
        try:
            import torch

            from review.training import adapter_file, base_model, preferences, sft
        except ImportError as error:
            raise CommandError(
                f"This Python has no {error.name}: `make train-deps` installs what training "
                "needs, and then it is `.venv-train/bin/python manage.py train_preferences`."
            ) from error
        torch.set_num_threads(options["threads"])
        more = {"save_every": options["save_every"], "told": self.progress}
        try:
            course = preferences.Course(**{name: options[name] for name in COURSE})
            base = base_model.folder(Path(settings.VAR))
            with tempfile.TemporaryDirectory() as beside:
                if options["start"]:
                    more["start"] = adapter_file.as_folder(options["start"], base, Path(beside))
                return preferences.train(questions, base, options["out"], course, **more)
        except (MissingWheel, OSError, ValueError, sft.OtherTraining) as error:
            raise CommandError(str(error)) from error

    def progress(self, now: preferences.Progress) -> None:
        if not (now.step == 1 or now.step % 10 == 0 or now.step == now.steps):
            return
        told = f"{now.stage} {now.step}/{now.steps}"
        if now.stage != "before":
            told += f"  loss {now.loss:.3f}"
        if now.stage == "dpo":
            told += f"  margin {now.margin:+.3f}  accuracy {now.accuracy:.0%}"
        if now.stage != "before":
            told += f"  {now.seconds:.0f} s left"
        self.stderr.write(told)


def commands(questions: list[Question], options: dict[str, Any]) -> str:
    """Write the data as TRL's two trainers load it; return the lines for a shell."""
    out: Path = options["out"]
    chosen, pairs = [], []
    for question in questions:
        said = [[{"role": "assistant", "content": answer}] for answer in question.answers]
        for better in dict.fromkeys(better for better, _ in question.pairs):
            chosen.append({"prompt": question.messages, "completion": said[better]})
        for better, worse in question.pairs:
            sides = {"chosen": said[better], "rejected": said[worse]}
            pairs.append({"prompt": question.messages, **sides})
    alike = ("sft_epochs", "epochs", "beta", "sft_weight", "seed")
    course = TrlCourse(**{name: options[name] for name in alike})
    dpo = written(out / "dpo-data", pairs)
    sft = written(out / "sft-data", chosen) if course.sft_epochs else []
    return shell(lines(options["model"], sft, dpo, out, course), out / "cache")


def written(folder: Path, rows: list[dict[str, Any]]) -> list[str]:
    """The options of TRL that name these data."""
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / "train.jsonl").write_text(text, "utf-8")
    return ["--dataset_name", str(folder)]
