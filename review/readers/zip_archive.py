"""A ZIP of Markdown, text, HTML and reStructuredText files. Nothing of it is written to disk.

All of it is judged by its table of contents before anything is unpacked; what that table says of
a member's size is then also the most that is unpacked of it.
"""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import BinaryIO

from . import LONGEST, Incoming, Refused, too_long
from .markdown_folder import ENDINGS, read_text

MOST_MEMBERS = 100_000
MOST_UNPACKED = 20_000_000_000  # bytes, of all together
LARGEST_MEMBER = 1_000_000_000
MOST_AT_ONCE = 12_000_000  # bytes: of the table of contents, which is read as a whole
HIGHEST_RATIO = 1000
ARCHIVES = {
    *(".zip", ".gz", ".tgz", ".tar", ".bz2", ".xz", ".zst", ".7z", ".rar", ".jar", ".war"),
    *(".whl", ".egg", ".lzma", ".cab", ".iso", ".apk", ".deb", ".rpm"),
}
BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError)


class Careful:
    """A file for zipfile that gives no more at once than it should need."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        data = self.file.read(min(size, MOST_AT_ONCE + 1) if size >= 0 else MOST_AT_ONCE + 1)
        if len(data) > MOST_AT_ONCE:
            raise Refused("The archive's table of contents is too long.")
        return data


def read_zip(file: BinaryIO, name: str, most_bytes: int = LONGEST) -> Iterator[Incoming]:
    """Yield a document a file, sorted by path; the id is the path in the archive.

    Raises Refused before the first one for an archive that is broken or not to be trusted.
    """
    for member, archive in members(file):
        source = f"{name}/{member.filename}"
        if member.file_size > most_bytes:
            problem = too_long(most_bytes)
            yield Incoming(member.filename, "", source=source, problem=problem)
            continue
        try:
            with archive.open(member) as inside:
                data = inside.read(member.file_size)
        except (*BROKEN, OSError, RuntimeError, ValueError) as error:
            problem = f"This file cannot be unpacked: {error}."
            yield Incoming(member.filename, "", source=source, problem=problem)
            continue
        found = read_text(data, member.filename)
        yield Incoming(**{**vars(found), "source": source})


def members(file: BinaryIO) -> Iterator[tuple[zipfile.ZipInfo, zipfile.ZipFile]]:
    """The files to read, after all of the archive was looked at."""
    size = file.seek(0, 2)
    file.seek(0)
    try:
        archive = zipfile.ZipFile(Careful(file))
    except (*BROKEN, OSError, ValueError, OverflowError, MemoryError) as error:
        raise Refused("This is not a ZIP archive, or it is broken.") from error
    with archive:
        found = archive.infolist()
        if reason := refusal(found, size):
            raise Refused(f"The archive was not unpacked: {reason}")
        for member in sorted(found, key=lambda member: member.filename):
            path = PurePosixPath(member.filename)
            hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
            if path.suffix.lower() in ENDINGS and not hidden and not member.is_dir():
                yield member, archive


def refusal(found: list[zipfile.ZipInfo], size: int) -> str:
    """Why the archive is not unpacked, as a sentence; "" where nothing speaks against it."""
    if len(found) > MOST_MEMBERS:
        return f"it has {len(found)} files; {MOST_MEMBERS} are allowed."
    unpacked = sum(member.file_size for member in found)
    if unpacked > MOST_UNPACKED:
        return f"its files have {unpacked / 1e9:.0f} GB in all."
    if unpacked > HIGHEST_RATIO * max(size, 1):
        return f"it is packed more than {HIGHEST_RATIO}:1."
    names = {member.filename for member in found}
    if len(names) < len(found):
        return "two of its files have the same name."
    for member in found:
        if reason := why_not(member):
            return f"“{readable(member.filename)}” {reason}"
    end = 0
    for member in sorted(found, key=lambda member: member.header_offset):
        if member.header_offset < end:
            return "its files overlap."
        end = member.header_offset + member.compress_size
    return "" if end <= size else "it is cut off."


def why_not(member: zipfile.ZipInfo) -> str:
    """What speaks against this file, as the end of a sentence."""
    name = member.orig_filename.replace("\\", "/")
    parts = name.split("/")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if name.startswith("/") or ":" in parts[0] or ".." in parts:
        return "leads out of the archive."
    if "\0" in name or name.encode(errors="ignore").decode() != name:
        return "is no name for a file."
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link, or no plain file."
    if member.flag_bits & 1:
        return "is encrypted."
    if PurePosixPath(name).suffix.lower() in ARCHIVES:
        return "is an archive in the archive."
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is packed in an unusual way."
    if member.file_size > LARGEST_MEMBER:
        return f"has {member.file_size / 1e9:.0f} GB."
    if member.file_size > HIGHEST_RATIO * max(member.compress_size, 1):
        return f"is packed more than {HIGHEST_RATIO}:1."
    return ""


def readable(name: str) -> str:
    return name.encode(errors="replace").decode().replace("\0", "?")[:100]
