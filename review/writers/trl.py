"""TRL's preference format: JSON lines for `trl dpo`."""

from __future__ import annotations

import json
from collections.abc import Sequence


def answer(tags: Sequence[str]) -> str:
    """The tags in the one form that is trained on, so that nobody learns white space."""
    return json.dumps({"tags": list(tags)}, ensure_ascii=False)


def preference_line(
    messages: Sequence[dict[str, str]], chosen: Sequence[str], rejected: Sequence[str]
) -> str:
    """One pair as a line of JSON, without its newline.

    Holds TRL's three preference columns, each a list of messages: `prompt` as sent to the
    model, `chosen` and `rejected` one assistant message each.

    Raises ValueError when the two sides are equal as sets: such a pair teaches nothing.
    Source: TRL's documentation, "Dataset formats", Preference.
    """
    if set(chosen) == set(rejected):
        raise ValueError(f"Both sides of a pair are {sorted(chosen)}.")
    row = {
        "prompt": list(messages),
        "chosen": [{"role": "assistant", "content": answer(chosen)}],
        "rejected": [{"role": "assistant", "content": answer(rejected)}],
    }
    return json.dumps(row, ensure_ascii=False)
