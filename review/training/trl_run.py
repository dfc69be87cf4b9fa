"""A line of `trl_lines` run here, in a process of its own; it goes on from its last checkpoint."""

from __future__ import annotations

import ast
import ctypes
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from . import environment
from .trl_lines import Line

LAST_WORDS = 2000  # characters of what it printed, to say why it failed
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class Failed(Exception):
    """The process ended with an error. The message has its last words."""


def run(
    line: Line,
    log: Path,
    cache: Path,
    *,
    save_every: int,
    waiting: Callable[[], object],
    every: float = 5.0,
) -> Iterator[dict[str, float]]:
    """Yield what the trainer logs after each step: loss, epoch, rewards/margins and the like.

    Its output goes to the end of `log`. cache: for what it makes of the data. waiting: called
    each `every` seconds; when it raises, or nobody reads on, the process is ended: it goes on
    from the last checkpoint. Raises Failed.
    """
    more = {"PYTHONUNBUFFERED": "1", "TOKENIZERS_PARALLELISM": "false"}
    with log.open("ab") as kept:
        process = subprocess.Popen(
            _command(line, save_every),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=kept,
            env=environment() | more | {"HF_DATASETS_CACHE": str(cache)},
            preexec_fn=_end_with_parent,
        )
        assert process.stdout  # noqa: S101 - for mypy: it is a pipe
        said: queue.Queue[bytes | None] = queue.Queue()
        reader = threading.Thread(target=_read, args=(process.stdout, said), daemon=True)
        reader.start()
        try:
            while True:
                try:
                    text = said.get(timeout=every)
                except queue.Empty:
                    waiting()
                    continue
                if text is None:
                    break
                kept.write(text)
                kept.flush()
                if figures := _figures(text):
                    yield figures
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            reader.join()
            process.stdout.close()
    if process.returncode:
        raise Failed(_last_words(log))


def _command(line: Line, save_every: int) -> list[str]:
    """In this Python, and in one process, so that it ends with us: `trl` would start another."""
    program, what, *rest = line.words
    if program != "trl":
        return [sys.executable, what, *rest]
    command = [sys.executable, "-m", f"trl.scripts.{what}", *rest]
    command += ["--logging_steps", "1", "--disable_tqdm", "true", "--report_to", "none"]
    command += ["--save_strategy", "steps", "--save_steps", str(save_every)]
    command += ["--save_total_limit", "2"]
    found = [one for one in line.out.glob("checkpoint-*") if (one / "trainer_state.json").is_file()]
    if found:
        last = max(found, key=lambda one: int(one.name.rpartition("-")[2]))
        command += ["--resume_from_checkpoint", str(last)]
    return command


def _end_with_parent() -> None:
    """In the child: Linux ends it when we are killed, so that no two train in one folder."""
    if LIBC is not None:
        LIBC.prctl(1, signal.SIGKILL)  # 1: PR_SET_PDEATHSIG


def _read(pipe: IO[bytes], said: queue.Queue[bytes | None]) -> None:
    for text in pipe:
        said.put(text)
    said.put(None)


def _figures(text: bytes) -> dict[str, float]:
    """transformers' PrinterCallback prints a dict, its numbers as strings or not."""
    try:
        found: Any = ast.literal_eval(text.decode().strip())
        return {str(name): float(value) for name, value in found.items() if "loss" in found}
    except (ValueError, SyntaxError, AttributeError, TypeError):
        return {}


def _last_words(log: Path) -> str:
    said = log.read_text("utf-8", errors="replace")[-LAST_WORDS:].strip().splitlines()
    return said[-1].strip() if said else ""
