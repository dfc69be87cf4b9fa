"""The answer that the first prompt asked for: `{"id":"5201","tags":[{"id":25,"name":"ai"}]}`."""

from __future__ import annotations

import json
from collections.abc import Iterable


def expected(external_id: str, tags: Iterable[tuple[int, str]]) -> dict[str, object]:
    """The answer for one document, as an object. `tags` are (number, name), in their order."""
    return {"id": external_id, "tags": [{"id": number, "name": name} for number, name in tags]}


def expected_line(external_id: str, tags: Iterable[tuple[int, str]]) -> str:
    """The same as a line of JSON, without its newline."""
    return json.dumps(expected(external_id, tags), ensure_ascii=False)
