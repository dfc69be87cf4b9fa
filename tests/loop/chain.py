"""Proposed, picked, released, trained, served, measured: by the product's own verbs."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command

from review.insight.compare import Difference, differences
from review.insight.quality import Judged
from review.insight.runs import judged
from review.llm import local_server
from review.models import Evaluation, Project, Tag
from review.pipeline import release
from review.pipeline.exam import fitted, labelled, tag_list
from review.pipeline.first_start import seed_tags
from review.pipeline.importing import load_file
from review.pipeline.propose import MOST_TROUBLES, TryLater, propose
from review.pipeline.split import SPLITS, split_of
from review.readers.labelled import Labelled

from . import told
from .reviewers import review, reviewers

ROOT = Path(__file__).resolve().parents[2]
COURSE = ("sft_epochs", "epochs", "rate", "rank", "beta", "sft_weight", "seed")


@dataclass(frozen=True)
class Wanted:
    """What is asked for on the command line."""

    labels: Path
    out: Path
    base: str
    folds: int
    plans: Sequence[str]
    limit: int | None
    keep: bool
    sft_epochs: float
    epochs: float
    rate: float
    rank: int
    beta: float
    sft_weight: float
    seed: int
    threads: int

    @property
    def adapter(self) -> Path | None:
        return local_server.ADAPTER if self.base == "shipped" else None


@dataclass(frozen=True)
class Training:
    """What one came to. memory: the most that its process had, in MB."""

    adapter: Path
    documents: int
    pairs: int
    seconds: float
    memory: float


@dataclass
class Result:
    """What `loop` leaves in loop.json; differences: by plan, the tuned model less its base."""

    wanted: dict[str, Any]
    machine: str
    counts: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    trainings: list[Training] = field(default_factory=list)
    differences: dict[str, list[Difference]] = field(default_factory=dict)


def loop(wanted: Wanted) -> Result:
    """All of it, told as it goes; leaves loop.json, loop.md and loop.svg in `wanted.out`."""
    course = {name: getattr(wanted, name) for name in COURSE}
    asked = {"base": wanted.base, "folds": wanted.folds, "limit": wanted.limit, **course}
    result = Result(asked, f"{platform.machine()}, {local_server.free_cores()} cores")
    with timed(result, "documents loaded"):
        project, labels = from_nothing(wanted)
    with timed(result, "proposed"):
        proposed(project, wanted.adapter)
    with timed(result, "picked"):
        day = review(project, reviewers(project, wanted.folds or 1), labels, wanted.seed)
    result.counts = {"documents": len(labels), "picked": day.picked, "none fits": day.none_fits}
    found: dict[str, tuple[list[Judged], list[Judged]]] = {plan: ([], []) for plan in wanted.plans}
    for name, left_out, unseen in parts(project, day.whose, labels):
        folder = released(project, left_out, name)
        learned = SPLITS if left_out else SPLITS[:1]
        with timed(result, "trained"):
            training = trained(wanted, folder, learned, wanted.out / name)
        result.trainings.append(training)
        with timed(result, "measured"):
            exam = exam_of(unseen, wanted.out / f"{name}-unseen.jsonl")
            for plan, sides in found.items():
                for side, adapter in zip(sides, (wanted.adapter, training.adapter), strict=True):
                    side += measured(exam, adapter, plan, f"{name}, {plan}")
    result.differences = {plan: differences([one], [two]) for plan, (one, two) in found.items()}
    if wanted.keep:
        folder = released(project, "", "all picks")
        result.trainings.append(trained(wanted, folder, SPLITS, wanted.out / "all"))
    told.write(result, wanted.out)
    return result


@contextmanager
def timed(result: Result, what: str) -> Iterator[None]:
    print(f"{what} …", flush=True)
    began = time.monotonic()
    yield
    passed = time.monotonic() - began
    result.seconds[what] = round(result.seconds.get(what, 0) + passed, 1)
    print(f"{what}: {passed:.0f} s", flush=True)


# --- Documents, proposals, picks ---------------------------------------------------------


def from_nothing(wanted: Wanted) -> tuple[Project, dict[str, Labelled]]:
    """An empty database with one project, its documents loaded; and what only reviewers know."""
    call_command("migrate", verbosity=0)
    project = Project.objects.create(name="The loop", repeat_share=0)
    Tag.objects.bulk_create(
        Tag(project=project, number=tag.pop("id"), **tag) for tag in seed_tags()
    )
    known = together(wanted.labels, wanted.limit, wanted.out)
    documents = wanted.out / "documents.jsonl"
    write_lines(
        documents, [{"id": it.external_id, "title": it.title, "text": it.text} for it in known]
    )
    _, intake = load_file(project, documents)
    print(f"{intake}.", flush=True)
    there = set(project.documents.values_list("external_id", flat=True))
    return project, {it.external_id: it for it in known if it.external_id in there}


def together(folder: Path, limit: int | None, out: Path) -> list[Labelled]:
    """docs.jsonl with its labels.jsonl, as `manage.py evaluate` reads them."""
    rows = read_lines(folder / "labels.jsonl")
    labels = {row["doc_id"]: row for row in rows}
    documents = [row for row in read_lines(folder / "docs.jsonl") if row["doc_id"] in labels]
    both = [
        {
            "id": row["doc_id"],
            "title": row.get("title", ""),
            "text": row["text"],
            "best": [name.strip() for name in labels[row["doc_id"]]["best"]],
            "acceptable": [name.strip() for name in labels[row["doc_id"]].get("acceptable", ())],
        }
        for row in documents
    ]
    write_lines(out / "labelled.jsonl", both)
    known, _ = fitted(labelled(out / "labelled.jsonl"), tag_list(None, None))
    return known[:limit]


def proposed(project: Project, adapter: Path | None) -> None:
    """As a worker does it, one document after the other.

    Raises TryLater where the server did not answer in time three times: the machine is too busy.
    """
    server = local_server.start(adapter=adapter)
    settings.TAGGER_EMBEDDED_URL = server.base_url
    try:
        for key in project.documents.order_by("pk").values_list("pk", flat=True):
            for tried in range(1, MOST_TROUBLES + 1):
                try:
                    propose(key)
                    break
                except TryLater as later:
                    if tried == MOST_TROUBLES:
                        raise
                    print(f"{later} Once more.", flush=True)
    finally:
        settings.TAGGER_EMBEDDED_URL = ""
        server.stop()


def parts(
    project: Project, whose: Mapping[str, str], labels: Mapping[str, Labelled]
) -> Iterator[tuple[str, str, list[Labelled]]]:
    """Each training: its name, the reviewer whose picks it does not see, what it is judged on."""
    folds = sorted(set(whose.values()))
    if len(folds) > 1:
        for name in folds:
            yield f"without-{name}", name, [labels[key] for key in labels if whose[key] == name]
        return
    hashes = project.documents.values_list("external_id", "sha256")
    unseen = {key for key, sha256 in hashes if split_of(sha256) != "train"}
    if not unseen:
        raise SystemExit("The split by the hash leaves no document to measure on: give more.")
    yield "train-split", "", [labels[key] for key in labels if key in unseen]


# --- Released, trained, measured ----------------------------------------------------------


def released(project: Project, left_out: str, note: str) -> Path:
    """A release without that reviewer's picks; its folder."""
    without = (left_out,) if left_out else ()
    filters = release.Filters(without_reviewers=without)
    ordered = release.order(project, filters, ["trl"], note=f"Simulated reviewers: {note}")
    release.make(ordered.pk)
    ordered.refresh_from_db()
    if ordered.reason:
        raise SystemExit(ordered.reason)
    return release.folder_of(ordered)


