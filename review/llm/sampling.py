"""Three tag sets worth choosing between: asked for, compared as sets, asked for again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from . import compose
from .client import Answer, Endpoint, RawReply, ask, most_tokens, room_for
from .errors import NoAnswer, Refused, Unavailable
from .prompt import Prompt
from .rank import LIKELY, three_sets
from .reply import read_reply

WANTED = 3


@dataclass(frozen=True)
class Plan:
    """Which requests are made: pairs of (how many replies, at which temperature).

    first: always. again: while there are fewer than three different sets, hotter each
    time. max_tokens: of one reply; after a reply that was cut off, eight times as many.
    weigh: the three are put together from the first answer's likelihoods (see `compose`); where
    the server tells none, it is asked again as if there were no weights.
    """

    first: tuple[tuple[int, float], ...]
    again: tuple[tuple[int, float], ...]
    max_tokens: int
    weigh: compose.Weights | None = None


HOTTER = ((3, 0.9), (3, 1.2), (3, 1.5))

# The embedded model's greedy answer is its best, and the server keeps the evaluated prompt:
# a second request costs little. Elsewhere each request is paid for: one, with n=3.
PLANS = {
    "composed": Plan(((1, 0.0),), again=HOTTER, max_tokens=48, weigh=compose.EMBEDDED),
    "greedy-and-samples": Plan(((1, 0.0), HOTTER[0]), again=HOTTER[1:], max_tokens=48),
    "samples": Plan(((3, 0.9),), again=((2, 1.1), (2, 1.3)), max_tokens=1000),
}


@dataclass(frozen=True)
class TagSet:
    """One candidate: names in the reply's order, and where they come from."""

    tags: tuple[str, ...]
    raw: str
    temperature: float
    seed: int
    logprob: float | None = None  # the mean of its tokens', where the server gives it
    composed: bool = False  # the model did not say this set; `raw` is what it said
    giver: str = ""  # whose it is, where two models were asked: see `interleave`


@dataclass
class Usage:
    """Of the calls that one payment is for."""

    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_out: int = 0


# Around a call that may use so many tokens in and out: lets it be made, or raises OverBudget.
Pay = Callable[[int, int], AbstractContextManager[Usage]]


