"""What models and people did: read here, looked up by a document's id, linked to its page.

Nothing here counts a table, or offers a filter that would have to read all of one.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from review.models import (
    Candidate,
    Decision,
    Document,
    Note,
    Proposal,
    Role,
    Token,
    VocabularyVersion,
)
from review.models.key import key_in
from review.pipeline.find import models_known
from review.pipeline.propose import ask_again
from review.tasks import fill_queue

from .site import OfProject, ReadOnly, run_by, site

BY_ID = gettext_lazy("The whole id of a document. By words, the desk's documents page finds more.")


class OfDocument(ReadOnly):
    """A document, or rows that are about one."""

    readonly_fields = ["page"]

    @admin.display(description=gettext_lazy("page"))
    def page(self, row: Any) -> SafeString | str:
        """The link to the document's page at the desk."""
        document = row if isinstance(row, Document) else row.document
        if document is None:
            return ""
        try:
            url = reverse("document_page", args=[document.external_id])
        except NoReverseMatch:  # an id that no address can have
            return str(document.external_id)
        return format_html('<a href="{}">{}</a>', url, document.external_id)


class ByModel(admin.SimpleListFilter):
    title = gettext_lazy("model")
    parameter_name = "model"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in models_known()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(model=self.value()) if self.value() else queryset


class ByMember(admin.SimpleListFilter):
    title = gettext_lazy("reviewer")
    parameter_name = "reviewer"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        members = User.objects.filter(memberships__project__in=run_by(request)).distinct()
        return [(str(user.pk), user.username) for user in members.order_by("username")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        wanted = key_in(self.value() or "")
        return queryset if wanted is None else queryset.filter(reviewer=wanted)


@admin.register(Document, site=site)
class DocumentAdmin(OfDocument):
    list_display = ["__str__", "page", "state", "reason", "pinned", "created_at"]
    list_filter = ["state", "pinned", OfProject]
    search_fields = ["external_id__exact"]
    search_help_text = BY_ID
    actions = ["let_the_model_read_again", "pin", "unpin"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Document]:
        return super().get_queryset(request).defer("text", "html")

    def has_let_permission(self, request: HttpRequest) -> bool:
        return self.may(request, None)

    @admin.action(
        description=gettext_lazy("Ask the model again (failed documents)"), permissions=["let"]
    )
    def let_the_model_read_again(self, request: HttpRequest, documents: QuerySet[Document]) -> None:
        count = ask_again(documents)
        fill_queue()
        told = ngettext(
            "%(n)d document waits for the model again.",
            "%(n)d documents wait for the model again.",
            count,
        )
        self.message_user(request, told % {"n": count}, messages.SUCCESS)

    @admin.action(description=gettext_lazy("Pin to the front of the queue"), permissions=["let"])
    def pin(self, request: HttpRequest, documents: QuerySet[Document]) -> None:
        count = documents.update(pinned=True)
        self.message_user(request, _("Come first now: %(n)d.") % {"n": count})

    @admin.action(description=gettext_lazy("Unpin"), permissions=["let"])
    def unpin(self, request: HttpRequest, documents: QuerySet[Document]) -> None:
        count = documents.update(pinned=False)
        self.message_user(request, _("Take their turn again: %(n)d.") % {"n": count})


class Candidates(admin.TabularInline):
    model = Candidate
    fields = ["rank", "tags", "raw_reply", "temperature", "confidence"]
    readonly_fields = ["tags"]
    extra = 0

    @admin.display(description=gettext_lazy("tags"))
    def tags(self, candidate: Candidate) -> str:
        return str(candidate)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True  # where the proposal itself is to be seen

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    has_add_permission = has_delete_permission = has_change_permission


@admin.register(Proposal, site=site)
class ProposalAdmin(OfDocument):
    project = "document__project"
    list_display = ["document", "page", "model", "current", "error", "created_at"]
    list_filter = ["current", ByModel, OfProject]
    search_fields = ["document__external_id__exact"]
    search_help_text = BY_ID
    list_select_related = ["document"]
    inlines = [Candidates]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Proposal]:
        rows = super().get_queryset(request)
        return rows.defer("document__text", "document__html", "user_message", "calls")


@admin.register(Decision, site=site)
class DecisionAdmin(OfDocument):
    project = "document__project"
    list_display = ["document", "page", "reviewer", "kind", "candidate", "shown", "created_at"]
    list_filter = ["kind", ByMember, OfProject]
    search_fields = ["document__external_id__exact"]
    search_help_text = BY_ID
    list_select_related = ["document", "reviewer", "candidate"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Decision]:
        rows = super().get_queryset(request).defer("document__text", "document__html")
        return rows.prefetch_related("candidate__placed_tags__tag")


@admin.register(Note, site=site)
class NoteAdmin(OfDocument):
    list_display = ["__str__", "tag", "page", "author", "created_at", "done_at"]
    list_filter = [("done_at", admin.EmptyFieldListFilter), OfProject]
    search_fields = ["text", "tag__name"]
    list_select_related = ["tag", "document", "author"]


@admin.register(VocabularyVersion, site=site)
class VocabularyVersionAdmin(ReadOnly):
    list_display = ["__str__", "project", "created_at"]
    list_filter = [OfProject]
    search_fields = ["sha256__startswith"]


@admin.register(Token, site=site)
class TokenAdmin(ReadOnly):
    """What there is of a token: its hash opens nothing, and is not shown either."""

    least = Role.OWNER
    list_display = ["name", "user", "prefix", "scopes", "expires_at", "revoked_at", "last_used_at"]
    list_filter = [OfProject]
    search_fields = ["name", "prefix", "user__username"]
    exclude = ["sha256"]
