"""Asking an OpenAI-compatible server: messages → raw replies, by a deadline that holds.

The SDK's timeouts are for each read, so a server that sends one byte a second would hold a
worker for ever. The calls therefore run on an event loop in a thread of its own, where
`asyncio.timeout` cuts off whatever is going on, headers included.
"""

from __future__ import annotations

import asyncio
import email.utils
import hashlib
import json
import math
import os
import threading
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2
import openai
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from .compose import Token
from .errors import NoAnswer, NoTurn, Refused, TimedOut, TooMany, Unavailable
from .lane import Lane
from .manners import Manners
from .recipe import Recipe
from .reply import storable

T = TypeVar("T")

LESSONS = 8  # requests: each refusal teaches one thing, and there are seven to learn
RELOAD_SECONDS = 5.0  # until the embedded model's server has loaded what was put in use
OPERATOR_SECONDS = 300.0  # between tries while only an operator can mend it: a key, a model's name
LONGEST_WAIT = 86_400.0  # seconds: a server may ask for any, and for more than there will be
MOST_USED = 100_000_000  # tokens of one request: a server may count as it likes


@dataclass(frozen=True)
class Named:
    """What the settings of an endpoint are called, to tell an operator which to look at."""

    address: str = "OPENAI_BASE_URL"
    key: str = "OPENAI_API_KEY"
    model: str = "TAGGER_MODEL"


@dataclass(frozen=True)
class Endpoint:
    """A model behind an address.

    recipe: how it is asked. grammar: True for llama.cpp, which can hold a reply to a grammar
    (see `grammar` below). tuned_from: for a tuned model the name of its base, at the same address.
    """

    base_url: str
    api_key: str = field(repr=False)
    model: str
    recipe: Recipe
    grammar: bool = False
    named: Named = Named()
    tuned_from: str = ""


@dataclass(frozen=True)
class RawReply:
    """logprob: the mean of its tokens', natural logarithm; None where the server gives none.

    tokens: only where alternatives were asked for, and told.
    """

    text: str
    cut_off: bool  # the server stopped it at the token limit
    logprob: float | None = None
    tokens: tuple[Token, ...] = ()


@dataclass(frozen=True)
class Answer:
    """The replies to one request, what was sent beside the messages, and what it cost."""

    replies: list[RawReply]
    parameters: dict[str, Any]
    tokens_in: int
    tokens_cached: int
    tokens_out: int
    seconds: float
    thought: int = 0  # of those out, tokens of thinking that the server counts


# Nothing is checked before: HTTP 200 with a web page, a list where an object should be, a number
# that is none, a thousand brackets.
UNREADABLE = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError)


def ask(
    endpoint: Endpoint,
    messages: list[dict[str, str]],
    names: Sequence[str],
    max_tags: int,
    *,
    n: int,
    temperature: float,
    seed: int,
    max_tokens: int,
    deadline: float,
    alternatives: int = 0,
) -> list[Answer]:
    """Ask for `n` replies to one prompt: in one request, or in several at a time.

    `deadline` is a moment of `time.monotonic()`; nothing goes on after it. Raises
    Unavailable (the server), NoAnswer (this call), Refused (this document).
    alternatives: so many likeliest tokens are asked for at each place of a reply.
    max_tokens: of a reply, see `room_for`.
    """
    seconds = max(0.1, deadline - time.monotonic())
    asked = (n, temperature, seed, max_tokens, seconds, alternatives)
    call = _ask(endpoint, messages, names, max_tags, *asked)
    return _run(call, seconds)


def room_for(endpoint: Endpoint, tokens: int) -> int:
    """The limit of a reply that needs so many tokens: more where the model thinks before it."""
    return max(tokens, manners_of(endpoint.base_url, endpoint.model).tokens)


def most_tokens(
    endpoint: Endpoint,
    messages: list[dict[str, str]],
    names: Sequence[str],
    max_tags: int,
    n: int,
    max_tokens: int,
) -> tuple[int, int]:
    """What `ask` uses at most, in and out: a token is at least a byte, and n requests are made."""
    shape = (grammar if endpoint.grammar else schema)(names, max_tags)
    sent = json.dumps([messages, shape], ensure_ascii=False)
    return n * len(sent.encode(errors="replace")), n * max_tokens


