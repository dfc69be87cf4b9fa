"""What an operator and their machines are told: probes, figures, the page, and the logs."""

from __future__ import annotations

import datetime
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import redis
from django.test import override_settings
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from review.models import (
    Budget,
    Document,
    DocumentState,
    Price,
    Project,
    Proposal,
    Role,
    Scope,
    ServedModel,
    Swept,
)
from review.pipeline import metrics, served, signs
from review.pipeline.token import make
from review.tasks import sweep_up

from .base import HouseTestCase
from .fake_model import FakeModel
from .test_worker import all_ready, broker, database_url, project, until

__all__ = ["broker", "project"]  # fixtures

ROOT = Path(__file__).resolve().parent.parent
AWAY = "redis://127.0.0.1:1/0"


class ReadyTests(HouseTestCase):
    def parts(self, status: int = 200) -> dict[str, dict[str, str]]:
        answer = self.client.get("/readyz")
        self.assertEqual(answer.status_code, status)
        self.told = answer.json()
        return {part["name"]: part for part in self.told["parts"]}

    def test_it_lives_without_asking_the_database(self) -> None:
        self.client.logout()
        with self.assertNumQueries(0):
            self.assertEqual(self.client.get("/livez").content, b"ok\n")

    def test_all_is_well_where_all_runs(self) -> None:
        signs._last = 0
        signs.give("celery@here", ["celery", "webhooks"])
        sweep_up()
        self.client.logout()
        parts = self.parts()
        wells = {name: part["status"] for name, part in parts.items() if name != "disk"}
        self.assertEqual(set(wells.values()), {"ok"}, parts)
        self.assertEqual(next(iter(parts)), "database")
        self.assertNotIn("celery@here", str(self.told))

    def test_without_redis_picks_go_on_and_it_is_said(self) -> None:
        with override_settings(REDIS_URL=AWAY):
            parts = self.parts()
        self.assertEqual(self.told["status"], "degraded")
        self.assertEqual(parts["redis"]["status"], "down")
        self.assertIn("Picks go on", parts["redis"]["detail"])
        self.assertEqual(parts["workers"]["status"], "degraded")
        self.assertEqual(parts["database"]["status"], "ok")

    def test_a_model_server_that_is_left_alone_is_down_and_not_named(self) -> None:
        self.ready()
        soon = timezone.now() + datetime.timedelta(minutes=5)
        ServedModel.objects.update(failures=5, openings=1, open_until=soon, last_error="Its key.")
        served.forget()
        self.assertEqual(self.parts()["model"]["status"], "down")
        self.assertNotIn(self.model.url, str(self.told))
        self.assertNotIn("Its key.", str(self.told))

    def test_documents_that_wait_and_are_not_read_are_trouble(self) -> None:
        document = self.document()
        self.assertEqual(self.parts()["waiting"]["status"], "ok")
        long_ago = timezone.now() - datetime.timedelta(hours=3)
        Document.objects.filter(pk=document.pk).update(created_at=long_ago)
        waiting = self.parts()["waiting"]
        self.assertEqual(waiting["status"], "degraded")
        self.assertIn("3 hours", waiting["detail"])
        self.ready("another")  # they move: a long line is no trouble
        self.assertEqual(self.parts()["waiting"]["status"], "ok")

    def test_a_sweeper_that_stopped_is_trouble(self) -> None:
        self.assertIn("not run yet", self.parts()["sweeper"]["detail"])
        sweep_up()
        self.assertEqual(self.parts()["sweeper"]["status"], "ok")
        Swept.objects.update(at=timezone.now() - datetime.timedelta(minutes=20))
        sweeper = self.parts()["sweeper"]
        self.assertEqual(sweeper["status"], "degraded")
        self.assertIn("20 minutes", sweeper["detail"])


