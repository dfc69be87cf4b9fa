"""The training of the embedded model's adapter on picks.

What needs torch is skipped where it is not installed; `make test-train` has it.
"""

from __future__ import annotations

import importlib.util
import json
import math
import shlex
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from review.llm import local_server
from review.readers.preferences import Question, grouped, read_preferences

from . import test_training
from .test_training import needs_torch

base, small = test_training.base, test_training.small  # fixtures

SYSTEM = {"role": "system", "content": "Tags: cli, http, lib, web. Answer with JSON."}


def row(text: str, chosen: str, rejected: str) -> dict[str, Any]:
    said = [[{"role": "assistant", "content": answer(tags)}] for tags in (chosen, rejected)]
    prompt = [SYSTEM, {"role": "user", "content": text}]
    return {"prompt": prompt, "chosen": said[0], "rejected": said[1], "document": "kept apart"}


def answer(tags: str) -> str:
    return json.dumps({"tags": tags.split()})


ROWS = [
    row("A client for HTTP.", "http lib", "cli"),
    row("A shell.", "cli", "web"),
    row("A client for HTTP.", "http lib", "web lib"),
    row("A server of pages.", "web http", "cli lib"),
]


def file_of(folder: Path, *rows: object) -> Path:
    file = folder / "pairs.jsonl"
    file.write_text(
        "".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in rows)
    )
    return file


@pytest.fixture
def questions(tmp_path: Path) -> list[Question]:
    with file_of(tmp_path, *ROWS).open("rb") as file:
        return read_preferences(file)


def test_pairs_of_one_prompt_are_one_question(questions: list[Question]) -> None:
    assert [one.messages[1]["content"] for one in questions] == [
        "A client for HTTP.",
        "A shell.",
        "A server of pages.",
    ]
    assert questions[0].answers == [answer("http lib"), answer("cli"), answer("web lib")]
    assert questions[0].pairs == [(0, 1), (0, 2)]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (row("A shell.", "cli web", "web cli"), "Line 2: “chosen” and “rejected” say the same"),
        ("{", "Line 2: "),
        ("[]", "Line 2: This is not a JSON object."),
        ({**ROWS[0], "prompt": "A shell."}, "Line 2: “prompt” is not a list of messages."),
        ({**ROWS[0], "prompt": ROWS[0]["chosen"]}, "Line 2: “prompt” ends with an answer"),
        ({**ROWS[0], "chosen": [SYSTEM]}, "Line 2: “chosen” is not one message of the assistant."),
        ({**ROWS[0], "rejected": [{"role": "bot"}]}, "Line 2: “rejected” has a message whose role"),
        ({**ROWS[0], "chosen": [{"role": "assistant"}]}, "Line 2: “chosen” has a message without"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: object, said: str) -> None:
    with pytest.raises(CommandError) as raised:
        call_command("train_preferences", str(file_of(tmp_path, ROWS[0], line)))
    assert said in str(raised.value)


def test_a_file_without_pairs_and_no_file_are_told(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="there is no pair in it"):
        call_command("train_preferences", str(file_of(tmp_path)))
    with pytest.raises(CommandError, match="No such file"):
        call_command("train_preferences", str(tmp_path / "none.jsonl"))


@pytest.mark.skipif(bool(importlib.util.find_spec("torch")), reason="here it is installed")
def test_without_torch_the_command_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"no torch: `make train-deps`"):
        call_command("train_preferences", str(file_of(tmp_path, *ROWS)), stderr=StringIO())


def printed(tmp_path: Path, *more: str) -> list[list[str]]:
    out = StringIO()
    file = str(file_of(tmp_path, *ROWS))
    where = ("--out", str(tmp_path / "out"), "--commands")
    call_command("train_preferences", file, *where, *more, stdout=out, stderr=StringIO())
    lines = [line for line in out.getvalue().splitlines() if line[:1] != "#"][1:]  # after export
    return [shlex.split(line) for line in lines]


def test_the_commands_come_with_their_data(tmp_path: Path) -> None:
    sft, merge, dpo, join = printed(tmp_path)
    assert sft[:2] == ["trl", "sft"]
    assert dpo[:2] == ["trl", "dpo"]
    merged = merge[-1]
    assert merge[-2] == sft[sft.index("--output_dir") + 1]
    assert dpo[dpo.index("--model_name_or_path") + 1] == merged
    assert join[-2:] == [line[line.index("--output_dir") + 1] for line in (sft, dpo)]
    of_sft, of_dpo = (
        [
            json.loads(row)
            for row in (Path(line[line.index("--dataset_name") + 1]) / "train.jsonl").open()
        ]
        for line in (sft, dpo)
    )
    assert [one["completion"][0]["content"] for one in of_sft] == [
        *map(answer, ("http lib", "cli", "web http"))
    ]
    plain = [{name: one[name] for name in ("prompt", "chosen", "rejected")} for one in ROWS]
    assert sorted(map(json.dumps, of_dpo)) == sorted(map(json.dumps, plain))
    (only,) = printed(tmp_path, "--sft-epochs", "0", "--model", "some/model")
    assert only[only.index("--model_name_or_path") + 1] == "some/model"


