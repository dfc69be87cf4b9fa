"""Does a document speak to the model that reads it? Simple rules, each with the words it found.

It stops nothing: what keeps a document from steering more than its own tags stands elsewhere (the
reply is data, and the model has no tools). It tells the reviewer to look twice, and keeps such a
document from being let through unseen. Who knows the rules can write around them.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from html import unescape

READ = 200_000  # characters of a document that are looked at
QUOTED = 160  # characters that are shown of what was found
MOST_FOUND = 5

# --- What is looked at: the text as a model would take it, whatever it is dressed in ----------

INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff\U000e0000-\U000e007f]")
FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e007a]{2,6}\U000e007f")  # a country's part
DRESS = re.compile(r"<!--|-->|<[^<>]{0,300}>|[*_`~#>|]+")
SPACES = re.compile(r"\s+")
VALUE = re.compile(r"""\b(?:alt|title|content|value|label)\s*=\s*(["'])([^"'<>]{12,2000})\1""")

# --- The rules -------------------------------------------------------------------------------

WORD = r"(?:\W+\w+){0,%d}?\W+"  # each letter is of one of the two: no search takes long
ORDERS = re.compile(
    r"\b(?:ignore|disregard|forget|override|bypass|discard|do\s+not\s+follow|stop\s+following)\b"
    + WORD % 6
    + r"(?:instructions?|prompts?|guidelines?|directions?|commands?|rules\s+(?:above|you|of\s+the))"
    + r"|\b(?:new|updated|real|actual|revised)\s+(?:system\s+)?(?:instructions?|prompt)\s*:"
    + r"|\b(?:ignorier|vergiss|missachte)\w*\b"
    + WORD % 5
    + r"(?:anweisung|vorgabe|regel)\w*"
    + r"|\b(?:ignore[zr]?|oublie[zr]?)\b"
    + WORD % 5
    + r"(?:instructions|consignes)"
    + r"|\b(?:ignora|olvida)\w*\b"
    + WORD % 5
    + r"instrucciones"
    + r"|(?:忽略|无视|忘记|不要理会).{0,12}(?:指令|指示|提示|说明|规则|要求)",
)
MACHINE = (
    r"(?:ai|llm|language\s+model|assistant|chat\s?bot|chatgpt|gpt|tagger|classifier|annotator)"
)
ADDRESS = re.compile(
    rf"\b(?:note|message|attention|instructions?|notice|reminder|important|hint)\W+(?:to|for)\s+"
    rf"(?:(?:the|any|all|every|you|an?)\s+)?{MACHINE}s?\b"
    rf"|\b(?:dear|hello|hey|hi|attention)[ ,]+(?:{MACHINE}|model)\b"
    rf"|\bif\s+you\s+are\s+(?:an?|the)\s+(?:\w+\s+)?{MACHINE}\b"
    r"|\b(?:as|since)\s+the\s+(?:model|ai|assistant)\s+(?:reading|tagging|classifying)\b"
    r"|\byou\s+are\s+(?:now|no\s+longer)\s+(?:an?|the|in|bound)\b"
    r"|\b(?:the\s+model|the\s+ai|the\s+tagger|the\s+classifier)\s+(?:must|shall|has\s+to)\b"
    r"|你现在是|作为(?:一个)?(?:ai|人工智能|语言模型)",
)
ANSWER = re.compile(
    r"\b(?:answer|respond|reply|output|return|say|write|print)\b"
    + WORD % 5
    + r"(?:tags?|labels?)\b(?:\W+\w+){0,3}?\W*[:\"'“‘\[]"
    r"|[{]\s*[\"']?tags[\"']?\s*:\s*\[\s*[\"']\w"
    r"|\b(?:tag|label|classify|categori[sz]e)\s+(?:this|the)\s+(?:document|readme|text|file|page)"
    r"\s+(?:as|with|under)\b"
    r"|\b(?:the\s+)?(?:only\s+)?(?:correct|right|best|final|expected)\s+(?:tags?|labels?|answer)"
    r"\s+(?:is|are|must|for\s+this)\b"
    r"|\b(?:assign|choose|pick|select|use)\s+(?:only\s+)?(?:the\s+)?(?:tags?|labels?)\s*[:\"“‘]"
    r"|(?:标签|标记)\s*(?:必须|应该|只能)",
)
ROLES = re.compile(
    r"<\|\s*(?:im_start|im_end|system|user|assistant|endoftext|eot_id|start_header_id)\s*\|>"
    r"|\[/?INST\]|<</?SYS>>|</?\s*document\s*>\s*\S|<start_of_turn>|<end_of_turn>"
    r"|^#{2,4} {0,3}(?:system|assistant) ?:?$"
    r"|^ {0,3}(?:system|assistant) ?: ?\S+(?: \S+){2}.{0,200}\s{1,5}(?:user|human|assistant) ?:"
    r"|^\W{0,10}(?:begin|end|start) (?:of )?(?:the )?(?:system prompt|document|user input)\W{0,10}$"
    r"|</?(?:tool_call|function_call|tool_response|think)>",
    re.IGNORECASE | re.MULTILINE,
)
# Letters of no width are in words by accident, and a soft hyphen is meant; so many are a message.
HIDDEN_LETTERS = re.compile(
    "[\u200b\u2060-\u2064\ufeff](?:.{0,3}[\u200b-\u200d\u2060-\u2064\ufeff]){4}"
    "|[\U000e0020-\U000e007e]{4}"
    "|[\u202d\u202e]",
    re.DOTALL,
)
HIDDEN_STYLE = re.compile(
    r"style\s*=\s*[\"'][^\"'<>]{0,200}?(?:display\s*:\s*none|visibility\s*:\s*hidden"
    r"|font-size\s*:\s*0(?:px|pt|em|rem|%)?\s*[;\"']|(?<![\w-])opacity\s*:\s*0\s*[;\"']"
    r"|(?<![\w-])color\s*:\s*(?:#fff(?:fff)?\b|white\b|transparent\b))[^<>]{0,300}>[^<>]{0,30}\w{2}",
    re.IGNORECASE,
)
CODED = re.compile(r"(?<![\w+/=])[A-Za-z0-9+/]{32,4000}={0,2}(?![\w+/=])")
LIST = re.compile(r"[^\n]{12,2000}")
LISTED = 8  # tags of the vocabulary, one after another


# Looked for in small letters, and only where one of the words is: most documents have none.
SAID = (
    (
        *("orders", ORDERS),
        "ignor disregard forget overrid bypass discard follow instructions: prompt: vergiss "
        "missacht oubli olvida 忽略 无视 忘记 不要理会",
    ),
    (
        *("address", ADDRESS),
        "ai llm model assistant chatbot gpt tagger classifier annotator you 你现在是 作为",
    ),
    ("answer", ANSWER, "tag label classify categor answer 标签 标记"),
)


@dataclass(frozen=True)
class Found:
    """rule: orders, address, answer, roles, hidden, coded or list. quote: what of it is seen."""

    rule: str
    quote: str


def suspicions(text: str, vocabulary: Collection[str] = ()) -> list[Found]:
    """What in the text seems to speak to a model; each rule once, with the first that it found."""
    text = text[:READ]
    found = [*_said(undressed(text)), *_said(undressed(in_attributes(text)))]
    for rule, pattern, where in (
        ("roles", ROLES, text),
        ("hidden", HIDDEN_LETTERS, FLAG.sub("", text)),
        ("hidden", HIDDEN_STYLE, text),
    ):
        if hit := pattern.search(where):
            found.append(Found(rule, quote(where, hit)))
    found += _coded(text)
    if names := _listed(bare_lines(text), vocabulary):
        found.append(Found("list", names))
    first: dict[str, Found] = {}
    for each in found:
        first.setdefault(each.rule, each)
    return list(first.values())[:MOST_FOUND]


def undressed(text: str) -> str:
    """Without markup and letters of no width; letters that only look like Latin ones stay."""
    plain = INVISIBLE.sub("", unescape(unicodedata.normalize("NFKC", text)))
    return SPACES.sub(" ", DRESS.sub("", plain))


def in_attributes(text: str) -> str:
    """What HTML's tags say beside their text."""
    return " . ".join(hit[2] for hit in VALUE.finditer(text))


def bare_lines(text: str) -> str:
    return DRESS.sub("", INVISIBLE.sub("", text))


def quote(text: str, hit: re.Match[str]) -> str:
    """The words from that place on, in one line that can be seen."""
    seen = INVISIBLE.sub("", text[hit.start() : hit.end() + 60])
    seen = "".join(" " if unicodedata.category(letter)[0] == "C" else letter for letter in seen)
    return SPACES.sub(" ", seen).strip()[:QUOTED]


def _said(text: str) -> Iterator[Found]:
    low = text.lower()
    for rule, pattern, needs in SAID:
        if any(word in low for word in needs.split()) and (hit := pattern.search(low)):
            yield Found(rule, quote(text if len(low) == len(text) else low, hit))


def _coded(text: str) -> list[Found]:
    """Base64 that holds any of what is said in the open elsewhere."""
    for hit in CODED.finditer(text):
        code = hit[0].rstrip("=")
        try:
            plain = base64.b64decode(code + "=" * (-len(code) % 4), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue
        if said := next(_said(undressed(plain)), None):
            return [Found("coded", said.quote)]
    return []


def _listed(lines: str, vocabulary: Collection[str]) -> str:
    """Eight or more tags of the vocabulary in a row, as nobody writes who does not know it."""
    names = {name.strip().casefold() for name in vocabulary}
    if len(names) <= LISTED:
        return ""
    for line in LIST.finditer(lines):
        run: list[str] = []
        for part in re.split(r"[,;|/、，]", line[0]):
            item = part.strip().strip("\"'[]{}().:").casefold()
            item = item.rpartition(":")[2].strip().strip("\"'[]")
            run = [*run, item] if item in names and item not in run else []
            if len(run) >= LISTED:
                return ", ".join(run)
    return ""
