"""A curator changes the tag list: each verb makes a plan, a plan is looked at, then carried out.

A plan says of each tag that changes what it will be. It is made from the list as it was read,
and carried out only while nobody else has changed the list: what was previewed is what is done.
Old decisions are never rewritten: they are read through `TagQuerySet.ends`.
"""

from __future__ import annotations

import unicodedata
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from review.models import Project, Tag, TagChange, Verb, VocabularyChange, VocabularyVersion

LONGEST_NAME = 100  # characters
LONGEST_TEXT = 1000
MOST_SYNONYMS = 50
MOST_TAGS_IN_LIST = 10_000
LARGEST_NUMBER = 2**31 - 1
CONTROL = ("Cc", "Cs", "Zl", "Zp")
TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # turn the text around them


@dataclass(frozen=True)
class Fields:
    """All that can change of a tag. Other tags are named by their numbers."""

    name: str
    description: str = ""
    not_for: str = ""
    synonyms: tuple[str, ...] = ()
    retired: bool = False
    merged_into: int | None = None
    parent: int | None = None

    @property
    def active(self) -> bool:
        return not self.retired and self.merged_into is None

    @property
    def told(self) -> tuple[object, ...]:
        """What models and reviewers see of it: a change of the rest touches no document."""
        return self.name, self.description, self.not_for, self.retired, self.merged_into


TagList = dict[int, Fields]  # by number


@dataclass(frozen=True)
class Plan:
    """What a verb would do. `after` has only the tags that change, and the new ones."""

    verb: Verb
    before: TagList
    after: TagList
    reverts: VocabularyChange | None = None

    @property
    def touching(self) -> list[int]:
        """The numbers of the tags that documents may have and that will not be what they were."""
        return [
            number
            for number, after in self.after.items()
            if number in self.before and self.before[number].told != after.told
        ]


class NotAllowed(ValueError):
    """The list would not be in order; the sentence says why. Nothing was changed."""


class Stale(Exception):
    """Somebody else has changed the list since it was looked at. Nothing was changed."""


def read(project: Project) -> TagList:
    """All tags of the project, those that are retired or merged too."""
    tags = project.tags.select_related("merged_into", "parent")
    return {
        tag.number: Fields(
            name=tag.name,
            description=tag.description,
            not_for=tag.not_for,
            synonyms=tuple(map(str, tag.synonyms)),
            retired=tag.retired_at is not None,
            merged_into=tag.merged_into.number if tag.merged_into else None,
            parent=tag.parent.number if tag.parent else None,
        )
        for tag in tags
    }


def last_change(project: Project) -> int:
    """The id of the last change, 0 before the first: what a preview was made from."""
    last = project.changes.order_by("-pk").values_list("pk", flat=True).first()
    return last or 0


def endings(project: Project) -> dict[int, Tag]:
    """What each merged tag has become, by its id: the tag at the end of the chain."""
    ends = project.tags.ends()
    tags = Tag.objects.in_bulk(set(ends.values())) if ends else {}
    return {pk: tags[end] for pk, end in ends.items()}


def resolve(tags: Iterable[Tag], ends: Mapping[int, Tag]) -> list[Tag]:
    """The tags as they are read now: what was merged is what it became; each once, in order."""
    return list(dict.fromkeys(ends.get(tag.pk, tag) for tag in tags))


# --- The verbs: the list → a plan. Each raises NotAllowed for a list not in order. ----------


def add(tags: TagList, fields: Fields, number: int | None = None) -> Plan:
    """A new tag; without a number it gets the next one."""
    number = free_number(tags) if number is None else number
    if number in tags:
        told = _("The number %(number)d is taken by “%(name)s”.")
        raise NotAllowed(told % {"number": number, "name": tags[number].name})
    return _plan(Verb.ADD, tags, {number: fields})


def describe(tags: TagList, changes: Mapping[int, Mapping[str, Any]]) -> Plan:
    """Other texts, names, synonyms or broader tags, by number and field."""
    after = {number: replace(tags[number], **fields) for number, fields in changes.items()}
    plan = _plan(Verb.DESCRIBE, tags, after)
    renamed = any(tags[number].name != fields.name for number, fields in plan.after.items())
    return replace(plan, verb=Verb.RENAME) if renamed else plan


def rename(tags: TagList, number: int, name: str) -> Plan:
    """Another name under the same number."""
    return describe(tags, {number: {"name": name}})


def merge(tags: TagList, numbers: Sequence[int], into: int) -> Plan:
    """These become the other one: what has them is read as having it.

    Their names and synonyms become synonyms of it, so that people find it.
    """
    after: TagList = {}
    target = tags[into]
    synonyms = list(target.synonyms)
    for number in numbers:
        if number == into:
            raise NotAllowed(_("A tag is not merged into itself."))
        after[number] = replace(tags[number], merged_into=into, retired=False)
        synonyms += [tags[number].name, *tags[number].synonyms]
    after[into] = replace(target, synonyms=tuple(synonyms))
    return _plan(Verb.MERGE, tags, after)