# --- With torch ----------------------------------------------------------------------------


@needs_torch
def test_trl_knows_every_option_of_the_commands(tmp_path: Path) -> None:
    from trl.scripts import dpo, sft

    first, _, last, _ = printed(tmp_path)
    for line, script in ((first, sft), (last, dpo)):
        line += ["--use_cpu", "--bf16", "false"]  # a machine without a GPU refuses the rest
        parser = script.make_parser()
        *_, training, model, _ = parser.parse_args_and_config(
            args=line[2:], fail_with_unknown_args=True
        )
        assert model.lora_r == 16
        assert training.max_length == 4096
        assert len(model.lora_target_modules) == 7


@needs_torch
def test_each_answer_is_as_likely_in_a_pack_as_alone(base: Path, questions: list[Question]) -> None:
    """Alone it is read by transformers' own attention."""
    import torch
    from transformers import AutoModelForCausalLM

    from review.training.base_model import Spelling
    from review.training.preferences import likelihoods, packed
    from review.training.sft import adapted

    chat, question = Spelling(base), questions[0]
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model = adapted(base, 8, None, torch.float32)  # new, it changes nothing yet
    asking = chat.text(question.messages, answer_next=True)
    with torch.no_grad():
        together = likelihoods(model, packed(question, question.answers, chat))
        for said, in_pack in zip(question.answers, together, strict=True):
            whole = chat.text([*question.messages, {"role": "assistant", "content": said}])
            tokens, begins = chat.tokens(whole), len(chat.tokens(asking))
            told = plain(torch.tensor([tokens])).logits[0, begins - 1 : -1].log_softmax(-1)
            alone = told.gather(1, torch.tensor(tokens[begins:])[:, None]).sum()
            assert float(abs(in_pack - alone)) < 1e-3
    assert len(together) == 3


@needs_torch
def test_the_margin_begins_at_nothing_and_grows(
    small: Path,
    questions: list[Question],
    tmp_path: Path,
) -> None:
    from review.training.preferences import Course, Progress, train

    seen: list[Progress] = []
    course = Course(sft_epochs=0, epochs=32, rate=1e-2, rank=4, pack=3, sft_weight=0)
    train(questions, small, tmp_path / "out", course, told=seen.append)
    assert [one.stage for one in seen[:4]] == ["before"] * 3 + ["dpo"]
    first, last = seen[3], seen[-1]
    assert first.loss == pytest.approx(math.log(2), abs=1e-3)
    assert first.margin == pytest.approx(0, abs=1e-3)
    assert last.step == last.steps == 32
    assert last.loss < math.log(2) - 0.05
    assert last.margin > 0.1
    assert last.accuracy > 0.8


@needs_torch
def test_dpo_compares_with_the_adapter_that_it_goes_on_from(
    small: Path,
    questions: list[Question],
    tmp_path: Path,
) -> None:
    """After SFT, and from another training: the loss begins anew at log 2, and not the base's."""
    from review.training.preferences import Course, Progress, train

    seen: list[Progress] = []
    course = Course(sft_epochs=60, epochs=1, rate=2e-2, rank=4, pack=3, sft_weight=0)
    train(questions, small, tmp_path / "one", course, told=seen.append)
    sft = [one.loss for one in seen if one.stage == "sft"]
    learned = sft[0] - sft[-1]
    assert learned > 0.3
    (dpo,) = [one for one in seen if one.stage == "dpo"]
    assert dpo.loss == pytest.approx(math.log(2), abs=1e-3)

    seen.clear()
    course = Course(sft_epochs=0, epochs=1, rate=1e-2, pack=3, sft_weight=1)
    train(questions, small, tmp_path / "two", course, start=tmp_path / "one", told=seen.append)
    assert math.log(2) < seen[-1].loss < math.log(2) + sft[0] - learned / 2


