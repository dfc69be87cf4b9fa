"""`make audit`: known vulnerabilities in what is pinned, by pip-audit, which is watched.

Behind a mirror, or without the internet, pip-audit finds nothing and says so cheerfully. So it is
first asked about a version that is known to be vulnerable: silence there is a failure.
Standard library only. Usage: audit.py PIP_AUDIT FILE…
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

CANARY = "jinja2==2.10"  # with advisories since 2019


def ask(program: str, file: str) -> list[dict[str, Any]] | None:
    """The packages of a requirements file as pip-audit sees them; None where it cannot look."""
    command = [program, "--strict", "--no-deps", "--disable-pip", "--format=json", "-r", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        sys.stderr.write(done.stderr[-500:])
        return None
    return found


def main(program: str, files: list[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        canary = Path(folder) / "canary.txt"
        canary.write_text(CANARY + "\n")
        seen = ask(program, str(canary))
    if not seen or not any(package.get("vulns") for package in seen):
        print(
            f"The audit is blind: it does not know that {CANARY} is vulnerable. Is there internet?"
        )
        return 1
    bad = 0
    for file in files:
        packages = ask(program, file)
        if packages is None:
            print(f"{file} could not be looked at.")
            bad += 1
            continue
        for package in packages:
            for vulnerability in package.get("vulns", []):
                bad += 1
                fixed = ", ".join(vulnerability.get("fix_versions", [])) or "no version yet"
                name = f"{package['name']} {package.get('version', '')}"
                print(f"{file}: {name}: {vulnerability['id']}, mended in {fixed}")
            if "skip_reason" in package:
                bad += 1
                print(f"{file}: {package['name']} was not looked at: {package['skip_reason']}")
        print(f"{file}: {len(packages)} packages looked at.")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
