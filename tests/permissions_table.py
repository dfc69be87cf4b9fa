"""Who is answered what, at every address: the one table, for the tests and for people.

.venv/bin/python -m tests.permissions_table > docs/permissions.md
"""

from __future__ import annotations

WHO = ("signed out", "no project", "another project", "reviewer", "curator", "owner")

Row = tuple[str, int, int, int, int, int, int]

# For each address (by its name in review/urls.py): its path, and what each of WHO is answered
# there. "another project": its owner, there; a member of no other. {candidate} and the like are
# in tests/test_permissions.py, and so is what each POST carries. For the signed out 302 is the
# way to the sign-in page, for others it is the way back after the act.
TABLE: dict[str, Row] = {
    "GET queue": ("/", 302, 403, 200, 200, 200, 200),
    "GET next": ("/next", 302, 403, 204, 200, 200, 200),
    # 409: without a lease. 422: without tags.
    "POST choose": ("/candidates/{candidate}/choose", 302, 404, 404, 409, 409, 409),
    "POST correct": ("/proposals/{proposal}/correct", 302, 404, 404, 422, 422, 422),
    "POST none": ("/proposals/{proposal}/none", 302, 404, 404, 409, 409, 409),
    "POST skip": ("/proposals/{proposal}/skip", 302, 404, 404, 409, 409, 409),
    "POST undo": ("/undo", 302, 403, 200, 200, 200, 200),
    "POST renew": ("/leases/renew", 302, 409, 409, 409, 409, 409),  # another's lease
    "POST release": ("/leases/release", 302, 204, 204, 204, 204, 204),  # and changes nothing
    "GET vocabulary": ("/vocabulary.json", 302, 403, 200, 200, 200, 200),
    "GET history": ("/history", 302, 403, 200, 200, 200, 200),
    "GET document_json": ("/documents/{document}.json", 401, 403, 404, 200, 200, 200),
    "GET document_page": ("/documents/{document}", 302, 403, 404, 200, 200, 200),
    "GET document_raw": ("/raw/{document}", 302, 403, 404, 200, 200, 200),
    "GET notes": ("/notes", 302, 403, 200, 403, 200, 200),
    "POST note_add": ("/notes/add", 302, 404, 404, 422, 422, 422),  # 422: without a text
    "POST note_done": ("/notes/{note}/done", 302, 403, 404, 403, 302, 302),
    "POST note_reopen": ("/notes/{note}/reopen", 302, 403, 404, 403, 302, 302),
    "GET documents": ("/documents", 302, 403, 200, 403, 200, 200),
    "POST curate": ("/curate", 302, 403, 302, 403, 302, 302),
    "GET disputes": ("/disputes", 302, 403, 200, 403, 200, 200),
    "GET dispute": ("/disputes/{document_pk}", 302, 403, 404, 403, 200, 200),
    # 422: without tags. 409: nothing is settled.
    "POST settle": ("/disputes/{document_pk}/settle", 302, 403, 404, 403, 422, 422),
    "POST unsettle": ("/disputes/{document_pk}/unsettle", 302, 403, 404, 403, 409, 409),
    "GET agreement": ("/agreement", 302, 403, 200, 403, 200, 200),
    "GET insight": ("/insight", 302, 403, 200, 403, 200, 200),
    # 404: a picture of nothing.
    "GET insight_picture": ("/insight/consistency.svg", 302, 403, 404, 403, 404, 404),
    "GET insight_table": ("/insight/position.csv", 302, 403, 200, 403, 200, 200),
    "GET gold": ("/gold", 302, 403, 200, 403, 200, 200),
    "GET gold_document": ("/gold/{document_pk}", 302, 403, 404, 403, 200, 200),
    # 422: without tags. Not gold yet: nothing to withdraw, which the page says.
    "POST gold_mark": ("/gold/{document_pk}/mark", 302, 403, 404, 403, 422, 422),
    "POST gold_withdraw": ("/gold/{document_pk}/withdraw", 302, 403, 404, 403, 302, 302),
    "GET prompt": ("/prompt", 302, 403, 200, 403, 200, 200),
    "GET quality": ("/quality", 302, 403, 200, 403, 200, 200),
    "GET quality_run": ("/quality/{evaluation}", 302, 403, 404, 403, 200, 200),
    "POST quality_adopt": ("/quality/{evaluation}/adopt", 302, 403, 404, 403, 403, 302),
    "GET releases": ("/releases", 302, 403, 200, 403, 200, 200),
    "POST release_order": ("/releases/order", 302, 403, 422, 403, 422, 422),  # without a format
    "GET release_page": ("/releases/{release}", 302, 403, 404, 403, 200, 200),
    "GET release_progress": ("/releases/{release}/progress", 302, 403, 404, 403, 200, 200),
    # 409: it is not made yet.
    "GET release_archive": ("/releases/{release}/archive.zip", 302, 403, 404, 403, 409, 409),
    "POST release_again": ("/releases/{release}/again", 302, 403, 404, 403, 302, 302),
    "POST release_delete": ("/releases/{release}/delete", 302, 403, 404, 403, 302, 302),
    "GET imports": ("/imports", 302, 403, 200, 403, 200, 200),
    "POST import_bring": ("/imports/bring", 302, 403, 422, 403, 422, 422),  # 422: without a file
    "GET import": ("/imports/{import}", 302, 403, 404, 403, 200, 200),
    "GET import_progress": ("/imports/{import}/progress", 302, 403, 404, 403, 200, 200),
    "GET import_problems": ("/imports/{import}/errors.csv", 302, 403, 404, 403, 200, 200),
    # 422: without a column for the text.
    "POST import_columns": ("/imports/{import}/columns", 302, 403, 404, 403, 422, 422),
    "POST import_stop": ("/imports/{import}/stop", 302, 403, 404, 403, 302, 302),
    "GET changed": ("/changed", 302, 403, 200, 403, 200, 200),
    "GET changed_text": ("/changed/{revision}", 302, 403, 404, 403, 200, 200),
    "POST changed_answer": ("/changed/answer", 302, 403, 302, 403, 302, 302),
    "GET trainings": ("/trainings", 302, 403, 200, 403, 200, 200),
    "POST training_order": ("/trainings/order", 302, 403, 422, 403, 403, 422),  # without a release
    "GET training": ("/trainings/{training}", 302, 403, 404, 403, 200, 200),
    "GET training_progress": ("/trainings/{training}/progress", 302, 403, 404, 403, 200, 200),
    # 404: a picture of nothing. 409: not trained yet.
    "GET training_picture": ("/trainings/{training}/course.svg", 302, 403, 404, 403, 404, 404),
    "GET training_adapter": ("/trainings/{training}/adapter.zip", 302, 403, 404, 403, 409, 409),
    "POST training_stop": ("/trainings/{training}/stop", 302, 403, 404, 403, 403, 302),
    "POST training_go_on": ("/trainings/{training}/go-on", 302, 403, 404, 403, 403, 302),
    "POST training_delete": ("/trainings/{training}/delete", 302, 403, 404, 403, 403, 302),
    "GET models": ("/models", 302, 403, 200, 403, 403, 200),
    # A model is of no project: every owner's.
    "POST model_default": ("/models/{served}/default", 302, 403, 302, 403, 403, 302),
    "GET in_use": ("/in-use", 302, 403, 200, 403, 200, 200),
    "POST in_use_put": ("/in-use/put", 302, 403, 302, 403, 403, 302),
    "POST in_use_back": ("/in-use/back", 302, 403, 302, 403, 403, 302),
    "POST in_use_try": ("/in-use/try", 302, 403, 302, 403, 403, 302),
    "POST in_use_stop": ("/in-use/stop", 302, 403, 302, 403, 403, 302),
    "GET batches": ("/batches", 302, 403, 200, 403, 403, 200),
    "POST batch_start": ("/batches/start", 302, 403, 422, 403, 403, 422),  # 422: without a number
    "POST batch_cancel": ("/batches/{batch}/cancel", 302, 403, 404, 403, 403, 302),
    "GET spending": ("/spending", 302, 403, 200, 403, 403, 200),
    "POST spending_cap": ("/spending/caps", 302, 403, 302, 403, 403, 302),
    "POST spending_price": ("/spending/price", 302, 403, 422, 403, 403, 422),
    "GET auto_accept": ("/auto-accept", 302, 403, 200, 403, 403, 200),
    "POST auto_accept_on": ("/auto-accept/on", 302, 403, 302, 403, 403, 302),
    # Theirs has none: 404.
    "POST auto_accept_off": ("/auto-accept/off", 302, 403, 404, 403, 403, 302),
    "POST auto_accept_send_back": ("/auto-accept/send-back", 302, 403, 404, 403, 403, 302),
    "GET people": ("/people", 302, 403, 200, 403, 403, 200),
    "POST person_add": ("/people/add", 302, 403, 422, 403, 403, 422),  # 422: without a name
    "POST person_role": ("/people/{membership}/role", 302, 403, 404, 403, 403, 302),
    "POST person_remove": ("/people/{membership}/remove", 302, 403, 404, 403, 403, 302),
    "GET revoking": ("/people/decisions", 302, 403, 200, 403, 403, 200),
    # 422: without a reason.
    "POST revoke": ("/people/decisions/revoke", 302, 403, 422, 403, 403, 422),
    "GET status": ("/status", 302, 403, 200, 403, 403, 200),
    # For machines, by anybody; the figures from this machine or with a token.
    "GET livez": ("/livez", 200, 200, 200, 200, 200, 200),
    "GET readyz": ("/readyz", 200, 200, 200, 200, 200, 200),
    "GET metrics": ("/metrics", 200, 200, 200, 200, 200, 200),
    "GET tokens": ("/tokens", 302, 403, 200, 403, 403, 200),
    "POST token_add": ("/tokens/add", 302, 403, 422, 403, 403, 422),  # 422: without a name
    "POST token_revoke": ("/tokens/{token}/revoke", 302, 403, 404, 403, 403, 302),
    "GET webhooks": ("/webhooks", 302, 403, 200, 403, 403, 200),
    "POST webhook_add": ("/webhooks/add", 302, 403, 422, 403, 403, 422),  # without an address
    "GET webhook": ("/webhooks/{webhook}", 302, 403, 404, 403, 403, 200),
    "POST webhook_test": ("/webhooks/{webhook}/test", 302, 403, 404, 403, 403, 302),
    "POST webhook_switch": ("/webhooks/{webhook}/switch", 302, 403, 404, 403, 403, 302),
    "POST webhook_remove": ("/webhooks/{webhook}/remove", 302, 403, 404, 403, 403, 302),
    "POST webhook_replay": ("/webhooks/{webhook}/replay", 302, 403, 404, 403, 403, 302),
    "POST delivery_replay": ("/deliveries/{delivery}/replay", 302, 403, 404, 403, 403, 302),
    "POST project_enter": ("/projects/{project}/enter", 302, 404, 404, 302, 302, 302),
    "GET password": ("/password", 302, 200, 200, 200, 200, 200),  # everybody's own
    "GET second_factor": ("/second-factor", 302, 200, 200, 200, 200, 200),  # everybody's own
    "GET sign_in": ("/sign-in/", 200, 302, 302, 302, 302, 302),  # 302: already in
    # 404: no provider is set.
    "GET provider": ("/sign-in/provider/", 404, 404, 404, 404, 404, 404),
    "GET provider_back": ("/sign-in/provider/back/", 404, 404, 404, 404, 404, 404),
    "POST sign_out": ("/sign-out/", 302, 302, 302, 302, 302, 302),
}