@needs_torch
def test_a_training_that_was_stopped_ends_with_the_same_adapter(
    small: Path,
    questions: list[Question],
    tmp_path: Path,
) -> None:
    from review.training.preferences import Course, Progress, train
    from review.training.sft import OtherTraining

    course = Course(sft_epochs=2, epochs=3, rate=1e-3, rank=4, pack=2)
    one = train(questions, small, tmp_path / "one", course)

    def stopping(stage: str, step: int) -> Any:
        def told(progress: Progress) -> None:
            if (progress.stage, progress.step) == (stage, step):
                raise KeyboardInterrupt

        return told

    again = tmp_path / "two"
    for stage, step in (("sft", 2), ("before", 2), ("dpo", 3)):
        with pytest.raises(KeyboardInterrupt):
            train(questions, small, again, course, save_every=2, told=stopping(stage, step))
    with pytest.raises(OtherTraining, match="other pairs or options"):
        train(questions[:2], small, again, course)
    steps: list[tuple[str, int]] = []
    file = train(
        questions, small, again, course, told=lambda now: steps.append((now.stage, now.step))
    )
    assert steps == [("dpo", 3), ("dpo", 4)]
    assert sorted(path.name for path in again.iterdir()) == [
        "README.md",
        "adapter.gguf",
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    assert file.read_bytes() == one.read_bytes()
    whole = "adapter_model.safetensors"
    assert (again / whole).read_bytes() == (tmp_path / "one" / whole).read_bytes()
    with pytest.raises(OtherTraining, match="has an adapter already"):
        train(questions, small, again, course)


@needs_torch
def test_a_prompt_that_is_too_long_is_told(small: Path, tmp_path: Path) -> None:
    from review.readers.preferences import Pair
    from review.training.preferences import Course, train

    asked = [{"role": "user", "content": "long " * 9000}]
    with pytest.raises(ValueError, match="longer than the 8192 tokens"):
        train(grouped([Pair(asked, "a", "b")]), small, tmp_path, Course())


@needs_torch
def test_the_shipped_adapter_comes_back_as_it_was(base: Path, tmp_path: Path) -> None:
    """llama.cpp's file → PEFT's folder → llama.cpp's file; and PEFT reads it as its own."""
    import gguf

    from review.training import adapter_file
    from review.training.sft import adapted

    assert adapter_file.read(local_server.ADAPTER, base, tmp_path) == 420
    adapter_file.write(tmp_path, base, tmp_path / "again.gguf")
    was, now = (
        {tensor.name: tensor.data for tensor in gguf.GGUFReader(file).tensors}
        for file in (local_server.ADAPTER, tmp_path / "again.gguf")
    )
    assert was.keys() == now.keys()
    assert all((was[name] == now[name]).all() for name in was)
    model = adapted(base, 1, tmp_path)
    weights = {name: one for name, one in model.named_parameters() if one.requires_grad}
    assert len(weights) == 420
    assert all(one.abs().max() > 0 for one in weights.values())
    shipped = model.peft_config["default"]
    assert (shipped.r, shipped.lora_alpha) == (8, 16)


@needs_torch
def test_what_is_no_adapter_of_the_model_is_refused(
    base: Path,
    small: Path,
    tmp_path: Path,
) -> None:
    from review.training import adapter_file

    with pytest.raises(ValueError, match="other layers"):
        adapter_file.as_folder(local_server.ADAPTER, small, tmp_path)
    with pytest.raises(ValueError, match="not a LoRA"):
        adapter_file.as_folder(local_server.model_file(), base, tmp_path)
    with pytest.raises(ValueError, match="no GGUF file"):
        adapter_file.as_folder(Path(__file__), base, tmp_path)
    with pytest.raises(ValueError, match="no adapter at"):
        adapter_file.as_folder(tmp_path / "none", base, tmp_path)


@needs_torch
def test_the_command_goes_on_from_the_shipped_adapter(base: Path, tmp_path: Path) -> None:
    out, err = StringIO(), StringIO()
    call_command(
        "train_preferences",
        *(str(file_of(tmp_path, *ROWS[:2])), "--from", "shipped", "--epochs", "1"),
        *("--threads", "1", "--out", str(tmp_path / "out")),
        stdout=out,
        stderr=err,
    )
    assert Path(out.getvalue().strip()) == tmp_path / "out" / "adapter.gguf"
    told = err.getvalue()
    assert "2 pairs, of 2 prompts." in told
    assert "sft 1/1  loss " in told
    assert "dpo 1/1  loss " in told
    assert "margin +0.000" in told or "margin -0.000" in told
    server = local_server.start(threads=1, adapter=tmp_path / "out" / "adapter.gguf")
    server.stop()
