"""A row of a tag list → what it says of a tag. For all formats; see read_tags in tag_file.py."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

LARGEST_NUMBER = 2**31 - 1

# What people call the columns, in lower case and without spaces and signs.
NAMES = {
    "number": ("id", "number", "no", "nr", "notation"),
    "name": ("name", "tag", "label", "preflabel"),
    "description": ("description", "definition", "meaning"),
    "not_for": ("notfor", "scopenote"),
    "synonyms": ("synonyms", "altlabel", "aliases"),
    "parent": ("parent", "broader"),
    "retired": ("retired", "deprecated"),
    "merged_into": ("mergedinto", "replacedby", "isreplacedby"),
}


@dataclass(frozen=True)
class TagRow:
    """One tag in a file. None: the file does not say, and it stays as it is.

    row: where it is, from 1: a line of a table (its header is 1), an entry of a list.
    parent, merged_into: a number; 0 for none. problem: "" or why the row cannot be used.
    """

    row: int
    number: int = -1
    name: str = ""
    description: str | None = None
    not_for: str | None = None
    synonyms: tuple[str, ...] | None = None
    parent: int | None = None
    retired: bool | None = None
    merged_into: int | None = None
    problem: str = ""


class NotATag(ValueError):
    """The sentence says why."""


def field_of(column: str) -> str | None:
    """Which field a column is, by its name; None for one that means nothing here."""
    plain = re.sub(r"[^a-z]", "", column.lower())
    return next((field for field, names in NAMES.items() if plain in names), None)


def read_row(values: Mapping[str, object], row: int) -> TagRow:
    """The tag that a row's values, by column, say; with its problem where they say none."""
    found = {}
    for column, value in values.items():
        field = field_of(str(column))
        if field and field not in found:
            found[field] = value
    try:
        return TagRow(
            row,
            number=_number(found.get("number")),
            name=_name(found.get("name")),
            description=_text(found, "description"),
            not_for=_text(found, "not_for"),
            synonyms=_synonyms(found),
            parent=_link(found, "parent"),
            retired=_flag(found),
            merged_into=_link(found, "merged_into"),
        )
    except NotATag as problem:
        name = found.get("name")
        named = short(name) if isinstance(name, str) else ""
        return TagRow(row, name=named, problem=str(problem))


def _number(value: object) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a spreadsheet's
    if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,20}\s*", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        if value is None or value == "":
            raise NotATag("The number is missing.")
        raise NotATag(f"“{short(value)}” is not a whole number.")
    if value > LARGEST_NUMBER:
        raise NotATag(f"The number {short(value)} is too large: {LARGEST_NUMBER} is the largest.")
    return value


def _name(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = f"{value:g}" if isinstance(value, float) else str(value)  # 2024 in a spreadsheet
    if value is None:
        raise NotATag("The name is empty.")
    if not isinstance(value, str):
        raise NotATag("The name is not a text.")
    if not value.strip():
        raise NotATag("The name is empty.")
    return _sound(value)


def _text(found: Mapping[str, object], field: str) -> str | None:
    if field not in found:
        return None
    value = found[field]
    if value is None:
        return ""
    if not isinstance(value, str):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise NotATag(f"The {field.replace('_', ' ')} is not a text.")
        value = str(value)
    return _sound(value)


def _synonyms(found: Mapping[str, object]) -> tuple[str, ...] | None:
    if "synonyms" not in found:
        return None
    value = found["synonyms"]
    if value is None:
        return ()
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str):
        value = re.split(r"[;\n]", value)
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise NotATag("The synonyms are not a list of texts.")
    return tuple(_sound(one) for one in value if one.strip())


def _link(found: Mapping[str, object], field: str) -> int | None:
    if field not in found:
        return None
    value = found[field]
    return 0 if value is None or value == "" else _number(value)


def _flag(found: Mapping[str, object]) -> bool | None:
    if "retired" not in found:
        return None
    value = found["retired"]
    if isinstance(value, str):
        plain = value.strip().lower()
        if plain in ("", "no", "false", "0"):
            return False
        if plain in ("yes", "true", "1", "retired"):
            return True
    elif value is None or isinstance(value, bool) or value in (0, 1):
        return bool(value)
    raise NotATag(f"Retired is yes or no, not “{short(value)}”.")


def _sound(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise NotATag("The row has half a character (a lone surrogate).") from error
    return text


def short(value: object) -> str:
    """A value from a file, fit for a sentence."""
    if isinstance(value, int) and value.bit_length() > 128:
        return "…"
    text = str(value).encode(errors="replace").decode()
    return "".join(one for one in text[:40] if one.isprintable())
