"""What proposals are measured with: labelled documents, and the tags to choose from."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from review.models import Project, VocabularyVersion
from review.models.project import MOST_TAGS
from review.readers import Refused
from review.readers.labelled import Labelled, read_labelled
from review.readers.tag_file import read_tags

from .first_start import SEED
from .split import split_of
from .tags_out import Wanted, tagged


@dataclass(frozen=True)
class Exam:
    """What is asked: documents with their labels, and the tags to choose from.

    tags: as in a vocabulary version, sorted by name. source: where the labels are from.
    """

    documents: Sequence[Labelled]
    tags: list[dict[str, Any]]
    source: str
    guidelines: str = ""
    max_tags: int = MOST_TAGS

    @property
    def names(self) -> list[str]:
        return [tag["name"] for tag in self.tags]

    @property
    def sha256(self) -> str:
        """Of the texts and labels, whatever file they were in."""
        rows = [
            [it.external_id, it.title, it.text, list(it.best), list(it.acceptable)]
            for it in self.documents
        ]
        return hashlib.sha256(json.dumps(rows, ensure_ascii=False).encode()).hexdigest()


def tag_list(file: Path | None, project: Project | None) -> list[dict[str, Any]]:
    """The tags of a file; without one the project's; without one the seed's. Raises Refused."""
    if project and not file:
        tags: list[dict[str, Any]] = VocabularyVersion.current(project).tags
        return tags
    file = file or SEED / "vocabulary.json"
    rows = read_tags(file.read_bytes(), file.name)
    if problem := next((row.problem for row in rows if row.problem), ""):
        raise Refused(f"{file.name}: {problem}")
    found = [
        {
            "id": row.number,
            "name": row.name.strip(),
            "description": row.description or "",
            "not_for": row.not_for or "",
            "synonyms": list(row.synonyms or ()),
        }
        for row in rows
        if not row.retired and not row.merged_into
    ]
    return sorted(found, key=lambda tag: tag["name"])


def labelled(file: Path) -> list[Labelled]:
    """The documents of a labelled file. Raises Refused, OSError."""
    with file.open("rb") as lines:
        try:
            return list(read_labelled(lines))
        except Refused as error:
            raise Refused(f"{file.name}: {error}") from error


def reviewed(project: Project, side: str) -> list[Labelled]:
    """The project's reviewed documents with their final tags; `side`: "test", "train" or "all".

    Those on which no tag fits are left out: there is nothing to find.
    """
    found = [one for one in tagged(project, Wanted()) if one.tags and not one.unseen]
    chosen = [one for one in found if side in ("all", side_of(one.document.sha256))]
    documents = []
    for start in range(0, len(chosen), 500):
        part = chosen[start : start + 500]
        rows = project.documents.filter(pk__in=[one.document.pk for one in part])
        texts = dict(rows.values_list("pk", "text"))
        documents += [
            Labelled(
                *(one.document.external_id, one.document.title, texts[one.document.pk]),
                best=tuple(tag.name for tag in one.tags),
            )
            for one in part
        ]
    return documents


def side_of(sha256: str) -> str:
    """Of a reviewed document by its text: "test" ones are for measuring, and no examples.

    The same text under another id is always on the same side, today and later: split.py.
    """
    return "train" if split_of(sha256) == "train" else "test"


def fitted(
    documents: Sequence[Labelled], tags: Sequence[dict[str, Any]]
) -> tuple[list[Labelled], Counter[str]]:
    """The labels as the tag list spells them, and those that it does not have, counted.

    A label may be a tag's name or one of its synonyms, in any case. Labels without a tag are
    dropped, and so are documents that have no best tag left.
    """
    names = {
        synonym.strip().casefold(): tag["name"]
        for tag in tags
        for synonym in tag.get("synonyms") or ()
    }
    names |= {tag["name"].casefold(): tag["name"] for tag in tags}
    unknown: Counter[str] = Counter()

    def spelled(labels: tuple[str, ...]) -> tuple[str, ...]:
        unknown.update(label for label in labels if label.casefold() not in names)
        known = (names.get(label.casefold()) for label in labels)
        return tuple(dict.fromkeys(name for name in known if name is not None))

    found = []
    for document in documents:
        best, acceptable = spelled(document.best), spelled(document.acceptable)
        if best:
            found.append(dataclasses.replace(document, best=best, acceptable=acceptable))
    return found, unknown
