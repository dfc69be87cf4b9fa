"""What programs get of a project, for its owner: tokens to ask with, webhooks to be told by."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from review.models import (
    Attempt,
    Delivery,
    DeliveryState,
    Event,
    Off,
    Project,
    Role,
    Scope,
    Webhook,
)
from review.models.key import key_in
from review.pipeline import token as keys
from review.pipeline import webhook as calls

from .access import project_of, signed_in

DAYS = (30, 90, 365, 1095)  # that a token may live; a year is offered first
EVENTS = [event for event in Event if event != Event.TEST]
SHOWN = 50  # deliveries on a page


@require_safe
@login_required
@never_cache
def tokens(request: HttpRequest) -> HttpResponse:
    return tokens_page(request, owned(request))


@require_POST
@login_required
@never_cache
def token_add(request: HttpRequest) -> HttpResponse:
    project = owned(request)
    name = request.POST.get("name", "").replace("\0", "").strip()[:100]
    scopes = [Scope(scope) for scope in request.POST.getlist("scopes") if scope in Scope.values]
    asked = {"name": name, "chosen": scopes}
    if not name:
        return tokens_page(request, project, problem=_("Say what the token is for."), **asked)
    if not scopes:
        problem = _("Choose at least one thing that the token may do.")
        return tokens_page(request, project, problem=problem, **asked)
    days = request.POST.get("days", "")
    lifetime = int(days) if days in map(str, DAYS) else 365
    token, text = keys.make(project, signed_in(request), name, scopes, lifetime)
    return tokens_page(request, project, created=token, text=text)


@require_POST
@login_required
@never_cache
def token_revoke(request: HttpRequest, token_id: int) -> HttpResponse:
    token = get_object_or_404(owned(request).tokens, pk=token_id)
    keys.revoke(token)
    messages.success(request, _("“%(name)s” does not work any more.") % {"name": token.name})
    return redirect("tokens")


@require_safe
@login_required
@never_cache
def webhooks(request: HttpRequest) -> HttpResponse:
    return webhooks_page(request, owned(request))


@require_POST
@login_required
@never_cache
def webhook_add(request: HttpRequest) -> HttpResponse:
    project = owned(request)
    url = request.POST.get("url", "").strip()
    events = [event for event in EVENTS if event in request.POST.getlist("events")]
    problem = ""
    if not url.startswith(("https://", "http://")) or len(url) > 2000 or "\0" in url:
        problem = _("Give an address that begins with https:// or http://.")
    elif not events:
        problem = _("Choose at least one thing to be told of.")
    if problem:
        return webhooks_page(request, project, problem=problem, url=url, chosen=events)
    return webhooks_page(request, project, created=calls.register(project, url, events))


@require_safe
@login_required
@never_cache
def webhook(request: HttpRequest, webhook_id: int) -> HttpResponse:
    """One webhook: its deliveries, the newest first, with every attempt and its answer."""
    found = webhook_of(request, webhook_id)
    deliveries = found.deliveries.select_related("document").defer("document__text", "body")
    before = key_in(request.GET.get("before", ""))
    if before is not None:
        deliveries = deliveries.filter(pk__lt=before)
    listed = list(deliveries.prefetch_related("calls").order_by("-pk")[: SHOWN + 1])
    context = {
        "project": found.project,
        "webhook": found,
        "events": [Event(event).label for event in found.events],
        "deliveries": listed[:SHOWN],
        "older": listed[SHOWN - 1].pk if len(listed) > SHOWN else None,
        "failed": found.deliveries.filter(state=DeliveryState.FAILED).count(),
    }
    return render(request, "review/webhook.html", context)


@require_POST
@login_required
def webhook_test(request: HttpRequest, webhook_id: int) -> HttpResponse:
    found = webhook_of(request, webhook_id)
    say(request, calls.test(found))
    return redirect("webhook", found.pk)


@require_POST
@login_required
def webhook_switch(request: HttpRequest, webhook_id: int) -> HttpResponse:
    """Off, or on again."""
    found = webhook_of(request, webhook_id)
    if "on" in request.POST:
        calls.switch_on(found)
    else:
        calls.switch_off(found, Off.HAND)
    return redirect("webhook", found.pk)


@require_POST
@login_required
def webhook_remove(request: HttpRequest, webhook_id: int) -> HttpResponse:
    found = webhook_of(request, webhook_id)
    found.delete()
    messages.success(request, _("%(url)s was removed.") % {"url": found.url})
    return redirect("webhooks")


@require_POST
@login_required
def webhook_replay(request: HttpRequest, webhook_id: int) -> HttpResponse:
    """All that were given up."""
    found = webhook_of(request, webhook_id)
    calls.replay_failed(found)
    messages.success(request, _("They will be sent again within the next minutes."))
    return redirect("webhook", found.pk)


@require_POST
@login_required
def delivery_replay(request: HttpRequest, delivery_id: int) -> HttpResponse:
    deliveries = Delivery.objects.filter(webhook__project=owned(request))
    found = get_object_or_404(deliveries.select_related("webhook__project"), pk=delivery_id)
    say(request, calls.replay(found))
    return redirect("webhook", found.webhook_id)


def owned(request: HttpRequest) -> Project:
    return project_of(signed_in(request), Role.OWNER)


def webhook_of(request: HttpRequest, webhook_id: int) -> Webhook:
    """The webhook, in the owner's project; else 404."""
    return get_object_or_404(owned(request).webhooks.select_related("project"), pk=webhook_id)


def say(request: HttpRequest, attempt: Attempt | None) -> None:
    """What came of the call that was made just now."""
    if attempt is None:
        messages.error(request, _("Nothing was sent: the document is not so any more."))
    elif attempt.status is None:
        messages.error(request, _("It was not heard. %(why)s") % {"why": attempt.problem})
    elif calls.heard(attempt):
        messages.success(request, _("It was heard: %(status)d.") % {"status": attempt.status})
    else:
        told = _("It was not heard: the answer was %(status)d.")
        messages.error(request, told % {"status": attempt.status})


def tokens_page(request: HttpRequest, project: Project, **said: Any) -> HttpResponse:
    """The list. `said`: a problem with what was asked and its fields, or a new token."""
    now = timezone.now()
    context = {
        "project": project,
        "tokens": [(token, token.works(now)) for token in keys.tokens_of(project)],
        "scopes": Scope.choices,
        "chosen": [Scope.READ],
        "days": [(days, days == 365) for days in DAYS],
        "now": now,
        **said,
    }
    return render(request, "review/tokens.html", context, status=422 if "problem" in said else 200)


def webhooks_page(request: HttpRequest, project: Project, **said: Any) -> HttpResponse:
    """The list. `said`: a problem with what was asked and its fields, or a new webhook."""
    events = [(event, event.label) for event in EVENTS]
    context = {
        "project": project,
        "webhooks": project.webhooks.order_by("pk"),
        "events": events,
        "chosen": [Event.REVIEWED],
        **said,
    }
    return render(
        request, "review/webhooks.html", context, status=422 if "problem" in said else 200
    )
