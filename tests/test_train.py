"""Trainings as jobs: ordered on a release, stopped, gone on with, set aside, kept.

What needs torch is skipped where it is not installed; `make test-train` has it.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import importlib.util
import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import uuid
import zipfile
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import override_settings
from django.utils import timezone

from review.llm import local_server
from review.models import (
    InUse,
    Project,
    Release,
    ReleaseState,
    Role,
    Training,
    TrainingState,
)
from review.pipeline import release, train
from review.tasks import TRAINING, run_trainer, sweep_up, tell_trainers
from review.training.course import TrlCourse
from tagger_site.supervise import read_procfile

from . import test_training
from .test_release import SETS, Releasing
from .test_training import needs_torch
from .test_worker import ROOT, database_url

base, small = test_training.base, test_training.small  # fixtures

without_torch = pytest.mark.skipif(
    bool(importlib.util.find_spec("torch")), reason="here it is installed"
)


class Trained(Releasing):
    """A release of real picks, some of which are for training."""

    release: Release

    def setUp(self) -> None:
        super().setUp()
        self.needs(1)
        # Short prompts, which are quick to learn from.
        self.project.tags.exclude(name__in={name for names in SETS for name in names}).delete()
        for number in range(8):
            self.ready(str(number), f"# Text {number}\n\nA library.")
            self.pick(self.alice, 1 + number % 2)
        self.release = self.made("trl", "sft")

    def command(self, *given: object) -> tuple[str, str]:
        out, err = StringIO(), StringIO()
        call_command("train", *map(str, given), stdout=out, stderr=err)
        return out.getvalue(), err.getvalue()

    def is_now(self, training: Training) -> str:
        training.refresh_from_db()
        return training.state

    def train_rows(self) -> list[dict[str, Any]]:
        file = release.folder_of(self.release) / "trl" / "train.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()]

    def is_trained(self) -> Training:
        """One that is, without any training: its adapter is four bytes."""
        training = train.order(self.release)
        folder = train.folder_of(training)
        folder.mkdir(parents=True)
        (folder / train.SERVED).write_bytes(b"GGUF")
        progress = [
            {"phase": "sft", "step": step, "steps": 3, "loss": 1 / step} for step in (1, 2, 3)
        ] + [
            {"phase": "dpo", "step": step, "steps": 3, "loss": 1.0, "margin": 0.1, "accuracy": 1}
            for step in (1, 2, 3)
        ]
        figures = {"pairs": 12, "documents": 6, "seconds": 61.0, "accuracy": 1}
        Training.objects.filter(pk=training.pk).update(
            state=TrainingState.READY, progress=progress, figures=figures
        )
        training.refresh_from_db()
        return training


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Ordering(Trained):
    def test_it_is_named_after_base_and_release(self) -> None:
        one = train.order(self.release, {"epochs": "3"}, by=self.alice)
        self.assertEqual(one.name, f"smollm2-135m-r1-t{one.pk}")
        self.assertEqual((one.start, one.options["epochs"], one.state), ("shipped", 3, "waiting"))
        other = train.order(self.release, base="Qwen/Qwen2.5-7B-Instruct")
        self.assertEqual(other.name, f"Qwen2.5-7B-Instruct-r1-t{other.pk}")
        self.assertEqual((other.start, other.options["rate"]), ("", 5e-6))

    def test_what_cannot_be_is_said(self) -> None:
        failed = self.made("trl", models=("other",))
        without = self.made("sft")
        wrong: list[tuple[Release, dict[str, Any], dict[str, Any], str]] = [
            (failed, {}, {}, "release"),
            (without, {}, {}, "release"),
            (self.made("trl"), {}, {"base": "a/model"}, "release"),
            (self.release, {"epochs": "many"}, {}, "epochs"),
            (self.release, {"epochs": "inf"}, {}, "epochs"),
            (self.release, {"epochs": 0}, {}, "options"),
            (self.release, {"rank": 1.5}, {}, "rank"),
            (self.release, {"batch": 2}, {}, "batch"),  # of the other kind
            (self.release, {}, {"start": "another"}, "start"),
            (self.release, {}, {"base": "a/model", "start": "shipped"}, "start"),
            (self.release, {}, {"base": ""}, "base"),
        ]
        for asked, given, more, field in wrong:
            with pytest.raises(train.NotOptions) as told:
                train.order(asked, given, **more)
            self.assertEqual(list(told.value.errors), [field], (given, more))
        self.assertEqual(Training.objects.count(), 0)

    def test_it_may_go_on_from_an_earlier_one_of_the_same_base(self) -> None:
        earlier = self.is_trained()
        self.assertEqual(train.order(self.release, start=earlier.name).start, earlier.name)
        with pytest.raises(train.NotOptions):
            train.order(self.release, base="a/model", start=earlier.name)

    def test_the_lines_are_for_the_release_as_it_is(self) -> None:
        told, _ = self.command(1, "--commands", "--base", "a/model", "--epochs", "3")
        first, *others = [one for one in told.splitlines() if not one.startswith("#")]
        sha256_of_it = self.release.manifest_sha256[:12]
        self.assertIn(
            f"export HF_DATASETS_CACHE={settings.VAR}/trained/cache-{sha256_of_it}", first
        )
        lines = [shlex.split(one) for one in others]
        self.assertEqual([one[:2] for one in lines[::2]], [["trl", "sft"], ["trl", "dpo"]])
        for line, config in zip(lines[::2], ("sft", "dpo"), strict=True):
            said = dict(zip(line[2::2], line[3::2], strict=False))
            self.assertEqual(said["--dataset_name"], str(release.folder_of(self.release)))
            self.assertEqual(said["--dataset_config"], config)
        self.assertEqual(lines[0][lines[0].index("--model_name_or_path") + 1], "a/model")
        self.assertEqual(lines[2][lines[2].index("--num_train_epochs") + 1], "3.0")
        self.assertFalse(Training.objects.exists())

    def test_the_command_says_what_is_wrong(self) -> None:
        for given, said in (
            ((), "Name a release by its number"),
            ((9,), "has no release 9"),
            ((1, "--project", "none"), "no project of this name"),
            ((1, "--commands", "--base", "a/model", "--beta", "0"), "greater than 0"),
            (("--run", 9), "no training 9"),
        ):
            with pytest.raises(CommandError, match=said):
                self.command(*given)

    @without_torch
    def test_without_torch_it_says_what_to_install_and_orders_nothing(self) -> None:
        with pytest.raises(CommandError, match=r"no \w+: `make train-deps`"):
            self.command(1)
        self.assertFalse(Training.objects.exists())
        self.command(1, "--only-order")
        waiting = Training.objects.get()
        with pytest.raises(CommandError, match=r"no \w+: `make train-deps`"):
            self.command("--run", waiting.pk)
        self.assertEqual(self.is_now(waiting), TrainingState.WAITING)
        with pytest.raises(CommandError):
            self.command("--run", waiting.pk, "--if-due")  # as a worker does: it asks once
        self.assertEqual(self.is_now(waiting), TrainingState.FAILED)
        self.assertIn("make train-deps", waiting.reason)

    def test_stopped_before_it_began_it_waits_again_when_it_is_to_go_on(self) -> None:
        waiting = train.order(self.release)
        self.command("--stop", waiting.pk)
        self.assertEqual(self.is_now(waiting), TrainingState.STOPPED)
        with pytest.raises(CommandError, match="over already"):
            self.command("--stop", waiting.pk)
        self.assertFalse(Training.objects.due(timezone.now()).exists())
        self.assertTrue(train.resume(waiting))
        self.assertFalse(train.resume(waiting))
        self.assertTrue(Training.objects.due(timezone.now()).exists())
        told, _ = self.command("--list")
        self.assertIn(f"{waiting.name}  waiting  READMEs, release 1", told)

    def test_one_whose_trainer_died_can_be_stopped(self) -> None:
        dead = train.order(self.release)
        late = timezone.now() - datetime.timedelta(seconds=1)
        Training.objects.update(
            state=TrainingState.RUNNING, lease_token=uuid.uuid4(), lease_expires_at=late
        )
        self.assertTrue(train.stop(dead))
        self.assertEqual(self.is_now(dead), TrainingState.STOPPED)

    def test_one_that_is_asked_stays_and_another_goes_with_its_files(self) -> None:
        asked, other = self.is_trained(), self.is_trained()
        InUse.objects.create(project=self.project, tuned=asked)
        with pytest.raises(train.Kept, match="it stays"):
            train.delete(asked)
        self.assertTrue(train.folder_of(asked).exists())
        train.delete(other)
        self.assertFalse(train.folder_of(other).exists())
        running = train.order(self.release)
        Training.objects.filter(pk=running.pk).update(state=TrainingState.RUNNING)
        with pytest.raises(train.Kept, match="Stop it first"):
            train.delete(running)


FAKE = """#!/bin/sh
echo "$@" >> {said}
exit {code}
"""


class Worker(Trained):
    """The worker's side: the process that trains is a fake here; a real one is below."""

    def setUp(self) -> None:
        super().setUp()
        self.broker = redis.from_url(settings.REDIS_URL)
        self.broker.delete(TRAINING)
        self.addCleanup(self.broker.delete, TRAINING)

    def fake(self, code: int) -> Path:
        fake, said = self.var / "python", self.var / "said"
        fake.write_text(FAKE.format(said=said, code=code))
        fake.chmod(0o755)
        there = override_settings(TRAIN_PYTHON=fake)
        there.enable()
        self.addCleanup(there.disable)
        return said

    def test_only_workers_for_it_are_told_and_one_hint_waits_at_most(self) -> None:
        tell_trainers()
        self.assertEqual(self.broker.llen(TRAINING), 0)
        train.order(self.release)
        train.order(self.release)
        for _ in range(3):
            tell_trainers()
        self.assertEqual(self.broker.llen(TRAINING), 1)
        self.assertNotIn(TRAINING, settings.CELERY_TASK_QUEUES)

    def test_what_redis_has_lost_is_told_again_by_the_sweeper(self) -> None:
        train.order(self.release)
        tell_trainers()
        self.broker.delete(TRAINING)
        sweep_up()
        self.assertEqual(self.broker.llen(TRAINING), 1)

    def test_the_process_is_given_the_training(self) -> None:
        said, waiting = self.fake(0), train.order(self.release)
        run_trainer(waiting.pk)
        manage = settings.BASE_DIR / "manage.py"
        self.assertEqual(said.read_text(), f"{manage} train --run {waiting.pk} --if-due\n")
        self.assertEqual(self.broker.llen(TRAINING), 1)  # it waits still: told again

    def test_one_that_cannot_begin_is_not_tried_at_once_again(self) -> None:
        self.fake(1)
        run_trainer(train.order(self.release).pk)
        self.assertEqual(self.broker.llen(TRAINING), 0)

    def test_a_stopped_one_is_left_alone(self) -> None:
        said, waiting = self.fake(0), train.order(self.release)
        train.stop(waiting)
        run_trainer(waiting.pk)
        self.assertFalse(said.exists())

    def test_where_no_python_has_torch_it_waits_and_says_what_to_do(self) -> None:
        waiting = train.order(self.release)
        with override_settings(TRAIN_PYTHON=self.var / "nowhere"):
            run_trainer(waiting.pk)
        self.assertEqual(self.is_now(waiting), TrainingState.WAITING)
        self.assertIn("make train-deps", waiting.reason)
        self.assertIn(f"manage.py train --run {waiting.pk}", waiting.reason)


