"""The sums of documents by state: the database keeps them, whatever changes the documents."""

from __future__ import annotations

from django.db import connection, transaction
from django.db.models import Count
from django.db.utils import DatabaseError

from review.models import (
    Decision,
    DecisionKind,
    DecisionTag,
    Document,
    DocumentState,
    Project,
    Tally,
)
from review.pipeline import sweep

from .base import HouseTestCase
from .world import make_ready


class TheTally(HouseTestCase):
    def counted(self, project: Project) -> dict[str, int]:
        rows = project.documents.values_list("state").annotate(count=Count("pk"))
        return dict.fromkeys(DocumentState.values, 0) | dict(rows)

    def test_is_the_count_whatever_was_done_and_after_it_was_put_together(self) -> None:
        other = Project.objects.create(name="Another")
        make_ready(self.project, 30)
        make_ready(other, 7)
        documents = self.project.documents.order_by("pk")
        many = documents.values_list("pk", flat=True)
        Document.objects.filter(pk__in=many[:10]).update(state=DocumentState.REVIEWED)
        Document.objects.filter(pk__in=many[5:15]).update(state=DocumentState.RETIRED)
        Document.objects.filter(pk=many[20]).update(title="No change of state")
        self.client.post(self.page().urls[0], self.page().fields)
        document = self.document("one more")
        self.assertEqual(Tally.objects.of(self.project), self.counted(self.project))
        document.delete()
        for _ in range(2):
            self.assertEqual(Tally.objects.of(self.project), self.counted(self.project))
            self.assertEqual(Tally.objects.of(other), self.counted(other))
            sweep.tally()
        self.assertEqual(sum(Tally.objects.of(other).values()), 7)
        rows = Tally.objects.filter(project=self.project)
        self.assertEqual(rows.count(), rows.values("state").distinct().count())

    def test_its_triggers_are_there(self) -> None:
        """A migration that rebuilds the documents' table on SQLite would drop them unheard."""
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal")
            else:
                cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            names = {name for (name,) in cursor.fetchall()}
        wanted = {f"review_tally_{verb}" for verb in ("insert", "update", "delete")}
        self.assertLessEqual(wanted | {"review_most_tags"}, names)


class TheMostTags(HouseTestCase):
    def test_of_the_project_are_the_databases_word_too(self) -> None:
        self.project.max_tags = 2
        self.project.save()
        document = self.ready()
        decision = Decision.objects.create(
            document=document,
            reviewer=self.alice,
            kind=DecisionKind.CORRECT,
            proposal=document.proposals.get(),
            milliseconds=0,
            key="7d9d3b0e-0f64-4c7c-9f7c-0a8d8f4a2f11",
        )
        tags = list(self.project.tags.all()[:3])
        for position in (1, 2):
            DecisionTag.objects.create(decision=decision, tag=tags[position], position=position)
        with self.assertRaisesMessage(DatabaseError, "more tags than"), transaction.atomic():
            DecisionTag.objects.create(decision=decision, tag=tags[0], position=3)
