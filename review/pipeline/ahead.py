"""The HTML of the documents that reviewers come to next is there before they do.

Of a long backlog, the rest stays without: most of the pipeline's own work on a document would
be for a page that is opened in weeks. The sweeper keeps ahead of the reviewers; whoever
overtakes it waits for one document's rendering, some milliseconds.
"""

from __future__ import annotations

import time

from review.models import Document, DocumentState, Project, Tally

from . import render

AHEAD = 300  # documents of each project; who picks ten a minute needs ten before the next sweep


def enough(project: Project) -> bool:
    """Whether so many wait for reviewers that one more need not be rendered now."""
    return Tally.objects.of(project)[DocumentState.READY] >= AHEAD


def keep_ahead(seconds: float) -> int:
    """Render what is missing of the first documents of each queue; returns how many."""
    end, made = time.monotonic() + seconds, 0
    for project in Project.objects.all():
        # As the queue hands them out (queue.py).
        ready = project.documents.filter(state=DocumentState.READY)
        first = ready.order_by("-pinned", "reviews", "-disagreement", "pk")
        keys = [
            key
            for key, version in first.values_list("pk", "html_version")[:AHEAD]
            if version != render.VERSION
        ]
        for key in keys:
            if time.monotonic() > end:
                return made
            made += _make(key)
    return made


def _make(key: int) -> int:
    document = Document.objects.filter(pk=key).defer("html").first()
    if document is None:
        return 0
    html = render.render(document)
    # Only of this text: another may have come meanwhile.
    same = Document.objects.filter(pk=key, sha256=document.sha256, markup=document.markup)
    return same.update(html=html, html_version=render.VERSION)
