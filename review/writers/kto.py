"""TRL's unpaired format, for `trl kto`: an answer, and whether it was a good one.

Written from the decisions, not from the pairs: TRL's own unpairing would repeat what was
chosen once for each set that it beat.
"""

from __future__ import annotations

from collections.abc import Iterator

from .lesson import Lesson, said


def rows(lesson: Lesson) -> Iterator[str]:
    if lesson.chosen and lesson.taught:
        yield _row(lesson, lesson.text, "true")
    for loser in lesson.rejected:
        yield _row(lesson, loser.text, "false")


def _row(lesson: Lesson, text: str, good: str) -> str:
    prompt = f'{{"prompt": {lesson.prompt}, "completion": [{said(text)}], "label": {good}'
    return prompt + lesson.ending()
