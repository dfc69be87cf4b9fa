"""`make run`, once everything is installed: check, prepare the database, start all parts.

Whatever goes wrong is one sentence on the console with the remedy; the whole traceback is
in var/log/up.log.
"""

import errno
import fcntl
import http.client
import logging
import math
import os
import shutil
import signal
import socket
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from .embedded_redis import configure, find_server, free_port
from .supervise import STOP_SIGNALS, Supervisor, open_log, read_procfile, say

ROOT = Path(__file__).resolve().parent.parent
VAR = Path(os.environ.get("TAGGER_VAR") or ROOT / "var").absolute()
LOGS = VAR / "log"
LEAST_DISK = 100_000_000  # bytes free: below, SQLite and Redis soon refuse to write

asked_to_stop = threading.Event()


class CannotStart(Exception):
    """Tagger cannot start; the message says why and what to do."""


class Stopped(BaseException):
    """A signal came before there was anything to stop. Not an error: nobody may swallow it."""


def main() -> int:
    for signum in STOP_SIGNALS:
        if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:  # nohup
            signal.signal(signum, _stop)
    try:
        # install.py held these back across the exec, so that none met Python half awake.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        return up()
    except Stopped:
        for signum in STOP_SIGNALS:
            signal.signal(signum, signal.SIG_IGN)  # once is enough
        say("Stopped.")
        return 0
    except CannotStart as error:
        for line in str(error).splitlines():
            say(line)
        return 1
    except Exception as error:
        note(traceback.format_exc())
        say(sentence(error))
        return 1


def up() -> int:
    make_folders()
    host, port = address()
    url = f"http://{shown(host)}:{port}/"
    with running_alone(url):
        check_port(host, port)
        check_disk()
        commands = read_procfile(ROOT / "Procfile")
        os.environ.update(environment(commands, host, port))
        sign_in = prepare()
        if asked_to_stop.is_set():
            raise Stopped  # Python drops an exception raised while it frees an object
        supervisor = Supervisor(commands, LOGS, {"redis", "model"})
        announced = threading.Event()

        def announce() -> None:
            if wait_for(host, port, "/") and not supervisor.asked:
                say(f"Tagger is at {url} \N{EM DASH} {sign_in}")
                announced.set()

        def when_started() -> None:
            threading.Thread(target=announce, daemon=True).start()
            threading.Thread(target=begin_work, daemon=True).start()

        try:
            return supervisor.run(when_started)
        finally:
            if not announced.is_set() and "shown this once" in sign_in:
                say(f"Tagger stopped before it could say: {sign_in}")


def _stop(signum: int, frame: object) -> None:
    asked_to_stop.set()
    raise Stopped


# --- What must be true before anything starts ---------------------------------


def make_folders() -> None:
    try:
        VAR.mkdir(mode=0o700, parents=True, exist_ok=True)  # sessions, passwords, documents
        LOGS.mkdir(exist_ok=True)
        os.close(open_log(LOGS / "up.log"))
    except OSError as error:
        raise CannotStart(sentence(error)) from error


def address() -> tuple[str, int]:
    host = os.environ.get("HOST") or "127.0.0.1"
    text = os.environ.get("PORT") or "8000"
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise CannotStart(f"PORT is {text!r}: it has to be a number from 1 to 65535.")
    return host, int(text)


def shown(host: str) -> str:
    """The host as it is typed into a browser on this machine."""
    host = reached_at(host)
    return f"[{host}]" if ":" in host else host


def reached_at(host: str) -> str:
    """The address of this machine under which a server bound to `host` is reached."""
    every = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # read here, not bound
    return every.get(host, host)


def running_alone(url: str) -> IO[str]:
    """Hold var/up.lock while this Tagger runs; two on one folder would share its files."""
    lock = (VAR / "up.lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        raise CannotStart(
            f"Tagger already runs on {VAR}: {lock.read().strip() or 'it is just starting'}. "
            "Use that one, or stop it first (Ctrl-C there)."
        ) from None
    lock.truncate(0)
    lock.write(f"{url} (process {os.getpid()})")
    lock.flush()
    return lock