class MetricsTests(HouseTestCase):
    def setUp(self) -> None:
        super().setUp()
        metrics.forget()

    def scrape(self, **more: Any) -> dict[tuple[str, ...], float]:
        """Each sample by its name and the values of its labels."""
        answer = self.client.get("/metrics", **more)
        self.assertEqual(answer.status_code, 200)
        self.assertTrue(answer["Content-Type"].startswith("text/plain; version=0.0.4"))
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(answer.content.decode())
            for sample in family.samples
        }

    def test_documents_tokens_money_and_decisions_are_counted(self) -> None:
        Price.objects.create(model="fake", tokens_in=1_000_000, tokens_out=2_000_000)
        self.ready()
        self.document("waits")
        Proposal.objects.update(tokens_in=10, tokens_out=3)
        page = self.page()
        self.client.post(page.urls[0], page.fields)
        found = self.scrape()
        self.assertEqual(found["tagger_documents", "reviewed"], 1)
        self.assertEqual(found["tagger_documents", "waiting"], 1)
        self.assertEqual(found["tagger_proposals_total", "fake"], 1)
        self.assertEqual(
            found["tagger_model_calls_total", "fake"], len(Proposal.objects.get().calls)
        )
        self.assertEqual(found["tagger_tokens_total", "fake", "in"], 10)
        self.assertEqual(found["tagger_spend_total", "fake"], 16)
        self.assertEqual(found["tagger_decisions_total", "pick"], 1)
        self.assertEqual(found["tagger_failures", "proposal"], 0)
        self.assertEqual(found["tagger_part_up", "database"], 1)

    def test_what_was_counted_once_is_not_read_again_and_not_lost(self) -> None:
        self.ready()
        today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
        Proposal.objects.update(created_at=today)  # long enough ago, but in the first two minutes
        self.assertEqual(self.scrape()["tagger_proposals_total", "fake"], 1)
        self.ready("another")
        for _ in range(2):
            self.assertEqual(self.scrape()["tagger_proposals_total", "fake"], 2)

    def test_a_pick_is_in_the_histogram_and_a_refused_one_is_not(self) -> None:
        self.ready()
        page = self.page()
        before = self.scrape()
        self.client.post(page.urls[0], page.fields)
        after = self.scrape()
        name = "tagger_decision_seconds"
        self.assertEqual(after[f"{name}_count",] - before[f"{name}_count",], 1)
        self.assertEqual(after[f"{name}_bucket", "+Inf"], after[f"{name}_count",])
        self.assertGreater(after[f"{name}_sum",], before[f"{name}_sum",])
        self.client.post(page.urls[1], page.with_new_key())
        self.assertEqual(self.scrape()[f"{name}_count",], after[f"{name}_count",])

    def test_leases_past_their_end_breakers_and_budgets_are_there(self) -> None:
        document = self.ready()
        Document.objects.filter(pk=document.pk).update(
            state=DocumentState.PROPOSING, lease_expires_at=timezone.now()
        )
        ServedModel.objects.update(open_until=timezone.now(), failures=7)
        Budget.objects.create(project=self.project, tokens_in_all=100, all_tokens=25)
        found = self.scrape()
        self.assertEqual(found["tagger_leases_past_end",], 1)
        self.assertEqual(found["tagger_breaker_open", "fake"], 1)
        self.assertEqual(found["tagger_model_failures", "fake"], 7)
        self.assertEqual(found["tagger_budget_spent_ratio", str(self.project.pk)], 0.25)

    def test_a_scrape_is_the_same_few_queries_whatever_there_is(self) -> None:
        self.ready()
        self.scrape()
        for number in range(20):
            self.ready(f"more-{number}")
        with self.assertNumQueries(FewQueries(35)):
            self.scrape()

    def test_others_machines_need_the_token(self) -> None:
        self.assertEqual(self.client.get("/metrics", REMOTE_ADDR="192.0.2.7").status_code, 403)
        by_proxy = self.client.get("/metrics", headers={"X-Forwarded-For": "127.0.0.1"})
        self.assertEqual(by_proxy.status_code, 403)
        self.scrape(REMOTE_ADDR="::1")
        with override_settings(METRICS_TOKEN="a-token-of-the-operator"):
            self.assertEqual(self.client.get("/metrics").status_code, 401)
            wrong = {"Authorization": "Bearer a-token-of-another"}
            self.assertEqual(self.client.get("/metrics", headers=wrong).status_code, 401)
            right = {"Authorization": "Bearer a-token-of-the-operator"}
            self.scrape(headers=right, REMOTE_ADDR="192.0.2.7")


class FewQueries(int):
    """Compares as equal to any number that is not larger."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, int) and other <= int(self)

    __hash__ = int.__hash__


class StatusTests(HouseTestCase):
    def test_the_page_says_how_each_part_is_and_what_to_do(self) -> None:
        self.client.force_login(self.member("olga", Role.OWNER))
        signs._last = 0
        signs.give("celery@a-machine", ["celery"])
        self.document()
        html = self.client.get("/status").content.decode()
        self.assertIn("The database answers.", html)
        self.assertIn("celery@a-machine", html)
        self.assertIn("Waiting for the model", html)
        self.assertIn("The sweeper has not run yet.", html)
        again = self.client.get("/status", headers={"HX-Request": "true"}).content.decode()
        self.assertTrue(again.startswith('<div id="moving"'))


# --- Processes of their own ---------------------------------------------------------------


def web(**environment: str) -> tuple[subprocess.Popen[str], str]:
    """gunicorn as in the Procfile, on a free port; its output is a pipe."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "gunicorn", "tagger_site.wsgi", f"--bind=127.0.0.1:{port}"),
            *("--worker-class=gthread", "--workers=2", "--threads=4", "--preload"),
            *("--no-control-socket", "--graceful-timeout=5", "--access-logfile=-"),
        ],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{url}/livez", timeout=10).close()
            break
        except OSError:
            time.sleep(0.1)
    return process, url


