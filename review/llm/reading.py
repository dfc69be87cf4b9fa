"""What a model reads of a long document: title, opening, headings, the telling passages.

An editor who tags a README looks at the same. Badges, pictures, addresses, code, tables of
contents, licences and thanks say little about what a thing is, and cost as much as the rest.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MOST_READ = 200_000  # characters looked at: what a thing is does not stand behind them
OPENING = 0.72  # of the room, for the document's beginning
HEADINGS = 0.14  # and for the headings of what follows; the passages get what is left
LONGEST_HEADING = 60
LONGEST_PASSAGE = 240

# Sections that say nothing of what the thing is, by the beginning of their headings.
ASIDE = re.compile(
    r"(table of )?contents?\b|toc\b|licen[cs]|copyright|contribut|sponsor|backers?\b|donat"
    r"|support(ers|ing)?\b|thanks|acknowledg|credits?\b|authors?\b|maintainers?\b|change ?log"
    r"|release notes|history\b|star(s| history|gazers)|code of conduct|community\b|contact"
    r"|translations?\b|badges?\b|security policy"
    r"|目录|许可|协议|贡献|致谢|赞助|捐赠|更新日志|联系",
    re.IGNORECASE,
)
# Headings that every README has.
USUAL = re.compile(
    r"(getting started|quick ?start|installation|install(ing)?|usage|requirements?|documentation"
    r"|docs|build(ing)?|test(s|ing)?|development|examples?|faq|features?|overview|about"
    r"|introduction|readme|安装|使用|用法|文档|快速开始|介绍|简介|特性)[\s:!?.]*",
    re.IGNORECASE,
)

COMMENT = re.compile(r"<!--.*?(-->|\Z)", re.DOTALL)
FENCE = re.compile(
    r"^ {0,3}(```+|~~~+)[^\n]*\n.*?(^ {0,3}\1[`~]*[ \t]*$|\Z)", re.DOTALL | re.MULTILINE
)
DROPPED_ELEMENT = re.compile(
    r"<(script|style|svg|pre|table)\b.*?(</\1\s*>|\Z)", re.DOTALL | re.IGNORECASE
)
ELEMENT = re.compile(r"</?[a-zA-Z][^<>]{0,2000}>")
PICTURE = re.compile(r"!\[[^\]\n]{0,300}\](\([^)\n]{0,1000}\)|\[[^\]\n]{0,100}\])")
LINK = re.compile(r"\[([^\]\[\n]{0,300})\](\([^)\n]{0,1000}\)|\[[^\]\n]{0,100}\])")
ROLE = re.compile(
    r":[a-z:+-]{2,30}:`([^`<\n]{1,200})(?: <[^>\n]*>)?`|`([^`<\n]{1,200}) <[^>\n]{1,500}>`_{1,2}"
)
DEFINITION = re.compile(r"^\s*(\[[^\]\n]+\]:\s|\.\. _|\.\. \|)[^\n]*$", re.MULTILINE)
DIRECTIVE = re.compile(r"^\.\. [\w:-]+::[^\n]*\n(?:(?:[ \t]+[^\n]*)?\n)*", re.MULTILINE)
ADDRESS = re.compile(r"<?\b(?:https?|ftp)://[^\s<>)\]]{1,2000}>?")
MARKS = re.compile(r"(\*\*|__|``?|\|{2,})")
SPACES = re.compile(r"[^\S\n]+")

ATX = re.compile(r"^ {0,3}#{1,6}\s+(.*?)\s*#*$")
UNDERLINE = re.compile(r"^([=\-~^\"'#*+])\1{2,}\s*$")
LIST_ITEM = re.compile(r"^\s*(?:[-*+•]|\d{1,3}[.)])\s+")
SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")


@dataclass(frozen=True)
class Block:
    """A heading, or a paragraph or list under the last one; in plain words, without markup."""

    text: str
    heading: bool = False


def gist(title: str, text: str, characters: int, terms: Sequence[str] = ()) -> tuple[str, bool]:
    """At most `characters` of the document, and whether anything of its words was left out.

    First its title and its opening; then the headings of what follows; then passages that
    mention `terms` (names of tags, their synonyms) which the opening does not.
    """
    found = list(without_asides(blocks(text[:MOST_READ])))
    title = " ".join(title.split())[:200]
    if title and found and found[0].heading and same_words(found[0].text, title):
        found = found[1:]
    parts = [title] if title else []
    room = characters - len(title)
    opening = int(room * OPENING) if sum(len(block.text) + 1 for block in found) > room else room
    taken = 0
    for block in found:
        if len(block.text) + 1 > opening:
            kept = beginning(block.text, opening)
            if kept:
                parts.append(kept)
            if kept and len(kept) >= len(block.text):
                taken += 1
            break
        parts.append(block.text)
        opening -= len(block.text) + 1
        taken += 1
    rest = found[taken:]
    if not rest:
        return "\n".join(parts)[:characters], len(text) > MOST_READ
    shown = "\n".join(parts)
    more = headings(rest, int(characters * HEADINGS))
    shown = f"{shown}\n{more}" if more else shown
    for passage in telling(rest, terms, shown):
        if len(shown) + len(passage) + 1 <= characters:
            shown += f"\n{passage}"
    return shown[:characters], True


def room_for(text: str, characters: int) -> int:
    """How many characters of this text cost about as much as so many of Latin script.

    The embedded model spends up to three tokens on a Chinese character, one on four Latin ones.
    """
    looked_at = text[:4000]
    other = len(looked_at) - len(looked_at.encode("ascii", "ignore"))
    return int(characters / (1 + 2 * other / max(1, len(looked_at))))


def blocks(text: str) -> Iterator[Block]:
    """The document's headings and paragraphs, in its order, in plain words.

    Reads Markdown, reStructuredText, HTML and plain text alike; never raises.
    """
    text = COMMENT.sub("", text.replace("\r\n", "\n").replace("\x00", ""))
    text = FENCE.sub("\n", text)
    text = DROPPED_ELEMENT.sub("\n", text)
    text = DIRECTIVE.sub("\n", text)
    text = DEFINITION.sub("", text)
    text = re.sub(
        r"</?(p|div|h[1-6]|br|li|tr|ul|center)\b[^<>]{0,2000}>", "\n", text, flags=re.IGNORECASE
    )
    text = ELEMENT.sub("", text)
    text = PICTURE.sub("", text)
    text = LINK.sub(r"\1", LINK.sub(r"\1", text))
    text = ROLE.sub(lambda found: found[1] or found[2], text)
    text = ADDRESS.sub("", text)
    text = MARKS.sub("", html.unescape(text))
    lines = [SPACES.sub(" ", line).rstrip() for line in text.split("\n")]
    paragraph: list[str] = []

    def ended() -> Iterator[Block]:
        words = " ".join(line.strip() for line in paragraph if line.strip())
        paragraph.clear()
        if len(re.sub(r"[\W_]+", "", words)) >= 2:
            yield Block(words)

    for number, line in enumerate(lines):
        after = lines[number + 1] if number + 1 < len(lines) else ""
        if found := ATX.match(line):
            yield from ended()
            if found[1].strip():
                yield Block(found[1].strip(), heading=True)
        elif line.strip() and UNDERLINE.match(after) and len(after) >= min(len(line.strip()), 4):
            yield from ended()
            yield Block(line.strip(), heading=True)
        elif UNDERLINE.match(line) or not line.strip():
            yield from ended()
        elif line.lstrip().startswith("|"):  # a table's row: its cells as words
            paragraph.append(
                " ".join(cell.strip() for cell in line.split("|") if not set(cell) <= set(" :-"))
            )
        else:
            if LIST_ITEM.match(line):
                line = LIST_ITEM.sub("- ", line)
            paragraph.append(line)
    yield from ended()


def without_asides(found: Iterator[Block]) -> Iterator[Block]:
    """Without the sections that say nothing of what the thing is, and without repeats."""
    aside = False
    seen: set[str] = set()
    for block in found:
        if block.heading:
            aside = bool(ASIDE.match(block.text.strip(" #*:·-")))
        if aside or block.text in seen:
            continue
        seen.add(block.text)
        yield block


def headings(found: Sequence[Block], room: int) -> str:
    """The headings in one line, but those that every README has."""
    names: list[str] = []
    for block in found:
        name = block.text.strip(" :#")
        if block.heading and len(name) <= LONGEST_HEADING and not USUAL.fullmatch(name):
            names.append(name)
    line = "Headings: "
    for place, name in enumerate(names):
        if len(line) + len(name) + 2 > room:
            break
        line += f"; {name}" if place else name
    return line if line != "Headings: " else ""


def telling(found: Sequence[Block], terms: Sequence[str], shown: str) -> Iterator[str]:
    """Sentences that mention terms which `shown` does not, each term once, in their order."""
    wanted = [term for term in terms if len(term) > 1]
    if not wanted:
        return
    pattern = re.compile(
        r"(?<!\w)(?:"
        + "|".join(sorted(map(re.escape, wanted), key=len, reverse=True))
        + r")(?!\w)",
        re.IGNORECASE,
    )
    known = {said[0].casefold() for said in pattern.finditer(shown)}
    for block in found:
        if block.heading:
            continue
        for sentence in SENTENCE.split(block.text):
            new = {said[0].casefold() for said in pattern.finditer(sentence)} - known
            if new and len(sentence) <= LONGEST_PASSAGE:
                known |= new
                yield sentence.strip()


def beginning(text: str, room: int) -> str:
    """As much of the text as fits, up to the end of a sentence, else of a word."""
    if len(text) <= room:
        return text
    kept = text[: max(0, room)]
    ends = [found.end() for found in SENTENCE.finditer(kept)]
    if ends and ends[-1] > room // 2:
        return kept[: ends[-1]].rstrip()
    place = kept.rfind(" ")
    return kept[:place].rstrip() if place > room // 2 else kept


def same_words(one: str, other: str) -> bool:
    return re.sub(r"\W+", "", one).casefold() == re.sub(r"\W+", "", other).casefold()
