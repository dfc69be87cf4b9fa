"""TRL's preference format in plain texts, for models without a chat template."""

from __future__ import annotations

from collections.abc import Iterator

from .lesson import Lesson, encode


def rows(lesson: Lesson) -> Iterator[str]:
    for loser in lesson.pairs:
        yield (
            f'{{"prompt": {lesson.prompt_text}, "chosen": {encode(lesson.text)}, '
            f'"rejected": {encode(loser.text)}{lesson.ending(loser)}'
        )
