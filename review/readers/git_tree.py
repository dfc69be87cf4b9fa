"""Git working trees: the README of each. Only files are read; no git runs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from . import LONGEST, Incoming
from .markdown_folder import MARKDOWN, is_plain_file, read_file

DEEPEST = 4  # folders that a working tree may be below the one given
# Of several READMEs the first counts; Markdown is before all others.
READMES = re.compile(r"readme(\.(md|markdown|mdown|rst|rest|txt|text|html|htm))?", re.IGNORECASE)


def read_git_trees(folder: Path, most_bytes: int = LONGEST) -> Iterator[Incoming]:
    """Yield the README of the working tree in this folder, or of every one below it.

    The id is the tree's path below the folder, or the folder's name; the source is where it was
    cloned from. A tree without a README has that as its problem.
    """
    if (folder / ".git").exists():
        yield read_tree(folder, folder.resolve().name, most_bytes)
        return
    for tree in trees_below(folder):
        yield read_tree(tree, tree.relative_to(folder).as_posix(), most_bytes)


def trees_below(folder: Path) -> Iterator[Path]:
    for path, folders, _files in os.walk(folder):
        here = Path(path)
        if (here / ".git").exists():
            folders.clear()
            yield here
        elif len(here.relative_to(folder).parts) >= DEEPEST:
            folders.clear()
        folders.sort()


def read_tree(tree: Path, external_id: str, most_bytes: int) -> Incoming:
    origin = origin_of(tree) or str(tree)
    readmes = [
        path
        for path in sorted(tree.iterdir())
        if READMES.fullmatch(path.name) and is_plain_file(path, tree)
    ]
    readmes.sort(key=lambda path: path.suffix.lower() not in MARKDOWN)
    if not readmes:
        problem = "This working tree has no README."
        return Incoming(external_id, "", source=origin, problem=problem)
    found = read_file(readmes[0], external_id, most_bytes)
    title = external_id if found.title == readmes[0].name else found.title
    return replace(found, source=origin, title=title)


def origin_of(tree: Path) -> str:
    """Where it was cloned from, as its .git/config says, without a name and password; or ""."""
    config = tree / ".git" / "config"
    if not is_plain_file(config, tree):
        return ""  # a worktree or a submodule
    with config.open(encoding="utf-8", errors="replace") as file:
        text = file.read(100_000)
    found = re.search(r'^\[remote "origin"\][^\[]*?^\s*url\s*=\s*(\S+)', text, re.MULTILINE)
    if found is None:
        return ""
    address = found[1].replace("\0", "")
    if "://" not in address:
        return address
    try:
        parts = urlsplit(address)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    except ValueError:
        return ""
