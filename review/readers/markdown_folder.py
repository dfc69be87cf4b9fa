"""A file, or every Markdown, text, HTML and reStructuredText file below a folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from . import LONGEST, Incoming, decode, first_heading, too_long
from .html_page import read_html

MARKDOWN = {".md", ".markdown", ".mdown"}
HTML = {".html", ".htm", ".xhtml"}
PLAIN = {".txt", ".text", ".rst", ".rest"}
ENDINGS = MARKDOWN | HTML | PLAIN


def read_folder(folder: Path, most_bytes: int = LONGEST) -> Iterator[Incoming]:
    """Yield a document a file, sorted by path; the id is the path below the folder.

    Links are passed over, they may lead out of the folder; and so is what is hidden, as .git.
    """
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in inside.parts)
        if path.suffix.lower() in ENDINGS and not hidden and is_plain_file(path, folder):
            yield read_file(path, inside.as_posix(), most_bytes)


def is_plain_file(path: Path, folder: Path) -> bool:
    """False for a link, and for what is below a link."""
    above = [parent for parent in path.parents if folder in parent.parents]
    return not any(one.is_symlink() for one in (path, *above)) and path.is_file()


def read_file(path: Path, external_id: str, most_bytes: int = LONGEST) -> Incoming:
    """The document in one file, whatever its ending."""
    name = readable(external_id)
    source = readable(str(path))
    try:
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
    except PermissionError:
        return Incoming(name, "", source=source, problem="This file may not be read.")
    if len(data) > most_bytes:
        return Incoming(name, "", source=source, problem=too_long(most_bytes))
    return replace(read_text(data, name), source=source)


def readable(name: str) -> str:
    """A name of the file system, which need not be text."""
    return name.encode(errors="replace").decode()


def read_text(data: bytes, name: str) -> Incoming:
    """The document in the bytes of a file of this name."""
    path = PurePosixPath(name)
    ending = path.suffix.lower()
    if ending in HTML:
        text, title, problem = read_html(data)
    else:
        text, problem = decode(data)
        title = underlined(text) if ending in PLAIN else ""
    return Incoming(
        name,
        text,
        title=title or first_heading(text) or path.name,
        source=name,
        problem=problem,
        markup="plain" if ending in PLAIN else "markdown",
    )


def underlined(text: str) -> str:
    """The title of a reStructuredText: a line above one of as many marks; "" without one."""
    found = re.search(r"^(\S.{0,200})\n([=\-~^#*])\2{2,}[ \t]*$", text[:5000], flags=re.MULTILINE)
    return found[1].strip() if found else ""
