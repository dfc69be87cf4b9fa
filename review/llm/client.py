"""Asking an OpenAI-compatible server: messages → raw replies, by a deadline that holds.

The SDK's timeouts are for each read, so a server that sends one byte a second would hold a
worker for ever. The calls therefore run on an event loop in a thread of its own, where
`asyncio.timeout` cuts off whatever is going on, headers included.
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import os
import threading
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import openai
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion

from .errors import NoAnswer, Refused, Unavailable
from .recipe import Recipe

T = TypeVar("T")

OPERATOR_SECONDS = 300.0  # between tries while only an operator can mend it: a key, a model's name


@dataclass(frozen=True)
class Endpoint:
    """A model behind an address.

    recipe: how it is asked. grammar: True for llama.cpp, which can hold a reply to a grammar
    (see `grammar` below).
    """

    base_url: str
    api_key: str = field(repr=False)
    model: str
    recipe: Recipe
    grammar: bool = False


@dataclass
class Manners:
    """What a server has turned out to honour. Learned from its refusals, kept in memory."""

    response_format: str = "json_schema"  # → json_object → "" (none)
    several: bool = True  # knows `n`
    temperature: bool = True
    seed: bool = True
    limit: str = "max_tokens"  # or max_completion_tokens


@dataclass(frozen=True)
class RawReply:
    text: str
    cut_off: bool  # the server stopped it at the token limit


@dataclass(frozen=True)
class Answer:
    """The replies to one request, what was sent beside the messages, and what it cost."""

    replies: list[RawReply]
    parameters: dict[str, Any]
    tokens_in: int
    tokens_cached: int
    tokens_out: int
    seconds: float


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
) -> list[Answer]:
    """Ask for `n` replies to one prompt: in one request, or in several at a time.

    `deadline` is a moment of `time.monotonic()`; nothing goes on after it. Raises
    Unavailable (the server), NoAnswer (this call), Refused (this document).
    """
    seconds = max(0.1, deadline - time.monotonic())
    call = _ask(endpoint, messages, names, max_tags, n, temperature, seed, max_tokens, seconds)
    return _run(call, seconds)


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
) -> list[Answer]:
    manners = _manners.setdefault((endpoint.base_url, endpoint.model), Manners())
    shape = (grammar if endpoint.grammar else schema)(names, max_tags)

    async def once(n: int, seed: int) -> Answer:
        for _ in range(6):  # each refusal teaches one thing; there are five to learn
            parameters: dict[str, Any] = {manners.limit: max_tokens}
            if n > 1:
                parameters["n"] = n
            if manners.temperature:
                parameters["temperature"] = temperature
            if manners.seed:
                parameters["seed"] = seed
            if endpoint.grammar:
                parameters["extra_body"] = shape
            elif manners.response_format == "json_schema":
                parameters["response_format"] = shape
            elif manners.response_format:
                parameters["response_format"] = {"type": manners.response_format}
            began = time.monotonic()
            try:
                completion = await _client(endpoint).chat.completions.create(
                    model=endpoint.model,
                    messages=cast(Any, messages),
                    timeout=seconds,
                    **parameters,
                )
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                if not learn(manners, str(error), n):
                    raise
                if n > 1 and not manners.several:
                    n = 1
                continue
            return _answer(completion, parameters, time.monotonic() - began)
        raise NoAnswer("The model server refused every form of the request.")

    try:
        async with asyncio.timeout(seconds):
            first = await once(n if manners.several else 1, seed)
            missing = n - len(first.replies)
            if missing <= 0:
                return [first]
            manners.several = False
            others = (once(1, seed + 1 + i) for i in range(missing))
            return [first, *await asyncio.gather(*others)]
    except (openai.OpenAIError, TimeoutError) as error:
        raise explain(error, endpoint, seconds) from error
    except (ValueError, TypeError, AttributeError) as error:
        # The SDK checks little: HTTP 200 with a web page, or a list where an object should be.
        raise NoAnswer(f"The model server sent no answer that can be read: {error}") from error


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


def learn(manners: Manners, complaint: str, n: int) -> bool:
    """Give up the parameter that the server complains of; False when it names none.

    Servers word it in many ways; the parameter's name is all they have in common.
    """
    complaint = complaint.lower()
    if "max_tokens" in complaint and manners.limit == "max_tokens":
        manners.limit = "max_completion_tokens"
    elif "temperature" in complaint and manners.temperature:
        manners.temperature = False
    elif "seed" in complaint and manners.seed:
        manners.seed = False
    elif _complains_of_format(complaint) and manners.response_format:
        ladder = {"json_schema": "json_object", "json_object": ""}
        manners.response_format = ladder[manners.response_format]
    elif n > 1 and manners.several:
        manners.several = False
    else:
        return False
    return True


def _complains_of_format(complaint: str) -> bool:
    words = ("response_format", "json_schema", "json_object", "schema", "structured", "grammar")
    return any(word in complaint for word in words)


def explain(
    error: Exception, endpoint: Endpoint, seconds: float
) -> Unavailable | NoAnswer | Refused:
    """The sentence, and the kind, for what the SDK raised."""
    server = f"The model server at {endpoint.base_url}"
    if isinstance(error, (TimeoutError, openai.APITimeoutError)):
        return NoAnswer(f"{server} did not finish within {seconds:.0f} seconds.")
    if isinstance(error, openai.APIConnectionError):
        return Unavailable(f"{server} cannot be reached: {error.__cause__ or error}.")
    if not isinstance(error, openai.APIStatusError):
        return NoAnswer(f"{server} sent something that is not an answer: {_short(error)}")
    status = error.status_code
    if status in (401, 403):
        return Unavailable(
            f"{server} refused the key ({status}). Check OPENAI_API_KEY.", OPERATOR_SECONDS
        )
    if status == 404:
        return Unavailable(
            f"{server} knows no model “{endpoint.model}” (404). "
            "Check TAGGER_MODEL and OPENAI_BASE_URL.",
            OPERATOR_SECONDS,
        )
    if status == 429:
        return Unavailable(f"{server} asks for a pause (429).", retry_after(error))
    if status in (408, 409) or status >= 500:
        return Unavailable(f"{server} is in trouble ({status}).", retry_after(error))
    if "content_filter" in str(error):
        return Refused("The model's content filter refused this document.")
    return NoAnswer(f"{server} refused the request ({status}): {_short(error)}")


def retry_after(error: openai.APIStatusError) -> float | None:
    """The seconds of a Retry-After header, given as a number or as a date; None without one."""
    value = error.response.headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())


def _short(error: Exception) -> str:
    return str(error)[:300]


def _answer(completion: Any, parameters: dict[str, Any], seconds: float) -> Answer:
    if not isinstance(completion, ChatCompletion) or not completion.choices:
        # Seen in the wild: HTTP 200 with `choices` null or empty, and with an HTML page.
        raise NoAnswer("The model server said 200 OK, but its answer holds no choices.")
    replies = []
    for choice in completion.choices:
        message = choice.message
        if message and message.refusal:
            raise Refused(f"The model declined this document: {message.refusal[:300]}")
        if choice.finish_reason == "content_filter":
            raise Refused("The model's content filter refused this document.")
        text = (message.content if message else None) or ""
        replies.append(RawReply(text, cut_off=choice.finish_reason == "length"))
    usage = completion.usage or CompletionUsage(
        prompt_tokens=0, completion_tokens=0, total_tokens=0
    )
    cached = usage.prompt_tokens_details and usage.prompt_tokens_details.cached_tokens
    return Answer(
        replies,
        parameters,
        tokens_in=usage.prompt_tokens or 0,
        tokens_cached=cached or 0,
        tokens_out=usage.completion_tokens or 0,
        seconds=seconds,
    )


# --- One loop and one client per endpoint, made on first use in each process -------------

_manners: dict[tuple[str, str], Manners] = {}
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
        on_loopback = urlsplit(endpoint.base_url).hostname in ("127.0.0.1", "localhost", "::1")
        _clients[key] = AsyncOpenAI(
            base_url=endpoint.base_url,
            api_key=endpoint.api_key or "none",
            max_retries=0,  # every retry is Celery's
            # A proxy of the environment must not be asked for an address of this machine.
            http_client=DefaultAsyncHttpxClient(trust_env=not on_loopback),
        )
    return _clients[key]
