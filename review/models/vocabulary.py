"""The controlled vocabulary, the snapshots of it that models were shown, and its history."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower, Trim
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from .project import Project

MOST_MERGES = 100  # in a chain; more is a circle, which the pipeline refuses to make


class TagQuerySet(models.QuerySet["Tag"]):
    def active(self) -> TagQuerySet:
        """Those a model may answer with: neither retired nor merged into another."""
        return self.filter(retired_at=None, merged_into=None)

    def ends(self) -> dict[int, int]:
        """Of the tags here that were merged: by their ids, the ids where the chains end.

        Old decisions are read through this mapping; they are never rewritten.
        """
        merged: dict[int, int] = {}
        found = self.filter(merged_into__isnull=False)
        ahead = {pk: into for pk, into in found.values_list("pk", "merged_into") if into}
        while ahead:
            merged |= ahead
            further = Tag.objects.filter(pk__in=ahead.values(), merged_into__isnull=False)
            onwards = further.values_list("pk", "merged_into")
            ahead = {pk: into for pk, into in onwards if into and pk not in merged}
        return {pk: end_of(pk, merged) for pk in merged}


def end_of(pk: int, merged: dict[int, int]) -> int:
    """Where the chain from this tag ends; `merged`: into which ids they were merged, by id."""
    for _step in range(MOST_MERGES):
        if pk not in merged:
            break
        pk = merged[pk]
    return pk


class Tag(models.Model):
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="tags")
    number = models.PositiveIntegerField(
        help_text="The public id. Names may change, numbers never do."
    )
    name = models.CharField(max_length=100)
    description = models.TextField(blank=True, help_text="When to use it, in one line.")
    not_for = models.TextField(blank=True, help_text="When not to use it, in one line.")
    synonyms = models.JSONField(default=list, blank=True, help_text='A list: ["k8s", "kube"].')
    retired_at = models.DateTimeField(null=True, blank=True)
    merged_into = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="merged_from"
    )
    parent = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="children",
        help_text="The broader tag, for people and files; models are not told.",
    )

    objects = TagQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "number"],
                name="tag_number_unique",
                violation_error_message="Another tag has this number.",
            ),
            models.UniqueConstraint(
                "project",
                Lower("name"),
                name="tag_name_unique",
                violation_error_message="Another tag has this name.",
            ),
            models.CheckConstraint(
                name="tag_name_trimmed",
                condition=Q(name=Trim("name")) & ~Q(name=""),
                violation_error_message="A name is not empty and has no spaces at its ends.",
            ),
            models.CheckConstraint(
                name="tag_not_into_itself",
                condition=Q(merged_into=None) | ~Q(merged_into=F("id")),
                violation_error_message="A tag is not merged into itself.",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class VocabularyVersion(models.Model):
    """An immutable snapshot of a project's active tags: what a model was shown.

    `tags` is a list, sorted by name, of
    `{"id": number, "name": …, "description": …, "not_for": …}`; `sha256` is the hash of
    its canonical JSON, so that the same vocabulary is the same version.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="versions")
    sha256 = models.CharField(max_length=64)
    tags = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "sha256"], name="version_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.sha256[:8]} ({len(self.tags)} tags)"

    @cached_property
    def names(self) -> dict[int, str]:
        """The tags' names by their numbers."""
        return {tag["id"]: tag["name"] for tag in self.tags}

    @classmethod
    def current(cls, project: Project) -> VocabularyVersion:
        """The snapshot of the tags as they are now; made if there is none yet."""
        active = project.tags.active().values_list("number", "name", "description", "not_for")
        tags: list[dict[str, Any]] = [
            {"id": number, "name": name, "description": description, "not_for": not_for}
            for number, name, description, not_for in active
        ]
        # Sorted here, not by the database: collations differ, and with them the prompt's bytes.
        tags.sort(key=lambda tag: tag["name"])
        canonical = json.dumps(tags, sort_keys=True, ensure_ascii=False)
        sha256 = hashlib.sha256(canonical.encode()).hexdigest()
        version = cls.objects.filter(project=project, sha256=sha256).defer("tags").first()
        if version is None:
            version, _ = cls.objects.get_or_create(
                project=project, sha256=sha256, defaults={"tags": tags}
            )
        version.tags = tags  # the same, as the hash says: not read again for each document
        return version


class Verb(models.TextChoices):
    """What a curator does to the tag list."""

    ADD = "add", _("Added")
    DESCRIBE = "describe", _("Described")
    RENAME = "rename", _("Renamed")
    MERGE = "merge", _("Merged")
    SPLIT = "split", _("Split")
    RETIRE = "retire", _("Retired")
    RESTORE = "restore", _("Restored")
    IMPORT = "import", _("Imported")
    REVERT = "revert", _("Reverted")


class VocabularyChange(models.Model):
    """One act on the tag list, with what it did to each tag: never changed, only added."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="changes")
    verb = models.CharField(max_length=10, choices=Verb.choices)
    curator = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="Empty for a command on the server.",
    )
    version = models.ForeignKey(
        VocabularyVersion,
        on_delete=models.PROTECT,
        related_name="changes",
        help_text="What models are shown since.",
    )
    reverts = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="reverted_by"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["project", "-id"], name="vocabulary_change_latest")]

    def __str__(self) -> str:
        return f"{self.get_verb_display()}, {self.created_at:%Y-%m-%d %H:%M}"


class TagChange(models.Model):
    """What an act did to one tag.

    `before` and `after` as pipeline/vocabulary.py's Fields:
    `{"name": …, "description": …, "not_for": …, "synonyms": […], "retired": false,
    "merged_into": null or a number, "parent": null or a number}`; before is null for a new tag.
    """

    change = models.ForeignKey(VocabularyChange, on_delete=models.CASCADE, related_name="tags")
    tag = models.ForeignKey(Tag, on_delete=models.CASCADE, related_name="changes")
    before = models.JSONField(null=True)
    after = models.JSONField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["change", "tag"], name="tag_changed_once"),
        ]

    def __str__(self) -> str:
        return f"{self.tag}: {self.change}"
