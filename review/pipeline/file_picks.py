"""Labelled documents as if people had picked their best tags: for `manage.py evaluate`.

For a document that is itself one of them it is as if it were not; nor is a copy of it there.
"""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Sequence

from review.llm.likeness import Example as Like
from review.llm.likeness import Pool
from review.llm.rank import Example, Ranker
from review.readers.labelled import Labelled

from . import ranking
from .learn import Similar

PARTS = 5


class FilePicks:
    """The picks, and a ranker of these tags that has them for examples. Safe to share."""

    def __init__(self, tags: ranking.Tags, picks: Sequence[Labelled]) -> None:
        self.picks = picks
        self._pool = Pool([(str(at), it.title, it.text, it.best) for at, it in enumerate(picks)])
        self._texts = {pick.text for pick in picks}
        self._lock = threading.Lock()

        @functools.cache
        def without(part: int | None) -> Ranker:
            others = [pick for pick in picks if part_of(pick) != part]
            return ranking.of_tags(tags, [Example(it.title, it.text, it.best) for it in others])

        self._without = without

    def similar(self, asked: Labelled) -> Similar:
        """What finds those most like a document, among all the others."""
        own = {
            str(at)
            for at, pick in enumerate(self.picks)
            if pick.external_id == asked.external_id or pick.text == asked.text
        }

        def nearest(title: str, text: str, count: int) -> Sequence[Like]:
            return self._pool.nearest(title, text, count, own)

        return nearest

    def ranker(self, asked: Labelled) -> Ranker:
        """By which a document is ranked: made without it, and without a fifth of the others."""
        with self._lock:
            return self._without(part_of(asked) if asked.text in self._texts else None)


def part_of(document: Labelled) -> int:
    return hashlib.sha256(document.text.encode()).digest()[0] % PARTS