def trained(wanted: Wanted, folder: Path, splits: Sequence[str], out: Path) -> Training:
    """By the command, in a process of its own, on these parts of the release."""
    pairs = out.with_name(f"{out.name}-pairs.jsonl")
    rows = [row for split in splits for row in read_lines(folder / "trl" / f"{split}.jsonl")]
    write_lines(pairs, rows)
    line = [sys.executable, "manage.py", "train_preferences", str(pairs), "--out", str(out)]
    for name in COURSE:
        line += [f"--{name.replace('_', '-')}", str(getattr(wanted, name))]
    if wanted.adapter:
        line += ["--from", str(wanted.adapter)]
    if wanted.threads:
        line += ["--threads", str(wanted.threads)]
    began = time.monotonic()
    process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"The training ended with {process.returncode}.")
    return Training(
        out / "adapter.gguf",
        len({row["document_id"] for row in rows}),
        len(rows),
        round(time.monotonic() - began, 1),
        round(used.ru_maxrss / 1024, 1),
    )


def exam_of(documents: Sequence[Labelled], file: Path) -> Path:
    """As `manage.py evaluate` reads them."""
    rows = [{**asdict(it), "id": it.external_id} for it in documents]
    write_lines(file, rows)
    return file


def measured(exam: Path, adapter: Path | None, plan: str, name: str) -> list[Judged]:
    out = StringIO()
    call_command(
        "evaluate",
        str(exam),
        "--json",
        adapter=str(adapter or "none"),
        plan=plan,
        name=name,
        stdout=out,
        stderr=StringIO(),
    )
    run = Evaluation.objects.get(pk=json.loads(out.getvalue())["run"])
    return [judged(one) for one in run.judged.order_by("place")]


def read_lines(file: Path) -> list[dict[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def write_lines(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    file.write_text(lines, "utf-8")
