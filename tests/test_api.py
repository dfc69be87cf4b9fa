"""The API, as a program asks it: tokens, documents in, tags and decisions out, problems."""

from __future__ import annotations

import base64
import datetime
import json
import uuid
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLResolver, get_resolver
from django.utils import timezone
from pytest_django import Settings

from review.api.problem import MEDIA_TYPE
from review.models import Decision, Document, DocumentState, Membership, Project, Role, Scope, Token
from review.pipeline.token import make

from .base import HouseTestCase

HOSTILE = [
    *("a/b", "a/b/tags", "tags", "5201/tags", "/", "//", ".", "..", "../../etc/passwd"),
    *("~x", "~", "%2F", "100%", "a?b#c", "a;b", "a\\b", "x.json", " ", " a ", "new\nline", "tab\t"),
    *("日本語", "😀", "e\u0301", "\u202eabc", "<script>alert(1)</script>", "' OR 1=1 --", '"'),
    *("null", "0", "-1", "+", "a+b", "&amp;", "\x7f", "x" * 500, "é" * 500),
]


class ApiTestCase(HouseTestCase):
    @pytest.fixture(autouse=True)
    def _settings(self, settings: Settings) -> None:
        self.settings_now = settings

    def setUp(self) -> None:
        super().setUp()
        self.olga = self.member("olga", Role.OWNER)
        self.text = self.token(list(Scope))
        self.program = Client()  # without a session
        self.root = f"/api/v1/projects/{self.project.pk}"

    def token(self, scopes: list[Scope], user: User | None = None, days: int = 365) -> str:
        return make(self.project, user or self.olga, "a program", scopes, days)[1]

    def headers(self, token: str | None = None) -> dict[str, str]:
        return {"Authorization": f"Bearer {token or self.text}"}

    def get(self, path: str, token: str | None = None, **query: Any) -> Any:
        path = path if path.startswith("/api") else self.root + path
        return self.program.get(path, query, headers=self.headers(token))

    def post(self, path: str, body: Any = None, token: str | None = None) -> Any:
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.program.post(
            self.root + path, sent, "application/json", headers=self.headers(token)
        )

    def hand_in(self, *documents: dict[str, str]) -> Any:
        return self.post("/documents", {"documents": list(documents)})

    def assert_problem(self, response: Any, status: int) -> None:
        self.assertEqual(response.status_code, status, response.content[:500])
        self.assertEqual(response["Content-Type"], MEDIA_TYPE)
        said = response.json()
        self.assertEqual(said["status"], status)
        self.assertTrue(said["title"])
        self.assertTrue(said["detail"])


