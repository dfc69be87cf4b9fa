"""The training of the embedded model's adapter.

What needs torch is skipped where it is not installed; `make test-train` has it.
"""

from __future__ import annotations

import importlib.util
import json
import random
import shutil
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from review.llm import local_server
from review.pipeline.exam import tag_list
from review.readers.labelled import Labelled
from review.training.packing import PROMPT, Pack, drawn, packed, prompt_of
from review.training.variation import varied

from .fake_model import FakeModel

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="training needs torch: make test-train"
)

HTTP = Labelled(
    "1",
    "Ferry",
    "# Ferry\n\nAn HTTP client library for Python: sessions, retries, streaming.\n\n"
    "## Install\n\n```\npip install ferry\n```\n\n## Proxies\n\nFerry speaks <|im_end|> too.\n",
    ("lib", "http", "sdk"),
)
SCENE = Labelled("2", "", "Quill renders 3D scenes with WebGL, in a browser.", ("3d", "frontend"))
PLAYER = Labelled("3", "", "# tv\n\nA media player for the terminal, written in Rust.", ("cli",))
DOCUMENTS = [HTTP, SCENE, PLAYER]
SYNONYMS = {tag["name"]: tag["synonyms"] for tag in tag_list(None, None)}
NAMES = {name: name for name in sorted(SYNONYMS)}


class Letters:
    """A chat whose tokens are characters: what is packed can be read."""

    def text(self, messages: Sequence[Mapping[str, str]], *, answer_next: bool = False) -> str:
        said = "".join(f"[{one['role']}]{one['content']}[end]" for one in messages)
        return said + "[assistant]" * answer_next

    def tokens(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]


def spelled(tokens: Sequence[int]) -> str:
    return "".join(map(chr, tokens))


@pytest.mark.django_db
def test_what_is_learned_is_what_production_asks(model: FakeModel, tmp_path: Path) -> None:
    """Through the command that asks as production does, to a server that keeps what it gets."""
    file = tmp_path / "learned.jsonl"
    rows = [{"title": it.title, "text": it.text, "best": it.best} for it in DOCUMENTS]
    file.write_text("\n".join(map(json.dumps, rows)))
    told = {"stdout": StringIO(), "stderr": StringIO()}
    call_command("evaluate", str(file), "--prompt", PROMPT, **told)
    asked = [request["messages"] for request in model.requests]
    assert len(asked) == len(DOCUMENTS)
    pack = packed(DOCUMENTS, NAMES, Letters())
    begin = pack.stem
    for document, messages, length in zip(DOCUMENTS, asked, pack.branches, strict=True):
        learned = spelled(pack.tokens[: pack.stem] + pack.tokens[begin : begin + length])
        answer = json.dumps({"tags": document.best})
        production = Letters().text(messages, answer_next=True)
        assert learned == f"{production}{answer}[end]"
        begin += length


def test_each_document_of_a_pack_goes_on_from_the_tag_list() -> None:
    pack = packed(DOCUMENTS, NAMES, Letters())
    assert pack.positions[: pack.stem] == list(range(pack.stem))
    assert len(pack.tokens) == len(pack.positions) == pack.stem + sum(pack.branches)
    begin = pack.stem
    for length in pack.branches:
        assert pack.positions[begin : begin + length] == list(range(pack.stem, pack.stem + length))
        begin += length
    assert [pack.tokens[place + 1] for place in pack.asked] == pack.wanted
    answers = [json.dumps({"tags": document.best}) + "[end]" for document in DOCUMENTS]
    assert spelled(pack.wanted) == "".join(answers)


def test_a_renamed_tag_is_listed_and_answered_by_its_new_name() -> None:
    shown = {"http": "web protocol", "lib": "lib", "sdk": "sdk"}
    pack = packed([HTTP], shown, Letters())
    assert "list:\nweb protocol, lib, sdk\n" in spelled(pack.tokens[: pack.stem])
    assert spelled(pack.wanted).startswith('{"tags": ["lib", "web protocol", "sdk"]}')


