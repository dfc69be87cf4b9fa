"""Redis answers, and refuses: its disk or its memory is full. Nobody gives up for that."""

from __future__ import annotations

import subprocess

import pytest
import redis

from review.models import Project
from review.tasks import fill_queue, sweep_up

from .fake_model import FakeModel
from .test_worker import all_ready, broker, load, project, until, worker

__all__ = ["broker", "project", "worker"]  # fixtures

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_worker_whose_broker_refuses_for_a_while_works_on_by_itself(
    project: Project, broker: redis.Redis, worker: subprocess.Popen[bytes], model: FakeModel
) -> None:
    load(project, 1)
    fill_queue()
    until(all_ready, 60)
    # As with a full disk: each command that would write is refused, also the workers' own.
    broker.config_set("min-replicas-to-write", 1)
    try:
        with pytest.raises(redis.ResponseError):
            broker.lpush("nothing", "at all")
        load(project, 2)
        fill_queue()  # which is no reason to fail
        until(lambda: not waits_for_tasks(broker), 60)
    finally:
        broker.config_set("min-replicas-to-write", 0)
    until(lambda: waits_for_tasks(broker), 60)
    assert worker.poll() is None, "the worker ended"
    sweep_up()
    until(all_ready, 60)


def waits_for_tasks(broker: redis.Redis) -> bool:
    return any(client["cmd"] == "brpop" for client in broker.client_list())
