"""Releases: which pairs are in, that no two contradict each other, and that files are frozen."""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import shutil
import tempfile
import zipfile
from collections import defaultdict
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings
from django.utils import timezone

from review.models import Decision, Proposal, Release, ReleaseState, Repeat, Role, Tag
from review.models.proposal import WORDS_COUNTED
from review.pipeline import release
from review.pipeline.release import Filters
from review.pipeline.select import Selection
from review.pipeline.split import split_of

from .fake_model import DIFFERENT
from .tampering import tampering
from .test_adjudication import Disputed

SETS = [json.loads(one)["tags"] for one in DIFFERENT]


class Releasing(Disputed):
    def setUp(self) -> None:
        super().setUp()
        self.var = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.var)
        there = override_settings(VAR=self.var)
        there.enable()
        self.addCleanup(there.disable)

    def made(self, *formats: str, **filters: Any) -> Release:
        ordered = release.order(self.project, Filters(**filters), formats or ["trl", "kto", "sft"])
        release.make(ordered.pk)
        ordered.refresh_from_db()
        return ordered

    def rows(self, made: Release, name: str = "trl") -> list[dict[str, Any]]:
        self.assertEqual(made.state, ReleaseState.READY, made.reason)
        files = sorted((release.folder_of(made) / name).glob("*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    def ranks(self, made: Release) -> list[tuple[int, int]]:
        return [(row["chosen_rank"], row["rejected_rank"]) for row in self.rows(made)]


class Pairs(Releasing):
    def test_a_pick_and_a_correction_as_the_model_was_asked(self) -> None:
        self.needs(1)
        self.ready("1")
        self.pick(self.alice, 2)
        self.ready("2")
        self.give(self.bob, "ai", "security")
        made = self.made()
        rows = self.rows(made)
        self.assertEqual(len(rows), 5)
        for row in rows:
            proposal = Proposal.objects.get(document__external_id=row["document_id"])
            self.assertEqual(row["prompt"], proposal.messages)
            self.assertNotEqual(*(set(self.said(row[side])) for side in ("chosen", "rejected")))
            self.assertNotIn(row["reviewer"], ("alice", "bob"))
        picks = [row for row in rows if row["source"] == "pick"]
        self.assertEqual({row["on_policy"] for row in picks}, {True})
        self.assertEqual([self.said(row["rejected"]) for row in picks], [SETS[0], SETS[2]])
        corrections = [row for row in rows if row["source"] == "correction"]
        self.assertEqual({row["chosen_by"] for row in corrections}, {"person"})
        self.assertEqual({row["on_policy"] for row in corrections}, {False})
        self.assertEqual(len({row["reviewer"] for row in rows}), 2)
        counts = made.counts
        self.assertEqual((counts["picks"], counts["corrections"], counts["pairs"]), (1, 1, 5))
        place = Decision.objects.get(kind="pick").shown.index(2) + 1
        self.assertEqual(counts["by_slot"], {str(place): 1})
        self.assertEqual(sum(counts["by_reviewer"].values()), 5)
        self.assertEqual(len(self.rows(made, "sft")), 2)
        self.assertEqual([row["label"] for row in self.rows(made, "kto")].count(True), 2)

    def said(self, messages: list[dict[str, str]]) -> list[str]:
        found: list[str] = json.loads(messages[0]["content"])["tags"]
        return found

    def test_what_was_taken_back_is_not_there(self) -> None:
        self.ready("1")
        self.ready("2")
        self.pick(self.alice, 1)
        self.pick(self.alice, 1)
        self.undo(self.alice)
        self.assertEqual(self.ranks(self.made()), [(1, 2), (1, 3)])

    def test_none_fits_is_only_bad_answers(self) -> None:
        self.needs(1)
        self.ready()
        self.none(self.alice)
        made = self.made()
        self.assertEqual([row["label"] for row in self.rows(made, "kto")], [False] * 3)
        self.assertEqual(self.rows(made), [])
        self.assertEqual(made.counts["none_fits"], 1)

    def test_no_document_is_in_two_splits(self) -> None:
        self.needs(1)
        for number in range(12):
            self.ready(str(number), f"# Text {number % 6}")
            self.pick(self.alice, 1)
        made = self.made()
        places = defaultdict(set)
        for file in (release.folder_of(made) / "trl").iterdir():
            for line in file.read_text().splitlines():
                row = json.loads(line)
                self.assertEqual(row["split"], file.stem)
                text = self.project.documents.get(external_id=row["document_id"]).sha256
                self.assertEqual(file.stem, split_of(text))
                places[text].add(file.stem)
        self.assertEqual([len(found) for found in places.values()], [1] * 6)

    def test_sets_that_merges_made_equal_are_left_out_and_counted(self) -> None:
        self.ready()
        self.pick(self.alice, 1)
        cli, http = (Tag.objects.get(project=self.project, name=name) for name in ("cli", "http"))
        Tag.objects.filter(pk=cli.pk).update(merged_into=http)
        made = self.made()
        self.assertEqual(self.ranks(made), [(1, 3)])
        self.assertEqual(made.counts["left_out"]["pairs"], {"same_now": 1})
        self.assertEqual(made.counts["merged"], 1)
        manifest = json.loads((release.folder_of(made) / "manifest.json").read_text())
        changed = {one["shown_as"]: one["merged_into"] for one in manifest["tags_since"]}
        self.assertEqual(changed, {"cli": {"id": http.number, "name": "http"}})

    def test_a_tag_that_the_model_was_not_shown_is_not_taught(self) -> None:
        self.needs(1)
        self.ready()
        Tag.objects.create(project=self.project, number=900, name="brand new")
        self.give(self.alice, "brand new")
        made = self.made()
        self.assertEqual(made.state, ReleaseState.FAILED)
        self.assertIn("left out all 1", made.reason)
        self.assertEqual(list(self.var.glob("releases/*/*")), [])


class Conflicts(Releasing):
    def test_two_who_say_the_opposite_cancel_out(self) -> None:
        self.dispute()
        made = self.made()
        self.assertEqual(self.ranks(made), [(1, 3), (2, 3)])
        self.assertEqual(made.counts["left_out"]["pairs"], {"conflict": 2})
        self.assertEqual(self.rows(made, "sft"), [])
        self.assertEqual(made.counts["left_out"]["answers"], {"no_majority": 2})

    def test_the_majority_wins(self) -> None:
        self.needs(3)
        self.ready()
        dora = self.member("dora", Role.REVIEWER)
        for user, rank in ((self.alice, 1), (self.bob, 2), (dora, 2)):
            self.pick(user, rank)
        made = self.made()
        self.assertEqual(self.ranks(made), [(1, 3), (2, 1), (2, 3)])
        self.assertEqual(made.counts["left_out"]["pairs"], {"conflict": 1, "repeated": 2})
        row = self.rows(made)[1]
        self.assertEqual((row["n_reviewers"], row["agreement"]), (3, 0.6667))
        self.assertEqual(len(self.rows(made, "sft")), 1)
        self.assertEqual(self.ranks(self.made(min_agreement=0.5)), [(2, 1), (2, 3)])

    def test_a_curator_has_the_last_word(self) -> None:
        document = self.dispute()
        self.settle(document, *SETS[1])
        for policy in ("majority", "all"):
            made = self.made(policy=policy)
            self.assertNotIn((1, 2), self.ranks(made))
            self.assertIn((2, 1), self.ranks(made))
            self.assertEqual(made.counts["left_out"]["decisions"], {"overruled": 1})
            self.assertEqual({row["chosen_rank"] for row in self.rows(made, "sft")}, {2})

    def test_all_keeps_both_and_unanimous_neither(self) -> None:
        self.dispute()
        made = self.made(policy="all")
        self.assertEqual(self.ranks(made), [(1, 2), (1, 3), (2, 1), (2, 3)])
        self.assertEqual(made.counts["conflicts_kept"], 2)
        self.assertEqual(self.made(policy="unanimous").state, ReleaseState.FAILED)


class Choosing(Releasing):
    def setUp(self) -> None:
        super().setUp()
        self.needs(1)
        self.ready("1")
        self.pick(self.alice, 1)
        self.ready("2")
        self.give(self.bob, "ai")

    def test_by_time_person_model_and_prompt(self) -> None:
        with tampering():
            Decision.objects.filter(reviewer=self.alice).update(
                created_at=timezone.now() - datetime.timedelta(days=3)
            )
        day = f"{timezone.localdate() - datetime.timedelta(days=1)}"
        proposal = Proposal.objects.latest("pk")
        for filters, pairs in (
            ({"since": day}, 3),
            ({"until": day}, 2),
            ({"reviewers": ("bob",)}, 3),
            ({"without_reviewers": ("bob",)}, 2),
            ({"models": (proposal.model,)}, 5),
            ({"prompt_versions": (proposal.prompt_version,)}, 5),
            ({"on_policy": True}, 2),
            ({"one_pair": True}, 2),
        ):
            self.assertEqual(self.made(**filters).counts["pairs"], pairs, filters)
        for nothing in ({"models": ("other",)}, {"prompt_versions": ("other",)}):
            self.assertEqual(self.made(**nothing).state, ReleaseState.FAILED)

    def test_names_are_not_in_the_files(self) -> None:
        made = self.made(*release.FORMATS, reviewers=("alice", "bob"))
        for path in release.folder_of(made).rglob("*"):
            if path.is_file():
                self.assertNotIn(b"alice", path.read_bytes(), path)

    def test_who_contradicts_themselves_may_be_left_out(self) -> None:
        first, other = Decision.objects.order_by("pk")
        Repeat.objects.create(reviewer=self.alice, first=first, second=other, due_at=timezone.now())
        made = self.made()
        weights = {row["source"]: row["weight"] for row in self.rows(made)}
        self.assertEqual(weights, {"pick": 0.0, "correction": 1.0})
        made = self.made(min_self_consistency=0.5)
        self.assertEqual({row["source"] for row in self.rows(made)}, {"correction"})

    def test_counted_words_are_no_model(self) -> None:
        Proposal.objects.filter(document__external_id="1").update(model=WORDS_COUNTED)
        made = self.made()
        self.assertEqual(made.counts["left_out"]["decisions"], {"no_model": 1})

    def test_what_cannot_be_asked_for(self) -> None:
        for given, field in (
            ({"since": "tomorrow"}, "since"),
            ({"since": "2026-02-31"}, "since"),
            ({"since": "2026-02-02", "until": "2026-02-01"}, "until"),
            ({"policy": "loudest"}, "policy"),
            ({"min_agreement": 2}, "min_agreement"),
            ({"reviewers": "alice"}, "reviewers"),
            ({"colour": "red"}, "colour"),
        ):
            with pytest.raises(release.NotFilters) as told:
                Filters.from_dict(given)
            self.assertEqual(list(told.value.errors), [field])
        with pytest.raises(release.NotFilters):
            release.order(self.project, Filters(), ["csv"])


class Frozen(Releasing):
    def setUp(self) -> None:
        super().setUp()
        self.needs(1)
        self.ready()
        self.pick(self.alice, 1)

    def test_the_manifest_describes_every_file(self) -> None:
        made = self.made(*release.FORMATS)
        folder = release.folder_of(made)
        text = (folder / "manifest.json").read_bytes()
        self.assertEqual(hashlib.sha256(text).hexdigest(), made.manifest_sha256)
        manifest = json.loads(text)
        self.assertEqual(manifest["files"], made.files)
        self.assertEqual(manifest["counts"], made.counts)
        there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        named = {file["name"] for file in made.files}
        self.assertEqual(there - named, {"manifest.json", "README.md"})
        for file in made.files:
            data = (folder / file["name"]).read_bytes()
            self.assertEqual(hashlib.sha256(data).hexdigest(), file["sha256"])
            self.assertEqual(len(data), file["bytes"])
            if file["name"].endswith(".jsonl"):
                self.assertEqual(data.count(b"\n"), file["rows"])
        self.assertTrue((folder / "README.md").read_text().startswith("---\ntags:\n- dpo\n"))

    def test_the_same_decisions_make_the_same_bytes(self) -> None:
        first, second = self.made(*release.FORMATS), self.made(*release.FORMATS)
        self.assertEqual((first.number, second.number), (1, 2))
        self.assertEqual(first.files, second.files)

    def test_a_ready_one_is_not_made_again(self) -> None:
        made = self.made()
        before = made.manifest_sha256
        self.ready("2")
        self.pick(self.alice, 1)
        release.make(made.pk)
        made.refresh_from_db()
        self.assertEqual((made.manifest_sha256, made.attempts), (before, 1))

    def test_where_a_worker_died_another_begins_again(self) -> None:
        made = release.order(self.project, Filters(), ["trl"])
        left = self.var / f"{made.folder}.dead.part"
        left.mkdir(parents=True)
        past = timezone.now() - datetime.timedelta(minutes=1)
        Release.objects.update(state=ReleaseState.MAKING, attempts=1, lease_expires_at=past)
        release.make(made.pk)
        made.refresh_from_db()
        self.assertEqual((made.state, made.decisions_done), (ReleaseState.READY, 1))
        self.assertEqual(list(left.parent.glob("*.part")), [])

    def test_while_one_works_another_goes_away(self) -> None:
        made = release.order(self.project, Filters(), ["trl"])
        later = timezone.now() + datetime.timedelta(minutes=1)
        Release.objects.update(state=ReleaseState.MAKING, lease_expires_at=later)
        release.make(made.pk)
        self.assertEqual(list(self.var.rglob("*.jsonl")), [])

    def test_one_that_ends_its_workers_is_set_aside(self) -> None:
        made = release.order(self.project, Filters(), ["trl"])
        Release.objects.update(attempts=3)
        release.make(made.pk)
        made.refresh_from_db()
        self.assertEqual(made.state, ReleaseState.FAILED)
        self.assertIn("died 3 times", made.reason)

    def test_files_that_cannot_be_written_are_told(self) -> None:
        (self.var / "releases").write_text("a file where the folder should be")
        made = self.made()
        self.assertEqual(made.state, ReleaseState.FAILED)
        self.assertIn("could not be written", made.reason)

    def test_only_what_nobody_downloaded_is_deleted_and_its_number_is_not_given_again(self) -> None:
        made = self.made()
        release.delete(made)
        self.assertFalse(release.folder_of(made).exists())
        made = self.made()
        self.assertEqual(made.number, 2)
        Release.objects.update(downloaded_at=timezone.now())
        with pytest.raises(release.Kept):
            release.delete(made)
        self.assertTrue(release.folder_of(made).exists())

    def test_the_archive_is_the_folder(self) -> None:
        made = self.made("trl", "parquet")
        data = b"".join(release.archive(made))
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            self.assertIsNone(archive.testzip())
            there = {name: archive.read(name) for name in archive.namelist()}
        folder = release.folder_of(made)
        files = [path for path in folder.rglob("*") if path.is_file()]
        self.assertEqual(
            there,
            {f"release-1/{path.relative_to(folder)}": path.read_bytes() for path in files},
        )
        with pytest.raises(release.Kept):
            release.archive(release.order(self.project, Filters(), ["trl"]))

    def test_the_difference_of_two(self) -> None:
        first, second = self.made(), self.made(one_pair=True)
        found = {name: (a, b) for name, a, b in release.difference(first, second)}
        self.assertEqual(found["one_pair"], (False, True))
        self.assertEqual(found["pairs"], (2, 1))
        self.assertEqual(found["left_out.pairs.one_pair"], (None, 1))
        self.assertEqual(release.difference(first, first), [])

    def test_the_preview_shows_what_will_be_written(self) -> None:
        made = release.order(self.project, Filters(), ["trl"])
        (lesson,) = release.preview(made)
        self.assertEqual(lesson.chosen, SETS[0])
        self.assertEqual([one.tags for one in lesson.pairs], SETS[1:])

    def test_queries_do_not_grow_with_the_decisions(self) -> None:
        ordered = release.order(self.project, Filters(), ["trl"])
        selection = Selection(self.project, Filters())
        with self.assertNumQueries(8):
            list(selection.lessons())
        for number in range(5):
            self.ready(f"more {number}")
            self.pick(self.alice, 1)
        selection = Selection(self.project, Filters.from_dict(ordered.filters))
        with self.assertNumQueries(8):
            self.assertEqual(len(list(selection.lessons())), 6)


class Command(Releasing):
    def test_the_command_prints_the_folder(self) -> None:
        self.ready()
        self.pick(self.alice, 1)
        out, err = StringIO(), StringIO()
        call_command(
            *("release", "READMEs", "--format", "trl", "--format", "parquet,kto"),
            stdout=out,
            stderr=err,
        )
        folder = Path(out.getvalue().strip())
        self.assertEqual(
            {path.name for path in folder.iterdir()},
            {"trl", "kto", "parquet", "manifest.json", "README.md"},
        )
        self.assertIn("1 of 1 decisions read", err.getvalue())
        self.assertIn("2 pairs of 1 decisions", err.getvalue())

    def test_what_goes_wrong_is_said(self) -> None:
        for given, told in (
            ([], "Nobody has decided"),
            (["--format", "csv"], "no format “csv”"),
            (["--since", "x"], "is no day"),
            (["Other"], "no project"),
        ):
            with pytest.raises(CommandError, match=told):
                call_command("release", *given, stdout=StringIO(), stderr=StringIO())
