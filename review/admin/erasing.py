"""Accounts are erased: who decided something cannot be deleted, but they can be forgotten."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from review.pipeline.erase import erase
from review.pipeline.refusal import Conflict

from .site import asking


@admin.action(description=gettext_lazy("Erase who they are (what they decided stays)"))
def erase_selected(
    accounts: Any, request: HttpRequest, users: QuerySet[User]
) -> HttpResponse | None:
    """Asks first: it cannot be taken back."""
    if "confirmed" not in request.POST:
        context = {
            **accounts.admin_site.each_context(request),
            "title": _("Erase accounts"),
            "users": users,
            "chosen": ACTION_CHECKBOX_NAME,
            "opts": accounts.opts,
        }
        return TemplateResponse(request, "admin/erase.html", context)
    for user in users:
        if user == asking(request):
            told = _("You cannot erase the account that you are signed in to.")
            accounts.message_user(request, told, messages.ERROR)
            continue
        try:
            name = erase(user)
        except Conflict as refused:
            accounts.message_user(request, str(refused), messages.ERROR)
        else:
            told = _("Erased. What was decided is under %(name)s.") % {"name": name}
            accounts.message_user(request, told, messages.SUCCESS)
    return None
