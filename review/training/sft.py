"""Supervised training of an adapter: it learns to answer with each document's best tags.

A LoRA on all projections. The base model stays as it is. Its weights and the adapter's are
bfloat16 where the processor is quick with it; what the optimiser adds up are float32 copies of
the adapter's, since most of its steps are smaller than bfloat16 can tell apart.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

from review.readers.labelled import Labelled

from . import adapter_file
from .base_model import Spelling, quickest
from .branches import BRANCHES, branches_of
from .packing import Pack, drawn, extent, packed
from .variation import varied

STATE = "training.pt"  # in the adapter's folder, until it is done
SERVED = "adapter.gguf"  # there when it is done

WARM_UP = 8  # steps
LEAST_RATE = 0.03  # of the highest
DECAY = 0.01
LONGEST_GRADIENT = 1.0
TOLD_OF = 10  # steps, whose mean loss is told


@dataclass(frozen=True)
class Course:
    """How is trained. rate: the highest. rank: of a new adapter; alpha is twice that.

    pack: documents behind one tag list, which is a step. varied: see `variation.varied`.
    """

    epochs: float = 2
    rate: float = 5e-4
    rank: int = 16
    pack: int = 6
    varied: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError for what cannot be."""
        if not (self.epochs > 0 and self.rate > 0 and self.rank > 0 and self.pack > 0):
            raise ValueError("Epochs, rate, rank and pack are greater than 0.")


@dataclass(frozen=True)
class Progress:
    """After a step. loss: the mean of the last few steps'; seconds: that are left, about."""

    step: int
    steps: int
    loss: float
    seconds: float


class OtherTraining(Exception):
    """What was begun in this folder was begun with something else. The message says what to do."""


def train(
    documents: Sequence[Labelled],
    synonyms: Mapping[str, Sequence[str]],
    base: Path,
    folder: Path,
    course: Course,
    *,
    start: Path | None = None,
    save_every: int = 25,
    told: Callable[[Progress], object] = lambda progress: None,
) -> Path:
    """Train an adapter; leave it in `folder` as PEFT keeps it, and return llama.cpp's file of it.

    documents: at least one, with best tags that are all in `synonyms`. start: an adapter to
    go on from, in PEFT's form. What was begun in `folder` is gone on with; the same training,
    stopped or not, ends with the same adapter. Raises OtherTraining.
    """
    served = folder / SERVED
    if served.exists():
        raise OtherTraining(f"{folder} has an adapter already: name another folder, or delete it.")
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(course.seed)  # a new adapter begins with chance
    chat = Spelling(base)
    trainee = Trainee(adapted(base, course.rank, start))
    lesson = digest(documents, synonyms, course, start)
    size, steps = extent(len(documents), course.pack, course.epochs)

    def learn(step: int) -> list[float]:
        chosen = [documents[place] for place in drawn(len(documents), size, step, course.seed)]
        chance = random.Random(f"{course.seed} {step}")  # noqa: S311 - no secret
        shown = varied(synonyms, {tag for one in chosen for tag in one.best}, course.varied, chance)
        loss = -log_probabilities(trainee.model, packed(chosen, shown, chat)).mean()
        trainee.heed(loss)
        trainee.step(course.rate * pace(step, steps))
        return [float(loss.detach())]

    def tell(done: int, seconds: float, means: list[float]) -> None:
        told(Progress(done, steps, means[0], seconds))

    trainee.course(folder / STATE, lesson, steps, save_every, learn, tell)
    trainee.write(folder)
    adapter_file.write(folder, base, served)
    (folder / STATE).unlink(missing_ok=True)
    return served


def pace(step: int, steps: int) -> float:
    """The step's share of the highest rate: up in a few steps, then down a half cosine."""
    fall = 0.5 * (1 + math.cos(math.pi * step / steps))
    return min(1, (step + 1) / WARM_UP) * max(LEAST_RATE, fall)


def adapted(base: Path, rank: int, start: Path | None, dtype: torch.dtype | None = None) -> Any:
    """The base model with an adapter to train: a new one, or that of `start`."""
    model = AutoModelForCausalLM.from_pretrained(
        base, dtype=dtype or quickest(), attn_implementation=BRANCHES
    )
    if start:
        return PeftModel.from_pretrained(
            model, start, is_trainable=True, autocast_adapter_dtype=False
        )
    shape = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        target_modules=[name.rpartition(".")[2] for name in adapter_file.NAMES],
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, shape, autocast_adapter_dtype=False)


