"""A document's text → HTML that is safe to show. The text is a stranger's.

READMEs mix Markdown with raw HTML, so both are read; then a sanitiser (nh3) goes over all of
it, and what it does not know, it drops. The page's Content-Security-Policy is the second wall.
No image is loaded: a picture on another server tells that server who reads what, and when.

The HTML says of a block where in the text it begins, in characters: in `data-at` where the
block stands in no other, so that the HTML may be cut in two before it, else in `data-in`.
pipeline/sheet.py goes by that.
"""

from __future__ import annotations

import functools
import re
import secrets
from collections.abc import Sequence
from html import unescape
from typing import Any
from urllib.parse import unquote, urlsplit

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

VERSION = 2  # of what `render` makes; raise it with a change, and stored HTML is made anew
SHOWN_CHARACTERS = 60_000  # of a long document: enough to judge it by, quick to render
CODE_CHARACTERS = 20_000  # of one code block that are coloured

TAGS = {
    *("h1", "h2", "h3", "h4", "h5", "h6", "p", "br", "hr", "blockquote", "pre", "code"),
    *("ul", "ol", "li", "dl", "dt", "dd", "em", "strong", "i", "b", "s", "del", "a", "span"),
    *("div", "table", "thead", "tbody", "tr", "th", "td", "kbd", "sub", "sup"),
    *("details", "summary"),
}
# The blocks that a paragraph may stand before, and the items of lists.
PLACED = {
    *("h1", "h2", "h3", "h4", "h5", "h6", "p", "pre", "blockquote", "ul", "ol", "li", "dl"),
    *("table", "hr", "div", "details"),
}
ATTRIBUTES = {tag: {"data-at"} for tag in PLACED} | {
    "a": {"href", "title"},
    "ol": {"start", "data-at"},
    "th": {"align"},
    "td": {"align"},
}
# A document may not dress up as a part of the page.
CLASSES = {
    "span": {*STANDARD_TYPES.values(), "remote-image"} - {""},
    "a": {"remote-image"},
    "div": {"highlight"},
    **{f"h{level}": {f"h{look}" for look in range(1, 7)} for level in range(2, 7)},
}
SCHEMES = {"http", "https", "mailto"}
PLAIN = '<pre class="plain">\n{}</pre>'  # the newline is not shown; without it, a first one is not

