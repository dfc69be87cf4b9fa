"""Trainings: ordered as a row, done by a trainer, and gone on with where a stop left them.

What is trained on is the part “train” of a release, and nothing else. Until it is done it is in
`trainings/<id>.part` under TAGGER_VAR, with all that is needed to go on; then in
`trainings/<id>`. Only `run` needs torch, in the Python of `make train-deps`.
"""

from __future__ import annotations

import json
import logging
import math
import re
import resource
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, fields
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import DatabaseError, close_old_connections, connection, transaction
from django.db.models import F, ProtectedError, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from review.llm.local_server import ADAPTER, MissingWheel, free_cores
from review.models import Release, ReleaseState, Training, TrainingState
from review.models.training import EMBEDDED_BASE, UNTRAINED
from review.readers import Refused
from review.readers.preferences import read_preferences
from review.training import trl_run
from review.training.course import Course, NotACourse, TrlCourse
from review.training.trl_lines import Line, lines, shell

from .archive import zipped
from .intake import Lost
from .on_disk import keep, sha256_of
from .release import folder_of as folder_of_release

if TYPE_CHECKING:
    from review.training import preferences

SHIPPED = "shipped"  # the adapter that comes with Tagger
NONE = "none"  # a new adapter
EMBEDDED_NAME = "smollm2-135m"

LEASE = timedelta(minutes=15)  # a step may take minutes, and loading a large model too
MOST_ATTEMPTS = 3  # without getting any further
SAVE_EVERY = 10  # steps, which a stop may lose
DRAWN = 150  # entries that are kept of a stage
STAGES = ("sft", "before", "dpo")  # "before": nothing is learned
HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")
KINDS: dict[str, type] = {"float": float, "int": int, "bool": bool}
FREE: dict[str, Any] = {"lease_token": None, "lease_expires_at": None}
ADAPTER_FILES = ("adapter_model.safetensors", "adapter_config.json")
SERVED = "adapter.gguf"

Entry = dict[str, Any]  # of Training.progress
Told = Callable[[Entry, float | None], object]  # after a step; the seconds that are left
AnyCourse = Course | TrlCourse

news = logging.getLogger("tagger")


class NotOptions(ValueError):
    """What was asked for cannot be. errors: a sentence for each field."""

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__(" ".join(errors.values()))
        self.errors = errors


class Kept(ValueError):
    """It cannot be deleted, or not be downloaded yet; the sentence says why."""


class NoTrainer(Exception):
    """This Python, or this machine, cannot train; the sentence says what to do."""


class Nothing(Exception):
    """There is nothing to learn; the sentence says why."""


class Left(Exception):
    """It was left between two steps. state: what it is until somebody goes on."""

    def __init__(self, state: TrainingState) -> None:
        super().__init__(state)
        self.state = state


# --- Ordering ------------------------------------------------------------------------------


def order(
    release: Release,
    options: Mapping[str, Any] | None = None,
    *,
    base: str = EMBEDDED_BASE,
    start: str | None = None,
    by: User | None = None,
) -> Training:
    """A training that waits for a trainer. Raises NotOptions.

    options: fields of the base's course. start: "shipped", "none", or the name of an earlier
    training of the same base; else the shipped one where there is one.
    """
    course = course_of(base, options or {})
    if problem := unfit(release, base, course):
        raise NotOptions({"release": problem})
    begin = start if start is not None else SHIPPED if base == EMBEDDED_BASE else NONE
    if begin not in (NONE, "", *starts(release, base)):
        told = _("There is no adapter “%(name)s” of this model to go on from.")
        raise NotOptions({"start": told % {"name": begin}})
    called = EMBEDDED_NAME if base == EMBEDDED_BASE else base.rstrip("/").rpartition("/")[2]
    with transaction.atomic():
        ordered = Training.objects.create(
            release=release,
            name=uuid.uuid4().hex,
            base=base,
            start="" if begin == NONE else begin,
            options=asdict(course),
            asked_by=by,
        )
        ordered.name = f"{called[:150]}-r{release.number}-t{ordered.pk}"
        ordered.save(update_fields=["name"])
    return ordered


