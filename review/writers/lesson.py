"""What one decision teaches, ready to be written in any format."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

# What rows carry beside TRL's own columns, in this order. None may have a name that a trainer
# takes for its own: messages, completion, label, images, tools and the like.
COLUMNS: dict[str, type] = {
    "pair_id": str,
    "decision_id": int,
    "document_id": str,
    "split": str,
    "source": str,
    "chosen_rank": int,
    "rejected_rank": int,
    "chosen_by": str,
    "rejected_by": str,
    "on_policy": bool,
    "reviewer": str,
    "n_reviewers": int,
    "agreement": float,
    "self_consistency": float,
    "weight": float,
    "candidate_model": str,
    "prompt_version": str,
    "vocabulary_version": str,
    "created_at": str,
}


# As json.dumps, which would make an encoder each time: a release encodes millions of values.
encode = json.JSONEncoder(ensure_ascii=False).encode


def answer(tags: Sequence[str]) -> str:
    """The tags in the one form that is trained on, so that nobody learns white space."""
    return f'{{"tags": [{", ".join(map(encode, tags))}]}}'


@lru_cache(maxsize=16)
def _system(text: str) -> str:
    """A system message's text as JSON: long, and the same in thousands of prompts."""
    return encode(text)


def members(columns: Mapping[str, Any]) -> str:
    """The columns as further members of a JSON object."""
    return f", {encode(columns)[1:-1]}" if columns else ""


@dataclass(frozen=True)
class Rejected:
    """A set that lost. columns: those of COLUMNS that are this pair's own."""

    tags: Sequence[str]
    columns: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def text(self) -> str:
        return answer(self.tags)


@dataclass(frozen=True)
class Lesson:
    """A prompt, the set that a person chose for it, and those that it beat.

    chosen: empty where no set fits. taught: the chosen set is an answer to learn by itself;
    False where it only beats others, or is in another row already. numbered: the chosen tags as
    (number, name). columns: those of COLUMNS that all its pairs have alike.
    """

    messages: Sequence[Mapping[str, str]]
    chosen: Sequence[str]
    rejected: Sequence[Rejected]
    document: str
    split: str
    taught: bool = True
    numbered: Sequence[tuple[int, str]] = ()
    columns: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if any(set(self.chosen) == set(loser.tags) for loser in self.rejected):
            raise ValueError(f"Both sides of a pair are {sorted(self.chosen)}.")

    @cached_property
    def prompt(self) -> str:
        """The messages as JSON: encoded once for all rows and formats."""
        turns = (
            f'{{"role": "system", "content": {_system(one["content"])}}}'
            if one["role"] == "system"
            else encode(one)
            for one in self.messages
        )
        return f"[{', '.join(turns)}]"

    @cached_property
    def prompt_text(self) -> str:
        """The messages as one plain text, as JSON."""
        return encode("\n\n".join(one["content"] for one in self.messages) + "\n\n")

    @cached_property
    def text(self) -> str:
        return answer(self.chosen)

    @cached_property
    def common(self) -> str:
        """The columns that all rows have alike."""
        return members(self.columns)

    @property
    def pairs(self) -> Sequence[Rejected]:
        """Those that the chosen set beats; none where there is no such set."""
        return self.rejected if self.chosen else ()

    def ending(self, loser: Rejected | None = None) -> str:
        """The end of a row, with its columns."""
        return f"{self.common}{members(loser.columns) if loser else ''}}}"


def said(text: str) -> str:
    """An assistant's message, as JSON."""
    return f'{{"role": "assistant", "content": {encode(text)}}}'
