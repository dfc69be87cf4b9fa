"""The door of the admin, and what a row of a project is to those who run another."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin
from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import F, ForeignKey, Model, QuerySet
from django.forms import ModelChoiceField
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from review.models import Project, Role
from review.models.key import key_in
from review.pipeline import second_factor

MOST_COUNTED = 1_000  # rows of a list: nobody turns more pages


def asking(request: HttpRequest) -> User:
    """Who is behind the admin's door."""
    return cast(User, request.user)


def run_by(request: HttpRequest, least: Role = Role.CURATOR) -> QuerySet[Project]:
    """The projects in which whoever asks has at least this role; all of them for a superuser."""
    user = asking(request)
    if not user.is_active:
        return Project.objects.none()
    if user.is_superuser:
        return Project.objects.all()
    roles = [role for role in Role if role.covers(least)]
    return Project.objects.filter(memberships__user=user, memberships__role__in=roles)


def entered_last(request: HttpRequest) -> Project | None:
    """Of the projects that they run, the one that they entered last at the desk."""
    lately = F("entered_at").desc(nulls_last=True)
    entered = asking(request).memberships.order_by(lately, "project_id")
    projects = run_by(request).in_bulk()
    for key in entered.values_list("project_id", flat=True):
        if key in projects:
            return projects[key]
    return next(iter(projects.values()), None)


class Site(admin.AdminSite):
    site_header = site_title = "Tagger"
    index_title = gettext_lazy("Tags, documents and people")
    site_url = "/"

    def has_permission(self, request: HttpRequest) -> bool:
        if not self.has_role(request):
            return False
        user = asking(request)
        return second_factor.was_given_by(user) or not second_factor.is_asked_of(user)

    def has_role(self, request: HttpRequest) -> bool:
        """Whether they may enter, once it is certain enough who they are."""
        user = asking(request)
        return user.is_active and (user.is_superuser or run_by(request).exists())

    def index(  # type: ignore[override]
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The tag list is what people come for; the rest is a click away."""
        return redirect("admin:review_tag_changelist")

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The desk's own page is where everyone signs in."""
        if self.has_permission(request):
            return super().login(request, extra_context)  # on to where they wanted to go
        wanted = request.GET.get("next") or reverse("admin:index", current_app=self.name)
        if self.has_role(request):
            return redirect_to_login(wanted, reverse("second_factor"))
        if request.user.is_authenticated:
            raise PermissionDenied(
                _("The admin is for the curators and the owner of a project. Ask its owner.")
            )
        return redirect_to_login(wanted, reverse("sign_in"))


site = Site()


class Uncounted(Paginator):
    """Counts no further than people turn pages: a count of a million rows takes a second."""

    @cached_property
    def count(self) -> int:
        rows = cast("QuerySet[Any]", self.object_list)
        return rows.order_by()[:MOST_COUNTED].count()


class InProject(admin.ModelAdmin):
    """Rows that belong to a project: whoever runs another does not learn that they are there."""

    project = "project"  # the way from a row to its project
    least = Role.CURATOR

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        projects = run_by(request, self.least)
        return super().get_queryset(request).filter(**{f"{self.project}__in": projects})

    def may(self, request: HttpRequest, row: Model | None, least: Role | None = None) -> bool:
        """Whether they have the role in the row's project; without a row: in any."""
        projects = run_by(request, least or self.least)
        if row is None:
            return projects.exists()
        rows = type(row)._default_manager.filter(**{f"{self.project}__in": projects})
        return rows.filter(pk=row.pk).exists()

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.may(request, None)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.may(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may(request, None)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.may(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False  # what is done with stays: a tag is retired, a decision taken back

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> ModelChoiceField[Any] | None:
        if db_field.related_model is Project:
            kwargs["queryset"] = run_by(request)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


class ReadOnly(InProject):
    """Rows that only the machine or the desk writes: possibly millions of them."""

    ordering = ["-pk"]
    paginator = Uncounted
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # they count as well
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class OfProject(admin.SimpleListFilter):
    """The projects that they run, where there are several; without a look at the rows."""

    title = gettext_lazy("project")
    parameter_name = "of"
    way = "project"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        self.way = model_admin.project
        found = run_by(request, model_admin.least).order_by("name").values_list("pk", "name")
        return [(str(key), name) for key, name in found] if len(found) > 1 else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        wanted = key_in(self.value() or "")
        return queryset if wanted is None else queryset.filter(**{self.way: wanted})
