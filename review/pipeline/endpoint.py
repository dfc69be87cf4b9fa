"""The models to ask: a configured server, and perhaps a second; else the embedded one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.conf import settings

from review.llm.client import Endpoint
from review.llm.local_server import MODEL_NAME
from review.llm.prompt import VERSIONS
from review.llm.recipe import CONFIGURED, EMBEDDED, Recipe
from review.llm.sampling import PLANS
from review.models import ServedModel

OPENAI = "https://api.openai.com/v1"
ON_LOOPBACK = "embedded"  # for the embedded model: its address is another at each start


class NoModel(Exception):
    """No model can be asked. The message says what to set."""


def is_configured() -> bool:
    """Whether a server was named; else the embedded model is used."""
    return bool(settings.OPENAI_BASE_URL or settings.OPENAI_API_KEY)


def configured_endpoint() -> Endpoint:
    """The endpoint that the settings name, asked as was adopted for it.

    Raises NoModel when they name none, or half of one.
    """
    return as_adopted(_first())


def endpoints() -> list[Endpoint]:
    """The one to ask, and the one that takes over while that is in trouble. Raises NoModel.

    Each with the recipe by default: whoever asks has its row at hand, and `recipe_of` that.
    """
    found = [_first()]
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
            )
        )
    return found


def embedded_endpoint(base_url: str) -> Endpoint:
    """The embedded model at `base_url`, asked as was adopted for it."""
    return as_adopted(_embedded(base_url))


# --- How each is asked --------------------------------------------------------------------


def key_of(endpoint: Endpoint) -> tuple[str, str]:
    """The address and the name under which its row is kept."""
    return ON_LOOPBACK if endpoint.grammar else endpoint.base_url, endpoint.model


def row_of(endpoint: Endpoint) -> ServedModel | None:
    """None before it was first asked."""
    address, model = key_of(endpoint)
    return ServedModel.objects.filter(base_url=address, model=model).first()


def as_adopted(endpoint: Endpoint) -> Endpoint:
    return replace(endpoint, recipe=recipe_of(endpoint, row_of(endpoint)))


def recipe_of(endpoint: Endpoint, row: ServedModel | None) -> Recipe:
    """The one that was adopted for it (pipeline/adopt.py), else that for all of its kind."""
    return adopted(row) or (EMBEDDED if endpoint.grammar else CONFIGURED)


def adopted(row: ServedModel | None) -> Recipe | None:
    """Also None where the recipe has a prompt or a plan that there is no longer."""
    return usable(row.recipe) if row and row.recipe else None


def usable(fields: dict[str, Any]) -> Recipe | None:
    try:
        recipe = Recipe(**fields)
    except TypeError:  # of a version that knew another field, or did not know one
        return None
    return recipe if recipe.prompt in VERSIONS and recipe.plan in PLANS else None


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
