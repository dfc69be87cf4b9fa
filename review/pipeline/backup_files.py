"""The files under TAGGER_VAR that rows refer to: what a backup takes along, and puts back."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from django.conf import settings

from review.models import Import, ImportState, Release, ReleaseState, Training, TrainingState

from .on_disk import keep, sha256_of

FOLDERS = ("releases", "trainings", "uploads")
PIECE = 1 << 20  # bytes
UNLOADED = (ImportState.ASKING, ImportState.WAITING, ImportState.RUNNING)


class NotPut(ValueError):
    """A file cannot be put back; the sentence says why."""


def wanted() -> Iterator[Path]:
    """Yield the files and folders of releases, trained models and imports that still wait."""
    var = Path(settings.VAR)
    for release in Release.objects.filter(state=ReleaseState.READY).order_by("pk"):
        yield var / release.folder
    yield from sorted((var / "releases").glob("*/*.deleted"))  # numbers never given again
    for training in Training.objects.filter(state=TrainingState.READY).order_by("pk"):
        yield var / training.folder
    loading = Import.objects.filter(state__in=UNLOADED).exclude(upload="").order_by("pk")
    for upload in loading.values_list("upload", flat=True):
        yield var / "uploads" / upload


def files_in(path: Path) -> list[Path]:
    """The plain files; none where nothing is there."""
    found = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [one for one in found if one.is_file() and not one.is_symlink()]


def name_of(path: Path) -> str:
    return path.relative_to(settings.VAR).as_posix()


def leads_out(name: str) -> bool:
    """Whether a file of this name would be anywhere but in one of FOLDERS."""
    parts = name.split("/")
    odd = any(part in ("", ".", "..") or part != part.strip() for part in parts)
    odd = odd or not name.isprintable() or "\\" in name or ":" in parts[0]
    return odd or len(parts) < 2 or parts[0] not in FOLDERS


def put(name: str, source: IO[bytes], sha256: str) -> None:
    """Write a file, whole or not at all. The same one there already is left. Raises NotPut."""
    path = Path(settings.VAR) / name
    if path.exists():
        if path.is_file() and sha256_of(path) == sha256:
            return  # of a restore that was killed
        raise NotPut(f"{path} is there already, and is another: move it away.")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    summed = hashlib.sha256()
    try:
        with part.open("xb") as file:
            while piece := source.read(PIECE):
                summed.update(piece)
                file.write(piece)
        if summed.hexdigest() != sha256:
            raise NotPut(f"{name} is not what the manifest says.")
        keep(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    keep(path.parent)
