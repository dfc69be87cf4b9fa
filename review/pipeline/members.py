"""Who works in a project: added, given another role, removed; and which project they work in."""

from __future__ import annotations

import secrets

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext as _

from review.models import Decision, Document, Membership, Project, Role, Standing


class LastOwner(Exception):
    """A project keeps an owner; the message is for the person who asked."""


def members_of(project: Project) -> QuerySet[Membership]:
    """The members by name; each with `last`, their latest act here, and `today`, what they
    decided here today and have not taken back.
    """
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    acts = Decision.objects.filter(document__project=project, reviewer=OuterRef("user"))
    latest = acts.order_by("-created_at").values("created_at")[:1]
    standing = Standing.objects.filter(
        document__project=project, reviewer=OuterRef("user"), decision__created_at__gte=midnight
    )
    number = standing.order_by().values("reviewer").annotate(number=Count("pk")).values("number")
    members = project.memberships.select_related("user").order_by("user__username")
    return members.annotate(last=Subquery(latest), today=Coalesce(Subquery(number), 0))


@transaction.atomic
def create_account(project: Project, name: str, role: Role) -> tuple[Membership, str]:
    """An account of this name, a member already, and its password, which is kept nowhere.

    Raises ValidationError where the name is taken or will not do.
    """
    user = User(username=name)
    user.full_clean(exclude=["password"])
    password = secrets.token_urlsafe(12)
    user.set_password(password)
    user.save()
    return Membership.objects.create(project=project, user=user, role=role), password


@transaction.atomic
def change_role(membership: Membership, role: Role) -> None:
    """Raises LastOwner."""
    if role != Role.OWNER:
        leave_an_owner(membership)
    membership.role = role
    membership.save(update_fields=["role"])


@transaction.atomic
def remove(membership: Membership) -> None:
    """What they decided stays, and what they hold goes to others. Raises LastOwner."""
    leave_an_owner(membership)
    held = Document.objects.filter(project=membership.project)
    give_back(held, membership.user)
    membership.delete()


def leave_an_owner(membership: Membership) -> None:
    """Of two owners who remove each other at once, one waits here and then is refused."""
    owners = (
        membership.project.memberships.filter(role=Role.OWNER).order_by("pk").select_for_update()
    )
    if [owner.pk for owner in owners] == [membership.pk]:
        raise LastOwner(_("A project needs an owner. Make somebody else one first."))


@transaction.atomic
def enter(membership: Membership) -> None:
    """From now on the user works in this project; what they hold in others is given back."""
    membership.entered_at = timezone.now()
    membership.save(update_fields=["entered_at"])
    give_back(Document.objects.exclude(project=membership.project), membership.user)


def give_back(documents: QuerySet[Document], user: User) -> None:
    """Let others have them; a late pick still counts while nobody took the document."""
    now = timezone.now()
    documents.filter(lease_holder=user, lease_expires_at__gt=now).update(lease_expires_at=now)
