"""Who asks: a program that holds a token, with the scope that the address needs."""

from __future__ import annotations

from http import HTTPStatus

from django.http import Http404, HttpRequest
from django.utils.translation import gettext as _
from ninja.security import HttpBearer

from review.caller import address_of
from review.models import Project, Role, Scope, Token
from review.pipeline import token as tokens

from .problem import Refused

# The least role of its user for each scope, now and not when the token was made.
LEAST = {Scope.READ: Role.REVIEWER, Scope.WRITE: Role.CURATOR, Scope.REVIEW: Role.REVIEWER}


class Bearer(HttpBearer):
    """`Authorization: Bearer tagger_…`. Signing in with a browser opens nothing here: a page of
    somebody else's cannot ask in a user's name.
    """

    def __init__(self, scope: Scope, least: Role | None = None) -> None:
        super().__init__()
        self.scope = scope
        self.least = least or LEAST[scope]

    def authenticate(self, request: HttpRequest, text: str) -> Token:
        found = tokens.find(text)
        if found is None:
            if seconds := tokens.wait_after_wrong(address_of(request) or "nowhere"):
                raise Refused(
                    HTTPStatus.TOO_MANY_REQUESTS,
                    _("Too many tokens that do not work came from your address."),
                    {"Retry-After": str(seconds)},
                )
            raise Refused(
                HTTPStatus.UNAUTHORIZED,
                _("This token does not work: it is mistyped, revoked or expired."),
                {"WWW-Authenticate": 'Bearer error="invalid_token"'},
            )
        token, role = found
        if seconds := tokens.wait(token):
            raise Refused(
                HTTPStatus.TOO_MANY_REQUESTS,
                _("Too many calls in this minute. Go on after %(s)d seconds.") % {"s": seconds},
                {"Retry-After": str(seconds)},
            )
        if self.scope not in token.scopes:
            told = _("This token may not do this: it lacks the scope “%(scope)s”.")
            raise Refused(HTTPStatus.FORBIDDEN, told % {"scope": self.scope.value})
        if not role.covers(self.least):
            told = _("The user of this token may not do this in the project any more.")
            raise Refused(HTTPStatus.FORBIDDEN, told)
        return token


READ, WRITE, REVIEW = Bearer(Scope.READ), Bearer(Scope.WRITE), Bearer(Scope.REVIEW)
CURATE = Bearer(Scope.READ, Role.CURATOR)  # what only curators see on the pages


def token_of(request: HttpRequest) -> Token:
    """The token behind a Bearer."""
    token = request.auth  # type: ignore[attr-defined]
    assert isinstance(token, Token)  # noqa: S101 -- ninja has authenticated it
    return token


def project_of(request: HttpRequest, project_id: int) -> Project:
    """The project, if it is the token's; else 404, as if it were not there."""
    project = token_of(request).project
    if project.pk != project_id:
        raise Http404
    return project
