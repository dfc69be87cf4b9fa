"""The chain of the decisions: what the database refuses, and what `verify` finds nevertheless."""

from __future__ import annotations

import datetime
import json
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection, connections, transaction
from django.db.models.deletion import ProtectedError
from django.db.utils import IntegrityError
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from review import tasks
from review.models import (
    CandidateTag,
    Decision,
    DecisionKind,
    DecisionTag,
    Link,
    Person,
    Project,
    Proposal,
    Release,
    Standing,
    Tag,
)
from review.pipeline import release, seal
from review.pipeline.verify import Verified, verify

from .tampering import tampering
from .test_confidence import decided, make_reviewed
from .test_release import Releasing
from .world import make_ready


def wrong(project: Project | None = None, **asked: Any) -> list[str]:
    return list(verify(Verified(), project, **asked))


def verified(*args: str) -> str:
    """What the command prints. Raises CommandError, as it ends with 1, when something is wrong."""
    out = StringIO()
    call_command("verify", *args, stdout=out, stderr=StringIO())
    return out.getvalue()


class Decided(Releasing):
    """Alice picked, Bob gave a set of his own, and Alice took one back: four decisions."""

    def setUp(self) -> None:
        super().setUp()
        self.needs(1)
        for name in ("a", "b", "c"):
            self.ready(name)
        self.pick(self.alice, 2)
        self.give(self.bob, "ai", "security")
        self.pick(self.alice, 1)
        self.undo(self.alice)
        self.picked = Decision.objects.get(document__external_id="a")
        self.given = Decision.objects.get(kind=DecisionKind.CORRECT)


class Kept(Decided):
    def test_the_database_refuses_to_change_or_delete_decisions_and_what_belongs_to_them(
        self,
    ) -> None:
        seal.seal()
        tag = Tag.objects.get(name="gui")
        for act in (
            lambda: Decision.objects.filter(pk=self.picked.pk).update(milliseconds=1),
            lambda: Decision.objects.update(reviewer=self.bob),
            lambda: DecisionTag.objects.filter(decision=self.given).update(tag=tag),
            lambda: DecisionTag.objects.filter(decision=self.given)._raw_delete("default"),
            lambda: Decision.objects.filter(undoes__isnull=False)._raw_delete("default"),
            lambda: Link.objects.filter(position=1).update(sha256="0" * 64),
            lambda: Link.objects.filter(position=4).delete(),
            lambda: Person.objects.update(key=uuid.uuid4()),
            lambda: Person.objects.all()._raw_delete("default"),
        ):
            with self.assertRaisesMessage(IntegrityError, "are kept"), transaction.atomic():
                act()
        self.assertEqual((Decision.objects.count(), Link.objects.count()), (4, 4))

    def test_what_has_decisions_is_not_deleted_either(self) -> None:
        for row in (self.picked.document, self.project, self.alice, self.picked.candidate):
            assert row
            with self.subTest(row=row), self.assertRaises(ProtectedError):
                row.delete()

    def test_the_triggers_are_there(self) -> None:
        """A migration that rebuilds a table on SQLite would drop its triggers unheard."""
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal")
            else:
                cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            names = {name for (name,) in cursor.fetchall()}
        tables = ("decision", "decisiontag", "person", "link", "revocation")
        wanted = {f"review_{one}_kept_{verb}" for one in tables for verb in ("update", "delete")}
        self.assertLessEqual(wanted, names)


class Sealed(Decided):
    def test_every_decision_is_a_link_once_in_the_order_of_sealing(self) -> None:
        self.assertEqual(seal.seal(), 4)
        self.assertEqual(seal.seal(), 0)
        self.ready("d")
        self.pick(self.bob, 1)
        late = Decision.objects.latest("pk")
        tasks.sweep_up()
        links = Link.objects.order_by("position").values_list("position", "decision")
        self.assertEqual([place for place, _ in links], [1, 2, 3, 4, 5])
        self.assertEqual(links[4][1], late.pk)
        self.assertEqual(wrong(), [])

    def test_one_that_was_committed_later_than_its_number_says_is_found(self) -> None:
        """Numbers are given out before the commit: on PostgreSQL not in its order."""
        seal.seal()
        row = self.decision(pk=self.picked.pk + 1000)
        seal.seal(whole=False)
        early = self.decision(pk=self.picked.pk + 500)
        self.assertEqual(seal.seal(whole=False), 1)
        places = Link.objects.in_bulk([row.pk, early.pk], field_name="decision_id")
        self.assertLess(places[row.pk].position, places[early.pk].position)
        self.assertEqual(wrong(), [])

    def decision(self, **fields: Any) -> Decision:
        document, reviewer = self.picked.document, User.objects.create(username=f"{fields['pk']}")
        decision = Decision.objects.create(
            document=document,
            reviewer=reviewer,
            kind=DecisionKind.SKIP,
            skip_reason="other",
            milliseconds=1,
            key=uuid.uuid4(),
            **fields,
        )
        Standing.objects.create(document=document, reviewer=reviewer, decision=decision)
        return decision

    def test_nobody_is_named_in_it(self) -> None:
        seal.seal()
        people = seal.People()
        keys = list(Decision.objects.values_list("pk", flat=True))
        said = "".join("".join(one.parts) for _key, one in seal.contents(keys, people))
        for name in ("alice", "bob"):
            self.assertNotIn(name, said)
        self.assertEqual(Person.objects.count(), 2)

    def test_a_pick_costs_no_more_for_it(self) -> None:
        """Whether its links are sealed or not: a pick does not look at them."""
        for name in ("d", "e"):
            self.ready(name)
        costs = []
        for _time in range(2):
            page = self.page()
            with CaptureQueriesContext(connection) as queries:
                self.client.post(page.urls[0], page.fields)
            costs.append(len(queries))
            self.assertFalse(any("review_link" in query["sql"] for query in queries))
            seal.seal()
        self.assertEqual(costs[0], costs[1])

    def test_queries_do_not_grow_with_the_decisions(self) -> None:
        seal.seal()
        counts = []
        for many in (10, 40):
            make_reviewed(self.project, self.alice, many, 0)
            with CaptureQueriesContext(connection) as queries:
                self.assertEqual(seal.seal(), many)
            counts.append(len(queries))
        self.assertEqual(counts[0], counts[1])

    def test_the_head_is_in_each_manifest_and_covers_what_is_in_the_release(self) -> None:
        made = self.made()
        manifest = json.loads((release.folder_of(made) / "manifest.json").read_text())
        self.assertEqual(manifest["chain"], seal.head().as_dict())
        self.assertEqual(manifest["chain"]["position"], 4)
        self.assertIn("Nothing is wrong. 4 links and 1 releases looked at", verified())


