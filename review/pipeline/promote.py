"""A tuned model is put in use in a project, and another back; or one is tried beside the other.

Which it asks is its row of `InUse`; what was in use before is in its promotions, to which is only
ever added. The embedded model's server reads in a file which adapters to serve, and loads them
anew when that changes: see llm/local_server.py.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from review.llm.local_server import BARE, MODEL_NAME
from review.models import InUse, Project, Promotion, Training
from review.models.training import EMBEDDED_BASE, TrainingState

from . import endpoint
from .endpoint import NoModel, of_training

ADAPTER = "adapter.gguf"  # in a training's folder
SERVED = "trainings/served.json"  # under TAGGER_VAR

news = logging.getLogger("tagger")


class NotPromoted(Exception):
    """Nothing was changed. The message says why."""


def promote(
    project: Project, training: Training | None, by: User | None, why: dict[str, Any]
) -> Promotion:
    """Ask this model from now on; None: what the settings name. Raises NotPromoted.

    why: the numbers that were on the page. If it was tried beside another, that has ended.
    """
    if training:
        check(project, training)
    with transaction.atomic():
        use = _row(project)
        if use.tuned == training:
            told = _("The project asks %(model)s already.")
            raise NotPromoted(told % {"model": _named(training)})
        use.tuned = training
        if use.rival == training:
            use.rival = None
        use.rival_is_base = use.rival_is_base and training is not None
        use.save()
        made = Promotion.objects.create(project=project, tuned=training, user=by, why=why)
        _changed()
    news.info("%s: from now on %s is asked.", project, _named(training))
    return made


def back(project: Project, by: User | None) -> Promotion:
    """Ask again what was asked before the last promotion. Raises NotPromoted."""
    last, before = _last_two(project)
    if last is None:
        raise NotPromoted(_("No other model was in use before."))
    return promote(project, before, by, {"back_from": last.pk})


def before_now(project: Project) -> Training | None:
    """What `back` would put in use; None: what the settings name."""
    return _last_two(project)[1]


def try_beside(project: Project, training: Training | None, by: User | None) -> InUse:
    """Show candidates of this model beside those of the one in use, blind; None: of what the
    settings name. Raises NotPromoted."""
    if training:
        check(project, training)
    with transaction.atomic():
        use = _row(project)
        if use.tuned == training:
            told = _("The project asks %(model)s already: it cannot be tried beside itself.")
            raise NotPromoted(told % {"model": _named(training)})
        use.rival, use.rival_is_base = training, training is None
        use.save()
        _changed()
    news.info("%s: %s is tried beside the model in use, by %s.", project, _named(training), by)
    return use


def stop_trying(project: Project) -> InUse:
    """Show candidates of the one in use only."""
    with transaction.atomic():
        use = _row(project)
        use.rival, use.rival_is_base = None, False
        use.save()
        _changed()
    return use


def check(project: Project, training: Training) -> None:
    """Raise NotPromoted where the project cannot ask this model, with the reason."""
    if training.release.project_id != project.pk:
        told = _("%(model)s was trained on the documents of another project.")
        raise NotPromoted(told % {"model": training})
    if training.name in {MODEL_NAME, BARE, settings.TAGGER_MODEL, settings.SECOND_MODEL}:
        told = _(
            "Another model is called %(model)s already: what each says could not be told apart."
        )
        raise NotPromoted(told % {"model": _named(training)})
    try:
        of_training(training)
    except NoModel as error:
        raise NotPromoted(str(error)) from error
    if not training.base_url:
        check_adapter(training)


def check_adapter(training: Training) -> None:
    """Raise NotPromoted where its file is not there, or not the one that was trained."""
    try:
        with adapter(training).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        told = _("The adapter of %(model)s cannot be read: %(error)s.")
        raise NotPromoted(told % {"model": training, "error": error}) from error
    if found != training.adapter_sha256:
        told = _("The adapter of %(model)s is not the one that was trained: its sha256 differs.")
        raise NotPromoted(told % {"model": training})


# --- What the embedded model's server has to load -----------------------------------------


def adapter(training: Training) -> Path:
    return Path(settings.VAR) / training.folder / ADAPTER


def write_served() -> bool:
    """Tell the embedded model's server which adapters to serve; True where that is news to it.

    Those that any project asks, or tries. Called whenever that changes, and at each start.
    """
    in_use = InUse.objects.exclude(tuned=None, rival=None)
    keys = {key for pair in in_use.values_list("tuned", "rival") for key in pair if key}
    served = Training.objects.filter(
        Q(pk__in=keys), base=EMBEDDED_BASE, base_url="", state=TrainingState.READY
    )
    told = [{"name": one.name, "file": str(adapter(one))} for one in served.order_by("pk")]
    text = json.dumps(told, ensure_ascii=False, indent=1) + "\n"
    path = Path(settings.VAR) / SERVED
    before = path.read_text() if path.is_file() else "[]\n"
    if text == before:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(text)
    part.replace(path)
    return True


# --- Parts of these -----------------------------------------------------------------------


def _row(project: Project) -> InUse:
    """Held until the transaction ends."""
    InUse.objects.get_or_create(project=project)
    rows = InUse.objects.select_for_update(of=("self",)).select_related("tuned", "rival")
    return rows.get(project=project)


def _last_two(project: Project) -> tuple[Promotion | None, Training | None]:
    """The last promotion, and what was in use before it."""
    last = list(project.promotions.select_related("tuned").order_by("-pk")[:2])
    return (last[0] if last else None), (last[1].tuned if len(last) > 1 else None)


def _changed() -> None:
    transaction.on_commit(endpoint.forget)
    transaction.on_commit(write_served)


def _named(training: Training | None) -> str:
    return f"“{training}”" if training else _("what the settings name")
