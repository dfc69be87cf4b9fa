"""A file, or every Markdown and text file below a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from . import Incoming, decode, first_heading

ENDINGS = {".md", ".markdown", ".txt"}


def read_folder(folder: Path) -> Iterator[Incoming]:
    """Yield a document a file, sorted by path; the id is the path below the folder.

    Links are passed over: they may lead out of the folder.
    """
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in ENDINGS and path.is_file() and not path.is_symlink():
            yield read_file(path, str(path.relative_to(folder)))


def read_file(path: Path, external_id: str) -> Incoming:
    """The document in one file, whatever its ending."""
    text, problem = decode(path.read_bytes())
    title = first_heading(text) or path.name
    return Incoming(external_id, text, title=title, source=str(path), problem=problem)
