"""The second factor: set up, asked for at the admin's door, and lost."""

from __future__ import annotations

import base64
import io
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django_otp.oath import TOTP
from django_otp.plugins.otp_static.models import StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice
from pytest_django import Settings

from review.models import Role

from .base import HouseTestCase

ADMIN = "/admin/review/tag/"
PAGE = "/second-factor"


class SecondFactorCase(HouseTestCase):
    @pytest.fixture(autouse=True)
    def _settings(self, settings: Settings) -> None:
        self.given = settings
        # One after another, and each refused but for its own reason.
        settings.OTP_TOTP_THROTTLE_FACTOR = settings.OTP_STATIC_THROTTLE_FACTOR = 0

    def setUp(self) -> None:
        super().setUp()
        self.root = User.objects.create_superuser("root", password="a long passphrase")
        self.client.force_login(self.root)

    def act(self, act: str, client: Client | None = None, **fields: str) -> Any:
        return (client or self.client).post(PAGE, {"act": act, **fields})

    def set_up(self, client: Client | None = None) -> list[str]:
        """As a person does, with the secret that the page shows; the recovery codes."""
        html = self.act("begin", client).content.decode()
        self.secret = self.secret_on(html)
        done = self.act("confirm", client, code=self.code())
        self.assertEqual(done.status_code, 200)
        return re.findall(r'<code class="secret">(\w+)</code>', done.content.decode())

    def secret_on(self, html: str) -> bytes:
        found = re.search(r'<code class="secret">([A-Z2-7 =]+)</code>', html)
        assert found is not None
        return base64.b32decode(found.group(1).replace(" ", ""))

    def code(self, later: int = 0) -> str:
        """What the telephone shows now, or some half minutes later."""
        totp = TOTP(self.secret)
        import time

        totp.time = time.time() + 30 * later
        return f"{totp.token():06d}"

    def another_session(self) -> Client:
        client = Client()
        client.force_login(self.root)
        return client


class SettingItUp(SecondFactorCase):
    def test_shows_a_picture_and_the_secret_of_the_server_itself(self) -> None:
        html = self.act("begin").content.decode()
        self.assertRegex(html, r'<svg [^>]*class="qr"')
        self.assertEqual(len(self.secret_on(html)), 20)
        device = TOTPDevice.objects.get()
        self.assertFalse(device.confirmed)

    def test_counts_with_the_first_right_code_only(self) -> None:
        self.secret = self.secret_on(self.act("begin").content.decode())
        answer = self.act("confirm", code="000000" if self.code() != "000000" else "111111")
        self.assertContains(answer, "This code does not work", status_code=422)
        self.assertEqual(self.another_session().get(ADMIN).status_code, 200)
        self.assertContains(self.act("confirm", code=self.code()), "shown this once")
        self.assertEqual(self.another_session().get(ADMIN).status_code, 302)

    def test_leaves_this_session_in_the_admin(self) -> None:
        self.set_up()
        self.assertEqual(self.client.get(ADMIN).status_code, 200)

    def test_gives_ten_codes_that_are_kept_as_hashes(self) -> None:
        codes = self.set_up()
        self.assertEqual((len(codes), len(set(codes))), (10, 10))
        kept = set(StaticToken.objects.values_list("token", flat=True))
        self.assertEqual((len(kept), kept & set(codes)), (10, set()))
        self.assertNotContains(self.client.get(PAGE), codes[0])

    def test_is_possible_for_everybody_and_never_for_somebody_else(self) -> None:
        self.set_up()
        alice = Client()
        alice.force_login(self.alice)
        self.assertContains(alice.get(PAGE), "Set it up")


