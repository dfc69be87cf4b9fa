"""A person is erased: nothing says any more who they were, and all that they decided is there."""

from __future__ import annotations

from io import StringIO

from axes.models import AccessAttempt
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.test import Client
from django_otp.plugins.otp_totp.models import TOTPDevice

from review.models import Decision, Document, Note, Role, Scope, Standing, Token
from review.pipeline import seal
from review.pipeline.erase import ERASED, erase
from review.pipeline.note import leave
from review.pipeline.pair import pairs
from review.pipeline.release import folder_of
from review.pipeline.token import make
from review.pipeline.verify import Verified, verify

from .test_release import Releasing

NAMES = ("zelda", "Zelda", "Quimby", "zelda@example.org")


class Erased(Releasing):
    def setUp(self) -> None:
        super().setUp()
        self.needs(1)
        self.zelda = self.member("zelda", Role.CURATOR)
        self.zelda.first_name, self.zelda.last_name = "Zelda", "Quimby"
        self.zelda.email = "zelda@example.org"
        self.zelda.save()
        self.ready("a")
        self.pick(self.zelda, 1)
        self.ready("b")
        self.page(self.as_user(self.zelda))  # and holds it
        make(self.project, self.zelda, "a program", [Scope.READ], 1)
        TOTPDevice.objects.create(user=self.zelda, name="telephone")
        AccessAttempt.objects.create(
            username="zelda", ip_address="192.0.2.1", failures_since_start=1
        )
        leave(self.project, self.zelda, "A tag is missing.")
        LogEntry.objects.create(
            user=self.zelda,
            content_type=ContentType.objects.get_for_model(User),
            object_id=str(self.zelda.pk),
            object_repr="zelda",
            action_flag=CHANGE,
        )
        self.first = self.made(without_reviewers=("bob",))
        self.second = self.made(reviewers=("zelda",))
        self.before = [(pair.decision.pk, pair.chosen, pair.rejected) for pair in self.preferred()]

    def preferred(self) -> list:  # type: ignore[type-arg]
        return list(pairs(self.project))

    def everything(self) -> str:
        """All rows of all tables, as they are dumped."""
        out = StringIO()
        call_command("dumpdata", stdout=out)
        return out.getvalue()

    def test_who_they_were_is_nowhere_any_more(self) -> None:
        for name in NAMES:
            self.assertIn(name, self.everything())
        erase(self.zelda)
        left = self.everything()
        for name in NAMES:
            self.assertNotIn(name, left)
        self.assertFalse(Token.objects.exists() or TOTPDevice.objects.exists())
        self.assertFalse(AccessAttempt.objects.exists())

    def test_what_they_decided_is_what_it_was(self) -> None:
        seal.seal()
        name = erase(self.zelda)
        now = [(pair.decision.pk, pair.chosen, pair.rejected) for pair in self.preferred()]
        self.assertEqual(now, self.before)
        self.assertEqual(Decision.objects.get().reviewer.username, name)
        self.assertTrue(name.startswith(ERASED))
        self.assertEqual(Standing.objects.count(), 1)
        self.assertEqual(Note.objects.get().author, self.zelda)
        self.assertEqual(list(verify(Verified())), [])
        self.second.refresh_from_db()
        self.assertEqual(self.second.filters["reviewers"], [name])
        manifest = (folder_of(self.second) / "manifest.json").read_text()
        self.assertNotIn("zelda", manifest)
        self.assertEqual(self.made(reviewers=(name,)).counts["pairs"], len(self.before))

    def test_they_are_out_and_what_they_held_goes_to_others(self) -> None:
        theirs = self.as_user(self.zelda)
        self.assertEqual(theirs.get("/history").status_code, 200)
        sessions = Session.objects.count()
        erase(self.zelda)
        self.assertEqual(theirs.get("/history").status_code, 302)
        self.assertLess(Session.objects.count(), sessions)
        signed_in = {"username": "zelda", "password": "a long passphrase"}
        self.assertEqual(Client().post("/sign-in/", signed_in).status_code, 200)
        self.pick(self.bob, 1)
        self.assertEqual(Document.objects.get(external_id="b").reviews, 1)

    def test_the_only_owner_is_told_to_make_another_first(self) -> None:
        self.zelda.memberships.update(role=Role.OWNER)
        with self.assertRaisesMessage(CommandError, "zelda is the only owner of “READMEs”"):
            call_command("erase_person", "zelda", "--yes")
        self.assertIn("Quimby", self.everything())
        self.bob.memberships.update(role=Role.OWNER)
        call_command("erase_person", "zelda", "--yes", stdout=StringIO())
        with self.assertRaises(CommandError):
            call_command("erase_person", "zelda", "--yes")
        erased = User.objects.get(pk=self.zelda.pk).username
        with self.assertRaisesMessage(CommandError, "erased already"):
            call_command("erase_person", erased, "--yes")

    def test_a_superuser_does_it_in_the_admin_and_is_asked_first(self) -> None:
        root = self.as_user(User.objects.create_superuser("root"))
        asked = {"action": "erase_selected", "_selected_action": [str(self.zelda.pk)]}
        page = root.post("/admin/auth/user/", asked)
        self.assertContains(page, "It cannot be taken back")
        self.assertContains(page, "zelda")
        self.assertIn("Quimby", self.everything())
        done = root.post("/admin/auth/user/", {**asked, "confirmed": "1"}, follow=True)
        self.assertContains(done, "What was decided is under erased-")
        self.assertNotIn("Quimby", self.everything())

    def test_who_decided_something_cannot_be_deleted_there_others_can(self) -> None:
        root = self.as_user(User.objects.create_superuser("root"))
        self.assertEqual(root.get(f"/admin/auth/user/{self.zelda.pk}/delete/").status_code, 403)
        self.assertEqual(root.get(f"/admin/auth/user/{self.bob.pk}/delete/").status_code, 200)
        self.assertNotContains(root.get("/admin/auth/user/"), "delete_selected")
