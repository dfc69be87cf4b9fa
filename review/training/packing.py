"""A prompt with several documents behind it: the tag list is read once for all of them.

The system message, which is half of each prompt, is the stem; each document with its answer
is a branch, whose positions go on from the stem's end, and which sees the stem and itself.
So its answer is as likely as if the document stood there alone: docs/training.md.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from review.llm.prompt import VERSIONS, Material, Prompt, PromptTag
from review.readers.labelled import Labelled

PROMPT = "adapter-2"  # what production sends: the adapter is to read no other
MAX_TAGS = 3


class Chat(Protocol):
    """How the base model spells a conversation: `base_model.Spelling` is the real one."""

    def text(self, messages: Sequence[Mapping[str, str]], *, answer_next: bool = False) -> str:
        """The conversation with its control tokens; with the answer next, up to where it begins."""

    def tokens(self, text: str) -> list[int]: ...


@dataclass(frozen=True)
class Pack:
    """tokens: the stem's, then each branch's. positions: as many.

    stem: how many tokens it has. branches: and each of the branches. asked: the places whose
    next token is part of an answer. wanted: those next tokens.
    """

    tokens: list[int]
    positions: list[int]
    stem: int
    branches: list[int]
    asked: list[int]
    wanted: list[int]


def prompt_of(document: Labelled, names: Sequence[str]) -> Prompt:
    """What production would send of this document with this tag list."""
    tags = [PromptTag(name) for name in names]
    return VERSIONS[PROMPT](Material("", tags, MAX_TAGS, document.title, document.text))


def packed(documents: Sequence[Labelled], shown: Mapping[str, str], chat: Chat) -> Pack:
    """The documents with their best tags, behind one tag list; at least one document.

    shown: each tag's name → the name that the list has for it, in the list's order.
    """
    names = list(shown.values())
    opening = chat.text(prompt_of(documents[0], names).messages[:1])
    stem = chat.tokens(opening)
    pack = Pack(list(stem), list(range(len(stem))), len(stem), [], [], [])
    for document in documents:
        messages = prompt_of(document, names).messages
        reply = json.dumps({"tags": [shown[tag] for tag in document.best[:MAX_TAGS]]})
        asking = chat.text(messages, answer_next=True)
        whole = chat.text([*messages, {"role": "assistant", "content": reply}])
        if not asking.startswith(opening) or not whole.startswith(asking):
            raise ValueError(
                "The model's chat template does not build a prompt from left to right."
            )
        question = chat.tokens(asking[len(opening) :])
        answer = chat.tokens(whole[len(asking) :])
        length = len(question) + len(answer)
        begins = len(pack.tokens) + len(question)
        pack.tokens.extend([*question, *answer])
        pack.positions.extend(range(len(stem), len(stem) + length))
        pack.branches.append(length)
        pack.asked.extend(range(begins - 1, begins - 1 + len(answer)))
        pack.wanted.extend(answer)
    return pack


def extent(count: int, pack: int, epochs: float) -> tuple[int, int]:
    """How many of `count` make up a step, and how many steps there are."""
    size = min(pack, count)
    return size, max(1, round(epochs * count / size))


def drawn(count: int, pack: int, step: int, seed: int) -> list[int]:
    """Which of `count` documents the step's pack holds: all in a new order each time around.

    The same for the same arguments, so that a training can go on from any step.
    """
    places = range(step * pack, (step + 1) * pack)
    orders: dict[int, list[int]] = {}
    for around in {place // count for place in places}:
        orders[around] = list(range(count))
        random.Random(f"{seed} {around}").shuffle(orders[around])  # noqa: S311 - no secret
    return [orders[place // count][place % count] for place in places]