# The same in the admin, by the name of the address; {tag} and the like are rows of one project.
# "another project" sees its lists (of its own rows) and is sent away from this project's rows
# (302), as from rows that do not exist.
ADMIN: dict[str, Row] = {
    "GET index": ("/admin/", 302, 302, 302, 302, 302, 302),  # on to the tag list
    "GET login": ("/admin/login/", 302, 403, 302, 403, 302, 302),
    "POST logout": ("/admin/logout/", 302, 302, 302, 302, 302, 302),
    "GET password_change": ("/admin/password_change/", 302, 302, 200, 302, 200, 200),
    "GET password_change_done": ("/admin/password_change/done/", 302, 302, 200, 302, 200, 200),
    "GET autocomplete": (
        *("/admin/autocomplete/?app_label=review&model_name=decision&field_name=document&term=",),
        *(302, 302, 200, 302, 200, 200),
    ),
    "GET jsi18n": ("/admin/jsi18n/", 302, 302, 200, 302, 200, 200),
    "GET view_on_site": ("/admin/r/{content_type}/{tag}/", 302, 302, 404, 302, 404, 404),
    "GET app_list": ("/admin/review/", 302, 302, 200, 302, 200, 200),
    "GET auth_user_password_change": (
        *("/admin/auth/user/{user}/password/",),
        *(302, 302, 403, 302, 403, 403),
    ),
}
MODELS = (
    "tag",
    "project",
    "document",
    "proposal",
    "decision",
    "note",
    "vocabularyversion",
    "token",
)
for model in MODELS:
    name, path = f"review_{model}", f"/admin/review/{model}/"
    row = path + "{" + model + "}/"
    add = 200 if model == "tag" else 403
    listed, past = (403, 302) if model == "token" else (200, 200)  # tokens are the owner's
    ADMIN |= {
        f"GET {name}_changelist": (path, 302, 302, 200, 302, listed, 200),
        f"GET {name}_add": (f"{path}add/", 302, 302, add, 302, add, add),
        f"GET {name}_change": (f"{row}change/", 302, 302, 302, 302, listed, 200),
        f"GET {name}_history": (f"{row}history/", 302, 302, 302, 302, past, 200),
        f"GET {name}_delete": (f"{row}delete/", 302, 302, 403, 302, 403, 403),
    }