def check_port(host: str, port: int) -> None:
    try:
        family, kind, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
            probe.listen(1)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CannotStart(
                f"Port {port} on {host} is taken by another program: choose another port, "
                f"for example: make run PORT={port + 1 if port < 65535 else 8000}"
            ) from None
        if error.errno == errno.EACCES:
            raise CannotStart(
                f"Port {port} needs the rights of root: choose one above 1023, "
                "for example: make run PORT=8000"
            ) from None
        raise CannotStart(
            f"This machine has no address {host!r} to listen on: HOST is 127.0.0.1 for this "
            "machine alone, 0.0.0.0 for everyone on its network."
        ) from None


def check_disk() -> None:
    free = shutil.disk_usage(VAR).free
    if free < LEAST_DISK:
        raise CannotStart(
            f"The disk is full: {free // 1_000_000} MB are free at {VAR}, and Tagger needs at "
            f"least {LEAST_DISK // 1_000_000}. Make room, or set TAGGER_VAR to another folder."
        )


# --- The parts and their environment -------------------------------------------


def environment(commands: dict[str, str], host: str, port: int) -> dict[str, str]:
    """The variables the Procfile and the settings need; drops the parts not to be started."""
    memory = "/dev/shm"  # noqa: S108  # Gunicorn makes its files there safely
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    found = {
        "TAGGER_VAR": str(VAR),
        "HOST": host,
        "PORT": str(port),
        "TAGGER_BIND": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        # Gunicorn touches a file to say that it lives: in memory, since a slow disk would
        # make it look dead.
        "TAGGER_HEARTBEATS": memory if os.access(memory, os.W_OK) else str(VAR),
        "PYTHONUNBUFFERED": "1",  # lines come when they are printed
        "PYTHONDONTWRITEBYTECODE": "1",  # nothing is written outside var/
        "PATH": path,
    }
    if os.environ.get("REDIS_URL"):
        del commands["redis"]
    else:
        server = find_server()
        if server is None:
            raise CannotStart(
                "There is no Redis: install one (apt install redis-server), or set REDIS_URL."
            )
        found["REDIS_URL"] = configure(VAR / "redis")
        found["TAGGER_REDIS_SERVER"] = f"'{server}'" if " " in server else server
    embedded = not (os.environ.get("OPENAI_BASE_URL") or os.environ.get("OPENAI_API_KEY"))
    if embedded:
        model_port = str(free_port())
        found["TAGGER_MODEL_PORT"] = model_port
        found["TAGGER_EMBEDDED_URL"] = f"http://127.0.0.1:{model_port}/v1"
    else:
        del commands["model"]
    train_python = os.environ.get("TAGGER_TRAIN_PYTHON")
    if not Path(train_python or ROOT / ".venv-train" / "bin" / "python").exists():
        del commands["trainer"]  # it could only say so
    # The embedded model answers one document at a time; a second worker would only wait.
    workers = whole("TAGGER_WORKERS", 1 if embedded else 2)
    if embedded:
        del commands["proposer"]
        return found | {
            "TAGGER_WORKER_QUEUES": "celery,webhooks,imports",
            "TAGGER_WORKERS": str(workers),
        }
    # Another's server answers many at a time. A thread costs little while it waits; a quarter
    # more of them than calls, so that the next call begins while others write down the last.
    calls = whole("TAGGER_CALLS_AT_ONCE", 32)
    found["TAGGER_PROPOSER_THREADS"] = str(math.ceil(calls * 1.25 / workers))
    for number in range(2, workers + 1):
        commands[f"proposer-{number}"] = commands["proposer"].replace(
            "proposer@", f"proposer-{number}@"
        )
    return found | {"TAGGER_WORKER_QUEUES": "webhooks,imports", "TAGGER_WORKERS": "2"}


def whole(name: str, default: int) -> int:
    text = os.environ.get(name) or str(default)
    if not text.isdecimal() or int(text) < 1:
        raise CannotStart(f"{name} is {text!r}: it has to be a number from 1 on.")
    return int(text)


