"""The house that most tests start from: a project with its tags, an owner, two reviewers."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client, TestCase

from review.models import Document, Membership, Project, Role, Tag
from review.pipeline.first_start import seed_tags
from review.pipeline.intake import take_in
from review.pipeline.propose import propose
from review.readers import Incoming

from .fake_model import FakeModel

README = "# Requests\n\nAn **HTTP** library for people.\n\n```python\nimport requests\n```\n"


class HouseTestCase(TestCase):
    @pytest.fixture(autouse=True)
    def _model(self, model: FakeModel) -> None:
        self.model = model

    def setUp(self) -> None:
        # No chance in the tests: only those of the repeat test let documents come back.
        self.project = Project.objects.create(name="READMEs", repeat_share=0)
        Tag.objects.bulk_create(
            Tag(project=self.project, number=tag.pop("id"), **tag) for tag in seed_tags()
        )
        self.alice = self.member("alice", Role.REVIEWER)
        self.bob = self.member("bob", Role.REVIEWER)
        self.client.force_login(self.alice)

    def member(self, name: str, role: Role) -> User:
        user = User.objects.create_user(name, password="a long passphrase")
        Membership.objects.create(project=self.project, user=user, role=role)
        return user

    def document(self, external_id: str = "5201", text: str = README) -> Document:
        take_in(self.project, [Incoming(external_id, text, title=f"Document {external_id}")])
        return Document.objects.get(project=self.project, external_id=external_id)

    def ready(self, external_id: str = "5201", text: str = README) -> Document:
        """A document with the candidates of the fake model."""
        document = self.document(external_id, text)
        propose(document.pk)
        document.refresh_from_db()
        return document

    def page(self, client: Client | None = None) -> Page:
        return Page((client or self.client).get("/").content.decode())


class Page:
    """What a reviewer's page offers: its forms, as a browser would send them."""

    def __init__(self, html: str) -> None:
        self.html = html
        self.urls = re.findall(r'action="(/candidates/\d+/choose)"', html)
        self.fields: dict[str, Any] = {
            name: found.group(1)
            for name in ("lease", "key")
            if (found := re.search(rf'name="{name}" value="([^"]+)"', html))
        }

    def with_new_key(self) -> dict[str, Any]:
        """The same page's fields, sent as if by another page: another key."""
        return {**self.fields, "key": str(uuid.uuid4())}
