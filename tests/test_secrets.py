"""A whole run, with a model server that says its key aloud: none of it is in a log or a page."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from http.cookiejar import CookieJar
from pathlib import Path

from django.core.checks import run_checks
from django.test import override_settings

from tagger_site.discreet import Discreet, passwords_in

from .fake_model import FakeModel, Reply

ROOT = Path(__file__).resolve().parent.parent
MARKS = {
    "OPENAI_API_KEY": "sk-marked-3f9a7c51e0d2",
    "TAGGER_ADMIN_PASSWORD": "marked-passphrase-81c4",
    "TAGGER_SECRET_KEY": "marked-signing-key-9Zx8Yw7Vu6Ts5Rq4Po3Nm2Lk1Jh0",
}
TYPED = "marked-wrong-password-77d0"  # by a person, at the door
TOKEN = "tagger_marked-token-5e1f"
PATIENCE = 240  # seconds, for a machine that has much else to do


def says_the_key(status: int) -> Reply:
    told = f"Incorrect API key provided: {MARKS['OPENAI_API_KEY']}. You sent Bearer it."
    return Reply(status=status, body=json.dumps({"error": {"message": told}}).encode())


class AWholeRun(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.var = Path(folder.name) / "var"
        self.fake = FakeModel()
        self.addCleanup(self.fake.close)
        self.fake.default = says_the_key(400)  # which is no fault of the key: the text is kept
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.console: list[str] = []
        self.pages: list[str] = []
        cookies = urllib.request.HTTPCookieProcessor(CookieJar())
        self.opener = urllib.request.build_opener(cookies)

    def start(self) -> None:
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG")}
        more = {
            "TAGGER_VAR": str(self.var),
            "PORT": str(self.port),
            "OPENAI_BASE_URL": self.fake.url,
            "TAGGER_MODEL": "fake",
            "TAGGER_WORKERS": "1",
            "TAGGER_CALLS_AT_ONCE": "2",
        }
        self.environment = kept | more | MARKS
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tagger_site.up"],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.addCleanup(self.stop)
        threading.Thread(target=self.read_console, daemon=True).start()

    def read_console(self) -> None:
        assert self.process.stdout is not None
        self.console.extend(self.process.stdout)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stdout and not self.process.stdout.closed:
            self.process.stdout.close()

    def until(self, true: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not true():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.fail(f"{what}: {''.join(self.console)[-2000:]}")
            time.sleep(0.2)

    def ask(self, path: str, fields: dict[str, str] | None = None, **headers: str) -> str:
        data = urllib.parse.urlencode(fields).encode() if fields else None
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, data, headers)
        try:
            with self.opener.open(request, timeout=PATIENCE) as answer:
                page = str(answer.read().decode())
        except urllib.error.HTTPError as error:
            page = error.read().decode()
        self.pages.append(page)
        return page

    def command(self, name: str) -> str:
        """What manage.py prints, in another terminal."""
        done = subprocess.run(
            [sys.executable, "manage.py", name],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE,
        )
        return done.stdout + done.stderr

    def sign_in(self, password: str) -> None:
        found = re.search(r'csrfmiddlewaretoken" value="(\w+)"', self.ask("/sign-in/"))
        assert found is not None
        fields = {"csrfmiddlewaretoken": found.group(1), "username": "admin"}
        self.ask("/sign-in/", {**fields, "password": password})

    def test_writes_none_of_its_secrets_anywhere(self) -> None:
        self.start()
        self.until(lambda: any("Tagger is at" in line for line in self.console), "No start")
        self.sign_in(TYPED)
        self.sign_in(MARKS["TAGGER_ADMIN_PASSWORD"])
        self.until(
            lambda: "request (400)" in self.ask("/documents?state=failed"), "No document has failed"
        )
        self.fake.default = says_the_key(401)
        self.pages.append(self.command("ask_again"))
        self.until(lambda: "refused the key (401)" in self.ask("/models"), "No key was refused")
        self.ask("/api/v1/projects/1/tags", Authorization=f"Bearer {TOKEN}")
        for path in ("/nowhere", "/documents", "/prompt", "/admin/review/proposal/", "/tokens"):
            self.ask(path)
        self.stop()
        logs = {path: path.read_text(errors="replace") for path in self.var.rglob("*.log")}
        self.assertIn("web.log", {path.name for path in logs})
        told = {
            **{str(path): text for path, text in logs.items()},
            "console": "".join(self.console),
        }
        told |= {f"page {number}": page for number, page in enumerate(self.pages)}
        self.assertIn("HTTP/1.1", told[str(self.var / "log" / "web.log")])  # they do log
        for name, text in told.items():
            for mark in (*MARKS.values(), TYPED, TOKEN):
                self.assertNotIn(mark, text, name)


class TheLastWall(unittest.TestCase):
    def test_hides_secrets_in_messages_and_tracebacks(self) -> None:
        wall = Discreet(["a-secret-of-ours", "short", ""])
        try:
            raise ValueError("with a-secret-of-ours")
        except ValueError:
            record = logging.LogRecord(
                "x", logging.ERROR, "x", 1, "got %s, short", ("a-secret-of-ours",), sys.exc_info()
            )
        wall.filter(record)
        said = logging.Formatter("{message}", style="{").format(record)
        self.assertIn("got [hidden], short", said)
        self.assertIn("ValueError: with [hidden]", said)
        self.assertNotIn("a-secret", said)

    def test_finds_passwords_in_addresses(self) -> None:
        found = passwords_in("postgres://u:p%40ss@h/n", "redis://:other@h", "sqlite:///x")
        self.assertEqual({*found, ""}, {"p%40ss", "p@ss", "other", ""})

    @override_settings(OPENAI_BASE_URL="https://me:key@models.example/v1", TAGGER_MODEL="m")
    def test_an_address_with_a_password_is_refused(self) -> None:
        self.assertEqual([message.id for message in run_checks()], ["tagger.E006"])
