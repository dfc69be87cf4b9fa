"""The menu in the header of every page: where its reader may go, and their other projects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from review.models import DocumentState, Membership, Project, Role, Tally
from review.pipeline.note import MOST_COUNTED, open_notes

from .access import by_entry

# The name of an address, what it is called, and who may open it.
DOORS: list[tuple[str, Promise, Role]] = [
    ("queue", _("Queue"), Role.REVIEWER),
    ("documents", _("Documents"), Role.CURATOR),
    ("imports", _("Import"), Role.CURATOR),
    ("disputes", _("Disputes"), Role.CURATOR),
    ("agreement", _("Agreement"), Role.CURATOR),
    ("gold", _("Gold"), Role.CURATOR),
    ("quality", _("Quality"), Role.CURATOR),
    ("insight", _("Insight"), Role.CURATOR),
    ("releases", _("Releases"), Role.CURATOR),
    ("trainings", _("Trainings"), Role.CURATOR),
    ("prompt", _("Prompt"), Role.CURATOR),
    ("in_use", _("Model in use"), Role.CURATOR),
    ("notes", _("Notes"), Role.CURATOR),
    ("models", _("Models"), Role.OWNER),
    ("spending", _("Spending"), Role.OWNER),
    ("auto_accept", _("Auto-accept"), Role.OWNER),
    ("people", _("People"), Role.OWNER),
    ("status", _("Status"), Role.OWNER),
    ("tokens", _("API tokens"), Role.OWNER),
    ("webhooks", _("Webhooks"), Role.OWNER),
    ("admin:index", _("Admin"), Role.CURATOR),
]


# How much waits behind a door.
WAITING: dict[str, Callable[[Project], int]] = {
    "disputes": lambda project: Tally.objects.of(project)[DocumentState.DISPUTED],
    "notes": open_notes,
}


@dataclass(frozen=True)
class Door:
    name: Promise
    url: str
    here: bool
    count: str = ""  # of what waits behind it


@dataclass(frozen=True)
class Menu:
    doors: list[Door]
    others: list[Membership]  # of the projects that they may change to


def menu(request: HttpRequest) -> dict[str, Callable[[], Menu | None]]:
    """Called by the template that shows it: a fragment, which does not, costs no query."""
    return {"menu": lambda: menu_of(request)}


def menu_of(request: HttpRequest) -> Menu | None:
    user: User | AnonymousUser = request.user
    if isinstance(user, AnonymousUser):
        return None
    memberships = list(by_entry(user))
    roles = [Role(membership.role) for membership in memberships[:1]]
    doors = []
    for name, called, least in DOORS:
        runs_all = user.is_superuser and name == "admin:index"
        if not runs_all and not any(role.covers(least) for role in roles):
            continue
        try:
            url = reverse(name)
        except NoReverseMatch:
            continue
        count = WAITING[name](memberships[0].project) if name in WAITING else 0
        shown = f"{MOST_COUNTED - 1}+" if count >= MOST_COUNTED else str(count or "")
        doors.append(Door(called, url, request.path == url, shown))
    return Menu(doors, memberships[1:])
