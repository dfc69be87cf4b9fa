"""The models to ask: a project's tuned one, else a configured server, else the embedded one; and
perhaps a second, which takes over."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings

from review.llm.client import Endpoint, Named
from review.llm.local_server import MODEL_NAME
from review.llm.prompt import VERSIONS
from review.llm.recipe import CONFIGURED, EMBEDDED, Recipe
from review.llm.sampling import PLANS
from review.models import InUse, Project, ServedModel, Training
from review.models.training import EMBEDDED_BASE, TrainingState

OPENAI = "https://api.openai.com/v1"
SECOND = Named("TAGGER_SECOND_BASE_URL", "TAGGER_SECOND_API_KEY", "TAGGER_SECOND_MODEL")
TUNED = Named("its address", "the key that the settings have for its address", "its name")
ON_LOOPBACK = "embedded"  # for the embedded model: its address is another at each start
LOOK = 1.0  # seconds between two looks at which model a project asks


class NoModel(Exception):
    """No model can be asked. The message says what to set."""


def is_configured() -> bool:
    """Whether a server was named; else the embedded model is used."""
    return bool(settings.OPENAI_BASE_URL or settings.OPENAI_API_KEY)


def configured_endpoint(project: Project | None = None) -> Endpoint:
    """The endpoint that the project asks, else that which the settings name, as was adopted for it.

    Raises NoModel when they name none, or half of one.
    """
    return as_adopted(_own(project))


def endpoints(project: Project | None = None) -> list[Endpoint]:
    """The one to ask, and the one that takes over while that is in trouble. Raises NoModel.

    Each with the recipe by default: whoever asks has its row at hand, and `recipe_of` that.
    project: None for one that asks what the settings name.
    """
    found = [_own(project)]
    if settings.SECOND_BASE_URL or settings.SECOND_API_KEY:
        if not settings.SECOND_MODEL:
            raise NoModel(
                "TAGGER_SECOND_BASE_URL or TAGGER_SECOND_API_KEY is set, but not which model to "
                "ask there. Set TAGGER_SECOND_MODEL to its name."
            )
        found.append(
            Endpoint(
                base_url=settings.SECOND_BASE_URL or OPENAI,
                api_key=settings.SECOND_API_KEY,
                model=settings.SECOND_MODEL,
                recipe=CONFIGURED,
                named=SECOND,
            )
        )
    return found


def everywhere() -> list[Endpoint]:
    """Those that any project asks, each once. Raises NoModel."""
    use = _in_use()
    found = {key_of(one): one for one in endpoints()} if use.others else {}
    for row in use.rows.values():
        found |= {key_of(one): one for one in endpoints(row.project)}
    return list(found.values())


def embedded_endpoint(base_url: str) -> Endpoint:
    """The embedded model at `base_url`, asked as was adopted for it."""
    return as_adopted(_embedded(base_url))


# --- Tuned models -------------------------------------------------------------------------


def of_training(training: Training) -> Endpoint:
    """The tuned model, where it is served. Raises NoModel where it is not, with the reason.

    The key is that which the settings have for this very address: it goes nowhere else.
    """
    if training.state != TrainingState.READY:
        raise NoModel(f"The model “{training}” is not trained: {training.get_state_display()}.")
    if training.base_url:
        keys = {
            settings.SECOND_BASE_URL or OPENAI: settings.SECOND_API_KEY,
            settings.OPENAI_BASE_URL or OPENAI: settings.OPENAI_API_KEY,
        }
        return Endpoint(
            base_url=training.base_url,
            api_key=keys.get(training.base_url, ""),
            model=training.name,
            recipe=CONFIGURED,
            named=TUNED,
            tuned_from=training.base,
        )
    if training.base != EMBEDDED_BASE:
        raise NoModel(
            f"The model “{training}” is served nowhere: it was tuned from {training.base}. Serve "
            "it with any OpenAI-compatible server, and say at which address."
        )
    if is_configured():
        raise NoModel(
            f"The model “{training}” was tuned from the embedded one, which is not started while "
            "OPENAI_BASE_URL or OPENAI_API_KEY is set. Unset them, or ask another model here."
        )
    base = _first()
    return replace(base, model=training.name, named=TUNED, tuned_from=base.model)


def rival(project: Project) -> Endpoint | None:
    """The model that is tried beside the one that the project asks; None where none is.

    Raises NoModel where it cannot be asked.
    """
    use = in_use(project)
    if use.rival:
        return of_training(use.rival)
    return _first() if use.rival_is_base and use.tuned else None


def in_use(project: Project) -> InUse:
    """Which models the project asks; an empty row where it has none. A second old at most."""
    return _in_use().rows.get(project.pk) or InUse(project=project)


@dataclass(frozen=True)
class Use:
    """What projects ask, as it was at a moment of `time.monotonic()`.

    rows: by project, of those that were told which. others: whether there are projects that ask
    what the settings name.
    """

    looked_at: float
    rows: dict[int, InUse]
    others: bool


_use: Use | None = None  # the last look of this process


def _in_use() -> Use:
    global _use
    use, now = _use, time.monotonic()
    if use is None or now - use.looked_at >= LOOK:
        found = InUse.objects.exclude(tuned=None, rival=None)
        found = found.select_related("project", "tuned", "rival")
        found = found.defer("tuned__progress", "rival__progress")
        rows = {row.project_id: row for row in found}
        tuned = [key for key, row in rows.items() if row.tuned_id]
        others = not tuned or Project.objects.exclude(pk__in=tuned).exists()
        use = _use = Use(now, rows, others)
    return use


def forget() -> None:
    """Look again at which models are in use: they were changed here."""
    global _use
    _use = None


# --- How each is asked --------------------------------------------------------------------


def key_of(endpoint: Endpoint) -> tuple[str, str]:
    """The address and the name under which its row is kept."""
    return ON_LOOPBACK if endpoint.grammar else endpoint.base_url, endpoint.model


def row_of(endpoint: Endpoint) -> ServedModel | None:
    """None before it was first asked."""
    address, model = key_of(endpoint)
    return ServedModel.objects.filter(base_url=address, model=model).first()


def base_row_of(endpoint: Endpoint) -> ServedModel | None:
    """That of the model from which it was tuned; None where it is no tuned one."""
    if not endpoint.tuned_from:
        return None
    return row_of(replace(endpoint, model=endpoint.tuned_from, tuned_from=""))


def as_adopted(endpoint: Endpoint) -> Endpoint:
    return replace(endpoint, recipe=recipe_of(endpoint, row_of(endpoint), base_row_of(endpoint)))


def recipe_of(
    endpoint: Endpoint, row: ServedModel | None, base: ServedModel | None = None
) -> Recipe:
    """The one that was adopted for it (pipeline/adopt.py), else for its base, else for its kind."""
    return adopted(row) or adopted(base) or (EMBEDDED if endpoint.grammar else CONFIGURED)


def adopted(row: ServedModel | None) -> Recipe | None:
    """Also None where the recipe has a prompt or a plan that there is no longer."""
    return usable(row.recipe) if row and row.recipe else None


def usable(fields: dict[str, Any]) -> Recipe | None:
    try:
        recipe = Recipe(**fields)
    except TypeError:  # of a version that knew another field, or did not know one
        return None
    return recipe if recipe.prompt in VERSIONS and recipe.plan in PLANS else None


def _own(project: Project | None) -> Endpoint:
    tuned = in_use(project).tuned if project else None
    return of_training(tuned) if tuned else _first()


def _first() -> Endpoint:
    if not is_configured():
        if settings.TAGGER_EMBEDDED_URL:
            return _embedded(settings.TAGGER_EMBEDDED_URL)
        raise NoModel(
            "No model server is running. Start everything with `make run`, or set "
            "OPENAI_BASE_URL, OPENAI_API_KEY and TAGGER_MODEL."
        )
    if not settings.TAGGER_MODEL:
        raise NoModel(
            "OPENAI_BASE_URL or OPENAI_API_KEY is set, but not which model to ask. "
            "Set TAGGER_MODEL to its name."
        )
    return Endpoint(
        base_url=settings.OPENAI_BASE_URL or OPENAI,
        api_key=settings.OPENAI_API_KEY,
        model=settings.TAGGER_MODEL,
        recipe=CONFIGURED,
    )


def _embedded(base_url: str) -> Endpoint:
    return Endpoint(
        base_url=base_url,
        api_key="",
        model=MODEL_NAME,
        recipe=EMBEDDED,
        grammar=True,
    )
