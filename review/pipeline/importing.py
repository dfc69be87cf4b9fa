"""A file, a folder or a page on its way in: an `Import` row, which a worker loads.

The upload lies under var/uploads until it is loaded; it is never served. A worker that dies
leaves a lease that runs out, and the sweeper has another go on where it was.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from review.models import Columns, Import, ImportState, Project
from review.readers import Incoming, Refused
from review.readers.csv_table import Table, guess_columns, look_at
from review.readers.guess import Format, guess, read
from review.readers.row import BY_THEIR_NAMES, FIELDS
from review.readers.web_page import read_page

from .intake import LEASE, Intake, Lost, most_bytes, take_in

PAGE = "page"  # of the web: beside the formats of readers/guess
MOST_ATTEMPTS = 3  # without any progress
RENEWED = 1000  # rows that are passed over, to where the last worker was, between two renewals
HEAD = 1000  # bytes to guess the format from

news = logging.getLogger("tagger")


class NotColumns(ValueError):
    """What was said about the columns cannot be; the sentence is for who said it."""


def upload_folder() -> Path:
    return Path(settings.VAR) / "uploads"


def bring_file(project: Project, user: User, name: str, upload: Path) -> Import:
    """An import of a file that was uploaded; `upload` is moved away. Tell a worker of it then.

    A table whose header is new waits for an answer: which column is which.
    """
    folder = upload_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = uuid.uuid4().hex
    os.replace(upload, folder / kept)
    record = Import(
        project=project,
        user=user,
        name=Path(name.replace("\\", "/")).name[:2000] or "upload",
        upload=kept,
        bytes_total=(folder / kept).stat().st_size,
    )
    with (folder / kept).open("rb") as file:
        record.format = guess(record.name, file.read(HEAD))
    if record.format == Format.TABLE:
        try:
            table = table_of(record)
        except Refused as refused:
            return _refuse(record, str(refused))
        known = remembered(project, table)
        record.columns = known or guess_columns(table.header)
        record.state = ImportState.WAITING if known else ImportState.ASKING
    record.save()
    return record


def bring_page(project: Project, user: User, url: str) -> Import:
    """An import of a page of the web. Tell a worker of it then."""
    return Import.objects.create(project=project, user=user, name=url[:2000], format=PAGE)


def table_of(record: Import) -> Table:
    """The header and the first rows of an uploaded table. Raises Refused."""
    try:
        with (upload_folder() / record.upload).open("rb") as file:
            return look_at(file, most_bytes=most_bytes())
    except OSError as error:
        raise Refused(_("The uploaded file is gone. Bring it again.")) from error


def answer_columns(record: Import, columns: Mapping[str, str]) -> None:
    """Load it with these columns, and remember them for files with the same header.

    Raises NotColumns. Tell a worker of it then.
    """
    table = table_of(record)
    chosen = check_columns(columns, table.header)
    asking = Import.objects.filter(pk=record.pk, state=ImportState.ASKING)
    if asking.update(state=ImportState.WAITING, columns=chosen):
        Columns.objects.update_or_create(
            project=record.project,
            header_sha256=_sha256_of(table),
            defaults={"columns": chosen},
        )


def check_columns(columns: Mapping[str, str], header: list[str]) -> dict[str, str]:
    """Those that are given. Raises NotColumns where one is not there, or none is the text."""
    chosen = {field: columns[field] for field in FIELDS if columns.get(field)}
    for name in chosen.values():
        if name not in header:
            raise NotColumns(_("There is no column “%(name)s”.") % {"name": name})
    if "text" not in chosen:
        raise NotColumns(_("Say which column has the text."))
    return chosen


def remembered(project: Project, table: Table) -> dict[str, str]:
    """What was answered for this header before; nothing where nobody was asked yet."""
    known = project.columns.filter(header_sha256=_sha256_of(table)).first()
    return dict(known.columns) if known else {}


def _sha256_of(table: Table) -> str:
    return hashlib.sha256(json.dumps(table.header).encode(errors="replace")).hexdigest()


def stop(record: Import) -> bool:
    """What is loaded stays; the rest is not. False where it was over already."""
    going = Import.objects.filter(pk=record.pk).exclude(
        state__in=[ImportState.DONE, ImportState.REFUSED, ImportState.STOPPED]
    )
    if not going.update(state=ImportState.STOPPED, finished_at=timezone.now()):
        return False
    _remove(record)
    return True


def load(import_id: int) -> None:
    """A worker's part: load it from where it stands. Run twice at once, one goes away."""
    record = claim(import_id)
    if record is None:
        return
    try:
        if record.format == PAGE:
            run(record, iter([read_page(record.name, most_bytes())]))
        elif not record.upload:
            told = _("The command ended early. Give it again: it goes on where it was.")
            _refuse(record, told)
        else:
            with (upload_folder() / record.upload).open("rb") as file:
                run(record, read_upload(record, file), file)
    except Lost:
        news.info("%s: another worker has it, or it was stopped.", record)
    except Refused as refused:
        _refuse(record, str(refused))
    except FileNotFoundError:
        _refuse(record, _("The uploaded file is gone. Bring it again."))


