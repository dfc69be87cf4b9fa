"""Training on picks: the adapter learns to prefer the answers that people picked to the others.

Direct preference optimisation (DPO): of each pair, how much more likely the chosen answer is than
the rejected one, compared with how it was before the training. Before it, where asked for, the
chosen answers are learned as in `sft`. Both of the same packs: the messages as they were sent
are the stem, which is read once, and each answer to them is a branch.
Source: Rafailov et al., "Direct Preference Optimization" (2023), formula 7.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import logsigmoid

from review.readers.preferences import Question

from . import adapter_file
from .base_model import Spelling
from .course import Course as Course
from .narrower import narrow, rank_of
from .packing import Chat, Pack, drawn, extent
from .sft import (
    SERVED,
    STATE,
    OtherTraining,
    Trainee,
    adapted,
    digest_of,
    log_probabilities,
    pace,
)

# In the adapter's folder, until it is done:
LESSON = "lesson.json"  # of what it was begun with
NARROWED = "narrowed"  # the adapter of `start`, where that has more ranks than are asked for
IMITATED = "imitated"  # the adapter of the first stage, as PEFT keeps it
IMITATING = "imitating.pt"  # where to go on in the first stage
BEFORE = "before.json"  # how likely the answers were before the second


@dataclass(frozen=True)
class Progress:
    """After a step. stage: "sft", then "before", where nothing is learned, then "dpo".

    The means of the last few steps: loss; margin: β times how much more the chosen answer has
    gained than the rejected one; accuracy: the share of pairs in which it has.
    """

    stage: str
    step: int
    steps: int
    seconds: float = 0
    loss: float = 0
    margin: float = 0
    accuracy: float = 0


Told = Callable[[Progress], object]


def train(
    questions: Sequence[Question],
    base: Path,
    folder: Path,
    course: Course,
    *,
    start: Path | None = None,
    save_every: int = 25,
    told: Told = lambda progress: None,
) -> Path:
    """Train an adapter; leave it in `folder` as PEFT keeps it, and return llama.cpp's file of it.

    questions: at least one. start: an adapter to go on from, in PEFT's form. What was begun in
    `folder` is gone on with; the same training, stopped or not, ends with the same adapter.
    Where `start` has more ranks than the course, it is narrowed first.
    Raises OtherTraining, ValueError for what the model cannot read.
    """
    served = folder / SERVED
    if served.exists():
        raise OtherTraining(f"{folder} has an adapter already: name another folder, or delete it.")
    lesson = digest_of(
        [[[one.messages, one.answers, one.pairs] for one in questions]], course, start
    )
    chat = Spelling(base)
    fits(questions, base, chat)
    begun(folder, lesson)
    if start and rank_of(start) > course.rank:
        narrow(start, course.rank, folder / NARROWED)
        start = folder / NARROWED
    if course.sft_epochs:
        start = imitated(questions, base, folder, course, lesson, start, chat, save_every, told)
    trainee = begin(base, course, start)
    packs = [packed(one, one.answers, chat) for one in questions]
    before = references(trainee.model, packs, folder / BEFORE, lesson, told)
    size, steps = extent(len(questions), course.pack, course.epochs)

    def learn(step: int) -> list[float]:
        figures = []
        for place in drawn(len(questions), size, step, course.seed):
            loss, *others = judged(
                trainee.model, packs[place], before[place], questions[place].pairs, course
            )
            trainee.heed(loss / size)
            figures.append([float(loss.detach()), *others])
        trainee.step(course.rate * pace(step, steps))
        return [sum(of) / size for of in zip(*figures, strict=True)]

    def tell(done: int, seconds: float, means: list[float]) -> None:
        told(Progress("dpo", done, steps, seconds, *means))

    trainee.course(folder / STATE, lesson, steps, save_every, learn, tell)
    trainee.write(folder)
    adapter_file.write(folder, base, served)
    for name in (NARROWED, IMITATED):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in (STATE, BEFORE, LESSON):
        (folder / name).unlink(missing_ok=True)
    return served


def imitated(
    questions: Sequence[Question],
    base: Path,
    folder: Path,
    course: Course,
    lesson: str,
    start: Path | None,
    chat: Chat,
    save_every: int,
    told: Told,
) -> Path:
    """The first stage: the chosen answers are learned. Where it is done already: its adapter."""
    made = folder / IMITATED
    if made.is_dir():
        return made
    trainee = begin(base, course, start)
    packs = [
        packed(one, list(dict.fromkeys(one.answers[place] for place, _ in one.pairs)), chat)
        for one in questions
    ]
    size, steps = extent(len(questions), course.pack, course.sft_epochs)

    def learn(step: int) -> list[float]:
        losses = []
        for place in drawn(len(questions), size, step, course.seed):
            loss = -log_probabilities(trainee.model, packs[place]).mean()
            trainee.heed(loss / size)
            losses.append(float(loss.detach()))
        trainee.step(course.rate * pace(step, steps))
        return [sum(losses) / size]

    def tell(done: int, seconds: float, means: list[float]) -> None:
        told(Progress("sft", done, steps, seconds, *means))

    trainee.course(folder / IMITATING, lesson, steps, save_every, learn, tell)
    beside = folder / f"{IMITATED}.part"
    shutil.rmtree(beside, ignore_errors=True)
    trainee.write(beside)
    os.replace(beside, made)
    (folder / IMITATING).unlink(missing_ok=True)
    return made


def begin(base: Path, course: Course, start: Path | None) -> Trainee:
    torch.manual_seed(course.seed)  # a new adapter begins with chance
    return Trainee(adapted(base, course.rank, start))


def begun(folder: Path, lesson: str) -> None:
    """Write down with what the training in `folder` was begun. Raises OtherTraining."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / LESSON
    if file.exists() and json.loads(file.read_text()) != lesson:
        raise OtherTraining(
            f"{folder} has a training of other pairs or options: give those again to go on with "
            "it, delete it, or name another folder."
        )
    replace(file, lesson)