def split(tags: TagList, number: int, names: Sequence[str]) -> Plan:
    """The tag is retired, and those under these names take its place; made where they are missing.

    Nobody can know which of them a document should have: that is decided again, by hand.
    """
    known = {plain(fields.name): other for other, fields in tags.items()}
    parts = {plain(name): name for name in names if plain(name)}
    if len(parts) < 2:
        raise NotAllowed(_("A tag is split into at least two."))
    if plain(tags[number].name) in parts:
        told = _("“%(name)s” is split into others. To keep it, just add the new ones.")
        raise NotAllowed(told % {"name": tags[number].name})
    after = {number: replace(tags[number], retired=True)}
    free = free_number(tags)
    for key, name in parts.items():
        if key not in known:
            after[free] = Fields(name)
            free += 1
        elif not tags[known[key]].active:
            told = _("“%(name)s” is not in use: restore it first.")
            raise NotAllowed(told % {"name": tags[known[key]].name})
    return _plan(Verb.SPLIT, tags, after)


def retire(tags: TagList, numbers: Sequence[int]) -> Plan:
    """Models and corrections do not give them any more. What has them keeps them."""
    after = {number: replace(tags[number], retired=True) for number in numbers}
    return _plan(Verb.RETIRE, tags, {n: f for n, f in after.items() if tags[n].active})


def restore(tags: TagList, numbers: Sequence[int]) -> Plan:
    """Retired and merged ones are in use again."""
    after = {number: replace(tags[number], retired=False, merged_into=None) for number in numbers}
    return _plan(Verb.RESTORE, tags, after)


def revert(tags: TagList, change: VocabularyChange) -> Plan:
    """What the change did is taken back, as a new change; a tag that it added is retired.

    Raises NotAllowed where a later change has changed the same again.
    """
    after: TagList = {}
    for row in change.tags.select_related("tag"):
        number = row.tag.number
        now, was = asdict(tags[number]), row.before
        if was is None:
            if tags[number].active:
                after[number] = replace(tags[number], retired=True)
            continue
        was, became = asdict(from_json(was)), asdict(from_json(row.after))
        fields = [name for name in was if was[name] != became[name] and now[name] != was[name]]
        if any(now[name] != became[name] for name in fields):
            told = _("“%(name)s” was changed again since. Revert that change first.")
            raise NotAllowed(told % {"name": tags[number].name})
        after[number] = replace(tags[number], **{name: was[name] for name in fields})
    return replace(_plan(Verb.REVERT, tags, after), reverts=change)


def carry_out(project: Project, plan: Plan, curator: User | None, seen: int) -> VocabularyChange:
    """Write the plan down, and who did it. `seen`: `last_change` of when it was made.

    Raises Stale when there has been another since.
    """
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=project.pk)  # one at a time
        if last_change(project) != seen or read(project) != plan.before:
            raise Stale
        rows = {tag.number: tag for tag in project.tags.filter(number__in=plan.after)}
        _free_names(plan, rows)
        for number, fields in plan.after.items():
            tag = rows.setdefault(number, Tag(project=project, number=number))
            tag.name, tag.description = fields.name, fields.description
            tag.not_for, tag.synonyms = fields.not_for, list(fields.synonyms)
            if fields.retired != (tag.retired_at is not None):
                tag.retired_at = timezone.now() if fields.retired else None
            tag.save()
        _link(project, plan, rows)
        change = VocabularyChange.objects.create(
            project=project,
            verb=plan.verb,
            curator=curator,
            version=VocabularyVersion.current(project),
            reverts=plan.reverts,
        )
        TagChange.objects.bulk_create(
            TagChange(
                change=change,
                tag=rows[number],
                before=asdict(plan.before[number]) if number in plan.before else None,
                after=asdict(fields),
            )
            for number, fields in plan.after.items()
        )
    return change


def problems(tags: TagList, after: TagList) -> dict[int, str]:
    """What is wrong with these changes, by number: of each the first thing, in a sentence."""
    whole = {**tags, **after}
    taken: dict[str, list[int]] = {}
    for number, fields in whole.items():
        taken.setdefault(plain(fields.name), []).append(number)
    found: dict[int, str] = {}
    for number, fields in after.items():
        same = [other for other in taken[plain(fields.name)] if other != number]
        problem = _wrong_text(fields) or _wrong_link(number, whole)
        if not 0 <= number <= LARGEST_NUMBER:
            problem = _("The number %(number)d is too large.") % {"number": number}
        elif not problem and same:
            told = _("“%(name)s” is the name of number %(other)d too, but for case and spaces.")
            problem = told % {"name": fields.name, "other": same[0]}
        elif not problem and fields.merged_into is not None and number in tags:
            into = whole[fields.merged_into]
            if tags[number].merged_into != fields.merged_into and not into.active:
                told = _("“%(name)s” is not in use: nothing can be merged into it.")
                problem = told % {"name": into.name}
        if problem:
            found[number] = problem
    return found