def course_of(base: str, options: Mapping[str, Any]) -> AnyCourse:
    """What is given as numbers, or as they are typed; the rest as is usual. Raises NotOptions."""
    kind = Course if base == EMBEDDED_BASE else TrlCourse
    if not base:
        raise NotOptions({"base": _("Say which model is to be trained.")})
    kinds = {field.name: KINDS[str(field.type)] for field in fields(kind)}
    chosen, errors = {}, {}
    for name, given in options.items():
        if name not in kinds:
            errors[name] = _("There is no such option for this model: %(name)s.") % {"name": name}
            continue
        try:
            chosen[name] = _as(kinds[name], given)
        except ValueError:
            errors[name] = _("“%(given)s” is not a number.") % {"given": given}
    if errors:
        raise NotOptions(errors)
    try:
        return kind(**chosen)
    except NotACourse as error:
        told = _(
            "Epochs, rates, rank, pack, batch and beta are greater than 0; the epochs and the "
            "weight of SFT are at least 0."
        )
        raise NotOptions({"options": told}) from error


def _as(kind: type, given: Any) -> Any:
    if kind is bool:
        return given in (True, "on", "1", "true")
    number = float(given)
    if not math.isfinite(number) or (kind is int and number != int(number)):
        raise ValueError(given)
    return int(number) if kind is int else number


def unfit(release: Release, base: str, course: AnyCourse) -> str:
    """Why one cannot train on this release; empty where one can."""
    if release.state != ReleaseState.READY:
        return _("This release is not ready: there is nothing to train on yet.")
    rows = {file["name"]: file["rows"] for file in release.files}
    for name, needed in (("trl", True), ("sft", base != EMBEDDED_BASE and course.sft_epochs > 0)):
        if needed and name not in release.formats:
            told = _("This release has no folder “%(name)s”. Make one with that format.")
            return told % {"name": name}
        if needed and not rows.get(f"{name}/train.jsonl"):
            told = _("Nothing of this release is for training: “%(name)s/train.jsonl” is empty.")
            return told % {"name": name}
    return ""


def fit(releases: QuerySet[Release]) -> list[Release]:
    """Those on which the embedded model can be trained."""
    usual = course_of(EMBEDDED_BASE, {})
    return [one for one in releases if not unfit(one, EMBEDDED_BASE, usual)]


def starts(release: Release, base: str) -> list[str]:
    """The adapters that a training on this release may go on from."""
    earlier = Training.objects.filter(
        release__project_id=release.project_id, base=base, state=TrainingState.READY
    )
    found = [SHIPPED] if base == EMBEDDED_BASE else []
    return [*found, *earlier.order_by("-pk").values_list("name", flat=True)]


# --- Stopping and going on -----------------------------------------------------------------


def stop(training: Training) -> bool:
    """Between two steps; what is done is kept. False where it was over already."""
    asked = Training.objects.filter(pk=training.pk)
    nobodys = asked.due(timezone.now())  # no trainer has it, or who had it is given up for dead
    if nobodys.update(state=TrainingState.STOPPED, **FREE):
        return True
    return bool(asked.filter(state=TrainingState.RUNNING).update(stop_asked=True))


def resume(training: Training) -> bool:
    """It waits for a trainer again, and goes on where it was. False where it was not stopped."""
    stopped = Training.objects.filter(
        pk=training.pk, state__in=(TrainingState.STOPPED, TrainingState.FAILED)
    )
    return bool(
        stopped.update(
            state=TrainingState.WAITING, stop_asked=False, reason="", attempts=0, finished_at=None
        )
    )


def delete(training: Training) -> None:
    """Remove it with its adapter. Raises Kept."""
    still = Training.objects.filter(pk=training.pk).exclude(state=TrainingState.RUNNING)
    try:
        with transaction.atomic():
            gone, _rows = still.delete()
    except ProtectedError as error:
        told = _("A project asks this model, or has asked it: it stays, as decisions tell of it.")
        raise Kept(told) from error
    if not gone:
        raise Kept(_("It is being trained. Stop it first."))
    for folder in (folder_of(training), part_of(training)):
        shutil.rmtree(folder, ignore_errors=True)


def folder_of(training: Training) -> Path:
    return Path(settings.VAR) / training.folder