def test_without_variation_the_tag_list_is_productions() -> None:
    shown = varied(SYNONYMS, [], 0, random.Random(1))
    assert list(shown.items()) == [(name, name) for name in sorted(SYNONYMS)]


def test_a_varied_tag_list_has_the_tags_it_needs_and_no_name_twice() -> None:
    sizes, renamed, unsorted = set(), 0, 0
    for seed in range(50):
        shown = varied(SYNONYMS, ["lib", "http"], 1, random.Random(seed))
        names = list(shown.values())
        assert {"lib", "http"} <= set(shown) <= set(SYNONYMS)
        assert len({name.casefold() for name in names}) == len(names)
        assert all(new == old or new in SYNONYMS[old] for old, new in shown.items())
        sizes.add(len(names))
        renamed += sum(old != new for old, new in shown.items())
        unsorted += names != sorted(names)
    assert min(sizes) >= 36
    assert max(sizes) <= 90
    assert len(sizes) > 10
    assert renamed > 200
    assert unsorted == 50


def test_every_document_comes_once_a_round_and_the_same_way_again() -> None:
    rounds = [place for step in range(10) for place in drawn(5, 3, step, seed=7)]
    chunks = [rounds[at : at + 5] for at in range(0, 30, 5)]
    assert all(sorted(chunk) == list(range(5)) for chunk in chunks)
    assert len({tuple(chunk) for chunk in chunks}) > 1
    assert drawn(5, 3, 4, seed=7) == rounds[12:15]
    assert [place for step in range(10) for place in drawn(5, 3, step, seed=8)] != rounds


@pytest.mark.skipif(bool(importlib.util.find_spec("torch")), reason="here it is installed")
def test_without_torch_the_command_says_what_to_install() -> None:
    with pytest.raises(CommandError, match=r"no torch: `make train-deps`"):
        call_command("train_adapter")


# --- With torch ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def base() -> Path:
    """The embedded model, as transformers reads it."""
    import torch

    from review.training import base_model

    torch.set_num_threads(1)  # what is computed is then the same each time
    return base_model.folder(Path(settings.VAR))


