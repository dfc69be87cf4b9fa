"""The log's lines: as JSON where that is wanted, and with the id of the request behind each.

The id comes with a request (X-Request-ID) or is made for it; it goes back with the answer, to the
workers with the tasks, and into every line that is written meanwhile.
"""

from __future__ import annotations

import datetime
import json
import logging
import re
import time
import uuid
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from review import latency, story

HEADER = "X-Request-ID"
VALID = re.compile(r"[A-Za-z0-9._-]{8,100}")  # nothing that could end a line, or begin another


class WithRequest(logging.Filter):
    """Gives each record its `request_id`; "-" where there is none."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = story.request_id.get() or "-"
        return True


class AsLines(logging.Formatter):
    """One line for each record, whatever is in it; a traceback follows set in.

    What a document or a server says can thereby begin no line of its own, nor move a terminal.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:
        return on_one_line(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        line, *below = super().format(record).split("\n")
        return "\n".join([line, *(f"    {on_one_line(each)}" for each in below)])


def on_one_line(text: str) -> str:
    """The text with what no printer prints as in a Python string: a line break is \\n."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class AsJson(logging.Formatter):
    """One object a line. The filters have been there: no secret is in the record."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line: dict[str, Any] = {
            "time": at.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "process": record.process,
            "request_id": getattr(record, "request_id", "-"),
            "message": record.getMessage(),
        }
        if hasattr(record, "event"):
            line |= {"event": record.event, "documents": record.__dict__["documents"]}
            line |= record.__dict__["more"]
        if record.exc_info:
            line["traceback"] = record.exc_text or self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def requests(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """A middleware: names each request, and notes how long those take that store a decision.

    The name stays for the server's own line, which comes after the answer: the thread's next
    request has another.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get(HEADER, "")
        name = given if VALID.fullmatch(given) else uuid.uuid4().hex
        story.request_id.set(name)
        began = time.perf_counter()
        response = get_response(request)
        response[HEADER] = name
        latency.note(request, response.status_code, time.perf_counter() - began)
        return response

    return middleware
