"""How many documents a project has in each state, without counting them."""

from __future__ import annotations

from django.db import models
from django.db.models import Sum

from .document import DocumentState
from .project import Project


class TallyQuerySet(models.QuerySet["Tally"]):
    def of(self, project: Project) -> dict[str, int]:
        """The project's documents by state; every state is there."""
        sums = self.filter(project=project).values_list("state").annotate(sum=Sum("change"))
        return dict.fromkeys(DocumentState.values, 0) | dict(sums)

    def in_all(self) -> dict[str, int]:
        """The same for all projects together."""
        sums = self.values_list("state").annotate(sum=Sum("change"))
        return dict.fromkeys(DocumentState.values, 0) | dict(sums)


class Tally(models.Model):
    """A change of the number of documents in a state: the sum of the rows is the number.

    Triggers on the documents' table write it, in the transaction that changes the documents:
    no code can forget to. On PostgreSQL every statement adds rows, so that no pick waits for
    another, and the sweeper puts them together; on SQLite, where only one writes at a time
    anyhow, there is one row.
    """

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="tallies", db_constraint=False
    )
    state = models.CharField(max_length=10, choices=DocumentState.choices)
    change = models.BigIntegerField()

    objects = TallyQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["project", "state"], name="tally_by_state")]

    def __str__(self) -> str:
        return f"{self.state}: {self.change:+d}"
