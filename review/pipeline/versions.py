"""Two vocabulary versions side by side."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from review.models import VocabularyVersion


@dataclass
class Differences:
    """Tags as versions have them: `{"id": …, "name": …, "description": …, "not_for": …}`.

    renamed, described: (before, after), with another name, or with other texts.
    """

    added: list[dict[str, Any]] = field(default_factory=list)
    removed: list[dict[str, Any]] = field(default_factory=list)
    renamed: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)
    described: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)
    same: int = 0


def differences(earlier: VocabularyVersion, later: VocabularyVersion) -> Differences:
    """What happened from one to the other, by number. Retired and merged tags are removed."""
    old = {tag["id"]: tag for tag in earlier.tags}
    new = {tag["id"]: tag for tag in later.tags}
    found = Differences(
        added=[tag for number, tag in new.items() if number not in old],
        removed=[tag for number, tag in old.items() if number not in new],
    )
    for number in old.keys() & new.keys():
        pair = (old[number], new[number])
        if pair[0]["name"] != pair[1]["name"]:
            found.renamed.append(pair)
        if any(pair[0][text] != pair[1][text] for text in ("description", "not_for")):
            found.described.append(pair)
        found.same += pair[0] == pair[1]
    found.renamed.sort(key=lambda pair: str(pair[0]["name"]))
    found.described.sort(key=lambda pair: str(pair[0]["name"]))
    return found