async def _ask(
    endpoint: Endpoint,
    messages: list[dict[str, str]],
    names: Sequence[str],
    max_tags: int,
    n: int,
    temperature: float,
    seed: int,
    max_tokens: int,
    seconds: float,
    alternatives: int,
) -> list[Answer]:
    key = (endpoint.base_url, endpoint.model)
    shape = (grammar if endpoint.grammar else schema)(names, max_tags)
    end = time.monotonic() + seconds

    async def once(n: int, seed: int) -> Answer:
        tried = replace(manners_of(*key))
        for _ in range(LESSONS):
            parameters = parameters_of(
                tried, endpoint.grammar, shape, n, temperature, seed, max_tokens
            )
            if alternatives and tried.logprobs:
                parameters["top_logprobs"] = alternatives
            if tried.cache_key:
                parameters["prompt_cache_key"] = cache_key_of(messages)
            try:
                said, took = await _call(endpoint, messages, parameters, end)
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                if _is_filtered(error) or not tried.learn(_words(error), n):
                    raise
                if not tried.several:
                    n = 1
                continue
            answer = answer_of(said, parameters, took)
            # Only now: a refusal may have had another reason than the parameter given up.
            _learn_from(tried, said, answer, max_tokens)
            manners_of(*key).take_over(tried)
            return answer
        raise NoAnswer("The model server refused every form of the request.")

    answered = False
    try:
        async with asyncio.timeout(seconds):
            first = await once(n if manners_of(*key).several else 1, seed)
            answered, missing = True, n - len(first.replies)
            if missing <= 0:
                return [first]
            manners_of(*key).several = False
            others = (once(1, seed + 1 + i) for i in range(missing))
            return [first, *await asyncio.gather(*others)]
    except (openai.OpenAIError, TimeoutError) as error:
        told = explain(error, endpoint, seconds)
        if isinstance(told, Unavailable):
            told.begun |= answered
        raise told from error
    except UNREADABLE as error:
        raise NoAnswer(f"The model server sent no answer that can be read: {error}") from error


async def _call(
    endpoint: Endpoint, messages: list[dict[str, str]], parameters: dict[str, Any], end: float
) -> tuple[Any, float]:
    """One request, when it has its turn: what came back, and its seconds.

    By the SDK's general door: what it does for one call of `chat.completions.create` (a model
    for every token) takes a millisecond more, of some ten that a document costs in all.
    """
    lane = lane_of(endpoint.base_url, endpoint.model)
    body = {"model": endpoint.model, "messages": messages, **parameters}
    body |= body.pop("extra_body", {})
    left = end - time.monotonic()
    if not await lane.enter(left / 2):  # the other half is the call's
        raise NoTurn(
            f"The model server at {endpoint.base_url} was asked as often as it bears "
            f"({lane.room} at a time) for all of {left / 2:.0f} seconds.",
            left / 2,
        )
    began = time.monotonic()
    try:
        said = await _client(endpoint).post(
            "/chat/completions", cast_to=object, body=body, options={"timeout": end - began}
        )
    except (openai.APIStatusError, openai.APITimeoutError, asyncio.CancelledError) as error:
        status = error.status_code if isinstance(error, openai.APIStatusError) else 408
        if status in (408, 429) or status >= 500:
            lane.went_badly(began)
        raise
    finally:
        lane.leave()
    lane.went_well(began)
    return (json.loads(said) if isinstance(said, str) else said), time.monotonic() - began


def parameters_of(
    manners: Manners,
    to_grammar: bool,
    shape: dict[str, Any],
    n: int,
    temperature: float,
    seed: int,
    max_tokens: int,
) -> dict[str, Any]:
    parameters: dict[str, Any] = {manners.limit: max_tokens}
    if n > 1:
        parameters["n"] = n
    if manners.temperature:
        parameters["temperature"] = temperature
    if manners.seed:
        parameters["seed"] = seed
    if manners.logprobs:
        parameters["logprobs"] = True
    if to_grammar:
        parameters["extra_body"] = shape
    elif manners.response_format == "json_schema":
        parameters["response_format"] = shape
    elif manners.response_format:
        parameters["response_format"] = {"type": manners.response_format}
    return parameters


def cache_key_of(messages: list[dict[str, str]]) -> str:
    """The same for all documents of one vocabulary: their prompts begin with the same bytes."""
    return hashlib.sha256(messages[0]["content"].encode()).hexdigest()[:32]


