"""Three sets put together from what an answer shows and from what the document's words say.

A small model's one best answer says more than its text: at the place of each tag, how likely
every other tag was. That, and the ranker's chances, give each tag one chance of being right; the
three sets are then those that serve a reviewer best. Sampling three answers costs three times the
tokens, and gives near-copies or wild guesses.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LEAST = 1e-4  # a chance is held between this and one less this: a server tells of 40 tokens
ALTERNATIVES = 40  # tokens for each place


@dataclass(frozen=True)
class Token:
    """A token of a reply, with the likeliest tokens of its place and their log-probabilities."""

    text: str
    places: Mapping[str, float]


@dataclass(frozen=True)
class Weights:
    """Of the odds of a tag; fitted as docs/quality.md says."""

    ranked: float  # the ranker's log odds
    anywhere: float  # the log odds that the model says it at some place
    first: float  # the log odds that it says it first
    said: float  # the answer has it
    constant: float


# For the embedded model with its adapter and `adapter-2`, by logistic regression.
EMBEDDED = Weights(ranked=0.68, anywhere=0.22, first=0.26, said=0.38, constant=1.39)


def chances(
    ranked: Mapping[str, float], tokens: Sequence[Token], said: Sequence[str], weights: Weights
) -> dict[str, float]:
    """For each tag that was ranked, the chance that it is among the best."""
    shares = shares_by_place(tokens, list(ranked), said)
    found = {}
    for name, chance in ranked.items():
        own = [place[name] for place in shares]
        nowhere = math.prod(1 - min(1.0, share) for share in own)
        odds = (
            weights.ranked * log_odds(chance)
            + weights.anywhere * log_odds(1 - nowhere)
            + weights.first * log_odds(own[0] if own else 0.0)
            + weights.said * (name in said)
            + weights.constant
        )
        found[name] = 1 / (1 + math.exp(-odds))
    return found


def log_odds(chance: float) -> float:
    chance = min(max(chance, LEAST), 1 - LEAST)
    return math.log(chance / (1 - chance))


def shares_by_place(
    tokens: Sequence[Token], names: Sequence[str], said: Sequence[str]
) -> list[dict[str, float]]:
    """At the place of each tag that was said: the probability of each name there.

    Times the probability that there is such a place at all. Read from the first token of each
    name: names that begin alike share what their common beginning got, but for the one that was
    said, whose every token is known.
    """
    starts = [at + 1 for at, token in enumerate(tokens) if opens(tokens, at)]
    found = []
    for place, start in enumerate(starts[: len(said)]):
        if start >= len(tokens):
            break
        there = 1.0 if place == 0 else goes_on(tokens[start - 2].places)
        shares = dict.fromkeys(names, 0.0)
        for text, logprob in tokens[start].places.items():
            fitting = [name for name in names if text and name.startswith(text)]
            if not fitting:
                continue
            chance = there * math.exp(logprob)
            if text == tokens[start].text and said[place] in fitting:
                own = chance * rest_of(tokens[start:], said[place])
                shares[said[place]] += own
                chance -= own
                fitting.remove(said[place])
            for name in fitting:
                shares[name] += chance / len(fitting)
        found.append(shares)
    return found


def opens(tokens: Sequence[Token], at: int) -> bool:
    """Whether a name begins behind this token: `["` or ` "`, and not the key's own quotes."""
    return at > 1 and tokens[at].text.strip() in ('["', '"')


def goes_on(places: Mapping[str, float]) -> float:
    """Behind a name: the probability of another, `",`, against the end, `"]`."""
    more = sum(math.exp(chance) for text, chance in places.items() if text.startswith('",'))
    end = sum(math.exp(chance) for text, chance in places.items() if text.startswith('"]'))
    return more / (more + end) if more + end else 0.0


def rest_of(tokens: Sequence[Token], name: str) -> float:
    """The probability of the name's further tokens, after its first one."""
    chance, text = 1.0, tokens[0].text
    for token in tokens[1:]:
        if text == name or not name.startswith(text):
            break
        chance *= math.exp(token.places.get(token.text, math.log(LEAST)))
        text += token.text
    return chance
