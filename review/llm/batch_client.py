"""A provider's batch API, in OpenAI's form: a file of requests in, a file of answers out.

A batch takes up to a day, in any order, and costs half where the provider says so. A file holds
at most 50,000 requests or 200 MB (OpenAI, Azure; others allow less). Each line of the answers
names its request by `custom_id`; what failed or expired is in a second file, of errors.

Source: OpenAI's "Batch API" guide and its reference of `/v1/batches` and `/v1/files`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any, TypeVar

import openai
from openai import AsyncOpenAI

from .client import (
    UNREADABLE,
    Answer,
    Endpoint,
    answer_of,
    cache_key_of,
    explain,
    open_client,
    parameters_of,
    schema,
)
from .errors import NoAnswer, NotThere, Unavailable
from .manners import Manners
from .reply import storable
from .sampling import PLANS, Sampling

T = TypeVar("T")

MOST_REQUESTS, MOST_BYTES = 50_000, 200_000_000  # of one file
CALL_SECONDS, FILE_SECONDS = 60.0, 600.0  # the longest for a call, and for a file up or down
LISTED = 1000  # of the newest batches, when one is looked for
LOST = 300.0  # seconds that two clocks may differ, when one is looked for

OVER = ("completed", "expired", "cancelled", "failed")
FULL = "token_limit_exceeded"  # too many tokens wait there already: another time it will do


@dataclass(frozen=True)
class Request:
    """One line of the file: `n` replies to a document's messages."""

    n: int
    temperature: float
    seed: int
    parameters: dict[str, Any]


@dataclass(frozen=True)
class Standing:
    """What the provider says of a batch. problem: why it failed as a whole, by its `code`."""

    id: str
    status: str
    total: int = 0
    done: int = 0
    failed: int = 0
    output_file: str = ""
    error_file: str = ""
    problem: str = ""
    code: str = ""

    @property
    def over(self) -> bool:
        return self.status in OVER


@dataclass
class Said:
    """One line of the answers. body: of the answer; None where there is none, and why."""

    body: dict[str, Any] | None = None
    problem: str = ""


@dataclass
class Answers:
    """A file of answers on this machine: where in it each request's line is."""

    file: IO[bytes]
    places: dict[str, int] = field(default_factory=dict)

    def line(self, custom_id: str) -> Said | None:
        if custom_id not in self.places:
            return None
        self.file.seek(self.places[custom_id])
        return _said(_object(self.file.readline()))


# --- What is asked ------------------------------------------------------------------------


def requests(sampling: Sampling, manners: Manners, seed: int) -> list[Request]:
    """The requests for a document: the first round of its plan. The same for the same seed."""
    plan = PLANS[sampling.endpoint.recipe.plan]
    shape = schema(sampling.vocabulary, sampling.max_tags)
    limit = max(plan.max_tokens, manners.tokens)
    found = []
    for n, temperature in plan.first:
        for part in [n] if manners.several else [1] * n:
            asked = parameters_of(manners, False, shape, part, temperature, seed, limit)
            if manners.cache_key:
                asked["prompt_cache_key"] = cache_key_of(sampling.prompt.messages)
            found.append(Request(part, temperature, seed, asked))
            seed += 1
    return found


def line(sampling: Sampling, request: Request, custom_id: str) -> bytes:
    body = {
        "model": sampling.endpoint.model,
        "messages": sampling.prompt.messages,
        **request.parameters,
    }
    asked = {
        "custom_id": custom_id,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": body,
    }
    return json.dumps(asked, ensure_ascii=False).encode(errors="replace") + b"\n"


def answer(said: Said, request: Request) -> Answer:
    """Raises NoAnswer, Refused."""
    if said.body is None:
        raise NoAnswer(said.problem)
    try:
        return answer_of(said.body, request.parameters, 0.0)
    except UNREADABLE as error:
        raise NoAnswer(f"The batch holds an answer that cannot be read: {error}") from error


# --- The calls ----------------------------------------------------------------------------
# Each raises Unavailable or TimedOut (try later), NotThere (404), NoAnswer (refused).


def upload(endpoint: Endpoint, name: str, file: IO[bytes]) -> str:
    """The file's id there."""

    async def act(client: AsyncOpenAI) -> str:
        made = await client.files.create(
            file=(name, file, "application/jsonl"), purpose="batch", timeout=FILE_SECONDS
        )
        return _id_of(made)

    return _call(endpoint, FILE_SECONDS, act)


