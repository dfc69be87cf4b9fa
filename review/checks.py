"""What is missing or half set, said at start-up, with the remedy."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

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


@register
def addresses_hold_no_key(**kwargs: Any) -> list[CheckMessage]:
    """They are shown to owners, kept with each proposal, and written into the logs."""
    found: list[CheckMessage] = []
    for name, address in (
        ("OPENAI_BASE_URL", settings.OPENAI_BASE_URL),
        ("TAGGER_SECOND_BASE_URL", settings.SECOND_BASE_URL),
    ):
        if "@" in urlsplit(address).netloc:
            found.append(
                Error(
                    f"{name} holds a name or a password, and addresses are shown and logged.",
                    hint="Give the address without it, and the key in the variable for the key.",
                    id="tagger.E006",
                )
            )
    return found


@register
def hosts_are_exact(**kwargs: Any) -> list[CheckMessage]:
    wild = [host for host in settings.ALLOWED_HOSTS if host.startswith(("*", "."))]
    if wild:
        return [
            Error(
                f"TAGGER_HOSTS has {wild[0]!r}: with it, links and forms are made for any host "
                "that a request names.",
                hint="Name each host that people type: TAGGER_HOSTS=tags.example.org",
                id="tagger.E004",
            )
        ]
    return []


@register
def second_factor_is_known(**kwargs: Any) -> list[CheckMessage]:
    if settings.ADMIN_MFA not in ("", "required"):
        return [
            Error(
                f"TAGGER_ADMIN_MFA is {settings.ADMIN_MFA!r}.",
                hint="It is “required”, or empty: then those are asked who have set one up.",
                id="tagger.E005",
            )
        ]
    return []


@register
def provider_is_whole(**kwargs: Any) -> list[CheckMessage]:
    """Of the one that people sign in with (OpenID Connect)."""
    given = {
        "TAGGER_OIDC_URL": settings.OIDC_URL,
        "TAGGER_OIDC_CLIENT_ID": settings.OIDC_CLIENT_ID,
        "TAGGER_OIDC_SECRET": settings.OIDC_SECRET,
    }
    missing = [name for name, value in given.items() if not value]
    if len(missing) == len(given):
        return []
    if missing:
        return [
            Error(
                f"A provider to sign in with is half set: {missing[0]} is missing.",
                hint=f"Set all of {', '.join(given)}, or none.",
                id="tagger.E007",
            )
        ]
    address = urlsplit(settings.OIDC_URL)
    here = address.scheme == "http" and address.hostname in ("127.0.0.1", "::1", "localhost")
    if address.scheme != "https" and not here:
        return [
            Error(
                "TAGGER_OIDC_URL is no https:// address: who is in between could be anybody.",
                hint="It is the provider's issuer: https://accounts.example.org/realms/house",
                id="tagger.E008",
            )
        ]
    return []
