"""A ranker of a project's tags: from the examples shipped with Tagger, and from its own picks.

Making one takes a second or two, so each process keeps it, and makes another when the tag list
has changed or enough picks came since; and at once for a document that is among its picks and no
longer reviewed: one that was reopened is not ranked by its own tags.
"""

from __future__ import annotations

import functools
import json
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.models import Max
from django.db.models.functions import Substr

from review.llm.rank import Example, Ranker, RankTag
from review.models import Document, DocumentState, Project, Revocation, VocabularyVersion

from .exam import side_of
from .first_start import SEED
from .tags_out import Wanted, tagged

SEED_EXAMPLES = SEED / "examples.jsonl"
MOST_PICKS = 3_000  # the latest: to make a ranker of as many takes some seconds
MORE = 0.1  # of the picks, at least FEWEST: so many new ones make another ranker
FEWEST = 20
SECONDS = 10.0  # in which nothing is looked up again
READ = 8_000  # characters of a document

Tags = Sequence[Mapping[str, Any]]  # as in a vocabulary version


class Picked(NamedTuple):
    """A reviewed document as an example."""

    document: int
    example: Example


class OwnRanker(Ranker):
    """A project's. own: the documents among its examples, by their text."""

    def __init__(
        self, project: Project, version: VocabularyVersion, tags: Tags, picks: Sequence[Picked]
    ) -> None:
        self.project, self.version = project, version
        self.own: dict[int, list[int]] = defaultdict(list)
        for one in picks:
            self.own[hash(one.example.text)].append(one.document)
        super().__init__(*asked_and_examples(tags, [one.example for one in picks]))

    def scores(self, title: str, text: str) -> dict[str, float]:
        """By a ranker without it, where the document is an example and no longer reviewed."""
        if own := self.own.get(hash(text[:READ])):
            reviewed = Document.objects.filter(pk__in=own, state=DocumentState.REVIEWED)
            if reviewed.count() < len(own):
                with _lock:
                    if (kept := _kept.get(self.project.pk)) and kept.ranker is self:
                        del _kept[self.project.pk]
                return ranker(self.project, self.version).scores(title, text)
        return super().scores(title, text)


@dataclass
class Kept:
    """What this process has of one project."""

    ranker: Ranker
    tags: list[dict[str, Any]]
    picks: int
    looked_at: float  # time.monotonic()
    act: int | None  # the last by which somebody's picks were revoked


_kept: dict[int, Kept] = {}
_lock = threading.Lock()


def ranker(project: Project, version: VocabularyVersion) -> Ranker:
    """The project's, as of its latest picks or nearly so."""
    with _lock:
        kept = _kept.get(project.pk)
        now = time.monotonic()
        if (
            kept
            and now - kept.looked_at < SECONDS
            and names_of(version.tags) == names_of(kept.tags)
        ):
            return kept.ranker
        picks = project.documents.filter(state=DocumentState.REVIEWED).count()
        synonyms = dict(project.tags.active().values_list("number", "synonyms"))
        tags = [{**tag, "synonyms": synonyms.get(tag["id"], [])} for tag in version.tags]
        act = Revocation.objects.filter(project=project, waiting=False).aggregate(last=Max("pk"))
        if kept and kept.tags == tags and kept.act == act["last"]:
            kept.looked_at = now
            if abs(picks - kept.picks) < max(FEWEST, MORE * kept.picks):
                return kept.ranker
        made = OwnRanker(project, version, tags, picks_of(project) if picks else ())
        _kept[project.pk] = Kept(made, tags, picks, now, act["last"])
        return made


def forget() -> None:
    """Know nothing, as at the start."""
    _kept.clear()


def names_of(tags: Tags) -> list[str]:
    return [tag["name"] for tag in tags]


def of_tags(tags: Tags, picks: Sequence[Example] = ()) -> Ranker:
    return Ranker(*asked_and_examples(tags, picks))


def asked_and_examples(tags: Tags, picks: Sequence[Example]) -> tuple[list[RankTag], list[Example]]:
    """What a ranker is made of. An example's tag is one of these by its name or by a synonym."""
    asked = [
        RankTag(
            tag["name"],
            tag.get("description", ""),
            tag.get("not_for", ""),
            tuple(tag.get("synonyms", ())),
        )
        for tag in tags
    ]
    known = {synonym.casefold(): tag.name for tag in asked for synonym in tag.synonyms}
    known |= {tag.name.casefold(): tag.name for tag in asked}
    examples = [
        Example(
            one.title,
            one.text,
            tuple(dict.fromkeys(known.get(name.casefold(), name) for name in one.best)),
            one.weight,
        )
        for one in (*shipped(), *picks)
    ]
    return asked, examples


@functools.cache
def shipped() -> tuple[Example, ...]:
    """Invented READMEs and their tags, of the first vocabulary: docs/quality.md."""
    with SEED_EXAMPLES.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return tuple(Example(row["title"], row["text"], tuple(row["best"])) for row in rows)


def picks_of(project: Project) -> list[Picked]:
    """What people decided, the latest: never what `evaluate` measures with."""
    reviewed = project.documents.filter(state=DocumentState.REVIEWED).order_by("-pk")
    keys = [
        key
        for key, sha256 in reviewed.values_list("pk", "sha256")[: 2 * MOST_PICKS]
        if side_of(sha256) == "train"
    ][:MOST_PICKS]
    texts = dict(
        Document.objects.filter(pk__in=keys)
        .annotate(read=Substr("text", 1, READ))
        .values_list("pk", "read")
    )
    return [
        Picked(one.document.pk, Example(one.document.title, texts[one.document.pk], names))
        for one in tagged(project, Wanted(keys=keys))
        if not one.unseen
        and (names := tuple(tag.name for tag in one.tags if tag.retired_at is None))
        and one.document.pk in texts
    ]
