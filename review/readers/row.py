"""A row of named values → a document: for JSON lines, JSON and tables.

`columns` says under which name a row has each field, as {"id": "Nr", "text": "Body"}. A row
without a column for its id is known by its text: the same text is the same document.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NoReturn

from . import Incoming, decode, first_heading

FIELDS = ("id", "text", "title", "source")
BY_THEIR_NAMES = {field: field for field in FIELDS}
DEEPEST = 50  # lists and objects in one another
LONGEST_NUMBER = 400  # digits
LONGEST_ID = 500  # characters


class NotARow(ValueError):
    """The sentence says why."""


def read_json(data: bytes, columns: Mapping[str, str], where: str, line: int) -> Incoming:
    """The document in one JSON object. JSON is taken strictly: what is doubtful is a problem."""
    text, problem = decode(data)
    if not problem:
        try:
            row = DECODER.decode(text)
            if not isinstance(row, dict):
                raise NotARow("This is not a JSON object.")
            if depth(row) > DEEPEST:
                raise NotARow(TOO_DEEP)
        except NotARow as error:
            problem = str(error)
        except json.JSONDecodeError as error:
            problem = f"This is not JSON: {error.msg} at character {error.pos + 1}."
        except RecursionError:
            problem = TOO_DEEP
        else:
            return read_row(row, columns, where, line)
    return Incoming("", "", source=where, problem=problem, line=line)


def read_row(row: Mapping[str, Any], columns: Mapping[str, str], where: str, line: int) -> Incoming:
    """The document in one row; with a problem where a field is missing or cannot be kept."""
    found: dict[str, str] = {}
    wrong: tuple[str, str] | None = None
    for field in FIELDS:
        column = columns.get(field, "")
        value = row.get(column) if column else None
        problem = problem_of_value(
            value, needed=field == "text" or (field == "id" and bool(column))
        )
        if not problem and field == "id" and value is not None:
            if str(value) == "":
                problem = "is empty"
            elif len(str(value)) > LONGEST_ID:
                problem = f"has more than {LONGEST_ID} characters"
        if problem:
            wrong = wrong or (field, f"“{clip(column or field)}” {problem}.")
        else:
            found[field] = "" if value is None else str(value)
    external_id = found.get("id", "")
    text = found.get("text", "")
    if wrong:
        field, problem = wrong
        return Incoming(*(external_id, ""), source=where, problem=problem, line=line, field=field)
    return Incoming(
        external_id or hashlib.sha256(text.encode()).hexdigest()[:16],
        text,
        title=found.get("title") or first_heading(text),
        source=found.get("source") or where,
        line=line,
    )


def problem_of_value(value: object, *, needed: bool) -> str:
    """What is wrong with it, as the end of a sentence; "" where it is a text or a whole number."""
    if value is None:
        return "is missing" if needed else ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return "is not a text"
    if isinstance(value, int):
        return ""
    if "\0" in value:
        return f"has a NUL, as character {value.index(chr(0)) + 1}"
    try:
        value.encode()
    except UnicodeEncodeError as error:
        return f"has half a character (a lone surrogate), as character {error.start + 1}"
    return ""


def clip(name: str) -> str:
    """A name from a file, fit for a sentence."""
    return name.encode(errors="replace").decode().replace("\0", "?")[:60]


def depth(value: object) -> int:
    """How many lists and objects are in one another; stops soon after too many."""
    level, deep = [value], 0
    while level and deep <= DEEPEST:
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        deep += 1
    return deep


TOO_DEEP = f"More than {DEEPEST} lists and objects are in one another."


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in found if names.count(name) > 1)
        raise NotARow(f"“{clip(twice)}” is there twice.")
    return found


def _constant(name: str) -> NoReturn:
    raise NotARow(f"{name} is not JSON.")


def _integer(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise NotARow(f"A number has {len(digits)} digits.")
    return int(digits)


DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer)