class Pages(Trained):
    def setUp(self) -> None:
        super().setUp()
        self.olga = self.member("olga", Role.OWNER)
        self.owner = self.as_user(self.olga)

    def test_ordered_watched_stopped_and_gone_on_with(self) -> None:
        page = self.owner.get("/trainings?release=1")
        self.assertContains(page, '<option value="1" selected>Release 1</option>', html=True)
        given = {"release": "1", "base": "embedded", "start": "", "epochs": "1.5"}
        answer = self.owner.post("/trainings/order", given)
        ordered = Training.objects.get()
        self.assertRedirects(answer, f"/trainings/{ordered.pk}")
        self.assertEqual((ordered.options["epochs"], ordered.start), (1.5, "shipped"))
        self.assertEqual(ordered.asked_by, self.olga)
        url = f"/trainings/{ordered.pk}"
        self.assertContains(self.owner.get(url), f"train --run {ordered.pk}")
        self.assertContains(self.owner.get(url), "--dataset_name release-1 --dataset_config dpo")
        self.assertNotIn("HX-Refresh", self.owner.get(f"{url}/progress").headers)
        self.assertNotContains(self.owner.get(f"{url}/progress"), "make train-deps")
        long_ago = timezone.now() - datetime.timedelta(minutes=5)
        Training.objects.update(created_at=long_ago)
        self.assertContains(self.owner.get(f"{url}/progress"), "make train-deps")
        self.owner.post(f"{url}/stop")
        self.assertEqual(self.is_now(ordered), TrainingState.STOPPED)
        self.assertEqual(self.owner.get(f"{url}/progress").headers["HX-Refresh"], "true")
        self.owner.post(f"{url}/go-on")
        self.assertEqual(self.is_now(ordered), TrainingState.WAITING)
        self.owner.post(f"{url}/delete")
        self.assertFalse(Training.objects.exists())

    def test_what_cannot_be_is_said_beside_its_field(self) -> None:
        for given, said in (
            ({"release": "1", "base": "../secret"}, "organisation/model"),
            ({"release": "7", "base": "embedded"}, "Select a valid choice"),
            ({"release": "1", "base": "a/model", "start": "shipped"}, "no adapter “shipped”"),
            ({"release": "1", "base": "embedded", "beta": "0"}, "greater than 0"),
        ):
            answer = self.owner.post("/trainings/order", given)
            self.assertContains(answer, said, status_code=422)
        self.assertFalse(Training.objects.exists())

    def test_how_it_went_is_drawn_and_told(self) -> None:
        url = f"/trainings/{self.is_trained().pk}"
        page = self.owner.get(url)
        self.assertContains(page, f"{url}/course.svg?dark=1")
        self.assertContains(page, "0.333")  # the third step's loss
        for query in ("", "?dark=1"):
            drawn = self.owner.get(f"{url}/course.svg{query}")
            self.assertEqual(drawn.headers["Content-Type"], "image/svg+xml")
            self.assertContains(drawn, "Margin")
        self.assertContains(self.owner.get("/trainings"), "100 %")

    def test_the_adapter_is_downloaded_when_it_is_there(self) -> None:
        waiting, trained = train.order(self.release), self.is_trained()
        self.assertEqual(self.owner.get(f"/trainings/{waiting.pk}/adapter.zip").status_code, 409)
        answer = self.owner.get(f"/trainings/{trained.pk}/adapter.zip")
        content = answer.getvalue()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            self.assertEqual(archive.namelist(), [f"{trained.name}/adapter.gguf"])

    def test_a_curator_sees_and_changes_nothing(self) -> None:
        trained = self.is_trained()
        self.assertNotContains(self.curator.get("/trainings"), "training_order")
        page = self.curator.get(f"/trainings/{trained.pk}")
        self.assertContains(page, "Download the adapter")
        self.assertNotContains(page, "Delete")

    def test_one_that_is_asked_stays_and_the_page_says_why(self) -> None:
        trained = self.is_trained()
        InUse.objects.create(project=self.project, tuned=trained)
        answer = self.owner.post(f"/trainings/{trained.pk}/delete")
        self.assertContains(answer, "it stays", status_code=409)


