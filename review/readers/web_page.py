"""A page of the web, fetched by the guarded client: HTML, Markdown or plain text."""

from __future__ import annotations

from email.message import Message
from urllib.parse import urldefrag, urlsplit

from review.guarded import Answer, Refusal, fetch

from . import LONGEST, Incoming, Refused, first_heading
from .html_page import read_html
from .markdown_folder import read_text

SECONDS = 30  # in all, with its redirects
HEADERS = {"accept": "text/html, text/markdown, text/plain;q=0.9"}
TEXTS = ("text/plain", "text/markdown", "text/x-markdown", "text/x-rst", "text/prs.fallenstein.rst")


def read_page(url: str, most_bytes: int = LONGEST) -> Incoming:
    """The document at this address, which is its id. Raises Refused where there is none."""
    try:
        answer = fetch("GET", url, headers=HEADERS, most_bytes=most_bytes, seconds=SECONDS)
    except Refusal as error:
        raise Refused(str(error)) from error
    if answer.status != 200:
        raise Refused(f"The address answers with the error {answer.status}.")
    return read_answer(url, answer)


def read_answer(url: str, answer: Answer) -> Incoming:
    said = Message()
    said["content-type"] = answer.headers.get("content-type", "text/html")
    kind = said.get_content_type()
    markup = "markdown"
    title = ""
    if kind in ("text/html", "application/xhtml+xml"):
        charset = said.get_content_charset() or ""
        text, title, problem = read_html(answer.body, charset)
    elif kind in TEXTS:
        found = read_text(answer.body, urlsplit(answer.url).path)
        text, problem, markup = found.text, found.problem, found.markup
    else:
        raise Refused(f"The address does not answer with a page but with {kind[:60]}.")
    return Incoming(
        urldefrag(url).url,
        text,
        title=title or first_heading(text) or url,
        source=answer.url,
        problem=problem,
        markup=markup,
    )
