"""One reviewer without think time, as a process of its own: claims, picks, until all is done.

Run by reviewers.py as `python -m tests.reviewer_process PROJECT USER`. Prints a line
of JSON: the documents it was handed, the keys of the decisions that were acknowledged.
"""

from __future__ import annotations

import json
import os
import sys
import uuid

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tagger_site.settings")
django.setup()

from django.contrib.auth.models import User  # noqa: E402

from review.models import Project  # noqa: E402
from review.pipeline.decide import Page, pick  # noqa: E402
from review.pipeline.queue import claim_next  # noqa: E402


def main(project_id: int, user_id: int) -> None:
    project = Project.objects.get(pk=project_id)
    reviewer = User.objects.get(pk=user_id)
    print("ready", flush=True)
    sys.stdin.readline()  # all begin at once
    handed: list[int] = []
    keys: list[str] = []
    while (document := claim_next(project, reviewer)) is not None:
        handed.append(document.pk)
        proposal = document.proposals.get(current=True)
        assert document.lease_token is not None
        page = Page(reviewer, proposal, document.lease_token, uuid.uuid4())
        decision = pick(page, proposal.candidates.get(rank=1))
        keys.append(str(decision.key))
    print(json.dumps({"handed": handed, "keys": keys}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
