"""A tag list from a file, compared with the one that is there; and the list as a file.

The number is the key: names may change. What a file does not say of a tag stays as it is, and so
do the tags that are not in it, unless the curator wants them retired.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.utils.translation import gettext as _

from review.models import Project, Verb
from review.readers.tag_row import TagRow
from review.writers import skos
from review.writers.tag_file import ListedTag, Write, csv_table, full_json, seed_json, xlsx

from .vocabulary import (
    Fields,
    Plan,
    TagList,
    check_whole,
    clean,
    plain,
    problems,
    read,
)


@dataclass(frozen=True)
class BadRow:
    row: int
    name: str
    problem: str


@dataclass(frozen=True)
class Comparison:
    """plan: what the good rows would do; None where they change nothing.

    same: rows that say what is there already. absent: the tags in use that the file has not.
    """

    plan: Plan | None
    bad: list[BadRow]
    same: int
    absent: list[int]


@dataclass(frozen=True)
class Format:
    file_name: str
    content_type: str
    write: Write


FORMATS = {
    "json": Format("tags.json", "application/json", full_json),
    "seed": Format("vocabulary.json", "application/json", seed_json),
    "csv": Format("tags.csv", "text/csv; charset=utf-8", csv_table),
    "xlsx": Format(
        "tags.xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        xlsx,
    ),
    "ttl": Format("tags.ttl", "text/turtle; charset=utf-8", skos.turtle),
    "rdf": Format("tags.rdf", "application/rdf+xml", skos.rdf_xml),
}


def compare(tags: TagList, rows: Sequence[TagRow], retire_absent: bool = False) -> Comparison:
    """What a file would change, and all of its bad rows. Raises NotAllowed for an empty list."""
    bad: list[BadRow] = []
    by_number: dict[int, TagRow] = {}
    names: dict[str, TagRow] = {}
    for row in rows:
        problem = row.problem
        if not problem and row.number in by_number:
            told = _("The number %(number)d is in row %(row)d already.")
            problem = told % {"number": row.number, "row": by_number[row.number].row}
        elif not problem and plain(row.name) in names:
            told = _("“%(name)s” is in row %(row)d already, but for case and spaces.")
            problem = told % {"name": clean_name(row), "row": names[plain(row.name)].row}
        if problem:
            bad.append(BadRow(row.row, row.name, problem))
        else:
            by_number[row.number] = names[plain(row.name)] = row
    after = {number: fields_of(row, tags.get(number)) for number, row in by_number.items()}
    changed = {number: fields for number, fields in after.items() if tags.get(number) != fields}
    same = len(after) - len(changed)
    numbers = {row.number for row in rows}  # of bad rows too: wrong is not absent
    absent = [number for number in tags if tags[number].active and number not in numbers]
    if retire_absent:
        changed |= {number: replace(tags[number], retired=True) for number in absent}
    while wrong := problems(tags, changed):  # without these others may be wrong, that named them
        for number, problem in wrong.items():
            del changed[number]
            if number in by_number:
                bad.append(BadRow(by_number[number].row, by_number[number].name, problem))
    check_whole({**tags, **changed})
    plan = Plan(Verb.IMPORT, tags, changed) if changed else None
    return Comparison(plan, sorted(bad, key=lambda one: one.row), same, absent)


def fields_of(row: TagRow, known: Fields | None) -> Fields:
    fields = known or Fields(row.name)
    said: dict[str, Any] = {"name": row.name}
    for field in ("description", "not_for", "synonyms", "retired"):
        if (value := getattr(row, field)) is not None:
            said[field] = value
    for field in ("parent", "merged_into"):
        if (value := getattr(row, field)) is not None:
            said[field] = value or None
    if said.get("synonyms") is not None and set(said["synonyms"]) == set(fields.synonyms):
        del said["synonyms"]  # not every format keeps their order
    return clean(replace(fields, **said))


def clean_name(row: TagRow) -> str:
    return clean(Fields(row.name)).name


def export(project: Project, form: str) -> bytes:
    """The whole list, by number, in one of the FORMATS."""
    tags = [
        ListedTag(
            number=number,
            name=fields.name,
            description=fields.description,
            not_for=fields.not_for,
            synonyms=fields.synonyms,
            parent=fields.parent,
            retired=fields.retired,
            merged_into=fields.merged_into,
        )
        for number, fields in sorted(read(project).items())
    ]
    return FORMATS[form].write(tags)
