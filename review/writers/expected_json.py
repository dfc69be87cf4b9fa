"""The answer that the first prompt asked for: `{"id":"5201","tags":[{"id":25,"name":"ai"}]}`."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Iterator

from .lesson import Lesson


class Form(enum.StrEnum):
    """How a tag is written: whole, by its number alone, by its name alone."""

    OBJECTS = "objects"
    IDS = "ids"
    NAMES = "names"


def expected(
    external_id: str, tags: Iterable[tuple[int, str]], form: Form = Form.OBJECTS
) -> dict[str, object]:
    """The answer for one document, as an object. `tags` are (number, name), in their order."""
    match form:
        case Form.IDS:
            written: list[object] = [number for number, _name in tags]
        case Form.NAMES:
            written = [name for _number, name in tags]
        case Form.OBJECTS:
            written = [{"id": number, "name": name} for number, name in tags]
    return {"id": external_id, "tags": written}


def expected_line(external_id: str, tags: Iterable[tuple[int, str]]) -> str:
    """The same as a line of JSON, without its newline."""
    return json.dumps(expected(external_id, tags), ensure_ascii=False)


def expected_array(
    documents: Iterable[tuple[str, Iterable[tuple[int, str]]]],
) -> Iterator[str]:
    """Yield the pieces of a JSON array of them, one a line. Holds one at a time."""
    yield "[\n"
    for place, (external_id, tags) in enumerate(documents):
        yield (",\n" if place else "") + expected_line(external_id, tags)
    yield "\n]\n"


def rows(lesson: Lesson) -> Iterator[str]:
    """The chosen tags of a lesson, under the names that the model was shown."""
    if lesson.chosen and lesson.taught:
        yield expected_line(lesson.document, lesson.numbered)
