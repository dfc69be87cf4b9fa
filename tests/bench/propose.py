"""How many documents a second the pipeline proposes for, of those that a model server allows.

`make bench-propose` starts a server that answers after 300 ms, 32 calls at a time (the 33rd is
refused with 429), and measures twice: a plain asyncio client that keeps it busy, then Tagger:
documents in the database of DATABASE_URL, a Redis of its own, and workers as `make run` starts
them. The server tells how many it answered, refused, and had at once. The documents are the
READMEs of the installed packages, cut to 3,000 characters.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from email.message import Message
from importlib.metadata import distributions
from pathlib import Path
from typing import cast

ROOT = Path(__file__).resolve().parent.parent.parent
REPLIES = ['{"tags": ["lib", "cli"]}', '{"tags": ["lib", "http"]}', '{"tags": ["framework"]}']
TOKEN = {"token": "x", "logprob": -0.1, "bytes": [120], "top_logprobs": []}


# --- The server, in a process of its own ---------------------------------------------------


def answer() -> bytes:
    choices = [
        {
            "index": index,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": reply},
            "logprobs": {"content": [TOKEN] * 12},
        }
        for index, reply in enumerate(REPLIES)
    ]
    usage = {"prompt_tokens": 1500, "completion_tokens": 36, "total_tokens": 1536}
    return json.dumps({"object": "chat.completion", "choices": choices, "usage": usage}).encode()


async def serve(port: int, seconds: float, slots: int) -> None:
    """By hand: a library would take as much of the two cores as the pipeline that is measured."""
    counts = {"answered": 0, "refused": 0, "most": 0}
    busy = 0
    good, bad = answer(), b'{"error": {"message": "slow down"}}'

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal busy
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                status, body = b"200 OK", good
                if head.startswith(b"get"):
                    body = json.dumps(counts).encode()
                    counts["most"] = 0
                else:
                    length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
                    await reader.readexactly(int(length))
                    if busy >= slots:
                        counts["refused"] += 1
                        status, body = b"429 Too Many Requests", bad
                    else:
                        busy += 1
                        counts["most"] = max(counts["most"], busy)
                        await asyncio.sleep(seconds)
                        busy -= 1
                        counts["answered"] += 1
                writer.write(
                    b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                    % (status, len(body), body)
                )
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", port)
    await server.serve_forever()


def counted(port: int) -> dict[str, int]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as said:
        found: dict[str, int] = json.load(said)
        return found


# --- What the server alone allows ----------------------------------------------------------


async def ask_plainly(port: int, slots: int, seconds: float, size: int) -> float:
    """Documents a second of `slots` connections that each ask again at once."""
    request = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (
        size,
        b"x" * size,
    )
    done = 0
    end = time.monotonic() + seconds

    async def ask() -> None:
        nonlocal done
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.monotonic() < end:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
            done += 1
        writer.close()

    began = time.monotonic()
    await asyncio.gather(*(ask() for _ in range(slots)))
    return done / (time.monotonic() - began)


# --- What the pipeline does -----------------------------------------------------------------


def texts(characters: int) -> list[str]:
    packages = (cast(Message, one.metadata) for one in distributions())
    found = (one.get("Description") or str(one.get_payload()) for one in packages)
    return [text[:characters] for text in found if len(text) >= characters / 2]


def free_port() -> int:
    from tagger_site.embedded_redis import free_port

    return int(free_port())


def workers(
    stack: ExitStack, processes: int, threads: int, logs: Path
) -> list[subprocess.Popen[bytes]]:
    """As the Procfile starts them."""
    from tagger_site.supervise import read_procfile

    command = read_procfile(ROOT / "Procfile")["proposer"]
    os.environ["TAGGER_PROPOSER_THREADS"] = str(threads)
    started = []
    for number in range(processes):
        own = command.replace("proposer@", f"proposer-{number}@").replace(
            "python", sys.executable, 1
        )
        log = stack.enter_context((logs / f"proposer-{number}.log").open("wb"))
        process = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {own}"], cwd=ROOT, stdout=log, stderr=log
        )
        stack.callback(process.wait, 40)
        stack.callback(process.send_signal, signal.SIGTERM)
        started.append(process)
    return started


def cpu(process: subprocess.Popen[bytes]) -> float:
    """Seconds of CPU that it has used so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=2500)
    parser.add_argument("--characters", type=int, default=3000, help="of each document's text")
    parser.add_argument("--latency", type=float, default=0.3, help="seconds")
    parser.add_argument("--slots", type=int, default=32)
    parser.add_argument("--calls", type=int, default=0, help="TAGGER_CALLS_AT_ONCE; else the slots")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--threads", type=int, default=0, help="of each process")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.serve, options.latency, options.slots))
    calls = options.calls or options.slots
    threads = options.threads or math.ceil(calls * 1.25 / options.processes)

    folder = Path(os.environ.get("TAGGER_VAR") or tempfile.mkdtemp(prefix="bench-"))
    port, redis_port = free_port(), free_port()
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "tagger_site.settings",
        "TAGGER_VAR": str(folder),
        "REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1",
        "OPENAI_API_KEY": "bench",
        "TAGGER_MODEL": "bench",
        "TAGGER_CALLS_AT_ONCE": str(calls),
    }
    import django

    django.setup()
    with ExitStack() as stack:
        measure(stack, options, port, redis_port, threads, folder)


