"""Each format's rows, by the rules that its readers document."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from review.pipeline.exam import side_of
from review.pipeline.split import split_of
from review.writers.formats import FORMATS
from review.writers.lesson import COLUMNS, Lesson, Rejected

SYSTEM = {"role": "system", "content": "Tags: „http“, cli"}
USER = {"role": "user", "content": 'A "text"\nof two lines \u2028 中文'}
TAKEN = {"messages", "completion", "label", "image", "images", "tools", "chat_template_kwargs"}


def lesson(split: str = "train", **changes: Any) -> Lesson:
    values: dict[str, Any] = {
        "messages": [SYSTEM, USER],
        "chosen": ["http", "cli"],
        "rejected": [
            Rejected(["http"], {"pair_id": "7-2", "rejected_rank": 2}),
            Rejected(["web"], {"pair_id": "7-3", "rejected_rank": 3}),
        ],
        "document": "5201",
        "split": split,
        "numbered": [(3, "http"), (4, "cli")],
        "columns": {"decision_id": 7, "split": split, "agreement": None},
    }
    return Lesson(**{**values, **changes})


def rows(name: str, one: Lesson) -> list[dict[str, Any]]:
    write = FORMATS[name].rows
    assert write is not None
    return [json.loads(row) for row in write(one)]


def said(*tags: str) -> dict[str, str]:
    return {"role": "assistant", "content": json.dumps({"tags": list(tags)})}


def test_trl_has_its_three_columns_and_ours() -> None:
    first, second = rows("trl", lesson())
    assert first["prompt"] == [SYSTEM, USER]
    assert first["chosen"] == [said("http", "cli")]
    assert first["rejected"] == [said("http")]
    assert second["rejected"] == [said("web")]
    assert (first["pair_id"], first["decision_id"], first["agreement"]) == ("7-2", 7, None)


def test_no_column_of_ours_is_one_that_a_trainer_takes_for_its_own() -> None:
    assert not TAKEN & set(COLUMNS)


def test_plain_texts_are_texts() -> None:
    row = rows("trl-text", lesson())[0]
    assert row["prompt"].startswith(SYSTEM["content"] + "\n\n" + USER["content"])
    assert json.loads(row["chosen"]) == {"tags": ["http", "cli"]}
    completion = rows("sft-text", lesson())
    assert [(one["prompt"], one["completion"]) for one in completion] == [
        (row["prompt"], row["chosen"])
    ]


def test_kto_says_what_was_chosen_once() -> None:
    found = [(row["completion"], row["label"]) for row in rows("kto", lesson())]
    assert found == [([said("http", "cli")], True), ([said("http")], False), ([said("web")], False)]


def test_none_fits_teaches_only_what_is_bad() -> None:
    none = lesson(chosen=[], taught=False)
    assert [row["label"] for row in rows("kto", none)] == [False, False]
    for name in set(FORMATS) - {"kto", "parquet"}:
        assert rows(name, none) == [], name


def test_chats_end_with_the_chosen_answer() -> None:
    assert rows("openai-chat", lesson()) == [{"messages": [SYSTEM, USER, said("http", "cli")]}]
    (row,) = rows("sft", lesson())
    assert (row["prompt"], row["completion"]) == ([SYSTEM, USER], [said("http", "cli")])
    for name in ("sft", "openai-chat"):
        assert rows(name, lesson(taught=False)) == []


def test_openai_has_one_message_on_each_side_and_no_other_key() -> None:
    assert rows("openai", lesson())[0] == {
        "input": {"messages": [SYSTEM, USER]},
        "preferred_output": [said("http", "cli")],
        "non_preferred_output": [said("http")],
    }


def test_reward_has_the_three_columns_alone() -> None:
    assert set(rows("reward", lesson())[0]) == {"prompt", "chosen", "rejected"}


def test_llama_factory_has_single_messages_and_an_entry_for_each_file() -> None:
    row = rows("llama-factory", lesson())[0]
    assert row["chosen"] == said("http", "cli")  # a list would lose the row
    turns = [one["role"] for one in row["conversations"]]
    assert turns == ["system", "user"]
    beside = FORMATS["llama-factory"].beside(["train.jsonl", "test.jsonl"])
    info = json.loads(beside["dataset_info.json"])
    assert {name: entry["file_name"] for name, entry in info.items()} == {
        "tagger_train": "train.jsonl",
        "tagger_test": "test.jsonl",
    }
    assert info["tagger_train"]["ranking"] is True
    assert set(info["tagger_train"]["columns"].values()) == set(row)


def test_axolotl_names_the_fields_that_are_there() -> None:
    row = rows("axolotl", lesson())[0]
    text = FORMATS["axolotl"].beside(["train.jsonl", "validation.jsonl"])["axolotl.yaml"]
    assert set(row) == {"messages", "chosen", "rejected"}
    assert "rl: dpo" in text
    assert text.count("path: train.jsonl") == text.count("path: validation.jsonl") == 1


def test_the_seeds_form() -> None:
    assert rows("expected-json", lesson()) == [
        {"id": "5201", "tags": [{"id": 3, "name": "http"}, {"id": 4, "name": "cli"}]}
    ]


def test_parquet_has_the_columns_of_trl(tmp_path: Path) -> None:
    file = FORMATS["parquet"].open(tmp_path / "train.parquet")
    file.add(lesson())
    file.add(lesson(chosen=[], taught=False))
    file.close()
    table = pq.read_table(tmp_path / "train.parquet")
    assert table.column_names == ["prompt", "chosen", "rejected", *COLUMNS]
    for there, line in zip(table.to_pylist(), rows("trl", lesson()), strict=True):
        assert {name: there[name] for name in line} == line


def test_lines_are_one_a_row_whatever_the_text(tmp_path: Path) -> None:
    file = FORMATS["trl"].open(tmp_path / "train.jsonl")
    file.add(lesson())
    file.close()
    assert file.rows == (tmp_path / "train.jsonl").read_bytes().count(b"\n") == 2


def test_equal_sides_are_refused() -> None:
    with pytest.raises(ValueError, match="Both sides"):
        lesson(rejected=[Rejected(["cli", "http"])])


def test_the_split_is_stable_and_evaluate_holds_back_what_is_not_trained_on() -> None:
    hashes = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(5000)]
    shares = {
        split: sum(split_of(one) == split for one in hashes) / 5000
        for split in ("train", "validation", "test")
    }
    assert shares["train"] == pytest.approx(0.8, abs=0.02)
    assert shares["test"] == pytest.approx(0.1, abs=0.02)
    assert all((side_of(one) == "test") == (split_of(one) != "train") for one in hashes)
    assert split_of("0" * 64) == "test"
    assert split_of("0" * 7 + "5" + "f" * 56) == "validation"