def log_probabilities(model: Any, pack: Pack) -> torch.Tensor:
    """Of each wanted token of the pack, natural logarithm, in float32.

    The other places never reach the output layer, which would cost as much as half the model.
    """
    whole = model.get_base_model()
    hidden = whole.model(
        input_ids=torch.tensor([pack.tokens]),
        position_ids=torch.tensor([pack.positions]),
        use_cache=False,
        branches=branches_of(pack, whole.dtype),
    ).last_hidden_state[0]
    told = whole.lm_head(hidden[pack.asked]).float().log_softmax(dim=-1)
    return told.gather(1, torch.tensor(pack.wanted)[:, None])[:, 0]


class Trainee:
    """The model with what its optimiser knows."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.weights = [weight for weight in model.parameters() if weight.requires_grad]
        self.exact = [weight.detach().float().clone().requires_grad_() for weight in self.weights]
        self.optimiser = torch.optim.AdamW(self.exact, weight_decay=DECAY, foreach=True)
        model.train()

    def course(
        self,
        state: Path,
        lesson: str,
        steps: int,
        save_every: int,
        learn: Callable[[int], list[float]],
        told: Callable[[int, float, list[float]], object],
    ) -> None:
        """Do the steps that are left of those that were begun with this lesson.

        learn: does a step, and returns its figures. told: is given how many are done, the
        seconds that are left, and the means of the last few steps' figures. Raises OtherTraining.
        """
        first = self.recall(state, lesson)
        recent: deque[list[float]] = deque(maxlen=TOLD_OF)
        began = time.monotonic()
        for step in range(first, steps):
            recent.append(learn(step))
            done = step + 1
            if done % save_every == 0 and done < steps:
                self.keep(state, lesson, done)
            left = (time.monotonic() - began) / (done - first) * (steps - done)
            told(done, left, [sum(of) / len(recent) for of in zip(*recent, strict=True)])

    def heed(self, loss: torch.Tensor) -> None:
        """Add what this loss asks for to what the next step does."""
        loss.backward()
        for weight, exact in zip(self.weights, self.exact, strict=True):
            asked, weight.grad = weight.grad.float(), None
            exact.grad = asked if exact.grad is None else exact.grad + asked

    def step(self, rate: float) -> None:
        """Change the adapter as the losses since the last step ask for."""
        torch.nn.utils.clip_grad_norm_(self.exact, LONGEST_GRADIENT)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        self.optimiser.zero_grad()
        self._take_over()

    def keep(self, file: Path, lesson: str, step: int) -> None:
        """Write down all that the next step needs; a crash leaves what was there before."""
        state = {
            "lesson": lesson,
            "step": step,
            "weights": [exact.detach() for exact in self.exact],
            "optimiser": self.optimiser.state_dict(),
        }
        beside = file.with_name(f"{file.name}.part")
        with beside.open("wb") as out:
            torch.save(state, out)
            out.flush()
            os.fsync(out.fileno())
        os.replace(beside, file)

    def recall(self, file: Path, lesson: str) -> int:
        """The steps that were done, 0 where nothing was kept. Raises OtherTraining."""
        if not file.exists():
            return 0
        state = torch.load(file, weights_only=True)
        if state["lesson"] != lesson:
            raise OtherTraining(
                f"{file} is of a training with other documents, tags or options: give those "
                "again to go on with it, delete it, or name another folder."
            )
        for exact, kept in zip(self.exact, state["weights"], strict=True):
            exact.data.copy_(kept)
        self.optimiser.load_state_dict(state["optimiser"])
        self._take_over()
        return int(state["step"])

    def write(self, folder: Path) -> None:
        """Leave the adapter as PEFT keeps it, in float32."""
        for weight, exact in zip(self.weights, self.exact, strict=True):
            weight.data = exact.detach()
        self.model.save_pretrained(folder)

    def _take_over(self) -> None:
        for weight, exact in zip(self.weights, self.exact, strict=True):
            weight.data.copy_(exact)


def digest(
    documents: Sequence[Labelled],
    synonyms: Mapping[str, Sequence[str]],
    course: Course,
    start: Path | None,
) -> str:
    """Of all that decides what comes out, but for the threads and the processor."""
    of = [
        [[one.title, one.text, one.best] for one in documents],
        {name: list(others) for name, others in synonyms.items()},
    ]
    return digest_of(of, course, start)


def digest_of(learned: list[Any], course: Any, start: Path | None) -> str:
    """learned: of what JSON holds. course: a dataclass."""
    of = [
        *learned,
        asdict(course),
        start and hashlib.sha256((start / "adapter_model.safetensors").read_bytes()).hexdigest(),
    ]
    return hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()