def _learn_from(manners: Manners, said: Any, answer: Answer, limit: int) -> None:
    """What a reply shows: whether the model thinks, ran out of room for it, gives logprobs."""
    if any(_thought(choice["message"] or {}) for choice in said["choices"]) or answer.thought:
        manners.thinks = True
    for reply in answer.replies:
        if reply.cut_off and (manners.thinks or not reply.text.strip()):
            manners.cut_off(limit)
    if all(reply.logprob is None for reply in answer.replies):
        manners.logprobs = False


def _thought(message: dict[str, Any]) -> bool:
    text = message.get("content") or ""
    return bool(
        message.get("reasoning_content") or message.get("reasoning") or "<think>" in text[:100]
    )


def schema(names: Sequence[str], max_tags: int) -> dict[str, Any]:
    """The `response_format`: an object with 1 to `max_tags` tags, each one of `names`."""
    tags = {
        "type": "array",
        "items": {"type": "string", "enum": list(names)},
        "minItems": 1,
        "maxItems": max_tags,
    }
    return {
        "type": "json_schema",
        "json_schema": {
            "name": "tags",
            "strict": True,
            "schema": {
                "type": "object",
                "properties": {"tags": tags},
                "required": ["tags"],
                "additionalProperties": False,
            },
        },
    }


def grammar(names: Sequence[str], max_tags: int) -> dict[str, Any]:
    """The same as a llama.cpp grammar, without free white space: small models drown in it."""
    lines = [
        r'root ::= "{\"tags\": [" tag' + ' (", " tag)?' * (max_tags - 1) + ' "]}"',
        "tag ::= " + " | ".join(_literal(json.dumps(name)) for name in names),
    ]
    return {"grammar": "\n".join(lines)}


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def explain(
    error: Exception, endpoint: Endpoint, seconds: float
) -> Unavailable | NoAnswer | Refused:
    """The sentence, and the kind, for what the SDK raised."""
    server = f"The model server at {endpoint.base_url}"
    if isinstance(error, (TimeoutError, openai.APITimeoutError)):
        return TimedOut(f"{server} did not finish within {seconds:.0f} seconds.")
    if isinstance(error, openai.APIConnectionError):
        never_begun = isinstance(error.__cause__, (httpx2.ConnectError, httpx2.PoolTimeout))
        told = f"{server} cannot be reached: {error.__cause__ or error}."
        return Unavailable(told, begun=not never_begun)
    if not isinstance(error, openai.APIStatusError):
        return NoAnswer(f"{server} sent something that is not an answer: {_short(error, endpoint)}")
    status = error.status_code
    if status in (401, 403):
        return Unavailable(
            f"{server} refused the key ({status}). Check {endpoint.named.key}.", OPERATOR_SECONDS
        )
    if status == 404 and endpoint.grammar:
        return Unavailable(
            f"The embedded model's server has not loaded “{endpoint.model}”.", RELOAD_SECONDS
        )
    if status == 404:
        return Unavailable(
            f"{server} knows no model “{endpoint.model}” (404). "
            f"Check {endpoint.named.model} and {endpoint.named.address}.",
            OPERATOR_SECONDS,
        )
    if status == 429:
        return TooMany(f"{server} asks for a pause (429).", retry_after(error))
    if status in (408, 409) or status >= 500:
        return Unavailable(f"{server} is in trouble ({status}).", retry_after(error))
    if _is_filtered(error):
        return Refused("The model's content filter refused this document.")
    return NoAnswer(f"{server} refused the request ({status}): {_short(error, endpoint)}")


def retry_after(error: openai.APIStatusError) -> float | None:
    """The seconds of a Retry-After header, given as a number or as a date; None without one.

    A day at most: nobody would see why a document waits for years.
    """
    value = error.response.headers.get("retry-after", "")
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return min(max(0.0, seconds), LONGEST_WAIT) if not math.isnan(seconds) else None


def _is_filtered(error: openai.APIStatusError) -> bool:
    """Of the document, not of a parameter. Azure says so in the code alone."""
    return "content_filter" in f"{error.code} {error}"


def _words(error: Exception) -> str:
    """What the server said. The SDK tells that only where it is in OpenAI's form."""
    told = str(error)
    if isinstance(error, openai.APIStatusError) and told == f"Error code: {error.status_code}":
        told = f"{told} - {error.response.text[:2000].strip()}".removesuffix(" - ")
    return storable(told)


def _short(error: Exception, endpoint: Endpoint) -> str:
    """The same, not too long: some say the key again, and this is kept and shown."""
    told = _words(error)
    return (told.replace(endpoint.api_key, "[the key]") if endpoint.api_key else told)[:300]


