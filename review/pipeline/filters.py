"""Which decisions a release is made of."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext as _

POLICIES = ("majority", "unanimous", "all")


class NotFilters(ValueError):
    """What was asked for cannot be. errors: a sentence for each field."""

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__(" ".join(errors.values()))
        self.errors = errors


@dataclass(frozen=True)
class Filters:
    """All that is given must hold; what is empty asks nothing.

    since, until: ISO days or moments, since <= decided < until; a day until counts whole.
    reviewers, without_reviewers: usernames. policy: what of people who disagree, see select.py.
    one_pair: at most one for a decision, against the best-ranked loser. min_agreement: the share
    of the document's reviewers who gave this set; a curator's word always passes.
    min_self_consistency: the share of their repeats that a reviewer decided alike; who had none
    passes. with_gold: also what people decided on documents that they were handed as gold.
    """

    since: str = ""
    until: str = ""
    reviewers: tuple[str, ...] = ()
    without_reviewers: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    prompt_versions: tuple[str, ...] = ()
    on_policy: bool = False
    policy: str = "majority"
    one_pair: bool = False
    min_agreement: float = 0
    min_self_consistency: float = 0
    with_gold: bool = False

    def __post_init__(self) -> None:
        errors = {}
        for name in ("since", "until"):
            given = getattr(self, name)
            if given and moment(given) is None:
                told = _("“%(given)s” is no day: write it as 2026-01-31.")
                errors[name] = told % {"given": given}
        if not errors and self.start and self.end and self.start >= self.end:
            errors["until"] = _("The end must be after the start.")
        if self.policy not in POLICIES:
            errors["policy"] = _("The policy must be majority, unanimous or all.")
        for name in ("min_agreement", "min_self_consistency"):
            if not 0 <= getattr(self, name) <= 1:
                errors[name] = _("A share is from 0 to 1.")
        if errors:
            raise NotFilters(errors)

    @property
    def start(self) -> datetime.datetime | None:
        return moment(self.since)

    @property
    def end(self) -> datetime.datetime | None:
        return moment(self.until, whole_day=True)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Filters:
        """Of JSON, as a row keeps it. Raises NotFilters."""
        known = {field.name: field.default for field in fields(cls)}
        errors, values = {}, {}
        for name, value in given.items():
            if name not in known:
                errors[name] = _("There is no filter “%(name)s”.") % {"name": name}
                continue
            try:
                values[name] = _as(known[name], value)
            except (TypeError, ValueError):
                told = _("“%(value)s” cannot be read as %(name)s.")
                errors[name] = told % {"value": value, "name": name}
        if errors:
            raise NotFilters(errors)
        return cls(**values)

    def as_dict(self) -> dict[str, Any]:
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }


def _as(default: Any, value: Any) -> Any:
    """The value, of the same kind as the field's default."""
    match default:
        case bool():
            if not isinstance(value, bool):
                raise TypeError
            return value
        case tuple():
            if isinstance(value, str) or not all(isinstance(one, str) for one in value):
                raise TypeError
            return tuple(value)
        case str():
            if not isinstance(value, str):
                raise TypeError
            return value
        case _:
            if isinstance(value, bool):
                raise TypeError
            return float(value)


def moment(given: str, whole_day: bool = False) -> datetime.datetime | None:
    """A day begins at midnight here; None for what is neither a day nor a moment."""
    try:
        day = parse_date(given)
        found = parse_datetime(given)
    except ValueError:
        return None
    if day is not None:
        found = datetime.datetime.combine(day, datetime.time())
        if whole_day and day < datetime.date.max:  # no decision comes after that
            found += datetime.timedelta(days=1)
    if found is None:
        return None
    return found if timezone.is_aware(found) else timezone.make_aware(found)
