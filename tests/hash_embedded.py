"""Writes the hashes of requirements-embedded.txt, whose versions are chosen by hand.

.venv/bin/python -m tests.hash_embedded     (make lock does it)

What is in it is installed without what it depends on, and pip-compile knows no such file. So its
parts are used: all files that the registry has of each version, for every machine.
"""

from __future__ import annotations

from pathlib import Path

from pip._internal.req.constructors import install_req_from_line
from piptools.repositories import PyPIRepository

FILE = Path(__file__).resolve().parent.parent / "requirements-embedded.txt"


def main() -> None:
    text = FILE.read_text().replace("\\\n", " ")
    registry = PyPIRepository([], cache_dir=str(Path.home() / ".cache" / "pip-tools"))
    written = []
    with registry.allow_all_wheels():
        for line in text.splitlines():
            pin = line.partition("--hash=")[0].strip()
            if pin and not pin.startswith("#"):
                hashes = sorted(registry.get_hashes(install_req_from_line(pin)))
                pin = " \\\n    ".join([pin, *(f"--hash={each}" for each in hashes)])
            written.append(pin)
    FILE.write_text("\n".join(written) + "\n")


if __name__ == "__main__":
    main()
