"""Releases: ordered as a row, made by a worker, and never changed afterwards."""

from __future__ import annotations

import gc
import hashlib
import json
import logging
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import F, Max, ProtectedError
from django.utils import timezone
from django.utils.translation import gettext as _

from review.models import Project, Release, ReleaseState
from review.models.release import UNMADE
from review.writers.formats import FORMATS as FORMATS
from review.writers.formats import OutFile
from review.writers.lesson import Lesson

from . import webhook
from .archive import zipped
from .card import card, manifest
from .filters import Filters as Filters
from .filters import NotFilters as NotFilters
from .intake import LEASE, Lost
from .on_disk import keep
from .seal import seal
from .select import Counts, Selection, wanted
from .split import SPLITS

MOST_ATTEMPTS = 3
MOST_PREVIEWED = 5000  # decisions, for one page
FORMATS_AT_FIRST = ("trl", "kto", "sft", "parquet")

Told = Callable[[int, int], None]  # decisions read, of so many

news = logging.getLogger("tagger")


class Kept(ValueError):
    """It cannot be deleted, or not be downloaded yet; the sentence says why."""


class Nothing(Exception):
    """There is nothing to write; the sentence says why."""


class _Enough(Exception):
    """A preview has looked at as many decisions as it may."""


def order(
    project: Project,
    filters: Filters,
    formats: Sequence[str],
    *,
    by: User | None = None,
    note: str = "",
) -> Release:
    """A release that waits to be made; tell a worker of it then. Raises NotFilters."""
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        told = _("There is no format “%(name)s”.") % {"name": unknown[0]}
        raise NotFilters({"formats": told})
    if not formats:
        raise NotFilters({"formats": _("Choose at least one format.")})
    while True:
        last = project.releases.aggregate(last=Max("number"))["last"] or 0
        try:
            with transaction.atomic():
                return Release.objects.create(
                    project=project,
                    number=max(last, _last_folder(project)) + 1,
                    asked_by=by,
                    note=note.strip()[:500],
                    filters=filters.as_dict(),
                    formats=list(dict.fromkeys(formats)),
                )
        except IntegrityError:  # somebody ordered at the same moment
            if not project.releases.filter(number__gt=last).exists():
                raise


def _last_folder(project: Project) -> int:
    """The highest number that was given: deleted releases leave an empty file of their name."""
    folder = Path(settings.VAR) / "releases" / str(project.pk)
    return max((int(path.stem) for path in folder.glob("*.deleted")), default=0)


def make(release_id: int, told: Told | None = None) -> None:
    """A worker's part. Of two at once, one goes away; one that died is begun again."""
    release = _claim(release_id)
    if release is None:
        return
    part = Path(settings.VAR) / f"{release.folder}.{release.lease_token}.part"
    try:
        _make(release, part, told or (lambda done, of: None))
    except Lost:
        news.info("%s: another worker has it, or it was deleted.", release)
    except Nothing as nothing:
        _fail(release, str(nothing))
    except OSError as error:
        reason = error.strerror or str(error)
        _fail(release, _("The files could not be written: %(reason)s.") % {"reason": reason})
    except Exception as error:
        news.exception("%s could not be made.", release)
        told_as = _("It ended with an error that is in the log: %(error)s. Nothing was kept.")
        _fail(release, told_as % {"error": type(error).__name__})
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _claim(release_id: int) -> Release | None:
    """Take it up, if it waits or its worker died. One that ends its worker is set aside."""
    now = timezone.now()
    due = Release.objects.due(now).filter(pk=release_id)
    given_up = due.filter(attempts__gte=MOST_ATTEMPTS).first()
    if given_up is not None:
        told = _("The worker died %(times)d times while making it. It was set aside.")
        _fail(given_up, told % {"times": MOST_ATTEMPTS})
        return None
    claimed = due.update(
        state=ReleaseState.MAKING,
        attempts=F("attempts") + 1,
        lease_token=uuid.uuid4(),
        lease_expires_at=now + LEASE,
        decisions_done=0,
    )
    return Release.objects.select_related("project").get(pk=release_id) if claimed else None


def _make(release: Release, part: Path, told: Told) -> None:
    folder = folder_of(release)
    for left in folder.parent.glob(f"{release.number}.*.part"):
        shutil.rmtree(left)
    part.mkdir(parents=True, mode=0o700)
    filters = Filters.from_dict(release.filters)
    of = wanted(release.project)

    def progress(read: int) -> None:
        _say(release, decisions_done=read)
        told(read, of)

    selection = Selection(release.project, filters, progress)
    _say(release, decisions_wanted=of)
    sheets: dict[tuple[str, str], OutFile] = {
        (name, split): FORMATS[name].open(_ready(part / name) / f"{split}{FORMATS[name].suffix}")
        for name in release.formats
        for split in SPLITS
    }
    gc.freeze()  # what is here already: looking through it again and again takes a fifth more
    try:
        for lesson in selection.lessons():
            for name in release.formats:
                sheets[name, lesson.split].add(lesson)
    finally:
        gc.unfreeze()
        for sheet in sheets.values():
            sheet.close()
    if not any(sheet.rows for sheet in sheets.values()):
        raise Nothing(_nothing(selection.counts))
    files = _described(part, release, sheets)
    seal(told=lambda sealed: _say(release))  # all that was read, before the head is named
    whole = manifest(release, filters, selection.counts, files)
    text = json.dumps(whole, ensure_ascii=False, indent=1) + "\n"
    (part / "manifest.json").write_text(text)
    (part / "README.md").write_text(card(release, whole))
    for path in part.rglob("*"):
        keep(path)
    keep(part)
    _say(release)
    if folder.exists():  # left by a worker that died before it could say so
        shutil.rmtree(folder)
    part.rename(folder)
    keep(folder.parent)
    with transaction.atomic():
        _say(
            release,
            state=ReleaseState.READY,
            reason="",
            counts=whole["counts"],
            files=files,
            manifest_sha256=hashlib.sha256(text.encode()).hexdigest(),
            finished_at=timezone.now(),
            lease_token=None,
        )
        webhook.announce_release(Release.objects.get(pk=release.pk))


