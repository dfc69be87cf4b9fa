"""Every address × everyone who may ask for it: exactly what tests/permissions_table.py says."""

from __future__ import annotations

import uuid
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.urls import get_resolver
from django.utils import timezone

from review.models import (
    Batch,
    Decision,
    Delivery,
    Event,
    Import,
    Membership,
    Project,
    Role,
    Scope,
    ServedModel,
    Training,
)
from review.pipeline import importing
from review.pipeline.auto_accept import switch_off, switch_on
from review.pipeline.batch import start
from review.pipeline.note import leave
from review.pipeline.release import Filters, order
from review.pipeline.token import make
from review.pipeline.webhook import register

from .base import HouseTestCase
from .permissions_table import TABLE, WHO, Row, markdown
from .test_evaluate import measured

ROOT = Path(__file__).resolve().parent.parent

# What a POST carries beside its key.
FIELDS: dict[str, dict[str, str]] = {
    "POST renew": {"lease": "{lease}"},
    "POST release": {"lease": "{lease}"},
    "POST note_add": {"document": "{document_pk}"},
    "POST revoke": {"reviewer": "{bob}", "verb": "revoke"},
    "POST person_add": {"role": "reviewer"},
    "POST person_role": {"role": "curator"},
    "POST in_use_put": {"model": "base"},
    "POST in_use_try": {"model": "base"},
    "POST auto_accept_on": {"promise": "0.9"},
    "POST changed_answer": {"act": "keep", "revision": "{revision}"},
}


class Asked(HouseTestCase):
    """All who may ask, and the rows that they ask for."""

    def setUp(self) -> None:
        super().setUp()
        self.target = self.ready()
        proposal = self.target.proposals.get()
        bobs = Client()
        bobs.force_login(self.bob)
        webhook = register(self.project, "http://127.0.0.1:1/refused", [Event.REVIEWED])
        # What stands for the words in braces, in the paths and the fields.
        self.things = {
            "document": self.target.external_id,
            "document_pk": self.target.pk,
            "note": leave(self.project, self.bob, "A tag is missing.").pk,
            "proposal": proposal.pk,
            "candidate": proposal.candidates.get(rank=1).pk,
            "project": self.project.pk,
            "membership": self.bob.memberships.get().pk,
            "bob": self.bob.pk,
            "token": make(self.project, self.bob, "a program", [Scope.READ], 1)[0].pk,
            "webhook": webhook.pk,
            "delivery": Delivery.objects.create(
                webhook=webhook, event=Event.TEST, next_at=timezone.now()
            ).pk,
            "import": self.asking().pk,
            "release": order(self.project, Filters(), ["trl"]).number,
            "training": Training.objects.create(
                release=order(self.project, Filters(), ["trl"]), name="tuned"
            ).pk,
            "evaluation": measured(self.project).pk,
            "revision": self.target.revisions.create(waits=True, text="Another.", sha256="0").pk,
            "batch": self.batch().pk,
            "served": ServedModel.objects.get().pk,
            "lease": self.page(bobs).fields["lease"],
        }
        switch_off(switch_on(self.project, 0.9, self.alice))
        self.ready("another")
        alone = User.objects.create_user("alone")
        elsewhere = User.objects.create_user("elsewhere")
        other = Project.objects.create(name="Another project")
        Membership.objects.create(project=other, user=elsewhere, role=Role.OWNER)
        self.decisions = 0
        self.people: dict[str, User | None] = {
            "signed out": None,
            "no project": alone,
            "another project": elsewhere,
            "reviewer": self.alice,
            "curator": self.member("carol", Role.CURATOR),
            "owner": self.member("olga", Role.OWNER),
        }

    def batch(self) -> Batch:
        self.document("for a batch")
        return start(self.project, None, 1)

    def asking(self) -> Import:
        """A table that waits to be told which column is which."""
        upload = Path(settings.VAR) / "upload.part"
        upload.write_text("a,b\n1,2\n")
        return importing.bring_file(self.project, self.alice, "table.csv", upload)

    def ask(self, table: dict[str, Row], what: str, who: str, method: str | None = None) -> int:
        client = Client()
        user = self.people[who]
        if user is not None:
            client.force_login(user)
        path = table[what][0].format(**self.things)
        if (method or what.split()[0]) == "GET":
            return client.get(path).status_code
        fields = {name: text.format(**self.things) for name, text in FIELDS.get(what, {}).items()}
        return client.post(path, {"key": str(uuid.uuid4()), **fields}).status_code

    def ask_all(self, table: dict[str, Row]) -> None:
        for what, (_, *expected) in table.items():
            for who, status in zip(WHO, expected, strict=True):
                with self.subTest(what=what, who=who), transaction.atomic():
                    self.assertEqual(self.ask(table, what, who), status)
                    if who in WHO[:3] or status >= 400:
                        self.assertTrue(self.nothing_happened())
                    transaction.set_rollback(True)  # each asks of the same rows

    def nothing_happened(self) -> bool:
        self.target.refresh_from_db()
        held = (str(self.target.lease_token), self.target.lease_holder)
        same = held == (self.things["lease"], self.bob)
        return same and Decision.objects.count() == self.decisions


class Everyone(Asked):
    def test_gets_exactly_what_the_table_says(self) -> None:
        self.ask_all(TABLE)

    # Those of the API are asked in tests/test_api.py: with tokens, not by people.
    def test_every_address_is_in_the_table(self) -> None:
        patterns = get_resolver("review.urls").url_patterns
        names = {what.split()[1] for what in TABLE}
        self.assertEqual({getattr(pattern, "name", None) for pattern in patterns}, names)

    def test_what_is_posted_is_not_got(self) -> None:
        for what in TABLE:
            method, name = what.split()
            if method == "POST" and f"GET {name}" not in TABLE:
                with self.subTest(what=what):
                    self.assertEqual(self.ask(TABLE, what, "owner", "GET"), 405)

    def test_what_people_read_is_this_table(self) -> None:
        told = "Run: .venv/bin/python -m tests.permissions_table > docs/permissions.md"
        kept = (ROOT / "docs" / "permissions.md").read_text()
        self.assertEqual(kept, markdown(), told)
