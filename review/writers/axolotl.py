"""Axolotl's preference data (`rl: dpo`, `chat_template.default`), and its part of the YAML."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .lesson import Lesson, said

ENTRY = """\
  - path: {name}
    ds_type: json
    split: train
    type: chat_template.default
    field_messages: messages
    field_chosen: chosen
    field_rejected: rejected
    message_property_mappings:
      role: role
      content: content
"""


def rows(lesson: Lesson) -> Iterator[str]:
    chosen = said(lesson.text)
    for loser in lesson.pairs:
        yield (
            f'{{"messages": {lesson.prompt}, "chosen": {chosen}, "rejected": {said(loser.text)}}}'
        )


def beside(names: Iterable[str]) -> dict[str, str]:
    """The other files of the folder. `names`: those of its data files."""
    named = {name.partition(".")[0]: name for name in names}
    parts = ["rl: dpo\n"]
    for key, split in (("datasets", "train"), ("test_datasets", "validation")):
        if split in named:
            parts.append(f"{key}:\n" + ENTRY.format(name=named[split]))
    return {"axolotl.yaml": "".join(parts)}
