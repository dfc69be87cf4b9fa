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