for page, path in {
    "act": "act/retire/?tag={tag}",
    "import": "of/{project}/import/",
    "export": "of/{project}/export/csv/",
    "suggestions": "of/{project}/suggestions/",
    "changes": "of/{project}/history/",
    "versions": "of/{project}/versions/",
    "revert": "changes/{change}/revert/",
}.items():
    ADMIN[f"GET review_tag_{page}"] = (f"/admin/review/tag/{path}", 302, 302, 404, 302, 200, 200)
for model in ("user", "group"):
    name, path = f"auth_{model}", f"/admin/auth/{model}/"
    row = path + "{" + model + "}/"
    ADMIN |= {
        f"GET {name}_changelist": (path, 302, 302, 403, 302, 403, 403),
        f"GET {name}_add": (f"{path}add/", 302, 302, 403, 302, 403, 403),
        f"GET {name}_change": (f"{row}change/", 302, 302, 403, 302, 403, 403),
        f"GET {name}_history": (f"{row}history/", 302, 302, 403, 302, 403, 403),
        f"GET {name}_delete": (f"{row}delete/", 302, 302, 403, 302, 403, 403),
    }

INTRODUCTION = """\
# Who may do what

Everyone has a role in each project that they are a member of; each role may do all of what the
one before it may.

- **Reviewer**: picks, corrects, skips and takes back; looks back at their own decisions.
- **Curator**: also looks after the tags and the documents, and enters the admin, where they see
  the rows of those projects only in which they are curator or owner.
- **Owner**: also changes the project's settings, and says who is a member and as what. A project
  always keeps an owner.
- **Superusers** (made by `manage.py createsuperuser`, never by a page) may do everything in the
  admin, and they alone see the accounts. At the desk they are what their role says.

What belongs to another project is answered as if it did not exist.

The tables say what each address answers; the tests ask all of them as everyone, and fail where
an answer differs or an address is missing. They are written by
`.venv/bin/python -m tests.permissions_table > docs/permissions.md`.

| answer | what it means |
| --- | --- |
| 200, 204 | yes |
| 302 | for the signed out: sign in first; else: done, or (in the admin) not there |
| 401 | sign in first |
| 403 | not with this role |
| 404 | not there, for this person |
| 409, 422 | allowed, but the test sends no lease or nothing to do: nothing is changed |
"""


def markdown() -> str:
    """The text of docs/permissions.md."""
    parts = [INTRODUCTION]
    for title, table in (("The desk", TABLE), ("The admin", ADMIN)):
        parts.append(f"\n## {title}\n\n| address | {' | '.join(WHO)} |\n")
        parts.append("| --- " * (len(WHO) + 1) + "|\n")
        for what, (path, *answers) in table.items():
            cells = " | ".join(map(str, answers))
            parts.append(f"| {what.split()[0]} `{path}` | {cells} |\n")
    return "".join(parts)


if __name__ == "__main__":
    print(markdown(), end="")
