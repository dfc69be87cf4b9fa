"""A release as one zip, made while it is sent: it is never on the disk or in memory whole."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

PIECE = 1 << 20


class _Passing(io.RawIOBase):
    """What was written to it, to be taken away piece by piece."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._pieces.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        taken, self._pieces = b"".join(self._pieces), []
        return taken


def zipped(folder: Path, name: str) -> Iterator[bytes]:
    """Yield the zip of a folder; in it all is in a folder of this name."""
    out = _Passing()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in sorted(folder.rglob("*")):
            if not path.is_file():
                continue
            inside = zipfile.ZipInfo.from_file(path, f"{name}/{path.relative_to(folder)}")
            inside.compress_type = zipfile.ZIP_DEFLATED
            with path.open("rb") as file, archive.open(inside, "w", force_zip64=True) as entry:
                while piece := file.read(PIECE):
                    entry.write(piece)
                    if taken := out.take():
                        yield taken
    yield out.take()
