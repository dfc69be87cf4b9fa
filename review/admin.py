"""The admin: the tag list is edited here; what models and people did is only read."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from review.models import Decision, Document, Membership, Project, Proposal, Tag
from review.pipeline.propose import ask_again
from review.pipeline.queue import settle_counts
from review.tasks import fill_queue

admin.site.site_header = "Tagger"
admin.site.site_title = "Tagger"
admin.site.index_title = "Tags, documents and people"


class ReadOnly(admin.ModelAdmin):
    """Rows that only the machine or the desk writes."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Tag)
class TagAdmin(admin.ModelAdmin):
    list_display = ["name", "number", "description", "not_for", "is_active"]
    list_editable = ["description", "not_for"]
    list_filter = [("retired_at", admin.EmptyFieldListFilter), "project"]
    list_per_page = 200
    search_fields = ["name", "number", "description", "not_for", "synonyms"]
    ordering = ["name"]
    fields = ["project", "number", "name", "description", "not_for", "synonyms", "retired_at"]
    actions = ["retire", "restore"]

    @admin.display(boolean=True, description="active")
    def is_active(self, tag: Tag) -> bool:
        return tag.retired_at is None and tag.merged_into_id is None

    def get_readonly_fields(self, request: HttpRequest, obj: Tag | None = None) -> list[str]:
        # Numbers never change: what is outside knows a tag by its number.
        return ["project", "number"] if obj else []

    def has_delete_permission(self, request: HttpRequest, obj: Tag | None = None) -> bool:
        return False  # a tag is retired: answers and decisions still name it

    @admin.action(description="Retire: models are no longer shown it")
    def retire(self, request: HttpRequest, tags: QuerySet[Tag]) -> None:
        count = tags.filter(retired_at=None).update(retired_at=timezone.now())
        self.message_user(request, f"{count} tags retired.", messages.SUCCESS)

    @admin.action(description="Restore")
    def restore(self, request: HttpRequest, tags: QuerySet[Tag]) -> None:
        count = tags.exclude(retired_at=None).update(retired_at=None)
        self.message_user(request, f"{count} tags restored.", messages.SUCCESS)


class MembershipInline(admin.TabularInline):
    model = Membership
    extra = 1


@admin.register(Project)
class ProjectAdmin(admin.ModelAdmin):
    list_display = ["name", "max_tags", "reviews_needed"]
    inlines = [MembershipInline]

    def has_delete_permission(self, request: HttpRequest, obj: Project | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Project, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        opened, closed = settle_counts(obj)
        if opened or closed:
            told = f"{opened} documents were opened again, {closed} are done."
            self.message_user(request, told)


@admin.register(Document)
class DocumentAdmin(ReadOnly):
    list_display = ["__str__", "external_id", "state", "reason", "pinned", "created_at"]
    list_filter = ["state", "pinned", "project"]
    search_fields = ["external_id", "title"]
    show_full_result_count = False
    list_per_page = 50
    actions = ["let_the_model_read_again", "pin", "unpin"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Document]:
        return super().get_queryset(request).defer("text")

    def has_let_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("review.change_document")

    @admin.action(description="Ask the model again (failed documents)", permissions=["let"])
    def let_the_model_read_again(self, request: HttpRequest, documents: QuerySet[Document]) -> None:
        count = ask_again(documents)
        fill_queue()
        self.message_user(request, f"{count} documents wait for the model again.")

    @admin.action(description="Pin to the front of the queue", permissions=["let"])
    def pin(self, request: HttpRequest, documents: QuerySet[Document]) -> None:
        count = documents.update(pinned=True)
        self.message_user(request, f"{count} documents come first.")

    @admin.action(description="Unpin", permissions=["let"])
    def unpin(self, request: HttpRequest, documents: QuerySet[Document]) -> None:
        count = documents.update(pinned=False)
        self.message_user(request, f"{count} documents take their turn again.")


@admin.register(Proposal)
class ProposalAdmin(ReadOnly):
    list_display = ["document", "model", "prompt_version", "current", "error", "created_at"]
    list_filter = ["current", "model", "prompt_version"]
    search_fields = ["document__external_id", "document__title"]
    list_select_related = ["document"]
    show_full_result_count = False
    list_per_page = 50


@admin.register(Decision)
class DecisionAdmin(ReadOnly):
    list_display = ["document", "reviewer", "kind", "candidate", "shown", "created_at"]
    list_filter = ["kind", "reviewer"]
    search_fields = ["document__external_id", "document__title"]
    list_select_related = ["document", "reviewer", "candidate"]
    show_full_result_count = False
    list_per_page = 50
