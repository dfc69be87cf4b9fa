"""What a server has turned out to honour, learned from its refusals and its replies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

ROOM = 8  # times the tokens, after a reply whose thinking was cut off
MOST_TOKENS = 32_000


@dataclass
class Manners:
    """Everything is tried until it is refused: what is given up stays so until a new probe.

    thinks: a reasoning model, whose thinking counts as tokens of the reply. tokens: the least
    limit that leaves it room for its thinking; 0 while none was too small.
    """

    response_format: str = "json_schema"  # → json_object → "" (none)
    several: bool = True  # `n`: several replies to one request
    temperature: bool = True
    seed: bool = True
    limit: str = "max_tokens"  # or max_completion_tokens
    cache_key: bool = True  # prompt_cache_key
    logprobs: bool = True
    thinks: bool = False
    tokens: int = 0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Manners:
        """As it was kept by this or another version of Tagger."""
        return cls(**{field.name: kept[field.name] for field in fields(cls) if field.name in kept})

    def take_over(self, other: Manners) -> None:
        """Give up what the other has given up too: what two workers learned comes together."""
        for field in fields(self):
            mine, others = getattr(self, field.name), getattr(other, field.name)
            if others != field.default and (mine == field.default or others in ("", True)):
                setattr(self, field.name, others)
        self.tokens = max(self.tokens, other.tokens)

    def replace(self, other: Manners) -> None:
        """Forget what is known, and know what the other does."""
        for field in fields(self):
            setattr(self, field.name, getattr(other, field.name))

    def learn(self, complaint: str, n: int) -> bool:
        """Give up the parameter that a refusal complains of; False when nothing is left to.

        Servers word it in many ways; the parameter's name is all they have in common. Where
        none is named, the extras go first.
        """
        complaint = complaint.lower()
        if "context" in complaint and ("length" in complaint or "window" in complaint):
            return False  # the prompt is too long; such a text often names max_tokens too
        if "prompt_cache_key" in complaint and self.cache_key:
            self.cache_key = False
        elif ("logprobs" in complaint or "logits" in complaint) and self.logprobs:
            self.logprobs = False
        elif "max_tokens" in complaint and self.limit == "max_tokens":
            self.limit = "max_completion_tokens"
        elif "temperature" in complaint and self.temperature:
            self.temperature = False
        elif "seed" in complaint and self.seed:
            self.seed = False
        elif _complains_of_format(complaint) and self.response_format:
            ladder = {"json_schema": "json_object", "json_object": ""}
            self.response_format = ladder[self.response_format]
        elif self.cache_key or self.logprobs:
            self.cache_key = self.logprobs = False
        elif n > 1 and self.several:
            self.several = False
        else:
            return False
        return True

    def cut_off(self, limit: int) -> None:
        """A reply ended at the limit in the midst of its thinking: leave more room from now on."""
        self.thinks = True
        self.tokens = max(self.tokens, min(limit * ROOM, MOST_TOKENS))


def _complains_of_format(complaint: str) -> bool:
    words = ("response_format", "json_schema", "json_object", "schema", "structured", "grammar")
    return any(word in complaint for word in words)
