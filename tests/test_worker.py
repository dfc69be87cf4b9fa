"""A real Celery worker, a real Redis, a model server over real HTTP."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from django.conf import settings as django_settings
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from review.models import Document, DocumentState, Project, Tag
from review.pipeline import sweep
from review.pipeline.first_start import seed_tags
from review.pipeline.intake import take_in
from review.readers import Incoming
from review.tasks import fill_queue, sweep_up

from .fake_model import FakeModel, Reply

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.django_db(transaction=True)


def database_url() -> str:
    """The test's own database, for another process."""
    name = connection.settings_dict["NAME"]
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    return os.environ["DATABASE_URL"].rpartition("/")[0] + f"/{name}"


POOLS = {
    "prefork": ["--concurrency=1"],  # as for the embedded model
    "threads": ["--pool=threads", "--concurrency=8"],  # as for another's server
}


@pytest.fixture(params=POOLS)
def worker(model: FakeModel, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    """`celery worker` as in production, asking the fake model."""
    env = {
        **os.environ,
        "DATABASE_URL": database_url(),
        "OPENAI_BASE_URL": model.url,
        "OPENAI_API_KEY": "sk-test",
        "TAGGER_MODEL": "fake",
    }
    command = [sys.executable, "-m", "celery", "-A", "tagger_site", "worker"]
    process = subprocess.Popen(
        [
            *command,
            *POOLS[request.param],
            "--without-gossip",
            "--without-mingle",
            "--loglevel=warning",
        ],
        cwd=ROOT,
        env=env,
        start_new_session=True,
    )
    yield process
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        # Seen once in some hundred runs, on a busy machine. What is tested is over by now, and the
        # supervisor would do the same; it is said, so that it is not forgotten.
        warnings.warn("The worker did not stop within 30 seconds of SIGTERM.", stacklevel=1)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def project() -> Project:
    project = Project.objects.create(name="READMEs")
    Tag.objects.bulk_create(
        Tag(project=project, number=tag["id"], name=tag["name"]) for tag in seed_tags()
    )
    return project


@pytest.fixture
def broker(redis_server: str) -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(redis_server)
    client.flushall()
    yield client
    client.close()


def load(project: Project, count: int) -> None:
    take_in(project, (Incoming(str(number), f"# Document {number}") for number in range(count)))


def until(reached: Callable[[], bool], seconds: float = 25) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, list(Document.objects.values("state", "reason"))
        time.sleep(0.05)


def all_ready() -> bool:
    return not Document.objects.exclude(state=DocumentState.READY).exists()


def test_documents_become_ready_and_what_the_broker_lost_is_told_again(
    project: Project, broker: redis.Redis, worker: subprocess.Popen[bytes], model: FakeModel
) -> None:
    load(project, 5)
    fill_queue()
    until(all_ready)
    assert len(model.requests) == 5

    # All hints lost, one of them in mid-air: beat's task finds the documents in the database.
    load(project, 8)
    fill_queue()
    broker.flushall()
    sweep_up.delay()
    until(all_ready)
    assert len(model.requests) == 8


def test_a_server_that_asks_for_a_pause_gets_it_and_the_document_its_tags(
    project: Project, broker: redis.Redis, worker: subprocess.Popen[bytes], model: FakeModel
) -> None:
    model.say(Reply(status=429, headers={"Retry-After": "1"}))
    load(project, 1)
    began = time.monotonic()
    fill_queue()
    until(all_ready)
    assert time.monotonic() - began >= 1
    assert len(model.requests) == 2


def test_a_document_told_of_five_times_is_asked_about_once(
    project: Project, broker: redis.Redis, worker: subprocess.Popen[bytes], model: FakeModel
) -> None:
    from review.tasks import propose_tags

    load(project, 1)
    document = Document.objects.get()
    for _ in range(5):
        propose_tags.delay(document.pk)
    until(lambda: all_ready() and not broker.llen("celery"))
    assert len(model.requests) == 1


@pytest.mark.parametrize("worker", ["threads"], indirect=True)
def test_one_process_has_many_calls_under_way(
    project: Project, broker: redis.Redis, worker: subprocess.Popen[bytes], model: FakeModel
) -> None:
    model.default.silent = 0.4
    load(project, 40)
    fill_queue()
    until(all_ready)
    assert model.most >= 6  # it begins with 4 at once, and goes up
    assert len(model.requests) == 40


@pytest.mark.parametrize("worker", ["threads"], indirect=True)
def test_a_worker_that_is_killed_loses_nothing(
    project: Project, broker: redis.Redis, worker: subprocess.Popen[bytes], model: FakeModel
) -> None:
    model.default.silent = 1
    load(project, 8)
    fill_queue()
    until(lambda: len(model.requests) >= 2)
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
    begun = Document.objects.filter(state=DocumentState.PROPOSING)
    assert begun.exists()
    begun.update(lease_expires_at=timezone.now())  # time passes
    assert sweep.take_back() >= 2
    assert Document.objects.filter(state=DocumentState.WAITING).count() == 8
    assert not Document.objects.exclude(lease_token=None).exists()


def test_without_a_broker_documents_still_come_in(project: Project, settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    load(project, 1)
    began = time.monotonic()
    fill_queue()
    assert time.monotonic() - began < 6
    assert Document.objects.get().state == DocumentState.WAITING


def test_each_limit_outlasts_the_one_before() -> None:
    limits = [
        django_settings.MODEL_DEADLINE,
        django_settings.CELERY_TASK_SOFT_TIME_LIMIT,
        django_settings.CELERY_TASK_TIME_LIMIT,
        django_settings.CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"],
    ]
    assert limits == sorted(set(limits))
