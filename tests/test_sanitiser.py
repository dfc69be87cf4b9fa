"""What hostile texts are rendered to, one by one; tests/browser/test_xss.py opens the pages."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from bs4 import BeautifulSoup

from review.models import Document
from review.pipeline.render import ATTRIBUTES, SCHEMES, TAGS, render

from .browser.xss import VECTORS


@pytest.mark.parametrize("vector", VECTORS, ids=range(len(VECTORS)))
def test_what_is_rendered_holds_harmless_tags_only(vector: str) -> None:
    for text in (vector, f"- x\n\n  {vector}", f"<div>{vector}", f"> {vector}\n\n<p>{vector}</p>"):
        for tag in BeautifulSoup(render(Document(text=text)), "html.parser").find_all(True):
            assert tag.name in TAGS, text
            known = ATTRIBUTES.get(tag.name, set()) | {"class", "rel", "target", "data-in"}
            assert set(tag.attrs) <= known, text
            if href := tag.get("href"):
                assert urlsplit(str(href)).scheme in SCHEMES, text
