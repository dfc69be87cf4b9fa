"""The process that trains, beside the worker that was told to: it alone has torch."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from review.models import Training
from review.training import environment

from .train import put_off

LOOKED_AT = 0.5  # seconds between two looks


def work(training_id: int, ending: Callable[[], bool]) -> bool:
    """Train, if it is due, until it is trained or left. False where that process cannot begin.

    ending: whether this worker is to end; then that process does too, after its step.
    """
    if not Training.objects.due(timezone.now()).filter(pk=training_id).exists():
        return True
    python = Path(settings.TRAIN_PYTHON)
    if not python.exists():
        put_off(training_id)
        return False
    manage = str(settings.BASE_DIR / "manage.py")
    # Below what people wait for: the desk, and the model beside it.
    command = ["nice", "-n", "10", str(python), manage, "train", "--run", str(training_id)]
    process = subprocess.Popen([*command, "--if-due"], cwd=settings.BASE_DIR, env=environment())
    try:
        while process.poll() is None:
            if ending():
                process.terminate()
            time.sleep(LOOKED_AT)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
    return process.returncode == 0
