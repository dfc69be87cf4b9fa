"""Which tables an archive holds, and how a row is a line of it: the same on every database.

A line is a JSON list of the row's columns, in the order that the manifest gives. Moments are
in UTC, ISO 8601 with microseconds; what JSON has no word for is its text; bytes are base64.
"""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.db import models

from review.models import Swept

AT_ONCE = 100  # rows read from the database at a time: one may have a text of a megabyte

# Two are of one machine. The other two every install makes for itself, with other numbers: rows
# that refer to them have their names instead.
LEFT_OUT: set[type[models.Model]] = {Session, Swept, ContentType, Permission}
# Made of the document's text, and trusted: so it comes from no archive.
MADE_ANEW = {"review_document": {"html"}}

TEXTS: set[type] = {str}
WHOLE: set[type] = {int}
TYPES: dict[str, set[type]] = {
    **dict.fromkeys(("CharField", "TextField", "GenericIPAddressField"), TEXTS),
    **dict.fromkeys(("DateTimeField", "DateField", "TimeField", "UUIDField"), TEXTS),
    **dict.fromkeys(("DecimalField", "BinaryField"), TEXTS),
    **dict.fromkeys(("AutoField", "BigAutoField", "IntegerField", "BigIntegerField"), WHOLE),
    **dict.fromkeys(("SmallIntegerField", "PositiveIntegerField"), WHOLE),
    **dict.fromkeys(("PositiveSmallIntegerField", "PositiveBigIntegerField"), WHOLE),
    "FloatField": {float, int},
    "BooleanField": {bool},
    "JSONField": {str, int, float, bool, list, dict},
}


class NotAValue(ValueError):
    """It cannot be in this column; the sentence says why."""


@dataclass(frozen=True)
class Table:
    model: type[models.Model]

    @property
    def name(self) -> str:
        return self.model._meta.db_table

    @property
    def fields(self) -> list[models.Field[Any, Any]]:
        """All of its columns."""
        return list(self.model._meta.concrete_fields)

    @property
    def kept(self) -> list[models.Field[Any, Any]]:
        """Those that are in an archive."""
        away = MADE_ANEW.get(self.name, set())
        return [field for field in self.fields if field.column not in away]

    @property
    def columns(self) -> list[str]:
        """Of those."""
        return [str(field.column) for field in self.kept]

    def lines(self) -> Iterator[bytes]:
        """Yield each row. Holds some at a time: memory does not grow with their number."""
        kept = self.kept
        named = {
            at: names_of(field.related_model)
            for at, field in enumerate(kept)
            if field.related_model in (ContentType, Permission)
        }
        rows = self.model._base_manager.order_by("pk").values_list(*(it.attname for it in kept))
        for row in rows.iterator(chunk_size=AT_ONCE):
            values = list(row)
            for at, names in named.items():
                values[at] = names.get(values[at])
            yield line_of(values)


def tables() -> list[Table]:
    """Each after those that its rows refer to; else in the order of review/models/__init__.

    In this order a decision and its tags are before what stands: a trigger reads them then.
    """
    found: dict[type[models.Model], Table] = {}

    def visit(model: type[models.Model]) -> None:
        if model in found or model in LEFT_OUT or model in above:
            return
        above.append(model)
        for field in model._meta.concrete_fields:
            if isinstance(field.related_model, type):
                visit(field.related_model)
        found[model] = Table(model)

    above: list[type[models.Model]] = []
    for model in apps.get_models(include_auto_created=True):
        if model._meta.managed and not model._meta.proxy:
            visit(model)
    return list(found.values())


# --- A row and its line -------------------------------------------------------------------


def line_of(values: Sequence[Any]) -> bytes:
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"), default=_plain)
    return text.encode() + b"\n"


def _plain(value: object) -> str:
    """What JSON has no word for."""
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC).isoformat("T", "microseconds")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, bytes | memoryview):
        return base64.b64encode(bytes(value)).decode()
    return str(value)


def value_of(field: models.Field[Any, Any], given: Any) -> Any:
    """What the column has. Raises NotAValue for what is of another kind, too long, no choice.

    What is checked is what the tables are meant to hold, and not what a form would take: that
    has been stricter at times than what stored the rows.
    """
    if given is None:
        if field.null:
            return None
        raise NotAValue(f"“{field.column}” is empty")
    source = field
    while isinstance(source, models.ForeignKey):
        source = source.target_field
    kind = source.get_internal_type()
    if type(given) not in TYPES.get(kind, {type(given)}):
        raise NotAValue(f"“{field.column}” is no {kind.removesuffix('Field').lower()}: {given!r}")
    try:
        value = source.to_python(given)
    except (ValidationError, ValueError, OverflowError) as error:
        raise NotAValue(f"“{field.column}” cannot be {str(given)[:100]!r}") from error
    if isinstance(value, datetime.datetime) and value.tzinfo is None:
        raise NotAValue(f"“{field.column}” has no time zone: {given!r}")
    if isinstance(value, str) and source.max_length and len(value) > source.max_length:
        raise NotAValue(f"“{field.column}” is longer than {source.max_length} characters")
    if value != "" and field.choices and value not in dict(field.flatchoices):
        raise NotAValue(f"“{field.column}” cannot be {str(given)[:100]!r}")
    return value


# --- What every install makes for itself --------------------------------------------------


def names_of(model: object) -> dict[int, list[str]]:
    """By their numbers here."""
    if model is ContentType:
        kinds = ContentType.objects.values_list("pk", "app_label", "model")
        return {pk: names for pk, *names in kinds}
    about = ("content_type__app_label", "content_type__model", "codename", "name")
    return {pk: names for pk, *names in Permission.objects.values_list("pk", *about)}


def number_of(model: object) -> Callable[[Any], int]:
    """By their names: the numbers here. What is not there, of an app that is gone, is made."""
    found = {tuple(names): pk for pk, names in names_of(model).items()}

    def number(names: Any) -> int:
        wanted = 2 if model is ContentType else 4
        right = isinstance(names, list) and len(names) == wanted
        if not right or not all(isinstance(name, str) and name for name in names):
            raise NotAValue(f"this names no row: {str(names)[:100]}")
        if tuple(names) not in found:
            kind, _ = ContentType.objects.get_or_create(app_label=names[0], model=names[1])
            if model is Permission:
                made, _ = Permission.objects.get_or_create(
                    content_type=kind, codename=names[2], defaults={"name": names[3]}
                )
                found[tuple(names)] = made.pk
            else:
                found[tuple(names)] = kind.pk
        return found[tuple(names)]

    return number
