"""The real libraries are the judge: each format is loaded by `datasets`, and trained on by `trl`.

Skipped where they are not installed; `make test-train` has them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from review.models import Release
from review.pipeline.card import card
from review.pipeline.split import SPLITS
from review.writers.formats import FORMATS
from review.writers.lesson import Lesson, Rejected

datasets = pytest.importorskip("datasets", reason="the loaders: make test-train")
pytest.importorskip("trl", reason="the trainers: make test-train")

TEMPLATE = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release's data files, of four documents."""
    root = tmp_path_factory.mktemp("release")
    for name, made in FORMATS.items():
        (root / name).mkdir()
        file = made.open(root / name / f"train{made.suffix}")
        for number in range(4):
            file.add(lesson(number))
        file.close()
        for beside, text in made.beside([file.path.name]).items():
            (root / name / beside).write_text(text)
    return root


def lesson(number: int) -> Lesson:
    return Lesson(
        messages=[
            {"role": "system", "content": "Choose tags."},
            {"role": "user", "content": f"A text with number {number}"},
        ],
        chosen=["http", "cli"],
        rejected=[
            Rejected(["http"], {"pair_id": f"{number}-2", "rejected_rank": 2, "on_policy": True}),
            Rejected(["web"], {"pair_id": f"{number}-3", "rejected_rank": 3, "on_policy": True}),
        ],
        document=str(number),
        split="train",
        numbered=[(3, "http"), (4, "cli")],
        columns={"decision_id": number, "split": "train", "self_consistency": None},
    )


def loaded(folder: Path, name: str) -> Any:
    kind = "json" if FORMATS[name].rows else "parquet"
    file = str(folder / name / f"train{FORMATS[name].suffix}")
    cache = str(folder / "cache")
    return datasets.load_dataset(kind, data_files=file, split="train", cache_dir=cache)


@pytest.mark.parametrize("name", FORMATS)
def test_datasets_loads_every_row(folder: Path, name: str) -> None:
    rows = {"kto": 12, "sft": 4, "sft-text": 4, "openai-chat": 4, "expected-json": 4}
    assert len(loaded(folder, name)) == rows.get(name, 8)


def test_parquet_and_json_are_the_same(folder: Path) -> None:
    parquet, lines = loaded(folder, "parquet"), loaded(folder, "trl")
    names = ["prompt", "chosen", "rejected", "pair_id", "rejected_rank", "on_policy"]
    assert parquet.select_columns(names).to_list() == lines.select_columns(names).to_list()


@pytest.mark.parametrize(
    ("names", "rows"),
    [
        (["trl", "kto", "sft", "sft-text", "parquet"], {"dpo": 8, "kto": 12, "sft": 4}),
        (["parquet"], {"dpo": 8}),
    ],
    ids=str,
)
def test_the_card_names_what_there_is(
    folder: Path, tmp_path: Path, names: list[str], rows: dict[str, int]
) -> None:
    files = [
        {"name": f"{name}/{split}{FORMATS[name].suffix}", "rows": 4 if split == "train" else 0}
        for name in names
        for split in SPLITS
    ]
    counts = {"pairs": 8, "decisions": 4, "documents": 4, "by_split": {"train": 8}}
    told = {"project": "A: “b”", "release": 1, "note": "", "files": files, "counts": counts}
    (folder / "README.md").write_text(card(Release(formats=names), told))
    for config, count in rows.items():
        found = datasets.load_dataset(str(folder), config, cache_dir=str(tmp_path))
        assert {split: len(data) for split, data in found.items()} == {"train": count}


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """Every byte a token: nothing is downloaded."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: place for place, letter in enumerate([*letters, "</s>", "<pad>"])}
    plain = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    plain.decoder = decoders.ByteLevel()
    found = PreTrainedTokenizerFast(
        tokenizer_object=plain, eos_token="</s>", pad_token="<pad>", bos_token="</s>"
    )
    found.chat_template = TEMPLATE
    return found


def tiny(tokenizer: Any, labels: bool = False) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification

    sizes: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    config = LlamaConfig(
        **sizes,
        vocab_size=len(tokenizer),
        num_attention_heads=2,
        pad_token_id=tokenizer.pad_token_id,
        num_labels=1,
    )
    return (LlamaForSequenceClassification if labels else LlamaForCausalLM)(config)


def trainers() -> dict[str, tuple[str, str, bool]]:
    return {
        "trl": ("DPOTrainer", "DPOConfig", False),
        "trl-text": ("DPOTrainer", "DPOConfig", False),
        "parquet": ("DPOTrainer", "DPOConfig", False),
        "kto": ("KTOTrainer", "KTOConfig", False),
        "sft": ("SFTTrainer", "SFTConfig", False),
        "sft-text": ("SFTTrainer", "SFTConfig", False),
        "reward": ("RewardTrainer", "RewardConfig", True),
    }


@pytest.mark.parametrize("name", trainers())
def test_trl_prepares_every_row_and_makes_a_step(
    folder: Path, tokenizer: Any, tmp_path: Path, name: str
) -> None:
    import trl

    trainer_name, config_name, labels = trainers()[name]
    make: Callable[..., Any] = getattr(trl, trainer_name)
    data = loaded(folder, name)
    # Else the trainer asks the Hub for it by the model's name.
    beside = {"ref_model": tiny(tokenizer)} if trainer_name[:3] in ("DPO", "KTO") else {}
    trainer = make(
        **beside,
        model=tiny(tokenizer, labels),
        args=getattr(trl, config_name)(
            output_dir=str(tmp_path),
            max_steps=1,
            per_device_train_batch_size=4,
            use_cpu=True,
            bf16=False,
            report_to=[],
            save_strategy="no",
        ),
        train_dataset=data,
        processing_class=tokenizer,
    )
    assert len(trainer.train_dataset) == len(data)
    row = trainer.train_dataset[0]
    ids = [value for key, value in row.items() if key.endswith("ids")]
    texts = "".join(tokenizer.decode(one) for one in ids)
    assert '{"tags": ["http", "cli"]}' in texts
    assert "A text with number" in texts
    assert trainer.train().global_step == 1


def test_llama_factorys_entry_fits_its_rows(folder: Path) -> None:
    info = json.loads((folder / "llama-factory" / "dataset_info.json").read_text())
    (entry,) = info.values()
    data = loaded(folder, "llama-factory")
    columns = entry["columns"]
    for row in data:
        for side in ("chosen", "rejected"):
            assert row[columns[side]][entry["tags"]["role_tag"]] == "assistant"
        turns = [one["role"] for one in row[columns["messages"]] if one["role"] != "system"]
        assert len(turns) % 2 == 1
        assert turns[-1] == "user"