def measure(
    stack: ExitStack,
    options: argparse.Namespace,
    port: int,
    redis_port: int,
    threads: int,
    folder: Path,
) -> None:
    from django.core.management import call_command
    from django.db import connection

    from review.models import Document, DocumentState, Project, Tag
    from review.pipeline.first_start import seed_tags
    from review.pipeline.intake import take_in
    from review.readers import Incoming
    from review.tasks import fill_queue
    from tagger_site.embedded_redis import find_server

    arguments = [
        "--serve",
        str(port),
        "--latency",
        str(options.latency),
        "--slots",
        str(options.slots),
    ]
    server = subprocess.Popen([sys.executable, "-m", "tests.bench.propose", *arguments], cwd=ROOT)
    stack.callback(server.wait)
    stack.callback(server.kill)
    redis = subprocess.Popen(
        [str(find_server()), "--port", str(redis_port), "--save", "", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    stack.callback(redis.wait)
    stack.callback(redis.kill)

    call_command("migrate", verbosity=0)
    project = Project.objects.create(name=f"Bench {time.time()}")
    Tag.objects.bulk_create(
        Tag(project=project, number=tag["id"], name=tag["name"]) for tag in seed_tags()
    )
    some = texts(options.characters)
    numbers = range(options.documents)
    take_in(project, (Incoming(str(n), f"{some[n % len(some)]}\n{n}") for n in numbers))
    alone = asyncio.run(ask_plainly(port, options.slots, 5, 12_000))
    before = counted(port)

    waiting = Document.objects.filter(project=project).exclude(state=DocumentState.READY)
    began = time.monotonic()
    started = workers(stack, options.processes, threads, folder)
    fill_queue()
    marks: list[tuple[float, int, float]] = []  # the moment, how many are ready, seconds of CPU
    while not marks or marks[-1][1] < options.documents:
        time.sleep(0.5)
        ready = counted(port)["answered"] - before["answered"]
        marks.append((time.monotonic(), ready, sum(map(cpu, started))))
        if time.monotonic() - began > 150:
            break
    while waiting.exists() and time.monotonic() - began < 160:
        time.sleep(0.1)
    whole = time.monotonic() - began
    after = counted(port)
    left = waiting.count()
    # Between a tenth and nine tenths: without the start and the end.
    middle = [mark for mark in marks if 0.1 <= mark[1] / options.documents <= 0.9]
    (first, ready, cpu_before), (last, later, cpu_after) = middle[0], middle[-1]
    rate = (later - ready) / (last - first)
    each = (cpu_after - cpu_before) / (later - ready) * 1000
    refused = after["refused"] - before["refused"]
    print(
        f"{connection.vendor}, {options.processes} x {threads} threads, calls at once "
        f"{os.environ['TAGGER_CALLS_AT_ONCE']}, {options.slots} slots of {options.latency} s\n"
        f"the server alone {alone:.1f}/s; Tagger {rate:.1f}/s = {rate / alone:.0%}; "
        f"{each:.1f} ms of the workers' CPU a document; refused {refused}; "
        f"all {options.documents} in {whole:.0f} s with the start, {left} left",
        flush=True,
    )


if __name__ == "__main__":
    main()
