"""The provider's side of signing in: OpenID Connect, as django-allauth speaks it, and stricter.

From allauth: the way there and back (state, PKCE, the code for tokens). Ours: who they are is
read from an ID token whose signature, audience, time and nonce were looked at. Imported only
where a provider is set: the libraries below it take memory.
"""

from __future__ import annotations

import hmac
import time
from typing import Any

import jwt
import requests
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.models import SocialApp
from allauth.socialaccount.providers.base import ProviderException
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from review.pipeline.identity import PROVIDER, Person

# With keys of which only the provider has the secret half.
SIGNED_BY = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")
KEPT_FOR = 600  # seconds, what the provider says of itself: no visitor makes us ask each time
LEEWAY = 60  # seconds that its clock may be off

_configurations: dict[str, tuple[float, dict[str, Any]]] = {}


class Odd(ValueError):
    """The provider says something that it must not."""


# Whatever comes of a server that is away, or says something else than it should.
FAULTS = (
    *(OAuth2Error, ProviderException, requests.RequestException, jwt.PyJWTError),
    *(KeyError, TypeError, ValueError, AttributeError),
)


class Adapter(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]  # allauth has no types
    def get_provider(self) -> Provider:
        return Provider.of(self.request)

    def get_callback_url(self, request: HttpRequest, app: SocialApp) -> str:
        return request.build_absolute_uri(reverse("provider_back"))

    @property
    def openid_config(self) -> dict[str, Any]:
        url = settings.OIDC_URL
        since, config = _configurations.get(url, (0.0, {}))
        if not config or time.monotonic() - since > KEPT_FOR:
            config = fetch(f"{url}/.well-known/openid-configuration")
            if config["issuer"].rstrip("/") != url:
                raise Odd("The issuer is not TAGGER_OIDC_URL.")
            if missing := [name for name in NEEDED if not isinstance(config.get(name), str)]:
                raise Odd(f"The provider does not name its {missing[0]}.")
            _configurations[url] = (time.monotonic(), config)
        return config

    def claims(self, token: str, nonce: str) -> dict[str, Any]:
        """What the ID token says, which the provider has made for us and for this visit."""
        issuer: str = self.openid_config["issuer"]
        claims: dict[str, Any] = jwt.decode(
            token,
            self.key_of(token),
            algorithms=SIGNED_BY,
            audience=settings.OIDC_CLIENT_ID,
            issuer=issuer,
            leeway=LEEWAY,
            options={"require": ["iss", "aud", "exp", "iat", "sub"]},
        )
        if claims.get("azp", settings.OIDC_CLIENT_ID) != settings.OIDC_CLIENT_ID:
            raise Odd("The token was made for another program.")
        if not hmac.compare_digest(str(claims.get("nonce")).encode(), nonce.encode()):
            raise Odd("The token was made for another visit.")
        return claims

    def key_of(self, token: str) -> jwt.PyJWK:
        """The one that the token names; if it names none, the only one."""
        keys = jwt.PyJWKSet.from_dict(fetch(self.openid_config["jwks_uri"])).keys
        name = jwt.get_unverified_header(token).get("kid")
        named = [key for key in keys if name is None or key.key_id == name]
        if len(named) != 1:
            raise Odd("The provider does not have the key of its token.")
        return named[0]

    def user_info(self, access_token: str, subject: str) -> dict[str, Any]:
        told = fetch(self.profile_url, Authorization=f"Bearer {access_token}")
        if told["sub"] != subject:
            raise Odd("The provider speaks of two persons.")
        return told


class Provider(OpenIDConnectProvider):  # type: ignore[misc]
    oauth2_adapter_class = Adapter

    @classmethod
    def of(cls, request: HttpRequest) -> Provider:
        """The one of the settings: rows of the database name none."""
        app = SocialApp(
            provider=cls.id,
            provider_id=PROVIDER,
            name=settings.OIDC_NAME,
            client_id=settings.OIDC_CLIENT_ID,
            secret=settings.OIDC_SECRET,
            settings={
                "server_url": settings.OIDC_URL,
                "oauth_pkce_enabled": True,
                "scope": ["openid", "email"],
            },
        )
        return cls(request, app=app)

    def person(self, state: dict[str, Any]) -> Person:
        """Who has come back with a code. Raises one of FAULTS."""
        adapter = self.get_oauth2_adapter(self.request)
        client = adapter.get_client(self.request, self.app)
        verifier = state["pkce_code_verifier"]
        answer = adapter.get_access_token_data(self.request, self.app, client, verifier)
        claims = adapter.claims(answer["id_token"], state["nonce"])
        # Both from one place: that an address is verified is said of no other address.
        said = claims
        if "email" not in claims and "userinfo_endpoint" in adapter.openid_config:
            said = adapter.user_info(answer["access_token"], claims["sub"])
        return Person(
            issuer=claims["iss"],
            subject=claims["sub"],
            email=str(said.get("email") or ""),
            verified=said.get("email_verified") in (True, "true"),  # some say it in words
        )


def fetch(url: str, **headers: str) -> dict[str, Any]:
    """A JSON object from the provider."""
    with get_adapter().get_requests_session() as session:
        answer = session.get(url, headers=headers)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
    if not isinstance(found, dict):
        raise Odd("The provider does not answer with an object.")
    return found
