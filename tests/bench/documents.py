"""How fast the curator's documents page is, with many documents: in this process, no network.

`make bench-documents` fills the database of DATABASE_URL up to N documents (it goes on where it
was stopped), and prints the times of 7 requests for each filter. Nearly all documents stay
ready to review, so that the queue's bench can use the same database. 1,000,000 documents of 300
characters take about 20 minutes to make.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import statistics
import sys
import tempfile
import time
import uuid
from typing import Any

CHUNK = 1000  # documents with one text
REVIEWED = 6000  # the oldest ones
REQUESTS = 7


def words(number: int, characters: int) -> str:
    """A text whose words are few and frequent or many and rare, as in any language."""
    chance = random.Random(number)
    text = f"# Heading {number}\n\n"
    while len(text) < characters:
        rank = int(1 / (chance.random() + 1e-4))  # 1 in half of the places, 1000 in few
        text += f"word{rank} "
    return text


def fill(total: int, characters: int) -> None:
    """Add what is missing of `total` documents."""
    from review.models import Project
    from tests.world import make_ready

    project, _ = Project.objects.get_or_create(name="Bench")
    have = project.documents.count()
    began = time.monotonic()
    for start in range(have, total, CHUNK):
        make_ready(project, min(CHUNK, total - start), words(start // CHUNK, characters))
        if start // CHUNK % 50 == 0:
            print(f"{start:,} {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def vary() -> None:
    """Give every filter something to find: much and little of it, spread and in one heap."""
    from django.contrib.auth.models import User
    from django.db import connection

    from review.models import Membership, Project, Role

    project = Project.objects.get(name="Bench")
    if User.objects.filter(username="curator").exists():
        return  # made last
    people = [User.objects.get_or_create(username=f"reviewer{number}")[0] for number in range(5)]
    for user in people:
        Membership.objects.get_or_create(project=project, user=user)
    # The first people have decided on nearly all of the oldest, the last on twenty.
    oldest = list(project.documents.order_by("pk").values_list("pk", flat=True)[:REVIEWED])
    for start in range(0, REVIEWED, 500):
        keys = oldest[start : start + 500]
        who = people[4] if start == 3000 else people[start // 500 % 4]
        review(keys[:20] if who == people[4] else keys, who, rare=start == 3000)
    ready = project.documents.filter(state="ready").order_by("pk")
    keys = list(ready.values_list("pk", flat=True)[::500])  # one of 500
    changes: list[tuple[int, dict[str, Any]]] = [
        (500, {"state": "waiting"}),
        (400, {"state": "failed", "reason": "It was tried 3 times."}),
        (300, {"state": "disputed"}),
        (200, {"state": "retired"}),
        (200, {"pinned": True}),
        (30, {"disagreement": 1.0}),
    ]
    for count, change in changes:
        project.documents.filter(pk__in=keys[:count]).update(**change)
        keys = keys[count:]
    tuned(oldest[:1500], "heaped")  # more than are counted, and all of them the oldest
    tuned(oldest[2000:2020], "rare")
    project.documents.filter(pk__in=oldest[:1500]).update(title="A heap of oldest documents")
    project.documents.filter(pk__in=oldest[4000:4010]).update(title="A quokka, seen rarely")
    curator = User.objects.create(username="curator")
    Membership.objects.create(project=project, user=curator, role=Role.CURATOR)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")


def review(keys: list[int], reviewer: Any, rare: bool) -> None:
    """One decision on each, and another tag where `rare`; nearly all take the first two sets."""
    from review.models import Candidate, Decision, DecisionTag, Document, Standing, Tag

    chosen = {}
    candidates = Candidate.objects.filter(proposal__document__in=keys, proposal__current=True)
    for candidate in candidates.select_related("proposal"):
        document = candidate.proposal.document_id
        if candidate.rank == (3 if document % 250 == 0 else 1 + document % 2):
            chosen[document] = candidate
    decisions = Decision.objects.bulk_create(
        Decision(
            document_id=key,
            reviewer=reviewer,
            kind="correct" if rare else "pick",
            proposal_id=chosen[key].proposal_id,
            candidate=None if rare else chosen[key],
            milliseconds=9000,
            shown=[1, 2, 3],
            key=uuid.uuid4(),
        )
        for key in keys
    )
    if rare:
        tag = Tag.objects.order_by("number")[50]
        DecisionTag.objects.bulk_create(
            DecisionTag(decision=decision, tag=tag, position=1) for decision in decisions
        )
    Standing.objects.bulk_create(
        Standing(document_id=decision.document_id, reviewer=reviewer, decision=decision)
        for decision in decisions
    )
    Document.objects.filter(pk__in=keys).update(state="reviewed", reviews=1)


def tuned(keys: list[int], model: str) -> None:
    from review.models import Proposal

    Proposal.objects.filter(document__in=keys, current=True).update(model=model)


def queries(documents: int) -> list[tuple[str, dict[str, Any]]]:
    from review.models import Document, Tag

    tags = list(Tag.objects.filter(project__name="Bench").order_by("number"))
    first = Document.objects.filter(project__name="Bench").order_by("pk")[500:501].get().pk
    states = ["waiting", "proposing", "ready", "reviewed", "failed", "disputed", "retired"]
    return [
        ("no filter", {}),
        ("no filter, oldest first", {"oldest_first": "on"}),
        ("no filter, 10 pages from the end", {"after": first}),
        ("no filter, backwards from there", {"before": first}),
        *((f"state: {state}", {"state": state}) for state in states),
        ("state: ready, near the end", {"state": "ready", "after": first + REVIEWED + 1}),
        ("tag, common", {"tag": tags[0].number}),
        ("tag, of one set in 250", {"tag": tags[3].number}),
        ("tag, rare", {"tag": tags[50].number}),
        ("tag, of nothing", {"tag": tags[60].number}),
        ("reviewer, busy", {"reviewer": "reviewer0"}),
        ("reviewer, new", {"reviewer": "reviewer4"}),
        ("model, of nearly all", {"model": "none"}),
        ("model, of the 1,500 oldest", {"model": "heaped"}),
        ("model, rare", {"model": "rare"}),
        ("disagreement, half", {"disagreement": "0.5"}),
        ("disagreement, 1 in 1,000", {"disagreement": "0.999"}),
        ("disagreement, 30 in all", {"disagreement": "1"}),
        ("pinned", {"pinned": "on"}),
        ("word, in all", {"words": "document"}),
        ("word, in most texts", {"words": "word2"}),
        ("word, in 1 text of 100", {"words": "word150"}),
        ("word, of the 1,500 oldest", {"words": "heap"}),
        ("word, rare", {"words": "quokka"}),
        ("word, in one title", {"words": str(documents // 2)}),
        ("word, in nothing", {"words": "absent"}),
        ("words, two common ones", {"words": "word1 word3"}),
        ("words, common and rare", {"words": "seen quokka"}),
        ("id begins with 1", {"begins": "1"}),
        ("id begins with 9", {"begins": "9"}),
        ("id begins with 4711", {"begins": "4711"}),
        ("id, whole", {"begins": str(documents // 2)}),
        ("ready, pinned", {"state": "ready", "pinned": "on"}),
        ("ready, disagreement 0.9", {"state": "ready", "disagreement": "0.9"}),
        ("ready, common word, near the end", {"words": "word1", "after": first + REVIEWED}),
        ("reviewed, common word", {"state": "reviewed", "words": "document"}),
        ("reviewed, rare word", {"state": "reviewed", "words": "quokka"}),
        ("ready, id begins with 1", {"state": "ready", "begins": "1"}),
        ("tag and reviewer", {"tag": tags[0].number, "reviewer": "reviewer1"}),
        ("tag, reviewer, word", {"tag": tags[1].number, "reviewer": "reviewer1", "words": "heap"}),
        ("failed, model, word", {"state": "failed", "model": "none", "words": "word1"}),
        ("disagreement, word", {"disagreement": "0.9", "words": "word2"}),
    ]


def measure(documents: int) -> None:
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test import Client

    client = Client(headers={"Host": "localhost"})
    client.force_login(User.objects.get(username="curator"))
    print(f"{documents:,} documents, {connection.vendor}\n")
    print("| filter | fastest ms | median ms | slowest ms | rows |" + "\n|" + " --- |" * 5)
    for name, query in queries(documents):
        times = []
        for _ in range(REQUESTS):
            began = time.perf_counter()
            answer = client.get("/documents", query)
            times.append((time.perf_counter() - began) * 1000)
        if answer.status_code != 200:
            sys.exit(f"{name}: {answer.status_code}")
        html = answer.content.decode()
        found = re.search(r"<caption>(More than )?([\d,]+)", html)
        rows = f"{found.group(2)}{'+' if found.group(1) else ''}" if found else "0"
        columns = [min(times), statistics.median(times), max(times)]
        print(f"| {name} | {' | '.join(f'{ms:.0f}' for ms in columns)} | {rows} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--characters", type=int, default=300, help="of each document's text")
    options = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "tagger_site.settings"
    os.environ["TAGGER_VAR"] = os.environ.get("TAGGER_VAR") or tempfile.mkdtemp(prefix="bench-")
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    fill(options.documents, options.characters)
    vary()
    measure(options.documents)


if __name__ == "__main__":
    main()
