"""TRL's format for reward models: preferences, without any other column.

No `margin`: the trainer would take it off the difference, and nobody has measured one.
"""

from __future__ import annotations

from collections.abc import Iterator

from .lesson import Lesson, said


def rows(lesson: Lesson) -> Iterator[str]:
    chosen = said(lesson.text)
    for loser in lesson.pairs:
        yield (
            f'{{"prompt": {lesson.prompt}, "chosen": [{chosen}], "rejected": [{said(loser.text)}]}}'
        )
