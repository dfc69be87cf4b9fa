"""OpenAI's format for supervised fine-tuning: whole chats, and no other key."""

from __future__ import annotations

from collections.abc import Iterator

from .lesson import Lesson, said


def rows(lesson: Lesson) -> Iterator[str]:
    if lesson.chosen and lesson.taught:
        yield f'{{"messages": {lesson.prompt[:-1]}, {said(lesson.text)}]}}'
