"""The page of releases: ordered, made by the worker, looked into, compared, fetched, deleted."""

from __future__ import annotations

import ast
import datetime
import html
import io
import json
import re
import shlex
import zipfile
from pathlib import Path
from typing import Any
from unittest import mock

from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from review.models import Project, Release, ReleaseState, Role, Training
from review.pipeline import release, select
from review.pipeline.release import FORMATS, Filters
from review.tasks import make_release, sweep_up
from review.views.release_words import LEFT_OUT, TITLES
from review.writers.read_back import BY_WORTH

from .test_release import SETS, Releasing


class OnThePage(Releasing):
    def setUp(self) -> None:
        super().setUp()
        self.needs(1)
        self.client.force_login(self.member("cora", Role.CURATOR))

    def decided(self, count: int = 1) -> None:
        for number in range(count):
            self.ready(f"d{number}", f"# Text {number}")
            self.pick(self.alice, 1)

    def order(self, **fields: Any) -> Any:
        with self.captureOnCommitCallbacks(execute=True):
            return self.client.post("/releases/order", {"formats": ["trl", "kto"], **fields})

    def ordered(self, **fields: Any) -> Release:
        answer = self.order(**fields)
        self.assertEqual(answer.status_code, 302, answer.content.decode()[-3000:])
        made = Release.objects.latest("pk")
        self.assertEqual(answer["Location"], f"/releases/{made.number}")
        return made

    def worked(self, made: Release) -> Release:
        """Made, as by a worker."""
        make_release(made.pk)
        made.refresh_from_db()
        return made

    def words(self, path: str) -> str:
        """What the page says, without its marks."""
        answer = self.client.get(path)
        self.assertEqual(answer.status_code, 200)
        bare = re.sub(r"<[^>]+>", " ", answer.content.decode())
        return " ".join(html.unescape(bare).split())


class Ordering(OnThePage):
    def test_the_page_and_the_command_order_the_same(self) -> None:
        self.decided()
        made = self.ordered(
            note="For the winter",
            formats=["trl", "parquet"],
            since="2026-01-01",
            until="2100-12-31",
            policy="all",
            reviewers=["alice", "bob"],
            without_reviewers=["bob"],
            models=["fake"],
            min_agreement="0.5",
            min_self_consistency="",
            on_policy="on",
            one_pair="on",
        )
        self.assertEqual(made.note, "For the winter")
        self.assertEqual(made.formats, ["trl", "parquet"])
        self.assertEqual(made.asked_by and made.asked_by.username, "cora")
        filters = Filters(
            since="2026-01-01",
            until="2100-12-31",
            policy="all",
            reviewers=("alice", "bob"),
            without_reviewers=("bob",),
            models=("fake",),
            min_agreement=0.5,
            on_policy=True,
            one_pair=True,
        )
        self.assertEqual(made.filters, filters.as_dict())
        self.worked(made)
        line = re.search(
            r"\.venv/bin/python manage\.py release .*? --note 'For the winter'",
            self.words(f"/releases/{made.number}"),
        )
        assert line
        out = io.StringIO()
        call_command(*shlex.split(line.group())[2:], stdout=out, stderr=io.StringIO())
        same = Release.objects.latest("pk")
        self.assertEqual((same.filters, same.formats), (made.filters, made.formats))
        self.assertEqual((same.counts, same.files), (made.counts, made.files))

    def test_nothing_given_is_everything_in_the_usual_formats(self) -> None:
        form = self.client.get("/releases").content.decode()
        ticked = re.findall(r'name="formats" value="([a-z-]+)"[^>]* checked', form)
        self.assertEqual(tuple(ticked), release.FORMATS_AT_FIRST)
        made = self.ordered(formats=ticked)
        self.assertEqual(made.filters, Filters().as_dict())

    def test_what_cannot_be_asked_for_is_said_beside_the_field(self) -> None:
        for fields, name, told in (
            ({"formats": []}, "formats", "Choose at least one format."),
            ({"formats": ["csv"]}, "formats", "Select a valid choice."),
            ({"since": "tomorrow"}, "since", "is no day"),
            ({"since": "2026-02-02", "until": "2026-02-01"}, "until", "after the start"),
            ({"policy": "loudest"}, "policy", "Select a valid choice."),
            ({"min_agreement": "2"}, "min_agreement", "from 0 to 1"),
            ({"min_agreement": "x"}, "min_agreement", "Enter a number."),
            ({"reviewers": ["nobody"]}, "reviewers", "Select a valid choice."),
            ({"note": "x" * 501}, "note", "at most 500"),
            ({"note": "\0"}, "note", "Null characters"),
        ):
            with self.subTest(fields=fields):
                answer = self.order(**fields)
                self.assertEqual(answer.status_code, 422)
                self.assertIn(told, str(answer.context["form"].errors[name]))
                self.assertContains(answer, f'id="id_{name}_error"', 1, 422)
                self.assertContains(answer, told, status_code=422)
        self.assertFalse(Release.objects.exists())

    def test_former_members_can_be_left_out_and_other_projects_people_are_not_shown(self) -> None:
        self.decided()
        self.project.memberships.filter(user=self.alice).delete()
        other = Project.objects.create(name="Another")
        self.bob.memberships.update(project=other)
        page = self.client.get("/releases").content.decode()
        self.assertIn('name="without_reviewers" value="alice"', page)
        self.assertNotIn('value="bob"', page)

    def test_the_worker_is_told_at_once_and_again_by_the_sweeper(self) -> None:
        with mock.patch("review.tasks.make_release.apply_async") as told:
            made = self.ordered()
            told.assert_called_once_with([made.pk], queue="imports")
            sweep_up()
            self.assertEqual(told.call_count, 2)
            Release.objects.update(
                state=ReleaseState.MAKING,
                lease_expires_at=timezone.now() + datetime.timedelta(minutes=1),
            )
            sweep_up()
            self.assertEqual(told.call_count, 2)

    def test_a_failed_one_says_why_and_is_ordered_again(self) -> None:
        made = self.worked(self.ordered(note="Too early", one_pair="on"))
        self.assertEqual(made.state, ReleaseState.FAILED)
        words = self.words("/releases/1")
        self.assertIn("Nobody has decided on a model's answers yet", words)
        self.assertIn("Order again", words)
        self.decided()
        self.assertRedirects(self.client.post("/releases/1/again"), "/releases/2")
        again = Release.objects.get(number=2)
        self.assertEqual((again.filters, again.formats), (made.filters, made.formats))
        self.assertEqual(again.note, "Too early")
        self.assertEqual(self.worked(again).state, ReleaseState.READY)


