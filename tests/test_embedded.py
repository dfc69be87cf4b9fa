"""The real embedded model: by the command that a person would try first, and beside tuned ones."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import httpx2
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from review.llm import local_server
from review.llm.local_server import ADAPTER, BARE, MODEL_NAME
from review.pipeline.first_start import seed_tags

README = """# Flask

Flask is a lightweight WSGI web application framework. It is designed to make getting
started quick and easy, with the ability to scale up to complex applications.
"""


@pytest.mark.django_db
def test_one_file_in_three_candidates_out(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text(README)
    out = StringIO()
    call_command("propose", str(file), "--id", "5201", stdout=out, stderr=StringIO())
    answers = [json.loads(line) for line in out.getvalue().splitlines()]
    vocabulary = {(tag["id"], tag["name"]) for tag in seed_tags()}
    sets = [frozenset((tag["id"], tag["name"]) for tag in answer["tags"]) for answer in answers]
    assert {answer["id"] for answer in answers} == {"5201"}
    assert len(set(sets)) == len(sets) == 3
    assert all(1 <= len(found) <= 3 and found <= vocabulary for found in sets)
    # Not chance: the adapter is loaded, and knows a web framework when it sees one.
    assert (2, "framework") in sets[0]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("data", "sentence"),
    [(b" \n", "The document is empty."), (b"\xff\xfe", "not UTF-8")],
)
def test_a_file_without_text_is_one_sentence(tmp_path: Path, data: bytes, sentence: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(data)
    with pytest.raises(CommandError, match=sentence):
        call_command("propose", str(file))
    with pytest.raises(CommandError, match="No such file"):
        call_command("propose", str(tmp_path / "nowhere"))


# --- Several side by side -----------------------------------------------------------------

ALPHA = b"adapter.lora.alpha" + struct.pack("<I", 6)  # 6: a float of four bytes comes next


def weakened(to: Path, alpha: float) -> Path:
    """The shipped adapter with another strength: its own is 32."""
    data = ADAPTER.read_bytes()
    before, found, rest = data.partition(ALPHA)
    assert found
    to.write_bytes(before + ALPHA + struct.pack("<f", alpha) + rest[4:])
    return to


def ask(url: str, model: str | None, **more: object) -> httpx2.Response:
    body = {
        "messages": [{"role": "user", "content": "Say something about cats."}],
        "temperature": 0,
        "max_tokens": 8,
        **({} if model is None else {"model": model}),
        **more,
    }
    return httpx2.post(f"{url}/chat/completions", json=body, timeout=120, trust_env=False)


def said(url: str, model: str | None) -> str:
    answer: str = ask(url, model).json()["choices"][0]["message"]["content"]
    return answer


def models_at(url: str) -> list[str]:
    rows = httpx2.get(f"{url}/models", timeout=60, trust_env=False).json()["data"]
    return [row["id"] for row in rows]


def test_each_name_is_answered_by_its_own_adapter(tmp_path: Path) -> None:
    others = {"other": weakened(tmp_path / "o", -32), "faint": weakened(tmp_path / "f", 1e-6)}
    server = local_server.start(threads=1, others=others)
    try:
        url = server.base_url
        names = [MODEL_NAME, BARE, "other", "faint"]
        assert models_at(url) == names
        first = {name: said(url, name) for name in names}
        assert len({first[MODEL_NAME], first[BARE], first["other"]}) == 3
        assert first["faint"] == first[BARE]
        # Whatever was asked before: nothing that an adapter has read is another's.
        for name in ["other", MODEL_NAME, BARE, "other", BARE, MODEL_NAME]:
            assert said(url, name) == first[name], name
        # Nor is it forgotten for another's sake, where they take turns.
        for name in [MODEL_NAME, "other", MODEL_NAME, "other"]:
            last = ask(url, name).json()["usage"]
        assert last["prompt_tokens_details"]["cached_tokens"] > 20
        assert said(url, None) == first[MODEL_NAME]
        assert ask(url, MODEL_NAME, lora=[]).json()["choices"] == ask(url, None).json()["choices"]
        unknown = ask(url, "nobody")
        assert unknown.status_code == 404
        assert unknown.json()["error"]["message"].startswith("There is no model “nobody” here, but")
    finally:
        server.stop()


def test_a_client_that_goes_away_is_not_answered_on() -> None:
    """Its slots are free for others at once: one thread, and an answer without an end."""
    server = local_server.start(threads=1)
    try:
        port = int(server.base_url.split(":")[2].split("/")[0])
        body = json.dumps({"prompt": "One, two,", "n_predict": 3000, "ignore_eos": True}).encode()
        head = f"POST /completion HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        for _ in range(local_server.SLOTS):
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(head.encode() + body)
        assert ask(server.base_url, None).status_code == 200
        assert server._front.idle(60)
    finally:
        server.stop()


class Served:
    """`manage.py serve_model`, and what it has printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(iter(self.process.stdout.readline, ""))

    def until(self, words: str) -> str:
        """The first line with these words that comes within two minutes."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if found := [line for line in self.lines if words in line]:
                return found[0].strip()
            time.sleep(0.05)
        raise AssertionError(f"{words!r} is not in {self.lines}")


@contextmanager
def served(*arguments: str) -> Iterator[Served]:
    command = [sys.executable, "manage.py", "serve_model", "--threads", "1", *arguments]
    process = subprocess.Popen(
        command, cwd=settings.BASE_DIR, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield Served(process)
    finally:
        process.kill()
        process.communicate()


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(one) for one in listed.split()]


def test_what_is_put_in_use_is_loaded_while_the_server_answers_on(tmp_path: Path) -> None:
    listed, broken = tmp_path / "served.json", tmp_path / "broken.gguf"
    own = weakened(tmp_path / "own.gguf", 1)
    broken.write_bytes(b"GGUF no more")
    with served("--in-use", str(listed), "--adapter", f"own={own}") as server:
        line = server.until(" at http")
        url = line.rpartition("at ")[2]
        assert models_at(url) == [MODEL_NAME, BARE, "own"]
        (before,) = children(server.process.pid)
        answers: list[int] = []
        over = threading.Event()

        def go_on_asking() -> None:
            while not over.is_set():
                answers.append(ask(url, MODEL_NAME).status_code)

        asking = threading.Thread(target=go_on_asking)
        asking.start()
        try:
            rows = [
                {"name": "tuned", "file": str(weakened(tmp_path / "tuned.gguf", -32))},
                {"name": "broken", "file": str(broken)},
                {"name": "gone", "file": str(tmp_path / "gone.gguf")},
            ]
            part = tmp_path / "part"
            part.write_text(json.dumps(rows))
            part.replace(listed)
            server.until("own, tuned: at http")
        finally:
            over.set()
            asking.join()
        assert set(answers) == {200}
        assert models_at(url) == [MODEL_NAME, BARE, "own", "tuned"]
        assert said(url, "tuned") != said(url, MODEL_NAME)
        for name in ("broken", "gone"):
            assert server.until(f"The model {name} cannot be").startswith("tagger: ")
        (now,) = children(server.process.pid)
        assert now != before
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0
        assert not Path(f"/proc/{now}").exists()


def test_it_ends_when_llama_cpp_does() -> None:
    with served() as server:
        server.until(" at http")
        (child,) = children(server.process.pid)
        os.kill(child, signal.SIGKILL)
        assert server.until("CommandError") == "CommandError: llama.cpp has crashed."
        assert server.process.wait(60) == 1


@pytest.mark.parametrize("text", ["name", "=file", "name="])
def test_an_adapter_has_a_name_and_a_file(text: str) -> None:
    with pytest.raises(CommandError, match="say NAME=FILE"):
        call_command("serve_model", "--adapter", text)


def test_an_adapter_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=f"There is no adapter at {tmp_path / 'x'}"):
        call_command("serve_model", "--adapter", f"a={tmp_path / 'x'}")


def test_a_port_that_is_taken_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CommandError, match=f"Port {port} cannot be used: Address already"):
            call_command("serve_model", "--port", str(port))
