"""A document's story in the logs: one line for each thing that happens to it, from its coming to
the picks, and which request it was that made it happen.

Each line names the document as d and its key: `grep -w d5201` finds them all.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextvars import ContextVar

log = logging.getLogger("review.story")  # its level is the settings', whatever a worker's is

# Of the web's request that is being answered, or that the worker's task came of.
request_id: ContextVar[str] = ContextVar("request_id", default="")


def tell(event: str, *documents: int, **more: object) -> None:
    """Write the line. more: what else is known; in the JSON logs, fields of their own."""
    named = " ".join(f"d{key}" for key in documents)
    said = " ".join(f"{name}={value}" for name, value in more.items())
    fields = {"event": event, "documents": documents, "more": more}
    log.info("%s %s%s", event, named, f" {said}" if said else "", extra=fields)


def tell_of_many(event: str, documents: Sequence[int]) -> None:
    """One line for each hundred: an import of a million is not to fill the disk."""
    for start in range(0, len(documents), 100):
        tell(event, *documents[start : start + 100])
