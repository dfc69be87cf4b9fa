"""The OpenAPI document: it is the committed one, and what it says is what the server does.

`make fuzz-api` asks for longer (TAGGER_FUZZ_SECONDS).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from review.models import Membership, Project, Role, Scope
from review.pipeline.token import make

from .world import make_ready

ROOT = Path(__file__).resolve().parent.parent
SECONDS = int(os.environ.get("TAGGER_FUZZ_SECONDS", "25"))
SEED = [] if "TAGGER_FUZZ_SECONDS" in os.environ else ["--seed", "4"]  # CI: always the same
# A tag that the vocabulary does not have is refused (422), and no schema can say which it has; nor
# can it say that one day comes after another.
CONFIG = """\
[parameters]
"path.project_id" = {project}

[[operations]]
include-operation-id = "act"
checks.positive_data_acceptance.expected-statuses = ["2xx", 404, 409, 422]

[[operations]]
include-operation-id = "order_release"
checks.positive_data_acceptance.expected-statuses = ["2xx", 404, 422]
"""


def test_the_committed_file_is_what_the_code_says() -> None:
    out = StringIO()
    call_command("openapi", stdout=out)
    kept = (ROOT / "docs" / "openapi.json").read_text()
    told = "Run: .venv/bin/python manage.py openapi > docs/openapi.json"
    assert json.loads(kept) == json.loads(out.getvalue()), told


@pytest.mark.django_db(transaction=True)
def test_schemathesis_finds_no_answer_that_is_not_in_it(
    live_server: LiveServer, settings: Settings, tmp_path: Path
) -> None:
    settings.API_RATE = 0
    project = Project.objects.create(name="Fuzzed", repeat_share=0)
    user = User.objects.create_user("fuzzer")
    Membership.objects.create(project=project, user=user, role=Role.OWNER)
    make_ready(project, 20)
    project.documents.filter(external_id="1").update(external_id="5201")
    token = make(project, user, "fuzz", list(Scope), 1)[1]
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG.format(project=project.pk))
    # A process of its own, as an integrator would: it shares nothing with the server.
    program = Path(sys.executable).with_name("schemathesis")
    done = subprocess.run(
        [
            *(program, "--config-file", config, "run", ROOT / "docs" / "openapi.json"),
            *("--url", live_server.url, "--header", f"Authorization: Bearer {token}"),
            *("--checks", "all", "--max-time", str(SECONDS), "--max-examples", "100000"),
            *("--generation-database", "none", "--no-color", "--continue-on-failure"),
            *SEED,
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS + 120,
    )
    print(done.stdout[-10_000:], done.stderr[-2_000:])
    assert done.returncode == 0
    cases = re.search(r"(\d[\d,]*) generated", done.stdout)
    assert cases, "Schemathesis did not say how many cases it generated."


@pytest.mark.django_db(transaction=True)
def test_the_calls_of_the_guide_work_word_for_word(live_server: LiveServer) -> None:
    project = Project.objects.create(name="README tags", repeat_share=0)
    user = User.objects.create_user("admin")
    Membership.objects.create(project=project, user=user, role=Role.OWNER)
    make_ready(project, 1)
    token = make(project, user, "the guide", [Scope.READ, Scope.WRITE], 1)[1]
    calls = re.findall(r"```sh\n(curl .*?)```", (ROOT / "docs" / "api.md").read_text(), re.DOTALL)
    assert len(calls) == 3
    answers = []
    for call in [*calls, calls[0]]:
        # All but where the server and the project are: here they are others.
        here = call.replace("http://127.0.0.1:8000", live_server.url)
        here = here.replace("/projects/1/", f"/projects/{project.pk}/")
        assert here != call
        done = subprocess.run(
            ["bash", "-c", here],
            env={**os.environ, "TOKEN": token, "no_proxy": "*"},
            capture_output=True,
            text=True,
            check=True,
        )
        answers.append(json.loads(done.stdout))
    first, tags, decisions, again = answers
    assert (first["added"], again["added"], again["unchanged"]) == (1, 0, 1)
    assert tags == {"id": "5201", "tags": []}
    assert decisions == {"items": [], "next": None}
