"""Which documents a model may be trained on: a split by the text, the same in every release."""

from __future__ import annotations

from typing import Literal

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def split_of(sha256: str) -> Split:
    """80 / 10 / 10 by the hash of a document's text.

    The same text under another id is always on the same side, today and later. What `evaluate`
    holds back (exam.side_of) are validation and test together, so nothing it asks was trained on.
    """
    place = int(sha256[:8], 16) % 10
    return "test" if place == 0 else "validation" if place == 5 else "train"
