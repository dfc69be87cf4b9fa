"""TRL's preference format: JSON lines for `trl dpo`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .lesson import Lesson, Rejected, said


def rows(lesson: Lesson) -> Iterator[str]:
    """Conversational, with our own columns: TRL drops what it does not know."""
    if not lesson.pairs:
        return
    start = f'{{"prompt": {lesson.prompt}, "chosen": [{said(lesson.text)}], "rejected": ['
    for loser in lesson.pairs:
        yield f"{start}{said(loser.text)}]{lesson.ending(loser)}"


def preference_line(
    messages: Sequence[dict[str, str]], chosen: Sequence[str], rejected: Sequence[str]
) -> str:
    """One pair as a line of JSON, without its newline.

    Holds TRL's three preference columns, each a list of messages: `prompt` as sent to the
    model, `chosen` and `rejected` one assistant message each.

    Raises ValueError when the two sides are equal as sets: such a pair teaches nothing.
    Source: TRL's documentation, "Dataset formats", Preference.
    """
    lesson = Lesson(messages, chosen, [Rejected(rejected)], document="", split="")
    return next(rows(lesson))
