"""Releases as a program orders, follows and fetches them; and the webhook that tells of one."""

from __future__ import annotations

import dataclasses
import io
import zipfile
from typing import Any
from unittest import mock

from django.utils import timezone

from review.api.releases import FiltersSchema
from review.models import Delivery, Event, Membership, Release, ReleaseState, Role, Scope
from review.pipeline import release
from review.pipeline.release import Filters
from review.tasks import make_release, send_webhooks

from .test_api import ApiTestCase
from .test_release import Releasing
from .test_webhooks import WebhookTestCase
from .test_webhooks import receiver as receiver


class ByTheApi(Releasing, ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.needs(1)
        self.ready()
        self.pick(self.alice, 1)

    def order(self, token: str | None = None, **body: Any) -> Any:
        with self.captureOnCommitCallbacks(execute=True):
            return self.post("/releases", body, token)

    def worked(self, **body: Any) -> Release:
        answer = self.order(**body)
        self.assertEqual(answer.status_code, 202, answer.content)
        made = Release.objects.latest("pk")
        make_release(made.pk)
        made.refresh_from_db()
        return made

    def test_one_is_ordered_followed_and_fetched(self) -> None:
        with mock.patch("review.tasks.make_release.apply_async") as told:
            answer = self.order(
                formats=["trl"],
                filters={"reviewers": ["alice"], "one_pair": True, "min_agreement": 0.5},
                note="For the winter",
            )
        self.assertEqual(answer.status_code, 202, answer.content)
        said = answer.json()
        address = f"{self.root}/releases/1"
        self.assertEqual((answer["Location"], said["url"]), (address, address))
        self.assertEqual((said["state"], said["asked_by"]), ("waiting", "olga"))
        made = Release.objects.get()
        told.assert_called_once_with([made.pk], queue="imports")
        filters = Filters(reviewers=("alice",), one_pair=True, min_agreement=0.5)
        self.assertEqual(made.filters, filters.as_dict())
        self.assert_problem(self.get(f"{address}/archive"), 409)
        make_release(made.pk)
        made.refresh_from_db()
        said = self.get(address).json()
        self.assertEqual((said["state"], said["downloaded_at"]), ("ready", None))
        self.assertEqual((said["counts"], said["files"]), (made.counts, made.files))
        self.assertEqual(said["filters"], made.filters)
        answer = self.get(f"{address}/archive")
        self.assertEqual(answer["Content-Type"], "application/zip")
        with zipfile.ZipFile(io.BytesIO(b"".join(answer))) as packed:
            self.assertIn("release-1/trl/train.jsonl", packed.namelist())
        self.assertTrue(self.get(address).json()["downloaded_at"])

    def test_the_page_the_command_and_the_api_know_the_same_filters(self) -> None:
        names = [field.name for field in dataclasses.fields(Filters)]
        self.assertEqual(list(FiltersSchema.model_fields), names)
        self.assertEqual(FiltersSchema().dict(), Filters().as_dict())
        made = self.worked()
        self.assertEqual(tuple(made.formats), release.FORMATS_AT_FIRST)
        self.assertEqual(made.filters, Filters().as_dict())

    def test_faults_are_named_by_their_place(self) -> None:
        for body, where in (
            ({"formats": []}, "body.given.formats"),
            ({"formats": ["csv"]}, "body.formats"),
            ({"filters": {"since": "tomorrow"}}, "body.filters.since"),
            ({"filters": {"since": "2026-02-02", "until": "2026-02-01"}}, "body.filters.until"),
            ({"filters": {"policy": "loudest"}}, "body.given.filters.policy"),
            ({"filters": {"min_agreement": "0.5"}}, "body.given.filters.min_agreement"),
            ({"filters": {"colour": "red"}}, "body.given.filters.colour"),
            ({"filters": {"reviewers": ["a\0"]}}, "body.given.filters.reviewers.0"),
            ({"note": "\0"}, "body.given.note"),
        ):
            with self.subTest(body=body):
                answer = self.order(**body)
                self.assert_problem(answer, 422)
                self.assertEqual([one["where"] for one in answer.json()["errors"]], [where])
        self.assertFalse(Release.objects.exists())

    def test_ends_of_time_are_days_too(self) -> None:
        made = self.worked(filters={"since": "0001-01-01", "until": "9999-12-31"})
        self.assertEqual(made.state, ReleaseState.READY)

    def test_they_are_listed_oldest_first(self) -> None:
        for _time in range(3):
            self.worked()
        first = self.get("/releases", limit=2).json()
        self.assertEqual([one["number"] for one in first["items"]], [1, 2])
        rest = self.get("/releases", after=first["next"]).json()
        self.assertEqual([one["number"] for one in rest["items"]], [3])
        self.assertIsNone(rest["next"])

    def test_only_what_nobody_fetched_is_deleted(self) -> None:
        made = self.worked()
        path = f"{self.root}/releases/1"
        answer = self.program.delete(path, headers=self.headers())
        self.assertEqual((answer.status_code, answer.content), (204, b""))
        self.assertFalse(release.folder_of(made).exists())
        self.assert_problem(self.get(path), 404)
        self.worked()
        Release.objects.update(downloaded_at=timezone.now())
        answer = self.program.delete(f"{self.root}/releases/2", headers=self.headers())
        self.assert_problem(answer, 409)

    def test_scopes_and_roles(self) -> None:
        made = self.worked()
        path = f"{self.root}/releases/{made.number}"
        read = self.token([Scope.READ])
        self.assertEqual(self.get(path, read).status_code, 200)
        self.assert_problem(self.order(read), 403)
        self.assert_problem(self.program.delete(path, headers=self.headers(read)), 403)
        write = self.token([Scope.WRITE])
        self.assert_problem(self.get(path, write), 403)
        # What its page shows to curators only.
        Membership.objects.filter(user=self.olga).update(role=Role.REVIEWER)
        for asked in ("", "/archive"):
            self.assert_problem(self.get(path + asked), 403)
        self.assert_problem(self.get("/releases"), 403)
        self.assert_problem(self.order(), 403)
        self.assertEqual(self.get("/tags").status_code, 200)


class Told(Releasing, WebhookTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.needs(1)
        self.ready()
        self.pick(self.alice, 1)
        self.client.force_login(self.olga)

    def test_a_release_that_is_ready_is_told_once(self) -> None:
        self.add(Event.RELEASE)
        self.add(Event.REVIEWED)
        made = self.made("trl")
        release.make(made.pk)
        send_webhooks()
        (event,) = self.told()
        self.assertEqual(event["type"], "release.ready")
        self.assertEqual(event["data"]["project"]["name"], "READMEs")
        self.assertEqual(
            event["data"]["release"],
            {
                "number": 1,
                "note": "",
                "formats": ["trl"],
                "pairs": 2,
                "decisions": 1,
                "documents": 1,
                "manifest_sha256": made.manifest_sha256,
            },
        )

    def test_one_that_failed_or_whose_webhook_is_off_is_not_told(self) -> None:
        webhook = self.add(Event.RELEASE)
        self.assertEqual(self.made(models=("other",)).state, ReleaseState.FAILED)
        self.client.post(f"/webhooks/{webhook.pk}/switch")
        self.assertEqual(self.made().state, ReleaseState.READY)
        self.assertFalse(Delivery.objects.exists())

    def test_what_is_told_is_told_though_it_is_deleted_meanwhile(self) -> None:
        self.add(Event.RELEASE)
        release.delete(self.made())
        send_webhooks()
        self.assertEqual([event["data"]["release"]["number"] for event in self.told()], [1])

    def test_where_it_cannot_be_told_it_is_not_ready(self) -> None:
        """Both are one transaction."""
        self.add(Event.RELEASE)
        with mock.patch("review.pipeline.webhook.body_of", side_effect=RuntimeError("no")):
            made = self.made()
        self.assertEqual(made.state, ReleaseState.FAILED)
        self.assertFalse(Delivery.objects.exists())
