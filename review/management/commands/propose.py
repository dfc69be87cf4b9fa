"""One file in, three candidates out, without a server but the model's."""

from __future__ import annotations

from argparse import ArgumentParser
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from review.llm import local_server
from review.llm.client import Endpoint
from review.llm.errors import NoAnswer, Refused, Unavailable
from review.models import Project, VocabularyVersion
from review.models.project import MOST_TAGS
from review.pipeline.endpoint import NoModel, configured_endpoint, embedded_endpoint, is_configured
from review.pipeline.first_start import seed_tags
from review.pipeline.intake import problem_of
from review.pipeline.propose import sample
from review.pipeline.ranking import of_tags
from review.readers import Incoming
from review.readers.markdown_folder import read_file
from review.writers.expected_json import expected_line


class Command(BaseCommand):
    help = (
        "Ask the model about one file, and print up to three tag sets, the best guess first, "
        'each as {"id": "5201", "tags": [{"id": 25, "name": "security"}]}. Stores nothing.'
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--id", help="The document's id in the answer; else the file's name.")

    def handle(self, *args: Any, file: Path, id: str | None, **options: Any) -> None:
        try:
            document = read_file(file, id or file.name)
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
        if problem := document.problem or problem_of(document.text):
            raise CommandError(f"{file}: {problem}")
        try:
            if is_configured() or settings.TAGGER_EMBEDDED_URL:
                self.answer(document, configured_endpoint())
            else:
                server = local_server.start()
                try:
                    self.answer(document, embedded_endpoint(server.base_url))
                finally:
                    server.stop()
        except (NoModel, local_server.MissingWheel, Unavailable, NoAnswer, Refused) as error:
            raise CommandError(str(error)) from error
        except (OSError, RuntimeError) as error:
            raise CommandError(f"The embedded model cannot be started: {error}") from error

    def answer(self, document: Incoming, endpoint: Endpoint) -> None:
        guidelines, max_tags, tags = vocabulary()
        about = (document.title, document.text)
        ranker = partial(of_tags, tags)
        sampling = sample(endpoint, guidelines, tags, max_tags, *about, ranker=ranker)
        numbers = {tag["name"]: tag["id"] for tag in tags}
        for found in sampling.three(settings.MODEL_DEADLINE):
            numbered = [(numbers[name], name) for name in found.tags]
            self.stdout.write(expected_line(document.external_id, numbered))
        if sampling.note:
            self.stderr.write(sampling.note)


def vocabulary() -> tuple[str, int, list[dict[str, Any]]]:
    """The first project's guidelines, most tags and tags; before there is one, the seed's."""
    try:
        project = Project.objects.order_by("pk").first()
    except DatabaseError:  # nothing has been set up yet
        project = None
    if project is None:
        return "", MOST_TAGS, sorted(seed_tags(), key=lambda tag: tag["name"])
    return project.guidelines, project.max_tags, VocabularyVersion.current(project).tags
