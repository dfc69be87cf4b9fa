"""A document as a page shows it: what the model read is marked, the end of a long one folded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape

from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from review.llm.prompt import FRAMES, characters_read
from review.models import Document, Markup, Proposal

from .render import PLAIN, SHOWN_CHARACTERS, is_cut, shown

OPEN = 6_000  # characters, about two screens: of a longer document, the rest is folded
OPEN_AFTER_READ = 2_000  # and so many stay open after those that the model read
LEAST_FOLDED = 1_500  # fewer are not worth a fold

BLOCK = re.compile(r'<(\w+) data-(at|in)="(\d+)"')  # as `render` writes it


@dataclass(frozen=True)
class Sheet:
    body: SafeString
    folded: SafeString  # "" where nothing is
    more: str  # how many characters of the text are folded: "12,340"
    cut: bool  # even that is only the beginning of the document
    sent: str = ""  # what the model was sent of it, where that is no beginning that has an end


def sheet(document: Document, proposal: Proposal | None, *, fold: bool) -> Sheet:
    """The document, with a mark where the part ends that the model was sent for the proposal.

    In plain text the mark is exact. In Markdown it stands before the first block, or item of a
    list, that begins after that place: where the model's part ended within a block, behind it.
    What is folded begins with a block too, one that stands in no other: a document that is one
    long list is not folded. Does not read the document's text, which may be long. Where the model
    was sent parts of the document (its gist), there is no mark, and the page shows what it was.
    """
    read = None
    sent = ""
    if proposal is not None and proposal.document_cut:
        read = characters_read(proposal.prompt_version, proposal.user_message)
        sent = "" if proposal.prompt_version in FRAMES else proposal.user_message
    end = min(document.characters, SHOWN_CHARACTERS)
    keep = OPEN if read is None else max(OPEN, read + OPEN_AFTER_READ)
    if not fold or end - keep < LEAST_FOLDED:
        keep = end
    html = shown(document)
    if read is None and keep == end:
        return Sheet(html, SafeString(), "0", is_cut(document), sent)
    mark = "" if read is None else _mark(read, document.characters)
    split = _plain if document.markup == Markup.PLAIN else _markdown
    body, folded, at = split(html, read or 0, mark, keep)
    more = number_format(end - at, force_grouping=True) if folded else "0"
    return Sheet(body, folded, more, is_cut(document), sent)


def _plain(html: str, read: int, mark: str, keep: int) -> tuple[SafeString, SafeString, int]:
    """The open part, the folded one, and where in the text that one begins."""
    before, after = PLAIN.split("{}")
    text = unescape(html.removeprefix(before).removesuffix(after))
    at = text.find("\n", keep) + 1 or len(text)
    if not mark:
        body = format_html(PLAIN, text[:at])
    else:
        read += len(text) - len(text.lstrip())
        parts = text[:read], mark_safe(mark), text[read:at]  # noqa: S308 -- `_mark` wrote it
        body = format_html(PLAIN + "{}" + PLAIN, *parts)
    return body, format_html(PLAIN, text[at:]) if text[at:] else SafeString(), at


def _markdown(html: str, read: int, mark: str, keep: int) -> tuple[SafeString, SafeString, int]:
    """As `_plain`."""
    blocks = [(found.start(), found[1], found[2], int(found[3])) for found in BLOCK.finditer(html)]
    none = (len(html), "p", "at", 0)
    first = min((at for _place, _tag, _kind, at in blocks), default=0)
    ends = (block for block in blocks if block[2] == "at" and block[3] >= keep)
    fold, _tag, _kind, at = next(ends, none)
    body = html[:fold]
    if mark:
        unread = (block for block in blocks if block[3] >= first + read)
        place, tag, _kind, _at = next(unread, none)
        if tag == "li":  # an item among items
            mark = mark.replace("<p ", "<li ").replace("</p>", "</li>")
        place = min(place, fold)
        body = body[:place] + mark + body[place:]
    return mark_safe(body), mark_safe(html[fold:]), at  # noqa: S308 -- `render` wrote it


def _mark(read: int, characters: int) -> SafeString:
    says = _("The model read up to here: %(read)s of %(all)s characters.") % {
        "read": number_format(read, force_grouping=True),
        "all": number_format(characters, force_grouping=True),
    }
    return format_html('<p class="read-to" lang="{}">{}</p>', get_language(), says)
