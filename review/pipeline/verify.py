"""Whether the decisions are what they were: the chain is walked, and what releases say of it.

What is found is a sentence for a person, who has to look into it: nothing is mended here. That
the end of the chain was cut off is seen by the releases that name a later head, or by a head
that somebody wrote down elsewhere.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db.models import Exists, F, OuterRef, Q

from review.models import (
    Decision,
    DecisionKind,
    Link,
    Project,
    Purpose,
    Release,
    ReleaseState,
    Revocation,
    Standing,
)

from .on_disk import sha256_of
from .release import folder_of
from .seal import AT_ONCE, DIGITS, NO_LINK, PARTS, Content, Head, People, contents, unsealed

# Decisions are sealed within a minute, in nearly the order of their times: one that comes so
# much later than its time was put in afterwards.
LATE = datetime.timedelta(hours=1)

Told = Callable[[int, int], None]  # links walked, of so many


@dataclass
class Verified:
    """What was looked at. waiting: decisions that are not sealed yet, as it should be."""

    links: int = 0
    releases: int = 0
    waiting: int = 0
    head: Head = field(default_factory=lambda: Head(0, NO_LINK))


def verify(
    seen: Verified,
    project: Project | None = None,
    number: int | None = None,
    noted: Head | None = None,
    told: Told | None = None,
) -> Iterator[str]:
    """Yield a sentence for each thing that is wrong, and fill `seen`.

    project: only its decisions and releases; the links' own order is looked at all the same.
    number: of one release only, and no links. noted: a head that was written down elsewhere.
    """
    if number is None:
        yield from _links(seen, project, told or (lambda done, of: None))
        yield from _standings(project)
    yield from _releases(seen, project, number)
    if noted:
        yield from _of_head("The head that you noted", noted)


def _links(seen: Verified, project: Project | None, told: Told) -> Iterator[str]:
    last = Link.objects.order_by("-position").first()
    of = last.position if last else 0
    people, latest = People(), None
    stored, counted = NO_LINK, NO_LINK  # the last link's hash, as it is and as it should be
    walked = 0
    while links := list(Link.objects.filter(position__gt=walked).order_by("position")[:AT_ONCE]):
        keys = [link.decision_id for link in links]
        there = set(Decision.objects.filter(pk__in=keys).values_list("pk", flat=True))
        wanted = Decision.objects.filter(pk__in=keys)
        if project:
            wanted = wanted.filter(document__project=project)
        said = dict(contents(list(wanted.values_list("pk", flat=True)), people))
        for link in links:
            whole = link.position == walked + 1
            if not whole:
                yield _lost_links(walked + 1, link.position - 1)
            walked = link.position
            content = said.get(link.decision_id)
            if content is None:
                if link.decision_id not in there:
                    yield _lost(link)
                stored = counted = link.sha256
                continue
            right = {content.after(stored), content.after(counted)} if whole else {link.sha256}
            if problem := _differs(link, content, right):
                yield problem
            elif latest and content.at < latest - LATE:
                yield _late(link.decision_id, content.document, content.at, latest)
            latest = max(latest or content.at, content.at)
            stored, counted = link.sha256, content.after(stored)
        told(walked, of)
    seen.links, seen.head = walked, Head(walked, stored)
    for key, at in unsealed(project):
        if latest and at < latest - LATE:
            document = Decision.objects.values_list("document__external_id", flat=True).get(pk=key)
            yield _late(key, document, at, latest)
        else:
            seen.waiting += 1


def _differs(link: Link, content: Content, right: set[str]) -> str:
    """What was changed of a decision or its link; "" for nothing."""
    digests = [content.digests[at : at + DIGITS] for at in range(0, len(content.digests), DIGITS)]
    kept = [link.parts[at : at + DIGITS] for at in range(0, len(link.parts), DIGITS)]
    parts = [
        f"{name} ({text[:200]} now)"
        for name, text, one, other in zip(PARTS, content.parts, digests, kept, strict=False)
        if one != other
    ]
    if not parts and link.sha256 in right:
        return ""
    which = f"Decision {link.decision_id} on document “{content.document}”"
    if parts:
        return (
            f"{which} was changed after it was sealed as link {link.position}: {parts_of(parts)}."
        )
    return f"{which}: its link {link.position} was changed; the decision is what was sealed."


def parts_of(parts: list[str]) -> str:
    return ", ".join(parts) + (" differs" if len(parts) == 1 else " differ")


def _lost(link: Link) -> str:
    """A decision that is gone; other rows may still say of which document it was."""
    about = Standing.objects.filter(decision=link.decision_id)
    document = about.values_list("document__external_id", flat=True).first()
    of = f", on document “{document}”," if document else ""
    return f"Decision {link.decision_id}{of} is gone; it was sealed as link {link.position}."


def _lost_links(first: int, last: int) -> str:
    if first == last:
        return f"Link {first} is gone, and perhaps its decision."
    return f"Links {first} to {last} are gone, and perhaps their decisions."


def _late(key: int, document: str, at: datetime.datetime, latest: datetime.datetime) -> str:
    return (
        f"Decision {key} on document “{document}” says that it is of {at:%Y-%m-%d %H:%M}, but "
        f"decisions of {latest:%Y-%m-%d %H:%M} were sealed before it: it was put in afterwards."
    )


def _standings(project: Project | None) -> Iterator[str]:
    """What counts is what the decisions and the revocations say: see docs/decisions/0005."""
    stands, decisions = Standing.objects.all(), Decision.objects.exclude(kind=DecisionKind.UNDO)
    if project:
        stands = stands.filter(decision__document__project=project)
        decisions = decisions.filter(document__project=project)
    wrong = stands.filter(
        Q(decision__undone_by__isnull=False)
        | Q(decision__kind=DecisionKind.UNDO)
        | Q(purpose=Purpose.REPEAT, decision__repeat_of=None)
        | Q(purpose=Purpose.GOLD, decision__gold_turn=None)
        | Q(purpose=Purpose.FINAL) & ~Q(decision__kind=DecisionKind.SETTLE)
        | ~Q(document=F("decision__document"))
        | ~Q(reviewer=F("decision__reviewer"))
    )
    for key, document in wrong.values_list("decision", "decision__document__external_id"):
        yield (
            f"Decision {key} on document “{document}” counts for what it is not: it was taken "
            "back, or is another's, or of another kind."
        )
    revoked = Revocation.objects.filter(
        project=OuterRef("document__project"), reviewer=OuterRef("reviewer")
    )
    silent = decisions.filter(~Exists(revoked), standing=None, undone_by=None).order_by("pk")
    for key, document in silent.values_list("pk", "document__external_id").iterator():
        yield f"Decision {key} on document “{document}” does not count, though nobody took it back."


def _releases(seen: Verified, project: Project | None, number: int | None) -> Iterator[str]:
    made = Release.objects.filter(state=ReleaseState.READY).select_related("project")
    if project:
        made = made.filter(project=project)
    if number is not None:
        made = made.filter(number=number)
    for release in made.order_by("project", "number"):
        seen.releases += 1
        for problem in _of_release(release):
            yield f"Release {release.number} of {release.project}: {problem}"


def _of_release(release: Release) -> Iterator[str]:
    folder = folder_of(release)
    path = folder / "manifest.json"
    if not path.is_file():
        yield f"its manifest is gone from {folder}."
        return
    if sha256_of(path) != release.manifest_sha256:
        yield "manifest.json is not the one that was written."
    try:
        manifest: dict[str, Any] = json.loads(path.read_bytes())
        files = [(folder / one["name"], one["sha256"]) for one in manifest["files"]]
    except (ValueError, KeyError, TypeError):
        yield "manifest.json cannot be read."
        return
    for file, sha256 in files:
        yield from _of_file(folder, file, sha256)
    if "chain" in manifest:
        named = Head(manifest["chain"]["position"], manifest["chain"]["sha256"])
        yield from _of_head("the head of the chain in its manifest", named)


def _of_file(folder: Path, file: Path, sha256: str) -> Iterator[str]:
    name = file.relative_to(folder) if file.is_relative_to(folder) else file
    if not file.is_file():
        yield f"{name} is gone."
    elif sha256_of(file) != sha256:
        yield f"{name} was changed."


def _of_head(what: str, named: Head) -> Iterator[str]:
    if named.position == 0:
        return
    link = Link.objects.filter(position=named.position).first()
    if link is None:
        yield f"{what} is link {named.position}, and there is no such link any more."
    elif link.sha256 != named.sha256:
        yield f"{what} is another than link {named.position} is now: the chain was written anew."
