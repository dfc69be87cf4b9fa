"""The controlled vocabulary, and the snapshots of it that models were shown."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower, Trim

from .project import Project


class TagQuerySet(models.QuerySet["Tag"]):
    def active(self) -> TagQuerySet:
        """Those a model may answer with: neither retired nor merged into another."""
        return self.filter(retired_at=None, merged_into=None)


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

    @classmethod
    def current(cls, project: Project) -> VocabularyVersion:
        """The snapshot of the tags as they are now; made if there is none yet."""
        tags: list[dict[str, Any]] = [
            {
                "id": tag.number,
                "name": tag.name,
                "description": tag.description,
                "not_for": tag.not_for,
            }
            for tag in project.tags.active()
        ]
        # Sorted here, not by the database: collations differ, and with them the prompt's bytes.
        tags.sort(key=lambda tag: tag["name"])
        canonical = json.dumps(tags, sort_keys=True, ensure_ascii=False)
        sha256 = hashlib.sha256(canonical.encode()).hexdigest()
        version, _ = cls.objects.get_or_create(
            project=project, sha256=sha256, defaults={"tags": tags}
        )
        return version