class Looking(OnThePage):
    def test_the_list_is_newest_first_and_a_page_at_a_time(self) -> None:
        self.assertIn("There is no release yet.", self.words("/releases"))
        fields = {"project": self.project, "formats": ["trl"], "state": ReleaseState.FAILED}
        Release.objects.bulk_create(Release(number=number, **fields) for number in range(1, 61))
        page = self.client.get("/releases").content.decode()
        numbers = re.findall(r'href="/releases/(\d+)"', page)
        self.assertEqual([int(n) for n in numbers], list(range(60, 10, -1)))
        self.assertIn('href="?before=11"', page)
        older = self.client.get("/releases?before=11").content.decode()
        self.assertEqual(len(re.findall(r'href="/releases/(\d+)"', older)), 10)

    def test_it_moves_only_while_something_is_being_made(self) -> None:
        self.decided()
        made = self.ordered()
        self.assertContains(self.client.get("/releases"), 'hx-trigger="every 2s"')
        self.assertContains(self.client.get("/releases/1"), 'hx-get="/releases/1/progress"')
        part = self.client.get("/releases/1/progress")
        self.assertNotIn("HX-Refresh", part)
        Release.objects.update(state="making", decisions_wanted=200, decisions_done=50)
        self.assertContains(self.client.get("/releases/1/progress"), "50 of 200 decisions read")
        self.assertContains(self.client.get("/releases"), 'value="25"')
        Release.objects.update(state="waiting")
        self.worked(made)
        self.assertEqual(self.client.get("/releases/1/progress")["HX-Refresh"], "true")
        self.assertNotContains(self.client.get("/releases"), "hx-trigger")
        polled = self.client.get("/releases", headers={"HX-Request": "true"})
        self.assertNotContains(polled, "Order a release")

    def test_it_counts_and_says_what_was_left_out_and_names_people(self) -> None:
        self.decided(2)
        self.ready("mine")
        self.give(self.bob, "ai")
        self.worked(self.ordered(reviewers=["alice"], one_pair="on"))
        words = self.words("/releases/1")
        self.assertIn("Pairs by reviewer Name Count alice 2", words)
        self.assertIn("Decisions left out Why Count by somebody who was not asked for 1", words)
        self.assertIn("a further pair of the same decision 2", words)
        self.assertIn("Only by alice", words)
        made = Release.objects.get()
        for file in made.files:
            self.assertIn(file["sha256"], words)
        self.assertNotIn("alice", json.dumps(made.counts))

    def test_every_reason_has_words(self) -> None:
        reasons = set()
        for function in ast.walk(ast.parse(Path(select.__file__).read_text())):
            if isinstance(function, ast.FunctionDef) and function.name.startswith("_why"):
                told = (node.value for node in ast.walk(function) if isinstance(node, ast.Return))
                reasons |= {one.value for one in told if isinstance(one, ast.Constant)}
        self.assertGreater(len(reasons), 10)
        known = {name for kind in LEFT_OUT.values() for name in kind}
        self.assertEqual(reasons - {""} - known, set())
        self.decided()
        made = self.worked(self.ordered())
        self.assertEqual({*made.filters, *made.counts} - {"left_out"} - set(TITLES), set())

    def test_rows_are_shown_from_the_frozen_files_of_any_format(self) -> None:
        self.decided()
        self.assertEqual(set(BY_WORTH), set(FORMATS))
        for name in FORMATS:
            with self.subTest(name=name):
                made = self.worked(self.ordered(formats=[name]))
                self.assertEqual(made.state, ReleaseState.READY, made.reason)
                words = self.words(f"/releases/{made.number}")
                self.assertIn(f"As they are in {name}/", words)
                self.assertIn("✓ Chosen " + " ".join(SETS[0]), words)
                one_sided = name.startswith(("sft", "openai-chat", "expected"))
                self.assertEqual("✗ Rejected" in words, not one_sided)
                self.assertEqual("Document d0" in words, name != "expected-json")
        made = Release.objects.earliest("pk")
        before = self.words(f"/releases/{made.number}").partition("The first rows")[2][:400]
        self.undo(self.alice)
        after = self.words(f"/releases/{made.number}").partition("The first rows")[2][:400]
        self.assertEqual(before, after)

    def test_while_it_is_not_made_rows_are_those_that_would_be_written(self) -> None:
        self.decided()
        self.ordered()
        words = self.words("/releases/1")
        self.assertIn("As they would be written now: it is not made yet.", words)
        self.assertIn("✗ Rejected " + " ".join(SETS[1]), words)
        with mock.patch("review.pipeline.release.MOST_PREVIEWED", 0):
            self.assertIn("No pair was found among the first", self.words("/releases/1"))

    def test_files_that_are_elsewhere_are_told(self) -> None:
        self.decided()
        made = self.worked(self.ordered())
        release.folder_of(made).rename(self.var / "elsewhere")
        self.assertIn("not on this machine", self.words("/releases/1"))
        self.assertEqual(self.client.get("/releases/1/archive.zip").status_code, 409)
        made.refresh_from_db()
        self.assertIsNone(made.downloaded_at)

    def test_documents_do_not_mark_up_the_page(self) -> None:
        self.ready("<b>5201</b>")
        self.pick(self.alice, 1)
        self.worked(self.ordered(note="<i>note</i>"))
        page = self.client.get("/releases/1").content.decode()
        for mark in ("<b>5201", "<i>note"):
            self.assertNotIn(mark, page)
        self.assertIn("Document &lt;b&gt;5201", page)  # in the prompt

    def test_the_difference_of_two(self) -> None:
        self.decided()
        self.worked(self.ordered())
        self.worked(self.ordered(one_pair="on"))
        words = self.words("/releases/2?against=1")
        self.assertIn("Differs Release 1 Release 2", words)
        self.assertIn("One pair a decision no yes", words)
        self.assertIn("Pairs 2 1", words)
        self.assertIn("Pairs left out: a further pair of the same decision — 1", words)
        self.assertIn("Pairs by reviewer: alice 2 1", words)
        self.worked(self.ordered())
        self.assertIn("Nothing differs", self.words("/releases/3?against=1"))
        self.assertEqual(self.client.get("/releases/2?against=9").status_code, 404)
        self.assertNotIn("Differs", self.words("/releases/2?against=x"))