PATIENT = """#!/bin/sh
trap 'echo told to end >> {said}; exit 0' TERM
echo begun >> {said}
while :; do sleep 0.1; done
"""


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_is_shut_down_hands_it_on(tmp_path: Path) -> None:
    """A real worker of the queue, as in the Procfile; what trains is a script."""
    said, script = tmp_path / "said", tmp_path / "python"
    script.write_text(PATIENT.format(said=said))
    script.chmod(0o755)
    said.touch()
    project = Project.objects.create(name="READMEs")
    made = Release.objects.create(project=project, number=1, state=ReleaseState.READY)
    Training.objects.create(release=made, name="tuned")
    redis.from_url(settings.REDIS_URL).delete(TRAINING)
    command = shlex.split(read_procfile(ROOT / "Procfile")["trainer"])
    worker = subprocess.Popen(
        [sys.executable, *command[1:]],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": database_url(), "TAGGER_TRAIN_PYTHON": str(script)},
        start_new_session=True,
    )
    try:
        tell_trainers()
        until(lambda: said.read_text() == "begun\n")
        worker.send_signal(signal.SIGTERM)
        until(lambda: said.read_text() == "begun\ntold to end\n")
        assert worker.wait(timeout=120) == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120  # a busy machine starts a worker slowly
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