def ended(process: subprocess.Popen[str]) -> str:
    """All that it wrote, after a SIGTERM."""
    process.send_signal(signal.SIGTERM)
    try:
        return process.communicate(timeout=60)[0]
    finally:
        process.kill()


def test_without_its_database_it_lives_and_is_not_ready() -> None:
    process, url = web(DATABASE_URL="postgres://u:secret@127.0.0.1:1/x?connect_timeout=2")
    try:
        assert urllib.request.urlopen(f"{url}/livez", timeout=60).status == 200
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{url}/readyz", timeout=60)
        assert refused.value.code == 503
        told = json.loads(refused.value.read())
        assert told["status"] == told["parts"][0]["status"] == "down"
        assert "secret" not in str(told)
    finally:
        ended(process)


@pytest.mark.django_db(transaction=True)
def test_one_grep_tells_a_documents_story_from_upload_to_pick(
    project: Project, broker: redis.Redis, model: FakeModel, django_user_model: Any
) -> None:
    owner = django_user_model.objects.create_user("olga", password="a long passphrase")
    project.memberships.create(user=owner, role=Role.OWNER)
    token = make(project, owner, "a program", [*Scope], 1)[1]
    environment = {
        "DATABASE_URL": database_url(),
        "OPENAI_BASE_URL": model.url,
        "OPENAI_API_KEY": "sk-test",
        "TAGGER_MODEL": "fake",
        "TAGGER_LOG_FORMAT": "json",
    }
    process, url = web(**environment)
    celery = subprocess.Popen(
        [
            *(sys.executable, "-m", "celery", "-A", "tagger_site", "worker", "--pool=threads"),
            *("--concurrency=2", "--without-gossip", "--without-mingle", "--loglevel=warning"),
        ],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

    def call(path: str, body: object, name: str) -> Any:
        request = urllib.request.Request(
            f"{url}/api/v1/projects/{project.pk}/{path}",
            json.dumps(body).encode(),
            {
                "Authorization": f"Bearer {token}",
                "Content-Type": "application/json",
                "X-Request-ID": name,
            },
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.headers["X-Request-ID"] == name
            return json.loads(answer.read())

    try:
        call("documents", {"documents": [{"id": "5201", "text": "# Requests"}]}, "the-upload")
        until(all_ready, 60)
        until(lambda: bool(signs.workers()), 60)
        taken = call("claims", {}, "the-claim")
        act = {"kind": "pick", "candidate": 1, "key": "0b0c0a46-4a0e-4ce5-9f29-1d4f7a6f7d11"}
        act |= {"proposal": taken["proposal"], "lease": taken["lease"]}
        call("decisions", act, "the-pick")
    finally:
        written = ended(process) + ended(celery)
    key = Document.objects.get().pk
    told = [json.loads(line) for line in written.splitlines() if re.search(rf"\bd{key}\b", line)]
    story = [
        (line["event"], line["request_id"]) for line in sorted(told, key=lambda line: line["time"])
    ]
    assert story == [
        ("came in", "the-upload"),
        ("reading", "the-upload"),
        ("proposed", "the-upload"),
        ("handed out", "the-claim"),
        ("pick", "the-pick"),
    ]
    assert '"id": "5201"' in written  # from the integrator's id to ours
    access = [line for line in written.splitlines() if '"gunicorn.access"' in line]
    assert {json.loads(line)["request_id"] for line in access} >= {"the-upload", "the-pick"}


def test_a_request_is_named_and_a_bad_name_is_not_taken(client: Any) -> None:
    assert client.get("/livez", headers={"X-Request-ID": "from-the-proxy-1"})["X-Request-ID"] == (
        "from-the-proxy-1"
    )
    for bad in ("short", "x" * 101, "two words of it", "a\tline-break"):
        made = client.get("/livez", headers={"X-Request-ID": bad})["X-Request-ID"]
        assert re.fullmatch("[0-9a-f]{32}", made)
