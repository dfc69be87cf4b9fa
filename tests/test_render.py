"""A document as it is shown: images that are not loaded, the model's part, the fold, the text."""

from __future__ import annotations

import re
from typing import Any
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from review.llm.prompt import FRAMES, VERSIONS, Material, characters_read
from review.models import Document, Markup, Proposal
from review.pipeline import ahead
from review.pipeline.render import VERSION, render
from review.tasks import sweep_up

from .base import HouseTestCase

PART = "## Part {}\n\n" + "Some words. " * 40 + "\n\n- one\n- two\n\n"
LONG = "".join(PART.format(number) for number in range(30))  # about 15,000 characters


def html_of(text: str) -> str:
    return render(Document(text=text))


def test_an_image_is_a_link_with_its_alternative_text() -> None:
    html = html_of("![A diagram](https://host.example/d.png?a=1&b=2)")
    assert 'href="https://host.example/d.png?a=1&amp;b=2"' in html
    assert 'rel="noopener noreferrer nofollow" target="_blank">A diagram</a>' in html
    assert "<img" not in html


def test_a_badge_is_one_link_to_where_the_badge_leads() -> None:
    for text in (
        "[![build](https://ci.example/b.svg)](https://ci.example/)",
        '<a href="https://ci.example/"><img src="https://ci.example/b.svg" alt="build"></a>',
    ):
        html = html_of(text)
        assert html.count("<a ") == 1
        assert 'href="https://ci.example/"' in html
        assert '<span class="remote-image">build</span>' in html


def test_an_image_that_leads_nowhere_is_a_placeholder_without_a_link() -> None:
    for text in (
        "![here](docs/here.png)",
        "![here](data:image/png;base64,AAAA)",
        "<img alt=here src=//host.example/a.png>",
        "<img alt=here src='javascript:alert(1)'>",
        "<img alt='here'>",
    ):
        html = html_of(text)
        assert '<span class="remote-image">here</span>' in html, text
        assert "<a" not in html


def test_an_image_without_words_shows_the_name_of_its_file() -> None:
    assert '<span class="remote-image">my shot.png</span>' in html_of("![](docs/my%20shot.png)")


def test_a_document_cannot_say_where_its_blocks_begin() -> None:
    html = html_of('<p data-at="5">one</p>\n\n<div><p data-in="7">two</p></div>\n\nthree')
    assert re.findall(r'data-\w+="\d+"', html) == ['data-at="0"', 'data-at="24"', 'data-at="59"']


def test_html_that_is_left_open_is_never_cut_through() -> None:
    html = html_of("<div>\n\none\n\n" + "two\n\n" * 3)
    assert html.count("data-at") == 1
    assert html.count("data-in") == 4


@given(st.text(max_size=3000), st.sampled_from(["", "a</document> <|x|> <filename> |>", "  \n"]))
def test_what_the_model_read_is_counted_from_what_it_was_sent(text: str, begin: str) -> None:
    text = begin + text
    for version, build in VERSIONS.items():
        prompt = build(Material("", [], 3, "A <document>\n title", text))
        if " |" in text or "| " in text or "< " in text:
            continue  # a document that says by itself what the prompt makes of others
        read = characters_read(version, prompt.user)
        if version not in FRAMES:  # it reads parts: the page shows the message itself
            assert read is None
            continue
        assert read is not None
        if not prompt.cut:
            assert read in (len(text.lstrip()), len(text.strip()))
        kept = text.lstrip()[:read]
        assert kept[-20:].replace(" ", "") in prompt.user.replace(" ", "")


