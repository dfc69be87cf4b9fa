"""The last wall before the logs: no line holds a key or a password of this installation."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

LEAST = 8  # characters: shorter ones are in too many words
FORMAT = logging.Formatter()


def passwords_in(*addresses: str) -> list[str]:
    """Of databases and brokers, as they are and as they are written in an address."""
    found = [urlsplit(address).password or "" for address in addresses]
    return [form for password in found for form in (password, unquote(password))]


class Discreet(logging.Filter):
    """Hides the secrets that it is given, in messages and in tracebacks."""

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__()
        self.secrets = sorted({s for s in secrets if len(s) >= LEAST}, key=len, reverse=True)

    def filter(self, record: logging.LogRecord) -> bool:
        said = record.getMessage()
        hidden = self.hide(said)
        if hidden != said:
            record.msg, record.args = hidden, ()
        if record.exc_info and not record.exc_text:
            record.exc_text = self.hide(FORMAT.formatException(record.exc_info))
        return True

    def hide(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, "[hidden]")
        return text