class Tokens(ApiTestCase):
    def test_are_made_on_the_page_shown_once_and_stored_as_a_hash(self) -> None:
        self.client.force_login(self.olga)
        page = self.client.post("/tokens/add", {"name": "The importer", "scopes": ["read"]})
        text = page.content.decode().split('class="secret">')[1].split("<")[0]
        self.assertGreaterEqual(len(base64.urlsafe_b64decode(text[7:] + "=")), 32)
        self.assertEqual(self.get("/tags", text).status_code, 200)
        again = self.client.get("/tokens").content.decode()
        self.assertIn("The importer", again)
        self.assertIn(text[:13], again)
        self.assertNotIn(text, again)
        self.assertNotIn(text[7:], str(Token.objects.values()))

    def test_live_for_a_year_unless_another_time_is_chosen(self) -> None:
        self.client.force_login(self.olga)
        for days, expected in (("365", 365), ("30", 30), ("999999", 365)):
            self.client.post("/tokens/add", {"name": "t", "scopes": ["read"], "days": days})
            token = Token.objects.latest("pk")
            self.assertEqual((token.expires_at - token.created_at).days + 1, expected)

    def test_need_a_name_and_a_scope(self) -> None:
        self.client.force_login(self.olga)
        count = Token.objects.count()
        for fields in ({"name": "", "scopes": "read"}, {"name": "t"}, {"name": "t", "scopes": "x"}):
            self.assertEqual(self.client.post("/tokens/add", fields).status_code, 422)
        self.assertEqual(Token.objects.count(), count)

    def test_stop_when_they_are_revoked_on_the_page(self) -> None:
        self.client.force_login(self.olga)
        self.client.post(f"/tokens/{Token.objects.get().pk}/revoke")
        self.assert_problem(self.get("/tags"), 401)

    def test_stop_when_they_expire(self) -> None:
        Token.objects.update(expires_at=timezone.now())
        self.assert_problem(self.get("/tags"), 401)

    def test_stop_with_their_user(self) -> None:
        self.olga.is_active = False
        self.olga.save()
        self.assert_problem(self.get("/tags"), 401)
        self.olga.is_active = True
        self.olga.save()
        self.assertEqual(self.get("/tags").status_code, 200)
        Membership.objects.get(user=self.olga).delete()
        self.assert_problem(self.get("/tags"), 401)

    def test_of_a_user_who_is_a_reviewer_now_hand_nothing_in(self) -> None:
        Membership.objects.filter(user=self.olga).update(role=Role.REVIEWER)
        self.assert_problem(self.hand_in({"id": "1", "text": "words"}), 403)
        self.assertEqual(self.get("/tags").status_code, 200)

    def test_say_when_they_were_used_at_most_once_a_minute(self) -> None:
        self.get("/tags")
        used = Token.objects.get().last_used_at
        assert used is not None
        with CaptureQueriesContext(connection) as queries:
            self.get("/tags")
        self.assertFalse([q for q in queries if q["sql"].startswith("UPDATE")])
        Token.objects.update(last_used_at=used - datetime.timedelta(minutes=2))
        self.get("/tags")
        self.assertTrue(Token.objects.filter(last_used_at__gte=used).exists())

    def test_that_are_none_open_nothing(self) -> None:
        for sent in (
            *("", "Bearer", "Bearer ", "Bearer tagger_", "Basic b2xnYTp4", f"Token {self.text}"),
            *(f"Bearer {self.text}x", f"Bearer {self.text[:-1]}", "Bearer \x00", "Bearer é"),
        ):
            response = self.program.get(f"{self.root}/tags", headers={"Authorization": sent})
            self.assert_problem(response, 401)
            self.assertTrue(response["WWW-Authenticate"].startswith("Bearer"))

    def test_a_session_opens_nothing(self) -> None:
        self.client.force_login(self.olga)
        self.assert_problem(self.client.get(f"{self.root}/tags"), 401)
        self.assert_problem(self.client.post(f"{self.root}/claims"), 401)

    def test_no_more_calls_than_the_rate_and_then_when_to_come_back(self) -> None:
        self.settings_now.API_RATE = 3
        statuses = [self.get("/tags").status_code for _call in range(4)]
        if statuses[-1] != 429:  # the minute was over between two of them
            statuses = [self.get("/tags").status_code for _call in range(4)]
        self.assertEqual(statuses[-1], 429)
        refused = self.get("/tags")
        self.assert_problem(refused, 429)
        self.assertTrue(1 <= int(refused["Retry-After"]) <= 60)
        self.assertEqual(self.get("/tags", self.token([Scope.READ])).status_code, 200)

    def test_without_redis_there_is_no_limit(self) -> None:
        self.settings_now.API_RATE = 1
        self.settings_now.REDIS_URL = "redis://127.0.0.1:1/0"
        from review.pipeline import token

        token._counters.cache_clear()
        try:
            self.assertEqual([self.get("/tags").status_code for _call in range(3)], [200] * 3)
        finally:
            token._counters.cache_clear()