def part_of(training: Training) -> Path:
    """Where it is until it is done."""
    return Path(settings.VAR) / f"{training.folder}.part"


def archive(training: Training) -> Iterator[bytes]:
    """The folder as a zip, piece by piece. Raises Kept when it is not trained."""
    if training.state != TrainingState.READY:
        raise Kept(_("This model is not trained yet: there is nothing to download."))
    return zipped(folder_of(training), training.name)


def said_without_trainer(training_id: int | None = None) -> str:
    """What a person does where nothing trains."""
    run = f" --run {training_id}" if training_id else ""
    told = _(
        "No trainer has taken it up. Where it is to be trained, `make train-deps` installs what "
        "that needs; then start Tagger there again, or train by hand: %(command)s"
    )
    return told % {"command": f".venv-train/bin/python manage.py train{run}"}


def give_up(training_id: int, reason: str) -> None:
    """A worker that was told of it cannot train it: a person may do something, and go on."""
    waiting = Training.objects.filter(pk=training_id, state=TrainingState.WAITING)
    waiting.update(state=TrainingState.FAILED, reason=reason, finished_at=timezone.now())


def put_off(training_id: int) -> None:
    """Say on its page what a worker without that Python found. It goes on waiting."""
    waiting = Training.objects.filter(pk=training_id, state=TrainingState.WAITING)
    waiting.update(reason=said_without_trainer(training_id))


def commands(release: Release, base: str, start: str, course: TrlCourse, out: Path) -> str:
    """Lines for a shell that train `base` with TRL on the release's files as they are."""
    earlier = folder_of(Training.objects.get(name=start)) if start else None
    told = _lines(folder_of_release(release), base, earlier, course, out)
    return shell(told, out / _cache(release))


def commands_elsewhere(release: Release, base: str, start: str, course: TrlCourse) -> str:
    """The same where the archives of the release and of `start` were unpacked."""
    unpacked = Path(f"release-{release.number}")
    earlier = Path(start) if start else None
    out = Path("trained")
    return shell(_lines(unpacked, base, earlier, course, out), out / _cache(release))


def _cache(release: Release) -> str:
    return f"cache-{release.manifest_sha256[:12]}"


def _lines(data: Path, base: str, earlier: Path | None, course: TrlCourse, out: Path) -> list[Line]:
    named = ["--dataset_name", str(data), "--dataset_config"]
    return lines(base, [*named, "sft"], [*named, "dpo"], out, course, earlier)


# --- Training ------------------------------------------------------------------------------


def check_trainer(base: str, course: AnyCourse) -> None:
    """Raises NoTrainer where this Python or this machine cannot train it."""
    try:
        import peft as peft
        import torch
        import transformers as transformers
    except ImportError as error:
        told = _(
            "This Python has no %(name)s: `make train-deps` installs what training needs, and "
            "then it is `.venv-train/bin/python manage.py train`."
        )
        raise NoTrainer(told % {"name": error.name}) from error
    if isinstance(course, TrlCourse) and not course.cpu and not torch.cuda.is_available():
        told = _(
            "There is no GPU here to train %(base)s on. Order it for the processor (--cpu), "
            "which is slow, or train it where there is one."
        )
        raise NoTrainer(told % {"base": base})