def clean(fields: Fields) -> Fields:
    """Without spaces at the ends and twice in a row; each synonym once, and not the name."""
    known = {plain(fields.name)}
    synonyms = []
    for synonym in map(_tidy, fields.synonyms):
        if synonym and plain(synonym) not in known:
            synonyms.append(synonym)
            known.add(plain(synonym))
    return replace(
        fields,
        name=_tidy(fields.name),
        description=_tidy(fields.description),
        not_for=_tidy(fields.not_for),
        synonyms=tuple(synonyms),
    )


def plain(name: str) -> str:
    """The name without case, spaces and what is not to be seen: no two tags are the same by it."""
    seen = (one for one in name if unicodedata.category(one) != "Cf")
    return "".join(unicodedata.normalize("NFC", "".join(seen).casefold()).split())


def free_number(tags: Iterable[int]) -> int:
    return max(tags, default=0) + 1


def from_json(fields: dict[str, Any]) -> Fields:
    """What a TagChange says."""
    return Fields(**{**fields, "synonyms": tuple(fields["synonyms"])})


def _plan(verb: Verb, tags: TagList, after: TagList) -> Plan:
    after = {number: clean(fields) for number, fields in after.items()}
    after = {number: fields for number, fields in after.items() if tags.get(number) != fields}
    if not after:
        raise NotAllowed(_("Nothing would change."))
    for problem in problems(tags, after).values():
        raise NotAllowed(problem)
    check_whole({**tags, **after})
    return Plan(verb, tags, after)


def check_whole(tags: TagList) -> None:
    if not any(fields.active for fields in tags.values()):
        raise NotAllowed(_("At least one tag stays in use: a model could give none."))
    if len(tags) > MOST_TAGS_IN_LIST:
        told = _("A list has at most %(most)d tags.")
        raise NotAllowed(told % {"most": MOST_TAGS_IN_LIST})


def _tidy(text: str) -> str:
    return " ".join(filter(None, unicodedata.normalize("NFC", text).split(" "))).strip()


def _wrong_text(fields: Fields) -> str:
    if not fields.name:
        return _("The name is empty.")
    if len(fields.name) > LONGEST_NAME:
        return _("The name has more than %(most)d characters.") % {"most": LONGEST_NAME}
    for text in (fields.name, fields.description, fields.not_for, *fields.synonyms):
        for character in text:
            if unicodedata.category(character) in CONTROL or character in TURNING:
                told = _("“%(text)s” has a control character (U+%(code)s).")
                shown = "".join(one for one in text[:60] if one.isprintable())
                return told % {"text": shown, "code": f"{ord(character):04X}"}
    if len(fields.description) > LONGEST_TEXT or len(fields.not_for) > LONGEST_TEXT:
        return _("A description has more than %(most)d characters.") % {"most": LONGEST_TEXT}
    if len(fields.synonyms) > MOST_SYNONYMS or any(
        len(one) > LONGEST_NAME or ";" in one for one in fields.synonyms
    ):
        told = _("A tag has at most %(many)d synonyms, of %(most)d characters, without semicolons.")
        return told % {"many": MOST_SYNONYMS, "most": LONGEST_NAME}
    return ""


def _wrong_link(number: int, tags: TagList) -> str:
    fields = tags[number]
    for field, other in (("merged_into", fields.merged_into), ("parent", fields.parent)):
        if other is None:
            continue
        if other not in tags:
            told = _("There is no tag with the number %(number)d, which “%(name)s” names.")
            return told % {"number": other, "name": fields.name}
        passed, at = {number}, other
        while at is not None and at in tags:
            if at in passed:
                told = _("“%(name)s” would lead back to itself, in a circle.")
                return told % {"name": fields.name}
            passed.add(at)
            at = getattr(tags[at], field)
    return ""


def _free_names(plan: Plan, rows: Mapping[int, Tag]) -> None:
    """Where several are renamed, one may take the name that another gives up."""
    renamed = [
        rows[number].pk
        for number, fields in plan.after.items()
        if number in rows and rows[number].name != fields.name
    ]
    if len(renamed) > 1 or (renamed and len(plan.after) > len(rows)):
        for pk in renamed:
            Tag.objects.filter(pk=pk).update(name=str(uuid.uuid4()))


def _link(project: Project, plan: Plan, rows: Mapping[int, Tag]) -> None:
    """Set what leads to other tags, now that all of them are there."""
    ids = dict(project.tags.values_list("number", "pk"))
    for number, fields in plan.after.items():
        tag = rows[number]
        merged_into = None if fields.merged_into is None else ids[fields.merged_into]
        parent = None if fields.parent is None else ids[fields.parent]
        if (tag.merged_into_id, tag.parent_id) != (merged_into, parent):
            tag.merged_into_id, tag.parent_id = merged_into, parent
            tag.save(update_fields=["merged_into", "parent"])