class EveryAddress(ApiTestCase):
    """The API's part of tests/test_permissions.py: each address × each kind of token."""

    CALLS = {
        "GET projects": ("/api/v1/projects", Scope.READ, 200),
        "GET tags": ("{root}/tags", Scope.READ, 200),
        "GET tag": ("{root}/tags/25", Scope.READ, 200),
        "GET documents": ("{root}/documents", Scope.READ, 200),
        "POST create": ("{root}/documents", Scope.WRITE, 422),
        "GET document": ("{root}/documents/5201", Scope.READ, 200),
        "GET document_tags": ("{root}/documents/5201/tags", Scope.READ, 200),
        "GET proposals": ("{root}/documents/5201/proposals", Scope.READ, 200),
        "POST claim": ("{root}/claims", Scope.REVIEW, 200),
        "GET decisions": ("{root}/decisions", Scope.READ, 200),
        "POST act": ("{root}/decisions", Scope.REVIEW, 422),
        "GET releases": ("{root}/releases", Scope.READ, 200),
        "POST order_release": ("{root}/releases", Scope.WRITE, 202),
        "GET release": ("{root}/releases/1", Scope.READ, 200),
        "GET release_archive": ("{root}/releases/1/archive", Scope.READ, 409),
        "DELETE delete_release": ("{root}/releases/1", Scope.WRITE, 204),
    }
    OPEN = {"openapi-json", "openapi-view", "api-root"}

    def test_answers_exactly_whom_it_should(self) -> None:
        self.ready()
        other = Project.objects.create(name="Another")
        elsewhere = User.objects.create_user("elsewhere")
        Membership.objects.create(project=other, user=elsewhere, role=Role.OWNER)
        theirs = make(other, elsewhere, "theirs", list(Scope), 1)[1]
        for call, (path, scope, status) in self.CALLS.items():
            method, url = call.split()[0].lower(), path.format(root=self.root)
            rest = [one for one in Scope if one != scope]
            expected = {
                None: 401,
                "tagger_no": 401,
                self.token(rest): 403,
                theirs: 200 if call == "GET projects" else 404,
                self.token([scope]): status,
            }
            for token, answer in expected.items():
                with self.subTest(call=call, answer=answer):
                    ask = getattr(self.program, method)
                    headers = {"Authorization": f"Bearer {token}"} if token else {}
                    sent = {"data": b"{}", "content_type": "application/json"}
                    # What is sent has to be right for another project's to be looked at.
                    if token == theirs and call == "POST create":
                        sent["data"] = json.dumps({"documents": [{"id": "1", "text": "x"}]})
                    if token == theirs and call == "POST act":
                        sent["data"] = json.dumps(self.pick_of(1, 1, uuid.uuid4()))
                    response = ask(url, **(sent if method == "post" else {}), headers=headers)
                    self.assertEqual(response.status_code, answer, response.content)
                    if answer >= 400:
                        self.assert_problem(response, answer)
        theirs_sees = self.program.get("/api/v1/projects", headers=self.headers(theirs)).json()
        self.assertEqual([project["name"] for project in theirs_sees["items"]], ["Another"])
        self.assertEqual(Document.objects.count(), 1)

    def pick_of(self, proposal: int, rank: int, lease: object) -> dict[str, object]:
        sent = {"kind": "pick", "proposal": proposal, "candidate": rank, "lease": str(lease)}
        return {**sent, "key": str(uuid.uuid4())}

    def test_and_none_is_forgotten_here(self) -> None:
        from review.api.root import api

        named = {
            f"{method.upper()} {operation['operationId']}"
            for methods in api.get_openapi_schema()["paths"].values()
            for method, operation in methods.items()
        }
        self.assertEqual(named, set(self.CALLS))
        (resolver,) = (
            found
            for found in get_resolver().url_patterns
            if isinstance(found, URLResolver) and found.namespace == "api"
        )
        names = {getattr(pattern, "name", None) for pattern in resolver.url_patterns}
        self.assertEqual(names - self.OPEN, {call.split()[1] for call in self.CALLS})