# None of these looks past the next "<": their time grows with the text, and no faster.
IN_HTML = re.compile(r"<(/?)(h[1-6]|a|img)\b([^<>]*)>", re.IGNORECASE)
FIRST_TAG = re.compile(r"\s*<[a-z][a-z0-9]*(?=[\s/>])", re.IGNORECASE)
ALT, SRC, HREF = (
    re.compile(rf"""(?<![\w-]){name}\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
    for name in ("alt", "src", "href")
)
NEWLINE = re.compile(r"\r\n?|\n")
# Of what the sanitiser writes: in it, "<" and quotes in an attribute's value are escaped.
CLEAN_TAG = re.compile(r'<(/?)([a-z][a-z0-9]*)((?: [a-z-]+="[^"]*")*)>')
PLACE = re.compile(r' data-at="(\d+)"')


def shown(document: Document) -> SafeString:
    """What `render` made of the document when its proposal came, else what it makes now."""
    if document.html_version == VERSION:
        return mark_safe(document.html)  # noqa: S308 -- `render` wrote it
    return render(document)


def render(document: Document) -> SafeString:
    """The document, or the beginning of a long one, as HTML without scripts, images or styles."""
    text = document.text[:SHOWN_CHARACTERS]
    if document.markup == Markup.PLAIN:
        return format_html(PLAIN, text)
    markdown, nonce = _markdown(), secrets.token_hex(4)
    env: dict[str, Any] = {}
    tokens = markdown.parse(text, env)
    _place(tokens, text, nonce)
    clean = nh3.clean(
        markdown.renderer.render(tokens, markdown.options, env),
        tags=TAGS,
        attributes=ATTRIBUTES,
        allowed_classes=CLASSES,
        attribute_filter=functools.partial(_attribute, nonce),
        url_schemes=SCHEMES,
        link_rel="noopener noreferrer nofollow",
    )
    return mark_safe(_finish(clean))  # noqa: S308 -- this is what the sanitiser is for


def is_cut(document: Document) -> bool:
    """Whether `render` shows only the beginning."""
    return document.characters > SHOWN_CHARACTERS


@functools.cache
def _markdown() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"highlight": _colour}).enable(["table", "strikethrough"])
    markdown.add_render_rule("image", _image)
    markdown.add_render_rule("link_open", _link)
    markdown.add_render_rule("link_close", _link)
    markdown.add_render_rule("fence", _fence)
    markdown.add_render_rule("heading_open", _heading)
    markdown.add_render_rule("heading_close", _heading)
    markdown.add_render_rule("th_open", _cell)
    markdown.add_render_rule("td_open", _cell)
    markdown.add_render_rule("html_block", _html)
    markdown.add_render_rule("html_inline", _html)
    return markdown


def _place(tokens: Sequence[Token], text: str, nonce: str) -> None:
    """Give each block, and each item of a list, the place where it begins.

    The nonce tells our own attributes from those that the document's HTML brings along.
    """
    lines = [0, *(newline.end() for newline in NEWLINE.finditer(text))]
    for token in tokens:
        if token.map and (token.level == 0 or token.type == "list_item_open"):
            token.attrSet("data-at", f"{nonce}{lines[token.map[0]]}")


def _image(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    token = tokens[index]
    alt = self.renderInlineAsText(token.children or [], options, env)
    return _placeholder(alt, str(token.attrGet("src") or ""), env)


def _link(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    token = tokens[index]
    env["linked"] = token.nesting > 0 and bool(urlsplit_safely(str(token.attrGet("href"))))
    return self.renderToken(tokens, index, options, env)


def _fence(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    place = _placed(tokens[index])
    tokens[index].attrs.pop("data-at", None)  # else it would be the inner <code>'s
    return self.fence(tokens, index, options, env).replace("<pre", f"<pre{place}", 1)


def _html(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    token = tokens[index]
    html = FIRST_TAG.sub(lambda found: found[0] + _placed(token), token.content, count=1)
    return IN_HTML.sub(lambda found: _in_html(found, env), html)


def _in_html(found: re.Match[str], env: Any) -> str:
    slash, tag, attributes = found[1], found[2].lower(), found[3]
    if tag == "img":
        return _placeholder(_value(ALT, attributes), _value(SRC, attributes), env)
    if tag == "a":
        env["linked"] = not slash and bool(urlsplit_safely(_value(HREF, attributes)))
        return found[0]
    place = re.search(r' data-at="\w+"', attributes)
    return _level(slash, int(tag[1]), env, place[0] if place else "")


def _value(attribute: re.Pattern[str], attributes: str) -> str:
    found = attribute.search(attributes)
    return unescape(found[1] or found[2] or found[3] or "") if found else ""


def _heading(
    self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any
) -> str:
    token = tokens[index]
    return _level("/" if token.nesting < 0 else "", int(token.tag[1]), env, _placed(token))


def _level(slash: str, look: int, env: Any, place: str) -> str:
    """A heading's tag, below the page's own h1 and with no level skipped.

    So that a screen reader's outline holds together; its class keeps the look it had.
    `env` is markdown-it's, one for each document.
    """
    if slash:
        return f"</h{env.get('level', 2)}>"
    env["level"] = min(look + 1, env.get("level", 1) + 1, 6)
    return f'<h{env["level"]}{place} class="h{look}">'


def _cell(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    """A table's cell, aligned by an attribute: the policy allows no style in the page."""
    token = tokens[index]
    side = str(token.attrGet("style") or "").removeprefix("text-align:")
    return f'<{token.tag} align="{side}">' if side else f"<{token.tag}>"


def _placed(token: Token) -> str:
    place = token.attrGet("data-at")
    return f' data-at="{place}"' if place else ""


def _placeholder(alt: str, address: str, env: Any) -> str:
    """What stands for an image: its alternative text, else its file's name, linked to it.

    Without a link where the image is part of one already (a badge), and where its address
    leads nowhere from here (a relative one) or is the image itself (`data:`).
    """
    scheme = urlsplit_safely(address)
    name = "" if scheme == "data" else unquote(address.partition("?")[0].rpartition("/")[2])
    text = escape(alt.strip() or name[:80] or "image")
    if scheme not in {"http", "https"} or env.get("linked"):
        return f'<span class="remote-image">{text}</span>'
    return f'<a class="remote-image" href="{escape(address)}">{text}</a>'


def _colour(code: str, language: str, _attributes: str) -> str:
    """Code as coloured HTML, or "" for markdown-it to escape it plainly."""
    try:
        lexer = get_lexer_by_name(language.lower()) if language else None
    except ClassNotFound:
        lexer = None
    if lexer is None or len(code) > CODE_CHARACTERS:
        return ""
    coloured = highlight(code, lexer, _formatter())
    # markdown-it takes what starts with <pre as the whole block.
    return f'<pre><div class="highlight"><code>{coloured}</code></div></pre>'


@functools.cache
def _formatter() -> HtmlFormatter[str]:
    return HtmlFormatter(nowrap=True)


def _attribute(nonce: str, tag: str, attribute: str, value: str) -> str | None:
    """The attribute's value as it is kept; None for one that is not."""
    if attribute == "data-at":
        return value.removeprefix(nonce) if value.startswith(nonce) else None
    if attribute == "href" and not urlsplit_safely(value):
        return None  # a relative link would lead into Tagger
    return value


def _finish(clean: str) -> str:
    """Tell the blocks that stand in no other from the rest; let links open a page of their own."""
    depth = 0

    def finished(found: re.Match[str]) -> str:
        nonlocal depth
        slash, tag, attributes = found.groups()
        if slash:
            depth -= 1
            return found[0]
        place = PLACE.search(attributes)
        if place:
            kind = "in" if depth else "at"
            attributes = f' data-{kind}="{place[1]}"' + PLACE.sub("", attributes)
        if tag == "a" and ' href="' in attributes:
            attributes += ' target="_blank"'  # the desk stays
        if tag not in {"br", "hr"}:
            depth += 1
        return f"<{tag}{attributes}>"

    return CLEAN_TAG.sub(finished, clean)


def urlsplit_safely(address: str) -> str:
    """The scheme of an address; "" where there is none, or no address."""
    try:
        return urlsplit(address).scheme
    except ValueError:
        return ""
