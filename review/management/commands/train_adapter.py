"""Train an adapter for the embedded model: docs/training.md."""

from __future__ import annotations

import json
import tempfile
from argparse import ArgumentParser, ArgumentTypeError
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from review.llm.local_server import ADAPTER, MissingWheel, free_cores
from review.pipeline.exam import fitted, labelled, tag_list
from review.pipeline.ranking import SEED_EXAMPLES
from review.readers import Refused
from review.readers.labelled import Labelled

if TYPE_CHECKING:
    from review.training import sft


ADAPTER_HELP = (
    "An adapter to go on from: PEFT's folder, llama.cpp's .gguf file, or the word “shipped” for "
    "the one that comes with Tagger."
)


class Command(BaseCommand):
    help = (
        "Train an adapter for the embedded model on labelled documents. What was stopped goes on "
        "when it is called again. Needs what `make train-deps` installs: docs/training.md."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        at: dict[str, Any] = {"type": Path, "metavar": "FILE"}
        add("--examples", action="append", help="Labelled documents; else those shipped.", **at)
        add("--labelled", help="More of them, of which --fold leaves some out.", **at)
        add("--fold", type=fold, metavar="1/5", help="Leave out each fifth one, from the first on.")
        add("--tags", help="The tag list; else the seed's. Its synonyms are learned as well.", **at)
        add("--epochs", type=float, default=2)
        add("--rate", type=float, default=5e-4, help="The highest of the learning rate.")
        add("--rank", type=int, default=16, help="Of a new adapter.")
        add("--pack", type=int, default=6, help="Documents behind one tag list: a step.")
        add("--from", type=adapter, dest="start", metavar="ADAPTER", help=ADAPTER_HELP)
        add("--out", type=Path, default=Path(settings.VAR) / "adapter", metavar="FOLDER")
        add("--seed", type=int, default=0)
        add("--threads", type=int, default=free_cores())
        add("--save-every", type=int, default=25, metavar="STEPS", help="What a stop may lose.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            import torch

            from review.training import adapter_file, base_model, sft
        except ImportError as error:
            raise CommandError(
                f"This Python has no {error.name}: `make train-deps` installs what training "
                "needs, and then it is `.venv-train/bin/python manage.py train_adapter`."
            ) from error
        torch.set_num_threads(options["threads"])
        chosen = {name: options[name] for name in ("epochs", "rate", "rank", "pack", "seed")}
        try:
            tags = tag_list(options["tags"], None)
            documents, left_out = self.documents(options, tags)
            synonyms = {tag["name"]: tag["synonyms"] for tag in tags}
            base = base_model.folder(Path(settings.VAR))
            course = sft.Course(**chosen)
            more = {"save_every": options["save_every"], "told": self.progress}
            with tempfile.TemporaryDirectory() as beside:
                if options["start"]:
                    more["start"] = adapter_file.as_folder(options["start"], base, Path(beside))
                file = sft.train(documents, synonyms, base, options["out"], course, **more)
        except (MissingWheel, Refused, OSError, ValueError, sft.OtherTraining) as error:
            raise CommandError(str(error)) from error
        if left_out:
            rows = [{"id": one.external_id, **asdict(one)} for one in left_out]
            lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            (options["out"] / "left-out.jsonl").write_text(lines, "utf-8")
        self.stdout.write(str(file))

    def documents(
        self, options: dict[str, Any], tags: list[dict[str, Any]]
    ) -> tuple[list[Labelled], list[Labelled]]:
        """Those to learn from, and those of the fold that is left out."""
        found = [one for file in options["examples"] or [SEED_EXAMPLES] for one in labelled(file)]
        more = labelled(options["labelled"]) if options["labelled"] else []
        left_out = []
        if options["fold"]:
            if not more:
                raise CommandError("--fold leaves documents of --labelled out: name that file.")
            place, of = options["fold"]
            left_out = more[place - 1 :: of]
            del more[place - 1 :: of]
        known, unknown = fitted([*found, *more], tags)
        if unknown:
            names = ", ".join(f"{name} ({count})" for name, count in unknown.most_common(10))
            self.stderr.write(f"Labels that are not in the tag list: {names}.")
        if not known:
            raise CommandError("There is no document with a label of the tag list.")
        self.stderr.write(f"{len(known)} documents to learn from, {len(left_out)} left out.")
        return known, left_out

    def progress(self, now: sft.Progress) -> None:
        if now.step == 1 or now.step % 10 == 0 or now.step == now.steps:
            told = f"{now.step}/{now.steps}  loss {now.loss:.3f}  {now.seconds:.0f} s left"
            self.stderr.write(told)


def adapter(text: str) -> Path:
    return ADAPTER if text == "shipped" else Path(text)


def fold(text: str) -> tuple[int, int]:
    place, _, of = text.partition("/")
    if not (place.isdigit() and of.isdigit() and 1 <= int(place) <= int(of) != 1):
        raise ArgumentTypeError("it is, e.g., 1/5: the first of five")
    return int(place), int(of)