def run(
    training_id: int,
    told: Told = lambda entry, left: None,
    *,
    leave: Callable[[], TrainingState | None] = lambda: None,
    threads: int = 0,
) -> None:
    """A trainer's part. Of two at once, one goes away; one that died is gone on with.

    leave: a state to leave it in after this step. threads: 0 for as many as there are cores.
    Raises NoTrainer, before it takes it up.
    """
    found = Training.objects.select_related("release").filter(pk=training_id).first()
    if found is None or found.state not in UNTRAINED:
        return
    course = course_of(found.base, found.options)
    check_trainer(found.base, course)
    training = _claim(training_id)
    if training is None:
        return
    work = Work(training, told, leave)
    try:
        part_of(training).mkdir(parents=True, exist_ok=True, mode=0o700)
        work.beat()
        if isinstance(course, Course):
            adapter = _packed(training, course, work, threads or free_cores())
        else:
            adapter = _by_trl(training, course, work)
        _finish(training, adapter, work)
    except Lost:
        news.info("%s: another trainer has it, or it was deleted.", training)
    except Left as left:
        work.end(left.state)
    except Nothing as nothing:
        work.end(TrainingState.FAILED, str(nothing))
    except trl_run.Failed as failed:
        reason = _("TRL ended with an error; more is in the log of the trainer: %(error)s")
        work.end(TrainingState.FAILED, reason % {"error": failed})
    except (MissingWheel, Refused, OSError) as error:
        work.end(TrainingState.FAILED, getattr(error, "strerror", None) or str(error))
    except DatabaseError:
        raise  # nothing can be written down: its lease runs out, and it is gone on with
    except Exception as error:
        news.exception("%s could not be trained.", training)
        reason = _("It ended with an error that is in the log: %(error)s. It can go on.")
        work.end(TrainingState.FAILED, reason % {"error": type(error).__name__})
    except BaseException:  # by hand, in haste
        work.end(TrainingState.STOPPED)
        raise


def _claim(training_id: int) -> Training | None:
    """Take it up, if it waits or its trainer died. One that ends its trainer is set aside."""
    now = timezone.now()
    due = Training.objects.due(now).filter(pk=training_id)
    due.filter(stop_asked=True).update(state=TrainingState.STOPPED, stop_asked=False, **FREE)
    reason = _("The trainer died %(times)d times at the same place. It was set aside.")
    given_up = due.filter(attempts__gte=MOST_ATTEMPTS).update(
        state=TrainingState.FAILED,
        reason=reason % {"times": MOST_ATTEMPTS},
        finished_at=now,
        **FREE,
    )
    if given_up or not due.update(
        state=TrainingState.RUNNING,
        reason="",
        attempts=F("attempts") + 1,
        lease_token=uuid.uuid4(),
        lease_expires_at=now + LEASE,
    ):
        return None
    Training.objects.filter(pk=training_id, started_at=None).update(started_at=now)
    return Training.objects.select_related("release").get(pk=training_id)


class Work:
    """A training under its lease: what is said of it, and whether it is to be left."""

    def __init__(
        self, training: Training, told: Told, leave: Callable[[], TrainingState | None]
    ) -> None:
        self.training = training
        self.told = told
        self.leave = leave
        self.figures: dict[str, Any] = dict(training.figures)
        self.progress: list[Entry] = list(training.progress)
        self._furthest = place(self.progress[-1]) if self.progress else (-1, 0)
        self._began = time.monotonic()
        self._seconds = float(self.figures.get("seconds", 0))
        self._plan: dict[str, tuple[int, float]] = {}
        self._first: tuple[float, float] | None = None  # effort done, and when

    def plan(self, **stages: tuple[int, float]) -> None:
        """Of each stage: its steps, and what a step costs, in any unit."""
        self._plan = stages

    def say(self, entry: Entry) -> None:
        """After a step. Raises Lost, Left."""
        at = place(entry)
        before = [one for one in self.progress if place(one) < at]
        if before and not is_drawn(before[-1]):
            before.pop()
        self.progress = [*before, entry]
        self._count(entry)
        left = self._left(entry)
        further = {"attempts": 1} if at > self._furthest else {}
        self.beat(progress=self.progress, figures=self.figures, seconds_left=left, **further)
        self.told(entry, left)

    def beat(self, **values: Any) -> None:
        """Write to its row and renew the lease. Raises Lost, Left."""
        if not connection.in_atomic_block:
            close_old_connections()  # it may have been idle for long
        mine = self._mine()
        if not mine.update(lease_expires_at=timezone.now() + LEASE, **values):
            raise Lost
        if mine.filter(stop_asked=True).exists():
            raise Left(TrainingState.STOPPED)
        if state := self.leave():
            raise Left(state)

    def end(self, state: TrainingState, reason: str = "", **values: Any) -> bool:
        """False where another has it."""
        over = state in (TrainingState.READY, TrainingState.FAILED)
        self._count({})
        return bool(
            self._mine().update(
                state=state,
                reason=reason,
                stop_asked=False,
                attempts=0,
                figures=self.figures,
                seconds_left=None,
                finished_at=timezone.now() if over else None,
                **FREE,
                **values,
            )
        )

    def _mine(self) -> QuerySet[Training]:
        return Training.objects.filter(
            pk=self.training.pk,
            state=TrainingState.RUNNING,
            lease_token=self.training.lease_token,
        )

    def _count(self, entry: Entry) -> None:
        self.figures["seconds"] = round(self._seconds + time.monotonic() - self._began, 1)
        whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        most = max(resource.getrusage(one).ru_maxrss for one in whose) // 1024
        self.figures["peak_memory_mb"] = max(most, self.figures.get("peak_memory_mb", 0))
        if "loss" in entry:
            self.figures[f"{entry['phase']}_loss"] = entry["loss"]
        self.figures |= {name: entry[name] for name in ("margin", "accuracy") if name in entry}

    def _left(self, entry: Entry) -> float | None:
        """Seconds, by how quick it was since this trainer has it."""
        stages = [name for name in STAGES if name in self._plan]
        if entry["phase"] not in stages:
            return None
        earlier = stages[: stages.index(entry["phase"])]
        done = sum(math.prod(self._plan[name]) for name in earlier)
        done += entry["step"] * self._plan[entry["phase"]][1]
        now = time.monotonic()
        if self._first is None:
            self._first = done, now
        effort, seconds = done - self._first[0], now - self._first[1]
        whole = sum(math.prod(self._plan[name]) for name in stages)
        return round((whole - done) * seconds / effort, 1) if effort > 0 else None


