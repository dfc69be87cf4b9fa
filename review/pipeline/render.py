"""A document's text → HTML that is safe to show. The text is a stranger's.

READMEs mix Markdown with raw HTML, so both are read; then a sanitiser (nh3) goes over all of
it, and what it does not know, it drops. The page's Content-Security-Policy is the second wall.
No image is loaded: a picture on another server tells that server who reads what, and when.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import nh3
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from pygments import highlight
from pygments.formatters.html import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.token import STANDARD_TYPES
from pygments.util import ClassNotFound

from review.models import Document, Markup

VERSION = 1  # of what `render` makes; raise it with a change, and stored HTML is made anew
SHOWN_CHARACTERS = 60_000  # of a long document: enough to judge it by, quick to render
CODE_CHARACTERS = 20_000  # of one code block that are coloured

TAGS = {
    *("h1", "h2", "h3", "h4", "h5", "h6", "p", "br", "hr", "blockquote", "pre", "code"),
    *("ul", "ol", "li", "dl", "dt", "dd", "em", "strong", "i", "b", "s", "del", "a", "span"),
    *("div", "table", "thead", "tbody", "tr", "th", "td", "kbd", "sub", "sup"),
    *("details", "summary"),
}
ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}, "th": {"align"}, "td": {"align"}}
# A document may not dress up as a part of the page.
CLASSES = {
    "span": {*STANDARD_TYPES.values(), "remote-image"} - {""},
    "div": {"highlight"},
    **{f"h{level}": {f"h{look}" for look in range(1, 7)} for level in range(2, 7)},
}
SCHEMES = {"http", "https", "mailto"}

HEADING = re.compile(r"<(/?)h([1-6])\b[^>]*>", re.IGNORECASE)
IMAGE = re.compile(r"<img\b[^>]*>", re.IGNORECASE)
ALT = re.compile(r"""\balt\s*=\s*("([^"]*)"|'([^']*)')""", re.IGNORECASE)


def shown(document: Document) -> SafeString:
    """What `render` made of the document when its proposal came, else what it makes now."""
    if document.html_version == VERSION:
        return mark_safe(document.html)  # noqa: S308 -- `render` wrote it
    return render(document)


def render(document: Document) -> SafeString:
    """The document, or the beginning of a long one, as HTML without scripts, images or styles."""
    text = document.text[:SHOWN_CHARACTERS]
    if document.markup == Markup.PLAIN:
        return format_html('<pre class="plain">{}</pre>', text)
    clean = nh3.clean(
        _markdown().render(text),
        tags=TAGS,
        attributes=ATTRIBUTES,
        allowed_classes=CLASSES,
        attribute_filter=_absolute_links,
        url_schemes=SCHEMES,
        link_rel="noopener noreferrer nofollow",
    )
    return mark_safe(clean)  # noqa: S308 -- this is what the sanitiser is for


def is_cut(document: Document) -> bool:
    """Whether `render` shows only the beginning."""
    return document.characters > SHOWN_CHARACTERS


@functools.cache
def _markdown() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"highlight": _colour}).enable(["table", "strikethrough"])
    markdown.add_render_rule("image", _image)
    markdown.add_render_rule("heading_open", _heading)
    markdown.add_render_rule("heading_close", _heading)
    markdown.add_render_rule("th_open", _cell)
    markdown.add_render_rule("td_open", _cell)
    markdown.add_render_rule("html_block", _html)
    markdown.add_render_rule("html_inline", _html)
    return markdown


def _image(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    alt = self.renderInlineAsText(tokens[index].children or [], options, env)
    return _placeholder(alt)


def _html(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    html = IMAGE.sub(_html_image, tokens[index].content)
    return HEADING.sub(lambda found: _level(found[1], int(found[2]), env), html)


def _heading(
    self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any
) -> str:
    token = tokens[index]
    return _level("/" if token.nesting < 0 else "", int(token.tag[1]), env)


def _level(slash: str, look: int, env: Any) -> str:
    """A heading's tag, below the page's own h1 and with no level skipped.

    So that a screen reader's outline holds together; its class keeps the look it had.
    `env` is markdown-it's, one for each document.
    """
    if slash:
        return f"</h{env.get('level', 2)}>"
    env["level"] = min(look + 1, env.get("level", 1) + 1, 6)
    return f'<h{env["level"]} class="h{look}">'


def _cell(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    """A table's cell, aligned by an attribute: the policy allows no style in the page."""
    token = tokens[index]
    side = str(token.attrGet("style") or "").removeprefix("text-align:")
    return f'<{token.tag} align="{side}">' if side else f"<{token.tag}>"


def _html_image(found: re.Match[str]) -> str:
    alt = ALT.search(found.group())
    return _placeholder((alt.group(2) or alt.group(3) or "") if alt else "")


def _placeholder(alt: str) -> str:
    """What stands for an image: its alternative text, or nothing where it has none."""
    return f'<span class="remote-image">{escape(alt.strip())}</span>' if alt.strip() else ""


def _colour(code: str, language: str, _attributes: str) -> str:
    """Code as coloured HTML, or "" for markdown-it to escape it plainly."""
    try:
        lexer = get_lexer_by_name(language.lower()) if language else None
    except ClassNotFound:
        lexer = None
    if lexer is None or len(code) > CODE_CHARACTERS:
        return ""
    coloured = highlight(code, lexer, HtmlFormatter(nowrap=True))
    # markdown-it takes what starts with <pre as the whole block.
    return f'<pre><div class="highlight"><code>{coloured}</code></div></pre>'


def _absolute_links(tag: str, attribute: str, value: str) -> str | None:
    """Links that lead somewhere: a relative one would lead into Tagger."""
    if attribute == "href" and not urlsplit_safely(value):
        return None
    return value


def urlsplit_safely(address: str) -> str:
    """The scheme of an address; "" where there is none, or no address."""
    try:
        return urlsplit(address).scheme
    except ValueError:
        return ""