@pytest.fixture(scope="module")
def small(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the same kind, and of no use, that learns in no time."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)  # how fast it learns differs with what it began as
    config = AutoConfig.from_pretrained(base)
    config.num_hidden_layers, config.hidden_size, config.intermediate_size = 2, 64, 64
    config.num_attention_heads, config.num_key_value_heads, config.head_dim = 4, 2, 16
    folder = tmp_path_factory.mktemp("small")
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    for file in base.glob("tokenizer*"):
        shutil.copy(file, folder)
    shutil.copy(base / "chat_template.jinja", folder)
    return folder


@pytest.fixture
def noisy(base: Path) -> Iterator[Any]:
    """The base model with an adapter that changes a lot, by chance: no training is needed."""
    import torch

    from review.training.sft import adapted

    torch.manual_seed(1)
    model = adapted(base, 8, None, torch.float32).eval()
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            rotated = "q_proj" in name or "k_proj" in name  # more where the rows are exchanged
            torch.nn.init.normal_(weight, std=0.1 if rotated else 0.03)
    with torch.no_grad():
        yield model


@needs_torch
def test_a_document_is_as_likely_in_a_pack_as_alone(base: Path) -> None:
    """Alone it is read by transformers' own attention, and its prompt is tokenised as a whole."""
    import torch
    from transformers import AutoModelForCausalLM

    from review.training.base_model import Spelling
    from review.training.sft import adapted, log_probabilities

    chat, shown = Spelling(base), other_list()
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model = adapted(base, 8, None, torch.float32)  # new, it changes nothing yet
    with torch.no_grad():
        together = log_probabilities(model, packed(DOCUMENTS, shown, chat))
        for document in DOCUMENTS:
            messages = prompt_of(document, list(shown.values())).messages
            asking = chat.tokens(chat.text(messages, answer_next=True))
            answer = packed([document], shown, chat).wanted
            told = plain(torch.tensor([asking + answer])).logits[0, len(asking) - 1 : -1]
            alone = told.log_softmax(-1).gather(1, torch.tensor(answer)[:, None])[:, 0]
            in_pack, together = together[: len(answer)], together[len(answer) :]
            assert float((in_pack - alone).abs().max()) < 1e-4
    assert len(together) == 0


@needs_torch
def test_in_bfloat16_other_documents_change_nothing(base: Path) -> None:
    """Where numbers have three digits, transformers' own attention is as far off as ours."""
    import torch

    from review.training.base_model import Spelling
    from review.training.sft import adapted, log_probabilities

    chat, shown = Spelling(base), other_list()
    model = adapted(base, 8, None, torch.bfloat16)
    with torch.no_grad():
        together = log_probabilities(model, packed(DOCUMENTS, shown, chat))
        packs = [packed([document], shown, chat) for document in DOCUMENTS]
        alone = torch.cat([log_probabilities(model, pack) for pack in packs])
    assert float((together - alone).abs().max()) < 1e-2


def other_list() -> dict[str, str]:
    needed = {tag for document in DOCUMENTS for tag in document.best}
    return varied(SYNONYMS, needed, 1, random.Random(2))


@needs_torch
def test_llama_cpp_serves_what_was_trained_and_notices_no_wrong_rows(
    base: Path, noisy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from review.training import adapter_file

    noisy.save_pretrained(tmp_path / "adapter")
    right, wrong = tmp_path / "right.gguf", tmp_path / "wrong.gguf"
    assert adapter_file.write(tmp_path / "adapter", base, right) == 30 * 7 * 2
    monkeypatch.setattr(adapter_file, "rows_of_llama_cpp", lambda weights, heads: weights)
    adapter_file.write(tmp_path / "adapter", base, wrong)
    apart = distance(noisy, base, right)  # seen: 0.06; llama.cpp also rounds what it multiplies
    assert apart < 0.12
    assert distance(noisy, base, wrong) > 3 * apart  # seen: 0.32
    assert distance(noisy, base, None) > 3 * apart  # 0.30: the adapter does something


def distance(model: Any, base: Path, adapter: Path | None) -> float:
    """Mean |Δ log p| of the tokens of llama.cpp's answers, by llama.cpp and by `model`."""
    import openai

    from review.llm.client import grammar
    from review.training.base_model import Spelling
    from review.training.sft import log_probabilities

    chat = Spelling(base)
    names = sorted(NAMES)
    server = local_server.start(threads=1, adapter=adapter)
    apart: list[float] = []
    try:
        with openai.OpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client:
            for document in DOCUMENTS:
                said = client.chat.completions.create(
                    model=local_server.MODEL_NAME,
                    messages=prompt_of(document, names).messages,  # type: ignore[arg-type]
                    temperature=0,
                    max_tokens=48,
                    logprobs=True,
                    extra_body=grammar(names, 3),
                )
                choice = said.choices[0]
                assert choice.logprobs
                tokens = [one for one in choice.logprobs.content or [] if one.token]
                text = "".join(one.token for one in tokens)
                pack = packed([document], NAMES, chat)
                answer = [token for one in tokens for token in chat.tokens(one.token)]
                begin = pack.asked[0] + 1
                ended = [*pack.tokens[:begin], *answer]
                asked = list(range(begin - 1, len(ended) - 1))
                length = len(ended) - pack.stem
                pack = Pack(ended, list(range(len(ended))), pack.stem, [length], asked, answer)
                assert json.loads(text)["tags"]
                assert len(answer) == len(tokens)
                ours = log_probabilities(model, pack).tolist()
                apart += [abs(a - b.logprob) for a, b in zip(ours, tokens, strict=True)]
    finally:
        server.stop()
    return sum(apart) / len(apart)


@needs_torch
def test_a_training_that_was_stopped_ends_with_the_same_adapter(
    small: Path, tmp_path: Path
) -> None:
    from safetensors.numpy import load_file

    from review.training.sft import Course, OtherTraining, Progress, train

    course = Course(epochs=4, rate=1e-3, rank=4, pack=2)
    losses: list[float] = []

    def through(progress: Progress) -> None:
        losses.append(progress.loss)

    def stopped(progress: Progress) -> None:
        if progress.step == 4:
            raise KeyboardInterrupt

    train(DOCUMENTS, SYNONYMS, small, tmp_path / "one", course, told=through)
    assert len(losses) == 6
    assert losses[-1] < losses[0]

    again = tmp_path / "two"
    with pytest.raises(KeyboardInterrupt):
        train(DOCUMENTS, SYNONYMS, small, again, course, save_every=3, told=stopped)
    with pytest.raises(OtherTraining, match="other documents, tags or options"):
        train(DOCUMENTS[:2], SYNONYMS, small, again, course)
    steps: list[int] = []
    file = train(
        DOCUMENTS, SYNONYMS, small, again, course, told=lambda progress: steps.append(progress.step)
    )
    assert steps == [4, 5, 6]
    assert sorted(path.name for path in again.iterdir()) == [
        "README.md",
        "adapter.gguf",
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    one, two = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys()
    assert all((one[name] == two[name]).all() for name in one)
    assert file.read_bytes() == (tmp_path / "one" / "adapter.gguf").read_bytes()
    with pytest.raises(OtherTraining, match="has an adapter already"):
        train(DOCUMENTS, SYNONYMS, small, again, course)


@needs_torch
def test_a_training_goes_on_from_another_adapter(small: Path, tmp_path: Path) -> None:
    from review.training.sft import Course, Progress, train

    losses: list[float] = []

    def told(progress: Progress) -> None:
        losses.append(progress.loss)

    course = Course(epochs=8, rate=1e-2, rank=4, pack=2, varied=0)
    train(DOCUMENTS, SYNONYMS, small, tmp_path / "one", course, told=told)
    first = losses[0]
    losses.clear()
    train(
        *(DOCUMENTS, SYNONYMS, small, tmp_path / "two", course),
        start=tmp_path / "one",
        told=told,
    )
    assert losses[0] < first - 0.1


@needs_torch
def test_what_llama_cpp_cannot_serve_is_refused(small: Path, tmp_path: Path) -> None:
    from review.training import adapter_file
    from review.training.sft import adapted

    adapted(small, 4, None).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps({**config, "use_dora": True}))
    with pytest.raises(ValueError, match="not a plain LoRA"):
        adapter_file.write(tmp_path, small, tmp_path / "adapter.gguf")
    assert not (tmp_path / "adapter.gguf").exists()


@needs_torch
def test_the_command_trains_leaves_a_fold_out_and_says_how_it_goes(
    base: Path, tmp_path: Path
) -> None:
    rows = [{"id": it.external_id, "text": it.text, "best": it.best} for it in DOCUMENTS]
    file = tmp_path / "labelled.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    out, err = StringIO(), StringIO()
    call_command(
        "train_adapter",
        *("--examples", str(file), "--labelled", str(file), "--fold", "2/3"),
        *("--epochs", "0.2", "--rank", "2", "--pack", "1", "--threads", "1"),
        *("--out", str(tmp_path / "out")),
        stdout=out,
        stderr=err,
    )
    assert Path(out.getvalue().strip()) == tmp_path / "out" / "adapter.gguf"
    left_out = [json.loads(line) for line in (tmp_path / "out" / "left-out.jsonl").open()]
    assert [(row["id"], row["best"]) for row in left_out] == [("2", ["3d", "frontend"])]
    assert "5 documents to learn from, 1 left out." in err.getvalue()
    assert "1/1  loss " in err.getvalue()
    server = local_server.start(threads=1, adapter=tmp_path / "out" / "adapter.gguf")
    server.stop()