@dataclass
class Sampling:
    """One run over one document. After `three`, also when it raised, the rest tells all.

    The messages are the same in every request, also when asking again: so every candidate
    is an answer to the very prompt that is kept and exported.
    """

    endpoint: Endpoint
    prompt: Prompt
    vocabulary: Sequence[str]
    max_tags: int
    sets: list[TagSet] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    unknown_tags: int = 0
    asked_again: int = 0
    problem: str = ""  # of the last reply that gave no tags
    note: str = ""
    ranked: Mapping[str, float] = field(default_factory=dict)  # the ranker's chances, by name
    doubt: float | None = None  # 0 to 1: how far the first set's tags are from sure
    pay: Pay | None = None  # None: nobody counts what it costs
    told: RawReply | None = None  # the first reply, if the server told its likelihoods
    rival: str = ""  # another model, some of whose sets are among these

    def three(self, seconds: float) -> list[TagSet]:
        """Up to three different sets, the model's first answer first; at least one.

        All calls together take at most `seconds`. Raises Unavailable, NoAnswer, Refused.
        """
        plan = PLANS[self.endpoint.recipe.plan]
        deadline = time.monotonic() + seconds
        cut_off = False
        for n, temperature in plan.first:
            cut_off |= self._ask(n, temperature, plan.max_tokens, deadline)
        if plan.weigh and self.sets and self.told and self.ranked:
            self._compose(plan.weigh, self.told)
            return self.sets
        for n, temperature in plan.again:
            if len(self.sets) == WANTED:
                break
            had = len(self.sets)
            self.asked_again += 1
            try:
                limit = plan.max_tokens * (8 if cut_off else 1)
                cut_off = self._ask(n, temperature, limit, deadline)
            except (Unavailable, NoAnswer, Refused) as error:
                if not had:
                    raise
                self.note = f"Asking again for a different set failed. {error}"
                break
            if not self.sets:
                # Unusable twice over: a third time would be a waste.
                raise NoAnswer(f"The model gave no usable answer. {self.problem}")
        if not self.note and len(self.sets) < WANTED:
            count = "one set" if len(self.sets) == 1 else "two different sets"
            self.note = f"The model gave only {count}, asked {len(self.calls)} times."
        return self.sets

    def _compose(self, weights: compose.Weights, told: RawReply) -> None:
        """Replace the model's one answer by three sets; where it is among them, it stays itself."""
        own = self.sets[0]
        chances = compose.chances(self.ranked, told.tokens, own.tags, weights)
        made = three_sets(chances, self.max_tags, WANTED)
        self.sets = [
            own
            if frozenset(tags) == frozenset(own.tags)
            else TagSet(tuple(tags), own.raw, own.temperature, own.seed, composed=True)
            for tags in made
        ]
        first = self.sets[0].tags
        self.doubt = 1 - sum(chances[name] for name in first) / len(first)
        likely = sorted(chances, key=lambda name: -chances[name])[:LIKELY]
        self.calls[-1]["chances"] = {name: round(chances[name], 3) for name in likely}

    def _ask(self, n: int, temperature: float, max_tokens: int, deadline: float) -> bool:
        """One round; True when a reply of it was cut off at the token limit."""
        seed = random.SystemRandom().randrange(2**31 - WANTED)
        max_tokens = room_for(self.endpoint, max_tokens)
        asked = (self.endpoint, self.prompt.messages, self.vocabulary, self.max_tags)
        paid = self.pay(*most_tokens(*asked, n, max_tokens)) if self.pay else nullcontext(Usage())
        with paid as used:
            answers = ask(
                *asked,
                n=n,
                temperature=temperature,
                seed=seed,
                max_tokens=max_tokens,
                deadline=deadline,
                alternatives=compose.ALTERNATIVES if PLANS[self.endpoint.recipe.plan].weigh else 0,
            )
            for answer in answers:
                used.tokens_in += answer.tokens_in
                used.tokens_cached += answer.tokens_cached
                used.tokens_out += answer.tokens_out
        return self.take(answers, n, temperature, seed)

    def take(self, answers: Sequence[Answer], n: int, temperature: float, seed: int) -> bool:
        """Read `n` replies, asked for at once; True when one was cut off at the token limit."""
        replies = [reply for answer in answers for reply in answer.replies][:n]
        for answer in answers:
            self._count(answer, temperature)
        for reply in replies:
            if self.told is None and reply.tokens:
                self.told = reply
            self._take(reply, temperature, seed)
        return any(reply.cut_off for reply in replies)

    def _take(self, reply: RawReply, temperature: float, seed: int) -> None:
        reading = read_reply(reply.text, self.vocabulary, self.max_tags)
        self.unknown_tags += len(reading.unknown)
        if not reading.tags:
            self.problem = reading.problem
            if reply.cut_off:
                self.problem += " It was cut off at the token limit."
            if reading.unknown:
                self.problem += f" It said: {', '.join(reading.unknown[:5])}."
            return
        known = {frozenset(had.tags) for had in self.sets}
        if frozenset(reading.tags) not in known and len(self.sets) < WANTED:
            self.sets.append(TagSet(reading.tags, reply.text, temperature, seed, reply.logprob))

    def _count(self, answer: Answer, temperature: float) -> None:
        self.tokens_in += answer.tokens_in
        self.tokens_cached += answer.tokens_cached
        self.tokens_out += answer.tokens_out
        self.seconds += answer.seconds
        # The grammar or schema repeats the vocabulary, which the proposal's version has.
        asked = {
            name: value
            for name, value in answer.parameters.items()
            if name not in ("extra_body", "response_format")
        }
        held = next((k for k in ("extra_body", "response_format") if k in answer.parameters), None)
        self.calls.append(
            {
                **asked,
                "held_to": {"extra_body": "grammar", "response_format": "schema"}.get(held or ""),
                "replies": [reply.text[:10_000] for reply in answer.replies],
                # Of each reply, the mean of its tokens; null where the server gives none.
                "mean_logprobs": [reply.logprob for reply in answer.replies],
                "tokens_in": answer.tokens_in,
                "tokens_cached": answer.tokens_cached,
                "tokens_out": answer.tokens_out,
                "seconds": round(answer.seconds, 3),
            }
        )
