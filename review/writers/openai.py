"""OpenAI's preference format, which Together, Fireworks and Azure read too.

One assistant message on each side, string contents, no other keys: they refuse unknown ones.
"""

from __future__ import annotations

from collections.abc import Iterator

from .lesson import Lesson, said


def rows(lesson: Lesson) -> Iterator[str]:
    chosen = said(lesson.text)
    for loser in lesson.pairs:
        yield (
            f'{{"input": {{"messages": {lesson.prompt}}}, "preferred_output": [{chosen}], '
            f'"non_preferred_output": [{said(loser.text)}]}}'
        )
