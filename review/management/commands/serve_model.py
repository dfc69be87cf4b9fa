"""The embedded model, as a process of its own."""

from __future__ import annotations

import os
from argparse import ArgumentParser
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

    def handle(
        self, *args: Any, port: int, threads: int | None, no_adapter: bool, **options: Any
    ) -> None:
        def ready(base_url: str) -> None:
            self.stdout.write(f"{local_server.MODEL_NAME} answers at {base_url}")
            self.stdout.flush()

        adapter = None if no_adapter else local_server.ADAPTER
        try:
            local_server.serve(port, threads, adapter, ready)
        except OSError as error:
            raise CommandError(f"Port {port} cannot be used: {error.strerror}.") from error
        except OverflowError as error:
            raise CommandError("A port is a number from 0 to 65535.") from error
        except (local_server.MissingWheel, RuntimeError) as error:
            raise CommandError(str(error)) from error
