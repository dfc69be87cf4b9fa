"""Long lists, a page at a time, in the order of time: no page is slower than the first.

`next` of one page is `after` of the following one; `since` begins later. A row that is being
saved by one transaction may get its place in the list after a later one of another: who asks
again every few minutes begins a minute before they last asked, and knows rows by their id.
"""

from __future__ import annotations

import datetime
import re
from typing import Annotated, TypeVar

from django.db.models import Model, Q, QuerySet
from ninja import Schema
from pydantic import AwareDatetime, Field
from pydantic.functional_validators import AfterValidator, BeforeValidator

Row = TypeVar("Row", bound=Model)

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
LAST = datetime.datetime.max.replace(tzinfo=datetime.UTC)


def _a_date_first(written: object) -> object:
    """Without it a bare number would be read as seconds since 1970."""
    if isinstance(written, str) and not re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", written):
        raise ValueError("It is no time as RFC 3339 has it.")
    return written


def _in_utc(when: datetime.datetime) -> datetime.datetime:
    """Years that no clock of ours has shown are as good as the first and the last."""
    try:
        return max(when.astimezone(datetime.UTC), EPOCH)
    except OverflowError:
        return EPOCH if when.year == 1 else LAST


# Microseconds since 1970 and the row's number: as a database keeps them, and for three centuries.
Cursor = Annotated[str, Field(pattern=r"^[0-9]{1,16}-[0-9]{1,18}$")]
Since = Annotated[AwareDatetime, BeforeValidator(_a_date_first), AfterValidator(_in_utc)]


class Listed(Schema):
    """Which part of a list is asked for."""

    since: Since | None = Field(
        None, description="Only those that came at this time or later: 2026-07-01T00:00:00Z"
    )
    after: Cursor | None = Field(None, description="`next` of the page before.")
    limit: int = Field(100, ge=1, le=1000, description="The most that a page has.")


def page(rows: QuerySet[Row], asked: Listed) -> tuple[list[Row], str | None]:
    """The rows of one page, and the cursor of the next: None where there is none."""
    limit = asked.limit
    if asked.since is not None:
        rows = rows.filter(created_at__gte=asked.since)
    if asked.after is not None:
        moment, number = _read(asked.after)
        # The first condition says what the second does, in a form that an index is good for.
        rows = rows.filter(created_at__gte=moment).filter(
            Q(created_at__gt=moment) | Q(created_at=moment, pk__gt=number)
        )
    found = list(rows.order_by("created_at", "pk")[: limit + 1])
    return found[:limit], _cursor(found[limit - 1]) if len(found) > limit else None


def _cursor(row: Model) -> str:
    passed = row.created_at - EPOCH  # type: ignore[attr-defined]
    return f"{passed // datetime.timedelta(microseconds=1)}-{row.pk}"


def _read(cursor: str) -> tuple[datetime.datetime, int]:
    microseconds, _dash, number = cursor.partition("-")
    return EPOCH + datetime.timedelta(microseconds=int(microseconds)), int(number)