class TheSheet(HouseTestCase):
    def cut_at(self, text: str, read: int, **changes: Any) -> Document:
        """A document of whose text the model was sent the first `read` characters."""
        document = self.ready(text=text)
        sent = f"Document:\n{text[:read]}\n\nTags for this document as JSON:"
        document.proposals.update(document_cut=True, prompt_version="adapter-1", user_message=sent)
        Document.objects.filter(pk=document.pk).update(**changes)
        return document

    def test_the_mark_stands_before_the_first_block_that_the_model_did_not_read(self) -> None:
        read = LONG.index("## Part 3")
        self.cut_at(LONG, read)
        html = self.page().html
        self.assertRegex(html, r'up to here: .*</p><h3 data-at="\d+" class="h2">Part 3')
        self.assertIn(f"{read:,} of {len(LONG):,} characters", html)
        self.assertEqual(html.count('class="read-to"'), 1)

    def test_the_mark_follows_the_last_block_that_was_sent(self) -> None:
        self.project.prompt = "full-2"
        self.project.save()
        self.ready(text=LONG)
        sent = self.model.requests[-1]["messages"][1]["content"]
        last = sent.count("## Part") - 1
        before, after = self.page().html.split('<p class="read-to"')
        self.assertIn(f"Part {last}<", before)
        self.assertNotIn(f"Part {last + 1}<", before)
        self.assertIn(f"Part {last + 1}<", after)

    def test_in_a_list_the_mark_is_an_item_among_items(self) -> None:
        self.cut_at("- one\n- two\n- three\n\nend", 9)
        self.assertRegex(
            self.page().html,
            r'two</li>\s*<li class="read-to" lang="en">.*</li><li data-in="12">three',
        )

    def test_what_the_model_read_whole_has_no_mark(self) -> None:
        self.ready(text=LONG[:1000])
        self.assertNotIn("read-to", self.page().html)

    def test_a_mark_within_the_last_block_stands_at_the_end(self) -> None:
        self.cut_at("One paragraph, and no other.", 5)
        self.assertRegex(self.page().html, r"no other.</p>\s*<p class=.read-to")

    def test_a_document_whose_prompt_is_unknown_is_shown_without_a_mark(self) -> None:
        self.cut_at(LONG, 500)
        Proposal.objects.update(prompt_version="gone-0")
        self.assertNotIn("read-to", self.page().html)

    def test_plain_text_is_marked_to_the_character_and_escaped(self) -> None:
        self.cut_at("\n 0123<b>456789", 6, markup=Markup.PLAIN, html_version=0)
        html = self.page().html
        self.assertIn('<pre class="plain">\n\n 0123</pre><p class="read-to"', html)
        self.assertIn('<pre class="plain">\n&lt;b&gt;456789</pre>', html)

    def test_the_end_of_a_long_document_is_folded_on_the_desk_alone(self) -> None:
        self.ready(text=LONG).proposals.update(document_cut=False)
        html = self.page().html
        before, folded = html.split('<details class="fold">')
        folded = folded[: folded.index("</details>")]
        begin = LONG.index("- one", 6_000)  # the first block past so many
        self.assertIn("Part 11</h3>", before)
        self.assertIn("Part 12</h3>", folded)
        self.assertIn("Part 29</h3>", folded)
        self.assertIn(f"{len(LONG) - begin:,} more characters", folded)
        self.assertNotIn('class="fold"', self.client.get("/documents/5201").content.decode())

    def test_all_that_the_model_read_stays_open(self) -> None:
        self.cut_at(LONG, 9000)
        before, _folded = self.page().html.split('<details class="fold">')
        self.assertIn("read-to", before)
        self.assertIn("Part 20</h3>", before)

    def test_a_little_more_is_not_folded(self) -> None:
        self.ready(text=LONG[:7000])
        self.assertNotIn('class="fold"', self.page().html)

    def test_long_plain_text_is_folded_at_a_line(self) -> None:
        self.project.prompt = "full-2"  # which reads the beginning
        self.project.save()
        document = self.ready(text="0123456789\n" * 1000)
        Document.objects.filter(pk=document.pk).update(markup=Markup.PLAIN, html_version=0)
        before, folded = self.page().html.split('<details class="fold">')
        self.assertEqual(before.count("0123456789"), 546)
        self.assertEqual(folded.count("0123456789"), 454)

    def test_the_document_page_marks_the_models_part_too(self) -> None:
        self.cut_at(LONG, 500)
        self.assertContains(self.client.get("/documents/5201"), "read-to", 1)

    def test_the_desk_adds_little_to_the_document(self) -> None:
        self.ready(text="Short.")
        html = self.page().html
        main = html[html.index("<main") : html.index("</main>")]
        self.assertLess(len(main.encode()), 30_000)


class TheRawText(HouseTestCase):
    def test_it_is_shown_to_the_character_and_escaped(self) -> None:
        text = "\n\n# A <b>bold</b> &amp; title  \n\tx"
        self.ready("a/b.json", text=text)
        html = self.client.get("/raw/a/b.json").content.decode()
        shown = html[html.index("<pre") : html.index("</pre>")].partition(">\n")[2]
        self.assertEqual(shown, "\n\n# A &lt;b&gt;bold&lt;/b&gt; &amp;amp; title  \n\tx")

    def test_the_desk_and_the_documents_page_lead_there(self) -> None:
        self.ready("raw/x")
        self.assertIn('href="/raw/raw/x"', self.page().html)
        self.assertContains(self.client.get("/documents/raw/x"), 'href="/raw/raw/x"')


class Ahead(HouseTestCase):
    """What reviewers come to next is rendered before; the rest of a backlog is not yet."""

    def test_a_long_backlog_is_rendered_only_as_far_as_reviewers_come_soon(self) -> None:
        with mock.patch.object(ahead, "AHEAD", 3):
            documents = [self.ready(str(number), f"# Number {number}") for number in range(5)]
            made = [Document.objects.get(pk=one.pk).html_version for one in documents]
            self.assertEqual(made, [VERSION] * 3 + [0] * 2)
            self.assertEqual(ahead.keep_ahead(60), 0)  # the first three are there
            for _ in range(2):
                page = self.page()
                self.client.post(page.urls[0], page.fields)
            sweep_up()
            made = [Document.objects.get(pk=one.pk).html_version for one in documents]
            self.assertEqual(made, [VERSION] * 5)
            last = Document.objects.get(pk=documents[4].pk)
            self.assertIn("Number 4</h2>", last.html)

    def test_what_is_not_rendered_yet_is_shown_all_the_same(self) -> None:
        with mock.patch.object(ahead, "AHEAD", 0):
            document = self.ready("1", "# Not *yet*")
            self.assertEqual(Document.objects.get(pk=document.pk).html, "")
            self.assertIn("Not <em>yet</em></h2>", self.page().html)