class AtTheAdminsDoor(SecondFactorCase):
    def setUp(self) -> None:
        super().setUp()
        self.codes = self.set_up()
        self.other = self.another_session()

    def test_it_is_asked_for_and_leads_on_to_where_one_was_going(self) -> None:
        asked = self.other.get(ADMIN, follow=True)
        self.assertContains(asked, "Type the six digits")
        self.assertContains(asked, f'value="{ADMIN}"')
        done = self.act("check", self.other, code=self.code(later=1), next=ADMIN)
        self.assertRedirects(done, ADMIN)

    def test_every_page_of_the_admin_is_behind_it(self) -> None:
        for path in ("/admin/", ADMIN, "/admin/auth/user/", "/admin/jsi18n/", "/admin/review/"):
            with self.subTest(path=path):
                answer = self.other.get(path)
                self.assertEqual(answer.status_code, 302)
                self.assertTrue(answer["Location"].startswith("/admin/login/"))
        act = {"action": "let_in_again", "_selected_action": [self.alice.pk]}
        self.assertEqual(self.other.post("/admin/auth/user/", act).status_code, 302)

    def test_the_desk_is_not(self) -> None:
        self.assertEqual(self.other.get("/history").status_code, 403)  # no member, as before

    def test_a_code_works_once(self) -> None:
        code = self.code(later=1)
        self.assertEqual(self.act("check", self.other, code=code).status_code, 302)
        third = self.another_session()
        self.assertEqual(self.act("check", third, code=code).status_code, 422)

    def test_wrong_ones_are_refused_and_after_one_a_right_one_waits(self) -> None:
        self.given.OTP_TOTP_THROTTLE_FACTOR = 1000  # seconds
        for code in ("", "12345", "abcdef", "１２３４５６", "0" * 5000, "-1"):
            with self.subTest(code=code[:10]):
                self.assertEqual(self.act("check", self.other, code=code).status_code, 422)
        right = self.act("check", self.other, code=self.code(later=1))
        self.assertContains(right, "too soon after a wrong one", status_code=422)

    def test_a_recovery_code_works_once_however_it_is_typed(self) -> None:
        code = self.codes[3]
        typed = f" {code[:4].upper()} {code[4:8]}-{code[8:]} "
        self.assertEqual(self.act("check", self.other, code=typed).status_code, 302)
        self.assertEqual(self.other.get(ADMIN).status_code, 200)
        self.assertContains(self.other.get(PAGE), "9 recovery codes are left")
        self.assertEqual(self.act("check", self.another_session(), code=code).status_code, 422)

    def test_it_leads_to_no_other_site(self) -> None:
        for place in ("https://evil.example/", "//evil.example/", "javascript:alert(1)"):
            with self.subTest(place=place):
                done = self.act("check", self.another_session(), code=self.codes.pop(), next=place)
                self.assertRedirects(done, PAGE, fetch_redirect_response=False)

    def test_without_it_nothing_of_it_can_be_changed_or_seen(self) -> None:
        before = list(TOTPDevice.objects.values("pk", "key", "confirmed"))
        for act in ("begin", "confirm", "codes", "remove", "nonsense"):
            with self.subTest(act=act):
                answer = self.act(act, self.other, code="123456")
                self.assertIn(answer.status_code, (302, 422))
                self.assertNotIn("qr", answer.content.decode())
        self.assertEqual(list(TOTPDevice.objects.values("pk", "key", "confirmed")), before)
        self.assertEqual(StaticToken.objects.count(), 10)

    def test_signing_out_forgets_it(self) -> None:
        self.client.post("/sign-out/")
        self.client.force_login(self.root)
        self.assertEqual(self.client.get(ADMIN).status_code, 302)

    def test_anothers_session_does_not_take_it_over(self) -> None:
        """A session that gave it as one person is no proof for the next one to sign in there."""
        self.client.force_login(User.objects.create_superuser("second"))
        self.set_up()
        self.client.force_login(self.root)
        self.assertEqual(self.client.get(ADMIN).status_code, 302)


class Lost(SecondFactorCase):
    def setUp(self) -> None:
        super().setUp()
        self.codes = self.set_up()

    def test_it_is_switched_off_by_its_owner(self) -> None:
        self.assertRedirects(self.act("remove"), PAGE)
        self.assertEqual(self.another_session().get(ADMIN).status_code, 200)

    def test_new_codes_and_a_new_telephone_end_the_old_ones(self) -> None:
        self.act("codes")
        self.assertEqual(
            self.act("check", self.another_session(), code=self.codes[0]).status_code, 422
        )
        old = self.secret
        self.set_up()
        self.assertNotEqual(self.secret, old)
        self.assertEqual(TOTPDevice.objects.filter(confirmed=True).count(), 1)

    def test_another_superuser_takes_it_away(self) -> None:
        client = Client()
        client.force_login(User.objects.create_superuser("second"))
        act = {"action": "take_second_factor_away", "_selected_action": [self.root.pk]}
        answer = client.post("/admin/auth/user/", act, follow=True)
        self.assertContains(answer, "1 second factor was taken away.")
        self.assertEqual(self.another_session().get(ADMIN).status_code, 200)

    def test_an_operator_takes_it_away_by_a_command(self) -> None:
        out = io.StringIO()
        call_command("take_second_factor_away", "root", stdout=out)
        self.assertIn("no second factor any more", out.getvalue())
        self.assertEqual(self.another_session().get(ADMIN).status_code, 200)
        for name in ("root", "nobody"):
            with self.subTest(name=name), self.assertRaises(CommandError):
                call_command("take_second_factor_away", name)


class Required(SecondFactorCase):
    def setUp(self) -> None:
        super().setUp()
        self.given.ADMIN_MFA = "required"

    def test_who_has_none_sets_one_up_before_the_admin_opens(self) -> None:
        asked = self.client.get(ADMIN, follow=True)
        self.assertContains(asked, "The admin opens with a second factor only")
        self.set_up()
        self.assertEqual(self.client.get(ADMIN).status_code, 200)

    def test_curators_are_asked_too_and_reviewers_stay_outside(self) -> None:
        carol = Client()
        carol.force_login(self.member("carol", Role.CURATOR))
        self.assertRedirects(
            carol.get(ADMIN, follow=True), f"{PAGE}?next={ADMIN}", target_status_code=200
        )
        self.set_up(carol)
        self.assertEqual(carol.get(ADMIN).status_code, 200)
        alice = Client()
        alice.force_login(self.alice)
        self.assertEqual(alice.get(ADMIN, follow=True).status_code, 403)
