"""A provider with a batch API that speaks real HTTP: files, batches, and what goes wrong there.

Nothing is answered until a test lets the batch `run`, as far as it says.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler
from typing import Any

from .fake_model import FakeModel, Handler, Reply


class FakeProvider(FakeModel):
    """files, batches: what it has, by id. asked: the lines of the requests, "POST /files" etc.

    wrong: by such a line, what to answer instead, once each; with `reset` it does what it was
    asked, and the answer is lost on the way. refuses: the status and errors of the next batch.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.wrong: dict[str, list[Reply]] = {}
        self.refuses: list[dict[str, str]] = []
        self.lists = True  # can say which batches it has
        super().__init__()

    def handler(self) -> type[BaseHTTPRequestHandler]:
        return BatchHandler

    def count(self, what: str) -> int:
        return sum(line.startswith(what) for line in self.asked)

    def keep(self, content: bytes) -> str:
        name = f"file-{len(self.asked)}-{len(self.files)}"
        self.files[name] = content
        return name

    def lines(self, batch: dict[str, Any]) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]

    def begin(self, file_id: str) -> dict[str, Any]:
        name = f"batch_{len(self.batches) + 1}"
        self.batches[name] = {
            "id": name,
            "object": "batch",
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
            "input_file_id": file_id,
            "created_at": int(time.time()),
            "status": "validating",
        }
        batch = self.batches[name]
        ids = [line["custom_id"] for line in self.lines(batch)]
        assert len(set(ids)) == len(ids)
        batch["request_counts"] = {"total": len(ids), "completed": 0, "failed": 0}
        if self.refuses:
            batch["status"] = "failed"
            batch["errors"] = {"object": "list", "data": [self.refuses.pop(0)]}
        return batch

    def run(
        self,
        answered: int | None = None,
        status: str = "completed",
        code: str = "batch_expired",
    ) -> None:
        """Answer so many requests of the latest batch, the last one first, and end it so."""
        batch = list(self.batches.values())[-1]
        lines = self.lines(batch)[::-1]
        good = len(lines) if answered is None else answered
        output: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        for line in lines[:good]:
            reply = self.next.pop(0) if self.next else self.default
            said = {"status_code": reply.status, "body": json.loads(reply.payload(line["body"]))}
            kept = output if reply.status == 200 else errors
            kept.append({"custom_id": line["custom_id"], "response": said, "error": None})
        errors += [
            {
                "custom_id": line["custom_id"],
                "response": None,
                "error": {"code": code, "message": "This request was not executed in time."},
            }
            for line in lines[good:]
        ]
        for kept, name in ((output, "output_file_id"), (errors, "error_file_id")):
            if kept:
                text = "\n".join(json.dumps(line, ensure_ascii=False) for line in kept)
                batch[name] = self.keep(text.encode())
        batch["request_counts"] |= {"completed": len(output), "failed": len(errors)}
        batch["status"] = status


class BatchHandler(Handler):
    fake: FakeProvider

    def do_GET(self) -> None:
        self.serve("GET")

    def do_DELETE(self) -> None:
        self.serve("DELETE")

    def do_POST(self) -> None:
        if self.path.endswith("/chat/completions"):
            super().do_POST()
        else:
            self.serve("POST")

    def serve(self, method: str) -> None:
        path = self.path.removeprefix("/v1").partition("?")[0]
        asked = f"{method} {path}"
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            body = self.chunked()
        self.fake.asked.append(asked)
        wrong = self.fake.wrong.get(re.sub(r"/(batch_|file-)[^/]+", "/*", asked), [])
        reply = wrong.pop(0) if wrong else None
        if reply and reply.reset:
            self.done(asked, body)
            self.close_connection = True
            self.connection.close()
            return
        if reply:
            self.send(reply.status, reply.payload({}), reply.headers)
            return
        status, found = self.done(asked, body)
        payload = found if isinstance(found, bytes) else json.dumps(found).encode()
        self.send(status, payload)

    def chunked(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def done(self, asked: str, body: bytes) -> tuple[int, Any]:
        fake = self.fake
        gone = 404, {"error": {"message": "No such thing."}}
        method, _, *rest = asked.replace("/", " ").split(" ", 2)
        parts = rest[0].split() if rest else []
        match [method, *parts]:
            case ["POST", "files"]:
                return 200, {"id": fake.keep(self.part(body)), "object": "file"}
            case ["GET", "files", name, "content"]:
                return (200, fake.files[name]) if name in fake.files else gone
            case ["DELETE", "files", name]:
                fake.files.pop(name, None)
                return 200, {"id": name, "deleted": True, "object": "file"}
            case ["POST", "batches"]:
                return 200, fake.begin(json.loads(body)["input_file_id"])
            case ["GET", "batches"] if fake.lists:
                listed = list(fake.batches.values())[::-1]
                return 200, {"object": "list", "data": listed, "has_more": False}
            case ["GET", "batches", name] if name in fake.batches:
                return 200, fake.batches[name]
            case ["POST", "batches", name, "cancel"] if name in fake.batches:
                fake.batches[name]["status"] = "cancelling"
                return 200, fake.batches[name]
        return gone

    def part(self, body: bytes) -> bytes:
        """The file of a form."""
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        parts = BytesParser(policy=HTTP).parsebytes(head + body).iter_parts()
        fields = {part.get_param("name", header="content-disposition"): part for part in parts}
        assert fields["purpose"].get_content() == "batch"
        assert str(fields["file"].get_filename()).endswith(".jsonl")
        content = fields["file"].get_payload(decode=True)
        assert isinstance(content, bytes)
        return content

    def send(self, status: int, payload: bytes, headers: dict[str, str] | None = None) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)