def place(entry: Entry) -> tuple[int, int]:
    return STAGES.index(entry["phase"]), entry["step"]


def is_drawn(entry: Entry) -> bool:
    """Whether it is kept when the next one comes: of a long training, not all are."""
    step, steps = entry["step"], entry["steps"]
    if entry["phase"] == "before":
        return False
    return step in (1, steps) or step % math.ceil(steps / DRAWN) == 0


def _packed(training: Training, course: Course, work: Work, threads: int) -> Path:
    """The embedded model, on the processor. The folder of what came out."""
    import torch

    from review.training import adapter_file, base_model, preferences
    from review.training.packing import extent

    out = part_of(training) / "adapter"
    if (out / SERVED).exists():  # its trainer died before it could say so
        return out
    torch.set_num_threads(threads)
    with (folder_of_release(training.release) / "trl" / "train.jsonl").open("rb") as file:
        found = read_preferences(file)
    base = base_model.folder(Path(settings.VAR))
    work.beat()
    questions = preferences.fitting(found, base)
    if not questions:
        raise Nothing(_("Every prompt of this release is longer than this model can read."))
    work.figures |= {
        "documents": len(questions),
        "pairs": sum(len(one.pairs) for one in questions),
        "too_long": len(found) - len(questions),
    }
    size, imitation = extent(len(questions), course.pack, course.sft_epochs or 1)
    steps = extent(len(questions), course.pack, course.epochs)[1]
    # Learning costs about three times what reading does.
    plan = {"before": (len(questions), 1.0), "dpo": (steps, 3.0 * size)}
    if course.sft_epochs:
        plan["sft"] = imitation, 3.0 * size
    work.plan(**plan)

    def told(now: preferences.Progress) -> None:
        entry: Entry = {"phase": now.stage, "step": now.step, "steps": now.steps}
        if now.stage != "before":
            entry["loss"] = round(now.loss, 4)
        if now.stage == "dpo":
            entry |= {"margin": round(now.margin, 4), "accuracy": round(now.accuracy, 4)}
        work.say(entry)

    start = None
    with tempfile.TemporaryDirectory() as beside:
        if training.start:
            earlier = ADAPTER if training.start == SHIPPED else _earlier(training)
            start = adapter_file.as_folder(earlier, base, Path(beside))
        more: dict[str, Any] = {"start": start, "save_every": SAVE_EVERY, "told": told}
        preferences.train(questions, base, out, course, **more)
    return out


def _earlier(training: Training) -> Path:
    found = Training.objects.filter(name=training.start, state=TrainingState.READY).first()
    if found is None:
        told = _("The adapter “%(name)s” that it goes on from has been deleted.")
        raise Nothing(told % {"name": training.start})
    return folder_of(found)


