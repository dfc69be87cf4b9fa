"""LLaMA-Factory's ranking data (ShareGPT), and the entry that it wants in dataset_info.json.

Its two sides are one message each, not lists: of a list it would drop the row with a warning.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from .lesson import Lesson, said


def rows(lesson: Lesson) -> Iterator[str]:
    chosen = said(lesson.text)
    for loser in lesson.pairs:
        yield (
            f'{{"conversations": {lesson.prompt}, "chosen": {chosen}, '
            f'"rejected": {said(loser.text)}}}'
        )


def beside(names: Iterable[str]) -> dict[str, str]:
    """The other files of the folder. `names`: those of its data files."""
    info = {
        f"tagger_{name.partition('.')[0]}": {
            "file_name": name,
            "formatting": "sharegpt",
            "ranking": True,
            "columns": {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"},
            "tags": {
                "role_tag": "role",
                "content_tag": "content",
                "user_tag": "user",
                "assistant_tag": "assistant",
                "system_tag": "system",
            },
        }
        for name in names
    }
    return {"dataset_info.json": json.dumps(info, indent=2) + "\n"}
