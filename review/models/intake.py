"""How documents came in: each import with its errors, and what became of texts that changed."""

from __future__ import annotations

import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .document import Document, Markup
from .project import Project


class ImportState(models.TextChoices):
    ASKING = "asking", _("Waiting for your answer")  # which column is which
    WAITING = "waiting", _("Waiting for a worker")
    RUNNING = "running", _("Loading")
    DONE = "done", _("Done")
    REFUSED = "refused", _("Refused")
    STOPPED = "stopped", _("Stopped")


class ImportQuerySet(models.QuerySet["Import"]):
    def due(self, now: datetime.datetime) -> ImportQuerySet:
        """Those that a worker should take up: new ones, and those whose worker died."""
        dead = Q(state=ImportState.RUNNING, lease_expires_at__lte=now)
        return self.filter(Q(state=ImportState.WAITING) | dead).order_by("pk")


class Import(models.Model):
    """One file, folder or page on its way in. It is a job: its worker holds a lease.

    The counts are written in the transaction that stores the rows that they count, so that a
    worker that takes over goes on at row `rows` + 1, and nothing is done twice or left out.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="imports")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="Who brought it; empty for one that was loaded by a command.",
    )
    name = models.CharField(max_length=2000, help_text="The file's name, or the address.")
    format = models.CharField(max_length=20)
    columns = models.JSONField(default=dict, help_text="Which column is which: see readers/row.")
    upload = models.CharField(
        max_length=100, blank=True, help_text="The file below var/uploads, until it is loaded."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    state = models.CharField(
        max_length=10, choices=ImportState.choices, default=ImportState.WAITING
    )
    reason = models.TextField(blank=True, help_text="Why it was refused, in a sentence.")
    bytes_total = models.BigIntegerField(default=0)
    bytes_done = models.BigIntegerField(default=0)
    rows = models.PositiveIntegerField(default=0, help_text="Read so far, good and bad.")
    added = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0)
    replaced = models.PositiveIntegerField(default=0)
    kept = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    duplicates = models.PositiveIntegerField(default=0)

    attempts = models.PositiveSmallIntegerField(default=0, help_text="Since the last progress.")
    lease_token = models.UUIDField(null=True)
    lease_expires_at = models.DateTimeField(null=True)

    objects = ImportQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["project", "-id"], name="import_newest_first"),
            models.Index(
                fields=["id"],
                name="import_open",
                condition=Q(state__in=[ImportState.WAITING, ImportState.RUNNING]),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def moves(self) -> bool:
        """Whether a worker has it or will."""
        return self.state in (ImportState.WAITING, ImportState.RUNNING)

    @property
    def percent(self) -> int:
        if self.state == ImportState.DONE:
            return 100
        return min(99, 100 * self.bytes_done // self.bytes_total) if self.bytes_total else 0


class ImportProblem(models.Model):
    """A row that did not become a document that can be tagged, and why."""

    intake = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="problems")
    line = models.PositiveIntegerField(help_text="Where the row begins; 0: it has no lines.")
    external_id = models.CharField(max_length=500, blank=True, help_text="As far as it is known.")
    field = models.CharField(max_length=20, blank=True, help_text="Empty: the row as a whole.")
    reason = models.CharField(max_length=500)

    def __str__(self) -> str:
        return self.reason


class Columns(models.Model):
    """Which column is which, as it was answered for files with this header."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="columns")
    header_sha256 = models.CharField(max_length=64)
    columns = models.JSONField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "header_sha256"], name="columns_once_a_header"
            ),
        ]

    def __str__(self) -> str:
        return str(self.columns)


class DocumentRevision(models.Model):
    """Another text of a document: one it had before, or a new one that waits for a curator.

    A new text takes the old one's place by itself where no review counts yet. Where people have
    reviewed the old text, the new one waits here until a curator says what becomes of their
    decisions: see pipeline/revise.
    """

    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="revisions")
    waits = models.BooleanField(default=False, help_text="For a curator, to take its place.")
    title = models.CharField(max_length=500, blank=True)
    text = models.TextField()
    markup = models.CharField(max_length=10, choices=Markup.choices, default=Markup.MARKDOWN)
    source = models.CharField(max_length=2000, blank=True)
    sha256 = models.CharField(max_length=64, help_text="Of the text, UTF-8.")
    intake = models.ForeignKey(
        Import, null=True, on_delete=models.SET_NULL, related_name="revisions"
    )
    created_at = models.DateTimeField(
        auto_now_add=True, help_text="When the new text came in, or the old one was replaced."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["document"], condition=Q(waits=True), name="revision_waits_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.document_id}: {self.title}"


class Duplicate(models.Model):
    """A document whose text is the same as that of one that was there before."""

    document = models.OneToOneField(
        Document, primary_key=True, on_delete=models.CASCADE, related_name="duplicate_of"
    )
    first = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="duplicates")
    intake = models.ForeignKey(
        Import, null=True, on_delete=models.SET_NULL, related_name="duplicate_links"
    )

    def __str__(self) -> str:
        return f"{self.document_id} = {self.first_id}"
