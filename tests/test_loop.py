"""The loop with simulated reviewers: tests/loop, docs/loop.md.

What needs torch is skipped where it is not installed; `make test-train` has it.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from review.insight.compare import Difference
from review.models import Candidate, Decision, DecisionKind, Project
from review.pipeline.ranking import SEED_EXAMPLES
from review.pipeline.split import split_of
from review.readers.labelled import Labelled

from .loop import told
from .loop.reviewers import review, reviewers
from .test_training import needs_torch
from .world import SETS, make_ready

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def project(db: None) -> Project:
    project = Project.objects.create(name="The loop", repeat_share=0)
    make_ready(project, 6)
    return project


def labels_of(project: Project) -> dict[str, Labelled]:
    """The third of `SETS` is right for each document, but for the last: there none is."""
    names = [tag.name for tag in project.tags.order_by("number")]
    keys = list(project.documents.order_by("pk").values_list("external_id", flat=True))
    found = {key: Labelled(key, "", "", (names[SETS[2][0]],)) for key in keys}
    return found | {keys[-1]: Labelled(keys[-1], "", "", (names[50],))}


def test_simulated_reviewers_pick_what_fits_best_and_say_where_nothing_does(
    project: Project,
) -> None:
    labels = labels_of(project)
    day = review(project, reviewers(project, 2), labels, seed=0)
    assert (day.picked, day.none_fits) == (5, 1)
    picked = Candidate.objects.filter(decisions__kind=DecisionKind.PICK)
    assert set(picked.values_list("rank", flat=True)) == {3}
    none = Decision.objects.get(kind=DecisionKind.NONE)
    assert none.document.external_id == list(labels)[-1]


def test_they_take_turns_and_are_called_what_they_are(project: Project) -> None:
    day = review(project, reviewers(project, 2), labels_of(project), seed=0)
    said = list(Decision.objects.values_list("document__external_id", "reviewer__username"))
    assert dict(said) == day.whose
    assert sorted(day.whose.values()) == ["simulated-1"] * 3 + ["simulated-2"] * 3


def test_the_picture_has_each_measure_and_plan() -> None:
    differences = [Difference(name, 0.4, 0.5, 0.02, 0.18) for name in told.SHOWN]
    drawn = told.picture({"composed": differences, "greedy-and-samples": differences})
    for word in ("F1 of the first", "pickable", "the model alone", "base", "tuned"):
        assert word in drawn


def labelled_folder(folder: Path) -> Path:
    """Invented documents with their labels, in the gold labels' shape: some to learn, some not."""
    rows = [json.loads(line) for line in SEED_EXAMPLES.read_text("utf-8").splitlines()]
    hashes = [hashlib.sha256(row["text"].encode()).hexdigest() for row in rows]
    learned = [row for row, sha in zip(rows, hashes, strict=True) if split_of(sha) == "train"][:3]
    unseen = [row for row, sha in zip(rows, hashes, strict=True) if split_of(sha) != "train"][:2]
    folder.mkdir()
    documents, labels = [], []
    for number, row in enumerate([*learned, *unseen]):
        documents.append({"doc_id": f"d-{number}", "title": row["title"], "text": row["text"]})
        labels.append({"doc_id": f"d-{number}", "best": row["best"], "acceptable": []})
    for name, lines in (("docs", documents), ("labels", labels)):
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / f"{name}.jsonl").write_text(text, "utf-8")
    return folder


@pytest.mark.whole
@needs_torch
def test_the_whole_loop_leaves_a_served_adapter_and_says_what_it_gave(tmp_path: Path) -> None:
    folder, out = labelled_folder(tmp_path / "labels"), tmp_path / "out"
    quick = ["--base", "bare", "--rank", "2", "--sft-epochs", "0.1", "--epochs", "0.1"]
    quick += ["--plans", "composed", "--threads", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.loop", str(folder), "--out", str(out), *quick],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((out / "loop.json").read_text())
    assert result["counts"]["documents"] == 5
    (training,) = result["trainings"]
    assert training["documents"] == 3
    assert Path(training["adapter"]).read_bytes()[:4] == b"GGUF"
    assert training["memory"] > 100
    names = [one["name"] for one in result["differences"]["composed"]]
    assert {*told.SHOWN} <= {*names}
    assert "tuned less base" in (out / "loop.md").read_text()
    assert "</svg>" in (out / "loop.svg").read_text()