def answer_of(said: Any, parameters: dict[str, Any], seconds: float) -> Answer:
    """Raises what a missing field raises, for the caller to tell of."""
    if not isinstance(said, dict) or not said.get("choices"):
        # Seen in the wild: HTTP 200 with `choices` null or empty, and with an HTML page.
        raise NoAnswer("The model server said 200 OK, but its answer holds no choices.")
    replies = []
    for choice in said["choices"]:
        message = choice["message"] or {}
        if message.get("refusal"):
            declined = storable(message["refusal"])[:300]
            raise Refused(f"The model declined this document: {declined}")
        finish = choice.get("finish_reason")
        if finish == "content_filter":
            raise Refused("The model's content filter refused this document.")
        text = message.get("content") or ""
        if not isinstance(text, str):
            raise NoAnswer("The model server sent a reply that is no text.")
        told = choice.get("logprobs")
        cut_off = finish == "length"
        replies.append(RawReply(storable(text), cut_off, _mean_logprob(told), _tokens(told)))
    usage = said.get("usage") or {}
    sent = _count(usage.get("prompt_tokens"))
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
    thought = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens")
    return Answer(
        replies,
        parameters,
        tokens_in=sent,
        tokens_cached=min(_count(cached), sent),
        tokens_out=_count(usage.get("completion_tokens")),
        seconds=seconds,
        thought=_count(thought),
    )


def _count(said: Any) -> int:
    """Tokens that a server says it used: no fewer than none, and no more than a row holds."""
    return min(max(0, int(said or 0)), MOST_USED)


def _mean_logprob(said: Any) -> float | None:
    """Of `choice.logprobs`; a server may send anything there."""
    tokens = said.get("content") if isinstance(said, dict) else None
    if not isinstance(tokens, list):
        return None
    found = [token.get("logprob") for token in tokens if isinstance(token, dict)]
    numbers = [float(value) for value in found if isinstance(value, (int, float))]
    known = [number for number in numbers if math.isfinite(number)]  # no database keeps others
    return sum(known) / len(known) if known else None


def _tokens(said: Any) -> tuple[Token, ...]:
    """Of `choice.logprobs`, where it has alternatives; a server may send anything there."""
    tokens = said.get("content") if isinstance(said, dict) else None
    if not isinstance(tokens, list) or not tokens or not tokens[0].get("top_logprobs"):
        return ()
    return tuple(
        Token(
            str(token["token"]),
            {str(other["token"]): float(other["logprob"]) for other in token["top_logprobs"]},
        )
        for token in tokens
    )


# --- What this process knows of each endpoint and model; others may keep and share it ----

_manners: dict[tuple[str, str], Manners] = {}
_lanes: dict[tuple[str, str], Lane] = {}


def manners_of(base_url: str, model: str) -> Manners:
    return _manners.setdefault((base_url, model), Manners())


def lane_of(base_url: str, model: str) -> Lane:
    return _lanes.setdefault((base_url, model), Lane())


def forget() -> None:
    """Know nothing, as at the start."""
    _manners.clear()
    _lanes.clear()


# --- One loop and one client per endpoint, made on first use in each process -------------

_loops: dict[int, asyncio.AbstractEventLoop] = {}  # by process: a fork inherits no threads
_clients: dict[tuple[int, Endpoint], AsyncOpenAI] = {}
_lock = threading.Lock()


def _run(call: Coroutine[Any, Any, T], seconds: float) -> T:
    with _lock:
        loop = _loops.get(os.getpid())
        if loop is None:
            loop = _loops[os.getpid()] = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="model-calls", daemon=True).start()
    # The coroutine ends by itself at `seconds`; the rest is for a loop that has died.
    return asyncio.run_coroutine_threadsafe(call, loop).result(seconds + 10)


def _client(endpoint: Endpoint) -> AsyncOpenAI:
    """Only called on the loop, so without a lock."""
    key = (os.getpid(), endpoint)
    if key not in _clients:
        _clients[key] = open_client(endpoint)
    return _clients[key]


def open_client(endpoint: Endpoint) -> AsyncOpenAI:
    on_loopback = urlsplit(endpoint.base_url).hostname in ("127.0.0.1", "localhost", "::1")
    return AsyncOpenAI(
        base_url=endpoint.base_url,
        api_key=endpoint.api_key or "none",
        max_retries=0,  # every retry is Celery's
        # A proxy of the environment must not be asked for an address of this machine.
        http_client=DefaultAsyncHttpxClient(trust_env=not on_loopback),
    )
