"""Run several programs together, and stop them together: the part of `make run` that stays.

Written here, and not taken from honcho, because of how it has to stop: the worker first
and without haste while Redis and the model still answer, each program told once (honcho
signals whole groups, which kills Celery's pool in the middle of a document), and a signal
that comes early, twice, or from a closed terminal leaves nothing behind.
"""

import contextlib
import ctypes
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
NEWS = b"tagger: "  # a line of a child that starts so is for the person at the console
LARGEST_LOG = 10_000_000  # bytes; a larger one is put aside at the next start
PATIENCE = 25.0  # seconds for the first to stop: a document in work may finish
SHORT_PATIENCE = 5.0  # seconds for those that served them


def say(line: str) -> None:
    """Print a line, without what a hostile document's title could do to a terminal."""
    clean = "".join(c if c.isprintable() else " " for c in line)
    with contextlib.suppress(OSError):  # the terminal or the pipe is gone: the logs go on
        os.write(1, (clean + "\n").encode())


def read_procfile(path: Path) -> dict[str, str]:
    """The commands of a Procfile by name, in its order."""
    found = re.findall(r"^([A-Za-z0-9_-]+):\s*(.+)$", path.read_text(), re.MULTILINE)
    return dict(found)


def open_log(path: Path) -> int:
    if path.exists() and path.stat().st_size > LARGEST_LOG:
        path.replace(path.with_name(path.name + ".1"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def stop_with_parent() -> None:
    """In the child, before it becomes the program: have Linux stop it if we are killed."""
    if LIBC is not None:
        LIBC.prctl(1, signal.SIGTERM)  # 1: PR_SET_PDEATHSIG


LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class Child:
    """One running program in a process group of its own, and its log."""

    def __init__(self, name: str, command: str, logs: Path) -> None:
        self.name = name
        self.log_path = logs / f"{name}.log"
        self.log = open_log(self.log_path)
        self.partial = b""
        self.output, end = os.pipe()
        self.process = subprocess.Popen(
            # The shell steps aside: the program's pid is the one we know.
            ["/bin/sh", "-c", f"exec {command}"],
            stdin=subprocess.DEVNULL,
            stdout=end,
            stderr=end,
            process_group=0,  # a Ctrl-C in the terminal is for us alone
            preexec_fn=stop_with_parent,
        )
        os.close(end)
        os.set_blocking(self.output, False)

    def relay(self) -> bool:
        """Move what the program has printed to its log, and news to the console.

        Returns False at the end of the output.
        """
        try:
            chunk = os.read(self.output, 65536)
        except BlockingIOError:
            return True
        # A full disk must not stop the relay: the program would block on its pipe.
        with contextlib.suppress(OSError):
            os.write(self.log, chunk)
        *lines, self.partial = (self.partial + chunk).split(b"\n")
        self.partial = self.partial[-65536:]
        for line in lines:
            if line.startswith(NEWS):
                say(line[len(NEWS) :].decode("utf-8", "replace"))
        return bool(chunk)

    def ended(self) -> bool:
        return self.process.poll() is not None

    def send(self, signum: signal.Signals) -> None:
        if not self.ended():
            self.process.send_signal(signum)

    def kill_group(self) -> None:
        """Kill the program and whatever it started that is still there."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Supervisor:
    """Starts `commands` (name to shell command), waits, and stops them all as one.

    `needed_last`: the names of those that the others need while they stop.
    """

    def __init__(self, commands: dict[str, str], logs: Path, needed_last: set[str]) -> None:
        self.commands = commands
        self.logs = logs
        self.needed_last = needed_last
        self.children: list[Child] = []
        self.asked = 0.0  # when a signal first asked to stop (monotonic; 0: not yet)
        self.hurry = False  # asked once more: wait for nobody
        self.selector = selectors.DefaultSelector()

    def run(self, when_started: Callable[[], None]) -> int:
        """Until a signal (returns 0) or the end of one of them (returns 1)."""
        self._listen()
        try:
            for name, command in self.commands.items():
                child = Child(name, command, self.logs)
                self.children.append(child)
                self.selector.register(child.output, selectors.EVENT_READ, child)
            when_started()
            while not self.asked and not any(c.ended() for c in self.children):
                self._turn()
            fallen = [child for child in self.children if child.ended()]
            if fallen and not self.asked:
                self._tell(fallen[0])
            elif not fallen:
                say("Stopping. A document in work is finished first; Ctrl-C again does not wait.")
            self._stop()
            return 0 if self.asked and not fallen else 1
        finally:
            for child in self.children:
                child.kill_group()

    def _listen(self) -> None:
        """From here on signals are noted, not raised; each ends the wait in _turn()."""
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        self._wakeups = (ours, theirs)  # kept open
        self.selector.register(ours, selectors.EVENT_READ)
        for signum in STOP_SIGNALS:
            if signal.getsignal(signum) != signal.SIG_IGN:
                signal.signal(signum, self._note)
        signal.signal(signal.SIGCHLD, lambda signum, frame: None)

    def _note(self, signum: int, frame: object) -> None:
        if not self.asked:
            self.asked = time.monotonic()
        elif time.monotonic() - self.asked > 1:  # nearer ones are make passing on the first
            self.hurry = True

    def _turn(self) -> None:
        for key, _ in self.selector.select(timeout=1.0):
            if key.data is None:
                self._wakeups[0].recv(4096)
            elif not key.data.relay():
                self.selector.unregister(key.fd)

    def _stop(self) -> None:
        first = [c for c in self.children if c.name not in self.needed_last]
        last = [c for c in self.children if c.name in self.needed_last]
        for group, patience in ((first, PATIENCE), (last, SHORT_PATIENCE)):
            for child in group:
                child.send(signal.SIGTERM)
            deadline = time.monotonic() + patience
            while not all(c.ended() for c in group):
                if time.monotonic() > deadline or self.hurry:
                    break
                self._turn()
            for child in group:
                child.kill_group()
                child.relay()

    def _tell(self, child: Child) -> None:
        code = child.process.returncode
        how = f"was killed (signal {-code})" if code < 0 else f"ended by itself (code {code})"
        say(f"Tagger stops, because its {child.name} {how}; why is in {child.log_path}")
