"""A model server that speaks real HTTP and misbehaves on command.

It answers `/v1/chat/completions` in OpenAI's form. What it says is a queue of `Reply`s and
callables; when the queue is empty it says `default`. Every request is kept.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def tags(*names: str) -> str:
    return json.dumps({"tags": list(names)})


DIFFERENT = [tags("lib", "cli"), tags("lib", "http"), tags("framework")]


@dataclass
class Reply:
    """One HTTP answer: `contents` are the choices' texts, unless `body` is given.

    silent: seconds before anything is sent. slow: seconds between two bytes of the body.
    reset: the connection is cut in mid-body.
    """

    contents: Sequence[str | None] = field(default_factory=lambda: list(DIFFERENT))
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    finish: str = "stop"
    refusal: str | None = None
    silent: float = 0
    slow: float = 0
    reset: bool = False

    def payload(self, request: dict[str, Any]) -> bytes:
        if self.body is not None:
            return self.body
        if self.status != 200:
            return json.dumps({"error": {"message": f"status {self.status}"}}).encode()
        wanted = request.get("n", 1)
        choices = [
            {
                "index": index,
                "finish_reason": self.finish,
                "message": {"role": "assistant", "content": text, "refusal": self.refusal},
            }
            for index, text in enumerate(self.contents[:wanted])
        ]
        return json.dumps(
            {
                "id": "fake",
                "object": "chat.completion",
                "created": 0,
                "model": "fake",
                "choices": choices,
                "usage": {
                    "prompt_tokens": 100,
                    "completion_tokens": 10,
                    "total_tokens": 110,
                    "prompt_tokens_details": {"cached_tokens": 60},
                },
            }
        ).encode()


class FakeModel:
    """The server, listening on a free port of the loopback until `close`."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.next: list[Reply] = []
        self.default = Reply()
        self.most = 0  # requests under way at once, so far
        self._busy = 0
        self._lock = threading.Lock()
        handler = type("Handler", (self.handler(),), {"fake": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def handler(self) -> type[BaseHTTPRequestHandler]:
        return Handler

    def say(self, *replies: Reply) -> None:
        self.next.extend(replies)

    def reply_to(self, request: dict[str, Any]) -> Reply:
        return self.next.pop(0) if self.next else self.default

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Handler(BaseHTTPRequestHandler):
    fake: FakeModel
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        request = json.loads(self.rfile.read(length))
        with self.fake._lock:
            self.fake.requests.append(request)
            self.fake._busy += 1
            self.fake.most = max(self.fake.most, self.fake._busy)
        try:
            self.answer(request)
        finally:
            with self.fake._lock:
                self.fake._busy -= 1

    def answer(self, request: dict[str, Any]) -> None:
        reply = self.fake.reply_to(request)
        if reply.silent:
            time.sleep(reply.silent)
        payload = reply.payload(request)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(reply.status)
            self.send_header("Content-Type", "application/json")
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            if reply.reset:
                self.wfile.write(payload[: len(payload) // 2])
                self.close_connection = True
                self.connection.close()
                return
            for chunk in _chunks(payload, reply.slow):
                self.wfile.write(chunk)
                self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _chunks(payload: bytes, slow: float) -> Iterator[bytes]:
    if not slow:
        yield payload
        return
    for place in range(len(payload)):
        time.sleep(slow)
        yield payload[place : place + 1]