# --- With torch ----------------------------------------------------------------------------


@needs_torch
class Trains(Trained):
    @pytest.fixture(autouse=True)
    def _bases(self, base: Path, small: Path) -> None:
        self.base, self.small = base, small

    def embedded_is(self, folder: Path) -> None:
        """What `base_model.folder` finds made already."""
        made = self.var / "training" / local_server.model_file().stem
        made.parent.mkdir(parents=True, exist_ok=True)
        made.unlink(missing_ok=True)
        made.symlink_to(folder)

    def test_from_picks_to_an_adapter_that_is_served(self) -> None:
        self.embedded_is(self.base)
        few = ("--sft-epochs", "0.2", "--epochs", "0.2", "--pack", "2", "--threads", "1")
        out, err = self.command(self.release.number, *few)
        training = Training.objects.get()
        self.assertEqual(self.is_now(training), TrainingState.READY, training.reason)
        folder = Path(out.strip())
        self.assertEqual(folder, self.var / "trainings" / str(training.pk))
        self.assertIn("dpo 1/1  loss ", err)
        rows = self.train_rows()
        self.assertLess(len(rows), self.release.counts["pairs"])  # the others are held back
        figures = training.figures
        self.assertEqual(figures["pairs"], len(rows))
        self.assertEqual(figures["documents"], len({row["document_id"] for row in rows}))
        self.assertGreater(figures["seconds"], 0)
        self.assertGreater(figures["peak_memory_mb"], 100)
        self.assertEqual([one["phase"] for one in training.progress], ["sft", "dpo"])
        self.assertAlmostEqual(training.progress[-1]["margin"], 0, places=2)
        names = {path.name for path in folder.iterdir()}
        self.assertLessEqual({"adapter.gguf", "adapter_config.json", "training.json"}, names)
        self.assertEqual(sha256(folder / "adapter.gguf"), training.adapter_sha256)
        self.assertFalse(train.part_of(training).exists())
        local_server.start(threads=1, adapter=folder / "adapter.gguf").stop()

    def run_until(self, training: Training, phase: str, step: int) -> list[dict[str, Any]]:
        """Run it; a person stops it after this step."""
        told: list[dict[str, Any]] = []

        def stop(entry: dict[str, Any], left: float | None) -> None:
            told.append(entry)
            if (entry["phase"], entry["step"]) == (phase, step):
                train.stop(training)

        train.run(training.pk, stop, threads=1)
        return told

    def ordered(self) -> Training:
        options = {"rank": 2, "pack": 1, "epochs": 3, "rate": 1e-3}
        return train.order(self.release, options, start="none")

    def test_what_was_stopped_goes_on_and_ends_the_same(self) -> None:
        self.embedded_is(self.small)
        one, other = self.ordered(), self.ordered()
        told = self.run_until(one, "none", 0)
        self.assertEqual(self.is_now(one), TrainingState.READY, one.reason)
        self.assertGreater(told[-1]["steps"], train.SAVE_EVERY + 2)
        self.run_until(other, "dpo", train.SAVE_EVERY + 1)
        self.assertEqual(self.is_now(other), TrainingState.STOPPED)
        self.assertEqual(other.progress[-1]["step"], train.SAVE_EVERY + 2)  # asked once a step
        self.assertFalse(train.folder_of(other).exists())
        self.assertEqual(self.run_until(other, "none", 0), [])  # it is nobody's turn
        self.assertTrue(train.resume(other))
        again = self.run_until(other, "none", 0)
        self.assertEqual((again[0]["phase"], again[0]["step"]), ("dpo", train.SAVE_EVERY + 1))
        self.assertEqual(self.is_now(other), TrainingState.READY, other.reason)
        one.refresh_from_db()
        self.assertEqual(one.adapter_sha256, other.adapter_sha256)
        places = [train.place(entry) for entry in other.progress]
        self.assertEqual(places, sorted(set(places)))
        self.assertEqual(places, [train.place(entry) for entry in one.progress])

    def test_a_trainer_that_dies_is_followed_by_another_and_the_third_is_the_last(self) -> None:
        self.embedded_is(self.small)
        training = self.ordered()

        def dies(entry: dict[str, Any], left: float | None) -> None:
            if entry["phase"] == "dpo":
                # As if the machine went away: it never says that it ended.
                Training.objects.filter(pk=training.pk).update(lease_token=uuid.uuid4())

        for _ in range(train.MOST_ATTEMPTS):
            train.run(training.pk, dies, threads=1)
            self.assertEqual(self.is_now(training), TrainingState.RUNNING)
            self.assertFalse(Training.objects.due(timezone.now()).exists())
            late = timezone.now() - datetime.timedelta(seconds=1)
            Training.objects.filter(pk=training.pk).update(lease_expires_at=late)
        train.run(training.pk, dies, threads=1)
        self.assertEqual(self.is_now(training), TrainingState.FAILED)
        self.assertIn("died 3 times at the same place", training.reason)
        self.assertTrue(train.resume(training))
        train.run(training.pk, threads=1)
        self.assertEqual(self.is_now(training), TrainingState.READY, training.reason)

    def test_a_release_whose_prompts_the_model_cannot_read_is_told(self) -> None:
        short = self.var / "short"
        shutil.copytree(self.small, short)
        config = json.loads((self.small / "config.json").read_text())
        (short / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 9}))
        self.embedded_is(short)
        training = self.ordered()
        train.run(training.pk, threads=1)
        self.assertEqual(self.is_now(training), TrainingState.FAILED)
        self.assertIn("longer than this model can read", training.reason)

    def test_it_goes_on_from_an_earlier_training(self) -> None:
        self.embedded_is(self.small)
        first = self.ordered()
        train.run(first.pk, threads=1)
        self.assertEqual(self.is_now(first), TrainingState.READY, first.reason)
        options = {"pack": 1, "epochs": 1, "sft_epochs": 0}
        then = train.order(self.release, options, start=first.name)
        train.run(then.pk, threads=1)
        self.assertEqual(self.is_now(then), TrainingState.READY, then.reason)
        told = json.loads((train.folder_of(then) / "adapter_config.json").read_text())
        self.assertEqual(told["r"], 2)  # the first one's

    @pytest.mark.whole
    def test_trl_trains_any_other_model_is_stopped_and_goes_on(self) -> None:
        options = {"rank": 2, "batch": 2, "gather": 1, "cpu": True, "max_length": 1000}
        asked = train.order(self.release, options, base=str(self.small))
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(train, "SAVE_EVERY", 1)
            self.run_until(asked, "sft", 2)
            self.assertEqual(self.is_now(asked), TrainingState.STOPPED, asked.reason)
            train.resume(asked)
            told = self.run_until(asked, "none", 0)
        self.assertEqual(self.is_now(asked), TrainingState.READY, asked.reason)
        self.assertGreater(told[0]["step"], 1)  # not from its beginning
        self.assertEqual(told[-1]["phase"], "dpo")
        self.assertEqual(told[-1]["step"], told[-1]["steps"])
        self.assertIn("margin", asked.figures)
        self.assertFalse(train.part_of(asked).exists())
        folder = train.folder_of(asked)
        config = json.loads((folder / "adapter_config.json").read_text())
        self.assertEqual((config["r"], config["base_model_name_or_path"]), (4, str(self.small)))
        self.assertEqual(sha256(folder / "adapter_model.safetensors"), asked.adapter_sha256)

    def test_without_a_gpu_it_is_said_and_nothing_is_ordered(self) -> None:
        import torch

        if torch.cuda.is_available():
            pytest.skip("here is one")
        with pytest.raises(CommandError, match=r"no GPU here.*--cpu"):
            self.command(1, "--base", str(self.small))
        self.assertFalse(Training.objects.exists())

    @pytest.mark.whole
    def test_the_printed_lines_work_on_the_release_as_it_is(self) -> None:
        """And the one adapter at their end says what both say after each other."""
        import torch
        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        out = self.var / "elsewhere"
        course = TrlCourse(rank=2, cpu=True, epochs=1, max_length=1000, sft_rate=1e-2, rate=1e-2)
        text = train.commands(self.release, str(self.small), "", course, out)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["sh", "-e"],
            input=text,
            env=os.environ | {"PATH": path},
            cwd=self.var,
            capture_output=True,
            text=True,
        )
        self.assertEqual(done.returncode, 0, (done.stdout + done.stderr)[-3000:])
        tokens = torch.arange(20)[None]

        def logits(base: Path, *adapters: Path) -> Any:
            model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
            for adapter in adapters:
                model = PeftModel.from_pretrained(model, adapter)
            with torch.no_grad():
                return model(tokens).logits

        one = logits(self.small, out / "adapter")
        both = logits(out / "sft-merged", out / "dpo")
        self.assertLess(float((one - both).abs().max()), 1e-4)
        self.assertGreater(float((one - logits(self.small)).abs().max()), 1e-3)
