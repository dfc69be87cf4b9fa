"""The vocabulary, for the page's type-ahead."""

from __future__ import annotations

import hashlib
import json

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from .access import project_of, signed_in


@require_safe
@login_required
def vocabulary(request: HttpRequest) -> HttpResponse:
    """`{"max_tags": 3, "tags": [{"number": 25, "name": "security", …}]}`, sorted by name."""
    project = project_of(signed_in(request))
    tags = [
        {
            "number": tag.number,
            "name": tag.name,
            "synonyms": tag.synonyms,
            "description": tag.description,
            "not_for": tag.not_for,
        }
        for tag in project.tags.active()
    ]
    body = json.dumps({"max_tags": project.max_tags, "tags": tags}, ensure_ascii=False)
    etag = f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'
    if request.headers.get("If-None-Match") == etag:
        return HttpResponse(status=304, headers={"ETag": etag})
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    return HttpResponse(body, content_type="application/json", headers=headers)
