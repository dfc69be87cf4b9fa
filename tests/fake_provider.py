"""An OpenID provider that speaks real HTTP, signs with RS256, and misbehaves on command.

Everybody who comes to `/authorize` is `person`, and is sent back at once. It is as strict as a
real one: a code works once, for the program it was made for, with the verifier of its challenge.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

CLIENT_ID = "tagger-at-the-house"
SECRET = "marked-client-secret-51b7"


@cache
def rsa_key(name: str) -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


def unchanged(claims: dict[str, Any]) -> dict[str, Any]:
    return claims


class FakeProvider:
    """person: what it says of who comes. twist: what is done to the claims before they are signed.

    answers: by path, what is said instead: (status, body). asked: the paths, in their order.
    """

    def __init__(self) -> None:
        self.person: dict[str, Any] = {
            "sub": "248289761001",
            "email": "alice@example.org",
            "email_verified": True,
        }
        self.twist: Callable[[dict[str, Any]], dict[str, Any]] = unchanged
        self.refuses = ""  # an error of OAuth
        self.thin = False  # the address is told at /userinfo only
        self.info: dict[str, Any] = {}  # what is told there, over `person`
        self.signed_with = rsa_key("its own")
        self.headers: dict[str, Any] = {"kid": "first"}
        self.configuration: dict[str, Any] = {}  # over the usual one
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.asked: list[str] = []
        self.codes: dict[str, dict[str, str]] = {}
        self.access_token = secrets.token_urlsafe(16)
        handler = type("Handler", (Handler,), {"fake": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/realms/house"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def id_token(self, asked: dict[str, str]) -> str:
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            **({"sub": self.person["sub"]} if self.thin else self.person),
        }
        key: Any = self.signed_with
        return jwt.encode(self.twist(claims), key, algorithm="RS256", headers=self.headers)


class Handler(BaseHTTPRequestHandler):
    fake: FakeProvider
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.route(parse_qs(urlsplit(self.path).query))

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self.route(parse_qs(self.rfile.read(length).decode()))

    def route(self, several: dict[str, list[str]]) -> None:
        fields = {name: values[-1] for name, values in several.items()}
        path = urlsplit(self.path).path.removeprefix("/realms/house")
        self.fake.asked.append(path)
        if path in self.fake.answers:
            status, body = self.fake.answers[path]
            return self.answer(status, body)
        pages: dict[str, Callable[[dict[str, str]], None]] = {
            "/.well-known/openid-configuration": self.configuration,
            "/authorize": self.authorize,
            "/token": self.token,
            "/userinfo": self.user_info,
            "/jwks": self.jwks,
        }
        return pages.get(path, self.nowhere)(fields)

    def nowhere(self, fields: dict[str, str]) -> None:
        self.say({"error": "not_found"}, 404)

    def configuration(self, fields: dict[str, str]) -> None:
        url = self.fake.url
        self.say(
            {
                "issuer": url,
                "authorization_endpoint": f"{url}/authorize",
                "token_endpoint": f"{url}/token",
                "userinfo_endpoint": f"{url}/userinfo",
                "jwks_uri": f"{url}/jwks",
                "token_endpoint_auth_methods_supported": ["client_secret_basic"],
                **self.fake.configuration,
            }
        )

    def authorize(self, fields: dict[str, str]) -> None:
        if self.fake.refuses:
            back = {"error": self.fake.refuses, "state": fields["state"]}
        else:
            code = secrets.token_urlsafe(16)
            self.fake.codes[code] = fields
            back = {"code": code, "state": fields["state"]}
        self.send_response(302)
        self.send_header("Location", f"{fields['redirect_uri']}?{urlencode(back)}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def token(self, fields: dict[str, str]) -> None:
        asked = self.fake.codes.pop(fields.get("code", ""), None)
        given = base64.b64encode(f"{CLIENT_ID}:{SECRET}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {given}":
            return self.say({"error": "invalid_client"}, 401)
        hashed = hashlib.sha256(fields.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(hashed).rstrip(b"=").decode()
        right = (
            asked is not None
            and fields.get("grant_type") == "authorization_code"
            and fields.get("redirect_uri") == asked["redirect_uri"]
            and asked["code_challenge_method"] == "S256"
            and asked["code_challenge"] == challenge
        )
        if not right or asked is None:
            return self.say({"error": "invalid_grant"}, 400)
        return self.say(
            {
                "access_token": self.fake.access_token,
                "token_type": "Bearer",
                "expires_in": 300,
                "id_token": self.fake.id_token(asked),
            }
        )

    def user_info(self, fields: dict[str, str]) -> None:
        if self.headers.get("Authorization") != f"Bearer {self.fake.access_token}":
            return self.say({"error": "invalid_token"}, 401)
        return self.say({**self.fake.person, **self.fake.info})

    def jwks(self, fields: dict[str, str]) -> None:
        algorithm = jwt.algorithms.RSAAlgorithm
        key = algorithm.to_jwk(rsa_key("its own").public_key(), as_dict=True)
        old = algorithm.to_jwk(rsa_key("of last year").public_key(), as_dict=True)
        of = {"use": "sig", "alg": "RS256"}
        self.say({"keys": [{**old, **of, "kid": "old"}, {**key, **of, "kid": "first"}]})

    def say(self, what: dict[str, Any], status: int = 200) -> None:
        self.answer(status, json.dumps(what).encode())

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass
