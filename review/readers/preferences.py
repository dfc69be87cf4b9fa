"""Pairs of answers, of which one was preferred → questions: TRL's conversational JSON lines.

Each line is an object with "prompt" (messages), "chosen" and "rejected" (one message of the
assistant each): what `export_preferences` prints. Other fields may be there and are not read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

from . import Refused
from .jsonl import lines
from .labelled import LONGEST
from .row import DECODER, NotARow

ROLES = ("system", "user", "assistant")

Message = dict[str, str]


@dataclass(frozen=True)
class Pair:
    """A line of the file."""

    messages: list[Message]
    chosen: str
    rejected: str


@dataclass(frozen=True)
class Question:
    """The messages as they were sent, and what was preferred of the answers to them.

    answers: each once. pairs: places in `answers`, the chosen one's and the rejected one's; as
    often as somebody said so, and both ways round where people disagreed.
    """

    messages: list[Message]
    answers: list[str]
    pairs: list[tuple[int, int]]


def read_preferences(file: BinaryIO) -> list[Question]:
    """The questions, in the order in which each comes first. Raises Refused at a wrong line."""
    pairs = []
    for number, line in enumerate(lines(file, LONGEST), start=1):
        if line is not None and not line.strip():
            continue
        try:
            if line is None:
                raise NotARow("It is too long.")
            pairs.append(_read(line.decode("utf-8-sig")))
        except (ValueError, RecursionError) as error:  # NotARow, not JSON, not UTF-8
            raise Refused(f"Line {number}: {error}") from error
    return grouped(pairs)


def grouped(pairs: Iterable[Pair]) -> list[Question]:
    """One question for all pairs with the same messages."""
    found: dict[str, Question] = {}
    for pair in pairs:
        question = found.setdefault(json.dumps(pair.messages), Question(pair.messages, [], []))
        for answer in (pair.chosen, pair.rejected):
            if answer not in question.answers:
                question.answers.append(answer)
        places = question.answers.index(pair.chosen), question.answers.index(pair.rejected)
        question.pairs.append(places)
    return list(found.values())


def _read(line: str) -> Pair:
    row = DECODER.decode(line)
    if not isinstance(row, dict):
        raise NotARow("This is not a JSON object.")
    prompt, chosen, rejected = (_messages(row, name) for name in ("prompt", "chosen", "rejected"))
    if prompt[-1]["role"] == "assistant":
        raise NotARow("“prompt” ends with an answer: that is to be in “chosen” and “rejected”.")
    for name, said in (("chosen", chosen), ("rejected", rejected)):
        if [one["role"] for one in said] != ["assistant"]:
            raise NotARow(f"“{name}” is not one message of the assistant.")
    better, worse = chosen[0]["content"], rejected[0]["content"]
    if _said(better) == _said(worse):
        raise NotARow("“chosen” and “rejected” say the same: such a pair teaches nothing.")
    return Pair(prompt, better, worse)


def _messages(row: dict[str, object], field: str) -> list[Message]:
    value = row.get(field)
    if not isinstance(value, list) or not value:
        raise NotARow(f"“{field}” is not a list of messages.")
    for one in value:
        if not isinstance(one, dict) or one.get("role") not in ROLES:
            raise NotARow(f"“{field}” has a message whose role is none of {', '.join(ROLES)}.")
        if not isinstance(one.get("content"), str) or not one["content"]:
            raise NotARow(f"“{field}” has a message without a text as its content.")
    return [{"role": one["role"], "content": one["content"]} for one in value]


def _said(answer: str) -> object:
    """Tags as a set, which is what is compared when people pick; else the text itself."""
    try:
        tags = json.loads(answer)["tags"]
        return frozenset(map(str, tags)) if isinstance(tags, list) else answer.strip()
    except (ValueError, TypeError, KeyError, RecursionError):
        return answer.strip()
