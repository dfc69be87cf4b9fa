"""Signing in at the house's own provider (OpenID Connect), where one is set: there and back.

Who may come in is said in review/pipeline/identity.py. Nothing else of allauth has an address.
"""

from __future__ import annotations

import logging
import secrets
from http import HTTPStatus
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render, resolve_url
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from review.pipeline.identity import NotKnown, account_of

from .second_factor import wanted

BACKEND = "django.contrib.auth.backends.ModelBackend"
AWAY_FOR = 600  # seconds that allauth remembers that somebody has gone

log = logging.getLogger(__name__)


def name() -> str:
    """What the provider is called; "" where none is set."""
    if not settings.OIDC_URL:
        return ""
    return settings.OIDC_NAME or urlsplit(settings.OIDC_URL).hostname or settings.OIDC_URL


@require_safe
@never_cache
def go(request: HttpRequest) -> HttpResponse:
    """To the provider. By a link: a form may lead to no other origin (the policy)."""
    if not name():
        raise Http404
    if request.user.is_authenticated:
        return redirect("queue")
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        return redirect("sign_in")  # another site does not sign anybody in
    from . import openid

    nonce = secrets.token_urlsafe(32)
    request.session.set_expiry(AWAY_FOR)
    try:
        answer: HttpResponse = openid.Provider.of(request).redirect(
            request,
            process="login",
            next_url=wanted(request),
            auth_params={"nonce": nonce},
            nonce=nonce,
        )
    except openid.FAULTS:
        return out_of_order(request)
    return answer


@require_safe
@never_cache
def back(request: HttpRequest) -> HttpResponse:
    """From the provider, with a code that only this visit can use."""
    if not name():
        raise Http404
    from . import openid

    provider = openid.Provider.of(request)
    try:
        state = provider.unstash_redirect_state(request, request.GET.get("state", ""))
    except PermissionDenied:
        return refused(request, _("This was begun elsewhere, or too long ago. Begin again."))
    if "code" not in request.GET:
        return refused(request, _("%(name)s did not let you in.") % {"name": name()})
    try:
        person = provider.person(state)
    except openid.FAULTS:
        return out_of_order(request)
    try:
        user = account_of(person)
    except NotKnown as unknown:
        return refused(request, str(unknown))
    request.session.flush()  # with all that was remembered for the way
    login(request, user, backend=BACKEND)
    return HttpResponseRedirect(state.get("next") or resolve_url(settings.LOGIN_REDIRECT_URL))


def out_of_order(request: HttpRequest) -> HttpResponse:
    """While an exception is handled."""
    log.warning("Nobody can sign in at the provider.", exc_info=True)
    told = _("%(name)s is away, or does not answer as it should. Try again later.")
    return refused(request, told % {"name": name()}, HTTPStatus.BAD_GATEWAY)


def refused(
    request: HttpRequest, why: str, status: HTTPStatus = HTTPStatus.FORBIDDEN
) -> HttpResponse:
    """The sign-in page with a sentence: a password may still help."""
    context = {"form": AuthenticationForm(request), "refused": why, "provider": name()}
    return render(request, "registration/login.html", context, status=status)
