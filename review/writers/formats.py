"""The formats of a release by their names: each is one file of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from . import (
    axolotl,
    expected_json,
    kto,
    llama_factory,
    openai,
    openai_chat,
    reward,
    sft,
    sft_text,
    trl,
    trl_text,
)
from .json_lines import LinesFile
from .lesson import Lesson


class OutFile(Protocol):
    """rows: written so far. sha256: of the file, once it is closed."""

    path: Path
    rows: int

    @property
    def sha256(self) -> str: ...

    def add(self, lesson: Lesson) -> None: ...

    def close(self) -> None: ...


def nothing(names: Iterable[str]) -> dict[str, str]:
    return {}


@dataclass(frozen=True)
class Format:
    """label: one line for people. beside: further files of the folder, by its data files' names.

    rows: a lesson → lines of JSON; None for Parquet.
    """

    label: str
    rows: Callable[[Lesson], Iterable[str]] | None
    beside: Callable[[Iterable[str]], dict[str, str]] = nothing

    @property
    def suffix(self) -> str:
        return ".jsonl" if self.rows else ".parquet"

    def open(self, path: Path) -> OutFile:
        if self.rows is not None:
            return LinesFile(path, self.rows)
        from .parquet import ParquetFile  # here: half a second of loading, for this one format

        return ParquetFile(path)


FORMATS: dict[str, Format] = {
    "trl": Format("TRL, preferences as chats: trl dpo", trl.rows),
    "trl-text": Format("TRL, preferences as plain texts", trl_text.rows),
    "kto": Format("TRL, single answers, good or bad: trl kto", kto.rows),
    "sft": Format("Prompt and chosen answer as chats: trl sft", sft.rows),
    "sft-text": Format("Prompt and completion as plain texts: trl sft", sft_text.rows),
    "reward": Format("TRL, preferences for a reward model: trl reward", reward.rows),
    "openai": Format("OpenAI preferences; Together, Fireworks, Azure", openai.rows),
    "openai-chat": Format("OpenAI chats, for supervised fine-tuning", openai_chat.rows),
    "llama-factory": Format(
        "LLaMA-Factory, with its dataset_info.json", llama_factory.rows, llama_factory.beside
    ),
    "axolotl": Format("Axolotl, with its part of the YAML", axolotl.rows, axolotl.beside),
    "parquet": Format("Parquet with TRL's columns: datasets, DuckDB, pandas", None),
    "expected-json": Format("The tags alone, as the first prompt asked", expected_json.rows),
}