class DocumentsIn(ApiTestCase):
    def test_one_or_a_thousand_at_once_and_the_same_again_adds_nothing(self) -> None:
        many = [{"id": str(n), "text": f"Document number {n}"} for n in range(1000)]
        first = self.hand_in(*many)
        self.assertEqual(first.status_code, 200, first.content)
        self.assertEqual(first.json()["added"], 1000)
        again = self.hand_in(*many[:1]).json()
        self.assertEqual((again["added"], again["unchanged"]), (0, 1))
        self.assertEqual(Document.objects.count(), 1000)
        self.assert_problem(self.hand_in(*many, {"id": "x", "text": "one too many"}), 422)

    def test_of_any_id_are_found_under_the_address_that_the_list_gives(self) -> None:
        self.hand_in(*({"id": one, "text": f"Of {one!r}"} for one in HOSTILE))
        listed = self.get("/documents").json()["items"]
        self.assertEqual([item["id"] for item in listed], HOSTILE)
        for item in listed:
            with self.subTest(id=item["id"]):
                self.assertRegex(item["url"], r"^[A-Za-z0-9/._~-]+$")
                self.assertEqual(self.get(item["url"]).json()["text"], f"Of {item['id']!r}")
                tags = self.get(f"{item['url']}/tags").json()
                self.assertEqual(tags, {"id": item["id"], "tags": []})
                self.assertEqual(self.get(f"{item['url']}/proposals").json(), {"items": []})
                one = self.get("/documents", external_id=item["id"]).json()["items"]
                self.assertEqual([found["id"] for found in one], [item["id"]])

    def test_of_nearly_any_id_are_found_by_it_percent_encoded(self) -> None:
        self.hand_in(*({"id": one, "text": "words"} for one in HOSTILE))
        for one in HOSTILE:
            if one in (".", "..") or one.endswith("/tags"):
                continue
            with self.subTest(id=one):
                found = self.get(f"/documents/{quote(one, safe='')}")
                self.assertEqual(found.json()["id"], one)

    def test_of_two_that_an_address_may_mean_it_is_the_encoded_one(self) -> None:
        self.hand_in({"id": "~YS9i", "text": "literally"}, {"id": "a/b", "text": "encoded"})
        self.assertEqual(self.get("/documents/~YS9i").json()["id"], "a/b")
        self.assertEqual(self.get("/documents/a/b").json()["id"], "a/b")
        self.assertEqual(self.get("/documents/~flltOWk").status_code, 404)
        listed = self.get("/documents", external_id="~YS9i").json()["items"]
        self.assertEqual(self.get(listed[0]["url"]).json()["id"], "~YS9i")

    def test_no_address_is_a_way_around(self) -> None:
        self.document()
        for path in (
            "~",
            "~!!!!",
            "~AA",
            "~_w",
            "~NTIwMQ/",
            "%00",
            "5201%00",
            "~AA=",
            "none",
            "x" * 5000,
        ):
            with self.subTest(path=path):
                self.assert_problem(self.get(f"/documents/{path}"), 404)
        self.assert_problem(self.get("/documents", external_id="\0"), 422)

    def test_that_cannot_be_read_are_refused_with_the_place_of_the_fault(self) -> None:
        for body, status in (
            (b"", 422),
            (b"{", 400),
            (b"[]", 422),
            (b'{"documents": []}', 422),
            (b'{"documents": [{"id": "1"}]}', 422),
            (b'{"documents": [{"id": "", "text": "x"}]}', 422),
            (b'{"documents": [{"id": "1", "text": "a\\u0000b"}]}', 422),
            (b'{"documents": [{"id": "1", "text": "\\ud800"}]}', 400),
            (b'{"documents": [{"id": "1", "text": "x", "typo": 1}]}', 422),
            (b'{"documents": [{"id": 1, "text": "x"}]}', 422),
            (b'{"documents": [{"id": "%s", "text": "x"}]}' % (b"x" * 501), 422),
            (b'{"documents": [{"id": "1", "text": "\xff"}]}', 400),
            (b'{"documents": ' + b"[" * 100_000, 400),
            (b'{"documents": ' + b"1" * 5000 + b"}", 400),
            (b'{"documents": [NaN]}', 400),
        ):
            with self.subTest(body=body[:60]):
                self.assert_problem(self.post("/documents", body), status)
        fault = self.post("/documents", {"documents": [{"id": "1"}]}).json()["errors"]
        self.assertEqual(fault[0]["where"].split(".")[-3:], ["documents", "0", "text"])
        self.assertEqual(Document.objects.count(), 0)

    def test_that_are_too_many_bytes_are_refused(self) -> None:
        text = "x" * (self.settings_now.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
        self.assert_problem(self.hand_in({"id": "1", "text": text}), 413)

    def test_that_are_empty_are_kept_as_failed(self) -> None:
        taken = self.hand_in({"id": "1", "text": " "}, {"id": "2", "text": "words"}).json()
        self.assertEqual((taken["failed"], taken["added"]), (1, 1))
        self.assertEqual(taken["problems"][0]["external_id"], "1")
        found = self.get("/documents", state="failed").json()["items"]
        self.assertEqual([item["id"] for item in found], ["1"])
        self.assertTrue(found[0]["reason"])


class Lists(ApiTestCase):
    def test_of_documents_go_on_where_the_page_before_ended(self) -> None:
        self.hand_in(*({"id": str(n), "text": "words"} for n in range(25)))
        seen: list[str] = []
        after, pages = None, 0
        while True:
            more: dict[str, Any] = {"after": after} if after else {}
            found = self.get("/documents", limit=10, **more).json()
            seen += [item["id"] for item in found["items"]]
            pages += 1
            after = found["next"]
            if after is None:
                break
        self.assertEqual(seen, [str(n) for n in range(25)])
        self.assertEqual(pages, 3)
        self.assertNotIn("text", found["items"][0])

    def test_begin_at_since(self) -> None:
        self.hand_in(*({"id": str(n), "text": "words"} for n in range(3)))
        moment = timezone.now()
        Document.objects.filter(external_id="0").update(created_at=moment)
        Document.objects.exclude(external_id="0").update(
            created_at=moment - datetime.timedelta(hours=1)
        )
        found = self.get("/documents", since=moment.isoformat()).json()["items"]
        self.assertEqual([item["id"] for item in found], ["0"])
        for years in ("0001-01-01T00:00:00+14:00", "1969-01-01T00:00:00Z"):
            self.assertEqual(len(self.get("/documents", since=years).json()["items"]), 3)
        end = self.get("/documents", since="9999-12-31T23:59:59-14:00").json()
        self.assertEqual(end, {"items": [], "next": None})

    def test_refuse_what_is_no_cursor(self) -> None:
        for after in ("", "x", "1-", "-1", "9" * 30 + "-1", "1-" + "9" * 30, "1-\0", "١-١x"):
            for path in ("/documents", "/decisions"):
                with self.subTest(after=after, path=path):
                    self.assert_problem(self.get(path, after=after), 422)
        wrong: list[dict[str, Any]] = [
            *({"limit": 0}, {"limit": 1001}, {"since": "0.5"}, {"state": "gone"}),
        ]
        for query in wrong:
            self.assert_problem(self.get("/documents", **query), 422)

    def test_cost_no_query_more_for_more_rows(self) -> None:
        counts = []
        for number in range(1, 4):
            self.ready(str(number))
            page = self.page()
            self.client.post(page.urls[0], page.fields)
            for path in ("/decisions", "/documents"):
                with CaptureQueriesContext(connection) as queries:
                    self.get(path)
                counts.append(len(queries))
        self.assertLessEqual(max(counts), counts[0] + 1)  # the first notes the token's use


class TagsOut(ApiTestCase):
    def pick(self, **fields: Any) -> Decision:
        page = self.page()
        self.client.post(page.urls[0], {**page.fields, **fields})
        return Decision.objects.latest("pk")

    def test_the_tags_of_a_document_in_three_forms(self) -> None:
        self.ready()
        self.assertEqual(self.get("/documents/5201/tags").json(), {"id": "5201", "tags": []})
        tags = self.pick().tags
        whole = [{"id": tag.number, "name": tag.name} for tag in tags]
        expected = {"objects": whole, "ids": [t.number for t in tags], "names": [*map(str, tags)]}
        self.assertEqual(self.get("/documents/5201/tags").json(), {"id": "5201", "tags": whole})
        for form, written in expected.items():
            found = self.get("/documents/5201/tags", form=form)
            self.assertEqual(found.json(), {"id": "5201", "tags": written})
        self.assert_problem(self.get("/documents/5201/tags", form="all"), 422)
        self.client.force_login(self.alice)
        by_session = self.client.get("/documents/5201.json").json()
        self.assertEqual(by_session, {"id": "5201", "tags": whole})

    def test_the_vocabulary(self) -> None:
        found = self.get("/tags").json()["items"]
        self.assertEqual(len(found), 90)
        self.assertEqual([tag["id"] for tag in found], sorted(tag["id"] for tag in found))
        one = self.get("/tags/25").json()
        self.assertEqual((one["name"], one["active"], one["merged_into"]), ("security", True, None))
        for number in ("999999", "9" * 30, "9" * 5000, "-1", "x"):
            self.assert_problem(self.get(f"/tags/{number}"), 404)

    def test_proposals_with_their_candidates(self) -> None:
        self.ready()
        (found,) = self.get("/documents/5201/proposals").json()["items"]
        self.assertTrue(found["current"])
        self.assertEqual([one["rank"] for one in found["candidates"]], [1, 2, 3])
        self.assertTrue(all(one["tags"] for one in found["candidates"]))

    def test_decisions_say_who_chose_what_and_whether_it_stands(self) -> None:
        document = self.ready()
        picked = self.pick()
        self.client.post("/undo", {"key": str(uuid.uuid4())})
        first, second = self.get("/decisions").json()["items"]
        self.assertEqual(first["reviewer"], "alice")
        self.assertEqual(first["document"], "5201")
        self.assertEqual((first["kind"], first["undone"], first["undoes"]), ("pick", True, None))
        self.assertEqual([t["name"] for t in first["tags"]], [*map(str, picked.tags)])
        self.assertEqual(sorted(first["shown"]), [1, 2, 3])
        assert picked.candidate
        self.assertEqual(first["candidate"], picked.candidate.rank)
        self.assertEqual(first["proposal"], document.proposals.get().pk)
        self.assertEqual((second["kind"], second["undone"]), ("undo", False))
        self.assertEqual(second["undoes"], first["id"])


class Reviewing(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.target = self.ready()

    def claim(self, token: str | None = None) -> dict[str, Any]:
        found: dict[str, Any] = self.post("/claims", token=token).json()
        return found

    def decide(self, claim: dict[str, Any], kind: str, **fields: Any) -> Any:
        sent = {"kind": kind, "proposal": claim["proposal"], "lease": claim["lease"]}
        return self.post("/decisions", {**sent, "key": str(uuid.uuid4()), **fields})

    def test_a_claim_then_a_pick(self) -> None:
        claim = self.claim()
        self.assertEqual(claim["document"]["id"], "5201")
        self.assertEqual(self.claim()["lease"], claim["lease"])
        bobs = self.post("/claims", token=self.token([Scope.REVIEW], self.bob))
        self.assertEqual(bobs.status_code, 204)
        chosen = claim["candidates"][0]
        made = self.decide(claim, "pick", candidate=chosen["rank"])
        self.assertEqual(made.status_code, 200, made.content)
        self.assertEqual(made.json()["tags"], chosen["tags"])
        self.assertEqual(made.json()["reviewer"], "olga")
        self.assertEqual(made.json()["shown"], [one["rank"] for one in claim["candidates"]])
        self.assertEqual(self.get("/documents/5201").json()["state"], "reviewed")

    def test_nothing_left_is_204(self) -> None:
        self.decide(self.claim(), "none")
        self.assertEqual(self.post("/claims").status_code, 204)

    def test_the_same_key_again_counts_once(self) -> None:
        claim, key = self.claim(), str(uuid.uuid4())
        first = self.decide(claim, "pick", candidate=1, key=key)
        again = self.decide(claim, "pick", candidate=1, key=key)
        self.assertEqual(again.json(), first.json())
        self.assertEqual(Decision.objects.count(), 1)
        self.assert_problem(self.decide(claim, "pick", candidate=2, key=key), 409)
        self.assert_problem(self.decide(claim, "pick", candidate=1), 409)
        self.assertEqual(Decision.objects.count(), 1)

    def test_a_set_of_ones_own(self) -> None:
        self.decide(self.claim(), "correct", tags=[25, 77])
        found = self.get("/documents/5201/tags", form="ids").json()
        self.assertEqual(found["tags"], [25, 77])

    def test_a_skip_says_why(self) -> None:
        claim = self.claim()
        self.assert_problem(self.decide(claim, "skip"), 422)
        self.decide(claim, "skip", reason="language", note="Latin")
        decision = Decision.objects.get()
        self.assertEqual((decision.skip_reason, decision.note), ("language", "Latin"))

    def test_what_does_not_fit_is_refused_and_changes_nothing(self) -> None:
        claim = self.claim()
        for kind, fields, status in (
            ("pick", {"candidate": 4}, 422),
            ("pick", {"candidate": True}, 422),
            ("pick", {"candidate": "1"}, 422),
            ("pick", {}, 422),
            ("correct", {"tags": []}, 422),
            ("correct", {"tags": [25, 25]}, 422),
            ("correct", {"tags": [999999]}, 422),
            ("correct", {"tags": [25, 77, 1, 2]}, 422),
            ("undo", {}, 422),
            ("none", {"note": "\0"}, 422),
            ("none", {"proposal": 2**63 - 1}, 404),
            ("none", {"proposal": 2**63}, 422),
            ("none", {"lease": str(uuid.uuid4())}, 409),
            ("none", {"key": "x"}, 422),
        ):
            with self.subTest(kind=kind, fields=fields):
                self.assert_problem(self.decide(claim, kind, **fields), status)
        self.assertEqual(Decision.objects.count(), 0)
        self.assertEqual(self.claim()["lease"], claim["lease"])

    def test_a_document_of_another_project_is_not_there(self) -> None:
        other = Project.objects.create(name="Another")
        Membership.objects.create(project=other, user=self.olga, role=Role.OWNER)
        theirs = make(other, self.olga, "theirs", list(Scope), 1)[1]
        claim = self.claim()
        sent = {"kind": "none", "proposal": claim["proposal"], "lease": claim["lease"]}
        response = self.program.post(
            f"/api/v1/projects/{other.pk}/decisions",
            json.dumps({**sent, "key": str(uuid.uuid4())}),
            "application/json",
            headers=self.headers(theirs),
        )
        self.assert_problem(response, 404)
        self.assertEqual(Document.objects.get().state, DocumentState.READY)


class Problems(ApiTestCase):
    def test_are_what_everything_under_api_answers_that_goes_wrong(self) -> None:
        self.assert_problem(self.program.get("/api/"), 404)
        self.assert_problem(self.program.get("/api/v2/projects"), 404)
        self.assert_problem(self.program.get("/api/v1/"), 404)
        self.assert_problem(self.get("/nothing"), 404)
        self.assert_problem(self.get("/tags/"), 404)
        refused = self.program.delete(f"{self.root}/tags", headers=self.headers())
        self.assert_problem(refused, 405)
        self.assertEqual(refused["Allow"], "GET")
        wrong_host = self.program.get("/api/v1/projects", headers={"Host": "evil.example"})
        self.assert_problem(wrong_host, 400)

    def test_also_when_the_server_is_at_fault(self) -> None:
        self.document()
        client = Client(raise_request_exception=False)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("review.api.tags.project_of", lambda *_: 1 / 0)
            self.assert_problem(client.get(f"{self.root}/tags", headers=self.headers()), 500)

    def test_pages_for_people_stay_pages(self) -> None:
        self.assertIn("text/html", self.client.get("/documents/none")["Content-Type"])
