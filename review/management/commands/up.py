"""`manage.py up`: start every part of Tagger; `make run` is this after installing."""

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Prepare the database, then run Redis, the model, worker, beat and web until Ctrl-C."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        # A process of its own: it chooses Redis's port before the settings are read.
        os.chdir(settings.BASE_DIR)
        command = [sys.executable, "-m", "tagger_site.up"]
        os.execv(sys.executable, command)  # no shell, on purpose
