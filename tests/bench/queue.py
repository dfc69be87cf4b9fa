"""How fast the queue is: next + pick over HTTP, on gunicorn, with many documents and reviewers.

`make bench-queue` runs it on SQLite and PostgreSQL and prints a table. Each reviewer is a
thread here that does what the page does: it POSTs the pick, and gets the document to follow the
one it has in store. The time of a loop is that, without think time.
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

ROOT = Path(__file__).resolve().parent.parent.parent
TEXT = (
    "# A document\n\n" + "Some words of a README, with `code` and a [link](https://x.org).\n\n" * 45
)


@dataclass
class Reviewer:
    """One signed-in reviewer with a connection of their own."""

    port: int
    session: str
    csrf: str = "x" * 32
    loops: list[float] = field(default_factory=list)
    picked: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def ask(self, method: str, path: str, fields: dict[str, str] | None = None) -> str:
        headers = {
            "Cookie": f"sessionid={self.session}; csrftoken={self.csrf}",
            "X-CSRFToken": self.csrf,
            "HX-Request": "true",
            "Host": f"127.0.0.1:{self.port}",
        }
        body = None
        if fields is not None:
            body = urlencode(fields)
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        if not hasattr(self, "connection"):
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        text = answer.read().decode()
        if answer.status not in (200, 204):
            self.errors.append(f"{method} {path}: {answer.status}")
        return text

    def work(self, loops: int) -> None:
        page = desk(self.ask("GET", "/"))
        following = desk(self.ask("GET", f"/next?after={page['document']}"))
        for _ in range(loops):
            if "choose" not in page or "choose" not in following:
                self.errors.append("no next document")
                return
            began = time.perf_counter()
            fields = {"lease": page["lease"], "key": page["key"], "prefetched": following["lease"]}
            after = desk(self.ask("POST", page["choose"], fields))
            self.loops.append(time.perf_counter() - began)
            self.picked.append(page["document"])
            page, following = following, after


def desk(html: str) -> dict[str, str]:
    """What the page's script reads from a fragment."""
    patterns = {
        "choose": r'action="(/candidates/\d+/choose)"',
        "lease": r'name="lease" value="([^"]+)"',
        "key": r'name="key" value="([^"]+)"',
        "document": r'data-document="(\d+)"',
    }
    found = {name: re.search(pattern, html) for name, pattern in patterns.items()}
    return {name: match.group(1) for name, match in found.items() if match}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def prepare(documents: int, reviewers: int) -> list[str]:
    """Fill the database up to `documents` that are ready; return the reviewers' sessions."""
    import django

    django.setup()
    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.auth.models import User
    from django.contrib.sessions.backends.db import SessionStore
    from django.core.management import call_command
    from django.db import connection

    from review.models import DocumentState, Membership, Project, Tally
    from review.models.document import FREE
    from tests.world import make_ready

    call_command("migrate", verbosity=0)
    project, _ = Project.objects.get_or_create(name="Bench")
    project.documents.exclude(lease_token=None).update(**FREE)  # of a run before
    make_ready(project, documents - Tally.objects.of(project)[DocumentState.READY], TEXT)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    sessions = []
    for number in range(reviewers):
        user, _ = User.objects.get_or_create(username=f"reviewer{number}")
        Membership.objects.get_or_create(project=project, user=user)
        store = SessionStore()
        store[SESSION_KEY] = str(user.pk)
        store[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
        store[HASH_SESSION_KEY] = user.get_session_auth_hash()
        store.create()
        sessions.append(str(store.session_key))
    connection.close()
    return sessions


def queries_of_a_loop(session: str) -> int:
    """Queries of one loop, counted in this process through the same views."""
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    client = Client(headers={"HX-Request": "true", "Host": "127.0.0.1"})
    client.cookies["sessionid"] = session
    page = desk(client.get("/").content.decode())
    following = desk(client.get(f"/next?after={page['document']}").content.decode())
    fields = {"lease": page["lease"], "key": page["key"], "prefetched": following["lease"]}
    with CaptureQueriesContext(connection) as queries:
        client.post(page["choose"], fields)
    if os.environ.get("BENCH_QUERIES"):
        for query in queries.captured_queries:
            print(query["time"], query["sql"][:220], file=sys.stderr)
    connection.close()
    transactions = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")
    return sum(not q["sql"].startswith(transactions) for q in queries.captured_queries)


def cpu_seconds(pids: list[int]) -> float:
    """User and system time of the processes so far."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


def measure(sessions: list[str], loops: int) -> dict[str, Any]:
    port = free_port()
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "gunicorn", "tagger_site.wsgi", f"--bind=127.0.0.1:{port}"),
            *("--worker-class=gthread", "--workers=2", "--threads=4", "--log-level=warning"),
            "--no-control-socket",
        ],
        cwd=ROOT,
        env={**os.environ, "TAGGER_HOSTS": "127.0.0.1"},
    )
    try:
        while socket.socket().connect_ex(("127.0.0.1", port)):
            time.sleep(0.05)
        time.sleep(1)
        # Warm: each worker has loaded its templates and its database connection.
        for _ in range(8):
            Reviewer(port, sessions[0]).ask("GET", "/history")
        reviewers = [Reviewer(port, session) for session in sessions]
        pids = children(server.pid)
        before, began = cpu_seconds(pids), time.perf_counter()
        threads = [threading.Thread(target=who.work, args=(loops,)) for who in reviewers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds, cpu = time.perf_counter() - began, cpu_seconds(pids) - before
    finally:
        server.terminate()
        server.wait()
    times = sorted(t for who in reviewers for t in who.loops)
    picked = [number for who in reviewers for number in who.picked]
    errors = [error for who in reviewers for error in who.errors]
    return {
        "p50": statistics.median(times) * 1000,
        "p95": times[int(len(times) * 0.95)] * 1000,
        "per_second": len(times) / seconds,
        "cpu": cpu / len(times) * 1000,
        "twice": len(picked) - len(set(picked)),
        "errors": len(errors),
        "first_error": errors[0] if errors else "",
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, nargs="+", default=[1_000, 100_000])
    parser.add_argument("--reviewers", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--picks", type=int, default=320, help="in each run, by all reviewers")
    options = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "tagger_site.settings"
    os.environ["TAGGER_VAR"] = os.environ.get("TAGGER_VAR") or tempfile.mkdtemp(prefix="bench-")
    columns = ["documents", "reviewers", "p50 ms", "p95 ms", "picks/s", "CPU ms/pick"]
    columns += ["queries", "twice", "errors"]
    print("| " + " | ".join(columns) + " |")
    print("| --- " * len(columns) + "|")
    for documents in options.documents:
        sessions = prepare(documents, max(options.reviewers))
        queries = queries_of_a_loop(sessions[0])
        for count in options.reviewers:
            row = measure(sessions[:count], options.picks // count)
            print(
                f"| {documents:,} | {count} | {row['p50']:.1f} | {row['p95']:.1f} "
                f"| {row['per_second']:.0f} | {row['cpu']:.1f} | {queries} "
                f"| {row['twice']} | {row['errors']} {row['first_error']} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
