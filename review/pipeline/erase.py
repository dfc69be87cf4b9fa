"""A person is erased: who they were goes, what they decided stays.

The account stays under a name that says nothing, because the decisions are its rows; nobody can
sign in to it any more. The chain knows people by a key only (models/chain.py), and releases by
another, so both are what they were. What goes and what stays is told in docs/people.md.
"""

from __future__ import annotations

import logging
import secrets
from importlib import import_module

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db import transaction
from django.utils.translation import gettext as _

from review.models import Document, GoldTurn, Release, Repeat
from review.models.decision import MACHINE

from .members import LastOwner, give_back, leave_an_owner
from .refusal import Conflict

ERASED = "erased-"  # what the names of erased accounts begin with

# What else belongs to an account, and stays: it says what was done, under the new name.
STAYS = {"review", "admin"}  # apps

news = logging.getLogger("tagger")


@transaction.atomic
def erase(user: User) -> str:
    """Returns the name that the account has from now on.

    Raises Conflict for an account that cannot be erased, or is the only owner of a project.
    """
    user = User.objects.select_for_update().get(pk=user.pk)
    if user.username == MACHINE:
        raise Conflict(_("This account is no person: documents are let through in its name."))
    if user.username.startswith(ERASED) and not user.is_active:
        raise Conflict(_("This account is erased already."))
    for membership in user.memberships.select_related("project"):
        try:
            leave_an_owner(membership)
        except LastOwner as refused:
            told = _("%(name)s is the only owner of “%(project)s”. Make somebody else one first.")
            named = {"name": user.username, "project": membership.project.name}
            raise Conflict(told % named) from refused
    name = f"{ERASED}{secrets.token_hex(6)}"
    _sign_out(user)
    give_back(Document.objects.all(), user)
    user.memberships.all().delete()
    user.tokens.all().delete()
    Repeat.objects.filter(reviewer=user, second=None).delete()
    GoldTurn.objects.filter(reviewer=user, decision=None).delete()
    for relation in User._meta.related_objects:  # second factors and the like
        if relation.related_model._meta.app_label not in STAYS:
            relation.related_model._base_manager.filter(**{relation.field.name: user}).delete()
    for log in (AccessAttempt, AccessFailureLog, AccessLog):
        log.objects.filter(username__iexact=user.username).delete()
    if user.email:
        for log in (AccessAttempt, AccessFailureLog, AccessLog):
            log.objects.filter(username__iexact=user.email).delete()
    _rename_in_filters(user.username, name)
    about = LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(User), object_id=str(user.pk)
    )
    about.update(object_repr=name, change_message="")
    _rename(user, name)
    news.info("Account %d was erased: it is called %s.", user.pk, name)
    return name


def _rename(user: User, name: str) -> None:
    user.username = name
    user.first_name = user.last_name = user.email = ""
    user.is_active = user.is_staff = user.is_superuser = False
    user.last_login = None
    user.set_unusable_password()
    user.save()
    user.groups.clear()
    user.user_permissions.clear()


def _sign_out(user: User) -> None:
    """Everywhere; the new password would do it as well, but the rows name the account."""
    store = import_module(settings.SESSION_ENGINE).SessionStore
    for session in Session.objects.iterator():
        if session.get_decoded().get(SESSION_KEY) == str(user.pk):
            store(session.session_key).delete()


def _rename_in_filters(old: str, new: str) -> None:
    """Releases keep the names that they were asked for by; their files have none."""
    for release in Release.objects.only("filters").iterator():
        filters, changed = dict(release.filters), False
        for field in ("reviewers", "without_reviewers"):
            names = filters.get(field) or []
            if old in names:
                filters[field] = [new if name == old else name for name in names]
                changed = True
        if changed:
            Release.objects.filter(pk=release.pk).update(filters=filters)
