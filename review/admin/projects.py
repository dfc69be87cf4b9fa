"""Projects, which their owners change, and accounts, which are the superusers'."""

from __future__ import annotations

from typing import Any

from axes.utils import reset as axes_reset
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Model, QuerySet
from django.forms import ChoiceField
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from review.llm.prompt import VERSIONS
from review.models import Decision, Membership, Project, Role
from review.pipeline import identity, second_factor
from review.pipeline.close import settle_counts

from .erasing import erase_selected
from .site import InProject, asking, site


class SuperusersOnly(admin.ModelAdmin):
    """Whatever permissions somebody was once given by name."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return asking(request).is_superuser

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.has_module_permission(request)

    has_change_permission = has_delete_permission = has_view_permission

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_module_permission(request)


@admin.register(User, site=site)
class Accounts(SuperusersOnly, UserAdmin):
    actions = ["let_in_again", "take_second_factor_away", "untie", erase_selected]

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """One by one, and not who decided something: that stays, and they can be erased."""
        decided = Decision.objects.filter(reviewer=obj.pk).exists() if obj else True
        return not decided and super().has_delete_permission(request, obj)

    @admin.action(description=_("Let them sign in again after too many wrong passwords"))
    def let_in_again(self, request: HttpRequest, users: QuerySet[User]) -> None:
        for name in users.values_list("username", flat=True):
            axes_reset(username=name)
        self.message_user(request, gettext("They may try again now."), messages.SUCCESS)

    @admin.action(description=_("Take their second factor away (lost telephone)"))
    def take_second_factor_away(self, request: HttpRequest, users: QuerySet[User]) -> None:
        count = sum(second_factor.take_away(user) for user in users)
        told = ngettext(
            "%(n)d second factor was taken away.", "%(n)d second factors were taken away.", count
        )
        self.message_user(request, told % {"n": count}, messages.SUCCESS)

    @admin.action(description=_("Forget who they are at the provider they sign in with"))
    def untie(self, request: HttpRequest, users: QuerySet[User]) -> None:
        count = sum(identity.untie(user) for user in users)
        told = ngettext("%(n)d tie was forgotten.", "%(n)d ties were forgotten.", count)
        self.message_user(request, told % {"n": count}, messages.SUCCESS)


@admin.register(Group, site=site)
class Groups(SuperusersOnly, GroupAdmin):
    pass


class MembershipInline(admin.TabularInline):
    """Owners choose their people on the desk's own page, which keeps a project its last owner."""

    model = Membership
    extra = 0

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return True  # where the project itself is to be seen

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return asking(request).is_superuser

    has_add_permission = has_delete_permission = has_change_permission


@admin.register(Project, site=site)
class ProjectAdmin(InProject):
    list_display = ["name", "max_tags", "reviews_needed"]
    inlines = [MembershipInline]
    project = "pk"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return asking(request).is_superuser

    def get_readonly_fields(self, request: HttpRequest, obj: Project | None = None) -> list[str]:
        """Curators choose the prompt; the rest is the owner's."""
        if obj is None or self.may(request, obj, Role.OWNER):
            return []
        return [field.name for field in Project._meta.fields if field.name not in ("id", "prompt")]

    def get_form(
        self, request: HttpRequest, obj: Project | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        """The prompt is one of the versions that there are."""
        form = super().get_form(request, obj, change=change, **kwargs)
        field = form.base_fields["prompt"]
        link = format_html('<a href="{}">{}</a>', reverse("prompt"), _("See them"))
        form.base_fields["prompt"] = ChoiceField(
            choices=[("", _("As is measured to be best")), *((name, name) for name in VERSIONS)],
            required=False,
            help_text=format_html("{} {}", field.help_text, link),
        )
        return form

    def save_model(self, request: HttpRequest, obj: Project, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        opened, closed = settle_counts(obj)
        if opened or closed:
            told = f"{opened} documents were opened again, {closed} are done."
            self.message_user(request, told)
