"""Examples from picks: which documents are like this one, and what the model is shown of them."""

from __future__ import annotations

import hashlib
import io
import json
import uuid
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import CommandError, call_command
from django.utils import timezone
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from review.llm.likeness import NEAR_COPY, SHORT, Pool, short
from review.llm.recipe import CONFIGURED
from review.models import Document, DocumentState, Evaluation, Tag
from review.pipeline import learn
from review.pipeline.exam import side_of
from review.pipeline.learn import similar
from review.pipeline.propose import propose

from .base import HouseTestCase

HTTP = (
    "# {}\n\nAn HTTP client for Python that sends requests over sockets and keeps connections open."
)
CHESS = "# {}\n\nA chess board with an engine: play games, analyse openings and solve endgames."

ROWS = [
    ("1", "Wget", HTTP.format("Wget"), ("http-client",)),
    ("2", "Chess", CHESS.format("Chess"), ("game",)),
    ("3", "Ledger", "# Ledger\n\nDouble-entry accounting with budgets and invoices.", ("finance",)),
    ("4", "网络", "# 网络\n\n一个用于下载网页的命令行工具, 支持代理服务器。", ("networking",)),
]


def test_the_likest_come_first_each_with_its_tags() -> None:
    pool = Pool(ROWS)
    found = pool.nearest("", "Sends HTTP requests, an async client with sockets.", 2)
    assert [one.tags for one in found][:1] == [("http-client",)]
    assert found[0].title == "Wget"
    assert 0 < found[0].likeness < NEAR_COPY
    assert "chess" in pool.shared("", "Chess problems and chess puzzles", "2")
    assert pool.nearest("", "chess engine games", 1)[0].tags == ("game",)


def test_chinese_is_compared_by_its_characters() -> None:
    found = Pool(ROWS).nearest("", "下载视频的工具", 1)
    assert [one.id for one in found] == ["4"]


def test_neither_itself_nor_a_copy_nor_a_near_copy_is_an_example() -> None:
    text = ROWS[0][2]
    pool = Pool([*ROWS, ("5", "Copy", text + " Thanks!", ("cli",))])
    assert {one.id for one in pool.nearest("Wget", text, 9)}.isdisjoint({"1", "5"})
    assert {one.id for one in pool.nearest("", "An HTTP library", 9, {"1"})} == {"5"}
    # Of two near-copies of each other one is enough.
    assert len({"1", "5"} & {one.id for one in pool.nearest("", "An HTTP library", 9)}) == 1


def test_without_a_word_in_common_there_is_no_example() -> None:
    assert Pool(ROWS).nearest("", "zzz qqq", 3) == []
    assert Pool(ROWS).nearest("", "", 3) == []
    assert Pool([]).nearest("", "chess", 3) == []
    assert Pool([("1", "", "", ("cli",))]).nearest("", "chess", 3) == []


def test_a_row_that_comes_again_takes_the_place_of_the_old_one() -> None:
    pool = Pool(ROWS)
    pool.add([("2", "Chess", "# Chess\n\nA book on gardens.", ("blog",))], drop={"1"})
    assert len(pool) == 3
    assert pool.nearest("", "chess openings and endgames", 1)[0].tags == ("blog",)
    assert pool.nearest("", "sockets requests", 1) == []
    pool.add([], drop={"2", "3", "4"})
    assert len(pool) == 0
    assert pool.nearest("", "chess", 1) == []


def test_a_pool_grown_bit_by_bit_is_the_pool_made_at_once() -> None:
    grown = Pool()
    for row in ROWS:
        grown.add([row])
    query = ("", "HTTP games with budgets", 4)
    assert grown.nearest(*query) == Pool(ROWS).nearest(*query)


@hypothesis_settings(deadline=None)  # the first call loads scikit-learn
@given(st.text(max_size=300), st.text(max_size=3000))
def test_any_text_is_compared_and_shown_in_short(title: str, text: str) -> None:
    assert len(short(title, text)) <= SHORT
    assert "\n" not in short(title, text)
    found = Pool([("a", title, text, ("cli",)), *ROWS]).nearest(title, text, 4)
    assert "a" not in [one.id for one in found]
    assert all(0 < one.likeness < NEAR_COPY for one in found)


class Picked(HouseTestCase):
    """A project that shows examples, and documents that Alice has reviewed."""

    def setUp(self) -> None:
        super().setUp()
        learn.forget()
        self.project.prompt = "full-3"
        self.project.save()

    def train(self, external_id: str, text: str) -> tuple[str, str]:
        """The text, with an end by which it is none of those that are kept for measuring."""
        for end in range(100):
            ended = f"{text}\n\nNo. {end}"
            if side_of(hashlib.sha256(ended.encode()).hexdigest()) == "train":
                return external_id, ended
        raise AssertionError

    def picked(self, external_id: str, text: str, rank: int = 1) -> Document:
        """A document that Alice has reviewed: with the candidate of this rank."""
        document = self.ready(*self.train(external_id, text))
        page = self.page()
        candidate = document.proposals.get(current=True).candidates.get(rank=rank)
        answer = self.client.post(f"/candidates/{candidate.pk}/choose", page.fields)
        assert answer.status_code in (200, 302)
        document.refresh_from_db()
        assert document.state == DocumentState.REVIEWED
        return document