def prepare() -> str:
    """Bring the database up to date; return how to sign in."""
    try:
        import django

        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tagger_site.settings")
        django.setup()
        log_into_a_file()
    except (OSError, ImportError, SyntaxError):
        raise
    except Exception as error:
        note(traceback.format_exc())
        raise CannotStart(
            f"The settings cannot be used: {first_line(error)} "
            "Check the environment variables, DATABASE_URL first (docs/settings.md)."
        ) from error
    from django.core.checks import run_checks
    from django.core.management import call_command

    from review.pipeline.first_start import first_start
    from review.pipeline.promote import write_served

    serious = [m for m in run_checks() if m.is_serious() and not m.is_silenced()]
    if serious:
        raise CannotStart("\n".join(f"{m.msg} {m.hint or ''}" for m in serious))
    call_command("migrate", interactive=False, verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    first = first_start()
    write_served()
    close_connections()
    note(f"prepared; {first.documents_added} documents added, {first.documents} in all")
    who = f"sign in as {first.admin_name}"
    if first.admin_password is None:
        change = f".venv/bin/python manage.py changepassword {first.admin_name}"
        return f"{who} (to change the password: {change})."
    if os.environ.get("TAGGER_ADMIN_PASSWORD"):
        return f"{who} with the password in TAGGER_ADMIN_PASSWORD."
    return f"{who} with password {first.admin_password} (shown this once)."


def log_into_a_file() -> None:
    """Of what is logged here only the news are for the console: the rest goes into up.log."""
    file = os.fdopen(open_log(LOGS / "up.log"), "a")
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(file)
            # The disk is full: that is said where something had to be written.
            handler.handleError = lambda record: None  # type: ignore[method-assign]


def close_connections() -> None:
    """The parts open their own; a connection held here would keep SQLite's log from shrinking."""
    from django.db import connections

    connections.close_all()


# --- Once it runs ---------------------------------------------------------------


def wait_for(host: str, port: int, path: str, ok: range = range(100, 600)) -> bool:
    """Wait until a server answers GET `path` with a status in `ok`."""
    host = reached_at(host)
    while True:
        connection = http.client.HTTPConnection(host, port, timeout=10)
        try:
            connection.request("GET", path)
            if connection.getresponse().status in ok:
                note(f"{host}:{port}{path} answers")
                return True
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(0.1)


def begin_work() -> None:
    """Have the waiting documents proposed as soon as the model is loaded.

    Beat would think of them within a minute; earlier they would only find no model. The
    line that wait_for() leaves in up.log is what `make smoke` measures from.
    """
    from review.tasks import sweep_up

    if url := os.environ.get("TAGGER_EMBEDDED_URL"):
        parts = urlsplit(url)
        wait_for(parts.hostname or "127.0.0.1", parts.port or 80, "/health", range(200, 300))
    try:
        sweep_up.delay()
    except Exception as error:  # whatever a broker that is away leads to: beat comes anyway
        note(f"could not tell the worker to begin: {first_line(error)}")


def note(text: str) -> None:
    """A line in up.log, with the time."""
    try:
        with (LOGS / "up.log").open("a") as log:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {time.time():.2f} {text}\n")
    except OSError:
        pass  # the disk is full or read-only, which the console says


def first_line(error: BaseException) -> str:
    text = (str(error) or type(error).__name__).strip().splitlines()[0]
    return text if text.endswith((".", "!", "?")) else text + "."


def sentence(error: BaseException) -> str:
    """What to tell a person about an error that nobody expected here."""
    text = first_line(error)
    code: Any = getattr(error, "errno", None)
    if code == errno.ENOSPC or "disk is full" in text:
        return f"The disk is full at {VAR}: make room, or set TAGGER_VAR to another folder."
    if code in (errno.EACCES, errno.EPERM, errno.EROFS) or "readonly database" in text:
        return (
            f"Tagger cannot write: {text} Check who owns {VAR}, or set TAGGER_VAR "
            "to a folder of yours."
        )
    if type(error).__module__.startswith(("django.db", "sqlite3", "psycopg")):
        return f"The database cannot be used: {text} Check DATABASE_URL (details: {LOGS}/up.log)."
    return f"Tagger could not start: {text} The details are in {LOGS}/up.log"


if __name__ == "__main__":
    sys.exit(main())
