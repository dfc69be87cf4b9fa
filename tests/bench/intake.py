"""How fast a JSON lines file loads, and in how much memory: in this process, no worker.

`make bench-intake` makes a file of 30,000 documents and 100 MB (ARGS="--documents 300000" for
1 GB), loads it twice into the database of DATABASE_URL, which must have no documents of a project
"Bench", and prints documents a second, the most memory, and what the second time changed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import sys
import tempfile
import time
from pathlib import Path

CHARACTERS = 3400  # of each text: 300,000 documents are 1 GB


def make_file(path: Path, documents: int) -> None:
    """Texts of words that are few and frequent or many and rare, as in any language."""
    chance = random.Random(5201)
    words = [f"word{int(1 / (chance.random() + 1e-4))}" for _ in range(200_000)]
    with path.open("w") as file:
        for number in range(documents):
            start = chance.randrange(len(words) - 1000)
            text = f"# Document {number}\n\n" + " ".join(words[start : start + 1000])
            row = {"id": f"doc-{number}", "title": f"Document {number}", "text": text[:CHARACTERS]}
            file.write(json.dumps(row) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=30_000)
    options = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "tagger_site.settings"
    os.environ["TAGGER_VAR"] = os.environ.get("TAGGER_VAR") or tempfile.mkdtemp(prefix="bench-")
    import django
    from django.core.management import call_command
    from django.db import connection

    django.setup()
    call_command("migrate", verbosity=0, skip_checks=True)
    from review.models import Project
    from review.pipeline.importing import load_file

    project = Project.objects.create(name="Bench")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.jsonl"
        make_file(path, options.documents)
        size = path.stat().st_size
        for turn in ("first", "again"):
            began = time.monotonic()
            record, _intake = load_file(project, path)
            seconds = time.monotonic() - began
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(
                f"{connection.vendor}, {turn}: {record.rows:,} documents, {size / 1e6:,.0f} MB, "
                f"{seconds:.1f} s, {record.rows / seconds:,.0f} documents/s, {memory:.0f} MB of "
                f"memory; {record.added:,} added, {record.unchanged:,} already here",
                flush=True,
            )
    if record.added or record.unchanged != options.documents:
        sys.exit("The second time should change nothing.")


if __name__ == "__main__":
    main()