def _say(release: Release, **values: Any) -> None:
    """Write to its row and renew the lease. Raises Lost where another has it."""
    mine = Release.objects.filter(
        pk=release.pk, state=ReleaseState.MAKING, lease_token=release.lease_token
    )
    expires = None if "lease_token" in values else timezone.now() + LEASE
    if not mine.update(lease_expires_at=expires, **values):
        raise Lost


def _fail(release: Release, reason: str) -> None:
    held = Release.objects.filter(pk=release.pk, state__in=UNMADE, lease_token=release.lease_token)
    held.update(
        state=ReleaseState.FAILED,
        reason=reason,
        finished_at=timezone.now(),
        lease_token=None,
        lease_expires_at=None,
    )


def _nothing(counts: Counts) -> str:
    left_out = sum(counts.decisions_left_out.values())
    if not left_out and not sum(counts.pairs_left_out.values()):
        return _("Nobody has decided on a model's answers yet: there is nothing to release.")
    told = _("Nothing is left: the filters and the policy left out all %(count)d decisions.")
    return told % {"count": left_out} if left_out else _("No pair is left to release.")


def _ready(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def _described(
    part: Path, release: Release, sheets: dict[tuple[str, str], OutFile]
) -> list[dict[str, Any]]:
    """Write what belongs beside the data files, and describe all of them."""
    found: dict[Path, tuple[int | None, str]] = {
        sheet.path: (sheet.rows, sheet.sha256) for sheet in sheets.values()
    }
    for name in release.formats:
        filled = [sheets[name, split].path.name for split in SPLITS if sheets[name, split].rows]
        for beside, text in FORMATS[name].beside(filled).items():
            path = part / name / beside
            path.write_text(text)
            found[path] = (None, hashlib.sha256(text.encode()).hexdigest())
    return [
        {
            "name": str(path.relative_to(part)),
            "rows": count,
            "bytes": path.stat().st_size,
            "sha256": sha256,
        }
        for path, (count, sha256) in found.items()
    ]


def folder_of(release: Release) -> Path:
    return Path(settings.VAR) / release.folder


def delete(release: Release) -> None:
    """Remove it with its files. Raises Kept when somebody has it, or a model was trained on it."""
    try:
        with transaction.atomic():
            gone, _rows = Release.objects.filter(pk=release.pk, downloaded_at=None).delete()
    except ProtectedError as trained:
        raise Kept(_("A model was trained on this release. It stays, to say on what.")) from trained
    if not gone:
        raise Kept(_("Somebody has downloaded this release. It stays, as they may refer to it."))
    folder = folder_of(release)
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.with_name(f"{release.number}.deleted").touch()
    shutil.rmtree(folder, ignore_errors=True)


def preview(release: Release, count: int = 20) -> list[Lesson]:
    """The first lessons that have pairs, as they would be written now.

    Only so many decisions are looked at: filters may leave all of a million out.
    """

    def told(read: int) -> None:
        if read > MOST_PREVIEWED:
            raise _Enough

    selection = Selection(release.project, Filters.from_dict(release.filters), told)
    found: list[Lesson] = []
    with suppress(_Enough):
        for lesson in islice((one for one in selection.lessons() if one.pairs), count):
            found.append(lesson)
    return found


def difference(one: Release, other: Release) -> list[tuple[str, Any, Any]]:
    """In filters and counts: (which, the first's, the other's), only where they differ."""
    flat = [{**_flat("", it.filters), **_flat("", it.counts)} for it in (one, other)]
    names = dict.fromkeys([*flat[0], *flat[1]])
    rows = [(name, flat[0].get(name), flat[1].get(name)) for name in names]
    return [row for row in rows if row[1] != row[2]]


def _flat(before: str, values: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= _flat(f"{before}{name}.", value)
        else:
            found[before + name] = value
    return found


def archive(release: Release) -> Iterator[bytes]:
    """The folder as a zip, piece by piece; it can be deleted no more. Raises Kept."""
    if release.state != ReleaseState.READY:
        raise Kept(_("This release is not ready: there is nothing to download yet."))
    if not folder_of(release).is_dir():
        raise Kept(_("The files of this release are not on this machine (TAGGER_VAR)."))
    there = Release.objects.filter(pk=release.pk)
    there.filter(downloaded_at=None).update(downloaded_at=timezone.now())
    if not there.exists():
        raise Kept(_("This release was deleted at this moment."))
    return zipped(folder_of(release), f"release-{release.number}")
