"""The model to ask: a configured server, else the embedded one."""

from __future__ import annotations

from django.conf import settings

from review.llm.client import Endpoint
from review.llm.local_server import MODEL_NAME
from review.llm.recipe import CONFIGURED, EMBEDDED

OPENAI = "https://api.openai.com/v1"


class NoModel(Exception):
    """No model can be asked. The message says what to set."""


def is_configured() -> bool:
    """Whether a server was named; else the embedded model is used."""
    return bool(settings.OPENAI_BASE_URL or settings.OPENAI_API_KEY)


def configured_endpoint() -> Endpoint:
    """The endpoint that the settings name. Raises NoModel when they name none, or half of one."""
    if not is_configured():
        if settings.TAGGER_EMBEDDED_URL:
            return embedded_endpoint(settings.TAGGER_EMBEDDED_URL)
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


def embedded_endpoint(base_url: str) -> Endpoint:
    """The embedded model at `base_url`, asked in the way that its adapter was trained for."""
    return Endpoint(
        base_url=base_url,
        api_key="",
        model=MODEL_NAME,
        recipe=EMBEDDED,
        grammar=True,
    )
