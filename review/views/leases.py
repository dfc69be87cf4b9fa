"""What the open page says of itself: I am still here; I am gone."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_POST

from review.pipeline import gold, queue, repeat

from .access import signed_in


@require_POST
@login_required
def renew(request: HttpRequest) -> HttpResponse:
    """204, or 409 when one of the leases is lost."""
    user = signed_in(request)
    kept = [
        queue.renew(user, lease)
        or repeat.held(user, lease) is not None
        or gold.held(user, lease) is not None
        for lease in posted_leases(request)
    ]
    return HttpResponse(status=204 if all(kept) else 409)


@require_POST
@login_required
def release(request: HttpRequest) -> HttpResponse:
    user = signed_in(request)
    for lease in posted_leases(request):
        queue.release(user, lease)
    return HttpResponse(status=204)


def posted_leases(request: HttpRequest) -> Iterator[uuid.UUID]:
    """The leases of the form: a page holds two at most."""
    for value in request.POST.getlist("lease")[:5]:
        try:
            yield uuid.UUID(value)
        except ValueError:
            continue