class FromPicks(Picked):
    def undo(self) -> None:
        self.client.post("/undo", {"key": str(uuid.uuid4())})
        self.client.post("/leases/release", {"lease": self.page().fields["lease"]})

    def like(self, text: str, besides: Document | None = None) -> list[tuple[str, ...]]:
        return [one.tags for one in similar(self.project, "", text, 4, besides)]

    def test_a_pick_is_in_the_next_prompt_and_not_in_the_system_message(self) -> None:
        before = self.document("0", "# Zero\n\nA server that answers HTTP requests.")
        self.picked("1", HTTP.format("One") + " It speaks HTTP/2.")
        propose(before.pk)
        system, user = (one["content"] for one in self.model.requests[-1]["messages"])
        self.assertIn('</document>\n{"tags":["lib","cli"]}\n<document>', user)
        first_system = self.model.requests[0]["messages"][0]["content"]
        self.assertEqual(system, first_system)
        proposal = before.proposals.get()
        self.assertEqual((proposal.prompt_version, proposal.user_message), ("full-3", user))

    def test_a_document_is_no_example_for_itself_nor_is_one_with_its_text(self) -> None:
        document = self.picked("1", HTTP.format("One"))
        self.assertEqual(self.like(document.text, document), [])
        self.assertEqual(self.like(document.text), [])
        self.assertEqual(self.like(document.text + " More."), [])
        self.assertEqual(self.like("A client that sends HTTP requests"), [("lib", "cli")])

    def test_what_was_taken_back_is_shown_no_more_and_the_new_pick_is(self) -> None:
        document = self.picked("1", HTTP.format("One"))
        query = "A client that sends HTTP requests"
        self.assertEqual(self.like(query), [("lib", "cli")])
        self.undo()
        self.assertEqual(self.like(query), [])
        page = self.page()
        candidate = document.proposals.get(current=True).candidates.get(rank=3)
        self.client.post(f"/candidates/{candidate.pk}/choose", page.fields)
        self.assertEqual(self.like(query), [("framework",)])

    def test_merged_tags_are_what_they_became_and_retired_ones_are_left_out(self) -> None:
        self.picked("1", HTTP.format("One"))
        query = "A client that sends HTTP requests"
        self.assertEqual(self.like(query), [("lib", "cli")])
        sdk = self.project.tags.get(name="sdk")
        self.project.tags.filter(name="lib").update(merged_into=sdk)
        self.assertEqual(self.like(query), [("sdk", "cli")])
        self.project.tags.filter(name="cli").update(retired_at=timezone.now())
        self.assertEqual(self.like(query), [("sdk",)])
        Tag.objects.filter(pk=sdk.pk).update(retired_at=timezone.now())
        self.assertEqual(self.like(query), [])

    def test_a_document_on_which_no_tag_fits_is_no_example(self) -> None:
        document = self.ready(*self.train("1", HTTP.format("One")))
        proposal = document.proposals.get()
        self.client.post(f"/proposals/{proposal.pk}/none", self.page().fields)
        self.assertEqual(self.like("A client that sends HTTP requests"), [])

    def test_those_kept_for_measuring_are_never_examples(self) -> None:
        text = next(
            text
            for text in (f"{HTTP.format('One')} {end}" for end in range(100))
            if side_of(hashlib.sha256(text.encode()).hexdigest()) == "test"
        )
        document = self.ready("1", text)
        candidate = document.proposals.get().candidates.get(rank=1)
        self.client.post(f"/candidates/{candidate.pk}/choose", self.page().fields)
        self.assertEqual(self.like("A client that sends HTTP requests"), [])

    def test_a_new_process_takes_in_what_was_picked_before_it_began(self) -> None:
        self.picked("1", HTTP.format("One"))
        self.picked("2", CHESS.format("Two"), rank=3)
        learn.forget()
        self.assertEqual(self.like("chess games and openings"), [("framework",)])

    def test_of_a_long_past_a_part_is_taken_in_at_each_call_the_latest_first(self) -> None:
        self.picked("1", HTTP.format("One"))
        self.picked("2", CHESS.format("Two"))
        learn.forget()
        queries = "A client that sends HTTP requests", "chess games and openings"
        with _set(learn, AT_ONCE=1):
            self.assertEqual([len(self.like(query)) for query in queries], [0, 1])
            self.assertEqual([len(self.like(query)) for query in queries], [1, 1])

    def test_only_the_latest_are_kept(self) -> None:
        with _set(learn, MOST=1):
            self.picked("1", HTTP.format("One"))
            self.assertEqual(len(self.like("A client that sends HTTP requests")), 1)
            self.picked("2", CHESS.format("Two"))
            self.assertEqual(len(self.like("chess games and openings")), 1)
            self.assertEqual(self.like("A client that sends HTTP requests"), [])

    def test_a_text_that_changed_is_compared_anew(self) -> None:
        document = self.picked("1", HTTP.format("One"))
        self.assertEqual(len(self.like("A client that sends HTTP requests")), 1)
        _external_id, text = self.train("1", CHESS.format("One"))
        Document.objects.filter(pk=document.pk).update(
            text=text, sha256=hashlib.sha256(text.encode()).hexdigest()
        )
        self.assertEqual(self.like("A client that sends HTTP requests"), [])
        self.assertEqual(self.like("chess games and openings"), [("lib", "cli")])

    def test_another_project_learns_nothing_of_it(self) -> None:
        self.picked("1", HTTP.format("One"))
        other = type(self.project).objects.create(name="Another")
        self.assertEqual(similar(other, "", "A client that sends HTTP requests", 4), [])

    def test_a_prompt_without_examples_looks_for_none(self) -> None:
        self.project.prompt = "full-2"
        self.project.save()
        self.ready()
        self.assertEqual(learn._learned, {})
        self.assertEqual(CONFIGURED.examples, 4)


