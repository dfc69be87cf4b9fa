"""Reading a model's reply: the tags in it that are in the vocabulary, and what else was there."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

# A reply with more names than this is not a choice but the list said back, or a loop.
MOST_NAMES_READ = 100


@dataclass(frozen=True)
class Reading:
    """What one reply says.

    tags: names as the vocabulary spells them, in the reply's order, no repeats, at most
    `max_tags`. unknown: the names that are not in the vocabulary, as the model wrote them.
    problem: "" or why there are no tags, to be told to a person or to the model.
    """

    tags: tuple[str, ...]
    unknown: tuple[str, ...] = ()
    problem: str = ""


def read_reply(raw: str | None, vocabulary: Sequence[str], max_tags: int) -> Reading:
    """Read a reply as `{"tags": [name, …]}`, forgiving what models do around it.

    Thinking in `<think>…</think>` and Markdown fences are dropped; names are compared
    without regard to case and outer spaces. Never raises: what cannot be read is a problem.
    """
    if raw is None or not raw.strip():
        return Reading((), problem="The reply was empty.")
    names = find_names(without_thinking(raw))
    if names is None:
        return Reading((), problem="The reply was not the JSON asked for.")
    spelled = {name.casefold(): name for name in vocabulary}
    known: dict[str, None] = {}  # a dict for its order
    unknown: dict[str, None] = {}
    for name in names[:MOST_NAMES_READ]:
        found = spelled.get(name.strip().casefold())
        if found is None:
            unknown[storable(name.strip())[:100]] = None
        else:
            known[found] = None
    tags = tuple(known)[:max_tags]
    if tags:
        problem = ""
    elif unknown:
        problem = "None of the tags in the reply is in the vocabulary."
    else:
        problem = "The reply had no tags."
    return Reading(tags, tuple(unknown), problem)


def storable(text: str) -> str:
    """The text without what no database stores: half characters, and NUL."""
    return text.encode(errors="replace").decode().replace("\0", "")


def without_thinking(raw: str) -> str:
    """The reply after its thinking; an unclosed `<think>` leaves nothing."""
    raw = re.sub(r"<think>.*?</think>", "", raw, flags=re.DOTALL | re.IGNORECASE)
    if "</think>" in raw:  # some servers swallow the opening tag
        raw = raw.rpartition("</think>")[2]
    return raw.partition("<think>")[0]


def find_names(text: str) -> list[str] | None:
    """The names in the first JSON object with a list of "tags", or None where there is none."""
    decoder = json.JSONDecoder()
    for brace in re.finditer(r"[{]", text[:100_000]):
        try:
            found, _ = decoder.raw_decode(text, brace.start())
        except (ValueError, RecursionError):
            continue
        tags = found.get("tags") if isinstance(found, dict) else None
        if isinstance(tags, list):
            names = [tag.get("name") if isinstance(tag, dict) else tag for tag in tags]
            return [name for name in names if isinstance(name, str)]
    return None
