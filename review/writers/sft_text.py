"""Prompt and completion as plain texts: trainers learn the completion only (`trl sft`)."""

from __future__ import annotations

from collections.abc import Iterator

from .lesson import Lesson, encode


def rows(lesson: Lesson) -> Iterator[str]:
    if lesson.chosen and lesson.taught:
        prompt = f'{{"prompt": {lesson.prompt_text}, "completion": {encode(lesson.text)}'
        yield prompt + lesson.ending()
