"""Several models behind one address: the embedded one under a name for each of its adapters.

llama.cpp's server has one model and any number of adapters. It pays no heed to a request's
`model`; which adapters answer is in its field `lora`, by their numbers, and a number that it does
not have is answered by the bare model. Without that field the adapters answer that are on by
default, but from what a slot remembers of the same beginning, be it read with others (xllamacpp
2026.10, tried). So this stands before it: the name decides, an unknown one is refused, and
each request says which adapters are on. All else goes through as it comes, in both directions.
"""

from __future__ import annotations

import json
import select
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any
from urllib.parse import urlsplit

LISTS = ("/v1/models", "/models")
OF_THIS_HOP = {"connection", "keep-alive", "content-length", "expect", "proxy-connection"}
CHUNK = 65536


@dataclass
class Behind:
    """A server of llama.cpp. scales: of each of its adapters, by name.

    The first name is what a request without one gets. busy: requests that it answers now. slots:
    by number, who was last answered there; the longest idle first.
    """

    address: tuple[str, int]
    scales: Mapping[str, list[float]]
    slots: dict[int, str]
    busy: int = 0

    def lora(self, name: str | None) -> list[dict[str, float]] | None:
        """For a request's field; None where there is no such model."""
        found = self.scales.get(next(iter(self.scales)) if name is None else name)
        if found is None:
            return None
        return [{"id": number, "scale": scale} for number, scale in enumerate(found)]

    def slot(self, name: str) -> int:
        """Its own, which still knows what all its prompts begin with: another adapter's is emptied
        first, and llama.cpp takes the one with the likest prompt, whoever read it."""
        own = next((number for number, one in self.slots.items() if one == name), None)
        number = next(iter(self.slots)) if own is None else own
        del self.slots[number]
        self.slots[number] = name
        return number


class Front(ThreadingHTTPServer):
    """Bound at once, so that clients wait and are not refused. First `turn_to`, then serve."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int) -> None:
        self._behind: Behind | None = None
        self._change = threading.Condition()
        super().__init__(("127.0.0.1", port), Handler)

    def server_bind(self) -> None:
        """Without asking a name server who 127.0.0.1 is."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def turn_to(self, behind: Behind, patience: float) -> None:
        """New requests go there; those that are under way elsewhere have so many seconds."""
        with self._change:
            before, self._behind = self._behind, behind
            if before:
                self._change.wait_for(lambda: not before.busy, patience)

    def idle(self, patience: float) -> bool:
        """Whether no request is under way, at the latest after so many seconds."""
        with self._change:
            return self._change.wait_for(lambda: not (self._behind and self._behind.busy), patience)

    @contextmanager
    def behind(self) -> Iterator[Behind]:
        """For one request."""
        with self._change:
            behind = self._behind
            assert behind is not None  # noqa: S101 -- for mypy: nobody serves before
            behind.busy += 1
        try:
            yield behind
        finally:
            with self._change:
                behind.busy -= 1
                self._change.notify_all()


class Handler(BaseHTTPRequestHandler):
    """One request on each connection: what a connection costs on loopback is not worth more."""

    server: Front
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds that a client may be silent in the midst of its request

    def handle_one_request(self) -> None:
        with suppress(OSError):  # the client is gone, or llama.cpp is
            super().handle_one_request()
        self.close_connection = True

    def answer(self) -> None:
        path = urlsplit(self.path).path
        length = self.headers.get("content-length") or "0"
        if "transfer-encoding" in self.headers or not length.isdecimal():
            self.say(HTTPStatus.LENGTH_REQUIRED, _error("Send the body's Content-Length.", 411))
            return
        body = self.rfile.read(int(length))
        with self.server.behind() as behind:
            self.answer_by(behind, path, body)

    do_GET = do_POST = do_HEAD = do_OPTIONS = do_PUT = do_PATCH = do_DELETE = answer

    def answer_by(self, behind: Behind, path: str, body: bytes) -> None:
        if self.command == "GET" and path in LISTS:
            rows = [
                {"id": name, "object": "model", "created": 0, "owned_by": "tagger"}
                for name in behind.scales
            ]
            self.say(HTTPStatus.OK, {"object": "list", "data": rows})
            return
        request = _object(body) if self.command == "POST" else None
        if request is not None:
            lora = behind.lora(request.get("model"))
            if lora is None:
                there = ", ".join(behind.scales)
                told = f"There is no model “{request['model']}” here, but: {there}."
                self.say(HTTPStatus.NOT_FOUND, _error(told, 404))
                return
            slot = {}
            if len(lora) > 1 and behind.busy == 1 and request.get("n") in (None, 1):
                slot = {"id_slot": behind.slot(request.get("model") or next(iter(behind.scales)))}
            body = json.dumps({**slot, **request, "lora": lora}).encode()
        self.forward(behind.address, body)

    def forward(self, address: tuple[str, int], body: bytes) -> None:
        """Until either side closes: where the client goes, llama.cpp stops answering."""
        lines = [f"{self.command} {self.path} HTTP/1.1"]
        lines += [
            f"{name}: {value}"
            for name, value in self.headers.items()
            if name.lower() not in OF_THIS_HOP
        ]
        lines += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
        with socket.create_connection(address) as server:
            server.sendall("\r\n".join(lines).encode("latin-1") + body)
            listening = [server, self.connection]
            while True:
                ready = select.select(listening, [], [])[0]
                if self.connection in ready:
                    if not self.connection.recv(1, socket.MSG_PEEK):
                        return
                    listening.remove(self.connection)  # another request: not on this connection
                if server in ready:
                    chunk = server.recv(CHUNK)
                    if not chunk:
                        return
                    self.connection.sendall(chunk)

    def say(self, status: HTTPStatus, told: dict[str, Any]) -> None:
        body = json.dumps(told, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Nothing: documents pass through here."""


def _object(body: bytes) -> dict[str, Any] | None:
    """None for what is no JSON object with a name in it: llama.cpp says what it thinks of it."""
    try:
        found = json.loads(body)
    except ValueError:
        return None
    if not isinstance(found, dict) or not isinstance(found.get("model", ""), str):
        return None
    return found


def _error(message: str, code: int) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "code": code}}
