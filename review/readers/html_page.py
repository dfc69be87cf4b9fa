"""A web page → its text as Markdown, without what is around it."""

from __future__ import annotations

import re

from bs4 import BeautifulSoup
from bs4.dammit import EncodingDetector
from markdownify import MarkdownConverter

from . import too_long

MOST_BYTES = 2_000_000  # a page made to be slow takes about 20 s a MB
# What pages are written in. Python knows more, and some of those are slow or no encodings.
ENCODINGS = re.compile(
    r"utf-?8|utf-?16(-?[bl]e)?|us-ascii|latin-?1|iso-?8859-?\d+|windows-?\d+|cp125\d|koi8-[ru]"
    r"|gb2312|gbk|gb18030|big5|euc-(jp|kr)|shift[_-]jis|iso-2022-jp",
    re.IGNORECASE,
)

# No text of the page itself, by what HTML says that they are for.
AROUND = [
    *("head", "script", "style", "noscript", "template", "svg", "math", "iframe", "object"),
    *("nav", "aside", "form", "button", "select", "dialog"),
]
PAGE = MarkdownConverter(heading_style="ATX", bullets="-", strip=["a", "img"])


def read_html(data: bytes, encoding: str = "") -> tuple[str, str, str]:
    """Its text in Markdown, its title, and "" or the problem.

    encoding: as the server named it. Links and images are left out: to the model and the reader
    they say nothing about the matter.
    """
    if len(data) > MOST_BYTES:
        return "", "", too_long(MOST_BYTES)
    html = decode_html(data, encoding)
    if "\0" in html:
        return "", "", f"This is not text: character {html.index(chr(0)) + 1} is a NUL."
    try:
        page = BeautifulSoup(html, "lxml")
        title = " ".join(page.title.get_text().split()) if page.title else ""
        main = page.find("main") or page.find(role="main") or page.find("article")
        for part in page.find_all(AROUND if main else [*AROUND, "header", "footer"]):
            part.decompose()
        text = PAGE.convert_soup(main or page).strip()
    except RecursionError:
        return "", "", "This page has too many parts in one another."
    except (ValueError, AssertionError, LookupError) as error:
        return "", "", f"This page cannot be read: {error}."
    return text, title, ""


def decode_html(data: bytes, encoding: str) -> str:
    """The server's word counts, then the page's own, then UTF-8; Windows-1252 fits the rest."""
    declared = EncodingDetector.find_declared_encoding(data, is_html=True) or ""
    if data.startswith(b"\xef\xbb\xbf"):
        return data[3:].decode("utf-8", "replace")
    for name in (encoding, declared, "utf-8"):
        if not ENCODINGS.fullmatch(name):
            continue
        try:
            text = data.decode(name)
            text.encode()  # some encodings give half characters
        except (UnicodeError, LookupError):
            continue
        return text
    return data.decode("cp1252", "replace")
