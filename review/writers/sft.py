"""Prompt and chosen answer as chats: trainers learn the answer only (`trl sft`)."""

from __future__ import annotations

from collections.abc import Iterator

from .lesson import Lesson, said


def rows(lesson: Lesson) -> Iterator[str]:
    if lesson.chosen and lesson.taught:
        yield (f'{{"prompt": {lesson.prompt}, "completion": [{said(lesson.text)}]{lesson.ending()}')
