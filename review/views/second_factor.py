"""Everybody's own second factor: set up, asked for before the admin, taken away."""

from __future__ import annotations

from typing import Any

import django_otp
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from review.pipeline import second_factor

from .access import signed_in


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def page(request: HttpRequest) -> HttpResponse:
    """One page for all of it; `act` says which form was sent."""
    user = signed_in(request)
    if request.method != "POST":
        return show(request, user)
    may_change = second_factor.was_given_by(user) or not second_factor.has_one(user)
    match request.POST.get("act"):
        case "check":
            return give(request, user)
        case "begin" if may_change:
            second_factor.begin(user)
            return show(request, user)
        case "confirm" if may_change:
            return confirm(request, user)
        case "codes" if second_factor.was_given_by(user):
            return show(request, user, codes=second_factor.new_codes(user))
        case "remove" if second_factor.was_given_by(user):
            second_factor.take_away(user)
            messages.success(request, _("Your second factor is no longer asked for."))
        case _other:
            messages.error(request, _("Nothing was changed. Type a code first."))
    return redirect("second_factor")


def give(request: HttpRequest, user: User) -> HttpResponse:
    """A code before the admin's door."""
    device = second_factor.check(user, request.POST.get("code", ""))
    if device is None:
        return show(request, user, problem=wrong(), status=422)
    django_otp.login(request, device)
    request.session.cycle_key()
    return redirect(wanted(request) or "second_factor")


def confirm(request: HttpRequest, user: User) -> HttpResponse:
    confirmed = second_factor.confirm(user, request.POST.get("code", ""))
    if confirmed is None:
        return show(request, user, problem=wrong(), status=422)
    device, codes = confirmed
    django_otp.login(request, device)
    request.session.cycle_key()
    return show(request, user, codes=codes)


def wrong() -> str:
    return _("This code does not work, or it came too soon after a wrong one. Wait for the next.")


def wanted(request: HttpRequest) -> str:
    """Where they were going, on this site; else ""."""
    place = request.POST.get("next") or request.GET.get("next") or ""
    here = url_has_allowed_host_and_scheme(
        place, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return place if here else ""


def show(request: HttpRequest, user: User, status: int = 200, **said: Any) -> HttpResponse:
    """The page. `said`: a problem with the code, or the recovery codes, this once."""
    has_one, given = second_factor.has_one(user), second_factor.was_given_by(user)
    begun = second_factor.begun(user) if given or not has_one else None
    context = {
        "has_one": has_one,
        "given": given,
        "left": second_factor.codes_left(user) if given else 0,
        "next": wanted(request),
        "asked": second_factor.is_asked_of(user),
        **said,
    }
    if begun is not None:
        context |= {
            "drawing": second_factor.drawing(begun),
            "secret": second_factor.secret_in_words(begun),
        }
    context["onwards"] = context["next"] or reverse("queue")
    return render(request, "review/second_factor.html", context, status=status)
