"""From nothing to something worth looking at: a project, its tags, its owner, real documents."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from review.models import Membership, Project, Role, Tag
from review.readers.installed_packages import read_installed_packages

from .intake import take_in

SEED = Path(__file__).resolve().parent.parent / "seed"
ADMIN = "admin"


@dataclass(frozen=True)
class FirstStart:
    """admin_password: only where the admin was made just now; it is stored nowhere."""

    admin_name: str
    admin_password: str | None
    documents_added: int
    documents: int


def first_start() -> FirstStart:
    """Make what is missing of the first project; what is there already stays as it is."""
    with transaction.atomic():
        project = Project.objects.order_by("pk").first()
        if project is None:
            project = Project.objects.create(name="README tags")
            Tag.objects.bulk_create(
                Tag(project=project, number=tag.pop("id"), **tag) for tag in seed_tags()
            )
        password = make_admin(project)
    added = 0
    if not project.documents.exists():
        added = take_in(project, read_installed_packages()).added
    return FirstStart(ADMIN, password, added, project.documents.count())


def seed_tags() -> list[dict[str, Any]]:
    """The 90 tags that it began with: id, name, description, not_for, synonyms."""
    tags: list[dict[str, Any]] = json.loads((SEED / "vocabulary.json").read_text())
    return tags


def make_admin(project: Project) -> str | None:
    """An owner with TAGGER_ADMIN_PASSWORD, or a random one; None when somebody is there."""
    if User.objects.filter(is_superuser=True).exists():
        return None
    password = os.environ.get("TAGGER_ADMIN_PASSWORD") or secrets.token_urlsafe(12)
    admin = User.objects.create_superuser(ADMIN, password=password)
    Membership.objects.create(project=project, user=admin, role=Role.OWNER)
    return password