def packed(question: Question, answers: Sequence[str], chat: Chat) -> Pack:
    """The messages with these answers, each a branch of its own."""
    asking = chat.text(question.messages, answer_next=True)
    stem = chat.tokens(asking)
    pack = Pack(list(stem), list(range(len(stem))), len(stem), [], [], [])
    for answer in answers:
        whole = chat.text([*question.messages, {"role": "assistant", "content": answer}])
        if not whole.startswith(asking):
            raise ValueError(
                "The model's chat template does not build a prompt from left to right."
            )
        said = chat.tokens(whole[len(asking) :])
        begins = len(pack.tokens)
        pack.tokens.extend(said)
        pack.positions.extend(range(len(stem), len(stem) + len(said)))
        pack.branches.append(len(said))
        # Each answer's first token is told by the stem's last.
        pack.asked.extend([len(stem) - 1, *range(begins, begins + len(said) - 1)])
        pack.wanted.extend(said)
    return pack


def fits(questions: Sequence[Question], base: Path, chat: Chat) -> None:
    """Raises ValueError where one is longer than the model reads."""
    most = longest(base)
    for question in questions:
        if max(packed(question, question.answers, chat).positions) >= most:
            begins = question.messages[-1]["content"][:60]
            raise ValueError(
                f"The prompt with “{begins}…” is longer than the {most} tokens that the model "
                "reads: leave its lines out."
            )


def fitting(questions: Sequence[Question], base: Path) -> list[Question]:
    """Those that the model can read whole."""
    most, chat = longest(base), Spelling(base)
    return [one for one in questions if max(packed(one, one.answers, chat).positions) < most]


def longest(base: Path) -> int:
    """Tokens that the model reads."""
    most: int = json.loads((base / "config.json").read_text())["max_position_embeddings"]
    return most


def likelihoods(model: Any, pack: Pack) -> torch.Tensor:
    """Of each answer as a whole: the natural logarithm, in float32."""
    tokens = log_probabilities(model, pack).split(pack.branches)
    return torch.stack([of.sum() for of in tokens])


def references(
    model: Any, packs: Sequence[Pack], file: Path, lesson: str, told: Told
) -> list[torch.Tensor]:
    """How likely the answers are to the model as it is now, or was when `file` was written."""
    if file.exists():
        kept = json.loads(file.read_text())
        if kept["lesson"] == lesson:
            return [torch.tensor(of) for of in kept["of"]]
    found = []
    with torch.no_grad():
        for done, pack in enumerate(packs, start=1):
            found.append(likelihoods(model, pack))
            told(Progress("before", done, len(packs)))
    replace(file, {"lesson": lesson, "of": [of.tolist() for of in found]})
    return found


def judged(
    model: Any,
    pack: Pack,
    before: torch.Tensor,
    pairs: Sequence[tuple[int, int]],
    course: Course,
) -> tuple[torch.Tensor, float, float]:
    """A question's loss, and its pairs' mean margin and accuracy."""
    now = likelihoods(model, pack)
    chosen, rejected = (torch.tensor(places) for places in zip(*pairs, strict=True))
    gained = now - before
    margins = course.beta * (gained[chosen] - gained[rejected])
    lengths = torch.tensor(pack.branches)
    imitation = (-now[chosen] / lengths[chosen]).mean()
    loss = -logsigmoid(margins).mean() + course.sft_weight * imitation
    with torch.no_grad():
        return loss, float(margins.mean()), float((margins > 0).float().mean())


def replace(file: Path, said: object) -> None:
    """Write it as JSON; a crash leaves what was there before."""
    beside = file.with_name(f"{file.name}.part")
    beside.write_text(json.dumps(said))
    os.replace(beside, file)