class Tampered(Decided):
    def setUp(self) -> None:
        super().setUp()
        seal.seal()

    def found(self, **asked: Any) -> str:
        found = wrong(**asked)
        self.assertEqual(len(found), 1, found)
        return found[0]

    def sql(self, statement: str, *values: str | int | None) -> None:
        with tampering(), connection.cursor() as cursor:
            cursor.execute(statement, values)
            self.assertEqual(cursor.rowcount, 1)

    def test_nothing_is_found_where_nothing_was_done(self) -> None:
        self.assertEqual(wrong(), [])
        self.assertIn(seal.head().sha256, verified())

    def test_a_changed_decision_is_named_and_what_differs(self) -> None:
        pk = self.picked.pk
        other = self.picked.proposal.candidates.get(rank=3).pk if self.picked.proposal else 0
        for statement, value, part in (
            ("candidate_id", other, "the choice ("),
            ("reviewer_id", self.bob.pk, "the reviewer ("),
            ("shown", "[3, 2, 1, 0]", "the order shown ([3,2,1,0] now)"),
            ("milliseconds", 1_234_567, "the time ("),
            ("note", "Hm", "the choice ("),
        ):
            with self.subTest(part=statement), transaction.atomic():
                self.sql(f"UPDATE review_decision SET {statement} = %s WHERE id = %s", value, pk)
                found = [one for one in wrong() if "for what it is not" not in one]
                self.assertEqual(len(found), 1, found)
                self.assertIn(f"Decision {pk} on document “a” was changed", found[0])
                self.assertIn(part, found[0])
                with self.assertRaisesMessage(CommandError, "wrong"):
                    verified()
                transaction.set_rollback(True)
        self.assertEqual(wrong(), [])

    def test_so_is_what_it_was_chosen_from_and_what_the_model_was_sent(self) -> None:
        placed = CandidateTag.objects.filter(
            candidate__proposal=self.picked.proposal, candidate__rank=1
        ).first()
        assert placed
        with transaction.atomic():
            placed.delete()
            self.assertIn("the sets shown", self.found())
            transaction.set_rollback(True)
        asked = Proposal.objects.filter(decisions=self.picked)
        asked.update(user_message="Another text")
        found = self.found()
        self.assertIn(f"Decision {self.picked.pk} ", found)
        self.assertIn("what the model was sent", found)

    def test_and_the_tags_of_a_set_of_their_own(self) -> None:
        place = self.given.placed_tags.order_by("position")[0]
        tag = Tag.objects.get(name="gui")
        self.sql("UPDATE review_decisiontag SET tag_id = %s WHERE id = %s", tag.pk, place.pk)
        self.assertIn(f"Decision {self.given.pk} on document “b” was changed", self.found())

    def test_a_decision_that_is_gone_is_named(self) -> None:
        """With foreign keys off, as who is at it would have them."""
        undo = Decision.objects.get(kind=DecisionKind.UNDO)
        place = undo.link.position
        with transaction.atomic():
            self.without_foreign_key()
            self.sql("DELETE FROM review_decision WHERE id = %s", undo.pk)
            found = wrong()
            self.assertIn(f"Decision {undo.pk} is gone; it was sealed as link {place}.", found)
            transaction.set_rollback(True)

    def without_foreign_key(self) -> None:
        """SQLite looks at them at the end of a transaction, which does not come."""
        if connection.vendor != "postgresql":
            return
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute(
                "SELECT conname FROM pg_constraint WHERE conrelid = 'review_link'::regclass "
                "AND contype = 'f'"
            )
            for (name,) in cursor.fetchall():
                cursor.execute(f"ALTER TABLE review_link DROP CONSTRAINT {name}")

    def test_with_its_link_the_gap_is_named(self) -> None:
        self.sql("DELETE FROM review_link WHERE position = %s", 2)
        found = wrong()
        self.assertEqual(found, ["Link 2 is gone, and perhaps its decision."])

    def test_a_link_that_was_changed_is_told_from_a_decision(self) -> None:
        self.sql("UPDATE review_link SET sha256 = %s WHERE position = %s", "0" * 64, 2)
        self.assertIn("its link 2 was changed; the decision is what was sealed", self.found())

    def test_one_that_was_put_in_afterwards_is_named_sealed_or_not(self) -> None:
        make_ready(self.project, 1)
        proposal = Proposal.objects.latest("pk")
        new = decided(self.bob, proposal, proposal.candidates.get(rank=1))
        new.save()
        Standing.objects.create(document_id=new.document_id, reviewer=self.bob, decision=new)
        before = timezone.now() - datetime.timedelta(days=2)
        with tampering():
            Decision.objects.filter(pk=new.pk).update(created_at=before)
        self.assertIn(f"Decision {new.pk} on document", self.found())
        seal.seal()
        self.assertIn("it was put in afterwards", self.found())

    def test_a_chain_that_was_written_anew_is_not_what_a_release_named(self) -> None:
        made = self.made()
        noted = seal.head()
        with tampering():
            Decision.objects.filter(pk=self.picked.pk).update(milliseconds=99)
            Link.objects.all().delete()
        seal.seal()
        found = self.found()
        self.assertIn(f"Release {made.number} of READMEs: the head of the chain", found)
        with self.assertRaisesMessage(CommandError, "2 things are wrong"):
            verified("--head", f"{noted.position}:{noted.sha256}")

    def test_a_chain_whose_end_was_cut_off_is_found_by_a_head_that_was_noted(self) -> None:
        noted = seal.head()
        with tampering():
            Link.objects.filter(position=4).delete()
        self.assertEqual(wrong(), [])
        self.assertIn("there is no such link", self.found(noted=noted))

    def test_what_counts_is_held_against_the_decisions(self) -> None:
        self.picked.standing.delete()
        self.assertIn(f"Decision {self.picked.pk} on document “a” does not count", self.found())
        taken_back = Decision.objects.get(undone_by__isnull=False)
        Standing.objects.create(
            document=taken_back.document, reviewer=self.alice, decision=taken_back
        )
        self.assertEqual(len(wrong()), 2)

    def test_a_release_whose_files_were_changed_or_are_gone_is_named(self) -> None:
        made = self.made()
        folder = release.folder_of(made)
        file = next(one for one in made.files if one["rows"])["name"]
        (folder / file).write_bytes((folder / file).read_bytes().replace(b"gui", b"gux") + b"\n")
        self.assertEqual(self.found(), f"Release 1 of READMEs: {file} was changed.")
        (folder / file).unlink()
        self.assertEqual(self.found(), f"Release 1 of READMEs: {file} is gone.")
        self.assertEqual(self.found(number=1), f"Release 1 of READMEs: {file} is gone.")
        manifest = folder / "manifest.json"
        manifest.write_text(manifest.read_text() + "\n")
        self.assertEqual(len(wrong()), 2)
        manifest.unlink()
        self.assertIn("its manifest is gone", self.found())
        self.assertEqual(Release.objects.count(), 1)

    def test_another_projects_is_left_alone_when_one_is_asked_for(self) -> None:
        other = Project.objects.create(name="Another")
        make_reviewed(other, self.bob, 3, 0)
        seal.seal()
        victim = Decision.objects.filter(document__project=other)[1]
        self.sql("UPDATE review_decision SET milliseconds = 7 WHERE id = %s", victim.pk)
        self.assertEqual(wrong(self.project), [])
        self.assertIn(f"Decision {victim.pk} ", self.found(project=other))
        self.assertIn("Nothing is wrong", verified("--project", "READMEs"))
        for nonsense in (("--project", "None such"), ("--release", "9"), ("--head", "1:2")):
            with self.assertRaises(CommandError):
                verified(*nonsense)


@pytest.mark.django_db(transaction=True)
def test_of_many_who_seal_at_once_each_decision_is_one_link() -> None:
    project = Project.objects.create(name="READMEs", repeat_share=0)
    alice = User.objects.create(username="alice")
    make_reviewed(project, alice, 300, 0)
    together = threading.Barrier(4)

    def work(_number: int) -> int:
        together.wait(30)
        try:
            return seal.seal()
        finally:
            connections.close_all()

    at_once, seal.AT_ONCE = seal.AT_ONCE, 20
    try:
        with ThreadPoolExecutor(4) as pool:
            sealed = list(pool.map(work, range(4)))
    finally:
        seal.AT_ONCE = at_once
    assert sum(sealed) == Link.objects.count() == 300
    assert wrong() == []
    assert Person.objects.count() == 1