class Keeping(OnThePage):
    def setUp(self) -> None:
        super().setUp()
        self.decided()
        self.release = self.worked(self.ordered())

    def test_the_archive_is_streamed_and_the_first_download_is_kept_in_mind(self) -> None:
        answer = self.client.get("/releases/1/archive.zip")
        self.assertTrue(answer.streaming)
        self.assertEqual(answer["Content-Type"], "application/zip")
        data = b"".join(answer)
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            self.assertIsNone(packed.testzip())
            self.assertIn("release-1/manifest.json", packed.namelist())
        self.release.refresh_from_db()
        first = self.release.downloaded_at
        self.assertIsNotNone(first)
        b"".join(self.client.get("/releases/1/archive.zip"))
        self.release.refresh_from_db()
        self.assertEqual(self.release.downloaded_at, first)
        self.assertNotIn("Delete this release", self.words("/releases/1"))
        page = self.client.post("/releases/1/delete", follow=True)
        self.assertContains(page, "Somebody has downloaded this release.")
        self.assertTrue(release.folder_of(self.release).exists())

    def test_what_nobody_has_downloaded_is_deleted(self) -> None:
        page = self.client.post("/releases/1/delete", follow=True)
        self.assertContains(page, "Release 1 was deleted.")
        self.assertFalse(release.folder_of(self.release).exists())
        self.assertEqual(self.client.get("/releases/1").status_code, 404)
        self.assertEqual(self.ordered().number, 2)

    def test_what_a_model_was_trained_on_stays(self) -> None:
        Training.objects.create(release=self.release, name="tuned")
        page = self.client.post("/releases/1/delete", follow=True)
        self.assertContains(page, "A model was trained on this release.")
        self.assertTrue(release.folder_of(self.release).exists())

    def test_nothing_can_be_fetched_before_it_is_ready(self) -> None:
        self.ordered()
        answer = self.client.get("/releases/2/archive.zip")
        self.assertContains(answer, "is not ready", status_code=409)
        self.assertIsNone(Release.objects.get(number=2).downloaded_at)

    def test_reviewers_fetch_nothing(self) -> None:
        reviewer = Client()
        reviewer.force_login(self.alice)
        for path in ("/releases", "/releases/1", "/releases/1/archive.zip"):
            self.assertEqual(reviewer.get(path).status_code, 403)
        self.release.refresh_from_db()
        self.assertIsNone(self.release.downloaded_at)