class TheLearningCurve(HouseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(settings.VAR) / uuid.uuid4().hex
        self.folder.mkdir()

    def write(self, name: str, *rows: tuple[str, str, str, tuple[str, ...]]) -> str:
        lines = [
            {"id": id, "title": title, "text": text, "best": list(best)}
            for id, title, text, best in rows
        ]
        file = self.folder / name
        file.write_text("\n".join(json.dumps(line) for line in lines))
        return str(file)

    def evaluate(self, *args: Any) -> str:
        out, self.err = io.StringIO(), io.StringIO()
        call_command("evaluate", *map(str, args), stdout=out, stderr=self.err)
        return out.getvalue()

    def sent(self) -> list[str]:
        return [request["messages"][1]["content"] for request in self.model.requests]

    def test_each_number_of_picks_is_a_run_beside_the_first(self) -> None:
        exam = self.write(
            "exam.jsonl", ("9", "Nine", "Chess over HTTP, with accounting.", ("lib",))
        )
        picks = self.write("picks.jsonl", *ROWS)
        options = ("--prompt", "full-3", "--examples-from", picks, "--picks", "0,2,4")
        out = self.evaluate(exam, *options)
        counts = [text.count("<document>") - 1 for text in self.sent()]
        self.assertEqual(counts[0], 0)
        self.assertLessEqual(counts[1], 2)
        self.assertEqual(counts[2], 3)  # the Chinese one has no word in common
        told = Evaluation.objects.order_by("pk").values_list("training", flat=True)
        self.assertEqual([*told], [f"picks.jsonl: {count}" for count in (0, 2, 4)])
        self.assertRegex(out, r"picks +run .*\n +0 +\d+ .*\n +2 +\d+ .* \+0\.000 \(.*\n +4 ")
        rows = json.loads(self.evaluate(exam, *options, "--json"))
        self.assertEqual([row["picks"] for row in rows], [0, 2, 4])

    def test_a_document_that_was_picked_itself_is_asked_with_the_others_alone(self) -> None:
        twin = ("5", "Another title", ROWS[1][2], ("http",))
        both = self.write("both.jsonl", *ROWS[:3], twin)
        self.evaluate(both, "--prompt", "full-3", "--examples-from", both)
        for (_id, _title, text, best), sent in zip([*ROWS[:3], twin], self.sent(), strict=True):
            examples = sent.rpartition("<document>")[0]
            self.assertNotIn(text.splitlines()[-1][:60], examples)
            if best != ("http",):
                self.assertNotIn(f'"{best[0]}"', examples)

    def test_picks_without_a_source_or_more_than_it_has_are_refused(self) -> None:
        file = self.write("e", *ROWS)
        for options in (("--picks", "5"), ("--picks", "5", "--examples-from", file)):
            self.assertRaises(CommandError, self.evaluate, file, *options)
        self.assertEqual(self.model.requests, [])

    def test_a_prompt_that_shows_no_examples_says_so(self) -> None:
        file = self.write("exam.jsonl", *ROWS[:2])
        self.evaluate(file, "--prompt", "full-2", "--examples-from", file)
        self.assertIn("The prompt full-2 shows no examples.", self.err.getvalue())


class _set:
    """The module with other numbers, for the time of a block."""

    def __init__(self, module: Any, **values: Any) -> None:
        self.module, self.values = module, values

    def __enter__(self) -> None:
        self.before = {name: getattr(self.module, name) for name in self.values}
        for name, value in self.values.items():
            setattr(self.module, name, value)

    def __exit__(self, *_error: object) -> None:
        for name, value in self.before.items():
            setattr(self.module, name, value)
