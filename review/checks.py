"""What is missing or half set, said at start-up, with the remedy."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from review.pipeline.endpoint import is_configured


@register
def model_is_named(**kwargs: Any) -> list[CheckMessage]:
    if is_configured() and not settings.TAGGER_MODEL:
        return [
            Error(
                "OPENAI_BASE_URL or OPENAI_API_KEY is set, but not which model to ask.",
                hint="Set TAGGER_MODEL to the model's name.",
                id="tagger.E001",
            )
        ]
    return []


@register
def second_model_is_named(**kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if settings.SECOND_BASE_URL or settings.SECOND_API_KEY:
        if not settings.SECOND_MODEL:
            found.append(
                Error(
                    "TAGGER_SECOND_BASE_URL or TAGGER_SECOND_API_KEY is set, but not which model "
                    "to ask there.",
                    hint="Set TAGGER_SECOND_MODEL to the model's name.",
                    id="tagger.E002",
                )
            )
        if not is_configured():
            found.append(
                Error(
                    "There is a second model server, but no first one.",
                    hint="Set OPENAI_BASE_URL, OPENAI_API_KEY and TAGGER_MODEL.",
                    id="tagger.E003",
                )
            )
    return found
