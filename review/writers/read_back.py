"""The first rows of a release's file, read back: the same three parts, whatever its format."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

# The best to look at first: those with both sides, then those with one.
BY_WORTH = (
    *("trl", "parquet", "reward", "openai", "llama-factory", "axolotl", "trl-text"),
    *("kto", "sft", "openai-chat", "sft-text", "expected-json"),
)


@dataclass(frozen=True)
class Row:
    """prompt: (role, text), in order; without a role where the format has a plain text.

    chosen, rejected: tags; None for a side that the row does not have.
    """

    prompt: list[tuple[str, str]]
    chosen: list[str] | None
    rejected: list[str] | None
    document: str = ""


def first_rows(path: Path, count: int) -> list[Row]:
    """Raises OSError where the file is not there."""
    raw = _of_parquet(path, count) if path.suffix == ".parquet" else _of_lines(path, count)
    return [_row(one) for one in raw]


def _of_lines(path: Path, count: int) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in islice(file, count)]


def _of_parquet(path: Path, count: int) -> Iterable[dict[str, Any]]:
    import pyarrow.parquet as pq  # here: half a second of loading, for this one format

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=count):
            return list(batch.to_pylist())
    return []


def _row(raw: dict[str, Any]) -> Row:
    """By its keys: each format's own are in its file of this folder."""
    document = str(raw.get("document_id") or raw.get("id") or "")
    if "tags" in raw:  # expected-json
        return Row([], [tag["name"] for tag in raw["tags"]], None, document)
    prompt = raw.get("prompt") or raw.get("conversations") or raw.get("messages")
    if prompt is None:
        prompt = raw["input"]["messages"]
    chosen = raw.get("chosen", raw.get("preferred_output"))
    rejected = raw.get("rejected", raw.get("non_preferred_output"))
    if "completion" in raw:
        chosen, rejected = raw["completion"], None
        if raw.get("label") is False:
            chosen, rejected = None, chosen
    elif chosen is None:  # one chat, with its answer at the end
        *prompt, chosen = prompt
    return Row(_messages(prompt), _tags(chosen), _tags(rejected), document)


def _messages(prompt: Any) -> list[tuple[str, str]]:
    if isinstance(prompt, str):
        return [("", prompt)]
    return [(one["role"], one["content"]) for one in prompt]


def _tags(side: Any) -> list[str] | None:
    """Of a text, a message, or a list of one message."""
    if side is None:
        return None
    message = side[0] if isinstance(side, list) else side
    text = message if isinstance(message, str) else message["content"]
    return list(json.loads(text)["tags"])
