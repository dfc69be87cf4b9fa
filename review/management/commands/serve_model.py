"""The embedded model, as a process of its own."""

from __future__ import annotations

import os
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from review.llm import local_server


class Command(BaseCommand):
    help = "Serve the embedded model on 127.0.0.1, as an OpenAI-compatible server, until a signal."
    requires_system_checks = []  # it needs nothing of the app, and starts sooner

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=0, help="0, the default: any free one.")
        parser.add_argument(
            "--threads",
            type=int,
            default=os.environ.get("TAGGER_MODEL_THREADS") or None,
            help="Default: TAGGER_MODEL_THREADS, else as many as there are free cores.",
        )
        parser.add_argument("--no-adapter", action="store_true", help="Serve the bare model.")
        parser.add_argument(
            "--adapter",
            action="append",
            default=[],
            type=named_file,
            metavar="NAME=FILE",
            help="Serve this GGUF adapter too, for requests with this name as their model. "
            "As often as you like.",
        )
        parser.add_argument(
            "--in-use",
            type=Path,
            metavar="FILE",
            help="Serve the tuned models that are in use too: trainings/served.json in TAGGER_VAR. "
            "When it changes, they are loaded anew.",
        )

    def handle(
        self,
        *args: Any,
        port: int,
        threads: int | None,
        no_adapter: bool,
        adapter: list[tuple[str, Path]],
        in_use: Path | None,
        **options: Any,
    ) -> None:
        def say(line: str) -> None:
            self.stdout.write(line)
            self.stdout.flush()

        shipped = None if no_adapter else local_server.ADAPTER
        try:
            local_server.serve(port, threads, shipped, dict(adapter), in_use, say)
        except OSError as error:
            raise CommandError(f"Port {port} cannot be used: {error.strerror}.") from error
        except OverflowError as error:
            raise CommandError("A port is a number from 0 to 65535.") from error
        except (local_server.MissingWheel, RuntimeError) as error:
            raise CommandError(str(error)) from error


def named_file(text: str) -> tuple[str, Path]:
    name, equals, file = text.partition("=")
    if not (name and equals and file):
        raise ArgumentTypeError("say NAME=FILE")
    return name, Path(file)
