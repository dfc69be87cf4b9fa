"""A row's key in a text that came from outside: an address, a form."""

from __future__ import annotations

import re


def key_in(text: str) -> int | None:
    """The key; None where the text is none: not digits, or more of them than a key can have."""
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None