def create(endpoint: Endpoint, file_id: str) -> Standing:
    async def act(client: AsyncOpenAI) -> Standing:
        made = await client.batches.create(
            input_file_id=file_id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        return _standing(made)

    return _call(endpoint, CALL_SECONDS, act)


def find(endpoint: Endpoint, file_id: str, since: float) -> Standing | None:
    """The batch of this file, if the provider has begun one. since: of `time.time()`."""

    async def act(client: AsyncOpenAI) -> Standing | None:
        looked = 0
        async for one in client.batches.list(limit=100):
            if getattr(one, "input_file_id", None) == file_id:
                return _standing(one)
            looked += 1
            if looked == LISTED or (getattr(one, "created_at", None) or time.time()) < since - LOST:
                break
        return None

    return _call(endpoint, CALL_SECONDS, act)


def look(endpoint: Endpoint, batch_id: str) -> Standing:
    async def act(client: AsyncOpenAI) -> Standing:
        return _standing(await client.batches.retrieve(batch_id))

    return _call(endpoint, CALL_SECONDS, act)


def cancel(endpoint: Endpoint, batch_id: str) -> Standing:
    async def act(client: AsyncOpenAI) -> Standing:
        return _standing(await client.batches.cancel(batch_id))

    return _call(endpoint, CALL_SECONDS, act)


def download(endpoint: Endpoint, file_id: str, file: IO[bytes]) -> Answers:
    """Bring the answers into `file`, which is empty. Holds only the places of the lines."""

    async def act(client: AsyncOpenAI) -> None:
        async with client.files.with_streaming_response.content(
            file_id, timeout=FILE_SECONDS
        ) as said:
            async for part in said.iter_bytes():
                file.write(part)

    _call(endpoint, FILE_SECONDS, act)
    return Answers(file, dict(_places(file)))


def remove(endpoint: Endpoint, file_id: str) -> None:
    async def act(client: AsyncOpenAI) -> None:
        await client.files.delete(file_id)

    _call(endpoint, CALL_SECONDS, act)


def _call(endpoint: Endpoint, seconds: float, act: Callable[[AsyncOpenAI], Awaitable[T]]) -> T:
    """On a loop of its own: a file that goes up would keep the other calls waiting."""

    async def within() -> T:
        async with asyncio.timeout(seconds), open_client(endpoint) as client:
            return await act(client)

    try:
        return asyncio.run(within())
    except (openai.OpenAIError, TimeoutError) as error:
        raise _explained(error, endpoint, seconds) from error
    except OSError as error:
        raise Unavailable(f"The batch's file cannot be moved: {error}") from error
    except UNREADABLE as error:
        raise NoAnswer(f"The batch API sent no answer that can be read: {error}") from error


def _explained(error: Exception, endpoint: Endpoint, seconds: float) -> Exception:
    status = error.status_code if isinstance(error, openai.APIStatusError) else 0
    if status in (404, 405, 501):
        return NotThere(
            f"The model server at {endpoint.base_url} has no batch API, or no longer has this "
            f"batch or its file ({status})."
        )
    return explain(error, endpoint, seconds)


# --- What comes back: any server may send anything --------------------------------------


def _id_of(made: Any) -> str:
    found = getattr(made, "id", None)
    if not isinstance(found, str) or not found:
        raise NoAnswer("The server said 200 OK, but not what it made: it has no batch API.")
    return found


def _standing(said: Any) -> Standing:
    counts = getattr(said, "request_counts", None)
    errors = getattr(getattr(said, "errors", None), "data", None) or []
    told = [_told(error) for error in errors[:3]]
    return Standing(
        id=_id_of(said),
        status=str(getattr(said, "status", "")).lower(),
        total=int(getattr(counts, "total", 0) or 0),
        done=int(getattr(counts, "completed", 0) or 0),
        failed=int(getattr(counts, "failed", 0) or 0),
        output_file=getattr(said, "output_file_id", None) or "",
        error_file=getattr(said, "error_file_id", None) or "",
        problem=" ".join(text for text in told if text)[:1000],
        code=next((str(error.code) for error in errors if getattr(error, "code", None)), ""),
    )


def _told(error: Any) -> str:
    message = str(getattr(error, "message", None) or getattr(error, "code", None) or "")
    number = getattr(error, "line", None)
    return storable(f"{message} (line {number})" if message and number else message)


def _places(file: IO[bytes]) -> Iterator[tuple[str, int]]:
    file.seek(0)
    place = 0
    for text in file:
        custom_id = _object(text).get("custom_id")
        if isinstance(custom_id, str):
            yield custom_id, place
        place += len(text)


def _object(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _said(found: dict[str, Any]) -> Said:
    """A line is a `response` with its `status_code` and `body`, or an `error`."""
    response = found.get("response")
    response = response if isinstance(response, dict) else {}
    body = response.get("body")
    if isinstance(body, dict) and response.get("status_code", 200) == 200:
        return Said(body)
    error = found.get("error") or (body.get("error") if isinstance(body, dict) else None) or body
    if isinstance(error, dict):
        error = error.get("message") or error.get("code")
    return Said(problem=storable(str(error or "The batch holds no answer to it."))[:300])