def _by_trl(training: Training, course: TrlCourse, work: Work) -> Path:
    """Any Hugging Face model, by the lines that are printed too. The folder of what came out."""
    part = part_of(training)
    earlier = _earlier(training) if training.start else None
    told = _lines(folder_of_release(training.release), training.base, earlier, course, part)
    rows = {file["name"]: file["rows"] for file in training.release.files}
    a_step = course.batch * course.gather
    steps = {
        stage: max(1, math.ceil(math.ceil(rows[f"{name}/train.jsonl"] / a_step) * epochs))
        for stage, name, epochs in (
            ("sft", "sft", course.sft_epochs),
            ("dpo", "trl", course.epochs),
        )
        if epochs
    }
    # DPO reads two answers, each also as the model was before.
    costs = {"sft": 1.0, "dpo": 3.0}
    work.plan(**{stage: (count, costs[stage]) for stage, count in steps.items()})
    work.figures |= {"pairs": rows["trl/train.jsonl"]}
    log = part / "trainer.log"
    for number, line in enumerate(told):
        done = part / f"{number}-{line.stage}.done"
        if done.exists():
            continue
        epochs = course.sft_epochs if line.stage == "sft" else course.epochs
        more: dict[str, Any] = {"save_every": SAVE_EVERY, "waiting": work.beat}
        for figures in trl_run.run(line, log, part / "cache", **more):
            work.say(_entry(line.stage, steps[line.stage], epochs, figures))
        keep(line.out)
        done.touch()
    out = part / "adapter"
    if told[-1].stage != "join":
        out.mkdir(exist_ok=True)
        for name in ADAPTER_FILES:
            shutil.copy(told[-1].out / name, out)
    return out


def _entry(stage: str, steps: int, epochs: float, figures: Mapping[str, float]) -> Entry:
    """Of what TRL logs: it counts epochs."""
    step = min(steps, max(1, round(figures.get("epoch", 0) / epochs * steps)))
    entry: Entry = {"phase": stage, "step": step, "steps": steps, "loss": figures["loss"]}
    if stage == "dpo":
        entry["margin"] = figures.get("rewards/margins", 0)
        entry["accuracy"] = figures.get("rewards/accuracies", 0)
    return entry


def _finish(training: Training, adapter: Path, work: Work) -> None:
    """Give it its name, and say that it is there. Raises Lost."""
    work.beat()
    about = {
        "name": training.name,
        "base": training.base,
        "start": training.start,
        "release": training.release.number,
        "release_manifest_sha256": training.release.manifest_sha256,
        "options": training.options,
        "figures": work.figures,
    }
    (adapter / "training.json").write_text(json.dumps(about, indent=1) + "\n", "utf-8")
    (adapter / "README.md").write_text(card(training, work.figures), "utf-8")
    served = adapter / SERVED
    sha256 = sha256_of(served if served.exists() else adapter / ADAPTER_FILES[0])
    for path in adapter.iterdir():
        keep(path)
    keep(adapter)
    folder = folder_of(training)
    if folder.exists():  # left by a trainer that died before it could say so
        shutil.rmtree(folder)
    adapter.rename(folder)
    keep(folder.parent)
    if not work.end(TrainingState.READY, adapter_sha256=sha256):
        raise Lost
    shutil.rmtree(part_of(training), ignore_errors=True)


def card(training: Training, figures: Mapping[str, Any]) -> str:
    base = "SmolLM2-135M-Instruct" if training.base == EMBEDDED_BASE else training.base
    begin = f", going on from the adapter “{training.start}”" if training.start else ""
    told = [
        f"# {training.name}",
        "",
        f"A LoRA of {base}{begin}: trained by Tagger on the part “train” of release "
        f"{training.release.number}, first on what people chose, then by DPO on their preferences.",
        "",
        f"{figures.get('pairs', 0):,} preference pairs, {figures['seconds']:,.0f} seconds, "
        f"{figures['peak_memory_mb']:,} MB. How it was trained is in `training.json`.",
        "",
    ]
    return "\n".join(told)
