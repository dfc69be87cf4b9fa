"""What a release's page shows of its rows: of the frozen files, or of what would be written now."""

from __future__ import annotations

from dataclasses import dataclass

from review.models import Release, ReleaseState
from review.writers.read_back import BY_WORTH, Row, first_rows

from .release import folder_of, preview

SHOWN = 10


@dataclass(frozen=True)
class Rows:
    """file: that they were read from; "" where the release is not made yet."""

    rows: list[Row]
    file: str = ""


def rows_of(release: Release) -> Rows:
    """Raises OSError where the files are not on this machine."""
    if release.state == ReleaseState.READY:
        name = _file(release)
        return Rows(first_rows(folder_of(release) / name, SHOWN), name)
    found = [
        Row(
            [(one["role"], one["content"]) for one in lesson.messages],
            list(lesson.chosen),
            list(loser.tags),
            lesson.document,
        )
        for lesson in preview(release, SHOWN)
        for loser in lesson.pairs
    ]
    return Rows(found[:SHOWN])


def _file(release: Release) -> str:
    """The first with rows: in the order of BY_WORTH, and of the splits."""
    filled = [file["name"] for file in release.files if file["rows"]]
    return str(min(filled, key=lambda name: BY_WORTH.index(name.partition("/")[0])))
