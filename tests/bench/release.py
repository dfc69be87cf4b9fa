"""How fast a release is made, and in how much memory: a process of its own makes it.

`make bench-release` fills the database of DATABASE_URL with decisions for 100,000 pairs
(ARGS="--pairs 1000000" for more; the disk needs twice 4 GB for these), makes a release of them
and prints pairs a second, the seconds of its CPU, the most memory of the process, and how much
it wrote. What people decided is drawn, the same each time: picks, sets of their own, "none
fits", documents with two reviews that agree or not, and some that a curator settled. The prompt
is the embedded model's, with its system message for the seed's tags.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from review.models import Project, Proposal, Tag

ROOT = Path(__file__).resolve().parent.parent.parent
NAME = "Bench"
BATCH = 2000
PAIRS_EACH = 2.03  # of a document, by the shares below
REVIEWERS = 8


@dataclass(frozen=True)
class Drawn:
    """What is decided on a document. given: for each reviewer a rank, a set of tags or none."""

    sets: list[list[int]]  # of the three candidates, by the tags' places
    given: list[int | list[int]]
    settled: int = 0  # the rank whose tags the curator gave; 0 where nobody asked


def drawn(chance: random.Random, tags: int) -> Drawn:
    sets: list[list[int]] = []
    while len(sets) < 3:
        one = chance.sample(range(tags), chance.choice((1, 2, 2, 3)))
        if all(set(one) != set(other) for other in sets):
            sets.append(one)
    share, rank = chance.random(), chance.randint(1, 3)
    if share < 0.85:
        return Drawn(sets, [rank])
    if share < 0.90:
        return Drawn(sets, [chance.sample(range(tags), 2)])
    if share < 0.93:
        return Drawn(sets, [[]])
    if share < 0.96:
        return Drawn(sets, [rank, rank])
    other = rank % 3 + 1
    return Drawn(sets, [rank, other], settled=other if share < 0.98 else 0)


def fill(project: Project, pairs: int, characters: int, prompt: str) -> None:
    """Straight into the tables: what intake, propose and decide would leave."""
    from django.contrib.auth.models import User
    from django.db import connection, transaction

    from review.llm.prompt import VERSIONS, Material, PromptTag
    from review.models import SystemMessage, Tag, VocabularyVersion
    from review.pipeline.first_start import seed_tags
    from review.pipeline.seal import seal

    rows = seed_tags()
    shown = [PromptTag(row["name"], row["description"], row["not_for"], row["id"]) for row in rows]
    Tag.objects.bulk_create(Tag(project=project, number=row.pop("id"), **row) for row in rows)
    tags = list(project.tags.order_by("number"))
    version = VocabularyVersion.current(project)
    chance = random.Random(5201)
    words = [f"word{int(1 / (chance.random() + 1e-4))}" for _ in range(100_000)]
    asked = VERSIONS[prompt]
    system = asked(Material("", shown, 3, "", "")).system
    message, _made = SystemMessage.objects.get_or_create(sha256="b" * 64, defaults={"text": system})
    people = [
        User.objects.get_or_create(username=f"bench-{number}")[0] for number in range(REVIEWERS)
    ]

    def text(number: int) -> str:
        start = chance.randrange(len(words) - characters)
        return (f"# Document {number}\n\n" + " ".join(words[start : start + characters // 5]))[
            :characters
        ]

    count = round(pairs / PAIRS_EACH)
    for start in range(0, count, BATCH):
        numbers = range(start, min(start + BATCH, count))
        with transaction.atomic():
            proposals = proposed(project, {n: text(n) for n in numbers}, version, message, prompt)
            decided(proposals, [drawn(chance, len(tags)) for _ in numbers], tags, people, chance)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    seal()  # as the sweeper has done it before anybody orders a release


def proposed(
    project: Project, texts: dict[int, str], version: Any, message: Any, prompt: str
) -> list[Proposal]:
    import hashlib

    from review.models import Document, DocumentState, Proposal

    documents = Document.objects.bulk_create(
        Document(
            project=project,
            external_id=f"doc-{number}",
            title=f"Document {number}",
            text=text,
            characters=len(text),
            sha256=hashlib.sha256(text.encode()).hexdigest(),
            state=DocumentState.REVIEWED,
        )
        for number, text in texts.items()
    )
    return Proposal.objects.bulk_create(
        Proposal(
            document=document,
            current=True,
            endpoint="http://127.0.0.1/v1",
            model="bench",
            prompt_version=prompt,
            vocabulary_version=version,
            system_message=message,
            user_message=f"Document:\n{document.text}\n\nTags for this document as JSON:",
            candidate_count=3,
        )
        for document in documents
    )


def decided(
    proposals: Sequence[Proposal],
    found: Sequence[Drawn],
    tags: Sequence[Tag],
    people: Sequence[User],
    chance: random.Random,
) -> None:
    from review.models import (
        Candidate,
        CandidateTag,
        Decision,
        DecisionKind,
        DecisionTag,
        Purpose,
        Standing,
    )

    candidates = Candidate.objects.bulk_create(
        Candidate(proposal=proposal, rank=rank, temperature=0)
        for proposal in proposals
        for rank in (1, 2, 3)
    )
    CandidateTag.objects.bulk_create(
        CandidateTag(candidate=candidate, tag=tags[place], position=position)
        for candidate, places in zip(
            candidates, (places for one in found for places in one.sets), strict=True
        )
        for position, place in enumerate(places, start=1)
    )

    def acts() -> Iterator[tuple[Decision, list[int]]]:
        for at, (proposal, one) in enumerate(zip(proposals, found, strict=True)):
            common: dict[str, Any] = {
                "document": proposal.document,
                "proposal": proposal,
                "milliseconds": 4000,
            }
            reviewers = chance.sample(people[1:], len(one.given))
            for reviewer, given in zip(reviewers, one.given, strict=True):
                key = uuid.UUID(int=chance.getrandbits(128))
                act = Decision(reviewer=reviewer, key=key, shown=[2, 1, 3], **common)
                if isinstance(given, int):
                    act.kind, act.candidate = DecisionKind.PICK, candidates[3 * at + given - 1]
                    yield act, []
                else:
                    act.kind = DecisionKind.CORRECT if given else DecisionKind.NONE
                    yield act, given
            if one.settled:
                key = uuid.UUID(int=chance.getrandbits(128))
                yield (
                    Decision(reviewer=people[0], key=key, kind=DecisionKind.SETTLE, **common),
                    one.sets[one.settled - 1],
                )

    made = list(acts())
    decisions = Decision.objects.bulk_create(act for act, _given in made)
    DecisionTag.objects.bulk_create(
        DecisionTag(decision=act, tag=tags[place], position=position)
        for act, given in made
        for position, place in enumerate(given, start=1)
    )
    Standing.objects.bulk_create(
        Standing(
            document_id=act.document_id,
            reviewer_id=act.reviewer_id,
            decision=act,
            purpose=Purpose.FINAL if act.kind == DecisionKind.SETTLE else Purpose.REVIEW,
        )
        for act in decisions
    )


def make(project: Project, formats: list[str]) -> dict[str, Any]:
    """In the process that does nothing else."""
    from review.pipeline import release

    ordered = release.order(project, release.Filters(), formats)
    before = peak()
    began, cpu = time.monotonic(), time.process_time()
    release.make(ordered.pk)
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    ordered.refresh_from_db()
    return {
        "reason": ordered.reason,
        "pairs": ordered.counts.get("pairs"),
        "decisions": ordered.counts.get("decisions"),
        "seconds": seconds,
        "cpu": cpu,
        "before": before,
        "memory": peak(),
        "bytes": sum(file["bytes"] for file in ordered.files),
    }


def peak() -> float:
    """The most memory so far, in MB. Not `getrusage`: that counts who has started the process."""
    told = Path("/proc/self/status").read_text()
    return int(told.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=100_000, help="about so many")
    parser.add_argument("--characters", type=int, default=1000, help="of each document's text")
    parser.add_argument("--prompt", default="adapter-2", help="whose system message it is")
    parser.add_argument("--format", action="append", help="else trl")
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="use what is there from a run before")
    parser.add_argument("--make", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "tagger_site.settings"
    os.environ["TAGGER_VAR"] = os.environ.get("TAGGER_VAR") or tempfile.mkdtemp(prefix="bench-")
    import django
    from django.core.management import call_command
    from django.db import connection

    django.setup()
    from review.models import Project

    if options.make:
        project = Project.objects.get(name=NAME)
        print(json.dumps(make(project, options.format or ["trl"])))
        return
    call_command("migrate", verbosity=0, skip_checks=True)
    if not options.keep or not Project.objects.filter(name=NAME).exists():
        began = time.monotonic()
        project = Project.objects.create(name=NAME)
        fill(project, options.pairs, options.characters, options.prompt)
        print(f"{connection.vendor}, filled in {time.monotonic() - began:.0f} s", flush=True)
    connection.close()
    asked = [f"--format={name}" for name in options.format or ["trl"]]
    for _ in range(options.times):
        command = [sys.executable, "-m", "tests.bench.release", "--make", *asked]
        told = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
        it = json.loads(told.stdout)
        if it["reason"]:
            sys.exit(it["reason"])
        print(
            f"{connection.vendor}: {it['pairs']:,} pairs of {it['decisions']:,} decisions in "
            f"{it['seconds']:.1f} s = {it['pairs'] / it['seconds']:,.0f} pairs/s; "
            f"{it['cpu']:.1f} s of CPU = {it['pairs'] / it['cpu']:,.0f} pairs a second of it; "
            f"{it['memory']:.0f} MB of memory, {it['before']:.0f} before; "
            f"{it['bytes'] / 1e6:,.0f} MB written",
            flush=True,
        )


if __name__ == "__main__":
    main()