def load_file(
    project: Project, path: Path, columns: Mapping[str, str] | None = None
) -> tuple[Import, Intake]:
    """Load a file here and now. Raises Refused, NotColumns and OSError.

    columns: for a table, else what was answered for its header, else by the names in it; for
    JSON, where the fields have other names.
    """
    with path.open("rb") as file:
        kind = guess(path.name, file.read(HEAD))
        file.seek(0)
        if kind == Format.TABLE:
            table = look_at(file, most_bytes=most_bytes())
            file.seek(0)
            known = columns or remembered(project, table) or guess_columns(table.header)
            columns = check_columns(known, table.header)
        elif columns:
            columns = {**BY_THEIR_NAMES, **columns}
        found = read(kind, file, path.name, columns, most_bytes())
        return load_now(project, str(path), kind, found, file)


def load_now(
    project: Project,
    name: str,
    kind: str,
    incoming: Iterator[Incoming],
    file: BinaryIO | None = None,
) -> tuple[Import, Intake]:
    """Load what a reader yields, here and now, as an import of nobody. Raises Refused."""
    record = Import.objects.create(
        project=project,
        name=name[:2000],
        format=kind,
        state=ImportState.RUNNING,
        lease_token=uuid.uuid4(),
        lease_expires_at=timezone.now() + LEASE,
    )
    try:
        intake = run(record, incoming, file)
    except Refused as refused:
        _refuse(record, str(refused))
        raise
    except BaseException:
        stop(record)
        raise
    record.refresh_from_db()
    return record, intake


def read_upload(record: Import, file: BinaryIO) -> Iterator[Incoming]:
    return read(Format(record.format), file, record.name, record.columns, most_bytes())


def claim(import_id: int) -> Import | None:
    """Take it up, if it waits or its worker died. One that ends its worker is set aside."""
    now = timezone.now()
    due = Import.objects.due(now).filter(pk=import_id)
    given_up = due.filter(attempts__gte=MOST_ATTEMPTS).first()
    if given_up is not None:
        told = _("The worker died %(times)d times at the same place. It was set aside.")
        _refuse(given_up, told % {"times": MOST_ATTEMPTS})
        return None
    token = uuid.uuid4()
    if not due.update(
        state=ImportState.RUNNING,
        attempts=F("attempts") + 1,
        lease_token=token,
        lease_expires_at=now + LEASE,
    ):
        return None
    return Import.objects.select_related("project").get(pk=import_id)


def run(record: Import, incoming: Iterator[Incoming], file: BinaryIO | None = None) -> Intake:
    """Load what is left of it, under the lease that the caller holds. Raises Lost, Refused."""
    _pass_over(record, incoming)
    intake = take_in(record.project, incoming, record, file.tell if file else lambda: 0)
    mine = Import.objects.filter(pk=record.pk, lease_token=record.lease_token)
    done = mine.filter(state=ImportState.RUNNING).update(
        state=ImportState.DONE, finished_at=timezone.now(), bytes_done=F("bytes_total")
    )
    if not done:
        raise Lost
    _remove(record)
    return intake


def _pass_over(record: Import, incoming: Iterator[Incoming]) -> None:
    """The rows that the last worker has stored."""
    mine = Import.objects.filter(pk=record.pk, lease_token=record.lease_token)
    for number in range(record.rows):
        next(incoming, None)
        if number % RENEWED == 0 and not mine.update(lease_expires_at=timezone.now() + LEASE):
            raise Lost


def _refuse(record: Import, reason: str) -> Import:
    """Before its row is there, or while it is held."""
    record.state, record.reason = ImportState.REFUSED, reason
    record.finished_at = timezone.now()
    if record.pk is None:
        record.save()
    else:
        open_states = [ImportState.WAITING, ImportState.RUNNING]
        Import.objects.filter(pk=record.pk, state__in=open_states).update(
            state=record.state, reason=reason, finished_at=record.finished_at
        )
    _remove(record)
    return record


def forget_leftovers() -> None:
    """Remove what uploads left that ended with their server: the web's own part is minutes."""
    yesterday = time.time() - 86_400
    for path in upload_folder().glob("*.part"):
        if path.stat().st_mtime < yesterday:
            path.unlink(missing_ok=True)


def _remove(record: Import) -> None:
    if record.upload:
        (upload_folder() / record.upload).unlink(missing_ok=True)
